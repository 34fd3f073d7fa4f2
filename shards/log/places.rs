//! Where the entries of a log lie on disk, for members that lag behind what is kept in memory.
//!
//! ```text
//!  place: first index, term ──► │ write │ write │ ...     a megabyte or so: from there records are read one after the other
//!  place: ...               ──► │ write │ ...
//! ```

use std::collections::VecDeque;

use crate::ids::{LogIndex, SegmentId, Term};

/// Bytes of log that one place stands for, about: what is read in vain before the entry that is looked for.
const PLACE_BYTES: u64 = 1 << 20;

/// A stretch of the log with entries of one term, one behind the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EntryPlace {
    /// The first entry.
    pub first: LogIndex,
    /// The term of all of them.
    pub term: Term,
    /// The file.
    pub segment: SegmentId,
    /// Where the first entry's record begins.
    pub offset: u64,
}

/// The places of a log's entries, without a gap from the first to the last.
#[derive(Clone, Debug, Default)]
pub struct EntryPlaces {
    places: VecDeque<EntryPlace>,
    /// The last entry.
    last: LogIndex,
    /// The next entry cannot be found from the one before it.
    broken: bool,
}

impl EntryPlaces {
    /// An entry's record begins at this offset. Entries from its index on that were there before are void; it must not leave a gap,
    /// or all before it are forgotten.
    pub fn push(&mut self, index: LogIndex, term: Term, segment: SegmentId, offset: u64) {
        if index.0 != self.last.0 + 1 || self.places.is_empty() {
            self.truncate(index);
        }
        let goes_on = self.places.back().is_some_and(|place| {
            let near = offset.checked_sub(place.offset).is_some_and(|bytes| bytes < PLACE_BYTES);
            place.segment == segment && place.term == term && near && !self.broken
        });
        if !goes_on {
            self.places.push_back(EntryPlace { first: index, term, segment, offset });
        }
        self.last = index;
        self.broken = false;
    }

    /// What is written next does not begin where the last write ended.
    pub fn break_off(&mut self) {
        self.broken = true;
    }

    /// Entries from this index on are void.
    pub fn truncate(&mut self, from: LogIndex) {
        if from.0 > self.last.0 + 1 {
            self.clear();
            return;
        }
        while self.places.back().is_some_and(|place| place.first >= from) {
            self.places.pop_back();
        }
        self.last = LogIndex(from.0.saturating_sub(1));
        self.broken = true;
    }

    /// All entries are void.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// A file goes, and with it every entry up to its last.
    pub fn forget(&mut self, segment: SegmentId) {
        if let Some(last) = self.places.iter().rposition(|place| place.segment == segment) {
            self.places.drain(..=last);
        }
    }

    /// The first entry, and its term.
    pub fn first(&self) -> Option<(LogIndex, Term)> {
        self.places.front().map(|place| (place.first, place.term))
    }

    /// The last entry; it counts only if there is a first.
    pub fn last(&self) -> LogIndex {
        self.last
    }

    /// The place that an entry is found from, and the last entry that is.
    pub fn find(&self, index: LogIndex) -> Option<(EntryPlace, LogIndex)> {
        let at = self.places.partition_point(|place| place.first <= index).checked_sub(1)?;
        let last = self.places.get(at + 1).map_or(self.last, |next| LogIndex(next.first.0 - 1));
        (index <= last).then(|| (self.places[at], last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(places: &mut EntryPlaces, index: u64, term: u64, segment: u64, offset: u64) {
        places.push(LogIndex(index), Term(term), SegmentId(segment), offset);
    }

    fn at(places: &EntryPlaces, index: u64) -> Option<(u64, u64)> {
        places.find(LogIndex(index)).map(|(place, last)| (place.first.0, last.0))
    }

    #[test]
    fn entries_of_one_stretch_share_a_place() {
        let mut places = EntryPlaces::default();
        push(&mut places, 5, 1, 1, 0);
        push(&mut places, 6, 1, 1, 4096);
        push(&mut places, 7, 2, 1, 8192);
        push(&mut places, 8, 2, 2, 0);
        push(&mut places, 9, 2, 2, PLACE_BYTES);
        places.break_off();
        push(&mut places, 10, 2, 2, PLACE_BYTES + 512);
        assert_eq!(
            [4, 5, 6, 7, 8, 9, 10, 11].map(|index| at(&places, index)),
            [None, Some((5, 6)), Some((5, 6)), Some((7, 7)), Some((8, 8)), Some((9, 9)), Some((10, 10)), None]
        );
        places.forget(SegmentId(1));
        assert_eq!(
            (at(&places, 7), at(&places, 8), places.first()),
            (None, Some((8, 8)), Some((LogIndex(8), Term(2))))
        );
    }

    #[test]
    fn what_is_replaced_is_found_at_its_new_place_and_a_gap_forgets_what_was_before() {
        let mut places = EntryPlaces::default();
        for index in 1..=5 {
            push(&mut places, index, 1, 1, index * 512);
        }
        push(&mut places, 3, 2, 1, 6 * 512);
        assert_eq!([2, 3, 4].map(|index| at(&places, index)), [Some((1, 2)), Some((3, 3)), None]);
        push(&mut places, 9, 3, 1, 7 * 512);
        assert_eq!([2, 3, 9].map(|index| at(&places, index)), [None, None, Some((9, 9))]);
    }
}
