//! What Raft reads of its log: the recent entries are in memory, older ones are read back from the log, and a snapshot stands for those
//! before.
//!
//! ```text
//!   snapshot ─────────────┐
//!   (gone)   │ in the log, read when somebody lags │ in memory │ not written yet: Raft's own
//!            reach                                base
//! ```

use crate::ids::{LogIndex, SegmentId};
use crate::limits::WANTED_ENTRIES_MAX;
use crate::log::EntryPlaces;
use raft::eraftpb::{ConfState, Entry, HardState, Snapshot};
use raft::{Error, GetEntriesContext, RaftState, Result, Storage, StorageError};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

/// Entries that Raft wants and that are in the log only.
#[derive(Debug)]
pub struct Wanted {
    /// The first.
    pub low: LogIndex,
    /// The one after the last.
    pub high: LogIndex,
    /// About how many bytes of them, but one at least.
    pub bytes_max: u64,
    /// What Raft goes on with.
    pub context: GetEntriesContext,
}

/// See the module.
pub struct GroupStorage {
    hard_state: HardState,
    conf_state: ConfState,
    /// Index and term of the entry before the first one here.
    base: (u64, u64),
    entries: VecDeque<Entry>,
    entries_bytes: usize,
    /// Where the entries of the log lie, those in memory included once they are written.
    places: EntryPlaces,
    wanted: RefCell<VecDeque<Wanted>>,
    /// Entries that were read from the log, for the one call of Raft that is to take them.
    fetched: Vec<Entry>,
    /// A snapshot that may be announced to members that lag.
    offer: Option<Snapshot>,
    /// Raft would have announced a snapshot, had there been one.
    wants_snapshot: Cell<bool>,
}

impl GroupStorage {
    /// The storage of a group whose entries up to `base` (index, term) are applied and not kept here.
    pub fn new(hard_state: HardState, conf_state: ConfState, base: (u64, u64)) -> Self {
        GroupStorage {
            hard_state,
            conf_state,
            base,
            entries: VecDeque::new(),
            entries_bytes: 0,
            places: EntryPlaces::default(),
            wanted: RefCell::default(),
            fetched: Vec::new(),
            offer: None,
            wants_snapshot: Cell::new(false),
        }
    }

    /// Adds entries; they replace what was there from the first one's index on.
    ///
    /// # Panics
    /// When they leave a gap.
    pub fn append(&mut self, entries: &[Entry]) {
        let Some(first) = entries.first() else { return };
        assert!(first.index > self.base.0, "entry {} was applied and forgotten", first.index);
        let keep = (first.index - self.base.0 - 1) as usize;
        assert!(keep <= self.entries.len(), "entry {} leaves a gap after {}", first.index, self.last().0);
        for entry in self.entries.drain(keep..) {
            self.entries_bytes -= entry.data.len();
        }
        for entry in entries {
            self.entries_bytes += entry.data.len();
            self.entries.push_back(entry.clone());
        }
    }

    /// Lets entries up to `index` go from memory, oldest first, as long as more than `bytes_max` bytes are there.
    pub fn compact(&mut self, index: u64, bytes_max: usize) {
        while self.entries_bytes > bytes_max || (bytes_max == 0 && !self.entries.is_empty()) {
            let Some(first) = self.entries.front() else { break };
            if first.index > index {
                break;
            }
            self.base = (first.index, first.term);
            self.entries_bytes -= first.data.len();
            self.entries.pop_front();
        }
    }

    /// A snapshot stands for everything: no entry is left.
    pub fn restore(&mut self, snapshot: &Snapshot) {
        let metadata = snapshot.get_metadata();
        self.base = (metadata.index, metadata.term);
        self.conf_state = metadata.get_conf_state().clone();
        self.entries.clear();
        self.entries_bytes = 0;
        self.places.clear();
        self.wanted.get_mut().clear();
        self.offer = None;
    }

    /// Where the entries of the log lie.
    pub fn places(&self) -> &EntryPlaces {
        &self.places
    }

    /// Where the entries of the log lie, to be told of writes.
    pub fn places_mut(&mut self) -> &mut EntryPlaces {
        &mut self.places
    }

    /// A file of the log goes.
    pub fn forget(&mut self, segment: SegmentId) {
        self.places.forget(segment);
    }

    /// Index and term of the entry before the first one that can be had, from memory or from the log.
    pub fn reach(&self) -> (u64, u64) {
        match self.places.first() {
            Some((index, term)) if index.0 < self.base.0 && self.places.last().0 >= self.base.0 => (index.0, term.0),
            _ => self.base,
        }
    }

    /// What Raft wants of the log.
    pub fn take_wanted(&mut self) -> Option<Wanted> {
        self.wanted.get_mut().pop_front()
    }

    /// Whether Raft wants something of the log.
    pub fn has_wanted(&self) -> bool {
        !self.wanted.borrow().is_empty()
    }

    /// What could not be read yet is asked for again.
    pub fn put_back(&mut self, wanted: Wanted) {
        self.wanted.get_mut().push_front(wanted);
    }

    /// Entries that were read from the log; Raft is about to take them.
    pub fn set_fetched(&mut self, entries: Vec<Entry>) {
        self.fetched = entries;
    }

    /// A snapshot may be announced from now on; none ends that.
    pub fn offer_snapshot(&mut self, offer: Option<Snapshot>) {
        self.offer = offer;
    }

    /// Whether Raft wanted a snapshot since the last call.
    pub fn take_wants_snapshot(&self) -> bool {
        self.wants_snapshot.take()
    }

    /// Remembers the hard state that was logged.
    pub fn set_hard_state(&mut self, hard_state: HardState) {
        self.hard_state = hard_state;
    }

    /// Remembers the members.
    pub fn set_conf_state(&mut self, conf_state: ConfState) {
        self.conf_state = conf_state;
    }

    /// The members.
    pub fn conf_state(&self) -> &ConfState {
        &self.conf_state
    }

    /// Index and term of the last entry.
    pub fn last(&self) -> (u64, u64) {
        self.entries.back().map_or(self.base, |entry| (entry.index, entry.term))
    }

    /// Entries that are in the log only: those that were just fetched, or a request for them.
    fn older(&self, low: u64, high: u64, bytes_max: u64, context: GetEntriesContext) -> Result<Vec<Entry>> {
        let fetched = self.fetched.iter().skip_while(|entry| entry.index < low).take_while(|entry| entry.index < high);
        let fetched: Vec<Entry> = fetched.cloned().collect();
        if fetched.first().is_some_and(|entry| entry.index == low) {
            return Ok(fetched);
        }
        if !context.can_async() {
            return Err(Error::Store(StorageError::Unavailable));
        }
        let mut wanted = self.wanted.borrow_mut();
        if wanted.len() < WANTED_ENTRIES_MAX && wanted.iter().all(|other| other.low.0 != low) {
            wanted.push_back(Wanted { low: LogIndex(low), high: LogIndex(high), bytes_max, context });
        }
        Err(Error::Store(StorageError::LogTemporarilyUnavailable))
    }

    fn at(&self, index: u64) -> Option<&Entry> {
        self.entries.get(usize::try_from(index.checked_sub(self.base.0 + 1)?).ok()?)
    }
}

impl Storage for GroupStorage {
    fn initial_state(&self) -> Result<RaftState> {
        Ok(RaftState { hard_state: self.hard_state.clone(), conf_state: self.conf_state.clone() })
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        context: GetEntriesContext,
    ) -> Result<Vec<Entry>> {
        let limit = max_size.into().unwrap_or(u64::MAX);
        if low <= self.reach().0 {
            return Err(Error::Store(StorageError::Compacted));
        }
        if low <= self.base.0 {
            return self.older(low, high, limit, context);
        }
        let mut size = 0;
        let mut found = Vec::new();
        for index in low..high {
            let entry = self.at(index).ok_or(Error::Store(StorageError::Unavailable))?;
            size += entry.data.len() as u64 + ENTRY_OVERHEAD_BYTES;
            if !found.is_empty() && size > limit {
                break;
            }
            found.push(entry.clone());
        }
        Ok(found)
    }

    fn term(&self, index: u64) -> Result<u64> {
        if index == self.base.0 {
            return Ok(self.base.1);
        }
        if index < self.base.0 {
            let place = self.places.find(LogIndex(index)).filter(|_| index >= self.reach().0);
            return place.map(|(place, _)| place.term.0).ok_or(Error::Store(StorageError::Compacted));
        }
        self.at(index).map(|entry| entry.term).ok_or(Error::Store(StorageError::Unavailable))
    }

    fn first_index(&self) -> Result<u64> {
        Ok(self.reach().0 + 1)
    }

    fn last_index(&self) -> Result<u64> {
        Ok(self.last().0)
    }

    fn snapshot(&self, request_index: u64, _to: u64) -> Result<Snapshot> {
        let reaches = |offer: &&Snapshot| offer.get_metadata().index >= request_index.max(self.reach().0);
        self.offer.as_ref().filter(reaches).cloned().ok_or_else(|| {
            self.wants_snapshot.set(true);
            Error::Store(StorageError::SnapshotTemporarilyUnavailable)
        })
    }
}

/// About what an entry takes in a message besides its data.
const ENTRY_OVERHEAD_BYTES: u64 = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Term;

    fn entry(index: u64, term: u64) -> Entry {
        Entry { index, term, data: vec![0; 10].into(), ..Entry::default() }
    }

    #[test]
    fn a_suffix_is_replaced_and_a_prefix_forgotten() {
        let mut storage = GroupStorage::new(HardState::default(), ConfState::default(), (0, 0));
        storage.append(&[entry(1, 1), entry(2, 1), entry(3, 1)]);
        storage.append(&[entry(2, 2)]);
        assert_eq!(storage.last(), (2, 2));
        assert_eq!(storage.term(1).unwrap(), 1);
        assert!(storage.term(3).is_err());
        storage.compact(1, 0);
        assert_eq!(storage.first_index().unwrap(), 2);
        assert_eq!(storage.term(1).unwrap(), 1);
        storage.compact(2, 0);
        assert_eq!(storage.last(), (2, 2));
        assert!(storage.entries(2, 3, None, GetEntriesContext::empty(false)).is_err());
    }

    #[test]
    fn entries_that_left_memory_are_asked_for_and_taken_once_they_were_read() {
        let mut storage = GroupStorage::new(HardState::default(), ConfState::default(), (0, 0));
        storage.append(&[entry(1, 1), entry(2, 1), entry(3, 2), entry(4, 2)]);
        for (index, term) in [(1, 1), (2, 1), (3, 2), (4, 2)] {
            storage.places_mut().push(LogIndex(index), Term(term), SegmentId(1), index * 512);
        }
        storage.compact(3, 0);
        assert_eq!(
            storage.first_index().unwrap(),
            2,
            "of what is in the log the first entry only serves as the one before"
        );
        assert_eq!([1, 2, 3, 4].map(|index| storage.term(index).unwrap()), [1, 1, 2, 2]);
        assert!(storage.entries(2, 5, None, GetEntriesContext::empty(false)).is_err());
        assert!(storage.take_wanted().is_none(), "only who can wait is kept waiting");
        for _ in 0..2 {
            let asked = storage.entries(2, 4, Some(100), GetEntriesContext::empty(true));
            assert_eq!(asked, Err(Error::Store(StorageError::LogTemporarilyUnavailable)));
        }
        let wanted = storage.take_wanted().unwrap();
        assert_eq!((wanted.low, wanted.high, wanted.bytes_max), (LogIndex(2), LogIndex(4), 100));
        assert!(storage.take_wanted().is_none(), "once is enough");
        storage.set_fetched(vec![entry(2, 1), entry(3, 2)]);
        assert_eq!(storage.entries(2, 5, None, GetEntriesContext::empty(true)).unwrap().len(), 2);
        assert_eq!(storage.entries(4, 5, None, GetEntriesContext::empty(false)).unwrap().len(), 1);
        storage.forget(SegmentId(1));
        assert_eq!(
            storage.entries(2, 4, None, GetEntriesContext::empty(true)),
            Err(Error::Store(StorageError::Compacted))
        );
        assert_eq!(storage.first_index().unwrap(), 4);
    }

    #[test]
    fn a_snapshot_is_announced_only_if_the_entries_behind_it_are_kept() {
        let mut storage = GroupStorage::new(HardState::default(), ConfState::default(), (0, 0));
        storage.append(&[entry(1, 1), entry(2, 1)]);
        storage.compact(2, 0);
        assert!(storage.snapshot(0, 2).is_err() && storage.take_wants_snapshot() && !storage.take_wants_snapshot());
        let mut offer = Snapshot::default();
        for index in 1..=3 {
            offer.mut_metadata().index = index;
            storage.offer_snapshot(Some(offer.clone()));
            assert_eq!(storage.snapshot(0, 2).is_ok(), index >= 2);
        }
        offer.mut_metadata().index = 9;
        storage.restore(&offer);
        assert_eq!((storage.last().0, storage.first_index().unwrap()), (9, 10));
    }
}
