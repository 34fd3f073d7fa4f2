//! Durable writes, and cold values.

use super::*;
use std::fs::OpenOptions;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;

/// A file on a disk that takes O_DIRECT: the build's own folder is on one where a temporary folder may be in memory.
fn path(name: &str) -> PathBuf {
    let folder = std::env::current_exe()
        .unwrap()
        .parent()
        .unwrap()
        .to_owned();
    folder.join(format!("ring-test-{name}-{}", std::process::id()))
}

#[test]
fn writes_are_there_and_failures_are_told() {
    let path = path("log");
    let named = path.clone();
    in_executor(move || async move {
        let mut ring = small_ring(Doorbell::new().unwrap());
        let open = |write| {
            let mut options = OpenOptions::new();
            options
                .read(true)
                .write(write)
                .create(write)
                .custom_flags(libc::O_DIRECT);
            Rc::new(options.open(&named).unwrap())
        };
        let file = open(true);
        let bytes = pattern(3 << 20);
        let mut buffer = AlignedBuffer::with_capacity(0);
        for round in 0..20u64 {
            buffer.clear();
            buffer.extend_from_slice(&bytes[..(round as usize + 1) * 150_000]);
            buffer.pad_to_multiple(4096);
            let length = buffer.len();
            ring.write_log(&file, round * 4096, buffer, round);
            let Completion::LogWritten {
                token,
                buffer: back,
                result,
            } = next(&mut ring).await
            else {
                panic!("a write ends")
            };
            result.unwrap();
            assert_eq!((token, back.len()), (round, length));
            buffer = back;
        }
        let mut got = vec![0; 3_000_000];
        std::fs::File::open(&named)
            .unwrap()
            .read_exact_at(&mut got, 19 * 4096)
            .unwrap();
        assert!(got == bytes[..3_000_000]);

        let read_only = open(false);
        buffer.clear();
        buffer.extend_from_slice(&[1; 512]);
        ring.write_log(&read_only, 0, buffer, 99);
        let Completion::LogWritten {
            token: 99, result, ..
        } = next(&mut ring).await
        else {
            panic!("a write ends")
        };
        assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::EBADF));
    })
    .join()
    .unwrap();
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_ring_waits_for_a_write_when_it_is_dropped() {
    let path = path("dropped");
    let named = path.clone();
    in_executor(move || async move {
        let mut ring = small_ring(Doorbell::new().unwrap());
        let mut options = OpenOptions::new();
        let file = options
            .read(true)
            .write(true)
            .create(true)
            .custom_flags(libc::O_DIRECT)
            .open(&named)
            .unwrap();
        let file = Rc::new(file);
        for round in 0..8 {
            let mut buffer = AlignedBuffer::with_capacity(1 << 20);
            buffer.extend_from_slice(&vec![round as u8 + 1; 1 << 20]);
            ring.write_log(&file, round << 20, buffer, round);
        }
        ring.turn(Sleep::No, || false).await;
        drop(ring);
        assert_eq!(
            Rc::strong_count(&file),
            1,
            "nothing was leaked: all of it ended"
        );
    })
    .join()
    .unwrap();
    std::fs::remove_file(path).unwrap();
}

#[test]
fn cold_ranges_become_warm_and_a_nap_ends_for_them() {
    let path = path("cold");
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(&path)
        .unwrap();
    let bytes = pattern(8 << 20);
    file.write_all_at(&bytes, 0).unwrap();
    file.sync_all().unwrap();
    // SAFETY: advice about a file's cache touches no memory.
    unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
    let named = path.clone();
    in_executor(move || async move {
        let file = std::fs::File::open(&named).unwrap();
        // SAFETY: the file is this test's own and keeps its length while it is mapped.
        let map = std::sync::Arc::new(unsafe { memmap2::Mmap::map(&file).unwrap() });
        let bell = Doorbell::new().unwrap();
        let mut ring = small_ring(bell.clone());
        let mut cold = ColdRing::new(&bell).unwrap();
        let count = COLD_IN_FLIGHT_MAX * 3;
        for ticket in 0..count {
            let start = ticket * 100_003;
            cold.populate(Map(map.clone()), start..start + 16_384, ticket as u64);
        }
        assert_eq!(cold.outstanding(), count);
        let (mut done, started) = (vec![false; count], Instant::now());
        while cold.outstanding() > 0 {
            while let Some(ColdDone { ticket, result }) = cold.next_done() {
                result.unwrap();
                assert!(
                    !std::mem::replace(&mut done[ticket as usize], true),
                    "once each"
                );
                let start = ticket as usize * 100_003;
                assert!(is_resident(&map[start..start + 16_384]));
            }
            ring.turn(Sleep::AtMost(sleep::NAP), || false).await;
            while ring.next_completion().is_some() {}
            assert!(started.elapsed() < Duration::from_secs(20));
        }
        assert!(done.iter().all(|&done| done));
        // Dropped with ranges outstanding.
        for ticket in 0..count {
            cold.populate(Map(map.clone()), ticket..ticket + 4096, 0);
        }
        drop(cold);
        assert_eq!(std::sync::Arc::strong_count(&map), 1);
    })
    .join()
    .unwrap();
    std::fs::remove_file(path).unwrap();
}

struct Map(std::sync::Arc<memmap2::Mmap>);

impl AsRef<[u8]> for Map {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

fn is_resident(bytes: &[u8]) -> bool {
    let into_page = bytes.as_ptr() as usize % 4096;
    let pages = (bytes.len() + into_page).div_ceil(4096);
    let mut resident = vec![0u8; pages];
    // SAFETY: the range lies within a map, and the vector has a byte for each of its pages.
    let result = unsafe {
        libc::mincore(
            bytes.as_ptr().sub(into_page).cast_mut().cast(),
            bytes.len() + into_page,
            resident.as_mut_ptr(),
        )
    };
    assert_eq!(result, 0);
    resident.iter().all(|page| page & 1 == 1)
}
