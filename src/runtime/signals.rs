//! SIGTERM and SIGINT: a flag, and a ring at every core's doorbell. SIGHUP is passed over.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::doorbell::Doorbell;

/// Whether the process was asked to stop. Clones share the request.
#[derive(Clone)]
pub struct StopRequest {
    requested: Arc<AtomicBool>,
    /// Cores that may still owe something to a client.
    owing: Arc<AtomicUsize>,
    doorbells: Arc<[Doorbell]>,
}

impl StopRequest {
    /// A request that nobody has made yet, which will wake these cores.
    pub fn new(doorbells: &[Doorbell]) -> Self {
        Self {
            requested: Arc::new(AtomicBool::new(false)),
            owing: Arc::new(AtomicUsize::new(doorbells.len())),
            doorbells: doorbells.into(),
        }
    }

    /// Whether to stop. Look at it once per turn.
    pub fn is_requested(&self) -> bool {
        self.requested.load(Ordering::SeqCst)
    }

    /// Asks the process to stop, as the signals do. Safe to call from a signal handler.
    pub fn request(&self) {
        self.requested.store(true, Ordering::SeqCst);
        for doorbell in self.doorbells.iter() {
            doorbell.wake();
        }
    }

    /// Says that the calling core owes nothing to any client any more. Once per core.
    pub fn owes_nothing(&self) {
        self.owing.fetch_sub(1, Ordering::SeqCst);
    }

    /// Whether every core has said so: none needs another one any more.
    pub fn nobody_owes(&self) -> bool {
        self.owing.load(Ordering::SeqCst) == 0
    }

    /// Lets SIGTERM and SIGINT make the request; a second SIGINT ends the process at once, for the impatient. As in Redis, SIGHUP
    /// does nothing: a terminal that closes takes no server along.
    ///
    /// # Errors
    /// When the handlers cannot be installed.
    pub fn on_signals(&self) -> io::Result<()> {
        let (first, request) = (self.clone(), self.clone());
        // SAFETY: the handlers touch atomics, write to eventfds and call _exit: all of it is async-signal-safe, and nothing
        // in them allocates or panics.
        unsafe {
            signal_hook::low_level::register(libc::SIGTERM, move || first.request())?;
            signal_hook::low_level::register(libc::SIGINT, move || {
                if request.is_requested() {
                    libc::_exit(1);
                }
                request.request();
            })?;
            signal_hook::low_level::register(libc::SIGHUP, || ())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::doorbell::WaitingIn;
    use crate::runtime::sys;

    #[test]
    fn a_signal_sets_the_flag_and_rings_every_bell() {
        let bells = [Doorbell::new().unwrap(), Doorbell::new().unwrap()];
        bells[1].begin_wait(WaitingIn::Ring);
        let stop = StopRequest::new(&bells);
        stop.on_signals().unwrap();
        assert!(!stop.is_requested());
        signal_hook::low_level::raise(libc::SIGTERM).unwrap();
        assert!(stop.is_requested());
        for bell in &bells {
            assert_eq!(sys::take_event(bell.ring_descriptor()), Some(1));
            assert_eq!(sys::take_event(bell.executor_descriptor()), Some(1));
        }
    }
}
