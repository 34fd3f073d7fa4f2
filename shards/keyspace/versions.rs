//! Old versions, kept only while a pin needs them.
//!
//! A chain lists what a key held, newest first, each with the timestamp of the batch that displaced it. A snapshot at
//! startTS reads the oldest version displaced after startTS, or the tip if there is none.

use crate::ids::Timestamp;
use crate::keyspace::table::Keyed;
use crate::keyspace::text::Text;
use crate::keyspace::value::Value;

/// What a key held: its value and expiry, or nothing.
pub type Version = Option<(Value, u64)>;

/// The versions of one key, newest first.
#[derive(Debug)]
pub struct Chain {
    key: Text,
    versions: Vec<(Timestamp, Version)>,
}

impl Keyed for Chain {
    fn key(&self) -> &[u8] {
        self.key.as_bytes()
    }
}

impl Chain {
    /// A chain without versions.
    pub fn new(key: &[u8]) -> Self {
        Chain { key: Text::new(key), versions: Vec::new() }
    }

    /// Whether the tip's value must be kept before a batch at `now` displaces it, given the newest pin: only the first
    /// write after a pin keeps it.
    pub fn wants(&self, newest_pin: Timestamp) -> bool {
        self.versions.first().is_none_or(|&(displaced, _)| displaced <= newest_pin)
    }

    /// Keeps what a batch at `displaced` is about to replace.
    pub fn push(&mut self, displaced: Timestamp, version: Version) {
        self.versions.insert(0, (displaced, version));
    }

    /// What a snapshot at `start` reads: the version, or nothing said (the tip).
    pub fn at(&self, start: Timestamp) -> Option<&(Timestamp, Version)> {
        self.versions.iter().rev().find(|&&(displaced, _)| displaced > start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_reads_the_oldest_version_displaced_after_it() {
        let mut chain = Chain::new(b"k");
        assert!(chain.wants(Timestamp(0)));
        chain.push(Timestamp(5), Some((Value::Int(1), 0)));
        assert!(!chain.wants(Timestamp(4)));
        assert!(chain.wants(Timestamp(5)));
        chain.push(Timestamp(9), Some((Value::Int(2), 0)));
        let int = |start| match chain.at(Timestamp(start)) {
            Some((_, Some((Value::Int(n), _)))) => Some(*n),
            _ => None,
        };
        assert_eq!([int(3), int(4), int(5), int(8), int(9)], [Some(1), Some(1), Some(2), Some(2), None]);
    }
}
