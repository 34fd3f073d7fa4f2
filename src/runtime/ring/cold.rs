//! Bringing cold ranges of a map into memory without holding the core: `MADV_POPULATE_READ` on the kernel's workers.

use std::collections::VecDeque;
use std::io;
use std::mem::{forget, take};
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use io_uring::types::{SubmitArgs, Timespec};
use io_uring::{IoUring, opcode};
use slab::Slab;

use super::setup::RingError;
use crate::runtime::doorbell::Doorbell;

/// How many ranges the kernel populates at once; others wait their turn. More gain nothing on one device, and each takes
/// a kernel worker.
pub const COLD_IN_FLIGHT_MAX: usize = 16;

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
pub struct ColdRing<M: AsRef<[u8]>> {
    ring: IoUring,
    in_flight: Slab<Populating<M>>,
    waiting: VecDeque<Populating<M>>,
}

struct Populating<M> {
    map: M,
    range: Range<usize>,
    ticket: u64,
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
            .build(COLD_IN_FLIGHT_MAX as u32)?;
        ring.submitter().register_eventfd(doorbell.ring_descriptor().as_raw_fd())?;
        Ok(Self { ring, in_flight: Slab::with_capacity(COLD_IN_FLIGHT_MAX), waiting: VecDeque::new() })
    }

    /// Asks for the pages of `range` of `map`. Answered by [`Self::next_done`] with `ticket`.
    ///
    /// # Panics
    /// When the range is empty, longer than 2 GiB, or not within the map.
    pub fn populate(&mut self, map: M, range: Range<usize>, ticket: u64) {
        assert!(range.start < range.end && range.end <= map.as_ref().len(), "a cold range lies within its map");
        assert!(range.len() < 1 << 31, "a cold range is a value, not a file");
        self.waiting.push_back(Populating { map, range, ticket });
        self.submit_waiting();
    }

    /// How many ranges are asked for and not answered.
    pub fn outstanding(&self) -> usize {
        self.in_flight.len() + self.waiting.len()
    }

    /// The next range that is done. Costs no system call unless something completed.
    pub fn next_done(&mut self) -> Option<ColdDone> {
        if self.in_flight.is_empty() {
            return None;
        }
        if self.ring.completion().is_empty() && self.ring.submission().taskrun() {
            self.collect(Duration::ZERO);
        }
        let entry = self.ring.completion().next()?;
        let Populating { ticket, .. } = self.in_flight.remove(entry.user_data() as usize);
        let result = match entry.result() {
            0.. => Ok(()),
            number => Err(io::Error::from_raw_os_error(-number)),
        };
        self.submit_waiting();
        Some(ColdDone { ticket, result })
    }

    fn submit_waiting(&mut self) {
        let mut queued = false;
        while self.in_flight.len() < COLD_IN_FLIGHT_MAX {
            let Some(populating) = self.waiting.pop_front() else {
                break;
            };
            let bytes = &populating.map.as_ref()[populating.range.clone()];
            let into_page = bytes.as_ptr() as usize % PAGE_BYTES;
            let start = bytes.as_ptr().wrapping_sub(into_page);
            let length = (bytes.len() + into_page) as libc::off_t;
            let index = self.in_flight.insert(populating);
            let advise =
                opcode::Madvise::new(start.cast(), length, libc::MADV_POPULATE_READ).build().user_data(index as u64);
            // SAFETY: the advice only brings pages in, it changes no memory; the map is kept until it has completed. There
            // are as many entries as may be in flight, so that the queue has room.
            unsafe { self.ring.submission().push(&advise) }.expect("the queue holds all that may be in flight");
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

impl<M: AsRef<[u8]>> Drop for ColdRing<M> {
    fn drop(&mut self) {
        self.waiting.clear();
        let give_up = Instant::now() + Duration::from_secs(10);
        while !self.in_flight.is_empty() && Instant::now() < give_up {
            self.collect(Duration::from_millis(10));
            let done: Vec<usize> = self.ring.completion().map(|entry| entry.user_data() as usize).collect();
            for index in done {
                self.in_flight.remove(index);
            }
        }
        if !self.in_flight.is_empty() {
            forget(take(&mut self.in_flight));
        }
    }
}
