//! Pins: states of the past that outlive a step.

use crate::ids::Timestamp;
use crate::keyspace::database::Database;
use crate::keyspace::effect::{DatabaseIndex, TIMESTAMP_BYTES};
use crate::keyspace::entry::Entry;
use crate::keyspace::keyspace::Keyspace;
use crate::keyspace::table::{Keyed, SCAN_POSITIONS, Table};
use crate::keyspace::value::Value;
use crate::keyspace::versions::{Chain, version_bytes};
use crate::limits::DATABASES_MAX;
use std::rc::Rc;

/// Versions that are kept before a first sweep looks for those that no pin reads any more.
const SWEEP_VERSIONS_MIN: usize = 1024;

/// How far a walk over a pinned state has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct WalkPosition {
    db: DatabaseIndex,
    position: u64,
}

/// What a walk meets: database, key, value, expiry in Unix milliseconds (0: none).
pub type WalkVisitor<'v, 'k> = &'v mut dyn FnMut(DatabaseIndex, &'k [u8], &'k Value, u64);

impl Keyspace {
    /// Pins the state after the last closed batch; the timestamp to read it by. The gathering batch must be empty: a timestamp
    /// never splits an entry.
    pub fn pin(&mut self) -> Timestamp {
        assert!(self.body.is_empty(), "a pin closes the tick's entry first");
        *self.pins.entry(self.batch_timestamp).or_insert(0) += 1;
        self.batch_timestamp
    }

    /// Pins the state of this moment, also in the midst of a batch: what follows in the batch gets a timestamp of its own.
    pub fn pin_here(&mut self) -> Timestamp {
        let start = self.batch_timestamp;
        if !self.body.is_empty() {
            self.batch_timestamp = Timestamp(start.0 + 1);
            self.body[..TIMESTAMP_BYTES].copy_from_slice(&self.batch_timestamp.0.to_le_bytes());
        }
        *self.pins.entry(start).or_insert(0) += 1;
        start
    }

    /// What a key held at a pin: the oldest version that was displaced after it, or what its table holds.
    pub fn at(&self, db: DatabaseIndex, key: &[u8], start: Timestamp) -> Option<&Entry> {
        let (table, versions) = self.databases[usize::from(db)].state_at(start);
        let hash = table.hash(key);
        match versions.find(hash, key).and_then(|chain| chain.at(start)) {
            Some((_, version)) => version.as_ref(),
            None => table.find(hash, key),
        }
    }

    /// Visits a slice of the state at a pin: one table segment's keys (up to 448 and what was removed among them), expired ones
    /// too, since their removal is an effect of its own. Where to go on; none at the end. Every key of the state is met once.
    pub fn walk<'k>(
        &'k self,
        start: Timestamp,
        from: WalkPosition,
        visit: WalkVisitor<'_, 'k>,
    ) -> Option<WalkPosition> {
        let WalkPosition { db, position } = from;
        let (table, versions) = self.databases[usize::from(db)].state_at(start);
        let end = table.segment_end(position);
        let version = |key: &[u8]| {
            let chain = if versions.is_empty() { None } else { versions.find(versions.hash(key), key) };
            chain.and_then(|chain| chain.at(start))
        };
        table.visit(position, end, &mut |entry| match version(entry.key()) {
            None => visit(db, entry.key(), &entry.value, entry.expires_ms),
            Some((_, Some(held))) => visit(db, entry.key(), &held.value, held.expires_ms),
            Some((_, None)) => {}
        });
        versions.visit(position, end, &mut |chain| {
            if let Some((_, Some(held))) = chain.at(start)
                && table.find(table.hash(chain.key()), chain.key()).is_none()
            {
                visit(db, chain.key(), &held.value, held.expires_ms);
            }
        });
        if end < SCAN_POSITIONS {
            return Some(WalkPosition { db, position: end });
        }
        (db + 1 < DATABASES_MAX).then_some(WalkPosition { db: db + 1, position: 0 })
    }

    /// Ends a pin; the versions that only it needed go.
    pub fn unpin(&mut self, pin: Timestamp) {
        let Some(count) = self.pins.get_mut(&pin) else { return };
        *count -= 1;
        if *count > 0 {
            return;
        }
        self.pins.remove(&pin);
        match self.pins.keys().next() {
            None => self.drop_versions(),
            Some(&oldest) => self.drop_roots(oldest),
        }
    }

    /// Roots that were displaced before the oldest pin go.
    fn drop_roots(&mut self, oldest: Timestamp) {
        for database in &mut self.databases {
            let gone = database.roots.iter().take_while(|kept| kept.displaced <= oldest).count();
            for kept in database.roots.drain(..gone) {
                self.versions_bytes -= kept.versions_bytes;
                self.garbage.versions(kept.versions);
                if let Ok(table) = Rc::try_unwrap(kept.table) {
                    self.garbage.entries(table);
                }
            }
        }
    }

    /// Bytes of versions that are kept for pins.
    #[cfg(test)]
    pub(crate) fn versions_bytes(&self) -> usize {
        self.versions_bytes
    }

    /// How many timestamps are pinned.
    #[cfg(test)]
    pub(crate) fn pins(&self) -> usize {
        self.pins.len()
    }

    /// Whether so many versions have been kept since the last sweep that another is due.
    pub fn wants_sweep(&self) -> bool {
        self.sweep.is_some()
            || (!self.pins.is_empty() && self.kept_versions >= SWEEP_VERSIONS_MIN.max(self.swept_versions))
    }

    /// Drops versions that no pin reads any more: those of one table segment's keys. Whole states that flushes displaced are not looked
    /// at; they go with their pins.
    pub fn sweep_some(&mut self) {
        let WalkPosition { db, position } = self.sweep.unwrap_or_else(|| {
            self.kept_versions = 0;
            self.swept_versions = 0;
            WalkPosition::default()
        });
        let Keyspace { databases, pins, versions_bytes, swept_versions, .. } = self;
        let database = &mut databases[usize::from(db)];
        let end = database.versions.segment_end(position);
        let mut keys = Vec::new();
        database.versions.visit(position, end, &mut |chain| keys.push(chain.key().to_vec()));
        for key in keys {
            let hash = database.versions.hash(&key);
            let Database { versions, versions_bytes: database_bytes, .. } = database;
            let chain = versions.find_mut(hash, &key).expect("it was just seen");
            let is_left = chain.prune(pins, &mut |version| {
                let bytes = version_bytes(&key, version);
                *versions_bytes -= bytes;
                *database_bytes -= bytes;
            });
            if is_left {
                *swept_versions += 1;
            } else {
                database.versions.remove(hash, &key);
            }
        }
        self.sweep = if end < SCAN_POSITIONS {
            Some(WalkPosition { db, position: end })
        } else {
            (db + 1 < DATABASES_MAX).then_some(WalkPosition { db: db + 1, position: 0 })
        };
    }

    /// Nothing is pinned: no version is needed.
    pub(super) fn drop_versions(&mut self) {
        self.versions_bytes = 0;
        (self.sweep, self.kept_versions, self.swept_versions) = (None, 0, 0);
        for database in &mut self.databases {
            let seed = database.table.seed();
            database.versions_bytes = 0;
            if !database.versions.is_empty() {
                self.garbage.versions(std::mem::replace(&mut database.versions, Table::new(seed)));
            }
            for kept in database.roots.drain(..) {
                self.garbage.versions(kept.versions);
                if let Ok(table) = Rc::try_unwrap(kept.table) {
                    self.garbage.entries(table);
                }
            }
        }
    }
}

impl Database {
    /// The table that holds what was not displaced between a pin and its end, and the versions of what was.
    pub(super) fn state_at(&self, start: Timestamp) -> (&Table<Entry>, &Table<Chain>) {
        match self.roots.iter().find(|kept| kept.displaced > start) {
            Some(kept) => (&kept.table, &kept.versions),
            None => (&self.table, &self.versions),
        }
    }
}
