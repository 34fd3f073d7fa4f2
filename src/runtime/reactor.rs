//! One core's loop: completions of the ring, messages of the mesh, inputs to shards, and what they ask for.
//!
//! ```text
//! ring ─ received ─► decode ─► engine ─► shard ─► reply, gated
//!      ─ log written ───────────────────► shard ─► gates open ─► send
//! mesh ─ jobs, answers ──► engine
//! ```

use crate::config::Config;
use crate::log_line;
use crate::runtime::background;
use crate::runtime::clock::Clock;
use crate::runtime::connection::{BufferPool, Connection, Connections};
use crate::runtime::map::SegmentMap;
use crate::runtime::mesh::Mesh;
use crate::runtime::ring::{ColdRing, Completion, ListenerId, Ring, Sleep, SocketId};
use crate::runtime::signals::StopRequest;
use crate::serve::client::Client;
use crate::serve::engine::Engine;
use crate::serve::message::{Answer, CoreView, Message};
use ringkeep_shards::command::Door;
use ringkeep_shards::log::LogWrite;
use ringkeep_shards::port::Input;
use ringkeep_shards::script::LogLevel;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

mod bounds;
mod moving;
mod requests;
mod stopping;

/// How often timers are looked at while something waits for one.
const TIMER: Duration = Duration::from_millis(100);
/// How often the room on the disk is looked at, in microseconds.
const DISK_LOOK_US: u64 = 1_000_000;

/// Makes the client of a new connection.
pub type MakeClient = Box<dyn FnMut(Door, u64, &Config) -> Client>;

/// What a core is made of.
pub struct Reactor {
    pub(crate) ring: Ring,
    cold: ColdRing<MapRef>,
    mesh: Mesh<Message>,
    clock: Clock,
    pub(crate) engine: Engine,
    connections: Connections<Client>,
    pool: BufferPool,
    doors: Vec<(ListenerId, Door)>,
    /// Connections whose bytes may leave.
    dirty: Vec<SocketId>,
    /// Log writes in flight, by the shard's place, with when they were handed over in microseconds.
    writing: Vec<Option<(LogWrite, u64)>>,
    background_requests: crossbeam::channel::Sender<background::Request>,
    background_replies: crossbeam::channel::Receiver<background::Reply>,
    stop: StopRequest,
    timer_due_us: u64,
    moves: moving::Moves,
    stopping: Option<stopping::Stopping>,
    disk_looked_at_us: u64,
    /// Connections of the whole node.
    connected: Arc<AtomicUsize>,
    make_client: MakeClient,
}

/// A mapped segment, shared with the kernel while a range of it is brought in.
#[derive(Clone)]
pub struct MapRef(Arc<SegmentMap>);

impl AsRef<[u8]> for MapRef {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Reactor {
    /// A core that is ready to run.
    #[allow(clippy::too_many_arguments, reason = "the parts of a core, made apart")]
    pub fn new(
        ring: Ring,
        cold: ColdRing<MapRef>,
        mesh: Mesh<Message>,
        clock: Clock,
        engine: Engine,
        background_requests: crossbeam::channel::Sender<background::Request>,
        background_replies: crossbeam::channel::Receiver<background::Reply>,
        stop: StopRequest,
        connected: Arc<AtomicUsize>,
        make_client: MakeClient,
    ) -> Self {
        let shards = engine.shards.len();
        Reactor {
            ring,
            cold,
            mesh,
            clock,
            engine,
            connections: Connections::default(),
            pool: BufferPool::default(),
            doors: Vec::new(),
            dirty: Vec::new(),
            writing: (0..shards).map(|_| None).collect(),
            background_requests,
            background_replies,
            stop,
            timer_due_us: 0,
            moves: moving::Moves::default(),
            stopping: None,
            disk_looked_at_us: 0,
            connected,
            make_client,
        }
    }

    /// Accepts connections on a listener.
    pub fn listen(&mut self, listener: OwnedFd, door: Door) {
        let id = self.ring.listen(listener);
        self.doors.push((id, door));
    }

    /// Runs until every shard serves and has been given the libraries of functions.
    pub async fn begin(&mut self) {
        for place in 0..self.engine.shards.len() {
            self.engine.touch(place);
        }
        self.finish_turn();
        loop {
            if self.engine.shards.iter().all(|local| local.shard.is_serving()) {
                self.engine.keep_libraries();
                if self.engine.has_libraries() {
                    return self.finish_turn();
                }
            }
            self.turn().await;
        }
    }

    /// Runs until the process is asked to stop and everything owed is sent.
    pub async fn run(&mut self) {
        loop {
            self.turn().await;
            if self.stop.is_requested() {
                self.begin_stop();
                if self.has_stopped() {
                    return;
                }
            }
        }
    }

    async fn turn(&mut self) {
        let sleep = self.sleep();
        let (mesh, replies) = (&self.mesh, &self.background_replies);
        self.ring.turn(sleep, || mesh.has_inbound() || !replies.is_empty()).await;
        self.clock.read();
        self.engine.now.unix_ms = self.clock.unix_ms();
        self.engine.now.monotonic_us = self.clock.monotonic_us();
        self.engine.node.observed.calls.read_elsewhere(self.clock.monotonic_ns());
        while let Some(completion) = self.ring.next_completion() {
            self.completed(completion);
        }
        self.engine.node.observed.calls.interrupted();
        self.receive_messages();
        self.take_moves();
        self.take_background();
        self.tick_timers();
        for place in 0..self.engine.shards.len() {
            if self.engine.shards[place].shard.wants_turn() {
                self.engine.touch(place);
            }
        }
        self.engine.keep_libraries();
        self.engine.end_waits_when_due();
        self.give_turns();
        self.finish_turn();
    }

    /// Gives what shards have set aside its turn: at most one slice, and none before others had their time.
    fn give_turns(&mut self) {
        self.engine.give_short_turns();
        if !self.engine.wants_slice() {
            return;
        }
        let begun_us = self.clock.now_us();
        if self.engine.may_slice(begun_us) {
            self.engine.give_slice();
            self.engine.sliced(begun_us, self.clock.now_us());
            self.engine.node.observed.calls.interrupted();
        }
    }

    fn sleep(&mut self) -> Sleep {
        if self.engine.wants_slice() {
            return Sleep::AtMost(Duration::ZERO);
        }
        let wait_left = self.engine.next_wait_us().map(Duration::from_micros);
        if self.engine.shards.iter().any(|local| local.shard.wants_turn()) {
            return Sleep::AtMost(Duration::ZERO);
        }
        if self.stopping.is_some() {
            return Sleep::AtMost(stopping::STOP_TIMER);
        }
        if self.moves.has_departures() {
            return Sleep::AtMost(moving::DEPARTURE_TIMER);
        }
        if self.cold.outstanding() > 0 {
            return Sleep::AtMost(Duration::from_millis(1));
        }
        let now_ms = self.clock.unix_ms();
        if self.engine.shards.iter().any(|local| local.shard.wants_timer(now_ms)) {
            return Sleep::AtMost(wait_left.map_or(TIMER, |left| left.min(TIMER)));
        }
        let longest = Duration::from_secs(1);
        Sleep::AtMost(wait_left.map_or(longest, |left| left.min(longest)))
    }

    fn completed(&mut self, completion: Completion) {
        match completion {
            Completion::Accepted { listener, socket } => self.accepted(listener, socket),
            Completion::Received { socket, bytes } => self.received(socket, &bytes),
            Completion::Sent { socket, buffer } => {
                let now_us = self.clock.monotonic_us();
                self.engine.node.counters.output_bytes += buffer.len() as u64;
                self.engine.node.counters.sends += 1;
                if let Some(connection) = self.connections.get_mut(socket) {
                    connection.sent(buffer, now_us, &mut self.pool);
                    let was_full = connection.is_full;
                    self.flush(socket);
                    if was_full {
                        self.resume(socket);
                    }
                }
            }
            Completion::LogWritten { token, buffer, result } => {
                let place = token as usize;
                if let Err(error) = result {
                    // An fsync that failed may have dropped what it was to write: nothing after it can be trusted.
                    panic!("shard {}: the log cannot be written: {error}", self.engine.shards[place].id);
                }
                let (mut write, since_us) = self.writing[place].take().expect("a write was in flight");
                write.buffer = buffer;
                let us = self.clock.monotonic_us().saturating_sub(since_us);
                self.engine.node.observed.log_write(us);
                self.engine.note_event("aof-fsync-always", us * 1000);
                self.engine.step(place, Input::Written(write));
                self.engine.node.observed.calls.interrupted();
            }
            Completion::ReceiveEnded { socket, .. } => {
                if let Some(connection) = self.connections.get_mut(socket) {
                    // What was asked before the end is answered, but for what takes long: nobody may be there any more.
                    connection.client.state.ended = true;
                    if connection.client.state.waiting.is_some() {
                        self.engine.stop_asides_everywhere(socket);
                    }
                    self.moves.call_off(socket);
                    self.resume(socket);
                }
            }
            Completion::SendFailed { socket, .. } => self.leave(socket),
            Completion::Closed { socket } => {
                if self.connections.remove(socket).is_some() {
                    self.connected.fetch_sub(1, Ordering::Relaxed);
                }
            }
            Completion::AcceptFailed { listener, .. } => self.ring.resume_accepting(listener),
            Completion::Paused { socket, .. } => {
                if let Some(connection) = self.connections.get_mut(socket) {
                    connection.client.state.paused = true;
                    self.resume(socket);
                }
            }
            Completion::ReceivedInto { .. } | Completion::ListenerClosed { .. } | Completion::Woken => {}
        }
    }

    fn accepted(&mut self, listener: ListenerId, socket: OwnedFd) {
        let door = self.doors.iter().find(|(id, _)| *id == listener).map_or(Door::Server, |(_, door)| *door);
        if self.stopping.is_some() {
            return;
        }
        self.engine.node.counters.connections_received += 1;
        let peer = super::listen::peer_address(&socket).ok();
        if let Some(text) = self.refusal(peer) {
            self.engine.node.counters.connections_rejected += 1;
            // A client that does not take the few bytes at once does without them.
            let _ = std::fs::File::from(socket).write_all(text.as_bytes());
            return;
        }
        let config = self.engine.node.settings.config();
        if let Some(interval) = config.tcp_keepalive {
            let _ = super::listen::set_keepalive(&socket, interval.as_secs() as u32);
        }
        let mut client = (self.make_client)(door, self.clock.monotonic_us(), config);
        client.state.peer = peer;
        client.state.local = super::listen::local_address(&socket).ok();
        let socket = self.ring.attach(socket);
        self.connections.insert(Connection::new(socket, client, self.clock.monotonic_us()));
        self.connected.fetch_add(1, Ordering::Relaxed);
        self.ring.receive(socket);
    }

    /// A connection is gone: its watches end, and it is closed.
    fn leave(&mut self, socket: SocketId) {
        if let Some(connection) = self.connections.get_mut(socket)
            && self.engine.lets_go(socket, &mut connection.client.state)
        {
            self.ring.close(socket);
        }
    }

    /// Sends what may leave, and closes a connection that has nothing more to send.
    fn flush(&mut self, socket: SocketId) {
        if !self.engine.lost.is_empty() {
            self.take_back();
        }
        let engine = &self.engine;
        let Some(connection) = self.connections.get_mut(socket) else { return };
        if connection.is_sending() {
            return;
        }
        let gathered = connection.gathered_bytes();
        let state = &mut connection.client.state;
        let sendable = state.gates.releasable(&|shard| engine.open(shard)).min(gathered);
        state.gates.released(sendable);
        if let Some(buffer) = connection.take_sendable(sendable, &mut self.pool) {
            self.ring.send(socket, buffer);
        } else if connection.client.state.session.closing
            && connection.is_flushed()
            && connection.client.state.waiting.is_none()
        {
            self.leave(socket);
        }
    }

    /// Shards have lost something: no connection may send a reply that depends on it.
    fn take_back(&mut self) {
        for (shard, lost) in std::mem::take(&mut self.engine.lost) {
            let sockets: Vec<SocketId> = self.connections.iter_mut().map(|connection| connection.socket()).collect();
            for socket in sockets {
                let Some(connection) = self.connections.get_mut(socket) else { continue };
                let (client, out, start) = connection.client_and_output(&mut self.pool);
                if client.state.take_back(shard, &lost, out, start) {
                    self.engine.released.push(socket);
                }
            }
        }
    }

    fn receive_messages(&mut self) {
        let engine = &mut self.engine;
        let moves = &mut self.moves;
        self.mesh.receive(|from, message| match message {
            Message::Moving(said) => moves.hear(from, said),
            message => engine.received(message),
        });
    }

    fn take_background(&mut self) {
        while let Ok(background::Reply { place, done }) = self.background_replies.try_recv() {
            self.engine.background_done(place, done);
        }
        while let Some(done) = self.cold.next_done() {
            if let Err(error) = done.result {
                panic!("a value cannot be read from the log: {error}");
            }
            self.engine.populated(done.ticket);
        }
    }

    fn tick_timers(&mut self) {
        let now_us = self.clock.monotonic_us();
        if now_us < self.timer_due_us {
            return;
        }
        self.timer_due_us = now_us + TIMER.as_micros() as u64;
        self.close_idle();
        if now_us >= self.disk_looked_at_us + DISK_LOOK_US || self.disk_looked_at_us == 0 {
            self.disk_looked_at_us = now_us.max(1);
            self.engine.tell_disk_free();
        }
        self.check_soft_limit();
        let counters = self.engine.node.counters;
        let observed = &mut self.engine.node.observed;
        let counts = [observed.calls.calls(), counters.input_bytes, counters.output_bytes];
        observed.rates.sample(now_us, counts);
        for place in 0..self.engine.shards.len() {
            // A shard that is held keeps its batch open.
            if self.engine.shards[place].hold.is_held() {
                continue;
            }
            let begun_us = self.clock.now_us();
            self.engine.step(place, Input::Timer);
            let us = self.clock.now_us().saturating_sub(begun_us);
            self.engine.node.counters.expiry_us += us;
            self.engine.note_event("expire-cycle", us * 1000);
            for (level, text) in self.engine.shards[place].shard.take_script_log() {
                let text = String::from_utf8_lossy(&text);
                match level {
                    LogLevel::Debug => log_line::debug(text),
                    LogLevel::Verbose => log_line::verbose(text),
                    LogLevel::Notice => log_line::notice(text),
                    LogLevel::Warning => log_line::warning(text),
                }
            }
        }
    }

    /// Puts the questions that this core was asked.
    fn put_questions(&mut self) {
        let mut close = Vec::new();
        for (ticket, question) in std::mem::take(&mut self.engine.questions) {
            let mut view = CoreView {
                engine: &mut self.engine,
                connections: &mut self.connections,
                pool: &mut self.pool,
                ticket,
                close: &mut close,
            };
            // What one core tells another looks for no connection, and is not put to all of them.
            if ticket.socket.is_some() {
                view.engine.traces.question_put(ticket.core);
            }
            let Some(answer) = question(&mut view) else { continue };
            let answer = Answer::Data(answer);
            if ticket.core == self.engine.core {
                self.engine.answers.push_back((ticket, answer, None));
            } else {
                self.engine.outbox.push((ticket.core, Message::Answer(ticket, answer)));
            }
        }
        for socket in close {
            self.leave(socket);
        }
    }

    /// Ends the turn: shards write, answers reach their connections, bytes leave.
    fn finish_turn(&mut self) {
        self.depart();
        loop {
            self.engine.tell_monitors();
            self.put_questions();
            while let Some((ticket, answer, gate)) = self.engine.answers.pop_front() {
                let Some(socket) = ticket.socket else { continue };
                let Some(connection) = self.connections.get_mut(socket) else { continue };
                let (client, out, start) = connection.client_and_output(&mut self.pool);
                if self.engine.answered(socket, &mut client.state, ticket, answer, gate, out, start) {
                    self.dirty.push(socket);
                }
            }
            let Some(socket) = self.dirty.pop() else {
                let engine = &self.engine;
                if engine.questions.is_empty() && engine.answers.is_empty() && !engine.has_monitor_lines() {
                    break;
                }
                continue;
            };
            self.resume(socket);
        }
        self.settle_moves();
        self.engine.end_of_turn();
        for (place, mut write) in self.engine.writes.drain(..) {
            let file = self.engine.shards[place].files.segment(write.segment).expect("the log writes to its segments");
            let buffer = std::mem::take(&mut write.buffer);
            let file = file.file.as_ref().expect("what the log writes to is open");
            self.ring.write_log(file, write.offset, buffer, place as u64);
            self.writing[place] = Some((write, self.clock.now_us()));
        }
        for (place, work) in self.engine.background.drain(..) {
            let files = self.engine.shards[place].files.directory().clone();
            let request = background::Request { place, files, work };
            self.background_requests.send(request).expect("the background runs as long as its cores");
        }
        for (map, range, number) in self.engine.populate.drain(..) {
            let start = range.offset as usize;
            self.cold.populate(MapRef(map), start..start + range.len, number);
        }
        if !self.engine.lost.is_empty() {
            self.take_back();
        }
        let mut released = std::mem::take(&mut self.engine.released);
        for socket in released.drain(..) {
            self.flush(socket);
        }
        self.engine.released = released;
        self.engine.node.counters.mesh_messages += self.engine.outbox.len() as u64;
        for (core, message) in self.engine.outbox.drain(..) {
            self.mesh.send(core, message);
        }
        self.mesh.flush();
    }
}
