//! One key of a database.

use crate::keyspace::table::Keyed;
use crate::keyspace::text::Text;
use crate::keyspace::value::Value;
use std::cell::Cell;

/// A key with its value and expiry, in one cache line.
#[derive(Clone, Debug)]
pub struct Entry {
    pub(super) key: Text,
    pub(super) value: Value,
    pub(super) expires_ms: u64,
    pub(super) accessed_s: Cell<u32>,
    /// The second at which the expiry schedule looks at the key, or 0: it is on the schedule once.
    pub(super) scheduled_s: u32,
}

const _: () = assert!(size_of::<Entry>() == 64);

impl Entry {
    /// The key.
    pub fn key(&self) -> &[u8] {
        self.key.as_bytes()
    }

    /// The value.
    #[inline]
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// When it expires, in Unix milliseconds; 0 if it does not.
    #[inline]
    pub fn expires_ms(&self) -> u64 {
        self.expires_ms
    }

    /// Whether it has expired by `now_ms`.
    #[inline]
    pub fn expired(&self, now_ms: u64) -> bool {
        self.expires_ms != 0 && self.expires_ms <= now_ms
    }

    /// When it was last read or written, in Unix seconds.
    pub fn accessed_s(&self) -> u32 {
        self.accessed_s.get()
    }

    /// What it holds in memory with its place in the table, in bytes (an estimate).
    #[inline]
    pub fn memory_bytes(&self) -> usize {
        ENTRY_BYTES + self.key.heap_bytes() + self.value.heap_bytes()
    }
}

/// An entry and its share of the table's segment.
pub(super) const ENTRY_BYTES: usize = size_of::<Entry>() + 16;

impl Keyed for Entry {
    #[inline]
    fn key(&self) -> &[u8] {
        self.key.as_bytes()
    }
}
