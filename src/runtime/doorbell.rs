//! How a waiting core is woken: two eventfds, and a state that saves the system call while the core is awake.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use super::sys;

/// The doorbell of one core. Clones ring the same bell; any thread, and a signal handler, may ring it.
///
/// The protocol that loses no wake-up: the owner says how it waits, *then* looks at its queues once more, then waits; a
/// sender puts its message into a queue, *then* looks at how the owner waits. All four accesses are sequentially
/// consistent, so that at least one of the two sees what the other did.
///
/// A core waits in one of two places, each with an eventfd of its own. One descriptor for both, polled by the ring whose
/// completions signal the other, would be slow: the kernel puts off an eventfd's signal that an eventfd's write causes.
#[derive(Clone)]
pub struct Doorbell {
    shared: Arc<Shared>,
}

struct Shared {
    waiting: AtomicU8,
    ring: OwnedFd,
    executor: OwnedFd,
}

const AWAKE: u8 = 0;
const IN_RING: u8 = 1;
const IN_EXECUTOR: u8 = 2;

/// Where a core waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum WaitingIn {
    /// In a call of its own ring, for a moment.
    Ring = IN_RING,
    /// In its executor, as long as need be.
    Executor = IN_EXECUTOR,
}

impl Doorbell {
    /// A bell whose owner is awake.
    ///
    /// # Errors
    /// When the process has no file descriptor left.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            shared: Arc::new(Shared {
                waiting: AtomicU8::new(AWAKE),
                ring: sys::event_descriptor()?,
                executor: sys::waiting_event_descriptor()?,
            }),
        })
    }

    /// Wakes the owner if it waits. Call it after the message is in its queue. Returns whether it waited.
    pub fn ring(&self) -> bool {
        // The load keeps the cache line shared while the owner is awake; of several senders one writes.
        if self.shared.waiting.load(Ordering::SeqCst) == AWAKE {
            return false;
        }
        match self.shared.waiting.swap(AWAKE, Ordering::SeqCst) {
            AWAKE => return false,
            IN_RING => sys::signal_event(self.shared.ring.as_fd()),
            _ => sys::signal_event(self.shared.executor.as_fd()),
        }
        true
    }

    /// Wakes the owner wherever it waits, or makes its next wait short. Safe to call from a signal handler.
    pub fn wake(&self) {
        sys::signal_event(self.shared.ring.as_fd());
        sys::signal_event(self.shared.executor.as_fd());
    }

    /// The owner is about to wait; it must look at its queues after this.
    pub(super) fn begin_wait(&self, place: WaitingIn) {
        self.shared.waiting.store(place as u8, Ordering::SeqCst);
    }

    /// The owner is awake. A sender that still sees it waiting rings once too often, which costs one empty turn.
    pub(super) fn end_wait(&self) {
        self.shared.waiting.store(AWAKE, Ordering::Release);
    }

    /// What the ring polls.
    pub(super) fn ring_descriptor(&self) -> BorrowedFd<'_> {
        self.shared.ring.as_fd()
    }

    /// What the executor reads, and what the ring's completions signal meanwhile.
    pub(super) fn executor_descriptor(&self) -> BorrowedFd<'_> {
        self.shared.executor.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_ring_writes_and_to_where_the_owner_waits() {
        let bell = Doorbell::new().unwrap();
        assert!(!bell.ring(), "an awake owner needs no bell");
        bell.begin_wait(WaitingIn::Ring);
        assert!(bell.clone().ring());
        assert!(!bell.ring());
        assert_eq!(sys::take_event(bell.ring_descriptor()), Some(1));
        assert_eq!(sys::take_event(bell.ring_descriptor()), None);
        bell.begin_wait(WaitingIn::Executor);
        assert!(bell.ring());
        assert_eq!(sys::take_event(bell.ring_descriptor()), None);
        assert_eq!(sys::take_event(bell.executor_descriptor()), Some(1));
        bell.begin_wait(WaitingIn::Executor);
        bell.end_wait();
        assert!(!bell.ring());
    }
}
