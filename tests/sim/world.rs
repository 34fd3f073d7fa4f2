//! The cluster, its clients, and the virtual time in which everything happens to them, one event after the other.

use crate::check;
use crate::client::{self, Keys};
use crate::dice::Dice;
use crate::disk::AllResident;
use crate::fault::Weather;
use crate::history::{Answer, History};
use crate::network::Network;
use crate::node::{Asked, Member, Node, Place, Task};
use crate::plan::{Broken, Faults, Plan};
use crate::reply::Text;
use crate::trace::Trace;
use ringkeep_shards::command::{Arguments, find, find_subcommand};
use ringkeep_shards::group::Message;
use ringkeep_shards::ids::ShardId;
use ringkeep_shards::limits::DATABASES_MAX;
use ringkeep_shards::lost::Fate;
use ringkeep_shards::port::{Gate, Input, Now, Outcome, Outputs, Request, SegmentWanted};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};
use std::fmt;

/// Unix milliseconds at which every run starts.
const START_MS: i64 = 1_700_000_000_000;
/// How often a shell tells its shards the time, in microseconds.
const TIMER_US: u64 = 100_000;
/// How long a client waits for an answer before it goes on without.
const PATIENCE_US: u64 = 1_500_000;
/// How long everything may take to come to rest once all is mended.
const REST_US: u64 = 60_000_000;
/// When clients begin: every group has a leader by then, as a rule.
const FIRST_ELECTION_US: u64 = 2_500_000;
/// Requests of a pipeline.
const PIPELINE_MAX: u64 = 4;

/// What will happen.
pub enum Event {
    /// A node's shards are told the time.
    Timer(u64),
    /// A shell has no more inputs for a shard for now.
    EndOfTurn(Place),
    /// A message arrives.
    Deliver(ShardId, Message),
    /// A log write is durable.
    Written(Place),
    /// A segment is made, or cannot be.
    Space(Place, SegmentWanted),
    /// The next step of a checkpoint is done.
    Checkpoint(Place),
    /// What an entry waited for is in memory.
    Warm(Place),
    /// What a request waited for is in memory.
    BroughtIn(Place, Box<Task>),
    /// A request comes to a node that stood still.
    Arrive(Place, Box<Task>),
    /// A shard has time for what it has set aside.
    Slice(Place),
    /// A client asks for something.
    Act(u64),
    /// A client has waited long enough for the requests of its so many-th round.
    GiveUp(u64, u64),
    /// A node crashes.
    Crash(Place),
    /// A node starts.
    Start(u64),
    /// Something goes wrong.
    Fault,
}

struct Scheduled {
    at_us: u64,
    number: u64,
    event: Event,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    /// The next one is the largest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at_us, other.number).cmp(&(self.at_us, self.number))
    }
}

#[derive(Default)]
struct Client {
    /// Requests that are not answered.
    open: usize,
    round: u64,
}

/// What a run was worth.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// Virtual microseconds that passed.
    pub virtual_us: u64,
    /// Events that happened.
    pub events: u64,
    /// Requests, those that were answered, and those whose end is not known.
    pub requests: u64,
    /// See above.
    pub replied: u64,
    /// See above.
    pub lost: u64,
    /// Crashes of nodes.
    pub crashes: u64,
    /// Log writes that crashes tore or lost.
    pub torn: u64,
    /// Snapshots that took a member's state's place.
    pub snapshots: u64,
    /// Runs of scripts that were repeated.
    pub reruns: u64,
    /// Checkpoints published.
    pub checkpoints: u64,
    /// The hash of the trace: the same plan has the same one.
    pub hash: u64,
}

/// A cluster with its clients.
pub struct World {
    pub(crate) plan: Plan,
    pub(crate) dice: Dice,
    pub(crate) clock_us: u64,
    pub(crate) network: Network,
    pub(crate) weather: Weather,
    queue: BinaryHeap<Scheduled>,
    scheduled: u64,
    nodes: Vec<Node>,
    keys: Keys,
    clients: Vec<Client>,
    /// Whose the operations are: the client and its round.
    owners: Vec<(u64, u64)>,
    history: History,
    trace: Trace,
    report: Report,
    load_ends_us: u64,
    checkpoint_growth_percent: u32,
}

impl World {
    /// A world in which nothing has happened yet.
    pub fn new(plan: &Plan, trace: Trace) -> Self {
        let mut dice = Dice::new(plan.seed);
        let segment_bytes = *dice.pick(&[256 << 10, 64 << 10, 8 << 10]);
        let checkpoint_growth_percent = *dice.pick(&[u32::MAX, 100, 20]);
        let mut nodes: Vec<Node> = (1..=plan.nodes).map(|number| Node::new(number, plan.shards)).collect();
        for node in &mut nodes {
            node.segment_bytes = segment_bytes;
            node.tail_bytes_max = *dice.pick(&[64 << 20, 4096, 256]);
            if plan.faults.clock {
                node.drift_ppm = dice.below(2000) as i64 - 1000;
            }
            for member in &mut node.members {
                member.disk.forgetful = dice.permille(500);
            }
            for interrupt in &node.interrupts {
                interrupt.count(*dice.pick(&[100, 400, 2000]));
            }
        }
        World {
            plan: plan.clone(),
            dice,
            clock_us: 0,
            network: Network::fair(),
            weather: Weather::default(),
            queue: BinaryHeap::new(),
            scheduled: 0,
            nodes,
            keys: Keys::new(plan.shards),
            clients: (0..plan.clients).map(|_| Client::default()).collect(),
            owners: Vec::new(),
            history: History::default(),
            trace,
            report: Report::default(),
            load_ends_us: FIRST_ELECTION_US + plan.load_ms * 1000,
            checkpoint_growth_percent,
        }
    }

    /// Lets everything happen, and checks it.
    ///
    /// # Errors
    /// What promise was broken.
    pub fn run(mut self) -> Result<Report, String> {
        for node in 1..=self.plan.nodes {
            self.after(node, Event::Start(node));
            self.after(TIMER_US / 2 * node, Event::Timer(node));
        }
        for client in 0..self.plan.clients {
            self.after(FIRST_ELECTION_US + client, Event::Act(client));
        }
        if self.plan.faults != Faults::NONE {
            self.after(FIRST_ELECTION_US + 1_000_000, Event::Fault);
        }
        while self.clock_us < self.load_ends_us {
            self.next()?;
        }
        self.calm("the end");
        for node in &mut self.nodes {
            (node.frozen_until_us, node.crashes_in_write) = (0, 0);
        }
        let rest_us = self.clock_us + REST_US;
        let mut looked_us = 0;
        loop {
            self.next()?;
            if self.clock_us >= looked_us + TIMER_US {
                looked_us = self.clock_us;
                match self.restlessness().or_else(|| self.difference()) {
                    None => break,
                    Some(why) if self.clock_us > rest_us => {
                        return Err(format!("{} s after all was mended: {why}", REST_US / 1_000_000));
                    }
                    Some(_) => {}
                }
            }
        }
        self.check()?;
        self.report.virtual_us = self.clock_us;
        self.report.hash = self.trace.hash();
        Ok(self.report)
    }

    /// Why it is not over yet.
    fn restlessness(&self) -> Option<String> {
        if let Some(node) = self.nodes.iter().find(|node| !node.is_up) {
            return Some(format!("node {} is down", node.number));
        }
        if let Some(number) = self.history.operations.iter().position(|one| one.answer == Answer::Waits) {
            return Some(format!("request {number} has no answer: {:?}", self.history.operations[number].wish));
        }
        for shard in 0..self.plan.shards {
            let [leader] = self.serving(shard)[..] else {
                return Some(format!("shard {shard} is served by nodes {:?}", self.serving(shard)));
            };
            let commit = |node: &Node| node.members[usize::from(shard)].shard.as_ref().map(|one| one.group().commit());
            let wanted = commit(&self.nodes[leader as usize - 1]);
            if let Some(node) = self.nodes.iter().find(|node| commit(node) != wanted) {
                return Some(format!(
                    "shard {shard} of node {} knows {:?}, the leader {wanted:?}",
                    node.number,
                    commit(node)
                ));
            }
            for node in &self.nodes {
                let member = &node.members[usize::from(shard)];
                if !member.waiting.is_empty() || !member.asides.is_empty() {
                    return Some(format!("shard {shard} of node {} holds requests back", node.number));
                }
            }
        }
        None
    }

    /// How the nodes' contents differ. An expiry that the leader has noted and not yet handed on is such a difference, too.
    fn difference(&self) -> Option<String> {
        let first = contents(&self.nodes[0]);
        for node in &self.nodes[1..] {
            let other = contents(node);
            let keys = first.keys().chain(other.keys());
            if let Some(key) = keys.into_iter().find(|key| first.get(*key) != other.get(*key)) {
                let show = |held: Option<&(Vec<u8>, u64)>| {
                    held.map(|(value, expiry)| {
                        format!(
                            "{} bytes, expiry {expiry}: {}",
                            value.len(),
                            value[..value.len().min(100)].escape_ascii()
                        )
                    })
                };
                return Some(format!(
                    "nodes 1 and {} differ, in database {} at {}: {:?} and {:?}",
                    node.number,
                    key.0,
                    key.1.escape_ascii(),
                    show(first.get(key)),
                    show(other.get(key))
                ));
            }
        }
        None
    }

    fn check(&mut self) -> Result<(), String> {
        let first = contents(&self.nodes[0]);
        let strings: Vec<String> = self
            .keys
            .strings
            .iter()
            .map(|name| {
                let held = first.get(&(0, name.as_bytes().to_vec()));
                held.map(|(value, _)| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
            })
            .collect();
        for node in &self.nodes {
            for member in &node.members {
                let stats = member.shard.as_ref().expect("all are up").stats();
                self.report.snapshots += stats.snapshots_installed;
                self.report.reruns += stats.script_reruns;
                self.report.checkpoints += stats.checkpoints;
                if stats.contexts != 0 {
                    return Err(format!("node {} has {} contexts at rest", node.number, stats.contexts));
                }
            }
        }
        self.report.requests = self.history.operations.len() as u64;
        for operation in &self.history.operations {
            self.report.replied += u64::from(matches!(operation.answer, Answer::Reply(_)));
            self.report.lost += u64::from(matches!(operation.answer, Answer::Unknown | Answer::Again));
        }
        check::check(&self.history, &strings)
    }

    // Time.

    /// Something will happen so many microseconds from now.
    pub(crate) fn after(&mut self, us: u64, event: Event) {
        self.at(self.clock_us + us, event);
    }

    fn at(&mut self, at_us: u64, event: Event) {
        self.scheduled += 1;
        self.queue.push(Scheduled { at_us, number: self.scheduled, event });
    }

    pub(crate) fn tell(&mut self, what: fmt::Arguments<'_>) {
        self.trace.event(self.clock_us, what);
    }

    pub(crate) fn node(&mut self, number: u64) -> &mut Node {
        &mut self.nodes[number as usize - 1]
    }

    fn member(&mut self, place: Place) -> &mut Member {
        &mut self.nodes[place.node as usize - 1].members[usize::from(place.shard)]
    }

    fn is_alive(&self, place: Place) -> bool {
        let node = &self.nodes[place.node as usize - 1];
        node.is_up && node.life == place.life
    }

    /// The nodes that serve a shard, or believe so.
    pub(crate) fn serving(&self, shard: u16) -> Vec<u64> {
        let serves =
            |node: &&Node| node.members[usize::from(shard)].shard.as_ref().is_some_and(|shard| shard.is_serving());
        self.nodes.iter().filter(serves).map(|node| node.number).collect()
    }

    /// The next event happens.
    fn next(&mut self) -> Result<(), String> {
        let Scheduled { at_us, event, .. } = self.queue.pop().expect("timers go on");
        self.clock_us = at_us;
        let node = match &event {
            Event::Timer(node) => Some(*node),
            Event::Deliver(_, message) => Some(message.to),
            Event::EndOfTurn(place)
            | Event::Written(place)
            | Event::Space(place, _)
            | Event::Checkpoint(place)
            | Event::Warm(place)
            | Event::BroughtIn(place, _)
            | Event::Arrive(place, _)
            | Event::Slice(place) => Some(place.node),
            Event::Act(_) | Event::GiveUp(..) | Event::Crash(_) | Event::Start(_) | Event::Fault => None,
        };
        if let Some(until_us) = node.map(|node| self.node(node).frozen_until_us).filter(|&until| until > at_us) {
            self.at(until_us, event);
            return Ok(());
        }
        self.report.events += 1;
        self.happen(event)
    }

    fn happen(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Timer(node) => {
                for shard in 0..self.plan.shards {
                    let place = self.node(node).place(shard);
                    self.step(place, Input::Timer);
                }
                let jitter = self.dice.below(TIMER_US / 10);
                self.after(TIMER_US - jitter, Event::Timer(node));
            }
            Event::EndOfTurn(place) if self.is_alive(place) => {
                // The end of a turn is no input that another end must follow.
                self.step(place, Input::EndOfTick);
                self.member(place).turn_ends = false;
                if self.member(place).shard.as_ref().is_some_and(|shard| shard.wants_turn()) {
                    self.end_turn_soon(place);
                }
            }
            Event::Deliver(shard, message) => {
                let place = self.node(message.to).place(shard.0);
                if self.is_alive(place) {
                    let Message { msg_type, from, to, term, index, commit, .. } = &message;
                    let line =
                        format!("s{} {from}>{to} {msg_type:?} term {term} index {index} commit {commit}", shard.0);
                    self.tell(format_args!("{line}"));
                    self.step(place, Input::Message(message));
                }
            }
            Event::Written(place) if self.is_alive(place) => {
                if self.plan.broken == Some(Broken::WritesNotDurable) {
                    let member = self.member(place);
                    member.overwritten = member.disk.overwritten();
                }
                let write = self.member(place).disk.complete().expect("a write was begun");
                self.tell(format_args!("s{} {} wrote {} bytes", place.shard, place.node, write.buffer.len()));
                self.step(place, Input::Written(write));
            }
            Event::Space(place, wanted) if self.is_alive(place) => {
                if self.member(place).disk.full {
                    self.step(place, Input::NoSpace);
                } else {
                    self.member(place).disk.add(wanted);
                    self.step(place, Input::Segment { segment: wanted.segment, bytes: wanted.bytes });
                }
            }
            Event::Checkpoint(place) if self.is_alive(place) => {
                let member = self.member(place);
                member.order_comes = false;
                let order = member.orders.pop_front().expect("it was ordered");
                if let Some(input) = member.disk.checkpoint(order) {
                    self.step(place, input);
                }
                self.order_soon(place);
            }
            Event::Warm(place) if self.is_alive(place) => {
                if let Some(range) = self.member(place).cold_entry.take() {
                    self.member(place).disk.bring_in(range);
                }
                self.end_turn_soon(place);
            }
            Event::BroughtIn(place, task) | Event::Arrive(place, task) => {
                if self.is_alive(place) {
                    self.give(place, *task);
                } else {
                    // It was not begun, or nothing of it was applied.
                    self.answer(task.operation, Answer::NotServing);
                }
            }
            Event::Slice(place) if self.is_alive(place) => self.slice(place),
            Event::Act(client) => self.act(client),
            Event::GiveUp(client, round) => {
                let one = &mut self.clients[client as usize];
                if one.round == round && one.open > 0 {
                    one.open = 0;
                    self.after(1000, Event::Act(client));
                }
            }
            Event::Crash(place) if self.is_alive(place) => self.crash_for_a_while(place.node),
            Event::Start(node) => {
                if !self.node(node).is_up {
                    self.tell(format_args!("node {node} starts"));
                    let (nodes, growth) = (self.plan.nodes, self.checkpoint_growth_percent);
                    let broken = self.plan.broken;
                    self.node(node).start(nodes, growth, broken)?;
                    for shard in 0..self.plan.shards {
                        let place = self.node(node).place(shard);
                        self.end_turn_soon(place);
                    }
                }
            }
            Event::Fault if self.clock_us < self.load_ends_us => self.fault(),
            // Of an earlier life, or of a time that is over.
            Event::EndOfTurn(_)
            | Event::Written(_)
            | Event::Space(..)
            | Event::Checkpoint(_)
            | Event::Warm(_)
            | Event::Slice(_)
            | Event::Crash(_)
            | Event::Fault => {}
        }
        Ok(())
    }

    // Life and death.

    /// Power is cut at a node. Its clients hear nothing more.
    pub(crate) fn crash(&mut self, number: u64) {
        self.report.crashes += 1;
        let World { nodes, dice, trace, clock_us, report, plan, .. } = self;
        let node = &mut nodes[number as usize - 1];
        node.is_up = false;
        (node.frozen_until_us, node.crashes_in_write) = (0, 0);
        let mut gone = Vec::new();
        for (shard, member) in node.members.iter_mut().enumerate() {
            if let Some(stats) = member.shard.take().map(|shard| shard.stats()) {
                report.snapshots += stats.snapshots_installed;
                report.reruns += stats.script_reruns;
                report.checkpoints += stats.checkpoints;
            }
            match plan.broken {
                Some(Broken::DiskGoesBack) => member.disk.go_back_to(std::mem::take(&mut member.image)),
                Some(Broken::WritesNotDurable) => {
                    member.overwritten.take().into_iter().for_each(|there| member.disk.put_back(there));
                }
                _ => {}
            }
            let torn = member.disk.crash(&mut |bound| dice.below(bound as u64) as usize);
            report.torn += u64::from(torn != crate::disk::Torn::Nothing);
            trace.event(*clock_us, format_args!("s{shard} {number} crashes; of the log write: {torn:?}"));
            gone.extend(member.waiting.drain(..).map(|(operation, ..)| operation));
            gone.extend(member.asides.drain(..).map(|task| task.operation));
            member.outputs = Outputs::default();
            member.open = Gate::OPEN;
            member.orders.clear();
            (member.turn_ends, member.slice_comes, member.order_comes) = (false, false, false);
            member.cold_entry = None;
        }
        for operation in gone {
            self.gone(operation);
        }
    }

    /// The node of a request is gone; a read is as good as never asked.
    fn gone(&mut self, operation: usize) {
        let is_read = matches!(self.history.operations[operation].wish, crate::history::Wish::Read { .. });
        self.answer(operation, if is_read { Answer::Again } else { Answer::Unknown });
    }

    // Shards.

    /// One input to a shard, and what it asks for in return.
    fn step(&mut self, place: Place, input: Input<'_>) {
        if !self.is_alive(place) {
            return;
        }
        let node = &mut self.nodes[place.node as usize - 1];
        let own_us = self.clock_us as i64 + self.clock_us as i64 * node.drift_ppm / 1_000_000;
        let now = Now { unix_ms: (START_MS + own_us / 1000 + node.skew_ms) as u64, monotonic_us: own_us as u64 + 1 };
        let member = &mut node.members[usize::from(place.shard)];
        let shard = member.shard.as_mut().expect("the node is up");
        shard.step(now, input, &member.disk, &mut member.outputs);
        self.perform(place);
        self.end_turn_soon(place);
    }

    fn end_turn_soon(&mut self, place: Place) {
        if !std::mem::replace(&mut self.member(place).turn_ends, true) {
            let us = self.dice.within(1..120);
            self.after(us, Event::EndOfTurn(place));
        }
    }

    /// Does what a shell does after a step.
    fn perform(&mut self, place: Place) {
        let broken = self.plan.broken;
        let member = self.member(place);
        let outputs = &mut member.outputs;
        let mut answers: Vec<(usize, Answer)> = Vec::new();
        if let Some(lost) = outputs.lost.take() {
            member.waiting.retain_mut(|(operation, gate, reply)| {
                let answer = match lost.fate(*gate) {
                    Fate::Stands => return true,
                    Fate::Unknown if broken == Some(Broken::LostWritesAcknowledged) => {
                        Answer::Reply(std::mem::take(reply))
                    }
                    Fate::Again if broken == Some(Broken::LostReadsAnswered) => Answer::Reply(std::mem::take(reply)),
                    Fate::Unknown => Answer::Unknown,
                    Fate::Refused => Answer::Refused,
                    Fate::Again => Answer::Again,
                };
                answers.push((*operation, answer));
                false
            });
        }
        let open = outputs.open;
        assert!(open.batch >= member.open.batch && open.fence >= member.open.fence, "gates never close");
        member.open = open;
        member.waiting.retain_mut(|(operation, gate, reply)| {
            if gate.is_open(open) {
                answers.push((*operation, Answer::Reply(std::mem::take(reply))));
                return false;
            }
            true
        });
        let messages = std::mem::take(&mut outputs.messages);
        let write = outputs.write.take();
        let cold_entry = outputs.cold_entry.take();
        let wanted = outputs.segment_wanted.take();
        for (segment, _) in outputs.unneeded.drain(..) {
            member.disk.remove(segment);
        }
        member.orders.extend(outputs.checkpoint.drain(..));
        if let Some(range) = cold_entry {
            member.cold_entry = Some(range);
            let us = self.dice.within(50..4000);
            self.after(us, Event::Warm(place));
        }
        for message in messages {
            for us in self.network.passes(&mut self.dice, message.from, message.to) {
                self.after(us, Event::Deliver(ShardId(place.shard), message.clone()));
            }
        }
        if let Some(write) = write {
            self.member(place).disk.begin(write);
            let slowest = self.node(place.node).write_us;
            let us = 20 + self.dice.below(slowest);
            self.after(us, Event::Written(place));
            let node = self.node(place.node);
            if node.crashes_in_write > 0 {
                node.crashes_in_write -= 1;
                if node.crashes_in_write == 0 {
                    self.after(us - 1, Event::Crash(place));
                }
            }
        }
        if let Some(wanted) = wanted {
            let us = self.dice.within(100..3000);
            self.after(us, Event::Space(place, wanted));
        }
        self.order_soon(place);
        for (operation, answer) in answers {
            self.answer(operation, answer);
        }
    }

    fn order_soon(&mut self, place: Place) {
        let member = self.member(place);
        if !member.orders.is_empty() && !std::mem::replace(&mut member.order_comes, true) {
            let us = self.dice.within(50..3000);
            self.after(us, Event::Checkpoint(place));
        }
    }

    // Requests.

    /// Gives a request to its shard.
    fn give(&mut self, place: Place, mut task: Task) {
        let context = task.context.take();
        match &task.asked {
            Asked::Command(words) => {
                let list: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
                let command = find(list[0]).expect("clients know the commands");
                let command = list.get(1).and_then(|name| find_subcommand(command, name)).unwrap_or(command);
                task.reply = Text::default();
                let (arguments, reply) = (Arguments::new(&list), &mut task.reply);
                self.step(place, Input::Request(Request { command, db: 0, arguments, reply, context }));
            }
            Asked::Exec(items) => {
                let reply = &mut task.reply;
                self.step(place, Input::Exec { items, watches: &[], reply, done: &mut || {}, context });
            }
        }
        let outcome = std::mem::take(&mut self.member(place).outputs.outcome);
        match outcome {
            Outcome::Done(gate) => {
                let (operation, reply) = (task.operation, task.reply.finish());
                let at_once = self.plan.broken == Some(Broken::RepliesBeforeGates);
                let member = self.member(place);
                if at_once || gate.is_open(member.open) {
                    self.answer(operation, Answer::Reply(reply));
                } else {
                    member.waiting.push((operation, gate, reply));
                }
            }
            Outcome::Cold(range) => {
                task.reply = Text::default();
                self.bring_in(place, range, task);
            }
            Outcome::Aside(aside) => {
                task.context = Some(aside.context);
                if aside.restarts {
                    task.reply = Text::default();
                }
                match aside.cold {
                    Some(range) => self.bring_in(place, range, task),
                    None => self.member(place).asides.push(task),
                }
            }
            Outcome::NotServing | Outcome::Stopped(_) | Outcome::Refused(_) => {
                self.answer(task.operation, Answer::NotServing);
            }
            Outcome::None => panic!("a request has an outcome"),
        }
        self.slice_soon(place);
    }

    fn bring_in(&mut self, place: Place, range: ringkeep_shards::keyspace::ColdRange, task: Task) {
        // It is in memory when the request is given again, unless it was forgotten meanwhile.
        self.member(place).disk.bring_in(range);
        let us = self.dice.within(50..4000);
        self.after(us, Event::BroughtIn(place, Box::new(task)));
    }

    fn slice_soon(&mut self, place: Place) {
        let member = self.member(place);
        if !member.asides.is_empty() && !std::mem::replace(&mut member.slice_comes, true) {
            let us = self.dice.within(50..1000);
            self.after(us, Event::Slice(place));
        }
    }

    /// The request whose turn it is goes on.
    fn slice(&mut self, place: Place) {
        let member = self.member(place);
        member.slice_comes = false;
        if let Some((id, _)) = member.shard.as_mut().and_then(|shard| shard.next_turn()) {
            match member.asides.iter().position(|task| task.context == Some(id)) {
                Some(at) => {
                    let task = member.asides.swap_remove(at);
                    self.give(place, task);
                }
                // It waits for what is being brought in.
                None => member.shard.as_mut().expect("it is up").pass_turn(id),
            }
        }
        self.slice_soon(place);
    }

    // Clients.

    fn act(&mut self, client: u64) {
        if self.clock_us >= self.load_ends_us {
            return;
        }
        let World { dice, keys, history, .. } = self;
        let mut requests = vec![client::request(dice, keys, history)];
        let shard = requests[0].shard;
        let serving = self.serving(shard);
        let node = if serving.is_empty() || self.dice.below(10) == 0 {
            1 + self.dice.below(self.plan.nodes)
        } else {
            *self.dice.pick(&serving)
        };
        let place = self.node(node).place(shard);
        let wanted = if requests[0].is_quick { 1 + self.dice.below(PIPELINE_MAX) } else { 1 };
        self.clients[client as usize].round += 1;
        let round = self.clients[client as usize].round;
        // One more until all are asked: the round is not over before.
        self.clients[client as usize].open = 1;
        self.after(PATIENCE_US, Event::GiveUp(client, round));
        let mut before = None;
        for _ in 0..wanted {
            let request = match requests.pop() {
                Some(first) => first,
                None => {
                    let World { dice, keys, history, .. } = self;
                    let more = client::request(dice, keys, history);
                    if more.shard != shard || !more.is_quick {
                        continue;
                    }
                    more
                }
            };
            let operation = self.history.begin(request.wish, before.take());
            self.owners.push((client, round));
            self.clients[client as usize].open += 1;
            let wish = &self.history.operations[operation].wish;
            let line = format!("s{shard} {node} is asked by client {client}: {operation} {wish:?}");
            self.tell(format_args!("{line}"));
            let task = Task { operation, asked: request.asked, reply: Text::default(), context: None };
            let until_us = self.node(node).frozen_until_us;
            if !self.is_alive(place) {
                self.answer(operation, Answer::NotServing);
            } else if until_us > self.clock_us {
                self.at(until_us, Event::Arrive(place, Box::new(task)));
            } else {
                self.give(place, task);
                // What waits for its value is overtaken here by those behind it, which a shell does not let happen.
                let has_run = self.member(place).waiting.iter().any(|&(number, ..)| number == operation);
                let is_answered = self.history.operations[operation].answered.is_some();
                before = (has_run || is_answered).then_some(operation);
            }
        }
        self.one_less(client, round);
    }

    fn answer(&mut self, operation: usize, answer: Answer) {
        let line = match &answer {
            Answer::Reply(reply) if reply.len() > 60 => format!("{operation} is answered with {} bytes", reply.len()),
            answer => format!("{operation} is answered: {answer:?}"),
        };
        self.tell(format_args!("{line}"));
        self.history.answer(operation, answer);
        let (client, round) = self.owners[operation];
        self.one_less(client, round);
    }

    /// A client has one request less open; it goes on when it has none.
    fn one_less(&mut self, client: u64, round: u64) {
        let one = &mut self.clients[client as usize];
        if one.round == round && one.open > 0 {
            one.open -= 1;
            if one.open == 0 {
                let us = self.dice.within(500..30_000);
                self.after(us, Event::Act(client));
            }
        }
    }
}

/// Everything that a node's tips hold, expired or not: (database, key) to (value, expiry).
fn contents(node: &Node) -> BTreeMap<(u8, Vec<u8>), (Vec<u8>, u64)> {
    let mut contents = BTreeMap::new();
    for member in &node.members {
        let shard = member.shard.as_ref().expect("the node is up");
        for db in 0..DATABASES_MAX {
            for entry in shard.keyspace().tip(db) {
                let value = entry.value().bytes(&AllResident(&member.disk)).expect("every byte is there").to_vec();
                contents.insert((db, entry.key().to_vec()), (value, entry.expires_ms()));
            }
        }
    }
    contents
}
