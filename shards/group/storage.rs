//! What Raft reads of its log: the entries that are kept in memory, where they begin, and the snapshot that stands for those before.

use raft::eraftpb::{ConfState, Entry, HardState, Snapshot};
use raft::{Error, GetEntriesContext, RaftState, Result, Storage, StorageError};
use std::cell::Cell;
use std::collections::VecDeque;

/// The recent entries of a group, in memory. Older ones are in the log; a follower that needs those needs a snapshot.
pub struct GroupStorage {
    hard_state: HardState,
    conf_state: ConfState,
    /// Index and term of the entry before the first one here.
    base: (u64, u64),
    entries: VecDeque<Entry>,
    entries_bytes: usize,
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

    /// Forgets entries up to `index`, oldest first, as long as more than `bytes_max` bytes are kept. Those beyond `needed_from` are
    /// kept up to `needed_bytes_max`.
    pub fn compact(&mut self, index: u64, bytes_max: usize, needed_from: u64, needed_bytes_max: usize) {
        while self.entries_bytes > bytes_max || (bytes_max == 0 && !self.entries.is_empty()) {
            let Some(first) = self.entries.front() else { break };
            if first.index > index || (first.index > needed_from && self.entries_bytes <= needed_bytes_max) {
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
        self.offer = None;
    }

    /// The index before the first entry here.
    pub fn base_index(&self) -> u64 {
        self.base.0
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
        _context: GetEntriesContext,
    ) -> Result<Vec<Entry>> {
        if low <= self.base.0 {
            return Err(Error::Store(StorageError::Compacted));
        }
        let limit = max_size.into().unwrap_or(u64::MAX);
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
            return Err(Error::Store(StorageError::Compacted));
        }
        self.at(index).map(|entry| entry.term).ok_or(Error::Store(StorageError::Unavailable))
    }

    fn first_index(&self) -> Result<u64> {
        Ok(self.base.0 + 1)
    }

    fn last_index(&self) -> Result<u64> {
        Ok(self.last().0)
    }

    fn snapshot(&self, request_index: u64, _to: u64) -> Result<Snapshot> {
        let reaches = |offer: &&Snapshot| offer.get_metadata().index >= request_index.max(self.base.0);
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
        storage.compact(1, 0, u64::MAX, 0);
        assert_eq!(storage.first_index().unwrap(), 2);
        assert_eq!(storage.term(1).unwrap(), 1);
        storage.compact(2, 0, u64::MAX, 0);
        assert_eq!(storage.last(), (2, 2));
        assert!(storage.entries(2, 3, None, GetEntriesContext::empty(false)).is_err());
    }

    #[test]
    fn what_a_member_needs_is_kept_longer_but_not_forever() {
        let mut storage = GroupStorage::new(HardState::default(), ConfState::default(), (0, 0));
        storage.append(&[entry(1, 1), entry(2, 1), entry(3, 1), entry(4, 1)]);
        storage.compact(4, 10, 2, 25);
        assert_eq!(storage.base_index(), 2, "20 bytes are left, of entries that are needed");
        storage.compact(4, 10, 2, 15);
        assert_eq!(storage.base_index(), 3, "15 bytes may be kept for that");
    }

    #[test]
    fn a_snapshot_is_announced_only_if_the_entries_behind_it_are_kept() {
        let mut storage = GroupStorage::new(HardState::default(), ConfState::default(), (0, 0));
        storage.append(&[entry(1, 1), entry(2, 1)]);
        storage.compact(2, 0, u64::MAX, 0);
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
