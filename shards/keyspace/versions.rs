//! Old versions, kept only while a pin needs them.
//!
//! A chain lists what a key held, newest first, each with the timestamp of the batch that displaced it. A snapshot at
//! startTS reads the oldest version displaced after startTS, or the tip if there is none.

use crate::ids::Timestamp;
use crate::keyspace::entry::Entry;
use crate::keyspace::table::Keyed;
use crate::keyspace::text::Text;
use std::collections::BTreeMap;

/// What a key held, or nothing.
pub type Version = Option<Entry>;

/// What a version of this key holds with its share of the table of chains, in bytes (an estimate).
pub(super) fn version_bytes(key: &[u8], version: &Version) -> usize {
    let share = size_of::<Chain>() + size_of::<(Timestamp, Version)>() + 16;
    share + key.len() + version.as_ref().map_or(0, |held| held.value.heap_bytes() + held.key.heap_bytes())
}

/// The timestamps that are pinned, and how often each.
pub type Pins = BTreeMap<Timestamp, usize>;

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

    /// Keeps what a batch at `displaced` is about to replace. The version that was newest until now goes if no pin lies in its time; it
    /// is returned then.
    pub fn push(&mut self, displaced: Timestamp, version: Version, pins: &Pins) -> Option<Version> {
        let unneeded = !self.versions.is_empty() && !self.is_needed(0, pins);
        if unneeded {
            let (_, before) = std::mem::replace(&mut self.versions[0], (displaced, version));
            return Some(before);
        }
        self.versions.insert(0, (displaced, version));
        None
    }

    /// Whether some pin reads the version at `place`: one that is not older than what the version before it was displaced by, and older
    /// than what displaced this one.
    fn is_needed(&self, place: usize, pins: &Pins) -> bool {
        let until = self.versions[place].0;
        let from = self.versions.get(place + 1).map_or(Timestamp(0), |&(displaced, _)| displaced);
        from < until && pins.range(from..until).next().is_some()
    }

    /// Drops the versions that no pin reads; each is shown to `dropped`. Whether any is left.
    pub fn prune(&mut self, pins: &Pins, dropped: &mut dyn FnMut(&Version)) -> bool {
        let mut place = 0;
        while place < self.versions.len() {
            if self.is_needed(place, pins) {
                place += 1;
            } else {
                dropped(&self.versions.remove(place).1);
            }
        }
        !self.versions.is_empty()
    }

    /// The key.
    pub fn bytes(&self) -> &[u8] {
        self.key.as_bytes()
    }

    /// When the key was changed last, as far as pins know.
    pub fn changed(&self) -> Option<Timestamp> {
        self.versions.first().map(|&(displaced, _)| displaced)
    }

    /// What a snapshot at `start` reads: the version, or nothing said (the tip).
    pub fn at(&self, start: Timestamp) -> Option<&(Timestamp, Version)> {
        self.versions.iter().rev().find(|&&(displaced, _)| displaced > start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyspace::value::Value;
    use std::cell::Cell;

    fn version(number: i64) -> Version {
        Some(Entry {
            key: Text::new(b"k"),
            value: Value::Int(number),
            expires_ms: 0,
            accessed_s: Cell::new(0),
            scheduled_s: 0,
        })
    }

    fn read(chain: &Chain, start: u64) -> Option<i64> {
        match chain.at(Timestamp(start)) {
            Some((_, Some(Entry { value: Value::Int(number), .. }))) => Some(*number),
            _ => None,
        }
    }

    #[test]
    fn a_snapshot_reads_the_oldest_version_displaced_after_it() {
        let pins = Pins::from([(Timestamp(3), 1), (Timestamp(5), 1)]);
        let mut chain = Chain::new(b"k");
        assert!(chain.wants(Timestamp(0)));
        chain.push(Timestamp(5), version(1), &pins);
        assert!(!chain.wants(Timestamp(4)));
        assert!(chain.wants(Timestamp(5)));
        chain.push(Timestamp(9), version(2), &pins);
        assert_eq!([3, 4, 5, 8, 9].map(|start| read(&chain, start)), [Some(1), Some(1), Some(2), Some(2), None]);
    }

    #[test]
    fn versions_go_with_the_pins_that_read_them() {
        let mut pins = Pins::from([(Timestamp(3), 1), (Timestamp(5), 1)]);
        let mut chain = Chain::new(b"k");
        chain.push(Timestamp(5), version(1), &pins);
        chain.push(Timestamp(9), version(2), &pins);
        pins.remove(&Timestamp(5));
        assert_eq!(chain.push(Timestamp(12), version(3), &pins).map(|gone| gone.is_some()), Some(true));
        assert_eq!((read(&chain, 3), chain.changed()), (Some(1), Some(Timestamp(12))));
        let mut dropped = 0;
        assert!(chain.prune(&pins, &mut |_| dropped += 1));
        assert_eq!((dropped, read(&chain, 3)), (1, Some(1)));
        pins.clear();
        assert!(!chain.prune(&pins, &mut |_| dropped += 1));
        assert_eq!(dropped, 2);
    }
}
