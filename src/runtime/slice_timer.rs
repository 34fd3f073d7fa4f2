//! The timer behind the end of slices: one of the kernel's per core, whose signal goes to the core's own thread.
//!
//! It runs only while scripts run: [`ringkeep_shards::script::Interrupt`] starts it with the first slice and stops it when none has begun
//! for a while. A signal costs the core a microsecond or two; there are four in a slice.

use ringkeep_shards::script::{Interrupt, SliceTimer};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Ticks in a slice, the last of which ends it.
const TICKS: u32 = ringkeep_shards::script::TICKS_PER_SLICE;

/// The length of slices, which can be changed while they run.
#[derive(Clone, Default)]
pub struct SliceLength(Arc<AtomicU64>);

impl SliceLength {
    /// Changes it; timers that run are changed when they are started next.
    pub fn set(&self, length: Duration) {
        self.0.store(length.as_nanos() as u64, Ordering::Relaxed);
    }

    fn period(&self) -> libc::timespec {
        let ns = (self.0.load(Ordering::Relaxed) / u64::from(TICKS)).max(10_000);
        libc::timespec { tv_sec: (ns / 1_000_000_000) as i64, tv_nsec: (ns % 1_000_000_000) as i64 }
    }
}

struct CoreTimer {
    timer: usize,
    length: SliceLength,
}

impl CoreTimer {
    fn set(&self, period: libc::timespec) {
        let setting = libc::itimerspec { it_interval: period, it_value: period };
        // SAFETY: the timer was made below and is never deleted; the call is allowed in a signal handler.
        unsafe { libc::timer_settime(self.timer as libc::timer_t, 0, &setting, std::ptr::null_mut()) };
    }
}

impl SliceTimer for CoreTimer {
    fn start(&self) {
        self.set(self.length.period());
    }

    fn stop(&self) {
        self.set(libc::timespec { tv_sec: 0, tv_nsec: 0 });
    }
}

fn signal() -> libc::c_int {
    libc::SIGRTMIN() + 1
}

/// The handler: runs on the core's thread, wherever that is, and touches atomics and the VM's hook only.
extern "C" fn ticked(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the value is what `attach` gave the timer: an `Interrupt` that is never freed. errno is the interrupted code's.
    unsafe {
        let errno = libc::__errno_location();
        let before = *errno;
        let interrupt = (*info).si_value().sival_ptr.cast::<Interrupt>();
        if let Some(interrupt) = interrupt.as_ref() {
            interrupt.tick();
        }
        *errno = before;
    }
}

/// Gives a core's interrupt its timer. To be called on the core's own thread, once.
///
/// # Errors
/// When the kernel has no timer for it: slices would not end.
pub fn attach(interrupt: &Interrupt, length: &SliceLength) -> io::Result<()> {
    // SAFETY: a zeroed `sigaction` is one; the handler is a function of the type that SA_SIGINFO asks for.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = ticked as extern "C" fn(_, _, _) as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART | libc::SA_ONSTACK;
        if libc::sigaction(signal(), &action, std::ptr::null_mut()) != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    // The kernel keeps the pointer for as long as the process lives.
    let target: &'static Interrupt = Box::leak(Box::new(interrupt.clone()));
    let mut timer: libc::timer_t = std::ptr::null_mut();
    // SAFETY: a zeroed `sigevent` is one; the call writes the timer.
    unsafe {
        let mut event: libc::sigevent = std::mem::zeroed();
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_signo = signal();
        event.sigev_value = libc::sigval { sival_ptr: std::ptr::from_ref(target).cast_mut().cast() };
        event.sigev_notify_thread_id = libc::gettid();
        if libc::timer_create(libc::CLOCK_MONOTONIC, &mut event, &mut timer) != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    interrupt.attach(Box::new(CoreTimer { timer: timer as usize, length: length.clone() }));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn a_slice_ends_after_its_length() {
        let length = SliceLength::default();
        length.set(Duration::from_millis(2));
        let interrupt = Interrupt::default();
        attach(&interrupt, &length).unwrap();
        for _ in 0..3 {
            interrupt.begin();
            let begun = Instant::now();
            while !interrupt.is_over() {
                assert!(begun.elapsed() < Duration::from_secs(10), "the slice never ends");
            }
            assert!(begun.elapsed() >= Duration::from_micros(1400), "it ended after {:?}", begun.elapsed());
            interrupt.end();
        }
        // Nothing runs: it stops, and begins again with the next slice.
        std::thread::sleep(Duration::from_millis(300));
        interrupt.begin();
        while !interrupt.is_over() {}
        interrupt.end();
    }
}
