//! The scripts that the node knows: what EVAL taught one shard, EVALSHA finds from every other.
//!
//! A shard keeps the scripts that it ran. Before EVALSHA is refused, the other shards are asked for the text; that happens once
//! per script and shard. SCRIPT FLUSH is counted on each core: a text that comes from before a flush is not learned after it.

use crate::runtime::ring::SocketId;
use crate::serve::client::ClientState;
use crate::serve::engine::Engine;
use crate::serve::job::{Job, OwnedCall, Work};
use crate::serve::message::{Message, Question, Ticket};
use bytes::Bytes;
use ringkeep_shards::command::{Command, Run};
use ringkeep_shards::ids::ShardId;
use ringkeep_shards::port::ExecItem;
use slab::Slab;

/// A job that waits for texts of scripts.
pub struct Search {
    ticket: Ticket,
    place: usize,
    job: Job,
    missing: usize,
    found: Vec<Box<[u8]>>,
}

/// One core's searches.
#[derive(Default)]
pub struct Searches {
    under_way: Slab<Search>,
    /// SCRIPT FLUSHes that this core has seen.
    flushes: u64,
}

impl Engine {
    /// Runs EVAL and its kin in their shard.
    #[allow(clippy::too_many_arguments, reason = "a request is its parts, borrowed apart")]
    pub(super) fn in_script_shard(
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
        if self.core_of.len() > 1
            && is_by_digest(command)
            && let Some(place) = self.place_of(shard)
            && !self.shards[place].shard.scripts().exists(list[1])
        {
            return self.wait_for(socket, state, shard, Work::Calls(vec![OwnedCall::new(command, list, owned)]));
        }
        self.in_shard(socket, state, command, shard, list, owned, out, start);
    }

    /// Gives a job back that may run; keeps one whose scripts its shard does not know until the other shards were asked for them.
    pub(super) fn with_scripts(&mut self, ticket: Ticket, place: usize, mut job: Job) -> Option<Job> {
        if self.core_of.len() == 1 || std::mem::replace(&mut job.scripts_sought, true) {
            return Some(job);
        }
        let scripts = self.shards[place].shard.scripts();
        let unknown: Vec<Vec<u8>> =
            digests(&job).filter(|digest| !scripts.exists(digest)).map(<[u8]>::to_vec).collect();
        if unknown.is_empty() {
            return Some(job);
        }
        let found = self.scripts_of(&unknown);
        let others: Vec<_> = self.cores().into_iter().filter(|core| *core != self.core).collect();
        let number =
            self.searches.under_way.insert(Search { ticket, place, job, missing: others.len() + 1, found: Vec::new() });
        let asker = self.core;
        for core in others {
            let unknown = unknown.clone();
            let question: Question = Box::new(move |view| {
                let engine = &mut *view.engine;
                let (found, flushes) = (engine.scripts_of(&unknown), engine.searches.flushes);
                let answer: Question = Box::new(move |view| {
                    view.engine.scripts_found(number, found, flushes);
                    Some(Box::new(()))
                });
                engine.outbox.push((asker, Message::Ask(engine.nobody(), answer)));
                Some(Box::new(()))
            });
            self.outbox.push((core, Message::Ask(self.nobody(), question)));
        }
        self.scripts_found(number, found, self.searches.flushes);
        None
    }

    /// A core has answered a search.
    fn scripts_found(&mut self, number: usize, found: Vec<Box<[u8]>>, flushes: u64) {
        let current = flushes == self.searches.flushes;
        let search = &mut self.searches.under_way[number];
        search.missing -= 1;
        if current {
            search.found.extend(found);
        }
        if search.missing > 0 {
            return;
        }
        let Search { ticket, place, job, found, .. } = self.searches.under_way.remove(number);
        for source in &found {
            // A text that compiled there compiles here; where memory is short, EVALSHA says that it does not know it.
            let _ = self.shards[place].shard.scripts().learn(source);
        }
        self.run(ticket, place, job);
    }

    /// The texts of those of these scripts that a shard of this core knows.
    fn scripts_of(&mut self, digests: &[Vec<u8>]) -> Vec<Box<[u8]>> {
        let mut source = |digest: &Vec<u8>| {
            self.shards.iter_mut().find_map(|local| local.shard.scripts().source(digest).map(Box::from))
        };
        digests.iter().filter_map(&mut source).collect()
    }

    /// SCRIPT FLUSH on this core.
    pub fn flush_scripts(&mut self) {
        self.searches.flushes += 1;
        for search in self.searches.under_way.iter_mut() {
            search.1.found.clear();
        }
        self.shards.iter_mut().for_each(|local| local.shard.scripts().flush());
    }
}

fn is_by_digest(command: &Command) -> bool {
    matches!(command.run, Run::Script) && command.name.starts_with("evalsha")
}

/// The digests of the scripts that a job runs.
fn digests(job: &Job) -> Box<dyn Iterator<Item = &[u8]> + '_> {
    match &job.work {
        Work::Calls(calls) => {
            let calls = calls.iter().filter(|call| is_by_digest(call.command));
            Box::new(calls.filter_map(|call| call.arguments.get(1).map(|digest| &digest[..])))
        }
        Work::Exec { items, .. } => Box::new(items.iter().filter_map(|item| match item {
            ExecItem::Run { command, arguments, .. } if is_by_digest(command) => arguments.get(1).map(Vec::as_slice),
            _ => None,
        })),
        _ => Box::new(std::iter::empty()),
    }
}
