//! Bringing cold ranges of a map into memory without holding the core: `MADV_POPULATE_READ` on the kernel's workers.

use std::collections::VecDeque;
use std::io;
use std::mem::{forget, take};
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use io_uring::types::{SubmitArgs, Timespec};
use io_uring::{IoUring, opcode, squeue};
use slab::Slab;

use super::setup::RingError;
use crate::runtime::doorbell::Doorbell;

/// How many pieces of ranges the kernel brings in at once; others wait their turn. Each takes a kernel worker, which shares the
/// core with the shard where there is no other: more would delay everybody else.
pub const COLD_IN_FLIGHT_MAX: usize = 8;

/// A long range is brought in by pieces of this size, in turn with those of others. What the kernel reads ahead at once is at least
/// this on any ordinary device.
const PIECE_BYTES: usize = 128 << 10;

const PAGE_BYTES: usize = 4096;

/// A range that was asked for is in memory, or cannot be read.
#[derive(Debug)]
pub struct ColdDone {
    /// The number that the caller gave.
    pub ticket: u64,
    /// An error is the disk's: reading the range through the map would be fatal.
    pub result: io::Result<()>,
}

/// A ring of its own for cold ranges, beside the core's [`Ring`](super::Ring), so that they never queue before its work.
/// `M` is the map (or a shared pointer to it); it is kept until the kernel is done with it.
///
/// A piece is two operations, one behind the other: `MADV_WILLNEED` reads all of it at once, although the map is for random reads and
/// a fault would read one page after the other; `MADV_POPULATE_READ` then says when it is there, or cannot be.
pub struct ColdRing<M: AsRef<[u8]>> {
    ring: IoUring,
    asked: Slab<Asked<M>>,
    /// Ranges of which something was not handed to the kernel yet.
    waiting: VecDeque<usize>,
    pieces_in_flight: usize,
}

struct Asked<M> {
    map: M,
    range: Range<usize>,
    ticket: u64,
    /// Up to here it was handed to the kernel.
    handed: usize,
    in_flight: usize,
    /// What a piece failed with, as an errno.
    failed: Option<i32>,
}

impl<M: AsRef<[u8]>> ColdRing<M> {
    /// A ring for the calling thread; completions ring `doorbell`, which is the core's. While ranges are outstanding the
    /// core must wait no longer than [`NAP`](super::sleep::NAP) at a time: a signal of this ring ends a nap at once, but
    /// a sleep late.
    ///
    /// # Errors
    /// See [`RingError`].
    pub fn new(doorbell: &Doorbell) -> Result<Self, RingError> {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .build(2 * COLD_IN_FLIGHT_MAX as u32)?;
        ring.submitter().register_eventfd(doorbell.ring_descriptor().as_raw_fd())?;
        Ok(Self { ring, asked: Slab::new(), waiting: VecDeque::new(), pieces_in_flight: 0 })
    }

    /// Asks for the pages of `range` of `map`. Answered by [`Self::next_done`] with `ticket`.
    ///
    /// # Panics
    /// When the range is empty, longer than 2 GiB, or not within the map.
    pub fn populate(&mut self, map: M, range: Range<usize>, ticket: u64) {
        assert!(range.start < range.end && range.end <= map.as_ref().len(), "a cold range lies within its map");
        assert!(range.len() < 1 << 31, "a cold range is a value, not a file");
        let handed = range.start;
        let index = self.asked.insert(Asked { map, range, ticket, handed, in_flight: 0, failed: None });
        self.waiting.push_back(index);
        self.submit_waiting();
    }

    /// How many ranges are asked for and not answered.
    pub fn outstanding(&self) -> usize {
        self.asked.len()
    }

    /// The next range that is done. Costs no system call unless something completed.
    pub fn next_done(&mut self) -> Option<ColdDone> {
        if self.asked.is_empty() {
            return None;
        }
        if self.ring.completion().is_empty() && self.ring.submission().taskrun() {
            self.collect(Duration::ZERO);
        }
        loop {
            let entry = self.ring.completion().next()?;
            let Some(index) = piece_of(entry.user_data()) else { continue };
            self.pieces_in_flight -= 1;
            let asked = &mut self.asked[index];
            asked.in_flight -= 1;
            if entry.result() < 0 {
                asked.failed = Some(-entry.result());
                asked.handed = asked.range.end;
                self.waiting.retain(|waiting| *waiting != index);
            }
            let done = asked.in_flight == 0 && asked.handed == asked.range.end;
            self.submit_waiting();
            if done {
                let Asked { ticket, failed, .. } = self.asked.remove(index);
                let result = failed.map_or(Ok(()), |number| Err(io::Error::from_raw_os_error(number)));
                return Some(ColdDone { ticket, result });
            }
        }
    }

    fn submit_waiting(&mut self) {
        let mut queued = false;
        while self.pieces_in_flight < COLD_IN_FLIGHT_MAX {
            let Some(index) = self.waiting.pop_front() else {
                break;
            };
            let asked = &mut self.asked[index];
            let end = asked.range.end.min((asked.handed / PIECE_BYTES + 1) * PIECE_BYTES);
            let bytes = &asked.map.as_ref()[asked.handed..end];
            let into_page = bytes.as_ptr() as usize % PAGE_BYTES;
            let start = bytes.as_ptr().wrapping_sub(into_page);
            let length = (bytes.len() + into_page) as libc::off_t;
            asked.handed = end;
            asked.in_flight += 1;
            if end < asked.range.end {
                self.waiting.push_back(index);
            }
            self.pieces_in_flight += 1;
            let advise =
                |advice, user_data| opcode::Madvise::new(start.cast(), length, advice).build().user_data(user_data);
            let hint = advise(libc::MADV_WILLNEED, HINT).flags(squeue::Flags::IO_HARDLINK);
            let populate = advise(libc::MADV_POPULATE_READ, index as u64);
            // SAFETY: the advice only brings pages in, it changes no memory; the map is kept until it has completed. There
            // are two entries for each piece that may be in flight, so that the queue has room.
            unsafe { self.ring.submission().push_multiple(&[hint, populate]) }
                .expect("the queue holds all that may be in flight");
            queued = true;
        }
        if queued {
            match self.ring.submit() {
                Ok(_) => {}
                Err(error) => assert!(error.kind() == io::ErrorKind::Interrupted, "io_uring_enter failed: {error}"),
            }
        }
    }

    fn collect(&mut self, limit: Duration) {
        let span = Timespec::from(limit);
        // What it returns is seen in the queue: completions, or none within the limit.
        let _ = self.ring.submitter().submit_with_args(1, &SubmitArgs::new().timespec(&span));
    }
}

/// What a hint's completion carries. It says nothing: what counts is the operation behind it.
const HINT: u64 = u64::MAX;

/// The range that a completion is of; none for a hint.
fn piece_of(user_data: u64) -> Option<usize> {
    (user_data != HINT).then_some(user_data as usize)
}

impl<M: AsRef<[u8]>> Drop for ColdRing<M> {
    fn drop(&mut self) {
        self.waiting.clear();
        let give_up = Instant::now() + Duration::from_secs(10);
        while self.pieces_in_flight > 0 && Instant::now() < give_up {
            self.collect(Duration::from_millis(10));
            let done = self.ring.completion().filter(|entry| piece_of(entry.user_data()).is_some()).count();
            self.pieces_in_flight -= done;
        }
        if self.pieces_in_flight > 0 {
            forget(take(&mut self.asked));
        }
    }
}
