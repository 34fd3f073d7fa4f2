//! What a directory's file system is, and whether it takes direct writes.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The size and alignment of the direct write that is tried: every disk's logical block divides it.
const BLOCK_BYTES: usize = 4_096;

/// The directory itself, or what exists of the path that leads to it.
pub(super) fn nearest_existing(dir: &Path) -> PathBuf {
    let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    dir.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("/")).to_owned()
}

/// The type of the file system that holds an existing directory, as the kernel names it.
pub(super) fn kind_of(dir: &Path) -> Option<String> {
    let dir = fs::canonicalize(dir).ok()?;
    kind_in(&fs::read_to_string("/proc/self/mountinfo").ok()?, &dir)
}

/// The type from the text of mountinfo: the last mount of the longest path that leads to the directory.
fn kind_in(mounts: &str, dir: &Path) -> Option<String> {
    let mount = |line: &str| {
        let (left, right) = line.split_once(" - ")?;
        let path = PathBuf::from(left.split(' ').nth(4)?.replace("\\040", " "));
        let kind = right.split(' ').next()?.to_owned();
        dir.starts_with(&path).then(|| (path.components().count(), kind))
    };
    mounts.lines().filter_map(mount).max_by_key(|(depth, _)| *depth).map(|(_, kind)| kind)
}

/// Tries a direct, durable write of one block to a new file in the directory, and removes the file.
pub(super) fn probe_direct_write(dir: &Path) -> io::Result<()> {
    let path = dir.join(format!(".ringkeep-probe.{}", std::process::id()));
    let written = write_direct(&path);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => written.and(Err(error)),
        _ => written,
    }
}

fn write_direct(path: &Path) -> io::Result<()> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .custom_flags(libc::O_DIRECT | libc::O_DSYNC)
        .open(path)?;
    let mut buffer = vec![0x5a; 2 * BLOCK_BYTES];
    let start = buffer.as_ptr().align_offset(BLOCK_BYTES);
    let block = &mut buffer[start..start + BLOCK_BYTES];
    file.write_all_at(block, 0)?;
    block.fill(0);
    file.read_exact_at(block, 0)?;
    if block.iter().all(|byte| *byte == 0x5a) { Ok(()) } else { Err(io::Error::other("a block came back changed")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn the_longest_mount_counts_and_the_last_of_two() {
        let mounts = "\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
23 22 0:5 / /dev rw - devtmpfs devtmpfs rw
24 22 0:6 / /srv/my\\040data rw master:2 - xfs /dev/vdb rw
25 22 0:7 / /srv/my\\040data rw - tmpfs none rw
";
        assert_eq!(kind_in(mounts, Path::new("/srv/my data/x")).unwrap(), "tmpfs");
        assert_eq!(kind_in(mounts, Path::new("/srv/my")).unwrap(), "ext4");
        assert_eq!(kind_in(mounts, Path::new("/dev/shm")).unwrap(), "devtmpfs");
        assert_eq!(kind_in("", Path::new("/")), None);
    }

    #[test]
    fn a_directory_that_is_not_there_yet_is_probed_in_its_parent() {
        let root = Scratch::new("nearest");
        assert_eq!(nearest_existing(&root.path().join("a/b")), root.path());
        assert!(kind_of(root.path()).is_some());
    }

    #[test]
    fn a_probe_leaves_nothing_behind() {
        let root = Scratch::new("direct");
        // Whether it works is the machine's affair; that the file goes is ours.
        let _ = probe_direct_write(root.path());
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
        let error = probe_direct_write(&root.path().join("missing")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
