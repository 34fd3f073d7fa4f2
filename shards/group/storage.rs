//! What Raft reads of its log: the entries that are kept in memory, and where they begin.

use raft::eraftpb::{ConfState, Entry, HardState, Snapshot};
use raft::{Error, GetEntriesContext, RaftState, Result, Storage, StorageError};
use std::collections::VecDeque;

/// The recent entries of a group, in memory. Older ones are in the log; a follower that needs those needs a snapshot.
pub struct GroupStorage {
    hard_state: HardState,
    conf_state: ConfState,
    /// Index and term of the entry before the first one here.
    base: (u64, u64),
    entries: VecDeque<Entry>,
    entries_bytes: usize,
}

impl GroupStorage {
    /// The storage of a group whose entries up to `base` (index, term) are applied and not kept here.
    pub fn new(hard_state: HardState, conf_state: ConfState, base: (u64, u64)) -> Self {
        GroupStorage { hard_state, conf_state, base, entries: VecDeque::new(), entries_bytes: 0 }
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

    /// Forgets entries up to `index`, oldest first, as long as more than `bytes_max` bytes are kept.
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

    fn snapshot(&self, _request_index: u64, _to: u64) -> Result<Snapshot> {
        Err(Error::Store(StorageError::SnapshotTemporarilyUnavailable))
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
        storage.compact(1, 0);
        assert_eq!(storage.first_index().unwrap(), 2);
        assert_eq!(storage.term(1).unwrap(), 1);
        storage.compact(2, 0);
        assert_eq!(storage.last(), (2, 2));
        assert!(storage.entries(2, 3, None, GetEntriesContext::empty(false)).is_err());
    }
}
