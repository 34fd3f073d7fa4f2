//! What /proc and the kernel's clocks say about a process.

/// CPU seconds that a process has used, all its threads together, kernel time included. Exact to the nanosecond, where
/// /proc/PID/stat counts in hundredths.
///
/// # Panics
/// When there is no such process.
pub fn process_cpu_seconds(pid: u32) -> f64 {
    // The kernel's encoding of "the scheduler's clock of that process", as clock_getcpuclockid(3) makes it.
    let clock = (!(pid as libc::clockid_t) << 3) | 2;
    clock_seconds(clock).unwrap_or_else(|| panic!("no CPU clock of process {pid}: it has ended"))
}

/// CPU seconds that the calling thread has used.
pub fn own_cpu_seconds() -> f64 {
    clock_seconds(libc::CLOCK_THREAD_CPUTIME_ID).expect("this thread's CPU clock")
}

fn clock_seconds(clock: libc::clockid_t) -> Option<f64> {
    // SAFETY: the call only writes the structure given to it.
    unsafe {
        let mut time: libc::timespec = std::mem::zeroed();
        (libc::clock_gettime(clock, &raw mut time) == 0).then_some(time.tv_sec as f64 + time.tv_nsec as f64 / 1e9)
    }
}

/// A field of /proc/PID/status that is given in kB, in bytes.
pub fn status_bytes(pid: u32, field: &str) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}
