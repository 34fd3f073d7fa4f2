//! One core's requests: from a decoded command to a shard of this core, or to another core, and back.
//!
//! The engine performs no I/O. What must be done outside is left in its queues, which the reactor empties every turn.

use crate::observe::CallEnd;
use crate::resp::WireReply;
use crate::route::{Gate, SlotMap};
use crate::runtime::background::Chore;
use crate::runtime::map::SegmentMap;
use crate::runtime::ring::SocketId;
use crate::serve::client::{ClientState, Finish};
use crate::serve::housekeeping::Save;
use crate::serve::job::{Job, OwnedCall, Work};
use crate::serve::local::{Gated, LocalShard};
use crate::serve::message::{Answer, Message, Question, Ticket};
use crate::serve::node::NodeState;
use crate::serve::traces::Traces;
use bytes::Bytes;
use ringkeep_shards::command::{Admission, Arguments, Command, Door, Keys, ReplyMode, Run, at_shard_port};
use ringkeep_shards::ids::{CoreId, ShardId};
use ringkeep_shards::keyspace::ColdRange;
use ringkeep_shards::log::LogWrite;
use ringkeep_shards::lost::Lost;
use ringkeep_shards::port::{self, Input, Now, Outcome, Outputs, Request};
use ringkeep_shards::reply::ReplySink;
use ringkeep_shards::slots::slot_of;
use slab::Slab;
use std::collections::VecDeque;
use std::sync::Arc;

/// Ranges that are brought in for the checkpoint of a shard are numbered by its place, from here on.
pub(super) const FOR_CHECKPOINTS: u64 = 1 << 62;
/// Ranges that are brought in for an entry that a shard is to apply, likewise.
pub(super) const FOR_ENTRIES: u64 = 1 << 61;

/// One core's requests and shards.
pub struct Engine {
    /// The core.
    pub core: CoreId,
    /// Which shard owns which slot.
    pub map: SlotMap,
    /// The core of each shard.
    pub core_of: Vec<CoreId>,
    /// This core's shards.
    pub shards: Vec<LocalShard>,
    /// Where a shard is among `shards`.
    pub(super) local: Vec<Option<usize>>,
    /// The time of this turn.
    pub now: Now,
    /// Messages for other cores.
    pub outbox: Vec<(CoreId, Message)>,
    /// Connections of this core whose bytes may leave now.
    pub released: Vec<SocketId>,
    /// What shards of this core have lost, for the connections that wait for it: see [`ClientState::take_back`].
    pub lost: Vec<(ShardId, Lost)>,
    /// Answers for connections of this core, with the gates of this core's shards that they wait for.
    pub answers: VecDeque<(Ticket, Answer, Option<Gate>)>,
    /// Questions to this core, to be put by the reactor.
    pub questions: Vec<(Ticket, Question)>,
    /// Connections that left this core a moment ago.
    pub traces: Traces,
    /// The node, as this core sees it: settings, counters, slow log.
    pub node: NodeState,
    /// Log writes to be made, with the shard's place.
    pub writes: Vec<(usize, LogWrite)>,
    /// Ranges to be brought in: of which map, the range, the number to call [`Engine::populated`] with. A checkpoint that is
    /// published in the same turn may let go of the segment, so the map is taken along.
    pub populate: Vec<(Arc<SegmentMap>, ColdRange, u64)>,
    /// Work for the background: the shard's place, what it wants.
    pub background: Vec<(usize, Chore)>,
    /// Jobs that wait for a cold range.
    pub(super) cold: Slab<(Ticket, usize, Job)>,
    /// Requests that shards have set aside.
    pub(super) asides: super::asides::Asides,
    /// SAVEs that wait for their checkpoints.
    pub(super) saves: Vec<Save>,
    /// CLIENT PAUSE.
    pub(super) pause: Option<super::pause::Pause>,
    /// WAIT and its like.
    pub(super) blocked: Vec<super::blocked::Blocked>,
    /// Scripts that are looked for in other shards.
    pub(super) searches: super::scripts::Searches,
    /// Libraries of functions.
    pub(super) copies: super::functions::Copies,
    /// MONITOR.
    pub(super) monitors: super::monitors::Monitors,
    /// How the command that runs now ended.
    pub(super) ended: CallEnd,
    pub(super) outputs: Outputs,
    /// Shards that took an input in this turn.
    pub(super) touched: Vec<usize>,
}

/// Where a request's keys are.
enum Place {
    Shard(ShardId),
    /// Nowhere that can serve it: the error is written.
    Refused,
}

impl Engine {
    /// The engine of a core.
    pub fn new(core: CoreId, core_of: Vec<CoreId>, shards: Vec<LocalShard>, node: NodeState) -> Self {
        let mut local = vec![None; core_of.len()];
        for (place, shard) in shards.iter().enumerate() {
            local[usize::from(shard.id.0)] = Some(place);
        }
        Engine {
            core,
            map: SlotMap::new(core_of.len() as u16),
            core_of,
            shards,
            local,
            now: Now::default(),
            outbox: Vec::new(),
            released: Vec::new(),
            lost: Vec::new(),
            answers: VecDeque::new(),
            questions: Vec::new(),
            traces: Traces::default(),
            node,
            writes: Vec::new(),
            populate: Vec::new(),
            background: Vec::new(),
            cold: Slab::new(),
            asides: super::asides::Asides::default(),
            saves: Vec::new(),
            pause: None,
            blocked: Vec::new(),
            searches: super::scripts::Searches::default(),
            copies: super::functions::Copies::default(),
            monitors: super::monitors::Monitors::default(),
            ended: CallEnd::Done,
            outputs: Outputs::default(),
            touched: Vec::new(),
        }
    }

    /// Where a shard is among this core's.
    pub(crate) fn place_of(&self, shard: ShardId) -> Option<usize> {
        self.local[usize::from(shard.0)]
    }

    /// How many shards the node has.
    pub fn shard_count(&self) -> u16 {
        self.core_of.len() as u16
    }

    /// Runs one request of a connection, or begins to. `out` is where its replies gather, `start` where in it the oldest byte
    /// that has not left is. Returns false, and does nothing, if what was gathered for another core must be answered first.
    #[inline]
    pub fn execute(
        &mut self,
        socket: SocketId,
        state: &mut ClientState,
        list: &[&[u8]],
        owned: &[(usize, Bytes)],
        out: &mut Vec<u8>,
        start: usize,
    ) -> bool {
        if self.pause.is_some() && self.is_paused(state, list) {
            if state.run.is_some() {
                return false;
            }
            self.hold_back(socket, state, list, owned);
            return true;
        }
        if state.run.is_some() && !self.joins_run(state, list, owned) {
            return false;
        }
        if state.run.is_some() {
            return true;
        }
        let before = out.len();
        let mut reply = WireReply::new(out, state.session.protocol);
        let admission = state.session.admit(list, &mut reply);
        let mut command = match admission {
            Admission::Run(command) => command,
            Admission::Queued | Admission::Refused => {
                if let (Admission::Queued, Door::Shard(_)) = (admission, state.session.door) {
                    self.check_queued(state, list, out, before);
                }
                let is_error = out.get(before) == Some(&b'-');
                self.replied(state, out, start, before, None);
                if is_error {
                    if list[0].eq_ignore_ascii_case(b"exec") {
                        // It ends the transaction, and with it the watches, as it would have by running.
                        self.unwatch(state);
                    }
                    self.refused(list);
                }
                return true;
            }
        };
        if state.session.door != Door::Server {
            command = at_shard_port(command);
        }
        self.run_admitted(socket, state, command, list, owned, out, start);
        true
    }

    /// Runs a command that may run now, or begins to.
    #[allow(clippy::too_many_arguments, reason = "a request is its parts, borrowed apart")]
    #[inline]
    pub(super) fn run_admitted(
        &mut self,
        socket: SocketId,
        state: &mut ClientState,
        command: &'static Command,
        list: &[&[u8]],
        owned: &[(usize, Bytes)],
        out: &mut Vec<u8>,
        start: usize,
    ) {
        let before = out.len();
        let begun = self.begin_call(command, before);
        match command.run {
            Run::Shard(_) => {
                let mut reply = WireReply::new(out, state.session.protocol);
                match self.place(state, command, list, &mut reply) {
                    Place::Shard(shard) => self.in_shard(socket, state, command, shard, list, owned, out, start),
                    Place::Refused => self.replied(state, out, start, before, None),
                }
            }
            _ => self.elsewhere(socket, state, command, list, owned, out, start),
        }
        self.end_call(state, command, list, out.len(), &begun);
    }

    /// Runs a command in its shard: at once if that is here.
    #[allow(clippy::too_many_arguments, reason = "a request is its parts, borrowed apart")]
    #[inline]
    pub(crate) fn in_shard(
        &mut self,
        socket: SocketId,
        state: &mut ClientState,
        command: &'static Command,
        shard: ShardId,
        list: &[&[u8]],
        owned: &[(usize, Bytes)],
        out: &mut Vec<u8>,
        start: usize,
    ) {
        let before = out.len();
        let Some(place) = self.local[usize::from(shard.0)] else {
            self.count_traffic(state, shard);
            if state.session.reply_mode == ReplyMode::ON {
                state.run = Some(super::client::Run { shard, calls: vec![OwnedCall::new(command, list, owned)] });
            } else {
                self.wait_for(socket, state, shard, Work::Calls(vec![OwnedCall::new(command, list, owned)]));
            }
            return;
        };
        state.traffic.count_here();
        if self.shards[place].hold.keeps_out(Some((self.core, socket))) {
            return self.wait_for(socket, state, shard, Work::Calls(vec![OwnedCall::new(command, list, owned)]));
        }
        let db = state.session.db;
        let mut reply = WireReply::new(out, state.session.protocol);
        let arguments = Arguments::with_owned(list, owned);
        let request = Input::Request(Request { command, db, arguments, reply: &mut reply, context: None });
        self.step(place, request);
        match std::mem::take(&mut self.outputs.outcome) {
            Outcome::Done(gate) => {
                let gate = self.gate(place, gate, socket, state);
                self.replied(state, out, start, before, gate);
            }
            Outcome::Cold(range) => {
                out.truncate(before);
                let work = Work::Calls(vec![OwnedCall::new(command, list, owned)]);
                let job = Job::new(shard, &state.session, work);
                let ticket = self.ticket(socket, state.wait(1, Finish::Reply), 0);
                self.mark_waiting_replies(state);
                self.park(ticket, place, job, range);
            }
            Outcome::Aside(aside) => {
                out.truncate(before);
                let work = Work::Calls(vec![OwnedCall::new(command, list, owned)]);
                let job = Job::new(shard, &state.session, work);
                let ticket = self.ticket(socket, state.wait(1, Finish::Reply), 0);
                self.mark_waiting_replies(state);
                self.keep_aside(ticket, place, job, aside);
            }
            Outcome::Stopped(text) => {
                out.truncate(before);
                WireReply::new(out, state.session.protocol).error(text);
                self.replied(state, out, start, before, None);
            }
            Outcome::Refused(text) => {
                WireReply::new(out, state.session.protocol).error(text);
                self.replied(state, out, start, before, None);
                self.ended = CallEnd::Rejected;
            }
            Outcome::NotServing | Outcome::None => self.replied(state, out, start, before, None),
        }
    }

    /// Counts a command for the shard's core.
    #[inline]
    pub(super) fn count_traffic(&self, state: &mut ClientState, shard: ShardId) {
        match self.core_of[usize::from(shard.0)] {
            core if core == self.core => state.traffic.count_here(),
            core => state.traffic.count_there(core),
        }
    }

    /// The gate that a reply waits for, if it is closed; the connection is listed to be told when it opens.
    #[inline]
    fn gate(&mut self, place: usize, until: port::Gate, socket: SocketId, state: &mut ClientState) -> Option<Gate> {
        let local = &mut self.shards[place];
        if until.is_open(local.open) {
            return None;
        }
        if state.listed != (local.id, until) {
            state.listed = (local.id, until);
            local.hold(until, Gated::Connection(socket));
        }
        Some(Gate { shard: local.id, until, alone: true })
    }

    /// A reply is written from `before` on: it leaves when its gate opens, or not at all (CLIENT REPLY).
    #[inline]
    pub(crate) fn replied(
        &mut self,
        state: &mut ClientState,
        out: &mut Vec<u8>,
        start: usize,
        before: usize,
        gate: Option<Gate>,
    ) {
        if out.get(before) == Some(&b'-') {
            self.note_error(&out[before..]);
        }
        if state.session.reply_mode != ReplyMode::ON && !state.take_reply_mode() {
            out.truncate(before);
        }
        state.gates.mark(out.len() - start, gate);
    }

    /// The shard of a command's keys; none if the request is refused, with the error written.
    pub(crate) fn shard_for(
        &mut self,
        state: &ClientState,
        command: &Command,
        list: &[&[u8]],
        reply: &mut dyn ReplySink,
    ) -> Option<ShardId> {
        match self.place(state, command, list, reply) {
            Place::Shard(shard) => Some(shard),
            Place::Refused => None,
        }
    }

    /// The shard of a command's keys.
    #[inline]
    fn place(&mut self, state: &ClientState, command: &Command, list: &[&[u8]], reply: &mut dyn ReplySink) -> Place {
        let Some(mut positions) = command.key_positions(list) else {
            // A count of keys that is no count: the handler says so.
            return Place::Shard(ShardId(0));
        };
        if let Keys::Range { first, step: step @ 2.., .. } = command.keys
            && (list.len() as i64 - i64::from(first)) % i64::from(step) != 0
        {
            // A key lacks its value: the handler says so, whatever keys there are.
            return Place::Shard(ShardId(0));
        }
        let door = state.session.door;
        if self.core_of.len() == 1 && door == Door::Server {
            return Place::Shard(ShardId(0));
        }
        let Some(first) = positions.next() else {
            return Place::Shard(if let Door::Shard(shard) = door { shard } else { ShardId(0) });
        };
        let slot = slot_of(list[first]);
        let shard = self.map.shard_of_slot(slot);
        match door {
            Door::Server => {
                if positions.any(|position| self.map.shard_of(list[position]) != shard) {
                    reply.error(CROSS_SHARD);
                    return Place::Refused;
                }
            }
            Door::Shard(own) => {
                if positions.any(|position| slot_of(list[position]) != slot) {
                    reply.error("CROSSSLOT Keys in request don't hash to the same slot");
                    return Place::Refused;
                }
                if shard != own {
                    reply.error(&self.moved(state, slot.0, shard));
                    return Place::Refused;
                }
            }
        }
        Place::Shard(shard)
    }

    fn moved(&self, state: &ClientState, slot: u16, shard: ShardId) -> String {
        let (host, port) = crate::serve::cluster::shard_address(self.node.settings.config(), state, shard);
        format!("MOVED {slot} {host}:{port}")
    }

    /// Whether MONITOR's listeners are to be told something.
    pub fn has_monitor_lines(&self) -> bool {
        self.monitors.has_lines()
    }

    /// Up to where the gates of a shard of this core are open.
    #[inline]
    pub fn open(&self, shard: ShardId) -> port::Gate {
        let place = self.local[usize::from(shard.0)].expect("gates are of this core's shards");
        self.shards[place].open
    }
}

const CROSS_SHARD: &str =
    "CROSSSLOT Keys in request don't live in one shard, and transactions over several shards are not there yet";
