//! What values a setting takes.

use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use super::error::ValueError;
use super::number::{NumberForm, parse_integer, parse_number};
use super::output_limits::OutputLimits as Limits;
use super::table::{SHARDS_MAX, Setting};
use super::value::Value;

/// What values a setting takes.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// yes or no.
    YesNo,
    /// A whole number.
    Number {
        /// The smallest.
        least: i128,
        /// The largest.
        most: i128,
        /// How it is written.
        form: NumberForm,
    },
    /// One of these names.
    Choice(&'static [&'static str]),
    /// Some of these names; the first one stands for none.
    Choices(&'static [&'static str]),
    /// Any bytes.
    Text,
    /// A file's name, without a directory.
    FileName,
    /// A host's name, or nothing.
    HostName,
    /// A directory; relative ones start where the server was started.
    Directory,
    /// Addresses to listen on; a minus before one says that it may be missing.
    Addresses,
    /// Pairs of seconds and changes.
    Save,
    /// [`Limits`].
    OutputLimits,
    /// Three scores of the kernel's out-of-memory killer.
    OomScores,
    /// Letters of event classes.
    KeyspaceEvents,
    /// Percentiles.
    Percentiles,
    /// Host and port of a master, or `no one`.
    ReplicaOf,
    /// `auto` or a number.
    ShardCount,
    /// `auto`, `off` or the first shard's port.
    ShardPorts,
}

/// The most addresses to listen on.
pub const BIND_ADDRESSES_MAX: usize = 16;

/// The longest host name, in bytes.
const HOST_NAME_BYTES_MAX: usize = 255;

const WRONG_COUNT: ValueError = ValueError::Because("wrong number of arguments");

/// A plain number.
pub const fn number(least: i128, most: i128) -> Kind {
    Kind::Number { least, most, form: NumberForm::Plain }
}

/// A number of bytes.
pub const fn memory(least: i128, most: i128) -> Kind {
    Kind::Number { least, most, form: NumberForm::Memory }
}

/// A number of bytes, or a percentage.
pub const fn memory_or_percent(percent_max: i128, most: i128) -> Kind {
    Kind::Number { least: -percent_max, most, form: NumberForm::MemoryOrPercent }
}

/// An octal number.
pub const fn octal(least: i128, most: i128) -> Kind {
    Kind::Number { least, most, form: NumberForm::Octal }
}

impl Kind {
    /// Whether a line may give it several words.
    pub fn takes_words(self) -> bool {
        matches!(
            self,
            Kind::Choices(_)
                | Kind::Addresses
                | Kind::Save
                | Kind::OutputLimits
                | Kind::OomScores
                | Kind::Percentiles
                | Kind::ReplicaOf
        )
    }
}

impl Setting {
    /// Parses the words that follow the setting's name. `before` is the value that it had: some lines add to it.
    ///
    /// What the setting's [`super::table::Sort`] says of the value is not looked at here.
    pub fn parse(&self, words: &[Vec<u8>], before: Option<&Value>) -> Result<Value, ValueError> {
        if self.kind.takes_words() {
            return parse_words(self.kind, words, before);
        }
        let [word] = words else {
            return Err(WRONG_COUNT);
        };
        match self.kind {
            Kind::YesNo => match word.to_ascii_lowercase().as_slice() {
                b"yes" => Ok(Value::YesNo(true)),
                b"no" => Ok(Value::YesNo(false)),
                _ => Err(ValueError::NotYesNo),
            },
            Kind::Number { least, most, form } => Ok(Value::Number(parse_number(word, form, least, most)?, form)),
            Kind::Choice(names) => choose(names, word).map(Value::Choice),
            Kind::FileName if word.is_empty() && self.name != "dbfilename" => Err(ValueError::EmptyName(self.name)),
            Kind::FileName if word.contains(&b'/') => Err(ValueError::NameIsPath(self.name)),
            Kind::HostName => parse_host_name(word),
            Kind::Directory => parse_directory(word),
            Kind::KeyspaceEvents if !word.iter().all(|letter| b"Ag$lshzxeKEtmdn".contains(letter)) => {
                Err(ValueError::Because("Invalid event class character. Use 'Ag$lshzxeKEtmdn'."))
            }
            Kind::ShardCount => parse_shard_word(word, &["auto"], i128::from(SHARDS_MAX)),
            Kind::ShardPorts => parse_shard_word(word, &["auto", "off"], i128::from(u16::MAX)),
            _ => Ok(Value::Text(word.clone())),
        }
    }
}

fn parse_words(kind: Kind, words: &[Vec<u8>], before: Option<&Value>) -> Result<Value, ValueError> {
    // A single empty word stands for none: `save ""`.
    let given = if matches!(words, [word] if word.is_empty()) { &[] } else { words };
    match kind {
        Kind::OutputLimits => {
            let before = match before {
                Some(Value::OutputLimits(limits)) => *limits,
                _ => Limits::default(),
            };
            return before.with(words).map(Value::OutputLimits);
        }
        Kind::Choices(names) => return parse_choices(names, words),
        Kind::Addresses if given.len() > BIND_ADDRESSES_MAX => {
            return Err(ValueError::Because("Too many bind addresses specified."));
        }
        Kind::Save => check_save(given)?,
        Kind::OomScores => {
            if words.len() != 3 {
                return Err(WRONG_COUNT);
            }
            if !words.iter().all(|word| parse_integer(word).is_some_and(|score| (-2_000..=2_000).contains(&score))) {
                return Err(ValueError::Because(
                    "Invalid oom-score-adj-values, elements must be between -2000 and 2000.",
                ));
            }
        }
        Kind::Percentiles => return parse_percentiles(given),
        Kind::ReplicaOf => return parse_replica_of(given),
        _ => {}
    }
    Ok(Value::Words(given.to_vec()))
}

fn choose(names: &'static [&'static str], word: &[u8]) -> Result<&'static str, ValueError> {
    let chosen = names.iter().find(|name| name.as_bytes().eq_ignore_ascii_case(word));
    chosen.copied().ok_or(ValueError::NotOneOf(names))
}

fn parse_choices(names: &'static [&'static str], words: &[Vec<u8>]) -> Result<Value, ValueError> {
    if words.is_empty() {
        return Err(ValueError::NotOneOf(names));
    }
    let chosen = words.iter().map(|word| choose(names, word)).collect::<Result<Vec<_>, _>>()?;
    if chosen.contains(&"save") && chosen.contains(&"nosave") {
        return Err(ValueError::Because("shutdown options SAVE and NOSAVE can't be used simultaneously"));
    }
    // In the table's order, each once; the first name stands for none of the others.
    let mut several: Vec<&str> = names[1..].iter().copied().filter(|name| chosen.contains(name)).collect();
    if several.is_empty() {
        several.push(names[0]);
    }
    Ok(Value::Words(several.into_iter().map(|name| name.as_bytes().to_vec()).collect()))
}

fn check_save(words: &[Vec<u8>]) -> Result<(), ValueError> {
    let valid = words.len().is_multiple_of(2)
        && words.chunks_exact(2).all(|pair| {
            parse_integer(&pair[0]).is_some_and(|seconds| seconds >= 1)
                && parse_integer(&pair[1]).is_some_and(|changes| changes >= 0)
        });
    if valid { Ok(()) } else { Err(ValueError::Because("Invalid save parameters")) }
}

fn parse_percentiles(words: &[Vec<u8>]) -> Result<Value, ValueError> {
    let percentile = |word: &Vec<u8>| -> Result<Vec<u8>, ValueError> {
        let number =
            std::str::from_utf8(word).ok().and_then(|text| text.parse::<f64>().ok()).filter(|number| !number.is_nan());
        let number = number.ok_or(ValueError::Because("Invalid latency-tracking-info-percentiles parameters"))?;
        if !(0.0..=100.0).contains(&number) {
            return Err(ValueError::Because(
                "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]",
            ));
        }
        Ok(number.to_string().into_bytes())
    };
    words.iter().map(percentile).collect::<Result<Vec<_>, _>>().map(Value::Words)
}

fn parse_replica_of(words: &[Vec<u8>]) -> Result<Value, ValueError> {
    match words {
        // Only the table's default: a line has to give two words.
        [] => Ok(Value::Words(Vec::new())),
        [no, one] if no.eq_ignore_ascii_case(b"no") && one.eq_ignore_ascii_case(b"one") => Ok(Value::Words(Vec::new())),
        [_, port] if parse_integer(port).is_some_and(|port| (0..=65_535).contains(&port)) => {
            Ok(Value::Words(words.to_vec()))
        }
        [_, _] => Err(ValueError::Because("Invalid master port")),
        _ => Err(WRONG_COUNT),
    }
}

fn parse_host_name(word: &[u8]) -> Result<Value, ValueError> {
    if word.len() > HOST_NAME_BYTES_MAX {
        return Err(ValueError::Because("Hostnames must be less than 256 characters"));
    }
    if !word.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.')) {
        return Err(ValueError::Because("Hostnames may only contain alphanumeric characters, hyphens or dots"));
    }
    Ok(Value::Text(word.to_vec()))
}

fn parse_directory(word: &[u8]) -> Result<Value, ValueError> {
    let path = Path::new(std::ffi::OsStr::from_bytes(word));
    match std::path::absolute(path) {
        Ok(absolute) if !word.contains(&0) => Ok(Value::Text(absolute.into_os_string().into_vec())),
        _ => Err(ValueError::Because("argument must be a directory")),
    }
}

/// One of a few names, or a number from 1.
fn parse_shard_word(word: &[u8], names: &'static [&'static str], most: i128) -> Result<Value, ValueError> {
    if let Ok(name) = choose(names, word) {
        return Ok(Value::Choice(name));
    }
    match parse_number(word, NumberForm::Plain, 1, most) {
        Err(ValueError::NotInteger) => Err(ValueError::Because(match names.len() {
            1 => "argument must be 'auto' or a number",
            _ => "argument must be 'auto', 'off' or a port",
        })),
        parsed => Ok(Value::Number(parsed?, NumberForm::Plain)),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::table::{SETTINGS, find};

    fn parse(name: &str, words: &[&str]) -> Result<String, String> {
        let setting = &SETTINGS[find(name.as_bytes()).unwrap().0];
        let words: Vec<Vec<u8>> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
        let value = setting.parse(&words, None).map_err(|error| error.to_string())?;
        Ok(String::from_utf8(value.report()).unwrap())
    }

    #[test]
    fn values_are_reported_as_redis_reports_them() {
        assert_eq!(parse("protected-mode", &["YES"]).unwrap(), "yes");
        assert_eq!(parse("maxmemory", &["2gb"]).unwrap(), "2147483648");
        assert_eq!(parse("maxmemory-clients", &["7%"]).unwrap(), "7%");
        assert_eq!(parse("unixsocketperm", &["700"]).unwrap(), "700");
        assert_eq!(parse("loglevel", &["Verbose"]).unwrap(), "verbose");
        assert_eq!(parse("bind", &["127.0.0.1", "-::1"]).unwrap(), "127.0.0.1 -::1");
        assert_eq!(parse("bind", &[""]).unwrap(), "");
        assert_eq!(parse("latency-tracking-info-percentiles", &["50.0", "99.90"]).unwrap(), "50 99.9");
        assert_eq!(parse("shutdown-on-sigterm", &["force", "nosave", "default"]).unwrap(), "nosave force");
        assert_eq!(parse("shards", &["auto"]).unwrap(), "auto");
        assert_eq!(parse("shards", &["7"]).unwrap(), "7");
        assert_eq!(parse("shard-ports", &["OFF"]).unwrap(), "off");
        assert!(parse("dir", &["data"]).unwrap().starts_with('/'));
    }

    #[test]
    fn what_is_wrong_is_told_in_redis_words() {
        let wrong = |name: &str, words: &[&str]| parse(name, words).unwrap_err();
        assert_eq!(wrong("protected-mode", &["maybe"]), "argument must be 'yes' or 'no'");
        assert_eq!(wrong("port", &["65536"]), "argument must be between 0 and 65535 inclusive");
        assert_eq!(wrong("port", &["x"]), "argument couldn't be parsed into an integer");
        assert_eq!(wrong("port", &["1", "2"]), "wrong number of arguments");
        assert_eq!(wrong("maxmemory", &["much"]), "argument must be a memory value");
        assert_eq!(wrong("appendfsync", &["x"]), "argument(s) must be one of the following: everysec, always, no");
        assert_eq!(wrong("save", &["900"]), "Invalid save parameters");
        assert_eq!(wrong("save", &["0", "1"]), "Invalid save parameters");
        assert_eq!(wrong("oom-score-adj-values", &["1"]), "wrong number of arguments");
        assert_eq!(
            wrong("oom-score-adj-values", &["1", "2", "2001"]),
            "Invalid oom-score-adj-values, elements must be between -2000 and 2000."
        );
        assert_eq!(wrong("notify-keyspace-events", &["q"]), "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.");
        assert_eq!(
            wrong("latency-tracking-info-percentiles", &["101"]),
            "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]"
        );
        assert_eq!(wrong("dbfilename", &["a/b"]), "dbfilename can't be a path, just a filename");
        assert_eq!(wrong("appenddirname", &["a/b"]), "appenddirname can't be a path, just a dirname");
        assert_eq!(wrong("appendfilename", &[""]), "appendfilename can't be empty");
        assert_eq!(wrong("replicaof", &["host", "x"]), "Invalid master port");
        assert_eq!(wrong("replicaof", &["host"]), "wrong number of arguments");
        assert_eq!(wrong("bind", &["x"; 17]), "Too many bind addresses specified.");
        assert_eq!(
            wrong("cluster-announce-hostname", &["a_b"]),
            "Hostnames may only contain alphanumeric characters, hyphens or dots"
        );
        assert_eq!(
            wrong("shutdown-on-sigint", &["save", "nosave"]),
            "shutdown options SAVE and NOSAVE can't be used simultaneously"
        );
        assert_eq!(wrong("shards", &["0"]), "argument must be between 1 and 1024 inclusive");
        assert_eq!(wrong("shards", &["many"]), "argument must be 'auto' or a number");
        assert_eq!(wrong("shard-ports", &["on"]), "argument must be 'auto', 'off' or a port");
    }
}
