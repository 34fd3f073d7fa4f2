//! A shard's segments on disk: opened, mapped, made, given back.

use memmap2::{Advice, Mmap};
use ringkeep_shards::ids::SegmentId;
use ringkeep_shards::keyspace::{ColdRange, Segments};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

const PAGE_BYTES: usize = 4096;
const ZERO_CHUNK_BYTES: usize = 1 << 20;

/// One open segment.
pub struct OpenSegment {
    /// For direct writes.
    pub file: Rc<File>,
    /// For reads.
    pub map: Arc<Mmap>,
}

/// The segments of one shard.
pub struct ShardFiles {
    directory: PathBuf,
    segments: BTreeMap<SegmentId, OpenSegment>,
}

/// A segment that was made by the background and goes to its shard.
pub struct NewSegment {
    /// Its number.
    pub segment: SegmentId,
    /// Its size in bytes.
    pub bytes: u64,
    /// For direct writes.
    pub file: File,
    /// For reads.
    pub map: Mmap,
}

impl ShardFiles {
    /// Opens every segment of a shard's directory, which is made if it is not there.
    ///
    /// # Errors
    /// What the file system says.
    pub fn open(directory: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(directory)?;
        let mut segments = BTreeMap::new();
        for entry in std::fs::read_dir(directory)? {
            let path = entry?.path();
            let Some(segment) = segment_number(&path, "log") else { continue };
            let file = open_direct(&path)?;
            let map = map(&file)?;
            segments.insert(segment, OpenSegment { file: Rc::new(file), map: Arc::new(map) });
        }
        Ok(ShardFiles { directory: directory.to_owned(), segments })
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The segments' bytes, by number.
    pub fn bytes(&self) -> Vec<(SegmentId, &[u8])> {
        self.segments.iter().map(|(&segment, open)| (segment, &open.map[..])).collect()
    }

    /// One segment.
    pub fn segment(&self, segment: SegmentId) -> Option<&OpenSegment> {
        self.segments.get(&segment)
    }

    /// Takes in a segment that was made.
    pub fn add(&mut self, new: NewSegment) {
        self.segments.insert(new.segment, OpenSegment { file: Rc::new(new.file), map: Arc::new(new.map) });
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
        let bytes = &map[start..start + range.len];
        is_resident(bytes).then_some(bytes)
    }
}

/// Whether reading these bytes of a map waits for nothing (`mincore`; pages may still go at any moment, which costs a wait, not
/// correctness).
fn is_resident(bytes: &[u8]) -> bool {
    let start = bytes.as_ptr() as usize & !(PAGE_BYTES - 1);
    let end = bytes.as_ptr() as usize + bytes.len();
    let pages = (end - start).div_ceil(PAGE_BYTES);
    let mut few = [0u8; 64];
    let mut many = Vec::new();
    let states = if pages <= few.len() {
        &mut few[..pages]
    } else {
        many.resize(pages, 0);
        &mut many[..]
    };
    // SAFETY: the range lies within a map that is alive while its bytes are borrowed, and there is a byte for each page.
    let result = unsafe { libc::mincore(start as *mut libc::c_void, end - start, states.as_mut_ptr()) };
    result == 0 && states.iter().all(|state| state & 1 == 1)
}

fn segment_number(path: &Path, extension: &str) -> Option<SegmentId> {
    if path.extension()? != extension {
        return None;
    }
    path.file_stem()?.to_str()?.parse().ok().map(SegmentId)
}

fn segment_path(directory: &Path, segment: SegmentId) -> PathBuf {
    directory.join(format!("{:016}.log", segment.0))
}

fn open_direct(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).custom_flags(libc::O_DIRECT | libc::O_CLOEXEC).open(path)
}

fn map(file: &File) -> io::Result<Mmap> {
    // SAFETY: only this process writes to the file (the directory is locked), never through this map, and never to bytes
    // that something refers to.
    let map = unsafe { Mmap::map(file)? };
    map.advise(Advice::Random)?;
    Ok(map)
}

/// Makes a segment: zeroed, durable, found again after a crash.
///
/// # Errors
/// What the file system says; nothing is left behind.
pub fn make_segment(directory: &Path, segment: SegmentId, bytes: u64) -> io::Result<NewSegment> {
    let path = segment_path(directory, segment);
    let temporary = path.with_extension("tmp");
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .custom_flags(libc::O_DIRECT | libc::O_CLOEXEC)
        .open(&temporary)?;
    let zeros = aligned_zeros();
    let start = zeros.as_ptr().align_offset(PAGE_BYTES);
    let zeros = &zeros[start..start + ZERO_CHUNK_BYTES];
    let mut offset = 0;
    while offset < bytes {
        let len = (bytes - offset).min(ZERO_CHUNK_BYTES as u64) as usize;
        file.write_all_at(&zeros[..len], offset)?;
        offset += len as u64;
    }
    file.sync_all()?;
    std::fs::rename(&temporary, &path)?;
    File::open(directory)?.sync_all()?;
    let map = map(&file)?;
    Ok(NewSegment { segment, bytes, file, map })
}

fn aligned_zeros() -> Vec<u8> {
    vec![0; ZERO_CHUNK_BYTES + PAGE_BYTES]
}
