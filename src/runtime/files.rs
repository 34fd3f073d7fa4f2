//! A shard's segments while it runs: each one mapped, log segments open for direct writes.

use crate::runtime::map::SegmentMap;
use crate::runtime::segment_files::SegmentFiles;
use crate::runtime::segment_lock::lock_for_writes;
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
    /// For direct writes; checkpoints are not written to any more.
    pub file: Option<Rc<File>>,
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
            let map = Arc::new(files.map(file.segment, file.role)?);
            let open = match file.role {
                SegmentRole::Log => Some(Rc::new(open_locked(&files, file.segment)?)),
                SegmentRole::Checkpoint => None,
            };
            segments.insert(file.segment, OpenSegment { role: file.role, file: open, map });
        }
        Ok(ShardFiles { files, segments })
    }

    /// Where they are.
    pub fn directory(&self) -> &SegmentFiles {
        &self.files
    }

    /// The bytes of the segments of a role, by number.
    pub fn bytes(&self, role: SegmentRole) -> Vec<(SegmentId, &[u8])> {
        let of_role = self.segments.iter().filter(|(_, open)| open.role == role);
        of_role.map(|(&segment, open)| (segment, &open.map[..])).collect()
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

    /// The highest number in use.
    pub fn newest(&self) -> SegmentId {
        self.segments.keys().next_back().copied().unwrap_or(SegmentId(0))
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

/// Opens a log segment for writes that its lock outlasts, once those of a server that is gone have ended.
fn open_locked(files: &SegmentFiles, segment: SegmentId) -> io::Result<File> {
    let file = files.open_log(segment)?;
    lock_for_writes(&file, &files.path(segment, SegmentRole::Log))?;
    Ok(file)
}

/// Makes a log segment: zeroed, durable, found again after a crash. `pace` is told of every chunk written, in bytes.
///
/// # Errors
/// What the file system says; nothing is left behind.
pub fn make_segment(
    files: &SegmentFiles,
    segment: SegmentId,
    bytes: u64,
    pace: &mut dyn FnMut(usize),
) -> io::Result<NewSegment> {
    let mut unfinished = files.begin(segment, SegmentRole::Log, bytes)?;
    loop {
        match unfinished.zero_next()? {
            0 => break,
            written => pace(written),
        }
    }
    unfinished.finish()?;
    let file = open_locked(files, segment)?;
    let map = files.map(segment, SegmentRole::Log)?;
    Ok(NewSegment { segment, bytes, file, map })
}
