//! What the keys hold in memory, and what they refer to on disk.

use crate::keyspace::keyspace::Keyspace;
use crate::keyspace::large::LargeString;
use crate::log::{LogPosition, SegmentTable};
use std::rc::Rc;

impl Keyspace {
    /// What the keys hold in memory, in bytes: entries, tables, strings that are not in the log alone, versions that pins want, what
    /// contexts have written; and the libraries of functions.
    pub fn memory_bytes(&self) -> usize {
        self.memory_bytes + self.warm_bytes + self.versions_bytes + self.all_views_bytes() + self.libraries.bytes()
    }

    /// What is in memory and nowhere in the log's segments, in bytes: what a checkpoint has to write.
    pub fn unplaced_bytes(&self) -> usize {
        self.memory_bytes + self.libraries.bytes()
    }

    /// How often a key was changed since the start.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// The tables' own share, in bytes (slow: looks at every table).
    pub fn overhead_bytes(&self) -> usize {
        self.databases.iter().map(|database| database.table.overhead_bytes()).sum()
    }

    /// A large string's bytes are on disk at this place: its copy in memory may go from now on.
    pub fn placed(&mut self, string: &Rc<LargeString>, position: LogPosition) {
        string.put_at(self.segments.value(position).expect("the log writes to segments that are there"));
        if Rc::strong_count(string) > 1 {
            self.warm_bytes += string.len();
            self.warm.push_back((Rc::downgrade(string), string.len()));
        }
    }

    /// Lets copies in memory go, oldest first, until they hold no more than `bytes_max`.
    pub fn cool_to(&mut self, bytes_max: usize) {
        while let Some((string, bytes)) = self.warm.front() {
            let string = string.upgrade();
            if string.is_some() && self.warm_bytes <= bytes_max {
                break;
            }
            self.warm_bytes -= bytes;
            self.warm.pop_front();
            if let Some(string) = string {
                string.cool();
            }
        }
    }

    /// Whether a string of so many bytes lives in the log.
    pub fn is_large(&self, bytes: usize) -> bool {
        bytes >= self.large_bytes_min
    }

    /// The shard's segments, and who needs them.
    pub fn segments(&self) -> &SegmentTable {
        &self.segments
    }

    /// The shard's segments, to be told of files that come and go.
    pub fn segments_mut(&mut self) -> &mut SegmentTable {
        &mut self.segments
    }
}
