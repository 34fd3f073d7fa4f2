//! Applying effects to the tip: marks for readers, versions for pins, inverses for an undo.

use crate::ids::{Batch, Timestamp};
use crate::keyspace::database::KeptRoot;
use crate::keyspace::effect::DatabaseIndex;
use crate::keyspace::entry::ENTRY_BYTES;
use crate::keyspace::keyspace::Keyspace;
use crate::keyspace::table::Table;
use crate::keyspace::text::Text;
use crate::keyspace::uncommitted::{Place, Uncommitted};
use crate::keyspace::undo::{Inverse, Root, Undo};
use crate::keyspace::value::{ColdRange, Segments, Value};
use crate::keyspace::versions::{Chain, Version, version_bytes};
use crate::sabotage::{Sabotage, is_planted};
use std::rc::Rc;

impl Keyspace {
    /// Marks the key as touched by the gathering batch, tells its watchers, keeps the version that a pin wants.
    #[inline]
    pub(super) fn touch(&mut self, db: DatabaseIndex, hash: u64, key: &[u8]) -> (Place, Batch) {
        let place = Uncommitted::place(db, hash);
        let previous = self.uncommitted.mark(db, place, self.batch);
        self.depend_on(self.batch);
        self.changes += 1;
        self.databases[usize::from(db)].changed = self.batch_timestamp;
        if self.watches != 0 {
            let changes = self.changes;
            if let Some(watched) = self.databases[usize::from(db)].watched.find_mut(hash, key) {
                watched.changed = changes;
            }
        }
        if let Some((&newest, _)) = self.pins.last_key_value() {
            self.keep_version(newest, db, hash, key);
        }
        (place, previous)
    }

    pub(super) fn keep_version(&mut self, newest_pin: Timestamp, db: DatabaseIndex, hash: u64, key: &[u8]) {
        if is_planted(Sabotage::NoVersions) {
            return;
        }
        let displaced = self.batch_timestamp;
        let database = &mut self.databases[usize::from(db)];
        if database.versions.find(hash, key).is_some_and(|chain| !chain.wants(newest_pin)) {
            return;
        }
        let held: Version = database.table.find(hash, key).cloned();
        let bytes = version_bytes(key, &held);
        self.versions_bytes += bytes;
        database.versions_bytes += bytes;
        self.kept_versions += 1;
        match database.versions.find_mut(hash, key) {
            Some(chain) => {
                if let Some(gone) = chain.push(displaced, held, &self.pins) {
                    let bytes = version_bytes(key, &gone);
                    self.versions_bytes -= bytes;
                    database.versions_bytes -= bytes;
                }
            }
            None => {
                let mut chain = Chain::new(key);
                chain.push(displaced, held, &self.pins);
                database.versions.insert(hash, Box::new(chain));
            }
        }
    }

    #[inline]
    pub(super) fn store(&mut self, db: DatabaseIndex, key: &[u8], value: Value, expires_ms: u64) {
        let now_s = self.now_s();
        let hash = self.databases[usize::from(db)].table.hash(key);
        let mark = Some(self.touch(db, hash, key));
        let new_bytes = value.heap_bytes();
        let displaced = self.databases[usize::from(db)].store(hash, key, value, expires_ms, now_s);
        let inverse = match displaced {
            None => {
                let key = Text::new(key);
                self.account(db, (ENTRY_BYTES + key.heap_bytes() + new_bytes) as isize);
                Inverse::Absent { key }
            }
            Some((value, expires_ms)) => {
                self.account(db, new_bytes as isize - value.heap_bytes() as isize);
                Inverse::Held { key: Text::new(key), value, expires_ms }
            }
        };
        self.undo.push(Undo { db, survives: false, mark, inverse });
    }

    pub(super) fn take(&mut self, db: DatabaseIndex, hash: u64, key: &[u8], survives: bool) {
        let mark = Some(self.touch(db, hash, key));
        let entry = self.databases[usize::from(db)].take(hash, key).expect("the key was just seen");
        self.account(db, -(entry.memory_bytes() as isize));
        self.undo.push(Undo { db, survives, mark, inverse: Inverse::PutBack { entry } });
    }

    pub(super) fn expire(&mut self, db: DatabaseIndex, key: &[u8], expires_ms: u64) {
        let hash = self.databases[usize::from(db)].table.hash(key);
        let mark = Some(self.touch(db, hash, key));
        let old = self.databases[usize::from(db)].set_expiry(hash, key, expires_ms);
        self.undo.push(Undo {
            db,
            survives: false,
            mark,
            inverse: Inverse::Expired { key: Text::new(key), expires_ms: old },
        });
    }

    /// The string's bytes as a buffer that can be written to. A large string must be in memory: commands see to that before they
    /// log an effect, recovery reads it from the log.
    pub(super) fn write_into(&mut self, db: DatabaseIndex, key: &[u8], offset: usize, bytes: &[u8]) {
        let now_s = self.now_s();
        let hash = self.databases[usize::from(db)].table.hash(key);
        let mark = Some(self.touch(db, hash, key));
        let entry = self.databases[usize::from(db)].table.find_mut(hash, key).expect("the string exists");
        entry.accessed_s.set(now_s);
        let before = entry.value.heap_bytes();
        let end = offset + bytes.len();
        let inverse = match &mut entry.value {
            Value::Buffer(buffer) => {
                let (len, capacity) = (buffer.len(), buffer.capacity());
                let old: Box<[u8]> = buffer.get(offset..end.min(len)).unwrap_or_default().into();
                if end > len {
                    buffer.resize(end, 0);
                }
                buffer[offset..end].copy_from_slice(bytes);
                let spliced = Inverse::Spliced { key: Text::new(key), offset, bytes: old };
                if end <= len {
                    spliced
                } else {
                    // Taken back in this order: what was overwritten, then the length.
                    let grown = Inverse::Grown { key: Text::new(key), len, capacity };
                    if offset < len {
                        self.undo.push(Undo { db, survives: false, mark, inverse: grown });
                        spliced
                    } else {
                        grown
                    }
                }
            }
            other => {
                // The first write in place replaces the value by a buffer; the old one is the inverse.
                let no_segments = NoSegments;
                let mut buffer = match other.bytes(&no_segments) {
                    Ok(old) => {
                        let mut buffer = Vec::with_capacity(old.len().max(offset + bytes.len()));
                        buffer.extend_from_slice(&old);
                        buffer
                    }
                    Err(range) => panic!("a large string is brought into memory before it is written to: {range:?}"),
                };
                if end > buffer.len() {
                    buffer.resize(end, 0);
                }
                buffer[offset..end].copy_from_slice(bytes);
                let value = std::mem::replace(other, Value::Buffer(Box::new(buffer)));
                Inverse::Held { key: Text::new(key), value, expires_ms: entry.expires_ms }
            }
        };
        let grown = entry.value.heap_bytes() as isize - before as isize;
        self.account(db, grown);
        self.undo.push(Undo { db, survives: false, mark, inverse });
    }

    #[inline]
    pub(super) fn account(&mut self, db: DatabaseIndex, delta: isize) {
        let database = &mut self.databases[usize::from(db)];
        database.memory_bytes = database.memory_bytes.checked_add_signed(delta).expect("memory is given back once");
        self.memory_bytes = self.memory_bytes.checked_add_signed(delta).expect("memory is given back once");
    }

    pub(super) fn apply_rename(&mut self, db: DatabaseIndex, key: &[u8], to_db: DatabaseIndex, to: &[u8]) {
        let hash = self.databases[usize::from(db)].table.hash(key);
        let entry = self.entry(db, key);
        let (value, expires_ms) = (entry.value.clone(), entry.expires_ms);
        self.take(db, hash, key, false);
        self.store(to_db, to, value, expires_ms);
    }

    pub(super) fn apply_flush(&mut self, db: DatabaseIndex) {
        let flushed = self.uncommitted.mark_flushed(db, self.batch);
        self.depend_on(self.batch);
        self.changes += 1;
        let changes = self.changes;
        let pinned = !self.pins.is_empty();
        self.databases[usize::from(db)].changed = self.batch_timestamp;
        let database = &mut self.databases[usize::from(db)];
        if self.watches != 0 {
            database.tell_all_watchers(changes);
        }
        let seed = database.table.seed();
        let table = Rc::new(std::mem::replace(&mut database.table, Table::new(seed)));
        let memory_bytes = std::mem::take(&mut database.memory_bytes);
        self.memory_bytes -= memory_bytes;
        if pinned {
            let versions = std::mem::replace(&mut database.versions, Table::new(seed));
            database.roots.push(KeptRoot {
                displaced: self.batch_timestamp,
                table: table.clone(),
                versions,
                versions_bytes: std::mem::take(&mut database.versions_bytes),
            });
        }
        let root = Root {
            table,
            expiring: std::mem::take(&mut database.expiring),
            schedule: std::mem::take(&mut database.schedule),
            memory_bytes,
        };
        self.undo.push(Undo {
            db,
            survives: false,
            mark: None,
            inverse: Inverse::Root { root: Box::new(root), flushed },
        });
    }
}

/// Where no segment can be read: values that are in memory need none.
pub(super) struct NoSegments;

impl Segments for NoSegments {
    fn resident(&self, _: ColdRange) -> Option<&[u8]> {
        None
    }
}
