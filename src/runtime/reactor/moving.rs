//! Moving a connection to the core that owns most of its keys.
//!
//! ```text
//!  old core   traffic prefers another core ─► pause its receive ─► last completion, all sent ─► Arrives ─►
//!  new core                                             ◄─ Arrived ─ attached, decoded, received from
//!  old core   trace gone (see `serve::traces`) ─► Settled ─►
//!  new core                                             it may move again
//! ```
//!
//! A connection on its way out executes nothing: what it sends is kept, and goes along undecoded. One that cannot be brought
//! to rest soon stays: a client that writes all its requests before it reads a reply would otherwise wait for us for ever,
//! as we would for it.

use super::Reactor;
use crate::runtime::connection::{Connection, MovedConnection};
use crate::runtime::ring::SocketId;
use crate::serve::client::{Client, ClientState};
use crate::serve::clients::line;
use crate::serve::host::address_text;
use crate::serve::message::{Message, Moving};
use crate::serve::traces::Trace;
use ringkeep_shards::command::Door;
use ringkeep_shards::ids::{ClientId, CoreId, ShardId};
use ringkeep_shards::port::Gate;
use std::time::Duration;

/// How long a connection may take to come to rest.
const DEPARTURE_MAX: Duration = Duration::from_millis(50);
/// How often a core with departures looks at the time.
pub(super) const DEPARTURE_TIMER: Duration = Duration::from_millis(10);

/// A connection on its way out.
struct Departure {
    socket: SocketId,
    to: CoreId,
    since_us: u64,
}

/// The moves that one core has a part in. Each list is as long as there are moves at this moment: a few.
#[derive(Default)]
pub(super) struct Moves {
    departures: Vec<Departure>,
    /// Arrived here, with a trace left where they came from.
    unsettled: Vec<ClientId>,
    /// What other cores said about moves, in order.
    inbox: Vec<(CoreId, Moving)>,
}

impl Moves {
    /// Whether a connection is on its way out.
    #[inline]
    pub(super) fn is_departing(&self, socket: SocketId) -> bool {
        self.departures.iter().any(|departure| departure.socket == socket)
    }

    /// Whether any connection is.
    pub(super) fn has_departures(&self) -> bool {
        !self.departures.is_empty()
    }

    /// Calls a departure off, if there is one.
    pub(super) fn call_off(&mut self, socket: SocketId) {
        self.departures.retain(|departure| departure.socket != socket);
    }

    /// Keeps what another core says until the turn's messages are taken.
    pub(super) fn hear(&mut self, from: CoreId, said: Moving) {
        self.inbox.push((from, said));
    }
}

/// Whether a connection is one that can move at all, now.
fn may_move(state: &ClientState) -> bool {
    state.session.door == Door::Server
        && !(state.session.closing || state.session.monitors || state.ended)
        && state.overrun.is_none()
        && state.waiting.is_none()
        && state.run.is_none()
        && state.deferred.is_none()
}

impl Reactor {
    /// Begins a connection's departure if another core owns most of what it asks for; whether it did. Call it between its
    /// requests.
    pub(super) fn begin_departure(&mut self, socket: SocketId) -> bool {
        let Some(connection) = self.connections.get_mut(socket) else { return false };
        let state = &mut connection.client.state;
        if !may_move(state) || self.stop.is_requested() || self.moves.unsettled.contains(&state.session.id) {
            return false;
        }
        let Some(to) = state.traffic.prefers() else { return false };
        assert!(to != self.engine.core, "what is served here is counted as such");
        self.ring.pause(socket);
        self.moves.departures.push(Departure { socket, to, since_us: self.clock.monotonic_us() });
        true
    }

    /// Hands over the connections that have come to rest, and keeps those that do not come to rest.
    pub(super) fn depart(&mut self) {
        let now_us = self.clock.monotonic_us();
        let mut index = 0;
        while let Some(&Departure { socket, to, since_us }) = self.moves.departures.get(index) {
            let late = now_us.saturating_sub(since_us) > DEPARTURE_MAX.as_micros() as u64;
            let Some(connection) = self.connections.get(socket).filter(|_| self.ring.is_open(socket)) else {
                self.moves.departures.swap_remove(index);
                continue;
            };
            if late || self.stop.is_requested() || !may_move(&connection.client.state) {
                self.moves.departures.swap_remove(index);
                self.dirty.push(socket);
            } else if connection.is_flushed() && self.ring.is_at_rest(socket) {
                self.moves.departures.swap_remove(index);
                self.hand_over(socket, to);
            } else {
                index += 1;
            }
        }
    }

    fn hand_over(&mut self, socket: SocketId, to: CoreId) {
        let mut connection = self.connections.remove(socket).expect("the caller looked");
        let state = &connection.client.state;
        let (peer, local) = (address_text(state.peer), address_text(state.local));
        let line = line(&connection, self.clock.monotonic_us());
        self.engine.traces.leave(Trace::new(state.session.id, to, peer, local, line));
        // Gates of this core's shards mean nothing elsewhere, and all of the connection's are open.
        let state = &mut connection.client.state;
        assert!(state.gates.pending_bytes() == 0, "a connection moves when everything has left");
        state.listed = (ShardId(0), Gate::OPEN);
        let moved = connection.into_moved(self.ring.release(socket));
        self.engine.node.counters.moved_connections += 1;
        self.engine.outbox.push((to, Message::Moving(Moving::Arrives(Box::new(moved)))));
    }

    /// Does what other cores said about moves. Call it after a turn's messages were taken and before questions are put.
    pub(super) fn take_moves(&mut self) {
        for (from, said) in std::mem::take(&mut self.moves.inbox) {
            match said {
                Moving::Arrives(moved) => self.adopt(from, *moved),
                Moving::Arrived(id, put_there) => self.engine.traces.arrived(id, put_there),
                Moving::Settled(id) => self.moves.unsettled.retain(|unsettled| *unsettled != id),
                Moving::Close(id) => {
                    let found = self.connections.iter_mut().find(|found| found.client.state.session.id == id);
                    if let Some(socket) = found.map(|found| found.socket()) {
                        self.leave(socket);
                    }
                }
            }
        }
    }

    fn adopt(&mut self, from: CoreId, moved: MovedConnection<Client>) {
        let MovedConnection { descriptor, undecoded, mut client, traffic_bytes, last_active_us } = moved;
        let id = client.state.session.id;
        // It is received from when what came along is decoded.
        client.state.paused = true;
        client.state.session.closing |= self.stopping.is_some();
        let socket = self.ring.attach(descriptor);
        self.connections.insert(Connection::from_moved(socket, undecoded, client, traffic_bytes, last_active_us));
        self.dirty.push(socket);
        self.moves.unsettled.push(id);
        let put = self.engine.traces.put().to_vec();
        self.engine.outbox.push((from, Message::Moving(Moving::Arrived(id, put))));
    }

    /// Forgets connections that left, once no question can miss them. Call it after questions were put.
    pub(super) fn settle_moves(&mut self) {
        if !self.engine.traces.is_empty() {
            for (core, id) in self.engine.traces.settle() {
                self.engine.outbox.push((core, Message::Moving(Moving::Settled(id))));
            }
        }
    }
}
