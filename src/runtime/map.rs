//! A segment's bytes, mapped read-only: what is there, what is in memory, what is to be brought in.

use std::fs::File;
use std::io;
use std::ops::{Deref, Range};
use std::path::Path;

use memmap2::{Advice, Mmap};

/// Ranges are brought in by parts of this size, so that an error says roughly where.
const POPULATE_BYTES_AT_ONCE: usize = 8 << 20;

/// A file of the log, as bytes. It stays readable after the file was renamed or removed.
///
/// Reading a range that is not in memory stops the thread until the disk answers, and kills the process if the disk cannot: bring it in
/// first, by `populate` or by a ring's `Madvise` of `advice_range`.
#[derive(Debug)]
pub struct SegmentMap {
    map: Mmap,
}

impl SegmentMap {
    /// Maps a file whole, for reads at random places.
    ///
    /// # Errors
    /// As `open(2)` and `mmap(2)`; an empty file cannot be mapped.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::of(&File::open(path)?)
    }

    /// Maps an open file whole, for reads at random places.
    ///
    /// # Errors
    /// As `mmap(2)`.
    pub fn of(file: &File) -> io::Result<Self> {
        // SAFETY: the directory is locked, so no other server touches its files. This one never shortens a mapped file, and never
        // writes a range that a value or a record which counts refers to: such a range does not change while it is borrowed. Bytes behind the
        // log's end do change, and nobody reads them after recovery.
        let map = unsafe { Mmap::map(file) }?;
        map.advise(Advice::Random)?;
        Ok(Self { map })
    }

    /// Brings the whole file in, in order, ahead of reading all of it.
    ///
    /// # Errors
    /// When the disk cannot read a part of it, which would otherwise end the process.
    pub fn populate(&self) -> io::Result<()> {
        self.map.advise(Advice::Sequential)?;
        for from in (0..self.map.len()).step_by(POPULATE_BYTES_AT_ONCE) {
            let bytes = POPULATE_BYTES_AT_ONCE.min(self.map.len() - from);
            match self.map.advise_range(Advice::PopulateRead, from, bytes) {
                // A kernel before 5.14 does not know the advice. Reading brings the bytes in, too.
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => break,
                Err(error) => return Err(io::Error::new(error.kind(), format!("offset {from}: {error}"))),
                Ok(()) => {}
            }
        }
        self.map.advise(Advice::Random)
    }

    /// Whether all of a range is in memory now. It may leave at any moment, but what was just used rarely does.
    ///
    /// # Errors
    /// As `mincore(2)`.
    ///
    /// # Panics
    /// When the range is not inside the file.
    pub fn is_resident(&self, range: Range<usize>) -> io::Result<bool> {
        const PAGES_AT_ONCE: usize = 256;
        let (mut from, to) = self.pages(range);
        let mut states = [0u8; PAGES_AT_ONCE];
        while from < to {
            let bytes = (to - from).min(PAGES_AT_ONCE * page_bytes());
            // SAFETY: the range is inside the map, starts at a page, and has at most as many pages as there are states.
            let result =
                unsafe { libc::mincore(self.map.as_ptr().add(from).cast_mut().cast(), bytes, states.as_mut_ptr()) };
            if result != 0 {
                return Err(io::Error::last_os_error());
            }
            if states[..bytes.div_ceil(page_bytes())].iter().any(|state| state & 1 == 0) {
                return Ok(false);
            }
            from += bytes;
        }
        Ok(true)
    }

    /// The pages that hold a range, as `madvise` wants them: for a ring's `Madvise` with `MADV_POPULATE_READ`. The map must outlive
    /// that operation.
    ///
    /// # Panics
    /// When the range is not inside the file.
    pub fn advice_range(&self, range: Range<usize>) -> (*const u8, usize) {
        let (from, to) = self.pages(range);
        (self.map[from..].as_ptr(), to - from)
    }

    /// Tells the kernel that a range will not be read soon.
    ///
    /// # Errors
    /// As `madvise(2)`.
    pub fn release(&self, range: Range<usize>) -> io::Result<()> {
        let (from, to) = self.pages(range);
        // SAFETY: the map is of a file and read-only: pages that go are read from the file again when they are touched.
        unsafe { self.map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, from, to - from) }
    }

    /// The range, widened to whole pages and then cut to the map.
    fn pages(&self, range: Range<usize>) -> (usize, usize) {
        assert!(
            range.start <= range.end && range.end <= self.map.len(),
            "{range:?} of a map of {} bytes",
            self.map.len()
        );
        let page = page_bytes();
        let from = range.start / page * page;
        (from, range.end.next_multiple_of(page).min(self.map.len()).max(from))
    }
}

impl Deref for SegmentMap {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map
    }
}

fn page_bytes() -> usize {
    // SAFETY: asks for a constant of the system.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(bytes).expect("the system has pages")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::directory::tests::Scratch;

    #[test]
    fn a_map_shows_the_file_and_what_of_it_is_in_memory() {
        let scratch = Scratch::new("map");
        let path = scratch.path().join("file");
        let bytes: Vec<u8> = (0..3_000_000u32).map(|n| (n * 7 % 251) as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        let map = SegmentMap::open(&path).unwrap();
        map.populate().unwrap();
        assert_eq!(&map[..], &bytes[..]);
        assert!(map.is_resident(0..bytes.len()).unwrap());
        assert!(map.is_resident(5..5).unwrap());
        let (address, length) = map.advice_range(5000..9000);
        assert_eq!(address as usize, map.as_ptr() as usize + 4096);
        assert_eq!(length, 8192);
        map.release(0..bytes.len()).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(&map[..], &bytes[..]);
    }

    #[test]
    fn an_empty_or_missing_file_is_an_error() {
        let scratch = Scratch::new("map-empty");
        assert!(SegmentMap::open(&scratch.path().join("missing")).is_err());
    }

    #[test]
    #[should_panic(expected = "of a map of")]
    fn a_range_beyond_the_file_is_a_bug() {
        let scratch = Scratch::new("map-range");
        let path = scratch.path().join("file");
        std::fs::write(&path, [0; 100]).unwrap();
        let _ = SegmentMap::open(&path).unwrap().is_resident(0..101);
    }
}
