//! The machine under the bench: cores, the CPU time of processes, steal, memory, the page cache.

use std::path::Path;

/// Where the servers run.
pub const SERVER_CORE: usize = 0;
/// Where the load runs.
pub const LOAD_CORE: usize = 1;

/// Pins this thread, and those it starts later, to one core.
///
/// # Errors
/// When the machine has no such core, or this process may not use it.
pub fn pin_to(core: usize) -> Result<(), String> {
    // SAFETY: the set is a plain bit mask, made here and only read by the call.
    let result = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(core, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set)
    };
    match result {
        0 => Ok(()),
        _ => Err(format!("core {core}: {}", std::io::Error::last_os_error())),
    }
}

/// Hundreds of connections need more descriptors than the usual soft limit.
pub fn raise_open_files_limit() {
    // SAFETY: both calls only read or write the structure given to them.
    unsafe {
        let mut limit: libc::rlimit = std::mem::zeroed();
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
}

/// Major faults so far of a process's own threads. The kernel's workers, which read from disk on its behalf, are left out:
/// their faults hold no core up.
pub fn major_faults(pid: u32) -> u64 {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return 0;
    };
    let faults_of = |thread: std::io::Result<std::fs::DirEntry>| {
        let text = std::fs::read_to_string(thread.ok()?.path().join("stat")).ok()?;
        // The name may hold blanks; the fields after it are counted from its closing parenthesis.
        let (name, fields) = (&text[text.find('(')? + 1..], &text[text.rfind(')')? + 2..]);
        if name.starts_with("iou-") {
            return None;
        }
        fields.split(' ').nth(9)?.parse::<u64>().ok()
    };
    threads.filter_map(faults_of).sum()
}

/// What /proc/stat has counted, all cores together, in hundredths of a second.
pub struct Ticks {
    stolen: u64,
    busy: u64,
    total: u64,
}

impl Ticks {
    /// The counts of this moment.
    pub fn now() -> Ticks {
        let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
        let ticks: Vec<u64> = text
            .lines()
            .next()
            .unwrap_or_default()
            .split_ascii_whitespace()
            .skip(1)
            .map(|field| field.parse().unwrap_or(0))
            .collect();
        // user nice system idle iowait irq softirq steal; guest time after them is contained in user.
        let sum = |fields: &[usize]| fields.iter().filter_map(|&field| ticks.get(field)).sum();
        Ticks { stolen: sum(&[7]), busy: sum(&[0, 1, 2, 5, 6]), total: sum(&[0, 1, 2, 3, 4, 5, 6, 7]) }
    }

    /// Percent of all cores' time that the host took since then.
    pub fn stolen_percent_since(&self) -> f64 {
        let now = Ticks::now();
        100.0 * (now.stolen - self.stolen) as f64 / (now.total - self.total).max(1) as f64
    }

    /// CPU seconds that were spent in this machine since then, by whomever.
    pub fn busy_seconds_since(&self) -> f64 {
        (Ticks::now().busy - self.busy) as f64 / 100.0
    }
}

/// Makes the files below `directory` cold: out of the maps of process `pid`, out of the page cache. Gives the share that is
/// still in memory afterwards, since the kernel only takes advice.
///
/// # Errors
/// When the files cannot be read.
pub fn make_cold(directory: &Path, pid: u32) -> std::io::Result<f64> {
    page_out_maps(directory, pid);
    let mut files = Vec::new();
    collect_files(directory, &mut files)?;
    let (mut resident, mut total) = (0, 0);
    for path in &files {
        let file = std::fs::File::open(path)?;
        file.sync_all()?;
        // SAFETY: advice on an open descriptor; no memory is involved.
        unsafe { libc::posix_fadvise(std::os::fd::AsRawFd::as_raw_fd(&file), 0, 0, libc::POSIX_FADV_DONTNEED) };
        let (in_memory, pages) = resident_pages(&file)?;
        resident += in_memory;
        total += pages;
    }
    Ok(resident as f64 / total.max(1) as f64)
}

fn collect_files(directory: &Path, files: &mut Vec<std::path::PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            collect_files(&entry.path(), files)?;
        } else if entry.metadata()?.len() > 0 {
            files.push(entry.path());
        }
    }
    Ok(())
}

fn resident_pages(file: &std::fs::File) -> std::io::Result<(usize, usize)> {
    // SAFETY: the files belong to a data directory that only the measured server changes, and it never shortens one that it
    // serves from; the map is only asked about, never read.
    let map = unsafe { memmap2::Mmap::map(file)? };
    let pages = map.len().div_ceil(4096);
    let mut present = vec![0_u8; pages];
    // SAFETY: mincore writes one byte for each page of the map, and `present` has as many.
    let result = unsafe { libc::mincore(map.as_ptr().cast_mut().cast(), map.len(), present.as_mut_ptr()) };
    if result != 0 {
        return Err(std::io::Error::last_os_error());
    }
    Ok((present.iter().filter(|&&byte| byte & 1 == 1).count(), pages))
}

/// Pages that a process has mapped stay in the page cache whatever posix_fadvise says; the kernel must first be asked to take
/// them out of its maps.
fn page_out_maps(directory: &Path, pid: u32) {
    let Ok(maps) = std::fs::read_to_string(format!("/proc/{pid}/maps")) else {
        return;
    };
    let prefix = directory.to_string_lossy().into_owned();
    // SAFETY: opens a descriptor for a process that this bench started and has not waited for.
    let process = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    if process < 0 {
        return;
    }
    for line in maps.lines().filter(|line| line.contains(&prefix)) {
        let Some((low, high)) = line.split(' ').next().and_then(|range| range.split_once('-')) else {
            continue;
        };
        let (Ok(low), Ok(high)) = (usize::from_str_radix(low, 16), usize::from_str_radix(high, 16)) else {
            continue;
        };
        let range = libc::iovec { iov_base: low as *mut libc::c_void, iov_len: high - low };
        // SAFETY: advice about another process's clean, file-backed pages; the range is an address over there.
        unsafe { libc::syscall(libc::SYS_process_madvise, process, &raw const range, 1, libc::MADV_PAGEOUT, 0) };
    }
    // SAFETY: the descriptor was opened above and is used no more.
    unsafe { libc::close(process as i32) };
}
