//! Requests that wait for time to pass, or for CLIENT UNBLOCK: WAIT and WAITAOF, whose replicas do not exist yet.

use crate::resp::WireReply;
use crate::runtime::ring::SocketId;
use crate::serve::client::{ClientState, Finish};
use crate::serve::engine::Engine;
use crate::serve::message::{Answer, Ticket};
use ringkeep_shards::command::{Command, timeout_ms};
use ringkeep_shards::keyspace::canonical_integer;
use ringkeep_shards::reply::ReplySink;

/// A request that waits.
pub struct Blocked {
    /// When it has waited long enough, on the node's monotonic clock; none waits until somebody ends it.
    until_us: Option<u64>,
    ticket: Ticket,
}

/// What ended the wait.
struct Ended {
    by_error: bool,
}

const UNBLOCKED: &str = "UNBLOCKED client unblocked via CLIENT UNBLOCK";

impl Engine {
    /// Makes WAIT or WAITAOF wait, if it asks for replicas; whether it does. What is wrong with it is for its handler to say.
    pub(super) fn block(
        &mut self,
        socket: SocketId,
        state: &mut ClientState,
        command: &Command,
        list: &[&[u8]],
    ) -> bool {
        let (replicas, timeout, is_aof) = match (command.name, list) {
            ("wait", [_, replicas, timeout]) => (replicas, timeout, false),
            ("waitaof", [_, local, replicas, timeout]) if matches!(canonical_integer(local), Some(0 | 1)) => {
                (replicas, timeout, true)
            }
            _ => return false,
        };
        // Within EXEC nothing waits.
        if state.exec.is_some() || canonical_integer(replicas).is_none_or(|count| count <= 0) {
            return false;
        }
        let Ok(timeout) = timeout_ms(timeout) else { return false };
        let until_us = (timeout > 0).then(|| self.now.monotonic_us.saturating_add(timeout.saturating_mul(1000)));
        let finish = Finish::Data(Box::new(move |_, state, parts, out| {
            let by_error = parts.iter().any(|part| part.downcast_ref::<Ended>().is_some_and(|ended| ended.by_error));
            let mut reply = WireReply::new(out, state.session.protocol);
            if by_error {
                return reply.error(UNBLOCKED);
            }
            if is_aof {
                // Replies leave in order, and those before this one waited until what they tell of is on disk.
                reply.array(2);
                reply.integer(1);
            }
            reply.integer(0);
        }));
        let serial = state.wait(1, finish);
        self.mark_waiting_replies(state);
        let ticket = self.ticket(socket, serial, 0);
        self.blocked.push(Blocked { until_us, ticket });
        true
    }

    /// How many requests of this core's connections wait.
    pub fn blocked_count(&self) -> usize {
        self.blocked.len()
    }

    /// Whether a connection waits.
    pub fn is_blocked(&self, socket: SocketId) -> bool {
        self.blocked.iter().any(|blocked| blocked.ticket.socket == Some(socket))
    }

    /// Ends the wait of a connection: with what it has, or with an error. Whether it waited.
    pub(super) fn unblock(&mut self, socket: SocketId, by_error: bool) -> bool {
        let Some(at) = self.blocked.iter().position(|blocked| blocked.ticket.socket == Some(socket)) else {
            return false;
        };
        let blocked = self.blocked.swap_remove(at);
        self.answers.push_back((blocked.ticket, Answer::Data(Box::new(Ended { by_error })), None));
        true
    }

    /// The time until the next wait or pause of this core is over, in microseconds.
    pub fn next_wait_us(&self) -> Option<u64> {
        let now_us = self.now.monotonic_us;
        let blocked = self.blocked.iter().filter_map(|blocked| blocked.until_us).min();
        let blocked = blocked.map(|until_us| until_us.saturating_sub(now_us));
        blocked.into_iter().chain(self.pause_left_us()).min()
    }

    /// Ends the waits and the pause whose time is over.
    pub fn end_waits_when_due(&mut self) {
        self.end_pause_when_due();
        let now_us = self.now.monotonic_us;
        while let Some(at) =
            self.blocked.iter().position(|blocked| blocked.until_us.is_some_and(|until_us| until_us <= now_us))
        {
            let blocked = self.blocked.swap_remove(at);
            self.answers.push_back((blocked.ticket, Answer::Data(Box::new(Ended { by_error: false })), None));
        }
    }

    /// Whether a connection may leave now; nothing waits for it then. An EXEC that runs piece by piece is finished first: it is all
    /// or nothing.
    pub fn lets_go(&mut self, socket: SocketId, state: &mut ClientState) -> bool {
        if state.waiting.is_some() {
            self.stop_asides_everywhere(socket);
        }
        if state.exec.is_some() {
            state.session.closing = true;
            return false;
        }
        self.unwatch(state);
        self.stop_monitor(socket, state);
        self.blocked.retain(|blocked| blocked.ticket.socket != Some(socket));
        if let Some(waiting) = state.waiting.take() {
            self.abandoned_call(&waiting);
        }
        state.run = None;
        true
    }
}
