//! Making a ring, and saying clearly why it cannot be made.

use std::fmt;
use std::io;

use io_uring::IoUring;

use crate::runtime::sys;

/// The sizes of one core's ring.
#[derive(Clone, Copy, Debug)]
pub struct RingConfig {
    /// Operations that can be queued before the kernel is called. More are possible; they cost a call in between.
    pub submission_entries: u32,
    /// Completions that fit in shared memory. Beyond it the kernel keeps them aside, at a cost.
    pub completion_entries: u32,
    /// Buffers for received bytes: a power of two, at most 32,768.
    pub receive_buffers: u16,
    /// The size of each.
    pub receive_buffer_bytes: u32,
}

impl Default for RingConfig {
    fn default() -> Self {
        Self {
            submission_entries: 1024,
            completion_entries: 8192,
            receive_buffers: 512,
            receive_buffer_bytes: 16 << 10,
        }
    }
}

/// Why there is no ring.
#[derive(Debug)]
pub enum RingError {
    /// The kernel is built without io_uring, or a seccomp filter hides it.
    Missing,
    /// A sysctl or a seccomp filter forbids it.
    Forbidden,
    /// The kernel is older than Linux 6.1.
    TooOld,
    /// The limit of lockable memory is used up; soft limit in bytes.
    MemoryLock(u64),
    /// Something else that the operating system said.
    Other(io::Error),
}

impl fmt::Display for RingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str(
                "io_uring is not available: the kernel lacks it, or a seccomp filter hides it \
                 (containers: run with a profile that allows io_uring_setup, io_uring_enter and io_uring_register)",
            ),
            Self::Forbidden => f.write_str(
                "io_uring is forbidden: set `sysctl kernel.io_uring_disabled=0`, or allow io_uring in the seccomp profile",
            ),
            Self::TooOld => f.write_str("io_uring lacks what the server needs: Linux 6.1 or later is required"),
            Self::MemoryLock(soft) => write!(
                f,
                "too little lockable memory ({} KiB): raise it with `ulimit -l`, LimitMEMLOCK= or --ulimit memlock=",
                soft / 1024
            ),
            Self::Other(error) => write!(f, "io_uring: {error}"),
        }
    }
}

impl std::error::Error for RingError {}

impl From<io::Error> for RingError {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::ENOSYS) => Self::Missing,
            Some(libc::EPERM | libc::EACCES) => Self::Forbidden,
            Some(libc::EINVAL) => Self::TooOld,
            Some(libc::ENOMEM) => Self::MemoryLock(sys::memory_lock_limit_bytes().0),
            _ => Self::Other(error),
        }
    }
}

/// A ring for the calling thread alone, whose completions are handed over when the thread asks for them: no interrupts.
pub(super) fn build(config: &RingConfig) -> Result<IoUring, RingError> {
    let ring = IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_submit_all()
        .setup_clamp()
        .setup_cqsize(config.completion_entries)
        .build(config.submission_entries)?;
    if !ring.params().is_feature_ext_arg() || !ring.params().is_feature_nodrop() {
        return Err(RingError::TooOld);
    }
    Ok(ring)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_tell_what_to_do() {
        let text = |errno| RingError::from(io::Error::from_raw_os_error(errno)).to_string();
        assert!(text(libc::EPERM).contains("io_uring_disabled"));
        assert!(text(libc::ENOMEM).contains("ulimit -l"));
        assert!(text(libc::EINVAL).contains("6.1"));
        assert!(text(libc::ENOSYS).contains("seccomp"));
    }
}
