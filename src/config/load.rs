//! Reads settings: a file and what it includes, then the command line.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use ringkeep_shards::glob::{self, Case};

use super::error::{ConfigError, Origin, ValueError};
use super::redis_words::{Unbalanced, quote, split_words};
use super::store::{ConfigStore, assign, default_values};
use super::table::find;
use super::value::Value;

/// How deep files may include files.
const INCLUDE_DEPTH_MAX: usize = 16;

/// The largest file of settings, in bytes.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Settings of old Redis versions that 7.2 passes over without a word.
const FORGOTTEN: [&[u8]; 3] = [b"list-max-ziplist-entries", b"list-max-ziplist-value", b"lua-replicate-commands"];

/// Where settings come from, the command line apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    /// Nowhere: all are as the table has them.
    Defaults,
    /// Standard input.
    Stdin,
    /// A file.
    File(PathBuf),
}

/// A setting on the command line, which wins over the file: its name, then its values.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Override(pub Vec<Vec<u8>>);

impl Override {
    /// The setting that a line of redis.conf holds.
    pub fn from_line(line: &[u8]) -> Result<Self, Unbalanced> {
        split_words(line).map(Override)
    }

    fn text(&self) -> Vec<u8> {
        let values = self.0.iter().skip(1).map(|word| quote(word));
        self.0.iter().take(1).cloned().chain(values).collect::<Vec<_>>().join(&b' ')
    }
}

/// Reads everything and derives the typed settings.
pub fn load(source: &Source, overrides: &[Override]) -> Result<ConfigStore, ConfigError> {
    let mut reader = Reader::new();
    let mut file = None;
    match source {
        Source::Defaults => {}
        Source::Stdin => {
            let text = read_bounded(io::stdin().lock())
                .map_err(|error| ConfigError::Unreadable { path: PathBuf::from("-"), error })?;
            reader.read_text(&text, &|line| Origin::Stdin { line }, 0)?;
        }
        Source::File(path) => {
            // Absolute, as CONFIG REWRITE may run when the directory is another one.
            let path =
                std::path::absolute(path).map_err(|error| ConfigError::Unreadable { path: path.clone(), error })?;
            reader.read_file(&path, 0)?;
            file = Some(path);
        }
    }
    for setting in overrides {
        let error = |reason| ConfigError::Line {
            origin: Origin::CommandLine,
            text: String::from_utf8_lossy(&setting.text()).into_owned(),
            reason,
        };
        reader.directive(&setting.0, 0).map_err(|problem| problem.into_error(error))?;
    }
    ConfigStore::new(reader.values, file, reader.notices).map_err(ConfigError::Together)
}

/// The values that a file with this text gives, its includes read.
pub(super) fn values_of_text(path: &Path, text: &[u8]) -> Result<Vec<Value>, ConfigError> {
    let mut reader = Reader::new();
    reader.read_text(text, &|line| Origin::File { path: path.to_owned(), line }, 0)?;
    Ok(reader.values)
}

/// What is wrong with a line, or with a file that it includes.
enum Problem {
    Reason(String),
    Included(ConfigError),
}

impl Problem {
    fn into_error(self, line: impl FnOnce(String) -> ConfigError) -> ConfigError {
        match self {
            Problem::Reason(reason) => line(reason),
            Problem::Included(error) => error,
        }
    }
}

impl From<ValueError> for Problem {
    fn from(error: ValueError) -> Self {
        Problem::Reason(error.to_string())
    }
}

struct Reader {
    values: Vec<Value>,
    notices: Vec<String>,
}

impl Reader {
    fn new() -> Self {
        Reader { values: default_values().to_vec(), notices: Vec::new() }
    }

    fn read_file(&mut self, path: &Path, depth: usize) -> Result<(), ConfigError> {
        let text = fs::File::open(path)
            .and_then(read_bounded)
            .map_err(|error| ConfigError::Unreadable { path: path.to_owned(), error })?;
        self.read_text(&text, &|line| Origin::File { path: path.to_owned(), line }, depth)
    }

    fn read_text(&mut self, text: &[u8], origin: &dyn Fn(usize) -> Origin, depth: usize) -> Result<(), ConfigError> {
        for (number, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let line = line.trim_ascii();
            let error = |reason| ConfigError::Line {
                origin: origin(number + 1),
                text: String::from_utf8_lossy(line).into_owned(),
                reason,
            };
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let words = split_words(line).map_err(|_| error("Unbalanced quotes in configuration line".to_owned()))?;
            self.directive(&words, depth).map_err(|problem| problem.into_error(error))?;
        }
        Ok(())
    }

    fn directive(&mut self, words: &[Vec<u8>], depth: usize) -> Result<(), Problem> {
        let Some((name, arguments)) = words.split_first() else {
            return Ok(());
        };
        if let Some((row, _)) = find(name) {
            self.notices.extend(assign(&mut self.values, row, arguments)?);
            return Ok(());
        }
        let name = name.to_ascii_lowercase();
        let because = |reason: &str| Err(Problem::Reason(reason.to_owned()));
        match (name.as_slice(), arguments) {
            (b"include", [pattern]) => self.include(pattern, depth),
            (b"rename-command", [_, _]) => because("commands cannot be renamed"),
            (b"loadmodule", [_, ..]) => because("modules cannot be loaded"),
            (b"user", [_, ..]) => because("access control lists are not there yet; requirepass is"),
            (b"sentinel", [_, ..]) => because("sentinel directive while not in sentinel mode"),
            (forgotten, [_]) if FORGOTTEN.contains(&forgotten) => Ok(()),
            (module, [_, ..]) if module.contains(&b'.') => because("modules cannot be loaded, nor their settings"),
            _ => because("Bad directive or wrong number of arguments"),
        }
    }

    fn include(&mut self, pattern: &[u8], depth: usize) -> Result<(), Problem> {
        if depth == INCLUDE_DEPTH_MAX {
            return Err(Problem::Reason(format!("files include files more than {INCLUDE_DEPTH_MAX} deep")));
        }
        let path = Path::new(OsStr::from_bytes(pattern));
        let paths = if glob::is_pattern(pattern) { expand(path) } else { vec![path.to_owned()] };
        for path in paths {
            self.read_file(&path, depth + 1).map_err(Problem::Included)?;
        }
        Ok(())
    }
}

fn read_bounded(from: impl Read) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    from.take(FILE_BYTES_MAX + 1).read_to_end(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {FILE_BYTES_MAX} bytes")));
    }
    Ok(text)
}

/// The files whose paths match, in order; none is no error. As in a shell, hidden files need a dot in the pattern.
fn expand(pattern: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for component in pattern.components() {
        let part = component.as_os_str();
        if !matches!(component, Component::Normal(name) if glob::is_pattern(name.as_bytes())) {
            found.iter_mut().for_each(|path| path.push(part));
            found.retain(|path| path.exists());
            continue;
        }
        found = found.iter().flat_map(|directory| entries_that_match(directory, part.as_bytes())).collect();
    }
    found
}

fn entries_that_match(directory: &Path, pattern: &[u8]) -> Vec<PathBuf> {
    let here = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let Ok(entries) = fs::read_dir(here) else {
        return Vec::new();
    };
    let mut names: Vec<_> = entries
        .flatten()
        .map(|entry| entry.file_name())
        .filter(|name| !name.as_bytes().starts_with(b".") || pattern.starts_with(b"."))
        .filter(|name| glob::matches(pattern, name.as_bytes(), Case::Sensitive))
        .collect();
    names.sort();
    names.into_iter().map(|name| directory.join(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::typed::ShardCount;
    use crate::scratch::Scratch;

    fn load_text(text: &str, overrides: &[&str]) -> Result<ConfigStore, String> {
        let root = Scratch::new("load");
        let path = root.path().join("redis.conf");
        fs::write(&path, text).unwrap();
        let overrides: Vec<Override> =
            overrides.iter().map(|line| Override::from_line(line.as_bytes()).unwrap()).collect();
        let loaded = load(&Source::File(path), &overrides);
        loaded.map_err(|error| error.to_string().replace(&format!("{}/", root.path().display()), ""))
    }

    fn reported(store: &ConfigStore, name: &str) -> String {
        let found = store.get(&[name.as_bytes()]);
        String::from_utf8(found[0].1.clone()).unwrap()
    }

    #[test]
    fn a_file_with_comments_quotes_and_units() {
        let text = "# comment\r\n\n  PORT 7000\n\tmaxmemory 1gb \nrequirepass \"a b\"\nshards 3\nbind 127.0.0.1 -::1\n";
        let store = load_text(text, &[]).unwrap();
        let config = store.config();
        assert_eq!(config.port.unwrap().get(), 7_000);
        assert_eq!(config.memory_bytes_max, Some(1 << 30));
        assert_eq!(config.requirepass.as_deref(), Some(&b"a b"[..]));
        assert!(matches!(config.shards, ShardCount::Exactly(count) if count.get() == 3));
        assert!(config.bind[1].optional);
    }

    #[test]
    fn the_command_line_wins_over_the_file() {
        let store = load_text("port 7000\nmaxclients 5\n", &["port 7001"]).unwrap();
        assert_eq!((store.config().port.unwrap().get(), store.config().clients_max), (7_001, 5));
    }

    #[test]
    fn a_bad_line_is_told_with_its_place_and_reason() {
        let wrong = |text: &str| load_text(text, &[]).unwrap_err();
        assert_eq!(
            wrong("port 1\n\nno-such-thing 1\n"),
            "bad setting in redis.conf, line 3\n>>> 'no-such-thing 1'\nBad directive or wrong number of arguments"
        );
        assert_eq!(
            wrong("port 70000"),
            "bad setting in redis.conf, line 1\n>>> 'port 70000'\nargument must be between 0 and 65535 inclusive"
        );
        assert_eq!(
            wrong("dir \"x"),
            "bad setting in redis.conf, line 1\n>>> 'dir \"x'\nUnbalanced quotes in configuration line"
        );
        assert_eq!(
            load_text("", &["port x"]).unwrap_err(),
            "bad setting on the command line\n>>> 'port \"x\"'\nargument couldn't be parsed into an integer"
        );
    }

    #[test]
    fn what_promises_something_else_is_refused() {
        let reason = |line: &str| load_text(line, &[]).unwrap_err().lines().last().unwrap().to_owned();
        assert_eq!(reason("maxmemory-policy allkeys-lru"), "only noeviction is there yet: keys are never evicted");
        assert_eq!(reason("replicaof host 6379"), "Redis replication is not spoken");
        assert_eq!(reason("slaveof host 6379"), "Redis replication is not spoken");
        assert_eq!(reason("tls-port 6380"), "TLS is not there yet");
        assert_eq!(reason("tls-cert-file x"), "TLS is not there yet");
        assert_eq!(reason("unixsocket /run/x"), "Unix sockets are not there yet");
        assert_eq!(reason("notify-keyspace-events KEA"), "keyspace notifications are not there yet");
        assert_eq!(reason("rename-command KEYS \"\""), "commands cannot be renamed");
        assert_eq!(reason("loadmodule /x.so"), "modules cannot be loaded");
        assert_eq!(reason("user alice on"), "access control lists are not there yet; requirepass is");
        assert!(reason("cluster-enabled yes").contains("one standalone Redis"));
        assert!(reason("supervised upstart").contains("upstart is not supported"));
        for line in
            ["maxmemory-policy noeviction", "replicaof no one", "tls-port 0", "unixsocket \"\"", "cluster-enabled no"]
        {
            load_text(line, &[]).unwrap();
        }
    }

    #[test]
    fn nothing_weakens_durability_and_the_log_says_so() {
        let text = "appendonly no\nappendfsync everysec\nsave 900 1\nsave \"300 10\"\nio-threads 4\nhz 10\nmasterauth secret\n";
        let store = load_text(text, &[]).unwrap();
        assert_eq!(reported(&store, "appendonly"), "yes");
        assert_eq!(reported(&store, "appendfsync"), "always");
        assert_eq!(reported(&store, "save"), "");
        assert_eq!(reported(&store, "io-threads"), "4");
        assert_eq!(
            store.notices(),
            [
                "setting 'appendfsync everysec' is accepted without effect: a write is acknowledged only once it is on disk",
                "setting 'appendonly no' is accepted without effect: every acknowledged write is on disk already",
                "setting 'save 300 10' is accepted without effect: every write is logged, and checkpoints are made as the log grows",
                "setting 'save 900 1' is accepted without effect: every write is logged, and checkpoints are made as the log grows",
                "setting 'io-threads' is accepted without effect",
                "setting 'masterauth' is accepted without effect",
            ]
        );
    }

    #[test]
    fn files_are_included_by_name_or_pattern() {
        let root = Scratch::new("include");
        let write = |name: &str, text: &str| fs::write(root.path().join(name), text).unwrap();
        fs::create_dir(root.path().join("conf.d")).unwrap();
        write("conf.d/10-port.conf", "port 7010\nmaxclients 1\n");
        write("conf.d/20-port.conf", "port 7020\n");
        write("conf.d/.hidden.conf", "port 7030\n");
        let main = format!("include {0}/conf.d/*.conf\nmaxclients 2\ninclude {0}/none*\n", root.path().display());
        write("redis.conf", &main);
        let store = load(&Source::File(root.path().join("redis.conf")), &[]).unwrap();
        assert_eq!((store.config().port.unwrap().get(), store.config().clients_max), (7_020, 2));

        write("conf.d/20-port.conf", "port x\n");
        let error = load(&Source::File(root.path().join("redis.conf")), &[]).unwrap_err().to_string();
        assert!(error.contains("conf.d/20-port.conf, line 1\n>>> 'port x'"), "the place is the included file: {error}");

        write("redis.conf", &format!("include {}/missing\n", root.path().display()));
        let error = load(&Source::File(root.path().join("redis.conf")), &[]).unwrap_err().to_string();
        assert!(error.starts_with("can't open config file") && error.contains("/missing"), "{error}");

        write("redis.conf", &format!("include {}/redis.conf\n", root.path().display()));
        let error = load(&Source::File(root.path().join("redis.conf")), &[]).unwrap_err().to_string();
        assert!(error.contains("more than 16 deep"), "{error}");
    }

    #[test]
    fn settings_of_the_past_are_passed_over() {
        load_text("list-max-ziplist-entries 512\nlua-replicate-commands yes\nhash-max-ziplist-value 64\n", &[])
            .unwrap();
    }

    /// What Debian's redis-server package ships in /etc/redis/redis.conf, its comments left out.
    const DEBIAN: &str = r#"
bind 127.0.0.1 -::1
protected-mode yes
port 6379
tcp-backlog 511
timeout 0
tcp-keepalive 300
daemonize yes
pidfile /run/redis/redis-server.pid
loglevel notice
logfile /var/log/redis/redis-server.log
databases 16
always-show-logo no
set-proc-title yes
proc-title-template "{title} {listen-addr} {server-mode}"
stop-writes-on-bgsave-error yes
rdbcompression yes
rdbchecksum yes
dbfilename dump.rdb
rdb-del-sync-files no
dir /var/lib/redis
replica-serve-stale-data yes
replica-read-only yes
repl-diskless-sync yes
repl-diskless-sync-delay 5
repl-diskless-sync-max-replicas 0
repl-diskless-load disabled
repl-disable-tcp-nodelay no
replica-priority 100
acllog-max-len 128
lazyfree-lazy-eviction no
lazyfree-lazy-expire no
lazyfree-lazy-server-del no
replica-lazy-flush no
lazyfree-lazy-user-del no
lazyfree-lazy-user-flush no
oom-score-adj no
oom-score-adj-values 0 200 800
disable-thp yes
appendonly no
appendfilename "appendonly.aof"
appenddirname "appendonlydir"
appendfsync everysec
no-appendfsync-on-rewrite no
auto-aof-rewrite-percentage 100
auto-aof-rewrite-min-size 64mb
aof-load-truncated yes
aof-use-rdb-preamble yes
aof-timestamp-enabled no
slowlog-log-slower-than 10000
slowlog-max-len 128
latency-monitor-threshold 0
notify-keyspace-events ""
hash-max-listpack-entries 512
hash-max-listpack-value 64
list-max-listpack-size -2
list-compress-depth 0
set-max-intset-entries 512
zset-max-listpack-entries 128
zset-max-listpack-value 64
hll-sparse-max-bytes 3000
stream-node-max-bytes 4096
stream-node-max-entries 100
activerehashing yes
client-output-buffer-limit normal 0 0 0
client-output-buffer-limit replica 256mb 64mb 60
client-output-buffer-limit pubsub 32mb 8mb 60
hz 10
dynamic-hz yes
aof-rewrite-incremental-fsync yes
rdb-save-incremental-fsync yes
jemalloc-bg-thread yes
"#;

    #[test]
    fn the_stock_file_of_debian_starts() {
        let store = load_text(DEBIAN, &[]).unwrap();
        let noticed: Vec<String> = store.notices();
        let names: Vec<&str> = noticed.iter().map(|line| line.split(' ').nth(1).unwrap().trim_matches('\'')).collect();
        assert_eq!(names, ["appendfsync", "appendonly", "daemonize"], "only what differs is worth a line");
        assert_eq!(store.config().log_file, Some("/var/log/redis/redis-server.log".into()));
        assert_eq!(store.config().dir, Path::new("/var/lib/redis"));
        assert_eq!(store.config().output_limits, load_text("", &[]).unwrap().config().output_limits);
    }

    #[test]
    fn the_stock_file_that_is_installed_starts() {
        let path = Path::new("/etc/redis/redis.conf");
        if fs::File::open(path).is_ok() {
            load(&Source::File(path.to_owned()), &[]).unwrap();
        }
    }
}
