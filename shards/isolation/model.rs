//! What a database does, one transaction after the other.

use super::program::KEYS;
use super::replies::Reply;
use std::collections::{BTreeMap, BTreeSet};

/// Keys, with their values and when they expire (0: never).
pub(super) type State = BTreeMap<String, (String, u64)>;

/// The model.
#[derive(Clone, Default)]
pub(super) struct Model {
    pub(super) state: State,
    /// How often each key was written.
    pub(super) touches: BTreeMap<String, u64>,
    /// The keys that the transaction under way has written.
    pub(super) written: BTreeSet<String>,
    /// The keys that it has looked at; `*` is all of them.
    pub(super) seen: BTreeSet<String>,
    /// Whether keys expire: DBSIZE may then count some that nobody has met.
    pub(super) expires: bool,
    /// Expired keys that it has met.
    pub(super) met: usize,
}

impl Model {
    /// A transaction begins.
    pub(super) fn begin(&mut self) {
        self.written.clear();
        self.seen.clear();
        self.met = 0;
    }

    /// What a key holds at this time.
    pub(super) fn alive(&self, key: &str, now_ms: u64) -> Option<&(String, u64)> {
        self.state.get(key).filter(|(_, expires_ms)| *expires_ms == 0 || *expires_ms > now_ms)
    }

    fn read(&mut self, key: &str, now_ms: u64) -> Option<(String, u64)> {
        self.seen.insert(key.to_owned());
        let found = self.alive(key, now_ms).cloned();
        if found.is_none() && self.state.remove(key).is_some() {
            self.met += 1;
        }
        found
    }

    fn touch(&mut self, key: &str) {
        *self.touches.entry(key.to_owned()).or_default() += 1;
        self.written.insert(key.to_owned());
    }

    fn put(&mut self, key: &str, value: String, expires_ms: u64) {
        self.state.insert(key.to_owned(), (value, expires_ms));
        self.touch(key);
    }

    fn remove(&mut self, key: &str, now_ms: u64) -> bool {
        let was_there = self.read(key, now_ms).is_some();
        if was_there {
            self.state.remove(key);
            self.touch(key);
        }
        was_there
    }

    /// Runs a command.
    pub(super) fn run(&mut self, words: &[String], now_ms: u64) -> Reply {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        if let ["dbsize" | "keys" | "scan" | "flushdb", ..] = words[..] {
            self.seen.insert("*".into());
        }
        match words[..] {
            ["get", key] => bulk(self.read(key, now_ms)),
            ["mget", ref keys @ ..] => Reply::Array(keys.iter().map(|key| bulk(self.read(key, now_ms))).collect()),
            ["exists", key] => Reply::Integer(self.read(key, now_ms).is_some().into()),
            ["strlen", key] => Reply::Integer(self.read(key, now_ms).map_or(0, |(value, _)| value.len() as i64)),
            ["pexpiretime", key] => Reply::Integer(match self.read(key, now_ms) {
                None => -2,
                Some((_, 0)) => -1,
                Some((_, expires_ms)) => expires_ms as i64,
            }),
            ["set", key, value] => {
                self.put(key, value.to_owned(), 0);
                Reply::Simple("OK".into())
            }
            ["set", key, value, "pxat", at] => {
                self.put(key, value.to_owned(), at.parse().expect("a time"));
                Reply::Simple("OK".into())
            }
            ["setnx", key, value] => {
                let is_free = self.read(key, now_ms).is_none();
                if is_free {
                    self.put(key, value.to_owned(), 0);
                }
                Reply::Integer(is_free.into())
            }
            ["getdel", key] => {
                let held = self.read(key, now_ms);
                self.remove(key, now_ms);
                bulk(held)
            }
            ["incr", key] => {
                let (held, expires_ms) = self.read(key, now_ms).unwrap_or_else(|| ("0".into(), 0));
                match held.parse::<i64>() {
                    Ok(number) if held == number.to_string() => {
                        self.put(key, (number + 1).to_string(), expires_ms);
                        Reply::Integer(number + 1)
                    }
                    _ => Reply::Error("ERR value is not an integer or out of range".into()),
                }
            }
            ["append", key, tail] => {
                let (held, expires_ms) = self.read(key, now_ms).unwrap_or_default();
                let value = held + tail;
                let len = value.len() as i64;
                self.put(key, value, expires_ms);
                Reply::Integer(len)
            }
            ["setrange", key, offset, bytes] => {
                let (held, expires_ms) = self.read(key, now_ms).unwrap_or_default();
                let offset: usize = offset.parse().expect("an offset");
                let mut value = held.into_bytes();
                if value.len() < offset + bytes.len() {
                    value.resize(offset + bytes.len(), 0);
                }
                value[offset..offset + bytes.len()].copy_from_slice(bytes.as_bytes());
                let len = value.len() as i64;
                self.put(key, String::from_utf8(value).expect("all is ASCII"), expires_ms);
                Reply::Integer(len)
            }
            ["del", ref keys @ ..] => Reply::Integer(keys.iter().filter(|key| self.remove(key, now_ms)).count() as i64),
            ["pexpireat", key, at] => {
                let at = at.parse().expect("a time");
                let held = self.read(key, now_ms);
                if let Some((value, _)) = held.clone() {
                    if at > now_ms {
                        self.put(key, value, at);
                    } else {
                        self.remove(key, now_ms);
                    }
                }
                Reply::Integer(held.is_some().into())
            }
            ["persist", key] => match self.read(key, now_ms) {
                Some((value, expires_ms)) if expires_ms != 0 => {
                    self.put(key, value, 0);
                    Reply::Integer(1)
                }
                _ => Reply::Integer(0),
            },
            ["rename", from, to] => match self.read(from, now_ms) {
                None => Reply::Error("ERR no such key".into()),
                Some((value, expires_ms)) => {
                    if from != to {
                        self.remove(from, now_ms);
                        self.put(to, value, expires_ms);
                    }
                    Reply::Simple("OK".into())
                }
            },
            ["copy", from, to, "replace"] => match self.read(from, now_ms) {
                None => Reply::Integer(0),
                Some((value, expires_ms)) => {
                    self.put(to, value, expires_ms);
                    Reply::Integer(1)
                }
            },
            ["dbsize"] => {
                let all = self.state.len();
                let alive = self.state.keys().filter(|key| self.alive(key, now_ms).is_some()).count();
                Reply::Between(alive as i64, if self.expires { KEYS.len() } else { all + self.met } as i64)
            }
            ["keys", "*"] => Reply::AnyOrder(self.all_keys(now_ms)),
            ["scan", "0", "count", "100"] => {
                Reply::Array(vec![Reply::Bulk("0".into()), Reply::AnyOrder(self.all_keys(now_ms))])
            }
            ["flushdb"] => {
                // Where there is nothing it is a read.
                for key in std::mem::take(&mut self.state).into_keys() {
                    self.touch(&key);
                }
                Reply::Simple("OK".into())
            }
            _ => panic!("the model does not know {words:?}"),
        }
    }

    fn all_keys(&mut self, now_ms: u64) -> Vec<String> {
        let keys: Vec<String> = self.state.keys().cloned().collect();
        keys.into_iter().filter(|key| self.read(key, now_ms).is_some()).collect()
    }
}

fn bulk(held: Option<(String, u64)>) -> Reply {
    held.map_or(Reply::Nil, |(value, _)| Reply::Bulk(value))
}
