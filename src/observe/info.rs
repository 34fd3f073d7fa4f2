//! INFO: which sections, and the facts that they are written from.

use crate::observe::calls::{CallStats, merge};
use crate::observe::dispatch::Asked;
use crate::observe::facts::{CoreFacts, ShardFacts};
use crate::observe::info_sections as sections;
use crate::observe::process;
use crate::serve::client::ClientState;
use crate::serve::engine::Engine;
use crate::serve::functions::FIRST;
use ringkeep_shards::command::Door;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Everything that INFO's sections say.
pub(super) struct NodeFacts {
    pub(super) cores: Vec<CoreFacts>,
    /// Calls on all cores, and from scripts, by the command's name.
    pub(super) calls: Vec<CallStats>,
    pub(super) started_s: u64,
    /// Unix time in milliseconds.
    pub(super) now_ms: u64,
    /// The shard whose port the question came by.
    pub(super) door: Door,
    pub(super) tcp_port: u16,
    pub(super) run_id: String,
    pub(super) uptime_s: u64,
    pub(super) now_us: u64,
    pub(super) clients_max: u32,
    pub(super) memory_bytes_max: u64,
    pub(super) file: Option<PathBuf>,
}

impl NodeFacts {
    pub(super) fn new(engine: &Engine, state: &ClientState, cores: Vec<CoreFacts>) -> Self {
        let settings = &engine.node.settings;
        let now = process::unix_time();
        let now_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        NodeFacts {
            calls: merge(cores.iter().flat_map(|core| core.calls.iter().cloned())),
            started_s: engine.node.started_unix_ms / 1000,
            now_ms: engine.now.unix_ms,
            cores,
            door: state.session.door,
            tcp_port: match state.session.door {
                Door::Server => settings.config().port.map_or(0, std::num::NonZeroU16::get),
                Door::Shard(shard) => state.shard_port(shard),
            },
            run_id: engine.node.run_id.clone(),
            uptime_s: now_ms.saturating_sub(engine.node.started_unix_ms) / 1000,
            now_us: u64::try_from(now.as_micros()).unwrap_or(u64::MAX),
            clients_max: settings.config().clients_max,
            memory_bytes_max: settings.config().memory_bytes_max.unwrap_or(0),
            file: settings.file().map(ToOwned::to_owned),
        }
    }

    /// The shards, in order.
    pub(super) fn shards(&self) -> Vec<&ShardFacts> {
        let mut shards: Vec<&ShardFacts> = self.cores.iter().flat_map(|core| &core.shards).collect();
        shards.sort_by_key(|shard| shard.shard);
        shards
    }

    /// One number of every shard, added up.
    pub(super) fn over_shards(&self, number: impl Fn(&ShardFacts) -> u64) -> u64 {
        self.shards().into_iter().map(number).sum()
    }

    /// One number of every core, added up.
    pub(super) fn over_cores(&self, number: impl Fn(&CoreFacts) -> u64) -> u64 {
        self.cores.iter().map(number).sum()
    }

    /// How many libraries of functions the node has, and how many functions: the first shard's, which the others copy.
    pub(super) fn libraries(&self) -> (u64, u64) {
        let first = self.shards().into_iter().find(|shard| shard.shard == FIRST);
        first.map_or((0, 0), |shard| (shard.libraries.0, shard.libraries.1))
    }

    /// How many scripts the node knows.
    pub(super) fn scripts(&self) -> usize {
        self.cores.iter().flat_map(|core| &core.scripts).collect::<BTreeSet<_>>().len()
    }

    /// Most bytes that were ever seen to count as used.
    pub(super) fn peak_bytes(&self) -> u64 {
        self.over_cores(|core| core.peak_bytes).max(self.used_bytes())
    }

    /// Bytes of tables for each database that has keys: its part, by its number of keys.
    pub(super) fn table_bytes(&self) -> Vec<(usize, u64)> {
        let databases = self.shards().first().map_or(0, |shard| shard.databases.len());
        let part = |shard: &ShardFacts, db: usize| {
            let share = shard.databases[db].0 as f64 / shard.keys().max(1) as f64;
            (shard.overhead_bytes as f64 * share) as u64
        };
        let bytes = |db: usize| (db, self.over_shards(|shard| part(shard, db)));
        (0..databases).filter(|&db| self.over_shards(|shard| shard.databases[db].0) > 0).map(bytes).collect()
    }

    /// Bytes that count as used: keys, buffers of clients, Lua machines.
    pub(super) fn used_bytes(&self) -> u64 {
        self.over_shards(|shard| shard.memory_bytes + shard.script_bytes) + self.over_cores(|core| core.client_bytes)
    }

    /// Bytes of these that are not keys and values.
    pub(super) fn overhead_bytes(&self) -> u64 {
        let shards = self.over_shards(|shard| shard.overhead_bytes + shard.script_bytes + shard.libraries.2);
        shards + self.over_cores(|core| core.client_bytes)
    }
}

type Section = (&'static str, bool, fn(&NodeFacts, &mut String));

/// The sections in order: name, whether INFO without an argument has it, what writes it.
const SECTIONS: &[Section] = &[
    ("Server", true, sections::server),
    ("Clients", true, sections::clients),
    ("Memory", true, sections::memory),
    ("Persistence", true, sections::persistence),
    ("Stats", true, sections::stats),
    ("Replication", true, sections::replication),
    ("CPU", true, sections::cpu),
    ("Modules", true, |_, _| {}),
    ("Commandstats", false, sections::command_stats),
    ("Errorstats", true, sections::error_stats),
    ("Latencystats", false, sections::latency_stats),
    ("Cluster", true, sections::cluster),
    ("Keyspace", true, sections::keyspace),
    ("Ringkeep", true, sections::ringkeep),
    ("Shards", true, sections::shards),
];

pub(super) fn run(asked: Asked<'_>) {
    let wanted: Vec<Vec<u8>> = asked.list[1..].iter().map(|section| section.to_ascii_lowercase()).collect();
    asked.ask(CoreFacts::of, move |engine, state, cores, reply| {
        let facts = NodeFacts::new(engine, state, cores);
        reply.verbatim(*b"txt", text(&facts, &wanted).as_bytes());
    });
}

fn text(facts: &NodeFacts, wanted: &[Vec<u8>]) -> String {
    let asks = |name: &str| wanted.iter().any(|section| section == name.as_bytes());
    let all = asks("all") || asks("everything");
    let default = wanted.is_empty() || asks("default");
    let mut text = String::new();
    for (name, by_default, write) in SECTIONS {
        if all || (default && *by_default) || asks(&name.to_ascii_lowercase()) {
            if !text.is_empty() {
                text.push_str("\r\n");
            }
            text.push_str(&format!("# {name}\r\n"));
            write(facts, &mut text);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use crate::observe::testing::TestNode;
    use std::process::{Command, Stdio};

    /// The body of a bulk string.
    fn body(reply: &str) -> String {
        reply.split_once("\r\n").unwrap().1.to_owned()
    }

    fn fields(info: &str) -> Vec<&str> {
        info.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name).collect()
    }

    #[test]
    fn sections_are_chosen_by_name() {
        let mut node = TestNode::new(2);
        let heads = |text: String| -> Vec<String> {
            text.lines().filter(|line| line.starts_with('#')).map(ToOwned::to_owned).collect()
        };
        assert_eq!(heads(node.run("INFO cpu SERVER")), ["# Server", "# CPU"]);
        assert_eq!(node.run("INFO nope"), "$0\r\n\r\n");
        let default = heads(node.run("INFO"));
        assert!(!default.contains(&"# Commandstats".to_owned()) && default.contains(&"# Shards".to_owned()));
        assert_eq!(heads(node.run("INFO default")), default);
        assert_eq!(heads(node.run("INFO everything")).len(), default.len() + 2);
    }

    #[test]
    fn keys_are_counted_over_all_shards() {
        let mut node = TestNode::new(2);
        for key in ["a", "b", "c", "d", "e"] {
            node.run(&format!("SET {key} v EX 1000"));
        }
        node.run("PERSIST a");
        assert!(node.run("INFO keyspace").contains("# Keyspace\r\ndb0:keys=5,expires=4,avg_ttl=0\r\n"));
        let shards = body(&node.run("INFO shards"));
        assert_eq!(shards.lines().filter(|line| line.contains("role=leader")).count(), 2, "{shards}");
    }

    /// What 7.2 has and 7.0 does not.
    const SINCE_7_2: [&str; 5] = [
        "evicted_scripts",
        "total_blocking_keys",
        "total_blocking_keys_on_nokey",
        "client_query_buffer_limit_disconnections",
        "client_output_buffer_limit_disconnections",
    ];

    #[test]
    fn calls_errors_and_latencies_are_counted() {
        let mut node = TestNode::new(2);
        for key in ["a", "b", "a"] {
            node.run(&format!("SET {key} v"));
            node.run(&format!("GET {key}"));
        }
        node.run("GET nothing");
        node.run("INCR a");
        node.run("GET");
        node.run("NOPE");
        node.run("MGET a b");
        node.run_list(&[b"EVAL", b"redis.call('GET',KEYS[1]) return redis.pcall('INCR',KEYS[1])", b"1", b"b"]);
        for command in ["MULTI", "GET a", "INCR a", "CONFIG GET timeout", "EXEC"] {
            node.run(command);
        }
        let stats = body(&node.run("INFO commandstats"));
        let of = |name: &str| -> Vec<u64> {
            let prefix = format!("cmdstat_{name}:");
            let line =
                stats.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap_or_else(|| panic!("{name}: {stats}"));
            let numbers = line.split(',').map(|part| part.split('=').nth(1).unwrap());
            [0, 3, 4].map(|at| numbers.clone().nth(at).unwrap().parse().unwrap()).to_vec()
        };
        // Calls, rejected ones, failed ones.
        assert_eq!(of("set"), [3, 0, 0]);
        assert_eq!(of("get"), [6, 1, 0], "three, one of nothing, one in a script, one in EXEC");
        assert_eq!(of("incr"), [3, 0, 3], "from the connection, the script, EXEC");
        assert_eq!(of("mget"), [1, 0, 0], "over two shards");
        assert_eq!(of("eval"), [1, 0, 1]);
        assert_eq!(of("multi"), [1, 0, 0]);
        assert_eq!(of("exec"), [1, 0, 0]);
        assert_eq!(of("config|get"), [1, 0, 0]);
        let info = body(&node.run("INFO"));
        assert!(info.contains("errorstat_ERR:count=5\r\n"), "{info}");
        assert!(info.contains("keyspace_hits:7\r\nkeyspace_misses:1\r\n"), "{info}");
        assert!(body(&node.run("INFO latencystats")).contains("latency_percentiles_usec_get:p50="));
        node.run("CONFIG RESETSTAT");
        let info = body(&node.run("INFO everything"));
        assert!(!info.contains("cmdstat_get") && !info.contains("errorstat_ERR"), "{info}");
        assert!(info.contains("keyspace_hits:0\r\n"));
    }

    #[test]
    fn slow_commands_of_any_core_are_noted_without_secrets() {
        let mut node = TestNode::with_settings(2, &["slowlog-log-slower-than 0"]);
        for command in
            ["SET a v", "SET b v", "AUTH secret", "CONFIG SET requirepass secret", "CONFIG SET requirepass \"\""]
        {
            node.run(command);
        }
        let log = node.run("SLOWLOG GET -1");
        for part in ["$1\r\na\r\n", "$1\r\nb\r\n", "AUTH\r\n$10\r\n(redacted)", "requirepass\r\n$10\r\n(redacted)"] {
            assert!(log.contains(part), "{part}: {log}");
        }
        assert!(!log.contains("secret"), "{log}");
    }

    /// Our fields are Redis's, in Redis's order.
    #[test]
    fn fields_are_those_of_a_real_server() {
        let directory = crate::scratch::Scratch::new("info");
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
        let started = Command::new("redis-server")
            .args(["--port", &port, "--save", "", "--appendonly", "yes", "--dir"])
            .arg(directory.path())
            .stdout(Stdio::null())
            .spawn();
        let Ok(mut server) = started else { return };
        let ask = || Command::new("redis-cli").args(["-p", &port, "info", "everything"]).output();
        let mut real = String::new();
        for _ in 0..50 {
            real = ask().map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
            if real.contains("# Keyspace") {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        let _ = server.kill();
        let _ = server.wait();
        if !real.contains("# Keyspace") {
            return;
        }
        let ours = body(&TestNode::new(1).run("INFO everything"));
        // What was called, and which errors there were, is each server's own.
        for section in
            ["Server", "Clients", "Memory", "Persistence", "Stats", "Replication", "CPU", "Modules", "Cluster"]
        {
            let of = |info: &str| -> Vec<String> {
                let start = info.find(&format!("# {section}\r\n")).unwrap_or_else(|| panic!("{section} is missing"));
                let text = info[start + 2..].split("# ").next().unwrap();
                let newer = |name: &&str| !SINCE_7_2.contains(name);
                fields(text).into_iter().filter(newer).map(ToOwned::to_owned).collect()
            };
            assert_eq!(of(&ours), of(&real.replace('\n', "\r\n").replace("\r\r", "\r")), "the fields of {section}");
        }
    }
}
