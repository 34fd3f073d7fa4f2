//! The files of one shard: made under another name, durable before they count, recycled by renaming.
//!
//! ```text
//!  shard-0003/0000000000000007.log             a log segment
//!  shard-0003/0000000000000009.checkpoint      a checkpoint, whole
//!  shard-0003/*.tmp                            being made; removed at the next start
//! ```
//!
//! Nothing here waits for a turn: every call blocks until the disk is done. The background queue paces them.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use ringkeep_shards::ids::SegmentId;
use ringkeep_shards::log::{AlignedBuffer, BLOCK_BYTES_MAX, ByteRange, SegmentRole};

use super::directory::sync_directory;
use super::disk::{Disk, allocate};
use super::map::SegmentMap;

/// A segment is zeroed by writes of this size.
pub const ZERO_CHUNK_BYTES: usize = 1 << 20;

/// So much of a file is given back at once: about a millisecond's work for the file system.
const SHORTEN_BYTES: u64 = 4 << 20;

/// A file of the shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SegmentFile {
    /// Its id.
    pub segment: SegmentId,
    /// What it is for.
    pub role: SegmentRole,
    /// Its size.
    pub bytes: u64,
}

/// The directory of one shard's files.
#[derive(Clone, Debug)]
pub struct SegmentFiles {
    path: PathBuf,
    disk: Disk,
}

impl SegmentFiles {
    /// The files in a shard's directory, which is made if there is none.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(path: &Path, disk: Disk) -> io::Result<Self> {
        if !path.is_dir() {
            fs::create_dir(path)?;
            if let Some(above) = path.parent() {
                sync_directory(above)?;
            }
        }
        Ok(Self { path: path.to_owned(), disk })
    }

    /// The files that count, by id. Others are left alone.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn list(&self) -> io::Result<Vec<SegmentFile>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if let Some((segment, role)) = entry.file_name().to_str().and_then(parse_name) {
                found.push(SegmentFile { segment, role, bytes: entry.metadata()?.len() });
            }
        }
        found.sort_by_key(|file| file.segment);
        Ok(found)
    }

    /// Removes what was being made when the server stopped.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn remove_unfinished(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.path)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "tmp") {
                fs::remove_file(path)?;
            }
        }
        sync_directory(&self.path)
    }

    /// The bytes that are free for the directory's files.
    ///
    /// # Errors
    /// As `statvfs(3)`.
    pub fn free_bytes(&self) -> io::Result<u64> {
        super::disk::free_bytes(&self.path)
    }

    /// The path of a file.
    pub fn path(&self, segment: SegmentId, role: SegmentRole) -> PathBuf {
        self.path.join(format!("{:016}.{}", segment.0, extension(role)))
    }

    /// Maps a file.
    ///
    /// # Errors
    /// When it is not there, or is empty.
    pub fn map(&self, segment: SegmentId, role: SegmentRole) -> io::Result<SegmentMap> {
        SegmentMap::open(&self.path(segment, role))
    }

    /// Opens a log segment for the log's writes.
    ///
    /// # Errors
    /// When it is not there.
    pub fn open_log(&self, segment: SegmentId) -> io::Result<File> {
        self.disk.open_for_writes(&self.path(segment, SegmentRole::Log))
    }

    /// Begins a file: all its blocks allocated, under a name that does not count yet. A log segment is to be zeroed before `finish`,
    /// so that the log's writes change no metadata of the file. A checkpoint, whose size is not known before, begins with 0 bytes and grows.
    ///
    /// # Errors
    /// When the disk is full, or the file is there.
    pub fn begin(&self, segment: SegmentId, role: SegmentRole, bytes: u64) -> io::Result<UnfinishedFile> {
        let name = self.path(segment, role);
        let unfinished = unfinished(&name, role);
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&unfinished)?;
        let mut begun = UnfinishedFile { file, unfinished, name, bytes, zeroed_bytes: 0, zeros: zeros() };
        if bytes > 0 {
            allocate(&begun.file, bytes)?;
        }
        begun.file = self.disk.open_for_writes(&begun.unfinished)?;
        Ok(begun)
    }

    /// Gives a log segment's file to another segment. What it holds is harmless there: records name their segment.
    ///
    /// # Errors
    /// When the file is not there, or the new name is taken.
    pub fn recycle(&self, from: SegmentId, to: SegmentId) -> io::Result<()> {
        let to = self.path(to, SegmentRole::Log);
        if to.exists() {
            return Err(io::Error::from(io::ErrorKind::AlreadyExists));
        }
        fs::rename(self.path(from, SegmentRole::Log), to)?;
        sync_directory(&self.path)
    }

    /// Takes a file's name away, durably: it does not count any more, and goes when what is returned does. Maps of it stay readable.
    ///
    /// # Errors
    /// When it is not there.
    pub fn retire(&self, segment: SegmentId, role: SegmentRole) -> io::Result<RetiredFile> {
        let retired = unfinished(&self.path(segment, role), role);
        fs::rename(self.path(segment, role), &retired)?;
        sync_directory(&self.path)?;
        let file = OpenOptions::new().write(true).open(&retired)?;
        let bytes = file.metadata()?.len();
        Ok(RetiredFile { file, path: retired, bytes })
    }

    /// Overwrites what a torn write left in a log segment, durably.
    ///
    /// # Errors
    /// As the writes.
    pub fn zero(&self, range: ByteRange) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(self.path(range.segment, SegmentRole::Log))?;
        let zeros = [0; BLOCK_BYTES_MAX as usize];
        let end = range.offset + range.bytes;
        for from in (range.offset..end).step_by(zeros.len()) {
            file.write_all_at(&zeros[..(end - from).min(zeros.len() as u64) as usize], from)?;
        }
        file.sync_data()
    }

    /// Makes what the page cache holds of a log segment durable.
    ///
    /// # Errors
    /// As `fdatasync(2)`. It must not be tried again: the kernel may have dropped what it could not write.
    pub fn sync(&self, segment: SegmentId) -> io::Result<()> {
        OpenOptions::new().write(true).open(self.path(segment, SegmentRole::Log))?.sync_data()
    }
}

/// A file that does not count yet. Dropped unfinished, it is removed.
#[derive(Debug)]
pub struct UnfinishedFile {
    file: File,
    unfinished: PathBuf,
    name: PathBuf,
    bytes: u64,
    zeroed_bytes: u64,
    zeros: AlignedBuffer,
}

impl UnfinishedFile {
    /// Writes the next chunk of zeros. Returns how many bytes, 0 at the end: the caller paces itself by that.
    ///
    /// # Errors
    /// As `write(2)`.
    pub fn zero_next(&mut self) -> io::Result<usize> {
        let bytes = (self.bytes - self.zeroed_bytes).min(self.zeros.len() as u64) as usize;
        self.file.write_all_at(&self.zeros[..bytes], self.zeroed_bytes)?;
        self.zeroed_bytes += bytes as u64;
        Ok(bytes)
    }

    /// Writes a chunk of a checkpoint.
    ///
    /// # Errors
    /// As `write(2)`.
    pub fn write(&self, offset: u64, buffer: &AlignedBuffer) -> io::Result<()> {
        self.file.write_all_at(buffer, offset)
    }

    /// Makes the file durable and gives it its name, durably too.
    ///
    /// # Errors
    /// As `fsync(2)` and `rename(2)`; the file is removed then.
    pub fn finish(self) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.unfinished, &self.name)?;
        sync_directory(self.name.parent().expect("a file in a directory"))
    }
}

impl Drop for UnfinishedFile {
    fn drop(&mut self) {
        // After `finish` there is none by this name. If it cannot be removed, the next start does it.
        let _ = fs::remove_file(&self.unfinished);
    }
}

/// A file without a name that counts. Dropped, it is removed; if it cannot be, the next start does it.
///
/// Removing a large file in one go holds the file system's journal while its blocks are given back (16 ms for 85 MB on a disk with
/// `discard`), and with it the log's writes: it can be shortened before.
#[derive(Debug)]
pub struct RetiredFile {
    file: File,
    path: PathBuf,
    bytes: u64,
}

impl RetiredFile {
    /// Gives back the last part of the file. Returns how many bytes, 0 at the end: the caller paces itself by that. Nobody may read a map of
    /// the file any more.
    ///
    /// # Errors
    /// As `ftruncate(2)`.
    pub fn shorten(&mut self) -> io::Result<usize> {
        let shorter = self.bytes.saturating_sub(SHORTEN_BYTES);
        let given_back = self.bytes - shorter;
        if given_back > 0 {
            self.file.set_len(shorter)?;
            self.bytes = shorter;
        }
        Ok(given_back as usize)
    }
}

impl Drop for RetiredFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// The name of a file that does not count.
fn unfinished(name: &Path, role: SegmentRole) -> PathBuf {
    name.with_extension(format!("{}.tmp", extension(role)))
}

fn zeros() -> AlignedBuffer {
    let mut zeros = AlignedBuffer::with_capacity(ZERO_CHUNK_BYTES);
    zeros.push(&[0]);
    zeros.pad_to(ZERO_CHUNK_BYTES);
    zeros
}

fn extension(role: SegmentRole) -> &'static str {
    match role {
        SegmentRole::Log => "log",
        SegmentRole::Checkpoint => "checkpoint",
    }
}

fn parse_name(name: &str) -> Option<(SegmentId, SegmentRole)> {
    let (id, rest) = name.split_once('.')?;
    let role = [SegmentRole::Log, SegmentRole::Checkpoint].into_iter().find(|role| extension(*role) == rest)?;
    let digits = id.len() >= 16 && id.bytes().all(|byte| byte.is_ascii_digit());
    Some((SegmentId(id.parse().ok().filter(|_| digits)?), role))
}

#[cfg(test)]
mod tests {
    use super::super::directory::tests::Scratch;
    use super::*;

    fn files(scratch: &Scratch) -> SegmentFiles {
        let disk = Disk::probe(scratch.path()).unwrap();
        assert!((512..=4096).contains(&disk.block_bytes) && disk.block_bytes.is_power_of_two());
        SegmentFiles::open(&scratch.path().join("shard-0000"), disk).unwrap()
    }

    fn listed(files: &SegmentFiles) -> Vec<(u64, SegmentRole, u64)> {
        files.list().unwrap().into_iter().map(|file| (file.segment.0, file.role, file.bytes)).collect()
    }

    #[test]
    fn a_segment_counts_once_it_is_finished() {
        let scratch = Scratch::new("segments");
        let files = files(&scratch);
        let bytes = (ZERO_CHUNK_BYTES * 2 + 8192) as u64;
        let mut unfinished = files.begin(SegmentId(7), SegmentRole::Log, bytes).unwrap();
        let mut written = Vec::new();
        while let more @ 1.. = unfinished.zero_next().unwrap() {
            written.push(more);
        }
        assert_eq!(written, [ZERO_CHUNK_BYTES, ZERO_CHUNK_BYTES, 8192]);
        assert!(listed(&files).is_empty());
        unfinished.finish().unwrap();
        assert_eq!(listed(&files), [(7, SegmentRole::Log, bytes)]);
        let map = files.map(SegmentId(7), SegmentRole::Log).unwrap();
        assert!(map.iter().all(|byte| *byte == 0));
        let mut buffer = AlignedBuffer::with_capacity(4096);
        buffer.push(b"direct");
        buffer.pad_to(4096);
        files.open_log(SegmentId(7)).unwrap().write_all_at(&buffer, 4096).unwrap();
        assert_eq!(&map[4096..4102], b"direct", "the map shows what was written directly");
        files.zero(ByteRange { segment: SegmentId(7), offset: 4098, bytes: 2 }).unwrap();
        assert_eq!(&map[4096..4102], b"di\0\0ct");
        files.sync(SegmentId(7)).unwrap();
        files.recycle(SegmentId(7), SegmentId(8)).unwrap();
        assert_eq!(listed(&files), [(8, SegmentRole::Log, bytes)]);
        assert_eq!(&map[4096..4098], b"di");
        assert!(files.recycle(SegmentId(7), SegmentId(9)).is_err());
        drop(files.retire(SegmentId(8), SegmentRole::Log).unwrap());
        assert!(listed(&files).is_empty());
    }

    #[test]
    fn what_goes_loses_its_name_first_and_its_bytes_piece_by_piece() {
        let scratch = Scratch::new("retired");
        let files = files(&scratch);
        files.begin(SegmentId(3), SegmentRole::Log, 9 << 20).unwrap().finish().unwrap();
        let map = files.map(SegmentId(3), SegmentRole::Log).unwrap();
        let mut retired = files.retire(SegmentId(3), SegmentRole::Log).unwrap();
        assert!(files.list().unwrap().is_empty(), "it counts no more");
        assert_eq!(map.len(), 9 << 20, "a map of it is whole");
        drop(map);
        let mut pieces = Vec::new();
        while let bytes @ 1.. = retired.shorten().unwrap() {
            pieces.push(bytes >> 20);
        }
        assert_eq!(pieces, [4, 4, 1]);
        let left = |scratch: &Scratch| fs::read_dir(scratch.path().join("shard-0000")).unwrap().count();
        assert_eq!(left(&scratch), 1);
        drop(retired);
        assert_eq!(left(&scratch), 0);
    }

    #[test]
    fn what_was_left_unfinished_goes() {
        let scratch = Scratch::new("unfinished");
        let files = files(&scratch);
        drop(files.begin(SegmentId(1), SegmentRole::Checkpoint, 4096).unwrap());
        assert_eq!(fs::read_dir(&files.path).unwrap().count(), 0);
        fs::write(files.path.join("0000000000000002.log.tmp"), b"half").unwrap();
        fs::write(files.path.join("notes.txt"), b"a person's").unwrap();
        files.remove_unfinished().unwrap();
        assert_eq!(fs::read_dir(&files.path).unwrap().count(), 1);
    }

    #[test]
    fn only_proper_names_count() {
        assert_eq!(parse_name("0000000000000012.log"), Some((SegmentId(12), SegmentRole::Log)));
        assert_eq!(parse_name("0000000000000012.checkpoint"), Some((SegmentId(12), SegmentRole::Checkpoint)));
        for other in ["12.log", "0000000000000012.log.tmp", "0000000000000012", "+000000000000012.log", "lock", ".log"]
        {
            assert_eq!(parse_name(other), None, "{other}");
        }
    }
}
