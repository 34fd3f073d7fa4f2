//! A shard's segments while it runs: each one mapped, those of the log that are written, or will be, open for direct writes.
//!
//! What the log has passed is closed: the limit of open files is not to bound how much a shard may hold.

use crate::runtime::map::SegmentMap;
use crate::runtime::segment_files::SegmentFiles;
use crate::runtime::segment_lock::{open_locked, wait_for_writes};
use ringkeep_shards::FoundFile;
use ringkeep_shards::ids::SegmentId;
use ringkeep_shards::keyspace::{ColdRange, Segments};
use ringkeep_shards::log::SegmentRole;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

/// One open segment.
pub struct OpenSegment {
    /// What it is for.
    pub role: SegmentRole,
    /// For direct writes; checkpoints, and segments that the log has passed, are not written to any more.
    pub file: Option<Rc<File>>,
    /// For reads.
    pub map: Arc<SegmentMap>,
}

/// The segments of one shard.
pub struct ShardFiles {
    files: SegmentFiles,
    segments: BTreeMap<SegmentId, OpenSegment>,
    /// The log is written here or in a later segment.
    written: SegmentId,
}

/// A segment that was made in the background.
pub struct NewSegment {
    /// Its number.
    pub segment: SegmentId,
    /// Its size in bytes.
    pub bytes: u64,
    /// For direct writes.
    pub file: File,
    /// For reads.
    pub map: SegmentMap,
}

impl ShardFiles {
    /// Maps every file of a shard's directory, once the writes of a server that is gone have ended; what was being made when it stopped is
    /// removed. [`ShardFiles::open_for_writes`] is yet to be called.
    ///
    /// # Errors
    /// What the file system says.
    pub fn open(files: SegmentFiles) -> io::Result<Self> {
        files.remove_unfinished()?;
        let mut segments = BTreeMap::new();
        for file in files.list()? {
            if file.role == SegmentRole::Log {
                wait_for_writes(&files.path(file.segment, file.role))?;
            }
            let map = Arc::new(files.map(file.segment, file.role)?);
            segments.insert(file.segment, OpenSegment { role: file.role, file: None, map });
        }
        Ok(ShardFiles { files, segments, written: SegmentId(0) })
    }

    /// Opens the log's segments from this one on: recovery has found that the log goes on there.
    ///
    /// # Errors
    /// What the file system says.
    pub fn open_for_writes(&mut self, from: SegmentId) -> io::Result<()> {
        self.written = from;
        for (&segment, open) in self.segments.range_mut(from..) {
            if open.role == SegmentRole::Log {
                open.file = Some(Rc::new(open_locked(&self.files, segment)?));
            }
        }
        Ok(())
    }

    /// The log writes to this segment now. Its writes to those before are done: they are closed.
    #[inline]
    pub fn writes_to(&mut self, segment: SegmentId) {
        if segment != self.written {
            for (_, open) in self.segments.range_mut(self.written..segment) {
                open.file = None;
            }
            self.written = segment;
        }
    }

    /// Where they are.
    pub fn directory(&self) -> &SegmentFiles {
        &self.files
    }

    /// All files, by number.
    pub fn found(&self) -> Vec<FoundFile<'_>> {
        let files = self.segments.iter();
        files.map(|(&segment, open)| FoundFile { segment, role: open.role, bytes: &open.map[..] }).collect()
    }

    /// All open files.
    pub fn segments(&self) -> impl Iterator<Item = &OpenSegment> {
        self.segments.values()
    }

    /// One segment.
    pub fn segment(&self, segment: SegmentId) -> Option<&OpenSegment> {
        self.segments.get(&segment)
    }

    /// Takes in a log segment that was made.
    pub fn add(&mut self, new: NewSegment) {
        let open = OpenSegment { role: SegmentRole::Log, file: Some(Rc::new(new.file)), map: Arc::new(new.map) };
        self.segments.insert(new.segment, open);
    }

    /// Takes in a checkpoint that has its name.
    pub fn add_checkpoint(&mut self, segment: SegmentId, map: SegmentMap) {
        let open = OpenSegment { role: SegmentRole::Checkpoint, file: None, map: Arc::new(map) };
        self.segments.insert(segment, open);
    }

    /// A file goes, or gets another number; its map.
    pub fn remove(&mut self, segment: SegmentId) -> Option<Arc<SegmentMap>> {
        self.segments.remove(&segment).map(|open| open.map)
    }
}

impl Segments for ShardFiles {
    fn resident(&self, range: ColdRange) -> Option<&[u8]> {
        let map = &self.segments.get(&range.segment)?.map;
        let start = range.offset as usize;
        let bytes = start..start + range.len;
        // An error of the kernel's means that it does not know: the range is then brought in.
        map.is_resident(bytes.clone()).unwrap_or(false).then(|| &map[bytes])
    }
}

/// All bytes may be read, at the cost of waiting: for recovery, before anybody is served.
pub struct Unhurried<'a>(pub &'a ShardFiles);

impl Segments for Unhurried<'_> {
    fn resident(&self, range: ColdRange) -> Option<&[u8]> {
        let map = &self.0.segments.get(&range.segment)?.map;
        let start = range.offset as usize;
        map.get(start..start + range.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::directory::tests::Scratch;
    use crate::runtime::disk::Disk;

    #[test]
    fn what_the_log_has_passed_is_closed_and_stays_closed_after_a_restart() {
        let scratch = Scratch::new("passed");
        let disk = Disk::probe(scratch.path()).unwrap();
        let files = SegmentFiles::open(&scratch.path().join("shard-0000"), disk).unwrap();
        for id in 1..=5 {
            files.begin(SegmentId(id), SegmentRole::Log, 8192).unwrap().finish().unwrap();
        }
        let open = |files: &ShardFiles| -> Vec<u64> {
            let open = files.segments.iter().filter(|(_, open)| open.file.is_some());
            open.map(|(segment, _)| segment.0).collect()
        };
        let mut shard = ShardFiles::open(files.clone()).unwrap();
        shard.open_for_writes(SegmentId(2)).unwrap();
        assert_eq!(open(&shard), [2, 3, 4, 5]);
        shard.writes_to(SegmentId(2));
        shard.writes_to(SegmentId(4));
        assert_eq!(open(&shard), [4, 5]);
        assert_eq!(shard.found().len(), 5, "all can be read");
        drop(shard);
        let mut shard = ShardFiles::open(files).unwrap();
        shard.open_for_writes(SegmentId(4)).unwrap();
        assert_eq!(open(&shard), [4, 5]);
    }
}
