//! Three shards of one group in one process: their clocks stand until the test moves them, their logs and messages go where it
//! says. It does for replies what the shell does: holds them back until their gates open, or answers what the shard lost.

use crate::disk::{AllResident, Disk};
use crate::network::Network;
use crate::reply::Text;
use ringkeep_shards::command::{Arguments, Entropy, find, find_subcommand};
use ringkeep_shards::group::{ConfState, Message, MessageType};
use ringkeep_shards::ids::{ContextId, LogIndex, ShardId};
use ringkeep_shards::keyspace::ColdRange;
use ringkeep_shards::limits::{DATABASES_MAX, TAIL_BYTES_DEFAULT};
use ringkeep_shards::log::{LogConfig, LogIdentity};
use ringkeep_shards::lost::Fate;
use ringkeep_shards::port::{ExecItem, Gate, Input, Now, Outcome, Outputs, Request, WatchedKey};
use ringkeep_shards::reply::Protocol;
use ringkeep_shards::script::{Interrupt, ScriptLimits};
use ringkeep_shards::{MemberStart, OpenConfig, Shard, ShardConfig, open_member};
use std::collections::BTreeMap;

/// How many members there are.
pub const NODES: u64 = 3;
/// Strings of this many bytes or more live in the log.
pub const LARGE_BYTES_MIN: usize = 256;
/// Unix milliseconds at which every test starts.
pub const START_MS: u64 = 1_700_000_000_000;
const SEGMENT_BYTES: u64 = 256 << 10;
const TICK_US: u64 = 100_000;

/// A command that was given to a member.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Ticket(usize);

/// What its client knows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// Nothing yet.
    Waits,
    /// The reply.
    Reply(String),
    /// A write that may or may not have happened.
    Unknown,
    /// A write that did not happen.
    Refused,
    /// A read that is to be run again.
    Again,
    /// The member did not serve.
    NotServing,
    /// The member crashed first.
    Gone,
}

/// A request that is not at its end.
struct Task {
    ticket: Ticket,
    asked: Asked,
    reply: Text,
    context: Option<ContextId>,
}

enum Asked {
    Command(Vec<Vec<u8>>),
    Exec(Vec<ExecItem>, Vec<WatchedKey>),
}

/// One member.
pub struct Node {
    /// The shard; none while it is down.
    pub shard: Option<Shard>,
    /// Its disk.
    pub disk: Disk,
    /// How far its clock is ahead, in milliseconds.
    pub skew_ms: i64,
    /// Bytes of entries that it keeps in memory for others, from its next start on.
    pub tail_bytes_max: usize,
    /// The bytes of a segment of its log, from its first write on.
    pub segment_bytes: u64,
    /// Snapshots that took its state's place, before it was started last.
    snapshots: u64,
    outputs: Outputs,
    waiting: Vec<(Ticket, Gate, String)>,
    /// Requests that its shard has set aside.
    asides: Vec<Task>,
    open: Gate,
    cold_entry: Option<ColdRange>,
    /// How often it was started.
    starts: u64,
}

/// The members, their network and their clients.
pub struct Cluster {
    nodes: Vec<Node>,
    /// The network.
    pub network: Network,
    /// What decides everything random.
    pub random: Entropy,
    /// When slices end: never, until a test has instructions counted.
    pub interrupt: Interrupt,
    answers: Vec<Answer>,
    clock_us: u64,
}

impl Cluster {
    /// Three members that know nothing yet, and no leader.
    pub fn new(seed: u64) -> Self {
        let mut cluster = Cluster {
            nodes: Vec::new(),
            network: Network::default(),
            random: Entropy::new(seed),
            interrupt: Interrupt::default(),
            answers: Vec::new(),
            clock_us: 1,
        };
        for node in 1..=NODES {
            cluster.nodes.push(Node {
                shard: None,
                disk: Disk::default(),
                skew_ms: 0,
                tail_bytes_max: TAIL_BYTES_DEFAULT,
                segment_bytes: SEGMENT_BYTES,
                snapshots: 0,
                outputs: Outputs::default(),
                waiting: Vec::new(),
                asides: Vec::new(),
                open: Gate::OPEN,
                cold_entry: None,
                starts: 0,
            });
            cluster.start(node);
        }
        cluster
    }

    /// Three members of which the first one leads and serves.
    pub fn led_by_first(seed: u64) -> Self {
        let mut cluster = Cluster::new(seed);
        cluster.elect(1);
        cluster
    }

    /// A member.
    pub fn node(&mut self, node: u64) -> &mut Node {
        &mut self.nodes[node as usize - 1]
    }

    /// A member's shard, which is up.
    pub fn shard(&self, node: u64) -> &Shard {
        self.nodes[node as usize - 1].shard.as_ref().expect("the member is up")
    }

    // Life and death.

    /// A member starts from what its disk holds.
    pub fn start(&mut self, node: u64) {
        let salt = self.node(node).starts;
        let interrupt = self.interrupt.clone();
        let member = &mut self.nodes[node as usize - 1];
        let config = ShardConfig {
            shard: ShardId(0),
            shards: 1,
            databases: DATABASES_MAX,
            string_bytes_max: 512 << 20,
            memory_bytes_max: 0,
            warm_bytes_max: 0,
            segment_bytes: member.segment_bytes,
            // A checkpoint is made when a test wants one: followers that lag find their entries in the log.
            checkpoint_growth_percent: u32::MAX,
            entropy: node << 32 | salt,
            script: ScriptLimits::default(),
            script_time_limit_ms: 0,
            interrupt,
        };
        let open = OpenConfig {
            identity: LogIdentity { shard: ShardId(0), salt: 7 },
            log: LogConfig { segment_bytes: member.segment_bytes, block_bytes: 512 },
            hash_seed: node,
            large_bytes_min: LARGE_BYTES_MIN,
        };
        let founders = ConfState { voters: (1..=NODES).collect(), ..ConfState::default() };
        let opened = open_member(
            config,
            open,
            MemberStart { node, founders, tail_bytes_max: member.tail_bytes_max },
            &member.disk.files(),
        )
        .unwrap_or_else(|error| panic!("member {node}: {error}"));
        member.disk.mend(&opened.recovered);
        member.shard = Some(opened.shard);
        member.starts += 1;
        self.end_of_tick(node);
    }

    /// Power is cut at one member. Its clients hear nothing.
    pub fn crash(&mut self, node: u64) {
        let Cluster { nodes, random, answers, .. } = self;
        let member = &mut nodes[node as usize - 1];
        member.snapshots += member.shard.take().map_or(0, |shard| shard.stats().snapshots_installed);
        member.disk.crash(&mut |bound| (random.next_u64() % bound as u64) as usize);
        member.outputs = Outputs::default();
        member.open = Gate::OPEN;
        member.cold_entry = None;
        let asides = member.asides.drain(..).map(|task| task.ticket);
        for ticket in member.waiting.drain(..).map(|(ticket, ..)| ticket).chain(asides) {
            answers[ticket.0] = Answer::Gone;
        }
    }

    // Inputs.

    /// One input to a member, and what it asks for in return.
    fn step(&mut self, node: u64, input: Input<'_>) {
        let now = Now { unix_ms: self.unix_ms(node), monotonic_us: self.clock_us };
        let member = &mut self.nodes[node as usize - 1];
        let shard = member.shard.as_mut().expect("the member is up");
        shard.step(now, input, &member.disk, &mut member.outputs);
        self.perform(node);
    }

    fn end_of_tick(&mut self, node: u64) {
        self.step(node, Input::EndOfTick);
    }

    /// One input that is not a client's, and the end of its tick.
    fn tick_with(&mut self, node: u64, input: Input<'_>) {
        if self.nodes[node as usize - 1].shard.is_some() {
            self.step(node, input);
            self.end_of_tick(node);
        }
    }

    fn perform(&mut self, node: u64) {
        let Cluster { nodes, network, answers, .. } = self;
        let member = &mut nodes[node as usize - 1];
        let outputs = &mut member.outputs;
        if let Some(lost) = outputs.lost.take() {
            member.waiting.retain(|&(ticket, gate, _)| {
                let answer = match lost.fate(gate) {
                    Fate::Stands => return true,
                    Fate::Unknown => Answer::Unknown,
                    Fate::Refused => Answer::Refused,
                    Fate::Again => Answer::Again,
                };
                answers[ticket.0] = answer;
                false
            });
        }
        let open = outputs.open;
        assert!(open.batch >= member.open.batch && open.fence >= member.open.fence, "gates never close");
        member.open = open;
        member.waiting.retain_mut(|(ticket, gate, reply)| {
            let closed = gate.batch > open.batch || gate.fence > open.fence;
            if !closed {
                answers[ticket.0] = Answer::Reply(std::mem::take(reply));
            }
            closed
        });
        network.send(std::mem::take(&mut outputs.messages));
        if let Some(write) = outputs.write.take() {
            member.disk.begin(write);
        }
        if let Some(range) = outputs.cold_entry.take() {
            member.cold_entry = Some(range);
        }
        for (segment, _) in outputs.unneeded.drain(..) {
            member.disk.remove(segment);
        }
        if let Some(wanted) = outputs.segment_wanted.take() {
            member.disk.add(wanted);
            self.step(node, Input::Segment { segment: wanted.segment, bytes: wanted.bytes });
        }
        for order in std::mem::take(&mut self.node(node).outputs.checkpoint) {
            if let Some(input) = self.node(node).disk.checkpoint(order) {
                self.step(node, input);
            }
        }
    }

    // Clients.

    /// Gives a command to a member, in a tick that goes on.
    pub fn give(&mut self, node: u64, line: &str) -> Ticket {
        let words: Vec<Vec<u8>> = words(line);
        self.give_words(node, &words)
    }

    /// Gives a command as arguments.
    pub fn give_words(&mut self, node: u64, words: &[Vec<u8>]) -> Ticket {
        self.run_to_its_end(node, Asked::Command(words.to_vec()))
    }

    /// Gives an EXEC of these commands to a member.
    pub fn exec(&mut self, node: u64, lines: &[&str], watches: &[WatchedKey]) -> Ticket {
        self.run_to_its_end(node, exec_of(lines, watches))
    }

    /// Gives a command to a member. It may be set aside: [`Cluster::go_on`] gives it again.
    pub fn begin(&mut self, node: u64, line: &str) -> Ticket {
        self.run(node, Asked::Command(words(line)))
    }

    /// The same with an EXEC.
    pub fn begin_exec(&mut self, node: u64, lines: &[&str], watches: &[WatchedKey]) -> Ticket {
        self.run(node, exec_of(lines, watches))
    }

    /// Gives the request whose turn it is at a member its next slice; whether there was one.
    pub fn go_on(&mut self, node: u64) -> bool {
        let member = &mut self.nodes[node as usize - 1];
        let Some((id, _)) = member.shard.as_mut().and_then(Shard::next_turn) else { return false };
        let place =
            member.asides.iter().position(|task| task.context == Some(id)).expect("every context is a request's");
        let task = member.asides.swap_remove(place);
        self.slice(node, task);
        true
    }

    /// How many requests a member has set aside.
    pub fn asides(&self, node: u64) -> usize {
        self.nodes[node as usize - 1].asides.len()
    }

    fn run_to_its_end(&mut self, node: u64, asked: Asked) -> Ticket {
        let ticket = self.run(node, asked);
        while self.nodes[node as usize - 1].asides.iter().any(|task| task.ticket == ticket) {
            assert!(self.go_on(node), "it waits for somebody's turn");
        }
        ticket
    }

    fn run(&mut self, node: u64, asked: Asked) -> Ticket {
        let ticket = Ticket(self.answers.len());
        self.answers.push(Answer::Waits);
        self.slice(node, Task { ticket, asked, reply: Text::default(), context: None });
        ticket
    }

    /// Gives a request until it has its outcome, or is set aside for its turn. What is cold is brought in.
    fn slice(&mut self, node: u64, mut task: Task) {
        loop {
            let context = task.context.take();
            match &task.asked {
                Asked::Command(words) => {
                    let list: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
                    let command = find(list[0]).unwrap_or_else(|| panic!("{} is no command", list[0].escape_ascii()));
                    let command = list.get(1).and_then(|name| find_subcommand(command, name)).unwrap_or(command);
                    task.reply = Text::default();
                    let (arguments, reply) = (Arguments::new(&list), &mut task.reply);
                    self.step(node, Input::Request(Request { command, db: 0, arguments, reply, context }));
                }
                Asked::Exec(items, watches) => {
                    let reply = &mut task.reply;
                    self.step(node, Input::Exec { items, watches, reply, done: &mut || {}, context });
                }
            }
            let member = &mut self.nodes[node as usize - 1];
            match std::mem::take(&mut member.outputs.outcome) {
                Outcome::Cold(range) => {
                    member.disk.bring_in(range);
                    task.reply = Text::default();
                }
                Outcome::Done(gate) => {
                    member.waiting.push((task.ticket, gate, task.reply.finish()));
                    return self.perform(node);
                }
                Outcome::NotServing => {
                    let reply = task.reply.finish();
                    assert!(reply.starts_with("-CLUSTERDOWN "), "the client must know that nothing was done: {reply}");
                    self.answers[task.ticket.0] = Answer::NotServing;
                    return;
                }
                Outcome::Aside(aside) => {
                    task.context = Some(aside.context);
                    if aside.restarts {
                        task.reply = Text::default();
                    }
                    let Some(range) = aside.cold else { return member.asides.push(task) };
                    member.disk.bring_in(range);
                }
                Outcome::Stopped(text) => {
                    assert!(text.starts_with("CLUSTERDOWN "), "nobody stops anything here: {text}");
                    self.answers[task.ticket.0] = Answer::NotServing;
                    return;
                }
                Outcome::Refused(_) | Outcome::None => panic!("a request has an outcome"),
            }
        }
    }

    /// Watches keys at a member.
    pub fn watch(&mut self, node: u64, keys: &[&str]) -> Vec<WatchedKey> {
        let keys: Vec<&[u8]> = keys.iter().map(|key| key.as_bytes()).collect();
        self.step(node, Input::Watch { db: 0, keys: &keys });
        std::mem::take(&mut self.node(node).outputs.watched)
    }

    /// Gives a command to a member and ends its tick there.
    pub fn ask(&mut self, node: u64, line: &str) -> Ticket {
        let ticket = self.give(node, line);
        self.end(node);
        ticket
    }

    /// Ends a member's tick.
    pub fn end(&mut self, node: u64) {
        self.end_of_tick(node);
    }

    /// What a command's client knows.
    pub fn answer(&self, ticket: Ticket) -> &Answer {
        &self.answers[ticket.0]
    }

    /// Gives a command to a member, lets everything run its course, and expects this reply.
    #[track_caller]
    pub fn expect(&mut self, node: u64, line: &str, reply: &str) {
        let ticket = self.ask(node, line);
        self.settle();
        assert_eq!(self.answer(ticket), &Answer::Reply(reply.to_owned()), "{line}");
    }

    // Time and I/O.

    /// A member's wall clock.
    pub fn unix_ms(&self, node: u64) -> u64 {
        (START_MS + self.clock_us / 1000).checked_add_signed(self.nodes[node as usize - 1].skew_ms).expect("a date")
    }

    /// Completes log writes and delivers messages until nothing moves any more. What is held stays.
    pub fn settle(&mut self) {
        loop {
            let mut moved = false;
            for node in 1..=NODES {
                moved |= !self.node(node).disk.held && self.write_done(node);
                moved |= self.bring_in(node);
            }
            while let Some(message) = self.network.next() {
                self.deliver(message);
                moved = true;
            }
            if !moved {
                return;
            }
        }
    }

    /// Completes a member's log write; whether there was one.
    pub fn write_done(&mut self, node: u64) -> bool {
        let Some(write) = self.node(node).disk.complete() else { return false };
        self.tick_with(node, Input::Written(write));
        true
    }

    /// Brings in what a member's next entry waits for; whether it waits.
    pub fn bring_in(&mut self, node: u64) -> bool {
        let Some(range) = self.node(node).cold_entry.take() else { return false };
        self.node(node).disk.bring_in(range);
        self.end_of_tick(node);
        true
    }

    /// Delivers a message.
    pub fn deliver(&mut self, message: Message) {
        let to = message.to;
        self.tick_with(to, Input::Message(message));
    }

    /// A tenth of a second passes everywhere, and everything runs its course.
    pub fn tick(&mut self) {
        self.advance(TICK_US);
        for node in 1..=NODES {
            self.timer(node);
        }
        self.settle();
    }

    /// Time passes; nobody is told.
    pub fn advance(&mut self, us: u64) {
        self.clock_us += us;
    }

    /// A member is told that time has passed.
    pub fn timer(&mut self, node: u64) {
        self.tick_with(node, Input::Timer);
    }

    /// Ticks until `done`.
    #[track_caller]
    pub fn tick_until(&mut self, mut done: impl FnMut(&Self) -> bool) {
        for _ in 0..200 {
            if done(self) {
                return;
            }
            self.tick();
        }
        panic!("it does not come to pass within 20 seconds");
    }

    /// Makes a member lead and serve, whoever leads now. It must be up to date, and reach a quorum.
    #[track_caller]
    pub fn elect(&mut self, node: u64) {
        self.campaign(node);
        self.tick_until(|cluster| cluster.shard(node).is_serving());
    }

    /// Makes a member stand for election at once, as a leader does that hands over to it.
    pub fn campaign(&mut self, node: u64) {
        let term = self.shard(node).group().term().0;
        self.deliver(Message { msg_type: MessageType::MsgTimeoutNow, to: node, term, ..Message::default() });
    }

    /// How many snapshots took the place of a member's state.
    pub fn snapshots(&self, node: u64) -> u64 {
        let member = &self.nodes[node as usize - 1];
        member.snapshots + member.shard.as_ref().map_or(0, |shard| shard.stats().snapshots_installed)
    }

    /// Makes a checkpoint at a member, whole.
    #[track_caller]
    pub fn checkpoint(&mut self, node: u64) {
        self.node(node).shard.as_mut().expect("the member is up").want_checkpoint();
        self.tick_until(|cluster| cluster.shard(node).stats().checkpoints > 0);
    }

    /// The members that serve.
    pub fn serving(&self) -> Vec<u64> {
        (1..=NODES).filter(|&n| self.nodes[n as usize - 1].shard.as_ref().is_some_and(Shard::is_serving)).collect()
    }

    /// How far a member knows entries to be committed.
    pub fn commit(&self, node: u64) -> LogIndex {
        self.shard(node).group().commit()
    }

    // Contents.

    /// Everything that a member's tip holds, expired or not: (database, key) to (value, expiry); and the libraries.
    pub fn contents(&self, node: u64) -> BTreeMap<(u8, Vec<u8>), (Vec<u8>, u64)> {
        let member = &self.nodes[node as usize - 1];
        let mut contents = BTreeMap::new();
        for (name, code) in self.shard(node).keyspace().libraries_at_tip().iter() {
            contents.insert((LIBRARIES, name.to_vec()), (code.to_vec(), 0));
        }
        for db in 0..DATABASES_MAX {
            for entry in self.shard(node).keyspace().tip(db) {
                let value = entry.value().bytes(&AllResident(&member.disk)).expect("every byte is there").to_vec();
                contents.insert((db, entry.key().to_vec()), (value, entry.expires_ms()));
            }
        }
        contents
    }

    /// Checks that all members hold the same.
    #[track_caller]
    pub fn expect_equal(&self) {
        let first = self.contents(1);
        for node in 2..=NODES {
            let other = self.contents(node);
            let keys: Vec<_> =
                first.keys().chain(other.keys()).filter(|key| first.get(key) != other.get(key)).collect();
            assert!(keys.is_empty(), "member {node} holds something else than the first at (database, key) {keys:?}");
        }
    }

    /// A member's string at a key, without asking the group.
    pub fn held(&self, node: u64, key: &str) -> Option<String> {
        let (value, _) = self.contents(node).remove(&(0, key.as_bytes().to_vec()))?;
        Some(String::from_utf8(value).expect("tests write text"))
    }
}

/// Stands for the database of libraries among what a member holds.
const LIBRARIES: u8 = u8::MAX;

fn exec_of(lines: &[&str], watches: &[WatchedKey]) -> Asked {
    let item = |line: &&str| {
        let arguments = words(line);
        let command = find(&arguments[0]).expect("a command");
        ExecItem::Run { command, db: 0, protocol: Protocol::Resp2, arguments }
    };
    Asked::Exec(lines.iter().map(item).collect(), watches.to_vec())
}

/// The words of a command; `'...'` holds blanks together.
fn words(line: &str) -> Vec<Vec<u8>> {
    let parts = line.split('\'').enumerate();
    parts
        .flat_map(|(place, part)| {
            let quoted = place % 2 == 1;
            let words: Vec<&str> = if quoted { vec![part] } else { part.split_whitespace().collect() };
            words.into_iter().map(|word| word.as_bytes().to_vec())
        })
        .collect()
}
