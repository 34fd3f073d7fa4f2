//! The libraries of functions of the node: the first shard's are the truth, every other shard has a copy.
//!
//! ```text
//!  FUNCTION LOAD ─► shard 0: validated, logged ── committed ─► every other shard: becomes the same ── committed ─┐
//!  the client is answered ◄───────────────────────────────────── when all copies are ───────────────────────────┘
//! ```
//!
//! What is handed on is not a change but the whole set, numbered: a copy that is newer stays, whatever comes late, so that shards end up
//! alike without any lock. A shard that begins to serve is given the newest set that its core knows of; it calls no function before.
//! So what a crash left between the first commit and the others' is repaired when the node starts. Whoever looks at the libraries
//! (FUNCTION LIST, DUMP) while a set is on its way is answered after it has arrived: what it saw can be called everywhere.

use crate::runtime::ring::SocketId;
use crate::serve::client::ClientState;
use crate::serve::engine::Engine;
use crate::serve::job::{Job, OwnedCall, Work};
use crate::serve::local::Gated;
use crate::serve::message::{Answer, Message, Question, Ticket};
use bytes::Bytes;
use ringkeep_shards::command::{Command, Door, Run, Session, flag};
use ringkeep_shards::ids::{ClientId, CoreId, ShardId, Term};
use ringkeep_shards::keyspace::LibrarySet;
use ringkeep_shards::lost::Fate;
use ringkeep_shards::port::{Gate, Input, Outcome};
use slab::Slab;
use std::sync::Arc;

/// The shard whose libraries are the node's.
pub const FIRST: ShardId = ShardId(0);

/// How many there are.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counts {
    /// Libraries.
    pub libraries: usize,
    /// Functions of all of them.
    pub functions: usize,
}

/// A set of libraries on its way to a shard.
#[derive(Clone)]
pub struct Copy {
    set: Arc<LibrarySet>,
    number: u64,
    /// The core of the first shard, and its number for the hand-over there.
    from: (CoreId, usize),
}

/// A set that is handed on, at the core of the first shard.
struct HandOver {
    /// What waits until it has arrived everywhere: the change, and those that looked at it.
    answers: Vec<(Ticket, Answer)>,
    copies_missing: usize,
}

/// What one core knows of the libraries.
#[derive(Default)]
pub struct Copies {
    /// The newest set that came from the first shard, with its number.
    newest: Option<(u64, Arc<LibrarySet>)>,
    /// At the core of the first shard: sets that are on their way, and the term of it that all were told of.
    under_way: Slab<HandOver>,
    latest: Option<usize>,
    numbered: u64,
    term: Option<Term>,
}

/// A change of the first shard's libraries that is not committed yet.
pub struct Change {
    set: Arc<LibrarySet>,
    number: u64,
    hand_over: usize,
}

impl Engine {
    /// Runs a command whose row says [`Run::Library`].
    #[allow(clippy::too_many_arguments, reason = "a request is its parts, borrowed apart")]
    pub(super) fn on_libraries(
        &mut self,
        socket: SocketId,
        state: &mut ClientState,
        command: &'static Command,
        list: &[&[u8]],
        owned: &[(usize, Bytes)],
        out: &mut Vec<u8>,
        start: usize,
    ) {
        if self.shard_count() == 1 {
            return self.in_shard(socket, state, command, FIRST, list, owned, out, start);
        }
        self.wait_for(socket, state, FIRST, Work::Calls(vec![OwnedCall::new(command, list, owned)]));
    }

    /// The version of the first shard's libraries before a job that may change them.
    pub(super) fn version_before(&self, place: usize, job: &Job) -> Option<u64> {
        let is_it = self.shard_count() > 1 && self.shards[place].id == FIRST && concerns_libraries(job);
        is_it.then(|| self.shards[place].shard.keyspace().libraries_version())
    }

    /// A job that concerns the libraries is done at the first shard: its answer leaves when what it saw or made is everywhere.
    pub(super) fn answer_everywhere(&mut self, ticket: Ticket, place: usize, answer: Answer, gate: Gate, before: u64) {
        let keyspace = self.shards[place].shard.keyspace();
        if keyspace.libraries_version() == before {
            return match self.copies.latest {
                // The gate of what it saw is that of the change that is on its way.
                Some(latest) => self.copies.under_way[latest].answers.push((ticket, answer)),
                None => self.answer(ticket, place, answer, gate, true),
            };
        }
        let set = keyspace.libraries_at_tip().clone();
        let change = self.begin_hand_over(set, vec![(ticket, answer)]);
        let local = &mut self.shards[place];
        if gate.is_open(local.open) {
            self.hand_on(change);
        } else {
            local.hold(gate, Gated::Libraries(change));
        }
    }

    fn begin_hand_over(&mut self, set: Arc<LibrarySet>, answers: Vec<(Ticket, Answer)>) -> Change {
        let copies_missing = usize::from(self.shard_count()) - 1;
        self.copies.numbered += 1;
        let hand_over = self.copies.under_way.insert(HandOver { answers, copies_missing });
        self.copies.latest = Some(hand_over);
        Change { set, number: self.copies.numbered, hand_over }
    }

    /// A change is committed: every other shard is told.
    pub(super) fn hand_on(&mut self, change: Change) {
        let Change { set, number, hand_over } = change;
        let nobody = Session::new(ClientId(0), Door::Server, true);
        for shard in (0..self.shard_count()).map(ShardId).filter(|shard| *shard != FIRST) {
            let copy = Copy { set: set.clone(), number, from: (self.core, hand_over) };
            self.give(self.nobody(), Job::new(shard, &nobody, Work::Libraries(copy)));
        }
    }

    /// A change is lost with its term: who waits for it is told.
    pub(super) fn lose_change(&mut self, change: Change) {
        let answers = self.end_hand_over(change.hand_over);
        for (ticket, answer) in answers {
            self.send_answer(ticket, answer.in_place_of(Fate::Unknown));
        }
    }

    fn end_hand_over(&mut self, number: usize) -> Vec<(Ticket, Answer)> {
        if self.copies.latest == Some(number) {
            self.copies.latest = None;
        }
        self.copies.under_way.remove(number).answers
    }

    fn send_answer(&mut self, ticket: Ticket, answer: Answer) {
        if ticket.core == self.core {
            self.answers.push_back((ticket, answer, None));
        } else {
            self.outbox.push((ticket.core, Message::Answer(ticket, answer)));
        }
    }

    /// A set has come for a shard of this core.
    pub(super) fn take_copy(&mut self, place: usize, copy: Copy) {
        let Copy { set, number, from } = copy;
        if self.copies.newest.as_ref().is_none_or(|(newest, _)| *newest < number) {
            self.copies.newest = Some((number, set));
        }
        let gate = self.copy_to(place);
        let local = &mut self.shards[place];
        // A copy that is lost is made again when its shard serves again.
        if gate.is_open(local.open) { self.confirm(from) } else { local.hold(gate, Gated::Copied(from.0, from.1)) }
    }

    /// Gives a shard of this core the newest set; the gate of that.
    fn copy_to(&mut self, place: usize) -> Gate {
        let (_, set) = self.copies.newest.clone().expect("the caller looked");
        self.step(place, Input::Libraries(&set));
        match std::mem::take(&mut self.outputs.outcome) {
            Outcome::Done(gate) => gate,
            _ => Gate::OPEN,
        }
    }

    /// A shard of this core has a copy: the core of the first shard is told.
    pub(super) fn confirm(&mut self, (core, number): (CoreId, usize)) {
        if core == self.core {
            return self.confirmed(number);
        }
        let confirmed: Question = Box::new(move |view| {
            view.engine.confirmed(number);
            Some(Box::new(()))
        });
        self.outbox.push((core, Message::Ask(self.nobody(), confirmed)));
    }

    fn confirmed(&mut self, number: usize) {
        let hand_over = &mut self.copies.under_way[number];
        hand_over.copies_missing -= 1;
        if hand_over.copies_missing == 0 {
            for (ticket, answer) in self.end_hand_over(number) {
                self.send_answer(ticket, answer);
            }
        }
    }

    /// Tells of the first shard's libraries when it begins to serve, and gives them to shards of this core that want them.
    pub fn keep_libraries(&mut self) {
        if self.shard_count() == 1 {
            return;
        }
        if let Some(place) = self.place_of(FIRST) {
            let shard = &self.shards[place].shard;
            let term = shard.serving_term();
            if term.is_some() && self.copies.term != term {
                self.copies.term = term;
                // Nothing was written in this term: what is there is committed.
                let set = shard.keyspace().libraries_at_tip().clone();
                let change = self.begin_hand_over(set, Vec::new());
                self.hand_on(change);
            }
        }
        if self.copies.newest.is_some() {
            for place in 0..self.shards.len() {
                if self.shards[place].shard.wants_libraries() && !self.shards[place].hold.is_held() {
                    self.copy_to(place);
                }
            }
        }
    }

    /// Whether every shard of this core has been given the libraries, as far as it has room for them, and the first one's have been
    /// handed on.
    pub fn has_libraries(&self) -> bool {
        let known = self.copies.newest.is_some();
        let told = self.copies.term.is_some();
        self.shard_count() == 1 || self.shards.iter().all(|local| if local.id == FIRST { told } else { known })
    }
}

/// Whether a job runs a command that looks at the libraries or changes them.
fn concerns_libraries(job: &Job) -> bool {
    matches!(&job.work, Work::Calls(calls) if calls.iter().any(|call| matches!(call.command.run, Run::Library)))
}

/// Whether a command changes the libraries of every shard.
pub(super) fn changes_libraries(command: &Command) -> bool {
    matches!(command.run, Run::Library) && command.is(flag::WRITE)
}
