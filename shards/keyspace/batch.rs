//! The life of a batch: it gathers, closes, is delivered or undone.

use crate::ids::{Batch, Timestamp};
use crate::keyspace::keyspace::Keyspace;
use crate::keyspace::large::LargeString;
use crate::keyspace::table::Table;
use crate::keyspace::uncommitted::Uncommitted;
use crate::keyspace::undo::{Inverse, Undo};
use std::rc::Rc;

/// Room that is kept in an empty body for the next batch, in bytes; more is given back.
const BODY_KEEP_BYTES_MAX: usize = 1 << 20;

/// What a batch becomes: the body of one Raft entry.
pub struct ClosedBatch {
    /// Its number.
    pub batch: Batch,
    /// Its timestamp.
    pub timestamp: Timestamp,
    /// Its timestamp (8 bytes, little endian), then its effects, encoded.
    pub body: Vec<u8>,
    /// The large strings in it, and where their bytes start in the body.
    pub large: Vec<(Rc<LargeString>, usize)>,
}

/// A place in the gathering batch that can be gone back to.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    undo: usize,
    body: usize,
    large: usize,
}

impl Mark {
    /// The mark of a view that has so many bytes of effects.
    pub(crate) fn of_view(body: usize) -> Self {
        Mark { undo: 0, body, large: 0 }
    }

    /// Bytes of effects at a mark that a view gave.
    pub(crate) fn in_view(self) -> usize {
        self.body
    }

    /// Bytes of effects at the mark.
    pub(super) fn body(self) -> usize {
        self.body
    }
}

impl Keyspace {
    /// The number of the batch that gathers now.
    pub fn batch(&self) -> Batch {
        self.batch
    }

    /// Bytes of effects that the gathering batch holds, and those of the context that has its slice.
    pub fn body_bytes(&self) -> usize {
        self.body.len() + self.view_body_bytes().unwrap_or(0)
    }

    /// The place in the gathering batch, or in the view that has its slice, that [`Keyspace::undo_to`] goes back to.
    pub fn mark(&self) -> Mark {
        if let Some(body) = self.view_body_bytes() {
            return Mark { undo: 0, body, large: 0 };
        }
        Mark { undo: self.undo.len(), body: self.body.len(), large: self.large.len() }
    }

    /// Whether anything was written since the mark.
    pub fn wrote_since(&self, mark: Mark) -> bool {
        self.view_body_bytes().unwrap_or(self.body.len()) != mark.body
    }

    /// Whether anything was written since the mark but removals of keys that had expired: those belong to the tick, and a read
    /// that met one is still a read.
    #[inline]
    pub fn changed_since_mark(&self, mark: Mark) -> bool {
        self.wrote_since(mark) && (self.view.is_some() || self.undo[mark.undo..].iter().any(|undo| !undo.survives))
    }

    /// Takes back everything written since the mark. Keys that had expired at the mark and were removed since are removed anew: their
    /// removal survives. (What was given a time in the past since the mark was not expired there, and comes back as it was.)
    pub fn undo_to(&mut self, mark: Mark) {
        if self.view.is_some() {
            return self.undo_in_view(mark.body);
        }
        let mut expired = Vec::new();
        while self.undo.len() > mark.undo {
            let undo = self.undo.pop().expect("its length was just looked at");
            if let (true, Inverse::PutBack { entry }) = (undo.survives, &undo.inverse) {
                expired.push((undo.db, entry.key.clone()));
                self.expired_keys -= 1;
            }
            self.invert(undo);
        }
        self.body.truncate(mark.body);
        self.large.truncate(mark.large);
        for (db, key) in expired.into_iter().rev() {
            let hash = self.databases[usize::from(db)].table.hash(key.as_bytes());
            self.remove_expired(db, hash, key.as_bytes());
        }
        self.remove_met_expired();
        if self.body.is_empty() {
            // Nothing is left of the batch, which may never close then: nothing may wait for it.
            self.gate.set(self.gate.get().min(self.closed));
            self.uncommitted.unmark_databases(self.closed);
        }
    }

    /// Ends the gathering batch and begins the next; none if it holds nothing.
    pub fn close_batch(&mut self) -> Option<ClosedBatch> {
        if self.body.is_empty() {
            assert!(self.undo.is_empty(), "what can be undone is in the body");
            return None;
        }
        let spare = self.spare_undo.pop().unwrap_or_default();
        self.kept.push_back((self.batch, std::mem::replace(&mut self.undo, spare)));
        assert!(self.view.is_none(), "a context's slice ends before its tick");
        let capacity = self.body.len().min(BODY_KEEP_BYTES_MAX);
        let closed = ClosedBatch {
            batch: self.batch,
            timestamp: self.batch_timestamp,
            body: std::mem::replace(&mut self.body, Vec::with_capacity(capacity)),
            large: std::mem::take(&mut self.large),
        };
        self.closed = self.batch;
        self.batch = Batch(self.batch.0 + 1);
        Some(closed)
    }

    /// The batches up to this one cannot be undone any more: their inverses go.
    pub fn delivered(&mut self, batch: Batch) {
        while self.kept.front().is_some_and(|&(kept, _)| kept <= batch) {
            let (_, mut undo) = self.kept.pop_front().expect("its front was just looked at");
            for undo in undo.drain(..) {
                if let Inverse::Root { root, .. } = undo.inverse
                    && let Ok(table) = Rc::try_unwrap(root.table)
                {
                    self.garbage.entries(table);
                }
            }
            if self.spare_undo.len() < 4 {
                self.spare_undo.push(undo);
            }
        }
    }

    /// The batch that was closed last is refused: takes it back. Batches before it stand.
    ///
    /// # Panics
    /// If something was written since it was closed.
    pub fn undo_refused(&mut self, batch: Batch) {
        assert!(self.body.is_empty(), "a batch is refused at once");
        let (newest, undo) = self.kept.pop_back().expect("a refused batch was not delivered");
        assert_eq!(newest, batch, "the batch closed last is the one that is refused");
        for undo in undo.into_iter().rev() {
            self.invert(undo);
        }
        self.closed = self.kept.back().map_or(Batch(0), |&(before, _)| before);
        self.gate.set(Batch(0));
        self.uncommitted.unmark_databases(self.closed);
    }

    /// Leadership is lost: takes back every batch that was not delivered, newest first, the gathering one included. Pins and
    /// watches die with the term.
    pub fn undo_undelivered(&mut self) {
        self.met_expired.get_mut().clear();
        for undo in std::mem::take(&mut self.undo).into_iter().rev() {
            self.invert(undo);
        }
        self.body.clear();
        self.large.clear();
        while let Some((_, undo)) = self.kept.pop_back() {
            for undo in undo.into_iter().rev() {
                self.invert(undo);
            }
        }
        self.batch = Batch(self.batch.0 + 1);
        // What is left is committed: nothing waits for the batches that are gone.
        self.closed = Batch(0);
        self.gate.set(Batch(0));
        self.uncommitted = Uncommitted::new();
        self.pins.clear();
        self.drop_versions();
        self.watches = 0;
        for database in &mut self.databases {
            database.watched = Table::new(database.table.seed());
        }
    }

    pub(super) fn invert(&mut self, undo: Undo) {
        let db = undo.db;
        let now_s = self.now_s();
        if let Some((place, previous)) = undo.mark {
            self.uncommitted.unmark(place, previous);
        }
        let database = &mut self.databases[usize::from(db)];
        match undo.inverse {
            Inverse::Absent { key } => {
                let hash = database.table.hash(key.as_bytes());
                let entry = database.take(hash, key.as_bytes()).expect("an undone key is there");
                self.account(db, -(entry.memory_bytes() as isize));
            }
            Inverse::Held { key, value, expires_ms } => {
                let hash = database.table.hash(key.as_bytes());
                let back = value.heap_bytes() as isize;
                let (gone, _) =
                    database.store(hash, key.as_bytes(), value, expires_ms, now_s).expect("an undone key is there");
                self.account(db, back - gone.heap_bytes() as isize);
            }
            Inverse::PutBack { entry } => {
                let hash = database.table.hash(entry.key());
                let bytes = entry.memory_bytes() as isize;
                database.put_back(hash, entry);
                self.account(db, bytes);
            }
            Inverse::Expired { key, expires_ms } => {
                let hash = database.table.hash(key.as_bytes());
                database.set_expiry(hash, key.as_bytes(), expires_ms);
            }
            Inverse::Spliced { key, offset, bytes } => {
                let hash = database.table.hash(key.as_bytes());
                let entry = database.table.find_mut(hash, key.as_bytes()).expect("an undone key is there");
                if !bytes.is_empty() {
                    entry.value.buffer()[offset..][..bytes.len()].copy_from_slice(&bytes);
                }
            }
            Inverse::Grown { key, len, capacity } => {
                let hash = database.table.hash(key.as_bytes());
                let entry = database.table.find_mut(hash, key.as_bytes()).expect("an undone key is there");
                let before = entry.value.heap_bytes();
                let buffer = entry.value.buffer();
                buffer.truncate(len);
                buffer.shrink_to(capacity);
                let delta = entry.value.heap_bytes() as isize - before as isize;
                self.account(db, delta);
            }
            Inverse::Libraries { set, newest } => {
                self.uncommitted.unmark_libraries(newest);
                self.libraries.replace(set);
            }
            Inverse::Root { root, flushed } => {
                self.uncommitted.unmark_flushed(db, flushed);
                if database.roots.last().is_some_and(|kept| Rc::ptr_eq(&kept.table, &root.table)) {
                    let kept = database.roots.pop().expect("its last was just looked at");
                    // The versions that were kept since are of keys that are taken back too.
                    database.versions = kept.versions;
                    self.versions_bytes -= std::mem::replace(&mut database.versions_bytes, kept.versions_bytes);
                }
                let table = Rc::try_unwrap(root.table).ok().expect("a pin's root was just taken back");
                self.memory_bytes = self.memory_bytes - database.memory_bytes + root.memory_bytes;
                database.memory_bytes = root.memory_bytes;
                self.garbage.entries(std::mem::replace(&mut database.table, table));
                database.expiring = root.expiring;
                database.schedule = root.schedule;
            }
        }
    }

    /// Frees a slice of what flushes and pins left behind.
    pub fn free_garbage(&mut self) {
        self.garbage.free_some();
    }

    /// Whether flushes and pins left something behind that is not freed yet.
    pub fn has_garbage(&self) -> bool {
        !self.garbage.is_empty()
    }
}
