//! The end of a ring: nothing is freed that the kernel may still write to.

use std::mem::{forget, take};
use std::os::fd::{FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use io_uring::cqueue;
use io_uring::types::{CancelBuilder, SubmitArgs, Timespec};

use super::Ring;
use super::user_data::{Kind, unpack};

/// Beyond this the memory of what does not end is leaked, so that a stuck disk does not keep the process alive.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(10);

impl Drop for Ring {
    fn drop(&mut self) {
        let give_up = Instant::now() + DRAIN_TIME_MAX;
        loop {
            for entry in self.reaped.drain(..).skip(take(&mut self.reaped_next)) {
                self.in_flight -= usize::from(!cqueue::more(entry.flags()));
                if unpack(entry.user_data()).0 == Kind::Accept && entry.result() >= 0 {
                    // SAFETY: the kernel made this descriptor for us, and nobody has taken it.
                    drop(unsafe { OwnedFd::from_raw_fd(entry.result()) });
                }
            }
            if self.in_flight == 0 || Instant::now() > give_up {
                break;
            }
            // What is queued is submitted first, as only then it can be cancelled; a disk write under way ends by itself.
            let _ = self.ring.submitter().submit();
            let no_wait = Some(Timespec::new());
            let _ = self
                .ring
                .submitter()
                .register_sync_cancel(no_wait, CancelBuilder::any());
            let span = Timespec::from(Duration::from_millis(10));
            let _ = self
                .ring
                .submitter()
                .submit_with_args(1, &SubmitArgs::new().timespec(&span));
            self.reaped.extend(self.ring.completion());
        }
        if self.in_flight > 0 {
            forget(take(&mut self.sockets));
            forget(take(&mut self.log_writes));
            forget(std::rc::Rc::clone(&self.buffers));
        }
    }
}
