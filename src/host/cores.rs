//! Which processors this process may use, and how many of them its control group lets it keep busy.

use std::fs;
use std::path::{Path, PathBuf};

/// The operating system's numbers of the processors to run on, lowest first: those of the affinity mask, and no more of them
/// than the CPU quota of the control group (version 2 or 1) pays for, rounded up. Never empty.
pub fn available_cores() -> Vec<usize> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut cores = allowed_list(&status).filter(|cores| !cores.is_empty()).unwrap_or_else(|| vec![0]);
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    if let Some(quota) = quota_in_cores(&groups, Path::new("/sys/fs/cgroup")) {
        cores.truncate(quota);
    }
    cores
}

/// The affinity mask, from the text of `/proc/self/status`.
fn allowed_list(status: &str) -> Option<Vec<usize>> {
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    let mut cores = Vec::new();
    for range in list.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        cores.extend(first.parse::<usize>().ok()?..=last.parse::<usize>().ok()?);
    }
    Some(cores)
}

/// The smallest quota from the process's control group up to the root, in whole cores; none if there is no quota.
fn quota_in_cores(groups: &str, mount: &Path) -> Option<usize> {
    groups.lines().filter_map(|line| smallest_quota(line, mount)).min()
}

/// The smallest quota of one line of `/proc/self/cgroup`: `0::/path` or `3:cpu,cpuacct:/path`.
fn smallest_quota(line: &str, mount: &Path) -> Option<usize> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (controllers, path) = (parts.next()?, parts.next()?);
    let read_quota = if controllers.is_empty() { quota_v2 } else { quota_v1 };
    let mount = match controllers {
        "" => mount.to_owned(),
        controllers if controllers.split(',').any(|controller| controller == "cpu") => {
            // Distributions mount it by either name.
            [mount.join("cpu"), mount.join(controllers)].into_iter().find(|path| path.exists())?
        }
        _ => return None,
    };
    let group: PathBuf = mount.join(path.trim_start_matches('/'));
    // In a container the path may not exist under the mount: its own group is the mount itself.
    group.ancestors().take_while(|group| group.starts_with(&mount)).filter_map(read_quota).min()
}

/// `cpu.max` holds `quota period` in microseconds, or `max period`.
fn quota_v2(group: &Path) -> Option<usize> {
    let text = fs::read_to_string(group.join("cpu.max")).ok()?;
    let (quota, period) = text.trim().split_once(' ')?;
    whole_cores(quota.parse().ok()?, period.parse().ok()?)
}

fn quota_v1(group: &Path) -> Option<usize> {
    let read = |name: &str| fs::read_to_string(group.join(name)).ok()?.trim().parse::<i64>().ok();
    // A quota of -1 is none.
    whole_cores(u64::try_from(read("cpu.cfs_quota_us")?).ok()?, u64::try_from(read("cpu.cfs_period_us")?).ok()?)
}

fn whole_cores(quota_us: u64, period_us: u64) -> Option<usize> {
    if period_us == 0 {
        return None;
    }
    usize::try_from(quota_us.div_ceil(period_us).max(1)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn this_process_has_a_core() {
        let cores = available_cores();
        assert!(!cores.is_empty());
        assert!(cores.is_sorted());
    }

    #[test]
    fn affinity_lists() {
        assert_eq!(allowed_list("Name:\tx\nCpus_allowed_list:\t0-2,5,7-8\n").unwrap(), [0, 1, 2, 5, 7, 8]);
        assert_eq!(allowed_list("Cpus_allowed_list:\t3\n").unwrap(), [3]);
        assert_eq!(allowed_list("Name:\tx\n"), None);
    }

    #[test]
    fn the_smallest_quota_of_the_groups_above_counts() {
        let root = Scratch::new("cgroup2");
        fs::create_dir_all(root.path().join("slice/service")).unwrap();
        fs::write(root.path().join("slice/cpu.max"), "150000 100000\n").unwrap();
        fs::write(root.path().join("slice/service/cpu.max"), "max 100000\n").unwrap();
        assert_eq!(quota_in_cores("0::/slice/service\n", root.path()), Some(2));
        fs::write(root.path().join("slice/service/cpu.max"), "20000 100000\n").unwrap();
        assert_eq!(quota_in_cores("0::/slice/service\n", root.path()), Some(1));
        assert_eq!(quota_in_cores("0::/elsewhere\n", root.path()), None);
        assert_eq!(quota_in_cores("", root.path()), None);
    }

    #[test]
    fn version_one_has_two_files() {
        let root = Scratch::new("cgroup1");
        let group = root.path().join("cpu,cpuacct/docker");
        fs::create_dir_all(&group).unwrap();
        fs::write(group.join("cpu.cfs_period_us"), "100000\n").unwrap();
        fs::write(group.join("cpu.cfs_quota_us"), "300000\n").unwrap();
        let groups = "5:memory:/docker\n3:cpu,cpuacct:/docker\n";
        assert_eq!(quota_in_cores(groups, root.path()), Some(3));
        fs::write(group.join("cpu.cfs_quota_us"), "-1\n").unwrap();
        assert_eq!(quota_in_cores(groups, root.path()), None);
    }
}
