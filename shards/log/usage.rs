//! Who still needs a segment: values that refer into it count their bytes, readers hold it whole.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

use super::record::LogPosition;
use crate::ids::SegmentId;

/// The counters of one segment. They belong to the shard's core; handles share them by `Rc`.
#[derive(Debug)]
pub(super) struct Usage {
    pub(super) segment: SegmentId,
    pub(super) live_bytes: Cell<u64>,
    pub(super) values: Cell<u64>,
    pub(super) holds: Cell<u64>,
}

impl Usage {
    pub(super) fn new(segment: SegmentId) -> Rc<Self> {
        Rc::new(Self { segment, live_bytes: Cell::new(0), values: Cell::new(0), holds: Cell::new(0) })
    }
}

/// A large value's reference to its bytes in a segment. While it lives those bytes count as live. A clone counts again: it is
/// another value with the same bytes; versions that share one value share one handle.
pub struct SegmentUse {
    usage: Rc<Usage>,
    offset: u64,
    bytes: u64,
}

impl SegmentUse {
    pub(super) fn new(usage: Rc<Usage>, offset: u64, bytes: u64) -> Self {
        usage.live_bytes.set(usage.live_bytes.get() + bytes);
        usage.values.set(usage.values.get() + 1);
        Self { usage, offset, bytes }
    }

    /// Where the bytes lie.
    pub fn position(&self) -> LogPosition {
        LogPosition { segment: self.usage.segment, offset: self.offset, bytes: self.bytes }
    }
}

impl Clone for SegmentUse {
    fn clone(&self) -> Self {
        Self::new(Rc::clone(&self.usage), self.offset, self.bytes)
    }
}

impl Drop for SegmentUse {
    fn drop(&mut self) {
        let usage = &self.usage;
        usage.live_bytes.set(usage.live_bytes.get() - self.bytes);
        usage.values.set(usage.values.get() - 1);
    }
}

impl fmt::Debug for SegmentUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SegmentUse({})", self.position())
    }
}

/// Keeps a segment's file as it is while something reads it: a pin, a send, a follower that catches up.
#[derive(Debug)]
pub struct SegmentHold {
    usage: Rc<Usage>,
}

impl SegmentHold {
    pub(super) fn new(usage: Rc<Usage>) -> Self {
        usage.holds.set(usage.holds.get() + 1);
        Self { usage }
    }

    /// The segment that is held.
    pub fn segment(&self) -> SegmentId {
        self.usage.segment
    }
}

impl Clone for SegmentHold {
    fn clone(&self) -> Self {
        Self::new(Rc::clone(&self.usage))
    }
}

impl Drop for SegmentHold {
    fn drop(&mut self) {
        self.usage.holds.set(self.usage.holds.get() - 1);
    }
}
