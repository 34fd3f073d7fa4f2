//! The settings at run time: CONFIG GET and CONFIG SET.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use ringkeep_shards::glob::{self, Case};

use super::error::{SetError, ValueError};
use super::redis_words::split_words;
use super::table::{Mutability, SETTINGS, Sort, find};
use super::typed::Config;
use super::value::Value;

/// A value for every row of the table, and the typed settings that follow from them.
///
/// The node owns one and sends clones to its cores.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigStore {
    values: Vec<Value>,
    config: Config,
    file: Option<PathBuf>,
    notices: Vec<String>,
    /// How many clients the open files of this process allow, once that is known.
    clients_allowed: Option<u32>,
}

/// A setting that CONFIG SET has changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// The setting's name; not its alias.
    pub name: &'static str,
    /// What CONFIG GET says now.
    pub value: Vec<u8>,
}

static DEFAULTS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let parse = |setting: &super::table::Setting| {
        let words = match setting.kind.takes_words() {
            true => split_words(setting.default.as_bytes()).expect("a default has no quotes"),
            false => vec![setting.default.as_bytes().to_vec()],
        };
        let value = setting.parse(&words, None);
        value.unwrap_or_else(|error| panic!("the default of {} is wrong: {error}", setting.name))
    };
    SETTINGS.iter().map(parse).collect()
});

/// The value of every row as the table has it.
pub(super) fn default_values() -> &'static [Value] {
    &DEFAULTS
}

/// Gives a row the value of these words; the log line that this deserves, if the words are accepted without effect.
pub(super) fn assign(values: &mut [Value], row: usize, words: &[Vec<u8>]) -> Result<Option<String>, ValueError> {
    let setting = &SETTINGS[row];
    // A line of one quoted argument may hold several words: `save "900 1"`.
    let split = match words {
        [word] if setting.kind.takes_words() && !word.is_empty() => split_words(word).ok(),
        _ => None,
    };
    let value = setting.parse(split.as_deref().unwrap_or(words), Some(&values[row]))?;
    match setting.sort {
        Sort::Honoured | Sort::WithoutEffect => values[row] = value,
        Sort::Fixed(why) if value != DEFAULTS[row] => {
            let given = value.report();
            let given = given.escape_ascii();
            return Ok(Some(format!("setting '{} {given}' is accepted without effect: {why}", setting.name)));
        }
        Sort::RefusedUnlessDefault(why) if value != DEFAULTS[row] => return Err(ValueError::Because(why)),
        Sort::Fixed(_) | Sort::RefusedUnlessDefault(_) => {}
    }
    Ok(None)
}

impl ConfigStore {
    pub(super) fn new(values: Vec<Value>, file: Option<PathBuf>, notices: Vec<String>) -> Result<Self, String> {
        let config = Config::from_values(&values)?;
        Ok(ConfigStore { values, config, file, notices, clients_allowed: None })
    }

    /// The typed settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The file that the settings came from, absolute: INFO's `config_file`, and what CONFIG REWRITE writes.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// The log lines for settings that were accepted without effect, one per setting.
    pub fn notices(&self) -> Vec<String> {
        let mut notices = self.notices.clone();
        notices.sort();
        notices.dedup();
        for (row, setting) in SETTINGS.iter().enumerate() {
            if setting.sort == Sort::WithoutEffect && self.values[row] != DEFAULTS[row] {
                // Only the name: it may be a password.
                notices.push(format!("setting '{}' is accepted without effect", setting.name));
            }
        }
        notices
    }

    /// Whether a value of this setting must be kept out of the slow log, MONITOR and the like.
    pub fn is_secret(name: &[u8]) -> bool {
        find(name).is_some_and(|(row, _)| SETTINGS[row].secret)
    }

    /// Bounds maxclients by what the open files of this process allow, as Redis does, now and in CONFIG SET.
    ///
    /// Returns the new maxclients if it had to be lowered.
    pub fn bound_clients(&mut self, allowed: u32) -> Option<u32> {
        assert!(allowed > 0, "a server without a single client is no server");
        self.clients_allowed = Some(allowed);
        if self.config.clients_max <= allowed {
            return None;
        }
        let (row, _) = find(b"maxclients").expect("the table has maxclients");
        self.values[row] = Value::Number(i128::from(allowed), super::number::NumberForm::Plain);
        self.config.clients_max = allowed;
        Some(allowed)
    }

    /// CONFIG GET: the settings that match, each once, with the names as asked for where they were spelled out.
    pub fn get(&self, patterns: &[&[u8]]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut found: Vec<(Vec<u8>, usize)> = Vec::new();
        let mut add = |name: &[u8], row: usize| {
            if !found.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) {
                found.push((name.to_vec(), row));
            }
        };
        for pattern in patterns {
            if !glob::is_pattern(pattern) {
                if let Some((row, _)) = find(pattern) {
                    add(pattern, row);
                }
                continue;
            }
            for (row, setting) in SETTINGS.iter().enumerate().filter(|(_, setting)| !setting.hidden) {
                for name in setting.names().filter(|name| glob::matches(pattern, name.as_bytes(), Case::Insensitive)) {
                    add(name.as_bytes(), row);
                }
            }
        }
        found.into_iter().map(|(name, row)| (name, self.values[row].report())).collect()
    }

    /// CONFIG SET: sets all pairs of name and value, or none. Returns what is different now.
    pub fn set(&mut self, pairs: &[(&[u8], &[u8])]) -> Result<Vec<Change>, SetError> {
        let rows = rows_to_set(pairs)?;
        let mut values = self.values.clone();
        for ((row, name), (_, word)) in rows.iter().zip(pairs) {
            let failed = |error: ValueError| SetError::Failed { name: (*name).to_owned(), reason: error.to_string() };
            let words = words_to_set(*row, word);
            assign(&mut values, *row, &words).map_err(failed)?;
        }
        let failed = |name: &str, reason| SetError::Failed { name: name.to_owned(), reason };
        let config =
            Config::from_values(&values).map_err(|reason| failed(rows.first().map_or("", |(_, name)| name), reason))?;
        if let Some(allowed) = self.clients_allowed.filter(|allowed| config.clients_max > *allowed) {
            let reason = format!(
                "The operating system is not able to handle the specified number of clients, try with {allowed}"
            );
            return Err(failed("maxclients", reason));
        }
        let changes = SETTINGS.iter().enumerate().filter(|(row, _)| values[*row] != self.values[*row]);
        let changes =
            changes.map(|(row, setting)| Change { name: setting.name, value: values[row].report() }).collect();
        self.values = values;
        self.config = config;
        Ok(changes)
    }

    pub(super) fn values(&self) -> &[Value] {
        &self.values
    }
}

/// The rows that these pairs may set, with the table's spelling of each name.
fn rows_to_set(pairs: &[(&[u8], &[u8])]) -> Result<Vec<(usize, &'static str)>, SetError> {
    let mut rows = Vec::with_capacity(pairs.len());
    let (mut refusal, mut own_refusal) = (None, None);
    for (name, _) in pairs {
        let as_given = || String::from_utf8_lossy(name).into_owned();
        let Some((row, own_name)) = find(name) else {
            // The first mistake is the one that is told. What only this server refuses is none to Redis.
            return Err(refusal.unwrap_or_else(|| SetError::Unknown(as_given())));
        };
        let mutability = SETTINGS[row].mutability;
        let refusal = if mutability == Mutability::AtStartHere { &mut own_refusal } else { &mut refusal };
        let reason = match mutability {
            Mutability::AtStartOnly | Mutability::AtStartHere => Some("can't set immutable config"),
            Mutability::Protected => Some("can't set protected config"),
            Mutability::Always if rows.contains(&(row, own_name)) => Some("duplicate parameter"),
            Mutability::Always => None,
        };
        if let Some(reason) = reason {
            refusal.get_or_insert_with(|| SetError::Failed { name: as_given(), reason: reason.to_owned() });
        }
        rows.push((row, own_name));
    }
    refusal.or(own_refusal).map_or(Ok(rows), Err)
}

/// CONFIG SET splits at each space, and knows no quotes.
fn words_to_set(row: usize, word: &[u8]) -> Vec<Vec<u8>> {
    if !SETTINGS[row].kind.takes_words() {
        return vec![word.to_vec()];
    }
    if word.is_empty() {
        return Vec::new();
    }
    word.split(|byte| *byte == b' ').map(<[u8]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Source, load};

    fn store() -> ConfigStore {
        load(&Source::Defaults, &[]).unwrap()
    }

    fn get(store: &ConfigStore, patterns: &[&str]) -> Vec<(String, String)> {
        let patterns: Vec<&[u8]> = patterns.iter().map(|pattern| pattern.as_bytes()).collect();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        store.get(&patterns).into_iter().map(|(name, value)| (text(name), text(value))).collect()
    }

    fn set(store: &mut ConfigStore, words: &[&str]) -> Result<Vec<(&'static str, String)>, String> {
        let pairs: Vec<(&[u8], &[u8])> =
            words.chunks_exact(2).map(|pair| (pair[0].as_bytes(), pair[1].as_bytes())).collect();
        let changes = store.set(&pairs).map_err(|error| error.to_string())?;
        Ok(changes.into_iter().map(|change| (change.name, String::from_utf8(change.value).unwrap())).collect())
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn get_tells_the_truth_in_redis_words() {
        let expected = pairs(&[("appendonly", "yes"), ("appendfsync", "always"), ("save", "")]);
        assert_eq!(get(&store(), &["appendonly", "appendfsync", "save"]), expected);
        let limits = "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60";
        assert_eq!(get(&store(), &["client-output-buffer-limit"])[0].1, limits);
        assert_eq!(get(&store(), &["proto-max-bulk-len"])[0].1, "536870912");
    }

    #[test]
    fn get_takes_patterns_names_in_any_case_and_aliases() {
        let store = store();
        assert_eq!(get(&store, &["MaxMemory", "maxmemory", "max*emory"]), pairs(&[("MaxMemory", "0")]), "each once");
        assert_eq!(get(&store, &["M*MEMORY"]), pairs(&[("maxmemory", "0")]));
        assert_eq!(get(&store, &["slave-priority"]), pairs(&[("slave-priority", "100")]));
        let both = pairs(&[("replica-priority", "100"), ("slave-priority", "100")]);
        assert_eq!(get(&store, &["*a-priority", "slave-[p]riority"]), both);
        assert_eq!(get(&store, &["nope", "m?"]), []);
        assert_eq!(get(&store, &["key-load-delay"]).len(), 1, "hidden, but answered by name");
        let all = get(&store, &["*"]);
        assert!(all.iter().all(|(name, _)| name != "key-load-delay"));
        let shown = SETTINGS.iter().filter(|setting| !setting.hidden).flat_map(|setting| setting.names()).count();
        assert_eq!(all.len(), shown);
    }

    #[test]
    fn set_changes_values_and_types_together() {
        let mut store = store();
        let changes = set(&mut store, &["maxmemory", "100mb", "timeout", "0", "slave-priority", "7"]).unwrap();
        assert_eq!(changes, [("maxmemory", "104857600".to_owned()), ("replica-priority", "7".to_owned())]);
        assert_eq!(store.config().memory_bytes_max, Some(100 << 20));
        assert_eq!(set(&mut store, &["client-output-buffer-limit", "pubsub 1mb 0 0"]).unwrap().len(), 1);
        assert_eq!(store.config().output_limits.pubsub.hard_bytes, 1 << 20);
        assert_eq!(store.config().output_limits.replica.hard_bytes, 256 << 20, "other classes stay");
        set(&mut store, &["requirepass", "a \"b\" "]).unwrap();
        assert_eq!(store.config().requirepass.as_deref(), Some(&b"a \"b\" "[..]), "no quotes are read here");
        set(&mut store, &["requirepass", ""]).unwrap();
        assert_eq!(store.config().requirepass, None);
    }

    #[test]
    fn set_is_all_or_nothing_with_redis_errors() {
        let mut store = store();
        let before = store.clone();
        let mut wrong = |words: &[&str]| {
            let error = set(&mut store, words).unwrap_err();
            assert_eq!(store, before, "{words:?}");
            error
        };
        let failed = |name: &str, reason: &str| {
            format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}")
        };
        assert_eq!(
            wrong(&["timeout", "5", "maxmemory", "abc"]),
            failed("maxmemory", "argument must be a memory value")
        );
        let unknown = "ERR Unknown option or number of arguments for CONFIG SET - 'Nope'";
        assert_eq!(wrong(&["timeout", "5", "Nope", "1", "databases", "3"]), unknown);
        assert_eq!(wrong(&["Databases", "3", "nope", "1"]), failed("Databases", "can't set immutable config"));
        assert_eq!(wrong(&["port", "1", "Nope", "2"]), unknown, "Redis would set the port");
        assert_eq!(wrong(&["port", "1", "hz", "2"]), failed("port", "can't set immutable config"));
        assert_eq!(wrong(&["dbfilename", "x"]), failed("dbfilename", "can't set protected config"));
        assert_eq!(wrong(&["hz", "1", "HZ", "2"]), failed("HZ", "duplicate parameter"));
        assert_eq!(
            wrong(&["MAXCLIENTS", "0"]),
            failed("maxclients", "argument must be between 1 and 4294967295 inclusive")
        );
        assert_eq!(
            wrong(&["client-output-buffer-limit", "x"]),
            failed("client-output-buffer-limit", "Wrong number of arguments in buffer limit configuration.")
        );
        assert_eq!(
            wrong(&["shutdown-on-sigint", ""]).split(" - ").nth(1).unwrap(),
            "argument(s) must be one of the following: default, save, nosave, now, force"
        );
        assert_eq!(wrong(&["save", "x"]), failed("save", "Invalid save parameters"));
        assert_eq!(
            wrong(&["maxmemory-policy", "allkeys-lru"]),
            failed("maxmemory-policy", "only noeviction is there yet: keys are never evicted")
        );
        assert_eq!(wrong(&["replicaof", "no one"]), failed("replicaof", "can't set immutable config"));
    }

    #[test]
    fn an_alias_beside_its_name_is_no_duplicate() {
        let mut store = store();
        let changes = set(&mut store, &["slave-priority", "1", "replica-priority", "2"]).unwrap();
        assert_eq!(changes, [("replica-priority", "2".to_owned())]);
    }

    #[test]
    fn what_cannot_be_weaker_is_accepted_and_stays() {
        let mut store = store();
        assert_eq!(set(&mut store, &["appendonly", "no", "save", "900 1", "appendfsync", "no"]).unwrap(), []);
        assert_eq!(get(&store, &["appendonly", "save"]), pairs(&[("appendonly", "yes"), ("save", "")]));
        assert_eq!(set(&mut store, &["save", ""]).unwrap(), []);
    }

    #[test]
    fn open_files_bound_the_clients() {
        let mut store = store();
        assert_eq!(store.bound_clients(20_000), None);
        assert_eq!(store.bound_clients(500), Some(500));
        assert_eq!(get(&store, &["maxclients"]), pairs(&[("maxclients", "500")]));
        let error = set(&mut store, &["maxclients", "501"]).unwrap_err();
        assert!(
            error.ends_with("The operating system is not able to handle the specified number of clients, try with 500")
        );
        set(&mut store, &["maxclients", "400"]).unwrap();
        assert_eq!(store.config().clients_max, 400);
    }

    #[test]
    fn passwords_are_secret() {
        assert!(ConfigStore::is_secret(b"RequirePass") && ConfigStore::is_secret(b"masterauth"));
        assert!(!ConfigStore::is_secret(b"port") && !ConfigStore::is_secret(b"nope"));
    }
}
