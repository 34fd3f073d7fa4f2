//! One database of a shard: its tip, its expiry schedule, the versions that pins hold, and the keys that are watched.

use crate::ids::Timestamp;
use crate::keyspace::entry::Entry;
use crate::keyspace::schedule::Schedule;
use crate::keyspace::table::{Keyed, Table, hash_key};
use crate::keyspace::text::Text;
use crate::keyspace::value::Value;
use crate::keyspace::versions::Chain;
use std::cell::Cell;
use std::rc::Rc;

/// One database of a shard.
pub(super) struct Database {
    pub(super) table: Table<Entry>,
    pub(super) expiring: usize,
    pub(super) schedule: Schedule,
    pub(super) versions: Table<Chain>,
    /// What `versions` holds, in bytes.
    pub(super) versions_bytes: usize,
    /// When a key of it was changed last.
    pub(super) changed: Timestamp,
    /// What flushes displaced while a pin was alive, oldest first.
    pub(super) roots: Vec<KeptRoot>,
    pub(super) watched: Table<Watched>,
    /// What the entries hold in memory, in bytes.
    pub(super) memory_bytes: usize,
}

/// A state of the database that a flush displaced while a pin was alive: the table, and the versions that pins had of its keys.
pub(super) struct KeptRoot {
    pub(super) displaced: Timestamp,
    pub(super) table: Rc<Table<Entry>>,
    pub(super) versions: Table<Chain>,
    pub(super) versions_bytes: usize,
}

/// A key that some connection watches.
pub(super) struct Watched {
    key: Text,
    /// How many watches there are.
    pub(super) watches: usize,
    /// The number of the last change to it.
    pub(super) changed: u64,
}

impl Watched {
    pub(super) fn new(key: &[u8]) -> Self {
        Watched { key: Text::new(key), watches: 0, changed: 0 }
    }
}

impl Keyed for Watched {
    fn key(&self) -> &[u8] {
        self.key.as_bytes()
    }
}

impl Database {
    pub(super) fn new(seed: u64) -> Self {
        Database {
            table: Table::new(seed),
            expiring: 0,
            schedule: Schedule::default(),
            versions: Table::new(seed),
            versions_bytes: 0,
            changed: Timestamp(0),
            roots: Vec::new(),
            watched: Table::new(seed),
            memory_bytes: 0,
        }
    }

    /// Makes the key hold this; what it held before.
    #[inline]
    pub(super) fn store(
        &mut self,
        hash: u64,
        key: &[u8],
        value: Value,
        expires_ms: u64,
        now_s: u32,
    ) -> Option<(Value, u64)> {
        let displaced = match self.table.find_mut(hash, key) {
            Some(entry) => {
                entry.accessed_s.set(now_s);
                let old = (std::mem::replace(&mut entry.value, value), entry.expires_ms);
                entry.expires_ms = expires_ms;
                Some(old)
            }
            None => {
                self.table.insert(
                    hash,
                    Box::new(Entry {
                        key: Text::new(key),
                        value,
                        expires_ms,
                        accessed_s: Cell::new(now_s),
                        scheduled_s: 0,
                    }),
                );
                None
            }
        };
        let old_expires_ms = displaced.as_ref().map_or(0, |&(_, expires_ms)| expires_ms);
        self.count_expiry(old_expires_ms, expires_ms);
        if expires_ms != 0 {
            self.schedule_key(hash, key, expires_ms);
        }
        displaced
    }

    /// Changes the key's expiry; what it was. The key exists.
    pub(super) fn set_expiry(&mut self, hash: u64, key: &[u8], expires_ms: u64) -> u64 {
        let entry = self.table.find_mut(hash, key).expect("an expiry is given to a key that exists");
        let old = std::mem::replace(&mut entry.expires_ms, expires_ms);
        self.count_expiry(old, expires_ms);
        if expires_ms != 0 {
            self.schedule_key(hash, key, expires_ms);
        }
        old
    }

    /// Takes the key out.
    #[inline]
    pub(super) fn take(&mut self, hash: u64, key: &[u8]) -> Option<Box<Entry>> {
        let entry = self.table.remove(hash, key)?;
        self.count_expiry(entry.expires_ms, 0);
        self.unschedule(entry.scheduled_s);
        Some(entry)
    }

    /// Puts a key back that [`Database::take`] took out.
    pub(super) fn put_back(&mut self, hash: u64, mut entry: Box<Entry>) {
        entry.scheduled_s = 0;
        let expires_ms = entry.expires_ms;
        let key = entry.key.clone();
        self.table.insert(hash, entry);
        self.count_expiry(0, expires_ms);
        if expires_ms != 0 {
            self.schedule_key(hash, key.as_bytes(), expires_ms);
        }
    }

    #[inline]
    fn count_expiry(&mut self, old_ms: u64, new_ms: u64) {
        self.expiring += usize::from(new_ms != 0);
        self.expiring -= usize::from(old_ms != 0);
    }

    fn schedule_key(&mut self, hash: u64, key: &[u8], expires_ms: u64) {
        let second = Schedule::second(expires_ms);
        let entry = self.table.find_mut(hash, key).expect("the key was just stored");
        if entry.scheduled_s == 0 || entry.scheduled_s > second {
            let before = std::mem::replace(&mut entry.scheduled_s, second);
            self.schedule.add(second, hash);
            self.unschedule(before);
        }
    }

    /// A key that was to be looked at in this second (0: in none) is not any more.
    #[inline]
    fn unschedule(&mut self, second: u32) {
        if second != 0 {
            let Database { table, schedule, .. } = self;
            schedule.forget(second, |hash| scheduled(table, second, hash).is_some());
        }
    }

    /// Tells the watchers of every key that is there that it changes.
    pub(super) fn tell_all_watchers(&mut self, changes: u64) {
        let present: Vec<(u64, Text)> = self
            .watched
            .iter()
            .map(|watched| (self.table.hash(watched.key()), watched.key.clone()))
            .filter(|(hash, key)| self.table.find(*hash, key.as_bytes()).is_some())
            .collect();
        for (hash, key) in present {
            if let Some(watched) = self.watched.find_mut(hash, key.as_bytes()) {
                watched.changed = changes;
            }
        }
    }

    /// A key that is due and has expired. Keys that are due too early are put back on the schedule; at most `looks` are looked at.
    pub(super) fn next_expired(&mut self, now_ms: u64, looks: &mut usize) -> Option<(u64, Text)> {
        let now_s = u32::try_from(now_ms / 1000).unwrap_or(u32::MAX);
        while *looks > 0 {
            *looks -= 1;
            let (second, hash) = self.schedule.due(now_s)?;
            let due = scheduled(&self.table, second, hash).map(|entry| (entry.key.clone(), entry.expires_ms));
            let Some((key, expires_ms)) = due else { continue };
            let entry = self.table.find_mut(hash, key.as_bytes()).expect("the key was just found");
            entry.scheduled_s = 0;
            if expires_ms == 0 {
                continue;
            }
            if expires_ms <= now_ms {
                return Some((hash, key));
            }
            self.schedule_key(hash, key.as_bytes(), expires_ms);
        }
        None
    }
}

/// The key with this hash that is to be looked at in this second.
fn scheduled(table: &Table<Entry>, second: u32, hash: u64) -> Option<&Entry> {
    table
        .candidates(hash)
        .filter(|entry| entry.scheduled_s == second)
        .find(|entry| hash_key(table.seed(), entry.key()) == hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_go_before_they_expire_leave_nothing_on_the_schedule() {
        let mut database = Database::new(7);
        let name = |number: u64| format!("key {number}").into_bytes();
        let set = |database: &mut Database, number: u64, expires_ms: u64| {
            let hash = database.table.hash(&name(number));
            database.store(hash, &name(number), Value::Int(1), expires_ms, 0);
        };
        let take = |database: &mut Database, number: u64| {
            let hash = database.table.hash(&name(number));
            database.take(hash, &name(number)).expect("it is there");
        };
        for number in 0..100 {
            set(&mut database, number, 9_000_000);
        }
        for turn in 0..10_000 {
            // A second of its own, one shared with keys that stay, and a key that comes sooner each time.
            set(&mut database, 1000, 10_000_000 + turn * 1000);
            set(&mut database, 1001, 9_000_000);
            set(&mut database, 1002, 90_000_000 - turn * 1000);
            take(&mut database, 1000);
            take(&mut database, 1001);
            assert!(database.schedule.len() <= 2 * 101 + 2, "{} on the schedule", database.schedule.len());
        }
        let mut looks = 1000;
        let mut expired = 0;
        while database.next_expired(9_001_000, &mut looks).is_some() {
            expired += 1;
        }
        assert_eq!(expired, 100, "what stayed is found");
    }
}
