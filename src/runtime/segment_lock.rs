//! The lock of a segment that is written: it lasts as long as any write that was begun through the descriptor.
//!
//! ```text
//!  killed server   write begun ──────── in the kernel ────────┤ lock released
//!                        │ process gone, directory's lock released
//!  its successor               start ─ waits for the segment ─┤ maps and recovers it
//! ```
//!
//! The directory's lock says that the server before is gone, not that its writes are: a write that was given to an io_uring
//! goes on without its process, and could land after the log was recovered, beyond the end that recovery found. But it holds
//! the open file that it writes through, and the kernel keeps an open file's `flock` until the last that holds the file lets
//! go. So the lock is taken on the very descriptor of the writes, before the first of them.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use ringkeep_shards::ids::SegmentId;
use ringkeep_shards::log::SegmentRole;

use super::segment_files::SegmentFiles;
use super::sys;
use crate::log_line;

/// How long a start waits for the writes of the server before it. A disk that takes longer for one is broken.
const WRITES_END_MAX: Duration = Duration::from_secs(30);
/// After so long somebody wants to know what is waited for.
const SAID_AFTER: Duration = Duration::from_secs(1);
/// Between two looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// Opens a log segment for writes, once those of a server that is gone have ended, and locks it.
///
/// # Errors
/// See [`lock_for_writes`]; or it is not there.
pub fn open_locked(files: &SegmentFiles, segment: SegmentId) -> io::Result<File> {
    let file = files.open_log(segment)?;
    lock_for_writes(&file, &files.path(segment, SegmentRole::Log))?;
    Ok(file)
}

/// Locks a segment through the descriptor that is going to write it, waiting for the writes of a server that is gone.
///
/// # Errors
/// When they do not end, or when somebody else holds the file: this process itself through another descriptor, say.
pub fn lock_for_writes(file: &File, path: &Path) -> io::Result<()> {
    lock_within(file, path, WRITES_END_MAX)
}

/// Waits for the writes of a server that is gone, before a segment is read that nobody writes.
///
/// # Errors
/// When they do not end, or the file cannot be opened.
pub fn wait_for_writes(path: &Path) -> io::Result<()> {
    lock_for_writes(&File::open(path)?, path)
}

fn lock_within(file: &File, path: &Path, longest: Duration) -> io::Result<()> {
    let since = Instant::now();
    let mut said = false;
    while !sys::try_lock_file(file.as_fd())? {
        let waited = since.elapsed();
        if waited >= longest {
            let seconds = longest.as_secs();
            return Err(io::Error::new(
                io::ErrorKind::ResourceBusy,
                format!(
                    "{} is still being written after {seconds} s: by a server that was killed while the disk hangs (look \
                     at the kernel's log), or by another program",
                    path.display()
                ),
            ));
        }
        if waited >= SAID_AFTER && !said {
            said = true;
            log_line::warning(format_args!("waiting for the last writes of the server before to {}", path.display()));
        }
        std::thread::sleep(LOOK_INTERVAL);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::directory::tests::Scratch;
    use super::*;
    use io_uring::{IoUring, opcode, types};
    use std::ffi::CString;
    use std::fs::OpenOptions;
    use std::io::Write;
    use std::os::fd::AsRawFd;
    use std::os::unix::ffi::OsStrExt;

    fn open(path: &Path) -> File {
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).unwrap()
    }

    #[test]
    fn a_second_writer_is_refused_while_the_first_ones_file_is_open_anywhere() {
        let scratch = Scratch::new("segment-lock");
        let path = scratch.path().join("segment");
        let first = open(&path);
        lock_for_writes(&first, &path).unwrap();
        let second = open(&path);
        let error = lock_within(&second, &path, Duration::ZERO).unwrap_err().to_string();
        assert!(error.contains("is still being written") && error.contains("segment"), "{error}");
        let held_elsewhere = first.try_clone().unwrap();
        drop(first);
        lock_within(&second, &path, Duration::from_millis(20)).unwrap_err();
        drop(held_elsewhere);
        lock_within(&second, &path, Duration::ZERO).unwrap();
        assert!(wait_for_writes(&scratch.path().join("missing")).is_err());
    }

    /// A pipe stands for a disk that takes its time: an operation on it ends when the test says so.
    #[test]
    fn an_operation_in_the_kernel_holds_the_lock_after_the_descriptor_is_closed() {
        let scratch = Scratch::new("segment-lock-ring");
        let path = scratch.path().join("slow");
        let name = CString::new(path.as_os_str().as_bytes()).unwrap();
        // SAFETY: the name ends with a zero byte and outlives the call.
        assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
        let file = open(&path);
        lock_for_writes(&file, &path).unwrap();
        let mut ring = IoUring::new(4).unwrap();
        let mut buffer = [0; 4];
        let read = opcode::Read::new(types::Fd(file.as_raw_fd()), buffer.as_mut_ptr(), 4).build();
        // SAFETY: the buffer outlives the operation, whose completion is waited for below.
        unsafe { ring.submission().push(&read).unwrap() };
        ring.submit().unwrap();
        drop(file);
        let mut next = open(&path);
        lock_within(&next, &path, Duration::from_millis(50)).unwrap_err();
        next.write_all(b"late").unwrap();
        ring.submit_and_wait(1).unwrap();
        assert_eq!(ring.completion().next().unwrap().result(), 4);
        lock_within(&next, &path, Duration::from_secs(10)).unwrap();
        assert_eq!(&buffer, b"late");
    }

    #[test]
    fn a_start_waits_for_writes_that_end() {
        let scratch = Scratch::new("segment-lock-wait");
        let path = scratch.path().join("segment");
        let first = open(&path);
        lock_for_writes(&first, &path).unwrap();
        let ending = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            drop(first);
        });
        let since = Instant::now();
        wait_for_writes(&path).unwrap();
        assert!(since.elapsed() >= Duration::from_millis(50));
        ending.join().unwrap();
    }
}
