//! CLIENT PAUSE: requests are held back until the time is over.
//!
//! A request that is held back makes its connection wait, as for another core's answer; the pause's end is that answer, and the
//! request runs then.

use crate::runtime::ring::SocketId;
use crate::serve::client::{ClientState, Finish};
use crate::serve::engine::Engine;
use crate::serve::message::{Answer, Ticket};
use bytes::Bytes;
use ringkeep_shards::command::{Command, find, find_subcommand, flag};

/// A pause, on one core.
pub struct Pause {
    /// When it ends, on the node's monotonic clock.
    pub until_us: u64,
    /// Whether reads are held back too.
    pub all: bool,
    held: Vec<Ticket>,
}

impl Engine {
    /// Begins a pause, or changes the one there is: it ends at the new time, and holds back the more of the two.
    pub fn pause_clients(&mut self, until_us: u64, all: bool) {
        match &mut self.pause {
            Some(pause) => {
                pause.until_us = until_us;
                pause.all |= all;
            }
            None => self.pause = Some(Pause { until_us, all, held: Vec::new() }),
        }
    }

    /// Ends the pause: what was held back runs.
    pub fn unpause_clients(&mut self) {
        let Some(pause) = self.pause.take() else { return };
        for ticket in pause.held {
            self.answers.push_back((ticket, Answer::Data(Box::new(())), None));
        }
    }

    /// Ends the pause for a server that stops: the connections whose requests it held back, which do not run.
    pub fn drop_paused(&mut self) -> Vec<SocketId> {
        let held = self.pause.take().map(|pause| pause.held).unwrap_or_default();
        held.into_iter().filter_map(|ticket| ticket.socket).collect()
    }

    /// How long the pause still takes, in microseconds; none if there is none.
    pub fn pause_left_us(&self) -> Option<u64> {
        Some(self.pause.as_ref()?.until_us.saturating_sub(self.now.monotonic_us))
    }

    /// Ends the pause if its time is over.
    pub fn end_pause_when_due(&mut self) {
        if self.pause_left_us() == Some(0) {
            self.unpause_clients();
        }
    }

    /// Whether the pause holds this request back. What would be refused anyway is not held.
    pub(super) fn is_paused(&self, state: &ClientState, list: &[&[u8]]) -> bool {
        let Some(pause) = &self.pause else { return false };
        let Some(command) = find(list[0]) else { return false };
        let command = list.get(1).and_then(|name| find_subcommand(command, name)).unwrap_or(command);
        if !command.arity_fits(list.len()) || !(state.session.authenticated || command.is(flag::NO_AUTH)) {
            return false;
        }
        pause.all || may_write(command, state)
    }

    /// Keeps a request until the pause is over.
    pub(super) fn hold_back(
        &mut self,
        socket: SocketId,
        state: &mut ClientState,
        list: &[&[u8]],
        owned: &[(usize, Bytes)],
    ) {
        let own = |position: usize| owned.iter().find(|(at, _)| *at == position).map(|(_, bytes)| bytes.clone());
        let request = list
            .iter()
            .enumerate()
            .map(|(position, argument)| own(position).unwrap_or_else(|| Bytes::copy_from_slice(argument)));
        state.deferred = Some(request.collect());
        let serial = state.wait(1, Finish::Data(Box::new(|_, _, _, _| {})));
        let ticket = self.ticket(socket, serial, 0);
        self.pause.as_mut().expect("the caller looked").held.push(ticket);
    }
}

const MAY_WRITE: u32 = flag::WRITE | flag::MAY_REPLICATE;

fn may_write(command: &Command, state: &ClientState) -> bool {
    let queued = || {
        let queue = state.session.transaction.as_ref();
        queue.is_some_and(|queue| queue.commands.iter().any(|(command, _)| command.is(MAY_WRITE)))
    };
    command.is(MAY_WRITE) || command.name == "exec" && queued()
}
