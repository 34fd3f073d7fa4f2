//! Strings whose bytes are in the log: held in memory until they are safely there and cold, then only referred to.

use crate::log::{LogPosition, SegmentUse};
use bytes::Bytes;
use std::cell::RefCell;
use std::rc::Rc;

/// A large string. At least one of memory and place is there at any time. Its bytes count as live in their segment until the last
/// holder (tip, inverse, version) lets go.
#[derive(Debug)]
pub struct LargeString {
    len: usize,
    memory: RefCell<Option<Bytes>>,
    place: RefCell<Option<SegmentUse>>,
}

impl LargeString {
    /// A string that is in memory and on its way to the log.
    pub fn in_memory(bytes: Bytes) -> Rc<Self> {
        Rc::new(LargeString { len: bytes.len(), memory: RefCell::new(Some(bytes)), place: RefCell::new(None) })
    }

    /// A string that is on disk, as recovery finds it.
    pub fn on_disk(place: SegmentUse) -> Rc<Self> {
        let len = place.position().bytes as usize;
        Rc::new(LargeString { len, memory: RefCell::new(None), place: RefCell::new(Some(place)) })
    }

    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it is empty; a large string never is.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes, if they are in memory.
    pub fn memory(&self) -> Option<Bytes> {
        self.memory.borrow().clone()
    }

    /// Where the bytes are on disk, once they are.
    pub fn place(&self) -> Option<LogPosition> {
        self.place.borrow().as_ref().map(SegmentUse::position)
    }

    /// Records that the bytes lie at `place` (first write, or moved by a checkpoint).
    ///
    /// # Panics
    /// If the place has another length.
    pub fn put_at(&self, place: SegmentUse) {
        assert_eq!(place.position().bytes, self.len as u64, "a string's place holds all of it");
        self.place.replace(Some(place));
    }

    /// Lets go of the copy in memory, if the bytes are on disk; how many bytes that freed.
    pub fn cool(&self) -> usize {
        if self.place.borrow().is_none() {
            return 0;
        }
        self.memory.take().map_or(0, |bytes| bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SegmentId;
    use crate::log::{SegmentRole, SegmentTable};

    #[test]
    fn segments_count_what_lives_in_them() {
        let mut table = SegmentTable::new(1 << 20, SegmentId(1));
        let (first, second) = (SegmentId(1), SegmentId(2));
        table.add(first, SegmentRole::Log, 1 << 20);
        table.add(second, SegmentRole::Checkpoint, 1 << 20);
        let place = |segment, offset| table.value(LogPosition { segment, offset, bytes: 100 }).unwrap();
        let string = LargeString::in_memory(Bytes::from(vec![1; 100]));
        assert_eq!(string.cool(), 0, "bytes that are nowhere else stay");
        string.put_at(place(first, 64));
        assert_eq!(table.live_bytes(first), 100);
        assert_eq!(string.cool(), 100);
        string.put_at(place(second, 0));
        assert_eq!((table.live_bytes(first), table.live_bytes(second)), (0, 100));
        drop(string);
        assert_eq!(table.live_bytes(second), 0);
    }
}
