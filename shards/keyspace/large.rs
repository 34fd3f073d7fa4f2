//! Strings whose bytes are in the log: held in memory until they are safely there and cold, then only referred to.

use crate::ids::SegmentId;
use bytes::Bytes;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// How many live bytes of large strings a segment holds. Every [`LargeString`] that lies there adds itself and takes itself off
/// when the last holder (tip, inverse, version) lets go.
#[derive(Debug)]
pub struct SegmentBytes {
    /// The segment.
    pub segment: SegmentId,
    live_bytes: Cell<u64>,
}

impl SegmentBytes {
    /// The counter of a segment that nothing refers to yet.
    pub fn new(segment: SegmentId) -> Rc<Self> {
        Rc::new(SegmentBytes { segment, live_bytes: Cell::new(0) })
    }

    /// Bytes that live values refer to.
    pub fn live_bytes(&self) -> u64 {
        self.live_bytes.get()
    }
}

/// Where a large string's bytes are on disk.
#[derive(Clone, Debug)]
pub struct Place {
    /// The segment, counted.
    pub segment: Rc<SegmentBytes>,
    /// Bytes from the segment's start.
    pub offset: u64,
}

/// A large string. At least one of memory and place is there at any time.
#[derive(Debug)]
pub struct LargeString {
    len: usize,
    memory: RefCell<Option<Bytes>>,
    place: RefCell<Option<Place>>,
}

impl LargeString {
    /// A string that is in memory and on its way to the log.
    pub fn in_memory(bytes: Bytes) -> Rc<Self> {
        Rc::new(LargeString { len: bytes.len(), memory: RefCell::new(Some(bytes)), place: RefCell::new(None) })
    }

    /// A string that is on disk, as recovery finds it.
    pub fn on_disk(place: Place, len: usize) -> Rc<Self> {
        let string = LargeString { len, memory: RefCell::new(None), place: RefCell::new(None) };
        string.put_at(place);
        Rc::new(string)
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
    pub fn place(&self) -> Option<Place> {
        self.place.borrow().clone()
    }

    /// Records that the bytes lie at `place` (first write, or moved by a checkpoint).
    pub fn put_at(&self, place: Place) {
        let counter = &place.segment.live_bytes;
        counter.set(counter.get() + self.len as u64);
        let old = self.place.replace(Some(place));
        self.uncount(old);
    }

    /// Lets go of the copy in memory, if the bytes are on disk; how many bytes that freed.
    pub fn cool(&self) -> usize {
        if self.place.borrow().is_none() {
            return 0;
        }
        self.memory.take().map_or(0, |bytes| bytes.len())
    }

    fn uncount(&self, place: Option<Place>) {
        if let Some(place) = place {
            let counter = &place.segment.live_bytes;
            counter.set(counter.get() - self.len as u64);
        }
    }
}

impl Drop for LargeString {
    fn drop(&mut self) {
        let place = self.place.take();
        self.uncount(place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_count_what_lives_in_them() {
        let (first, second) = (SegmentBytes::new(SegmentId(1)), SegmentBytes::new(SegmentId(2)));
        let string = LargeString::in_memory(Bytes::from(vec![1; 100]));
        assert_eq!(string.cool(), 0, "bytes that are nowhere else stay");
        string.put_at(Place { segment: first.clone(), offset: 64 });
        assert_eq!(first.live_bytes(), 100);
        assert_eq!(string.cool(), 100);
        string.put_at(Place { segment: second.clone(), offset: 0 });
        assert_eq!((first.live_bytes(), second.live_bytes()), (0, 100));
        drop(string);
        assert_eq!(second.live_bytes(), 0);
    }
}
