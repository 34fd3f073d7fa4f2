//! A shard's segments while it runs: each one mapped, those that the log still writes to open for direct writes.

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
    /// For direct writes, while it is written to or about to be. The log of a large data set has more segments than a process may
    /// have files open; a map needs no descriptor.
    file: Option<Rc<File>>,
    /// For reads.
    pub map: Arc<SegmentMap>,
}

/// The segments of one shard.
pub struct ShardFiles {
    files: SegmentFiles,
    segments: BTreeMap<SegmentId, OpenSegment>,
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
    /// Opens every file of a shard's directory; what was being made when the server stopped is removed.
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
        Ok(ShardFiles { files, segments })
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

    /// The log segment that is written to from now on; those before it are whole, and are let go of.
    ///
    /// # Errors
    /// When it cannot be opened, or somebody else writes to it.
    pub fn for_writes(&mut self, segment: SegmentId) -> io::Result<&Rc<File>> {
        for (_, whole) in self.segments.range_mut(..segment) {
            whole.file = None;
        }
        let open = self.segments.get_mut(&segment).expect("the log writes to its segments");
        assert_eq!(open.role, SegmentRole::Log, "the log writes to log segments");
        if open.file.is_none() {
            open.file = Some(Rc::new(open_locked(&self.files, segment)?));
        }
        Ok(open.file.as_ref().expect("it was just opened"))
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

    /// A file goes, or gets another number.
    pub fn remove(&mut self, segment: SegmentId) {
        self.segments.remove(&segment);
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
