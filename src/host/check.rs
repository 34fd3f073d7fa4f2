//! `ringkeep check-host`: what the kernel, the limits and the file system lack, and the command that mends each.

use std::fs;
use std::io;
use std::path::Path;

use super::file_system::{kind_of, nearest_existing, probe_direct_write};
use super::finding::{Finding, Verdict};
use super::limits::{Limit, LimitUse, files_needed, limit};
use super::ring_probe::{self, RingProblem};

/// The oldest kernel that has all that the rings need.
const KERNEL_OLDEST: (u32, u32) = (6, 1);

/// Below this the runtime does not start, whatever the number of cores.
const MEMLOCK_BYTES_MIN: u64 = 512 << 10;

/// What carries many cores.
const MEMLOCK_BYTES_ADVISED: u64 = 8 << 20;

/// What each core adds to the locked memory that is advised.
const MEMLOCK_BYTES_PER_CORE: u64 = 128 << 10;

/// Looks at everything, in the order in which it should be mended.
///
/// `dir` is the data directory, `clients_max` and `cores` what the settings want.
pub fn check_host(dir: &Path, clients_max: u32, cores: usize) -> Vec<Finding> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let mut findings = vec![
        check_kernel(&read("/proc/sys/kernel/osrelease")),
        check_ring(ring_probe::probe(), read("/proc/sys/kernel/io_uring_disabled").trim()),
    ];
    findings.extend(limit(Limit::LockedBytes).map(|limit| check_memlock(limit, cores)));
    findings.extend(limit(Limit::OpenFiles).map(|limit| check_open_files(limit, clients_max, cores)));
    let existing = nearest_existing(dir);
    findings.push(check_direct_writes(&existing, probe_direct_write(&existing)));
    findings.push(check_file_system(&existing, kind_of(&existing).as_deref()));
    findings.push(check_huge_pages(&read("/sys/kernel/mm/transparent_hugepage/enabled")));
    findings.push(check_swappiness(&read("/proc/sys/vm/swappiness"), &read("/proc/swaps")));
    findings
}

/// What is lacking, for the lines that explain why the server did not start.
pub fn explain_failed_start(dir: &Path, clients_max: u32, cores: usize) -> Vec<Finding> {
    let mut findings = check_host(dir, clients_max, cores);
    findings.retain(|finding| finding.verdict == Verdict::Lacking);
    findings
}

fn check_kernel(release: &str) -> Finding {
    let release = release.trim();
    let mut numbers =
        release.split(|letter: char| !letter.is_ascii_digit()).map(|digits| digits.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let (major, minor) = KERNEL_OLDEST;
    if version >= KERNEL_OLDEST {
        Finding::ok("kernel", format!("Linux {release}"))
    } else {
        let what = format!("Linux {release} is older than {major}.{minor}");
        Finding::lacking("kernel", what, "install a newer kernel (Debian 12: apt install linux-image-amd64) and reboot")
    }
}

fn check_ring(probed: Result<(), RingProblem>, disabled: &str) -> Finding {
    const SUBJECT: &str = "io_uring";
    const SECCOMP: &str =
        "if this is a container, allow the io_uring system calls: docker run --security-opt seccomp=unconfined";
    let (what, error) = match probed {
        Ok(()) => return Finding::ok(SUBJECT, "rings, DEFER_TASKRUN and provided buffers work"),
        Err(RingProblem::Ring(error)) => ("a ring cannot be made", error),
        Err(RingProblem::Flags(error)) => ("SINGLE_ISSUER and DEFER_TASKRUN do not work", error),
        Err(RingProblem::BufferRing(error)) => ("provided buffers do not work", error),
    };
    match (error.raw_os_error(), disabled) {
        (Some(libc::EPERM), "1" | "2") => Finding::lacking(
            SUBJECT,
            format!("{what}: kernel.io_uring_disabled is {disabled}"),
            "sysctl -w kernel.io_uring_disabled=0",
        ),
        (Some(libc::EPERM | libc::EACCES), _) => {
            Finding::lacking(SUBJECT, format!("{what}: a seccomp filter or security module forbids it"), SECCOMP)
        }
        (Some(libc::ENOSYS), _) => Finding::lacking(
            SUBJECT,
            format!("{what}: the kernel has no io_uring, or a seccomp filter hides it"),
            format!("use a kernel built with CONFIG_IO_URING; {SECCOMP}"),
        ),
        (Some(libc::ENOMEM), _) => Finding::lacking(
            SUBJECT,
            format!("{what}: not enough memory may be locked"),
            mend_memlock(MEMLOCK_BYTES_ADVISED),
        ),
        (Some(libc::EINVAL), _) => {
            Finding::lacking(SUBJECT, format!("{what}: the kernel is too old"), "install Linux 6.1 or later")
        }
        _ => Finding::lacking(SUBJECT, format!("{what}: {error}"), "dmesg may say more"),
    }
}

fn mend_memlock(bytes: u64) -> String {
    let (kib, mib) = (bytes.div_ceil(1 << 10), bytes.div_ceil(1 << 20));
    format!(
        "ulimit -l {kib} before the start, LimitMEMLOCK={mib}M in its systemd unit, or docker run --ulimit memlock={bytes}"
    )
}

fn check_memlock(limit: LimitUse, cores: usize) -> Finding {
    const SUBJECT: &str = "locked memory";
    // The server raises its soft limit itself.
    let bytes = limit.soft.max(limit.hard);
    let advised = MEMLOCK_BYTES_ADVISED.max(MEMLOCK_BYTES_PER_CORE * cores as u64);
    if bytes == u64::MAX {
        Finding::ok(SUBJECT, "no limit")
    } else if bytes < MEMLOCK_BYTES_MIN {
        let what = format!("{} KiB may be locked, at least {} KiB are needed", bytes >> 10, MEMLOCK_BYTES_MIN >> 10);
        Finding::lacking(SUBJECT, what, mend_memlock(advised))
    } else if bytes < advised {
        let what = format!("{} KiB may be locked; {cores} cores want {} KiB", bytes >> 10, advised >> 10);
        Finding::advice(SUBJECT, what, mend_memlock(advised))
    } else {
        Finding::ok(SUBJECT, format!("{} KiB", bytes >> 10))
    }
}

fn check_open_files(limit: LimitUse, clients_max: u32, cores: usize) -> Finding {
    const SUBJECT: &str = "open files";
    let files = limit.soft.max(limit.hard);
    let needed = files_needed(clients_max, cores);
    let mend = || {
        format!(
            "ulimit -n {needed} before the start, LimitNOFILE={needed} in its systemd unit, docker run --ulimit nofile={needed}, or a \
             lower maxclients"
        )
    };
    if files >= needed {
        Finding::ok(SUBJECT, format!("enough for maxclients {clients_max}"))
    } else if files <= files_needed(0, cores) {
        Finding::lacking(SUBJECT, format!("{files} may be open, not even enough without clients"), mend())
    } else {
        let what =
            format!("{files} may be open, maxclients {clients_max} wants {needed}; the server lowers maxclients");
        Finding::advice(SUBJECT, what, mend())
    }
}

fn check_direct_writes(dir: &Path, probed: io::Result<()>) -> Finding {
    const SUBJECT: &str = "direct writes";
    let shown = dir.display();
    match probed {
        Ok(()) => Finding::ok(SUBJECT, format!("{shown} takes them")),
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Finding::lacking(
            SUBJECT,
            format!("the file system of {shown} does not support O_DIRECT"),
            "put the data directory on ext4 or xfs: --dir DIR",
        ),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Finding::lacking(SUBJECT, format!("{shown} cannot be written: {error}"), format!("chown $USER {shown}"))
        }
        Err(error) => {
            Finding::lacking(SUBJECT, format!("{shown}: {error}"), "choose another data directory: --dir DIR")
        }
    }
}

fn check_file_system(dir: &Path, kind: Option<&str>) -> Finding {
    const SUBJECT: &str = "file system";
    const MEND: &str = "put the data directory on a disk of this machine: --dir DIR";
    let shown = dir.display();
    match kind {
        None => Finding::advice(SUBJECT, format!("what holds {shown} is unknown"), MEND),
        Some(kind @ ("tmpfs" | "ramfs" | "devtmpfs")) => {
            let what = format!("{shown} is on {kind}: it lives in memory, a power cut takes every acknowledged write");
            Finding::advice(SUBJECT, what, MEND)
        }
        Some("overlay") => {
            let what = format!("{shown} is on overlay: the data goes away with the container");
            Finding::advice(SUBJECT, what, "give the container a volume: docker run -v DIR:DIR")
        }
        Some(kind) if is_network(kind) => {
            let what = format!("{shown} is on {kind}: whether a write is durable is the other machine's word");
            Finding::advice(SUBJECT, what, MEND)
        }
        Some(kind) => Finding::ok(SUBJECT, format!("{shown} is on {kind}")),
    }
}

fn is_network(kind: &str) -> bool {
    matches!(kind, "nfs" | "nfs4" | "cifs" | "smb3" | "ceph" | "9p" | "virtiofs" | "afs") || kind.starts_with("fuse.")
}

fn check_huge_pages(enabled: &str) -> Finding {
    const SUBJECT: &str = "transparent huge pages";
    if enabled.contains("[always]") {
        let what = "always: memory grows in steps of 2 MiB, and latency with it";
        Finding::advice(SUBJECT, what, "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled")
    } else {
        Finding::ok(SUBJECT, "not forced")
    }
}

fn check_swappiness(swappiness: &str, swaps: &str) -> Finding {
    const SUBJECT: &str = "swap";
    // The first line is a heading.
    let has_swap = swaps.lines().nth(1).is_some();
    match swappiness.trim().parse::<u32>() {
        Ok(swappiness) if has_swap && swappiness > 10 => {
            let what =
                format!("in use with vm.swappiness {swappiness}: data may be swapped out while files are cached");
            Finding::advice(SUBJECT, what, "sysctl -w vm.swappiness=1")
        }
        _ => Finding::ok(SUBJECT, if has_swap { "rarely used" } else { "none" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(number: i32) -> io::Error {
        io::Error::from_raw_os_error(number)
    }

    fn lacks(finding: &Finding, what: &str, mend: &str) {
        assert_eq!(finding.verdict, Verdict::Lacking, "{finding}");
        assert!(finding.what.contains(what), "{finding}");
        assert!(finding.mend.as_ref().unwrap().contains(mend), "{finding}");
    }

    #[test]
    fn kernels() {
        assert_eq!(check_kernel("6.1.0-18-amd64\n").to_string(), "ok       kernel: Linux 6.1.0-18-amd64");
        assert_eq!(check_kernel("10.0").verdict, Verdict::Ok);
        lacks(&check_kernel("5.15.0-generic"), "older than 6.1", "install a newer kernel");
        lacks(&check_kernel(""), "older than 6.1", "reboot");
    }

    #[test]
    fn rings_that_cannot_be_made() {
        assert_eq!(check_ring(Ok(()), "0").verdict, Verdict::Ok);
        let refused = |number, disabled| check_ring(Err(RingProblem::Ring(error(number))), disabled);
        lacks(&refused(libc::EPERM, "2"), "kernel.io_uring_disabled is 2", "sysctl -w kernel.io_uring_disabled=0");
        lacks(&refused(libc::EPERM, "0"), "seccomp", "--security-opt seccomp=unconfined");
        lacks(&refused(libc::ENOSYS, ""), "no io_uring", "CONFIG_IO_URING");
        lacks(&refused(libc::ENOMEM, "0"), "locked", "ulimit -l 8192");
        let flags = check_ring(Err(RingProblem::Flags(error(libc::EINVAL))), "0");
        lacks(&flags, "DEFER_TASKRUN do not work", "Linux 6.1");
        let buffers = check_ring(Err(RingProblem::BufferRing(error(libc::EBADF))), "0");
        lacks(&buffers, "provided buffers", "dmesg");
    }

    #[test]
    fn locked_memory_grows_with_cores() {
        let kib = |kib: u64| LimitUse { soft: 64 << 10, hard: kib << 10 };
        lacks(&check_memlock(kib(64), 1), "64 KiB may be locked, at least 512 KiB", "LimitMEMLOCK=8M");
        assert_eq!(check_memlock(kib(4_096), 4).verdict, Verdict::Advice);
        assert_eq!(check_memlock(kib(8_192), 64).verdict, Verdict::Ok);
        assert_eq!(check_memlock(kib(8_192), 128).verdict, Verdict::Advice);
        assert_eq!(check_memlock(LimitUse { soft: 0, hard: u64::MAX }, 1).verdict, Verdict::Ok);
    }

    #[test]
    fn open_files_against_clients() {
        let files = |hard| LimitUse { soft: 1, hard };
        assert_eq!(check_open_files(files(20_000), 10_000, 2).verdict, Verdict::Ok);
        let finding = check_open_files(files(4_096), 10_000, 2);
        assert_eq!(finding.verdict, Verdict::Advice);
        assert!(finding.to_string().contains("ulimit -n 10128"), "{finding}");
        lacks(&check_open_files(files(100), 10_000, 2), "not even enough", "LimitNOFILE");
    }

    #[test]
    fn directories() {
        let dir = Path::new("/data");
        assert_eq!(check_direct_writes(dir, Ok(())).verdict, Verdict::Ok);
        lacks(&check_direct_writes(dir, Err(error(libc::EINVAL))), "O_DIRECT", "ext4 or xfs");
        lacks(&check_direct_writes(dir, Err(error(libc::EACCES))), "cannot be written", "chown $USER /data");
        lacks(&check_direct_writes(dir, Err(error(libc::ENOSPC))), "No space", "--dir");
        assert_eq!(check_file_system(dir, Some("ext4")).verdict, Verdict::Ok);
        for kind in ["tmpfs", "nfs4", "overlay", "fuse.sshfs"] {
            let finding = check_file_system(dir, Some(kind));
            assert_eq!(finding.verdict, Verdict::Advice);
            assert!(finding.what.contains(kind), "{finding}");
        }
    }

    #[test]
    fn advice_about_memory() {
        assert_eq!(check_huge_pages("always [madvise] never\n").verdict, Verdict::Ok);
        assert_eq!(check_huge_pages("[always] madvise never\n").verdict, Verdict::Advice);
        let swaps = "Filename Type Size\n/swap file 1\n";
        assert_eq!(check_swappiness("60\n", swaps).verdict, Verdict::Advice);
        assert_eq!(check_swappiness("60\n", "Filename Type Size\n").verdict, Verdict::Ok);
    }

    #[test]
    fn this_machine_is_looked_at_whole() {
        let findings = check_host(&std::env::temp_dir().join("not-there-yet"), 100, 1);
        let subjects: Vec<&str> = findings.iter().map(|finding| finding.subject).collect();
        assert_eq!(
            subjects,
            [
                "kernel",
                "io_uring",
                "locked memory",
                "open files",
                "direct writes",
                "file system",
                "transparent huge pages",
                "swap"
            ]
        );
        assert!(findings.iter().all(|finding| (finding.verdict == Verdict::Ok) == finding.mend.is_none()));
    }
}
