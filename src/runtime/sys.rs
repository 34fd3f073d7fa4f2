//! The few system calls that the standard library lacks, each behind a safe function.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// An eventfd of its own, closed on exec, never blocking its reader or writer.
pub(super) fn event_descriptor() -> io::Result<OwnedFd> {
    // SAFETY: eventfd takes two integers and touches no memory of ours.
    let descriptor = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
    owned(descriptor)
}

/// An eventfd whose reads wait: what an executor's read of it needs.
pub(super) fn waiting_event_descriptor() -> io::Result<OwnedFd> {
    // SAFETY: as above.
    let descriptor = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
    owned(descriptor)
}

fn owned(descriptor: i32) -> io::Result<OwnedFd> {
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call that made this descriptor has just returned it; nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Adds one to an eventfd. Async-signal-safe. A full counter already wakes its reader, so that error means nothing.
pub(super) fn signal_event(descriptor: BorrowedFd<'_>) {
    let one = 1u64.to_ne_bytes();
    // SAFETY: the eight bytes outlive the call, and write is async-signal-safe.
    unsafe { libc::write(descriptor.as_raw_fd(), one.as_ptr().cast(), one.len()) };
}

/// Takes an eventfd's counter, or `None` when it is zero.
#[cfg(test)]
pub(super) fn take_event(descriptor: BorrowedFd<'_>) -> Option<u64> {
    let mut count = [0u8; 8];
    // SAFETY: the eight bytes outlive the call.
    let read = unsafe { libc::read(descriptor.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
    (read == 8).then(|| u64::from_ne_bytes(count))
}

/// Ends both directions of a socket: what waits on it returns. A socket that is not connected any more is no error.
pub(super) fn shut_down(descriptor: BorrowedFd<'_>) {
    // SAFETY: shutdown takes two integers and touches no memory of ours.
    unsafe { libc::shutdown(descriptor.as_raw_fd(), libc::SHUT_RDWR) };
}

/// Takes the exclusive `flock` of an open file; false when another open file of the same name has it.
pub(super) fn try_lock_file(descriptor: BorrowedFd<'_>) -> io::Result<bool> {
    // SAFETY: flock takes two integers and touches no memory of ours.
    if unsafe { libc::flock(descriptor.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    let passes = matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted);
    if passes { Ok(false) } else { Err(error) }
}

/// Fills `bytes` from the kernel's random source.
///
/// # Panics
/// When the kernel has none (no Linux that this server runs on).
pub(super) fn fill_random(bytes: &mut [u8]) {
    let mut filled = 0;
    while filled < bytes.len() {
        let rest = &mut bytes[filled..];
        // SAFETY: pointer and length are those of one live slice.
        let count = unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) };
        if count > 0 {
            filled += count as usize;
        } else {
            let error = io::Error::last_os_error();
            assert!(error.kind() == io::ErrorKind::Interrupted, "getrandom failed: {error}");
        }
    }
}

/// The CPUs that the calling thread may run on, by the operating system's numbers.
pub(super) fn allowed_cpus() -> io::Result<Vec<usize>> {
    // SAFETY: a cpu_set_t is a plain array of bits, for which zero is a value.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set outlives the call and its true size is given.
    let result = unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    let count = size_of::<libc::cpu_set_t>() * 8;
    // SAFETY: every number is below the set's count of bits.
    Ok((0..count).filter(|&cpu| unsafe { libc::CPU_ISSET(cpu, &set) }).collect())
}

/// A set of CPUs in the kernel's form; numbers beyond the form's end are left out.
pub(super) fn cpu_set(cpus: &[usize]) -> libc::cpu_set_t {
    // SAFETY: a cpu_set_t is a plain array of bits, for which zero is a value.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    for &cpu in cpus {
        if cpu < size_of::<libc::cpu_set_t>() * 8 {
            // SAFETY: the number is below the set's count of bits.
            unsafe { libc::CPU_SET(cpu, &mut set) };
        }
    }
    set
}

/// Registers the process for expedited barriers, which its executors use when they park. The first registration with
/// several threads alive costs tens of milliseconds; with one thread it is free.
pub(super) fn register_membarrier() {
    const REGISTER_PRIVATE_EXPEDITED: i32 = 1 << 4;
    // SAFETY: membarrier takes integers. A kernel without it says so, and the executor then uses another way.
    unsafe { libc::syscall(libc::SYS_membarrier, REGISTER_PRIVATE_EXPEDITED, 0, 0) };
}

/// The memory in bytes that the process may lock: soft and hard limit.
pub(super) fn memory_lock_limit_bytes() -> (u64, u64) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure outlives the call. It cannot fail for a valid resource.
    unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &mut limit) };
    (limit.rlim_cur, limit.rlim_max)
}

/// Raises the soft limit of lockable memory to the hard one.
pub(super) fn raise_memory_lock_limit() {
    let (soft, hard) = memory_lock_limit_bytes();
    if soft < hard {
        let limit = libc::rlimit { rlim_cur: hard, rlim_max: hard };
        // SAFETY: the structure outlives the call. Raising the soft limit up to the hard one is always allowed.
        unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &limit) };
    }
}
