//! What a directory's disk and file system can do: the logical block, and whether direct I/O works.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use ringkeep_shards::log::{AlignedBuffer, BLOCK_BYTES_MAX, BLOCK_BYTES_MIN};

/// The disk below a directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Disk {
    /// The logical block: writes start and end at multiples of it.
    pub block_bytes: u32,
    /// Why files here cannot be opened for direct I/O, as an errno; `None` when they can. Without it the log writes through the page
    /// cache, durably but slower.
    pub direct_refused: Option<i32>,
}

impl Disk {
    /// For reading only: nothing is known of the disk, and nothing is written to it.
    pub const UNKNOWN: Self = Self { block_bytes: BLOCK_BYTES_MAX, direct_refused: Some(libc::EINVAL) };

    /// Finds out by making, and removing, a file in the directory.
    ///
    /// # Errors
    /// When no file can be made there.
    pub fn probe(directory: &Path) -> io::Result<Self> {
        let path = directory.join(format!("probe-{}.tmp", std::process::id()));
        let plain = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path)?;
        let block_bytes = direct_alignment(&path).or_else(|| block_of_device(&plain)).unwrap_or(BLOCK_BYTES_MAX);
        let direct = write_directly(&path);
        fs::remove_file(&path)?;
        Ok(Self {
            block_bytes: block_bytes.clamp(BLOCK_BYTES_MIN, BLOCK_BYTES_MAX),
            direct_refused: direct.err().map(|error| error.raw_os_error().unwrap_or(libc::EIO)),
        })
    }

    /// Whether direct I/O works.
    pub fn is_direct(&self) -> bool {
        self.direct_refused.is_none()
    }

    /// Opens a file for the log's writes: direct where that works.
    ///
    /// # Errors
    /// As `open(2)`.
    pub fn open_for_writes(&self, path: &Path) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        if self.is_direct() {
            options.custom_flags(libc::O_DIRECT);
        }
        options.open(path)
    }
}

/// The alignment that the file system itself asks for (Linux 6.1 and later say so).
fn direct_alignment(path: &Path) -> Option<u32> {
    let path = CString::new(path.as_os_str().as_bytes()).ok()?;
    // SAFETY: all fields of the struct are integers; zeros are a value of it.
    let mut found: libc::statx = unsafe { std::mem::zeroed() };
    // SAFETY: the path ends with a zero byte, and the kernel writes no more than one `statx`.
    let result = unsafe { libc::statx(libc::AT_FDCWD, path.as_ptr(), 0, libc::STATX_DIOALIGN, &raw mut found) };
    let known = result == 0 && found.stx_mask & libc::STATX_DIOALIGN != 0;
    (known && found.stx_dio_offset_align.is_power_of_two()).then_some(found.stx_dio_offset_align)
}

/// The logical block of the device, as the kernel shows it for disks and, one level up, for partitions.
fn block_of_device(file: &File) -> Option<u32> {
    let device = file.metadata().ok()?.dev();
    let at = format!("/sys/dev/block/{}:{}", libc::major(device), libc::minor(device));
    let read = |below: &str| fs::read_to_string(format!("{at}/{below}")).ok();
    let text = read("queue/logical_block_size").or_else(|| read("../queue/logical_block_size"))?;
    text.trim().parse().ok().filter(|bytes: &u32| bytes.is_power_of_two())
}

fn write_directly(path: &Path) -> io::Result<()> {
    let file = OpenOptions::new().write(true).custom_flags(libc::O_DIRECT).open(path)?;
    let mut buffer = AlignedBuffer::with_capacity(BLOCK_BYTES_MAX as usize);
    buffer.push(&[1]);
    buffer.pad_to(BLOCK_BYTES_MAX as usize);
    file.write_all_at(&buffer, 0)
}

/// The bytes that are free for us on the file system of a directory.
///
/// # Errors
/// As `statvfs(3)`.
pub fn free_bytes(directory: &Path) -> io::Result<u64> {
    let path = CString::new(directory.as_os_str().as_bytes())?;
    // SAFETY: all fields of the struct are integers; zeros are a value of it.
    let mut found: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: the path ends with a zero byte, and the call writes no more than one `statvfs`.
    match unsafe { libc::statvfs(path.as_ptr(), &raw mut found) } {
        0 => Ok(found.f_bavail * found.f_frsize),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Gives a file its blocks on disk, so that later writes cannot run out of space.
pub(super) fn allocate(file: &File, bytes: u64) -> io::Result<()> {
    let length = libc::off_t::try_from(bytes).map_err(|_| io::Error::from_raw_os_error(libc::EFBIG))?;
    // SAFETY: a plain system call on a descriptor that is open for as long as `file` is borrowed.
    match unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, length) } {
        0 => Ok(()),
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}
