//! What the system says about the process.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Linux reports times of processes in hundredths of a second, whatever the kernel's own tick is.
const TICKS_PER_SECOND: u64 = 100;
/// The page size of the platforms that Ringkeep runs on, in bytes.
const PAGE_BYTES: u64 = 4096;

/// The wall clock.
pub(super) fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Bytes of the process that are in memory; 0 if the system does not say.
pub(super) fn resident_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * PAGE_BYTES
}

/// Bytes of memory that the machine has; 0 if the system does not say.
pub(super) fn system_memory_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    total.and_then(|rest| rest.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// The system's name and release, and the processor's.
pub(super) fn system() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let (kind, release) = (read("/proc/sys/kernel/ostype"), read("/proc/sys/kernel/osrelease"));
    format!("{kind} {release} {}", std::env::consts::ARCH)
}

/// CPU times in seconds.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(super) struct CpuTimes {
    pub(super) user_s: f64,
    pub(super) system_s: f64,
    pub(super) children_user_s: f64,
    pub(super) children_system_s: f64,
}

/// CPU times of the process so far.
pub(super) fn cpu_times() -> CpuTimes {
    parse_cpu_times(&std::fs::read_to_string("/proc/self/stat").unwrap_or_default()).unwrap_or_default()
}

/// The program's name, in parentheses, may hold anything: the fields are counted after its end.
fn parse_cpu_times(stat: &str) -> Option<CpuTimes> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut ticks = fields.split_whitespace().skip(11).map(|field| field.parse::<u64>().ok());
    let mut next = || ticks.next().flatten().map(|ticks| ticks as f64 / TICKS_PER_SECOND as f64);
    Some(CpuTimes { user_s: next()?, system_s: next()?, children_user_s: next()?, children_system_s: next()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_any_name() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 0 1 2 3 4 150 25 1 2 20 0 1 0 5";
        let times = parse_cpu_times(stat).unwrap();
        assert_eq!((times.user_s, times.system_s), (1.5, 0.25));
        assert_eq!((times.children_user_s, times.children_system_s), (0.01, 0.02));
        assert!(resident_bytes() > 0 && system_memory_bytes() > resident_bytes());
    }
}
