//! The turn of a ring's loop, and how a core waits when there is nothing to do.
//!
//! A core waits in two steps. A *nap* is the ordinary call of the ring, told to wait for one completion up to
//! [`NAP`]: under load it costs nothing, as the call is made anyhow. A nap in vain is followed by a *sleep*: the task
//! waits for the doorbell through its executor, which then serves its other tasks and at last parks the thread.
//! While a core naps its executor's other tasks wait, a nap at most.
//!
//! A busy core makes way for those tasks once in [`YIELD_INTERVAL`], by an I/O of the executor that ends at once. It must not
//! be `glommio::yield_if_needed`: in glommio 0.9 an executor whose preemption timer fires just before it runs its queues
//! takes them for empty and parks, with a task ready to run. See `runtime::node` for the rest of the cure.

use std::future::Future;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, IntoRawFd};
use std::time::{Duration, Instant};

use io_uring::opcode;
use io_uring::types::{Fd, SubmitArgs, TimeoutFlags, Timespec};

use super::Ring;
use super::sockets::{Receiving, Socket};
use super::user_data::{Kind, pack};
use crate::runtime::doorbell::WaitingIn;
use crate::runtime::sys;

/// The longest wait in the ring itself.
pub const NAP: Duration = Duration::from_millis(1);

/// How long a busy core keeps its executor's other tasks waiting.
pub const YIELD_INTERVAL: Duration = Duration::from_millis(1);

/// `IORING_ENTER_GETEVENTS`: run what completed and hand it over.
const GET_EVENTS: u32 = 1;

/// How long a turn may wait for something to happen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sleep {
    /// Not at all: there is more to do.
    No,
    /// Until something happens, or this long.
    AtMost(Duration),
    /// Until something happens.
    Forever,
}

impl Ring {
    /// Submits what was queued and reaps what completed; without either, waits as `sleep` allows. Take the completions
    /// with [`Self::next_completion`] until there are none. May return without any.
    ///
    /// `has_work` is asked after the doorbell was told that the core waits, and must look at everything whose senders ring
    /// that bell. Other tasks of the executor run when their time has come. Call it inside a glommio executor.
    pub async fn turn(&mut self, sleep: Sleep, has_work: impl Fn() -> bool) {
        if self.yielded_at.elapsed() >= YIELD_INTERVAL {
            sys::signal_event(self.doorbell.executor_descriptor().as_fd());
            self.executor_event().await;
            self.yielded_at = Instant::now();
        }
        self.arm_what_ended();
        let nothing_pending = self.deferred.is_empty() && self.reaped_next == self.reaped.len();
        if sleep == Sleep::No || !nothing_pending {
            self.enter(true);
            self.napped_in_vain = false;
            return;
        }
        let limit = match sleep {
            Sleep::AtMost(limit) => limit,
            _ => Duration::MAX,
        };
        if !self.napped_in_vain || limit <= NAP {
            let idle = self.nap(limit.min(NAP), &has_work);
            // A limit within a nap is then over, which is no sign of idleness.
            self.napped_in_vain = idle && limit > NAP;
        } else {
            self.sleep(limit, &has_work).await;
            self.napped_in_vain = false;
        }
    }

    /// Returns whether nothing happened and nothing was there to do.
    fn nap(&mut self, limit: Duration, has_work: &impl Fn() -> bool) -> bool {
        self.doorbell.begin_wait(WaitingIn::Ring);
        if has_work() {
            self.doorbell.end_wait();
            self.enter(true);
            return false;
        }
        let span = Timespec::from(limit);
        let arguments = SubmitArgs::new().timespec(&span);
        self.counters.calls += 1;
        self.counters.naps += 1;
        let result = self.ring.submitter().submit_with_args(1, &arguments);
        self.doorbell.end_wait();
        self.check(result);
        self.reap();
        self.reaped.is_empty()
    }

    async fn sleep(&mut self, limit: Duration, has_work: &impl Fn() -> bool) {
        if limit != Duration::MAX {
            self.arm_timer(limit);
        }
        self.doorbell.begin_wait(WaitingIn::Executor);
        self.ring.completion().enable_eventfd();
        // From here on every completion signals the eventfd; what completed before is reaped by this call.
        self.enter(true);
        if self.reaped.is_empty() && !has_work() {
            self.counters.sleeps += 1;
            self.executor_event().await;
            self.yielded_at = Instant::now();
        }
        self.ring.completion().disable_eventfd();
        self.doorbell.end_wait();
        self.enter(true);
    }

    /// Waits in the executor until its eventfd was signalled since it was last read.
    fn executor_event(&mut self) -> impl Future<Output = ()> {
        let doorbell = &self.doorbell;
        let file = self.executor_file.get_or_insert_with(|| {
            let descriptor = doorbell.executor_descriptor().try_clone_to_owned().expect("a descriptor is left");
            // SAFETY: the descriptor was made for this file, which closes it.
            unsafe { glommio::io::BufferedFile::from_raw_fd(descriptor.into_raw_fd()) }
        });
        async { drop(file.read_at(0, size_of::<u64>()).await.expect("an eventfd can be read")) }
    }

    /// One timer serves all sleeps: when it fires too early the core looks around and sleeps again.
    fn arm_timer(&mut self, limit: Duration) {
        let expires = Instant::now() + limit;
        let user_data = pack(Kind::Timer, 0, 0);
        *self.timer_span = Timespec::from(limit);
        let entry = match self.timer_expires {
            None => opcode::Timeout::new(&*self.timer_span).build().user_data(user_data),
            Some(armed) if armed > expires => opcode::TimeoutUpdate::new(user_data, &*self.timer_span)
                .flags(TimeoutFlags::empty())
                .build()
                .user_data(pack(Kind::TimerUpdate, 0, 0)),
            Some(_) => return,
        };
        self.timer_expires = Some(expires);
        // SAFETY: the kernel reads the span in the call that submits the entry, which comes before its next change: the
        // span is boxed, and `sleep` submits right after this.
        unsafe { self.push(&entry) };
    }

    fn arm_what_ended(&mut self) {
        if !self.doorbell_armed {
            self.doorbell_armed = true;
            let descriptor = self.doorbell.ring_descriptor().as_raw_fd();
            let poll = opcode::PollAdd::new(Fd(descriptor), libc::POLLIN as u32).multi(true).build().user_data(pack(
                Kind::Doorbell,
                0,
                0,
            ));
            // SAFETY: a poll points to no memory; the doorbell keeps the descriptor open.
            unsafe { self.push(&poll) };
        }
        if !self.starved.is_empty() && !self.buffers.is_exhausted() {
            for socket in std::mem::take(&mut self.starved) {
                // One that is being closed is about to leave, which it does without an operation under way.
                let starved = |state: &Socket| matches!(state.receiving, Receiving::Starved) && !state.closing;
                if self.sockets.get(socket).is_some_and(starved) {
                    self.arm_receive(socket);
                }
            }
        }
    }

    /// One call of the kernel: submits everything, and takes what has completed if `get_events`.
    pub(super) fn enter(&mut self, get_events: bool) {
        let queued = self.ring.submission().len() as u32;
        self.counters.calls += 1;
        let flags = if get_events { GET_EVENTS } else { 0 };
        // SAFETY: the count is the queue's, no argument is passed.
        let result = unsafe { self.ring.submitter().enter::<libc::sigset_t>(queued, 0, flags, None) };
        self.check(result);
        self.reap();
    }

    /// # Panics
    /// When the ring cannot be used any more: nothing that the core promised could be kept.
    fn check(&self, result: std::io::Result<usize>) {
        if let Err(error) = result {
            let passing = [libc::EINTR, libc::ETIME, libc::EBUSY, libc::EAGAIN];
            let passes = error.raw_os_error().is_some_and(|number| passing.contains(&number));
            assert!(passes, "io_uring_enter failed: {error}");
        }
    }

    fn reap(&mut self) {
        if self.reaped_next == self.reaped.len() {
            self.reaped.clear();
            self.reaped_next = 0;
        }
        let before = self.reaped.len();
        self.reaped.extend(self.ring.completion());
        self.counters.completions += (self.reaped.len() - before) as u64;
    }
}
