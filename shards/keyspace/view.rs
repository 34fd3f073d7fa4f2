//! What a context sees: its own writes over the state at its startTS. Nobody else sees the former; the latter is what a pin keeps.
//!
//! While a context has its slice its view is part of the keyspace, and the same commands run against it that otherwise run against the
//! tip: each method of [`Keyspace`] that reads or writes asks [`Keyspace::is_looked_over`] first.

use crate::ids::{Batch, Timestamp};
use crate::keyspace::batch::Mark;
use crate::keyspace::effect::{DatabaseIndex, Effect, Effects, NewValue, TIMESTAMP_BYTES};
use crate::keyspace::entry::Entry;
use crate::keyspace::keyspace::Keyspace;
use crate::keyspace::large::LargeString;
use crate::keyspace::libraries::{Libraries, LibrarySet};
use crate::keyspace::reads::{KeyHash, Reads};
use crate::keyspace::text::Text;
use crate::keyspace::value::{ColdRange, Segments};
use crate::limits::DATABASES_MAX;
use crate::sabotage::{Sabotage, is_planted};
use hashbrown::HashTable;
use std::rc::Rc;
use std::sync::Arc;

/// A context's private state.
pub struct View {
    pub(super) start: Timestamp,
    pub(super) databases: Vec<ViewDatabase>,
    /// The libraries of functions at its startTS; and as it sees them, with the number of that set.
    libraries_at_start: Arc<LibrarySet>,
    pub(super) libraries: Arc<LibrarySet>,
    pub(super) libraries_version: u64,
    /// Its effects, encoded, in their order.
    pub(super) body: Vec<u8>,
    /// What it has read and written; while it has its slice, the keyspace has that.
    reads: Reads,
    /// What the keyspace counts for it while it has no slice, in bytes.
    counted_bytes: usize,
    /// Large strings that it has written into, as they were: an undo writes into them again, when they may be cold.
    pub(super) written_into: Vec<(Rc<LargeString>, Box<[u8]>)>,
}

/// What a context has written in one database.
#[derive(Default)]
pub(super) struct ViewDatabase {
    /// It was emptied: what is not written anew is absent.
    pub(super) is_flushed: bool,
    pub(super) written: HashTable<Written>,
}

/// A key that a context has written.
pub(super) struct Written {
    pub(super) hash: u64,
    pub(super) key: Text,
    /// What it holds now; nothing if it was removed.
    pub(super) entry: Option<Entry>,
}

impl View {
    fn new(start: Timestamp, libraries: &Libraries) -> Self {
        View {
            start,
            libraries_at_start: libraries.set().clone(),
            libraries: libraries.set().clone(),
            libraries_version: libraries.version(),
            databases: (0..DATABASES_MAX).map(|_| ViewDatabase::default()).collect(),
            body: Vec::new(),
            reads: Reads::default(),
            counted_bytes: 0,
            written_into: Vec::new(),
        }
    }

    /// Its startTS, which is pinned.
    pub fn start(&self) -> Timestamp {
        self.start
    }

    /// What it has read and written.
    pub fn reads(&self) -> &Reads {
        &self.reads
    }

    /// The keys that it has written.
    pub fn written(&self) -> impl Iterator<Item = KeyHash> {
        let databases = (0..).zip(&self.databases);
        databases.flat_map(|(db, database)| database.written.iter().map(move |written| (written.hash, db)))
    }

    /// Whether it has emptied a database.
    pub fn has_flushed(&self) -> bool {
        self.databases.iter().any(|database| database.is_flushed)
    }

    /// What it holds in memory, in bytes (an estimate): its effects, what they made of its keys, and what it has read.
    fn memory_bytes(&self) -> usize {
        self.body.capacity() + self.body.len() + size_of_val(self.reads.keys())
    }

    /// Whether it has written nothing.
    pub fn is_clean(&self) -> bool {
        self.body.is_empty()
    }
}

impl ViewDatabase {
    pub(super) fn find(&self, hash: u64, key: &[u8]) -> Option<&Written> {
        self.written.find(hash, |written| written.hash == hash && written.key.as_bytes() == key)
    }

    pub(super) fn set(&mut self, hash: u64, key: &[u8], entry: Option<Entry>) {
        let is_it = |written: &Written| written.hash == hash && written.key.as_bytes() == key;
        match self.written.find_mut(hash, is_it) {
            Some(written) => written.entry = entry,
            None => {
                self.written.insert_unique(hash, Written { hash, key: Text::new(key), entry }, |written| written.hash);
            }
        }
    }
}

impl Keyspace {
    /// From here on what is read and written is noted, until [`Keyspace::end_reads`].
    pub fn begin_reads(&mut self) {
        self.reads.get_mut().clear();
        self.is_looked_over = true;
    }

    /// Notes a key that is watched like one that is read.
    pub fn note_watched(&self, db: DatabaseIndex, key: &[u8]) {
        if is_planted(Sabotage::WatchesEndWithTheFirstSlice) {
            return;
        }
        self.note_key(db, self.databases[usize::from(db)].table.hash(key));
    }

    /// It is noted no longer.
    pub fn end_reads(&mut self) {
        self.is_looked_over = false;
    }

    /// Makes what was written since the mark a private write set over a pinned state, with the reads that were noted: the tip is as it was
    /// at the mark. And where in the write set a later mark is, as [`Keyspace::undo_to_view`] knows it.
    ///
    /// # Errors
    /// A range that must be brought in first; nothing is left of what was written.
    pub fn set_aside(
        &mut self,
        mark: Mark,
        inner: Option<Mark>,
        segments: &dyn Segments,
    ) -> Result<(Box<View>, usize), ColdRange> {
        let at = |mark: Mark| mark.body().max(TIMESTAMP_BYTES).min(self.body.len());
        let (first, end) = (at(mark), inner.map_or(self.body.len(), at));
        let (outer, rest) = (self.body[first..end].to_vec(), self.body[end..].to_vec());
        let is_left = is_planted(Sabotage::AsideNotUndone);
        if !is_left {
            self.undo_to(mark);
        }
        let start = self.pin_here();
        let mut view = Box::new(View::new(start, &self.libraries));
        view.reads = self.reads.take();
        self.enter(view);
        let replayed = self.replay(&outer, segments);
        let inner = self.view_body_bytes().unwrap_or(0);
        let replayed = replayed.and_then(|()| self.replay(&rest, segments));
        let view = self.leave();
        if let Err(range) = replayed {
            self.unpin(start);
            return Err(range);
        }
        Ok((view, inner))
    }

    /// Takes back what the view that has its slice has written since its effects had this length.
    pub fn undo_to_view(&mut self, body: usize) {
        self.undo_in_view(body);
    }

    /// A key as contexts know it.
    pub fn key_hash(&self, db: DatabaseIndex, key: &[u8]) -> KeyHash {
        (self.databases[usize::from(db)].table.hash(key), db)
    }

    /// The batch that the state of this moment depends on, everything in it.
    pub fn newest_batch(&self) -> Batch {
        if self.body.is_empty() { self.closed } else { self.batch }
    }

    /// A view of the state of this moment.
    pub fn view_here(&mut self) -> Box<View> {
        let start = self.pin_here();
        Box::new(View::new(start, &self.libraries))
    }

    /// A context's slice begins: reads and writes are its own until [`Keyspace::leave`].
    pub fn enter(&mut self, mut view: Box<View>) {
        assert!(self.view.is_none(), "one context has a slice at a time");
        self.views_bytes -= std::mem::take(&mut view.counted_bytes);
        std::mem::swap(self.reads.get_mut(), &mut view.reads);
        self.view = Some(view);
        self.is_looked_over = true;
    }

    /// Whether a context has its slice.
    pub fn is_in_view(&self) -> bool {
        self.view.is_some()
    }

    /// Its slice has ended.
    pub fn leave(&mut self) -> Box<View> {
        self.is_looked_over = false;
        let mut view = self.view.take().expect("a context had its slice");
        std::mem::swap(self.reads.get_mut(), &mut view.reads);
        view.counted_bytes = view.memory_bytes();
        self.views_bytes += view.counted_bytes;
        view
    }

    /// Whether nothing that was read or written has been changed since the startTS. Expired keys that were removed since are no change
    /// where the context, whose time is `now_ms`, saw them expired.
    pub fn is_unchanged(&self, view: &View, now_ms: u64) -> bool {
        if is_planted(Sabotage::NoValidation) {
            return true;
        }
        let View { reads, start, .. } = view;
        for db in 0..DATABASES_MAX {
            if is_planted(Sabotage::DatabasesNotValidated) {
                continue;
            }
            if reads.has_database(db) && self.databases[usize::from(db)].changed > *start {
                return false;
            }
        }
        if reads.has_libraries() && !Arc::ptr_eq(self.libraries.set(), &view.libraries_at_start) {
            return false;
        }
        reads.keys().iter().all(|&(hash, db)| self.is_key_unchanged(db, hash, *start, now_ms))
    }

    fn is_key_unchanged(&self, db: DatabaseIndex, hash: u64, start: Timestamp, now_ms: u64) -> bool {
        let database = &self.databases[usize::from(db)];
        if database.changed <= start {
            return true;
        }
        if database.roots.iter().any(|kept| kept.displaced > start) {
            return false;
        }
        let versions = &database.versions;
        let mut changed = versions.candidates(hash).filter(|chain| chain.changed().is_some_and(|at| at > start));
        changed.all(|chain| {
            let key = chain.bytes();
            if versions.hash(key) != hash {
                return true;
            }
            if is_planted(Sabotage::AbsentNotValidated) && matches!(chain.at(start), Some((_, None))) {
                return true;
            }
            let saw_expired = matches!(chain.at(start), Some((_, Some(held))) if held.expired(now_ms));
            saw_expired && database.table.find(hash, key).is_none()
        })
    }

    /// Applies a context's effects to the tip. Validate first.
    ///
    /// # Errors
    /// A range that must be brought in first; nothing has happened then.
    pub fn commit(&mut self, view: &View, segments: &dyn Segments) -> Result<(), ColdRange> {
        let mark = self.mark();
        let replayed = self.replay(&view.body, segments);
        if is_planted(Sabotage::CommitNotLogged) {
            self.undo_to(mark);
        }
        if replayed.is_err() {
            self.undo_to(mark);
        }
        replayed
    }

    /// Does again what effects say, in the tip or in the view that has its slice. What they name exists.
    fn replay(&mut self, effects: &[u8], segments: &dyn Segments) -> Result<(), ColdRange> {
        for effect in Effects::new(effects) {
            match effect.expect("the effects were encoded here") {
                Effect::Put { db, key, value, expires_ms } => {
                    self.put(db, key, NewValue::Bytes(value), expires_ms);
                }
                Effect::Remove { db, key } => {
                    self.remove(db, key);
                }
                Effect::Expire { db, key, expires_ms } => self.set_expiry(db, key, expires_ms),
                Effect::Append { db, key, tail } => {
                    self.make_writable(db, key, segments)?;
                    self.append(db, key, tail);
                }
                Effect::Splice { db, key, offset, bytes } => {
                    self.make_writable(db, key, segments)?;
                    self.splice(db, key, offset as usize, bytes);
                }
                Effect::Rename { db, key, to_db, to } => self.rename(db, key, to_db, to),
                Effect::Copy { db, key, to_db, to } => self.copy(db, key, to_db, to),
                Effect::Flush { db } => self.flush(db),
                Effect::LibraryPut { name, code } => self.put_library(name, code.into()),
                Effect::LibraryRemove { name } => {
                    self.remove_library(name);
                }
                Effect::LibrariesFlush => {
                    self.flush_libraries();
                }
                Effect::PutReference { .. } => panic!("only checkpoints hold references"),
            }
        }
        Ok(())
    }

    /// Notes that a key is looked at or written.
    #[inline]
    pub(super) fn note_key(&self, db: DatabaseIndex, hash: u64) {
        self.reads.borrow_mut().key(db, hash);
    }

    /// What a key holds in a view, expired or not.
    pub(super) fn found_in_view<'a>(
        &'a self,
        view: &'a View,
        db: DatabaseIndex,
        hash: u64,
        key: &[u8],
    ) -> Option<&'a Entry> {
        if is_planted(Sabotage::SnapshotReadsTip) {
            return match view.databases[usize::from(db)].find(hash, key) {
                Some(written) => written.entry.as_ref(),
                None => self.databases[usize::from(db)].table.find(hash, key),
            };
        }
        if is_planted(Sabotage::OwnWritesUnseen) {
            return self.at(db, key, view.start);
        }
        let written = &view.databases[usize::from(db)];
        if let Some(written) = written.find(hash, key) {
            return written.entry.as_ref();
        }
        if written.is_flushed { None } else { self.at(db, key, view.start) }
    }

    /// [`Keyspace::peek`] in a view.
    #[cold]
    pub(super) fn peek_looked_over(&self, db: DatabaseIndex, hash: u64, key: &[u8]) -> Option<Option<&Entry>> {
        if is_planted(Sabotage::ReadsNotNoted) {
            let view = self.view.as_deref()?;
            return Some(self.found_in_view(view, db, hash, key).filter(|entry| !entry.expired(self.now_ms)));
        }
        self.note_key(db, hash);
        let view = self.view.as_deref()?;
        let found = self.found_in_view(view, db, hash, key).filter(|entry| {
            let expired = entry.expired(self.now_ms);
            if expired {
                self.meet_expired_in_view(db, hash, entry);
            }
            !expired
        });
        Some(found)
    }

    /// What a context saw expired is removed from the tip, if it is there still.
    pub(super) fn meet_expired_in_view(&self, db: DatabaseIndex, hash: u64, entry: &Entry) {
        let tip = self.databases[usize::from(db)].table.find(hash, entry.key());
        if tip.is_some_and(|tip| tip.expired(self.now_ms)) {
            self.met_expired.borrow_mut().push((db, hash, entry.key.clone()));
            self.depend_on(self.batch);
        }
    }

    pub(super) fn set_libraries_in_view(&mut self, set: Arc<LibrarySet>) {
        let view = self.view.as_deref_mut().expect("a context has its slice");
        view.libraries = set;
        view.libraries_version = self.libraries.number();
    }

    /// Takes back what the view has written since its effects had this length: what is left is done again.
    pub(super) fn undo_in_view(&mut self, body: usize) {
        let view = self.view.as_deref_mut().expect("a context has its slice");
        if view.body.len() == body {
            return;
        }
        let mut effects = std::mem::take(&mut view.body);
        effects.truncate(body);
        view.databases.iter_mut().for_each(|database| *database = ViewDatabase::default());
        let at_start = view.libraries_at_start.clone();
        self.set_libraries_in_view(at_start);
        let replayed = self.replay(&effects, &super::tip::NoSegments);
        if let Err(range) = replayed {
            panic!("what was written before can be written again: {range:?}");
        }
    }

    /// What contexts hold in memory, in bytes (an estimate).
    pub(super) fn all_views_bytes(&self) -> usize {
        self.views_bytes + self.view.as_deref().map_or(0, View::memory_bytes)
    }

    /// A context is over: its view goes.
    #[allow(clippy::boxed_local, reason = "views are boxed wherever they are")]
    pub fn end_view(&mut self, view: Box<View>) {
        self.views_bytes -= view.counted_bytes;
        self.unpin(view.start);
    }

    /// Bytes of effects of the view that has its slice.
    pub(super) fn view_body_bytes(&self) -> Option<usize> {
        self.view.as_deref().map(|view| view.body.len())
    }
}
