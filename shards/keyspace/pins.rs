//! Pins: states of the past that outlive a step.

use crate::ids::Timestamp;
use crate::keyspace::database::Database;
use crate::keyspace::effect::DatabaseIndex;
use crate::keyspace::entry::Entry;
use crate::keyspace::keyspace::Keyspace;
use crate::keyspace::table::{Keyed, SCAN_POSITIONS, Table};
use crate::keyspace::value::Value;
use crate::keyspace::versions::{Chain, Version};
use crate::limits::DATABASES_MAX;
use std::rc::Rc;

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

    /// What a key held at a pin: the oldest version that was displaced after it, or what its table holds.
    pub fn at(&self, db: DatabaseIndex, key: &[u8], start: Timestamp) -> Version {
        let (table, versions) = self.databases[usize::from(db)].state_at(start);
        let hash = table.hash(key);
        match versions.find(hash, key).and_then(|chain| chain.at(start)) {
            Some((_, version)) => version.clone(),
            None => table.find(hash, key).map(|entry| (entry.value.clone(), entry.expires_ms)),
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
            Some((_, Some((value, expires_ms)))) => visit(db, entry.key(), value, *expires_ms),
            Some((_, None)) => {}
        });
        versions.visit(position, end, &mut |chain| {
            if let Some((_, Some((value, expires_ms)))) = chain.at(start)
                && table.find(table.hash(chain.key()), chain.key()).is_none()
            {
                visit(db, chain.key(), value, *expires_ms);
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
        if *count == 0 {
            self.pins.remove(&pin);
        }
        if self.pins.is_empty() {
            self.drop_versions();
        }
    }

    /// Nothing is pinned: no version is needed.
    pub(super) fn drop_versions(&mut self) {
        self.versions_bytes = 0;
        for database in &mut self.databases {
            let seed = database.table.seed();
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
    fn state_at(&self, start: Timestamp) -> (&Table<Entry>, &Table<Chain>) {
        match self.roots.iter().find(|kept| kept.displaced > start) {
            Some(kept) => (&kept.table, &kept.versions),
            None => (&self.table, &self.versions),
        }
    }
}
