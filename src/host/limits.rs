//! The process's limits: open files and locked memory.

use std::io;

/// A limit of the process, in the limit's own unit; `u64::MAX` is no limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LimitUse {
    /// What holds now.
    pub soft: u64,
    /// What it can be raised to without privileges.
    pub hard: u64,
}

/// The limits that the server needs much of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Limit {
    OpenFiles,
    LockedBytes,
}

/// Open files besides those of clients: listeners, logs, rings, the doorbells of cores.
pub(super) const OPEN_FILES_BASE: u64 = 64;

/// Open files of each core or shard besides those of clients.
pub(super) const OPEN_FILES_PER_CORE: u64 = 32;

/// Raises the soft limits of open files and locked memory as far as they go: to the hard ones, and beyond if this many clients on
/// this many cores or shards need it and the process is privileged.
///
/// Returns how many clients the open files now allow; none if they do not even do for the server itself. A limit that stays is no error: [`super::check_host`] tells of it.
pub fn raise_limits(clients_max: u32, cores: usize) -> u32 {
    raise(Limit::OpenFiles, files_needed(clients_max, cores));
    raise(Limit::LockedBytes, 0);
    clients_allowed(cores)
}

/// How many clients the open files of this process allow.
pub fn clients_allowed(cores: usize) -> u32 {
    clients_within(limit(Limit::OpenFiles).map_or(u64::MAX, |limit| limit.soft), cores)
}

fn clients_within(files: u64, cores: usize) -> u32 {
    u32::try_from(files.saturating_sub(files_needed(0, cores))).unwrap_or(u32::MAX)
}

pub(super) fn files_needed(clients_max: u32, cores: usize) -> u64 {
    OPEN_FILES_BASE + OPEN_FILES_PER_CORE * cores as u64 + u64::from(clients_max)
}

fn raise(which: Limit, needed: u64) {
    let Ok(now) = limit(which) else {
        return;
    };
    if needed > now.hard && set(which, LimitUse { soft: needed, hard: needed }).is_ok() {
        return;
    }
    if now.soft < now.hard {
        // If even this fails, what holds is told by those who ask for it.
        let _ = set(which, LimitUse { soft: now.hard, hard: now.hard });
    }
}

fn resource(which: Limit) -> libc::__rlimit_resource_t {
    match which {
        Limit::OpenFiles => libc::RLIMIT_NOFILE,
        Limit::LockedBytes => libc::RLIMIT_MEMLOCK,
    }
}

/// What a limit is now.
pub(super) fn limit(which: Limit) -> io::Result<LimitUse> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes one rlimit to where the pointer points, and keeps no pointer.
    let result = unsafe { libc::getrlimit(resource(which), &mut limit) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(LimitUse { soft: limit.rlim_cur, hard: limit.rlim_max })
}

fn set(which: Limit, to: LimitUse) -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: to.soft, rlim_max: to.hard };
    // SAFETY: the kernel reads one rlimit from where the pointer points, and keeps no pointer.
    let result = unsafe { libc::setrlimit(resource(which), &limit) };
    if result != 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_itself_comes_before_its_clients() {
        assert_eq!(clients_within(files_needed(7, 2), 2), 7);
        assert_eq!(clients_within(files_needed(0, 2), 2), 0);
        assert_eq!(clients_within(20, 2), 0);
        assert_eq!(clients_within(u64::MAX, 2), u32::MAX);
    }

    #[test]
    fn soft_limits_are_raised_to_the_hard_ones() {
        let before = limit(Limit::OpenFiles).unwrap();
        let allowed = raise_limits(1, 2);
        let after = limit(Limit::OpenFiles).unwrap();
        assert_eq!(after.soft, after.hard);
        assert!(after.hard >= before.hard);
        assert_eq!(
            u64::from(allowed),
            (after.soft - OPEN_FILES_BASE - 2 * OPEN_FILES_PER_CORE).min(u64::from(u32::MAX))
        );
        let memory = limit(Limit::LockedBytes).unwrap();
        assert_eq!(memory.soft, memory.hard);
    }
}
