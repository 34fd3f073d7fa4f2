//! The end of a core: nothing new is taken, what is owed is sent, and then nobody is needed any more.
//!
//! ```text
//!  asked to stop ─► listeners closed, requests not read ─► own replies sent ─► own log written ─┐
//!  other cores' requests for shards here are served ............................................ ┤ every core is there: end
//! ```
//!
//! A request that runs on another core is owed its reply, and that core must not be gone before it. So a core says when it owes
//! nothing any more, and serves the others until all have said so.

use super::Reactor;
use crate::log_line;
use crate::runtime::ring::SocketId;
use std::time::Duration;

/// How long clients may take to read what they are owed, and logs to be written.
const STOP_MAX: Duration = Duration::from_secs(5);
/// How often a core that is done looks whether the others are.
pub(super) const STOP_TIMER: Duration = Duration::from_millis(2);

/// A stop that has begun.
pub(super) struct Stopping {
    deadline_us: u64,
    /// Whether the other cores know that this one owes nothing.
    has_said: bool,
}

impl Reactor {
    /// Begins to stop, if that has not begun.
    pub(super) fn begin_stop(&mut self) {
        self.engine.stop_all_asides();
        if self.stopping.is_some() {
            return;
        }
        let deadline_us = self.clock.monotonic_us() + STOP_MAX.as_micros() as u64;
        self.stopping = Some(Stopping { deadline_us, has_said: false });
        for (listener, _) in self.doors.drain(..) {
            self.ring.stop_listening(listener);
        }
        // What a pause holds back was never begun: nothing is owed for it.
        for socket in self.engine.drop_paused() {
            if let Some(connection) = self.connections.get_mut(socket) {
                connection.client.state.waiting = None;
                connection.client.state.deferred = None;
            }
        }
        let sockets: Vec<SocketId> = self.connections.iter_mut().map(|connection| connection.socket()).collect();
        for socket in sockets {
            if let Some(connection) = self.connections.get_mut(socket) {
                connection.client.state.session.closing = true;
                self.flush(socket);
            }
        }
    }

    /// Whether this core is needed no more.
    pub(super) fn has_stopped(&mut self) -> bool {
        let now_us = self.clock.monotonic_us();
        let mut owing =
            self.connections.iter_mut().filter(|found| !found.is_flushed() || found.client.state.waiting.is_some());
        let owing = owing.by_ref().count();
        let writing = self.writing.iter().any(Option::is_some)
            || self.engine.shards.iter().any(|local| local.shard.waits_for_segment());
        let stopping = self.stopping.as_mut().expect("asked while it stops");
        if owing == 0 && !stopping.has_said {
            stopping.has_said = true;
            self.stop.owes_nothing();
        }
        if self.stop.nobody_owes() && !writing {
            return true;
        }
        let late = now_us >= stopping.deadline_us;
        if late {
            log_line::warning(format_args!(
                "core {}: stopped although {owing} clients have not taken their replies after {} s{}",
                self.engine.core,
                STOP_MAX.as_secs(),
                if writing { ", and the log is still being written" } else { "" }
            ));
        }
        late
    }
}
