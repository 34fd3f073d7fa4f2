//! One core's requests: from a decoded command to a shard of this core, or to another core, and back.
//!
//! The engine performs no I/O. What must be done outside is left in its queues, which the reactor empties every turn.

use crate::observe::CallEnd;
use crate::resp::WireReply;
use crate::route::{Gate, SlotMap};
use crate::runtime::background::Chore;
use crate::runtime::ring::SocketId;
use crate::serve::called::{Called, Ended};
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
use ringkeep_shards::lost::{Fate, Lost};
use ringkeep_shards::port::{self, Input, Now, Outcome, Outputs, Request};
use ringkeep_shards::reply::ReplySink;
use ringkeep_shards::slots::slot_of;
use slab::Slab;
use std::any::Any;
use std::collections::VecDeque;

/// Ranges that are brought in for the checkpoint of a shard are numbered by its place, from here on.
pub(super) const FOR_CHECKPOINTS: u64 = 1 << 62;
/// Ranges that are brought in for an entry that a shard is to apply, likewise.
const FOR_ENTRIES: u64 = 1 << 61;

/// Commands of one connection that one message to a foreign shard carries at most.
const RUN_CALLS_MAX: usize = 1024;

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
    local: Vec<Option<usize>>,
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
    /// Ranges to be brought in: the shard's place, the range, the number to call [`Engine::populated`] with.
    pub populate: Vec<(usize, ColdRange, u64)>,
    /// Work for the background: the shard's place, what it wants.
    pub background: Vec<(usize, Chore)>,
    /// Jobs that wait for a cold range.
    pub(super) cold: Slab<(Ticket, usize, Job)>,
    /// SAVEs that wait for their checkpoints.
    pub(super) saves: Vec<Save>,
    /// CLIENT PAUSE.
    pub(super) pause: Option<super::pause::Pause>,
    /// WAIT and its like.
    pub(super) blocked: Vec<super::blocked::Blocked>,
    /// Scripts that are looked for in other shards.
    pub(super) searches: super::scripts::Searches,
    /// MONITOR.
    pub(super) monitors: super::monitors::Monitors,
    /// How the command that runs now ended.
    pub(super) ended: CallEnd,
    pub(super) outputs: Outputs,
    /// Shards that took an input in this turn.
    touched: Vec<usize>,
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
            saves: Vec::new(),
            pause: None,
            blocked: Vec::new(),
            searches: super::scripts::Searches::default(),
            monitors: super::monitors::Monitors::default(),
            ended: CallEnd::Done,
            outputs: Outputs::default(),
            touched: Vec::new(),
        }
    }

    /// Where a shard is among this core's.
    pub(super) fn place_of(&self, shard: ShardId) -> Option<usize> {
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
            if state.session.reply_mode == ReplyMode::On {
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
        let request = Input::Request(Request { command, db, arguments, reply: &mut reply });
        self.step(place, request);
        match std::mem::take(&mut self.outputs.outcome) {
            Outcome::Done(gate) => {
                let gate = self.gate(place, gate, socket, state);
                self.replied(state, out, start, before, gate);
            }
            Outcome::Cold(range) => {
                out.truncate(before);
                let work = Work::Calls(vec![OwnedCall::new(command, list, owned)]);
                let job = Job::new(shard, db, state.session.protocol, work);
                let ticket = self.ticket(socket, state.wait(1, Finish::Reply), 0);
                self.mark_waiting_replies(state);
                self.park(ticket, place, job, range);
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
        if state.session.reply_mode != ReplyMode::On && !state.session.take_reply_mode() {
            out.truncate(before);
        }
        state.gates.mark(out.len() - start, gate);
    }

    pub(super) fn mark_waiting_replies(&mut self, state: &mut ClientState) {
        let replies = state.session.take_reply_mode();
        if let Some(waiting) = &mut state.waiting {
            waiting.replies = replies;
        }
    }

    /// Whether the request was added to the commands that are gathered for one foreign shard.
    fn joins_run(&mut self, state: &mut ClientState, list: &[&[u8]], owned: &[(usize, Bytes)]) -> bool {
        let run = state.run.as_mut().expect("the caller looked");
        let Some(command) = ringkeep_shards::command::find(list[0]) else { return false };
        if !matches!(command.run, Run::Shard(_))
            || !command.arity_fits(list.len())
            || !command.subcommands.is_empty()
            || state.session.transaction.is_some()
            || state.session.door != Door::Server
            || run.calls.len() >= RUN_CALLS_MAX
        {
            return false;
        }
        let Some(positions) = command.key_positions(list) else { return false };
        let run = state.run.as_mut().expect("the caller looked");
        for position in positions {
            if self.map.shard_of(list[position]) != run.shard {
                return false;
            }
        }
        state.session.last_command = command.name;
        state.traffic.count_there(self.core_of[usize::from(run.shard.0)]);
        if self.monitors.is_fed() {
            self.feed_monitors(state, command, list);
        }
        let run = state.run.as_mut().expect("the caller looked");
        run.calls.push(OwnedCall::new(command, list, owned));
        true
    }

    /// Sends what was gathered for a foreign shard. Call it when the connection's bytes are used up, or cannot be used.
    pub fn send_run(&mut self, socket: SocketId, state: &mut ClientState) {
        if let Some(run) = state.run.take() {
            let commands = run.calls.iter().map(|call| call.command).collect();
            self.wait_for(socket, state, run.shard, Work::Calls(run.calls));
            if let Some(waiting) = &mut state.waiting {
                waiting.called = Called::Run(commands);
            }
        }
    }

    /// Gives work to one shard, wherever it is, and waits for its reply.
    pub(super) fn wait_for(&mut self, socket: SocketId, state: &mut ClientState, shard: ShardId, work: Work) {
        let finish = if matches!(work, Work::Watch(_)) { Finish::Watch } else { Finish::Reply };
        let job = Job::new(shard, state.session.db, state.session.protocol, work);
        let ticket = self.ticket(socket, state.wait(1, finish), 0);
        self.mark_waiting_replies(state);
        self.give(ticket, job);
    }

    /// Gives the parts of a request to several shards and waits for all of them.
    pub(super) fn wait_for_all(
        &mut self,
        socket: SocketId,
        state: &mut ClientState,
        parts: Vec<(ShardId, Work)>,
        finish: Finish,
    ) {
        let serial = state.wait(parts.len(), finish);
        self.mark_waiting_replies(state);
        for (part, (shard, work)) in parts.into_iter().enumerate() {
            let job = Job::new(shard, state.session.db, state.session.protocol, work);
            self.give(self.ticket(socket, serial, part as u16), job);
        }
    }

    /// Asks every core, this one too, and waits for all of them.
    pub(crate) fn ask_all(
        &mut self,
        socket: SocketId,
        state: &mut ClientState,
        question: impl Fn() -> Question,
        finish: Finish,
    ) {
        let cores = self.cores();
        let serial = state.wait(cores.len(), finish);
        self.mark_waiting_replies(state);
        for (part, core) in cores.into_iter().enumerate() {
            let ticket = self.ticket(socket, serial, part as u16);
            if core == self.core {
                self.questions.push((ticket, question()));
            } else {
                self.outbox.push((core, Message::Ask(ticket, question())));
            }
        }
    }

    /// Every core that runs, in order.
    pub fn cores(&self) -> Vec<CoreId> {
        let last = self.core_of.iter().max().map_or(0, |core| core.0);
        (0..=last.max(self.core.0)).map(CoreId).collect()
    }

    pub(super) fn ticket(&self, socket: SocketId, serial: u32, part: u16) -> Ticket {
        Ticket { core: self.core, socket: Some(socket), serial, part }
    }

    /// Gives a job to its shard, here or elsewhere.
    pub(super) fn give(&mut self, ticket: Ticket, job: Job) {
        match self.local[usize::from(job.shard.0)] {
            Some(place) => self.run(ticket, place, job),
            None => self.outbox.push((self.core_of[usize::from(job.shard.0)], Message::Job(ticket, job))),
        }
    }

    /// A message from another core. Connections that move are the reactor's business.
    pub fn received(&mut self, message: Message) {
        match message {
            Message::Job(ticket, job) => {
                let place = self.local[usize::from(job.shard.0)].expect("a job is sent to its shard's core");
                self.run(ticket, place, job);
            }
            Message::Ask(ticket, question) => self.questions.push((ticket, question)),
            Message::Answer(ticket, answer) => self.answers.push_back((ticket, answer, None)),
            Message::Moving(_) => panic!("the reactor moves connections"),
        }
    }

    /// Runs a job as far as it goes: to its answer, or to a cold value.
    pub(super) fn run(&mut self, ticket: Ticket, place: usize, job: Job) {
        let Some(job) = self.admit_job(ticket, place, job) else { return };
        let Some(mut job) = self.with_scripts(ticket, place, job) else { return };
        self.begin_job();
        let worked = self.work(place, &mut job);
        self.end_job(place, &mut job);
        match worked {
            Ok(watched) => {
                self.note_slow_calls(&mut job);
                let answer = match watched {
                    Some(watched) => Answer::Watched(watched),
                    None => Answer::Reply(std::mem::take(&mut job.replies), std::mem::take(&mut job.ran)),
                };
                let gate = self.gate_of_answer(ticket, place, job.gate);
                match job.lost {
                    Some(fate) => self.answer(ticket, place, answer.in_place_of(fate), port::Gate::OPEN, true),
                    None => self.answer(ticket, place, answer, gate, job.is_one_run()),
                }
            }
            Err(range) => self.park(ticket, place, job, range),
        }
    }

    fn work(
        &mut self,
        place: usize,
        job: &mut Job,
    ) -> Result<Option<Vec<ringkeep_shards::port::WatchedKey>>, ColdRange> {
        let Job { db, protocol, work, done, replies, gate, .. } = job;
        match work {
            Work::Calls(calls) => {
                let output_bytes_max = self.node.output_bytes_max();
                for call in &calls[*done..] {
                    // The connection is closed for what it got already: no more is made for it.
                    if replies.len() > output_bytes_max {
                        break;
                    }
                    let list: smallvec::SmallVec<[&[u8]; 8]> = call.arguments.iter().map(|bytes| &bytes[..]).collect();
                    let owned: smallvec::SmallVec<[(usize, Bytes); 2]> = call
                        .arguments
                        .iter()
                        .enumerate()
                        .filter(|(_, bytes)| bytes.len() >= crate::resp::LARGE_BULK_BYTES_MIN)
                        .map(|(position, bytes)| (position, bytes.clone()))
                        .collect();
                    let before = replies.len();
                    let mut reply = WireReply::new(replies, *protocol);
                    let arguments = Arguments::with_owned(&list, &owned);
                    let request = Request { command: call.command, db: *db, arguments, reply: &mut reply };
                    self.step(place, Input::Request(request));
                    match std::mem::take(&mut self.outputs.outcome) {
                        Outcome::Cold(range) => {
                            replies.truncate(before);
                            return Err(range);
                        }
                        Outcome::Done(opens) => *gate = gate.and(opens),
                        Outcome::NotServing | Outcome::None => {}
                    }
                    *done += 1;
                }
                Ok(None)
            }
            Work::Exec { items, watches, .. } => {
                replies.clear();
                let mut reply = WireReply::new(replies, *protocol);
                self.step(place, Input::Exec { items, watches, reply: &mut reply });
                match std::mem::take(&mut self.outputs.outcome) {
                    Outcome::Cold(range) => return Err(range),
                    Outcome::Done(opens) => *gate = opens,
                    Outcome::NotServing | Outcome::None => {}
                }
                Ok(None)
            }
            Work::Watch(keys) => {
                let list: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
                self.step(place, Input::Watch { db: *db, keys: &list });
                Ok(Some(std::mem::take(&mut self.outputs.watched)))
            }
            Work::Unwatch(watches) => {
                self.step(place, Input::Unwatch { watches });
                Ok(None)
            }
            Work::Release => panic!("a release is no work for a shard"),
        }
    }

    /// An answer leaves when its gate is open; one for this core's own connection takes its gate along.
    pub(super) fn answer(&mut self, ticket: Ticket, place: usize, answer: Answer, until: port::Gate, alone: bool) {
        let local = &mut self.shards[place];
        let open = until.is_open(local.open);
        if ticket.core == self.core {
            let gate = (!open).then_some(Gate { shard: local.id, until, alone });
            self.answers.push_back((ticket, answer, gate));
        } else if !open {
            local.hold(until, Gated::Answer(ticket, answer));
        } else {
            self.outbox.push((ticket.core, Message::Answer(ticket, answer)));
        }
    }

    /// An answer has come for a connection: whether its request is finished, with the reply written.
    #[allow(clippy::too_many_arguments, reason = "an answer is its parts, borrowed apart")]
    pub fn answered(
        &mut self,
        socket: SocketId,
        state: &mut ClientState,
        ticket: Ticket,
        answer: Answer,
        gate: Option<Gate>,
        out: &mut Vec<u8>,
        start: usize,
    ) -> bool {
        let Some(waiting) = &mut state.waiting else { return false };
        if waiting.serial != ticket.serial {
            return false;
        }
        let mut answer = answer;
        if let Answer::Reply(_, ran) = &mut answer {
            waiting.ran.add(std::mem::take(ran));
        }
        let slot = &mut waiting.parts[usize::from(ticket.part)];
        assert!(slot.is_none(), "a part is answered once");
        *slot = Some(answer);
        waiting.missing -= 1;
        waiting.gates.extend(gate);
        if waiting.missing > 0 {
            return false;
        }
        let mut waiting = state.waiting.take().expect("it was just looked at");
        let ended = Ended::of(&mut waiting);
        if state.exec.is_some() && !matches!(waiting.finish, Finish::ExecEnd) {
            self.finish_within_exec(state, waiting, ended);
            let finished = self.run_exec(socket, state, out, start);
            if finished {
                self.exec_called(state);
            }
            return finished;
        }
        let before = out.len();
        let mut gates = waiting.gates.clone();
        if waiting.parts.len() > 1 {
            gates.iter_mut().for_each(|gate| gate.alone = false);
        }
        let (replies, lost) = (waiting.replies, waiting.lost);
        self.finish(state, waiting, out);
        if let Some(error) = lost.and_then(Fate::error) {
            out.truncate(before);
            WireReply::new(out, state.session.protocol).error(error);
        }
        self.answered_call(state, ended, &out[before..]);
        if !replies {
            out.truncate(before);
        }
        for gate in &gates {
            let local = self.local[usize::from(gate.shard.0)].expect("gates are of this core's shards");
            self.shards[local].hold(gate.until, Gated::Connection(socket));
        }
        state.gates.mark_all(out.len() - start, &gates);
        true
    }

    pub(super) fn finish(&mut self, state: &mut ClientState, waiting: super::client::Waiting, out: &mut Vec<u8>) {
        let parts = waiting.parts.into_iter().map(|part| part.expect("all parts are answered"));
        let encoded = |part: Answer| match part {
            Answer::Reply(bytes, _) => bytes,
            Answer::Watched(_) | Answer::Data(_) => panic!("shards answer with replies"),
        };
        match waiting.finish {
            Finish::Exec(session) => {
                for part in parts {
                    let reply = encoded(part);
                    if reply != b"*-1\r\n" && reply != b"_\r\n" {
                        let reply_mode = state.session.reply_mode;
                        state.session = *session.clone();
                        state.session.reply_mode = reply_mode;
                    }
                    out.extend_from_slice(&reply);
                }
            }
            Finish::Piece => parts.for_each(|part| self.finish_piece(state, &encoded(part), out)),
            Finish::ExecEnd => {
                self.finish_exec(state, out);
                self.exec_called(state);
            }
            Finish::Reply => parts.for_each(|part| out.extend_from_slice(&encoded(part))),
            Finish::Join(join) => {
                let replies: Vec<Vec<u8>> = parts.map(encoded).collect();
                let slices: Vec<&[u8]> = replies.iter().map(Vec::as_slice).collect();
                let mut reply = WireReply::new(out, state.session.protocol);
                if let Err(error) = join.write(&slices, &mut reply) {
                    panic!("shards of one build answer alike: {error:?}");
                }
            }
            Finish::Any => {
                let mut replies: Vec<Vec<u8>> = parts.map(encoded).collect();
                let chosen = replies.iter().position(|reply| reply != b"$-1\r\n" && reply != b"_\r\n").unwrap_or(0);
                out.append(&mut replies[chosen]);
            }
            Finish::Watch => {
                for (part, watched) in parts.enumerate() {
                    let Answer::Watched(watched) = watched else { panic!("WATCH is answered with numbers ({part})") };
                    for key in watched {
                        let shard = self.map.shard_of(&key.key);
                        state.session.watched.push((shard, key));
                    }
                }
                WireReply::new(out, state.session.protocol).ok();
            }
            Finish::Data(finish) => {
                let data: Vec<Box<dyn Any + Send>> = parts
                    .map(|part| match part {
                        Answer::Data(data) => data,
                        Answer::Reply(..) | Answer::Watched(_) => panic!("questions are answered with data"),
                    })
                    .collect();
                finish(self, state, data, out);
            }
        }
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

    // Shards.

    /// One input to a shard; what it asks for is queued.
    #[inline]
    pub fn step(&mut self, place: usize, input: Input<'_>) {
        let local = &mut self.shards[place];
        local.shard.step(self.now, input, &local.files, &mut self.outputs);
        if !local.touched {
            local.touched = true;
            self.touched.push(place);
        }
        if self.outputs.write.is_some()
            || self.outputs.open != local.open
            || self.outputs.lost.is_some()
            || self.outputs.cold_entry.is_some()
            || self.outputs.wants_housekeeping()
        {
            self.perform(place);
        }
    }

    fn perform(&mut self, place: usize) {
        if let Some(write) = self.outputs.write.take() {
            self.writes.push((place, write));
        }
        if self.outputs.wants_housekeeping() {
            self.keep_house(place);
        }
        if let Some(range) = self.outputs.cold_entry.take() {
            self.populate.push((place, range, FOR_ENTRIES + place as u64));
        }
        if let Some(lost) = self.outputs.lost.take() {
            self.take_back(place, lost);
        }
        let local = &mut self.shards[place];
        if self.outputs.open != local.open {
            local.open = self.outputs.open;
            for gated in local.release() {
                match gated {
                    Gated::Connection(socket) => self.released.push(socket),
                    Gated::Answer(ticket, answer) => self.outbox.push((ticket.core, Message::Answer(ticket, answer))),
                }
            }
        }
    }

    /// The turn is over: shards that took inputs propose and write what they gathered.
    pub fn end_of_turn(&mut self) {
        while let Some(place) = self.touched.pop() {
            // A shard that is held keeps its batch open, and its mark, until it is free.
            if !self.shards[place].hold.is_held() {
                self.step_end(place);
            }
        }
    }

    fn step_end(&mut self, place: usize) {
        let local = &mut self.shards[place];
        local.touched = true;
        local.shard.step(self.now, Input::EndOfTick, &local.files, &mut self.outputs);
        local.touched = false;
        self.perform(place);
        self.hurry(place);
    }

    /// Looks at a shard's end of turn without any other input (at start).
    pub fn touch(&mut self, place: usize) {
        if !self.shards[place].touched {
            self.shards[place].touched = true;
            self.touched.push(place);
        }
    }

    // Cold values.

    fn park(&mut self, ticket: Ticket, place: usize, job: Job, range: ColdRange) {
        let number = self.cold.insert((ticket, place, job));
        self.populate.push((place, range, number as u64));
    }

    /// A cold range was brought in: the job that waits for it goes on.
    pub fn populated(&mut self, number: u64) {
        if number >= FOR_CHECKPOINTS {
            return self.step((number - FOR_CHECKPOINTS) as usize, Input::CheckpointWarm);
        }
        if number >= FOR_ENTRIES {
            return self.touch((number - FOR_ENTRIES) as usize);
        }
        let (ticket, place, job) = self.cold.remove(number as usize);
        self.run(ticket, place, job);
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

    /// Jobs that wait for the disk.
    pub fn cold_waiting(&self) -> usize {
        self.cold.len()
    }
}

const CROSS_SHARD: &str =
    "CROSSSLOT Keys in request don't live in one shard, and transactions over several shards are not there yet";
