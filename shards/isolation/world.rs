//! A shard, its clients, and the model beside it.

use super::model::{Model, State};
use super::program::{Author, Item, KILLED, Taste, Transaction};
use super::replies::{Catcher, Reply};
use crate::checkpoint_tests::{Disk, Machine};
use crate::command::{Arguments, find};
use crate::dice::Dice;
use crate::ids::ContextId;
use crate::keyspace::ColdRange;
use crate::port::{ExecItem, Gate, Input, Outcome, Request, WatchedKey};
use crate::reply::Protocol;
use crate::script::{Interrupt, ScriptLimits};
use crate::transaction::StopReason;
use std::collections::BTreeMap;

/// Turns in which what is open comes to its end, at most.
const TURNS_MAX: usize = 100_000;

/// How a world is made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) taste: Taste,
    pub(super) clients: usize,
    pub(super) transactions: usize,
    pub(super) instructions: u32,
    pub(super) vms_max: usize,
    pub(super) kill_percent: usize,
    /// How many of a hundred requests are an EXEC after a WATCH.
    pub(super) watch_percent: usize,
    /// Values leave the memory.
    pub(super) cools: bool,
    /// Whether the tip itself is compared with the model, not only what clients see of it.
    pub(super) looks_inside: bool,
}

impl Plan {
    pub(super) fn of(dice: &mut Dice) -> Self {
        let large = dice.percent(25);
        Plan {
            taste: Taste {
                keys: dice.within(2..7),
                write_percent: *dice.pick(&[&20, &50, &80]),
                spin_max: *dice.pick(&[&20, &100, &400]),
                steps_max: dice.within(2..12),
                large,
                flush_percent: *dice.pick(&[&0, &2, &10]),
                expiry_percent: *dice.pick(&[&0, &10, &40]),
            },
            clients: dice.within(2..8),
            transactions: dice.within(20..80),
            instructions: *dice.pick(&[&20, &60, &200, &1000]),
            vms_max: dice.within(2..7),
            kill_percent: *dice.pick(&[&0, &0, &1, &4]),
            watch_percent: 12,
            cools: large && dice.percent(60),
            looks_inside: true,
        }
    }
}

/// A watched key, what it held, and how often it had been written.
type Watch = (WatchedKey, Option<(String, u64)>, u64);

/// A request that was given and has no reply yet.
struct Open {
    transaction: Transaction,
    watches: Vec<Watch>,
    context: Option<ContextId>,
    catcher: Catcher,
    /// What the run under way began with, if one is: the model, its version, the time.
    start: Option<(Model, usize, u64)>,
    cold: Option<ColdRange>,
    killed: Option<StopReason>,
    given: usize,
}

enum Client {
    Idle,
    Watching(Vec<Watch>),
    Open(Box<Open>),
    /// It waits for this gate.
    Waiting(Gate),
}

impl Client {
    fn in_words(&self) -> String {
        match self {
            Client::Idle => "idle".into(),
            Client::Watching(watches) => format!("watches {} keys", watches.len()),
            Client::Open(open) => format!("{:?} {:?} {:?}", open.context, open.cold, open.transaction),
            Client::Waiting(gate) => format!("waits for {gate:?}"),
        }
    }
}

/// What came of it all.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) done: usize,
    pub(super) aside: usize,
    pub(super) nil: usize,
    pub(super) raised: usize,
    pub(super) killed: usize,
    pub(super) reruns_max: u32,
    pub(super) conflicts: u64,
    pub(super) cold: usize,
    pub(super) commits: usize,
}

pub(super) struct World {
    machine: Machine,
    interrupt: Interrupt,
    dice: Dice,
    plan: Plan,
    clients: Vec<Client>,
    model: Model,
    /// Every state that there was.
    history: Vec<State>,
    /// The version that changed each key last.
    changed: BTreeMap<String, usize>,
    /// Replies that were not released yet: their gates, and the version that they depend on.
    held_back: Vec<(Gate, usize)>,
    /// The version that the replies depend on that were released.
    released: usize,
    numbers: Vec<usize>,
    left: usize,
    pub(super) tally: Tally,
}

/// What is wrong, in words.
pub(super) type Wrong = String;

impl World {
    pub(super) fn new(mut dice: Dice, plan: Plan) -> Self {
        let interrupt = Interrupt::counting(plan.instructions);
        let mut config = Machine::config();
        config.interrupt = interrupt.clone();
        config.script = ScriptLimits { vms_max: plan.vms_max, jit: dice.percent(70), ..ScriptLimits::default() };
        let mut disk = Disk::default();
        disk.warm = plan.cools.then(Vec::new);
        World {
            machine: Machine::start_with(disk, 1_000_000, config),
            interrupt,
            dice,
            plan,
            clients: (0..plan.clients).map(|_| Client::Idle).collect(),
            model: Model { expires: plan.taste.expiry_percent > 0, ..Model::default() },
            history: vec![State::new()],
            changed: BTreeMap::new(),
            held_back: Vec::new(),
            released: 0,
            numbers: vec![0; plan.clients],
            left: plan.transactions,
            tally: Tally::default(),
        }
    }

    /// Runs everything.
    ///
    /// # Errors
    /// What is wrong.
    pub(super) fn run(mut self) -> Result<Tally, Wrong> {
        let mut turns = 0;
        while self.left > 0 || self.clients.iter().any(|client| !matches!(client, Client::Idle)) {
            self.turn()?;
            turns += 1;
            if turns > TURNS_MAX {
                let clients: Vec<String> = self.clients.iter().map(Client::in_words).collect();
                let open = self.machine.outputs.open;
                return Err(format!("it does not come to an end: {clients:#?}\n{open:?} {:?}", self.tally));
            }
        }
        self.end()
    }

    fn turn(&mut self) -> Result<(), Wrong> {
        match self.dice.below(100) {
            0..=34 => {
                let client = self.dice.below(self.clients.len());
                self.go(client)
            }
            35..=64 => self.next_turn(),
            65..=79 => {
                self.machine.step(Input::EndOfTick);
                self.look()
            }
            80..=91 => {
                let pick = self.dice.roll();
                self.machine.one_completion(pick);
                self.look()
            }
            92..=94 => {
                self.machine.now_ms += self.dice.below(30) as u64;
                if self.dice.percent(40) {
                    self.machine.step(Input::Timer);
                }
                self.look()
            }
            95 => {
                if self.dice.percent(30) {
                    self.interrupt.count(self.dice.within(10..(2 * self.plan.instructions as usize) + 11) as u32);
                }
                if self.dice.percent(10) {
                    self.machine.shard.scripts().flush();
                }
                if self.dice.percent(10) {
                    self.machine.shard.want_checkpoint();
                }
                if self.plan.cools {
                    self.machine.disk.warm = Some(Vec::new());
                }
                Ok(())
            }
            _ => {
                if self.dice.percent(self.plan.kill_percent * 10) {
                    self.kill();
                }
                Ok(())
            }
        }
    }

    fn kill(&mut self) {
        let client = self.dice.below(self.clients.len());
        let Client::Open(open) = &mut self.clients[client] else { return };
        let Some(id) = open.context.filter(|_| open.cold.is_none()) else { return };
        let reason = if self.dice.percent(60) { StopReason::Killed(KILLED) } else { StopReason::Gone };
        assert!(self.machine.shard.stop_context(id, reason), "an open context is there");
        open.killed = Some(reason);
    }

    /// A client does what it can do next.
    fn go(&mut self, client: usize) -> Result<(), Wrong> {
        let now_ms = self.machine.now_ms;
        match std::mem::replace(&mut self.clients[client], Client::Idle) {
            Client::Waiting(gate) => {
                if !gate.is_open(self.machine.outputs.open) {
                    self.clients[client] = Client::Waiting(gate);
                }
                Ok(())
            }
            Client::Open(open) => {
                let is_cold = open.cold.is_some();
                self.clients[client] = Client::Open(open);
                if is_cold { self.give(client) } else { Ok(()) }
            }
            Client::Idle if self.left == 0 => Ok(()),
            Client::Idle if self.dice.percent(self.plan.watch_percent) => {
                let keys: Vec<String> = (0..self.dice.within(1..3)).map(|_| self.author(client).key()).collect();
                let list: Vec<&[u8]> = keys.iter().map(String::as_bytes).collect();
                self.machine.step(Input::Watch { db: 0, keys: &list });
                let watched = std::mem::take(&mut self.machine.outputs.watched);
                let seen = |key: &String| {
                    let touches = self.model.touches.get(key).copied().unwrap_or_default();
                    (self.model.alive(key, now_ms).cloned(), touches)
                };
                let watches =
                    watched.into_iter().zip(&keys).map(|(watch, key)| (watch, seen(key).0, seen(key).1)).collect();
                self.clients[client] = Client::Watching(watches);
                self.look()
            }
            idle => {
                let watches = if let Client::Watching(watches) = idle { watches } else { Vec::new() };
                self.left = self.left.saturating_sub(1);
                let mut author = self.author(client);
                let transaction = if watches.is_empty() { author.transaction() } else { author.exec() };
                self.clients[client] = Client::Open(Box::new(Open {
                    transaction,
                    watches,
                    context: None,
                    catcher: Catcher::default(),
                    start: None,
                    cold: None,
                    killed: None,
                    given: 0,
                }));
                self.give(client)
            }
        }
    }

    fn author(&mut self, client: usize) -> Author<'_> {
        Author {
            dice: &mut self.dice,
            taste: self.plan.taste,
            now_ms: self.machine.now_ms,
            client,
            number: &mut self.numbers[client],
        }
    }

    /// The context whose turn it is has it.
    fn next_turn(&mut self) -> Result<(), Wrong> {
        let Some((id, _)) = self.machine.shard.next_turn() else { return Ok(()) };
        let is_it = |client: &Client| matches!(client, Client::Open(open) if open.context == Some(id));
        let Some(client) = self.clients.iter().position(is_it) else {
            return Err(format!("{id:?} has its turn, and is nobody's"));
        };
        self.give(client)
    }

    /// Gives a client's request, for the first time or again.
    fn give(&mut self, client: usize) -> Result<(), Wrong> {
        let Client::Open(mut open) = std::mem::replace(&mut self.clients[client], Client::Idle) else {
            panic!("a request is open")
        };
        let now_ms = self.machine.now_ms;
        if let Some(range) = open.cold.take() {
            self.machine.disk.bring_in(range);
        }
        open.given += 1;
        let has_begun = open.start.is_some();
        let outcome = match &open.transaction {
            Transaction::One(item) => {
                let words = item.words();
                let list: Vec<&[u8]> = words.iter().map(String::as_bytes).collect();
                let request = Request {
                    command: find(list[0]).expect("a command"),
                    db: 0,
                    arguments: Arguments::new(&list),
                    reply: &mut open.catcher,
                    context: open.context,
                };
                self.machine.step(Input::Request(request))
            }
            Transaction::Exec(items) => {
                let run = |item: &Item| {
                    let words = item.words();
                    ExecItem::Run {
                        command: find(words[0].as_bytes()).expect("a command"),
                        db: 0,
                        protocol: Protocol::Resp2,
                        arguments: words.into_iter().map(String::into_bytes).collect(),
                    }
                };
                let items: Vec<ExecItem> = items.iter().map(run).collect();
                let watches: Vec<WatchedKey> = open.watches.iter().map(|(watch, _, _)| watch.clone()).collect();
                self.machine.step(Input::Exec {
                    items: &items,
                    watches: &watches,
                    reply: &mut open.catcher,
                    done: &mut || {},
                    context: open.context,
                })
            }
        };
        self.show(|| format!("{client} {:?} {outcome:?} {:?}", open.context, open.transaction));
        match outcome {
            Outcome::Done(gate) => {
                let reply = std::mem::take(&mut open.catcher).finish();
                self.decided(&open, reply, gate, now_ms)?;
                self.clients[client] = if self.dice.percent(50) { Client::Waiting(gate) } else { Client::Idle };
                Ok(())
            }
            Outcome::Cold(range) => {
                self.tally.cold += 1;
                (open.catcher, open.cold, open.context, open.start) = (Catcher::default(), Some(range), None, None);
                self.clients[client] = Client::Open(open);
                self.look()
            }
            Outcome::Aside(aside) => {
                self.tally.aside += 1;
                open.context = Some(aside.context);
                open.cold = aside.cold;
                self.tally.cold += usize::from(aside.cold.is_some());
                let info = self.machine.shard.context(aside.context).ok_or("a context that was set aside is gone")?;
                self.tally.reruns_max = self.tally.reruns_max.max(info.reruns);
                let slices = info.slices;
                self.look()?;
                if aside.restarts || slices == 0 {
                    open.start = None;
                    if aside.restarts {
                        open.catcher = Catcher::default();
                    }
                } else if !has_begun {
                    open.start = Some((self.model.clone(), self.history.len() - 1, now_ms));
                }
                self.clients[client] = Client::Open(open);
                Ok(())
            }
            Outcome::Stopped(text) => {
                self.tally.killed += 1;
                if open.killed.is_none() {
                    return Err(format!("it was stopped, and nobody stopped it: {text}"));
                }
                self.look()
            }
            Outcome::None | Outcome::NotServing | Outcome::Refused(_) => Err(format!("{outcome:?}")),
        }
    }

    #[allow(clippy::disallowed_methods, reason = "who looks for a bug asks to see what happens")]
    fn show(&self, what: impl FnOnce() -> String) {
        if std::env::var("RINGKEEP_ISOLATION_SHOW").is_ok() {
            eprintln!("{} {}", self.machine.now_ms, what());
        }
    }

    /// A reply is there: it must be the model's.
    fn decided(&mut self, open: &Open, reply: Reply, gate: Gate, now_ms: u64) -> Result<(), Wrong> {
        self.tally.done += 1;
        let is_exec = matches!(open.transaction, Transaction::Exec(_));
        if let (Some(reason), false) = (open.killed, is_exec) {
            self.tally.killed += 1;
            return match &reply {
                Reply::Error(text) => {
                    let said = match reason {
                        StopReason::Killed(text) => text,
                        StopReason::Gone => "stopped",
                    };
                    if !text.contains(said) && !text.contains("stopped") {
                        return Err(format!("it was stopped, and the reply is {text}"));
                    }
                    self.look()
                }
                _ => Err(format!("it was stopped, and the reply is {reply:?}")),
            };
        }
        if reply == Reply::NilArray && !open.watches.is_empty() {
            self.tally.nil += 1;
            return self.look();
        }
        let was_stopped = open.killed.is_some();
        let mut tried = Vec::new();
        // A context that wrote nothing stands where its run began.
        if let Some((model, version, start_ms)) = &open.start {
            let mut model = model.clone();
            match open.transaction.fits(&mut model, *start_ms, &reply, was_stopped) {
                Ok(()) if model.written.is_empty() || matches!(reply, Reply::Error(_)) => {
                    self.watched_keys_are_unchanged(open, &model, *start_ms, true)?;
                    self.held_back.push((gate, *version));
                    return self.look();
                }
                Ok(()) => {}
                Err(expected) => tried.push(format!("where its run began it is {expected:?}")),
            }
        }
        let now_ms = open.start.as_ref().map_or(now_ms, |&(_, _, start_ms)| start_ms);
        let mut model = self.model.clone();
        match open.transaction.fits(&mut model, now_ms, &reply, was_stopped) {
            Ok(()) => {
                let before = self.model.clone();
                self.watched_keys_are_unchanged(open, &before, now_ms, false)?;
                self.tally.commits += usize::from(open.start.is_some());
                self.tally.raised += usize::from(matches!(reply, Reply::Error(_)));
                self.model = model;
                self.look()?;
                let version = self.history.len() - 1;
                let needs = if !self.model.written.is_empty() || self.model.seen.contains("*") {
                    version
                } else {
                    let changed = self.model.seen.iter().filter_map(|key| self.changed.get(key));
                    changed.copied().max().unwrap_or(0)
                };
                self.held_back.push((gate, needs));
                Ok(())
            }
            Err(expected) => Err(format!(
                "the reply is {reply:?};\n it is to be {expected:?};\n {tried:?}\n of {:?}\n given {} times, at {now_ms}",
                open.transaction, open.given
            )),
        }
    }

    fn watched_keys_are_unchanged(&self, open: &Open, model: &Model, now_ms: u64, is_after: bool) -> Result<(), Wrong> {
        for (watch, held, touches) in &open.watches {
            let key = String::from_utf8_lossy(&watch.key).into_owned();
            let touches_now = model.touches.get(&key).copied().unwrap_or_default();
            let is_same = is_after || model.alive(&key, now_ms) == held.as_ref();
            if touches_now != *touches || !is_same {
                return Err(format!("{key} was watched and has been changed before EXEC: {:?}", open.transaction));
            }
        }
        Ok(())
    }

    /// After each step: what expired and was removed is, and the state is the model's.
    fn look(&mut self) -> Result<(), Wrong> {
        let now_ms = self.machine.now_ms;
        let held: BTreeMap<String, u64> = self
            .machine
            .shard
            .keyspace()
            .tip(0)
            .map(|entry| (String::from_utf8_lossy(entry.key()).into_owned(), entry.expires_ms()))
            .collect();
        let is_expired = |expires_ms: u64| expires_ms != 0 && expires_ms <= now_ms;
        self.model.state.retain(|key, (_, expires_ms)| !is_expired(*expires_ms) || held.contains_key(key));
        if self.plan.looks_inside {
            let contents = self.machine.contents();
            let there: State = contents
                .into_iter()
                .map(|((_, key), (value, expires_ms))| (text(&key), (text(&value), expires_ms)))
                .collect();
            let expected = alive(&self.model.state, now_ms);
            if there != expected {
                return Err(format!("the state is {there:?};\n it is to be {expected:?}"));
            }
            for (key, expires_ms) in held {
                // What was given a time that has passed is seen by nobody.
                if is_expired(expires_ms) && !self.model.state.contains_key(&key) {
                    if !self.model.written.contains(&key) {
                        return Err(format!("{key} was seen expired, and is still there"));
                    }
                    self.model.state.insert(key, (String::new(), expires_ms));
                }
            }
        }
        let (before, after) = (self.history.last().expect("there is a first one"), &self.model.state);
        if before != after {
            let version = self.history.len();
            let keys = before.keys().chain(after.keys()).filter(|key| before.get(*key) != after.get(*key));
            self.changed.extend(keys.map(|key| (key.clone(), version)));
            self.history.push(after.clone());
        }
        let open = self.machine.outputs.open;
        let released = &mut self.released;
        self.held_back.retain(|&(gate, version)| {
            let is_open = gate.is_open(open);
            if is_open {
                *released = version.max(*released);
            }
            !is_open
        });
        Ok(())
    }

    fn end(mut self) -> Result<Tally, Wrong> {
        if self.dice.percent(50) {
            return self.crash();
        }
        self.machine.step(Input::EndOfTick);
        self.machine.settle();
        self.look()?;
        if !self.held_back.is_empty() {
            return Err(format!("{} replies are never released", self.held_back.len()));
        }
        let shard = &self.machine.shard;
        self.tally.conflicts = shard.stats().script_conflicts;
        let left =
            (shard.contexts_len(), shard.has_locks(), shard.keyspace().versions_bytes(), shard.keyspace().pins());
        if left != (0, false, 0, 0) {
            return Err(format!("contexts, locks, versions and pins are left: {left:?}"));
        }
        self.crash()
    }

    /// The machine stops; what it finds again is a state that all released replies have been of.
    fn crash(self) -> Result<Tally, Wrong> {
        let now_ms = self.machine.now_ms;
        let machine = self.machine.restart();
        let found: State = machine
            .contents()
            .into_iter()
            .map(|((_, key), (value, expires_ms))| (text(&key), (text(&value), expires_ms)))
            .collect();
        if self.history[self.released..].iter().any(|state| alive(state, now_ms) == found) {
            return Ok(self.tally);
        }
        Err(format!(
            "after a crash there is {found:?};\n of {} states the first that may be is {:?}, the last {:?}",
            self.history.len(),
            self.history[self.released],
            self.history.last(),
        ))
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn alive(state: &State, now_ms: u64) -> State {
    let alive = state.iter().filter(|(_, (_, expires_ms))| *expires_ms == 0 || *expires_ms > now_ms);
    alive.map(|(key, held)| (key.clone(), held.clone())).collect()
}
