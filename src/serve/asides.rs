//! Requests that shards have set aside: scripts and EXECs that outlived their slice, and what waits for those.
//!
//! The shard says whose turn it is; here is the job that is given again then. Turns that take a slice are spaced so that others are
//! served as long between two slices as a slice took, or until nobody asks for anything.

use crate::log_line;
use crate::serve::engine::Engine;
use crate::serve::job::Job;
use crate::serve::message::{Message, Question, Ticket};
use ringkeep_shards::ids::{ClientId, ContextId, CoreId};
use ringkeep_shards::port::Aside;
use ringkeep_shards::script::{Running, ScriptDigest};
use ringkeep_shards::{ContextInfo, StopReason};
use std::collections::BTreeMap;

use crate::runtime::ring::SocketId;

/// How long a core waits for the next request before a slice, although its turn has not come, in microseconds: clients that were just
/// answered are about to ask again.
const GRACE_US: u64 = 50;

/// The requests that the shards of a core have set aside.
#[derive(Default)]
pub struct Asides {
    list: BTreeMap<(usize, ContextId), (Ticket, Job)>,
    /// The shard whose turn it is among those with slices to give.
    next_place: usize,
    pace: Pace,
}

impl Asides {
    /// The jobs that are set aside, with their shards' places.
    pub(super) fn jobs_mut(&mut self) -> impl Iterator<Item = (usize, &mut Job)> {
        self.list.iter_mut().map(|(&(place, _), (_, job))| (place, job))
    }
}

/// When a slice may begin.
#[derive(Default)]
struct Pace {
    ended_us: u64,
    took_us: u64,
    /// When the last request came, as far as was looked.
    asked_us: u64,
    /// Requests that had come by then.
    asked: u64,
}

impl Pace {
    /// Whether others have had their time: as much as the slice before took, or until nobody has asked for anything for a while.
    fn may_begin(&mut self, now_us: u64, asked: u64) -> bool {
        if asked != self.asked {
            (self.asked, self.asked_us) = (asked, now_us);
        }
        let is_idle = now_us >= self.asked_us.max(self.ended_us) + GRACE_US;
        is_idle || now_us >= self.ended_us + self.took_us
    }

    fn ended(&mut self, begun_us: u64, ended_us: u64) {
        self.took_us = ended_us.saturating_sub(begun_us);
        self.ended_us = ended_us;
    }
}

/// What SCRIPT KILL and FUNCTION KILL mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KilledScripts {
    /// All functions that run.
    Functions,
    /// All scripts that run.
    All,
    /// Those with this digest.
    Digest(ScriptDigest),
    /// Those that this client runs.
    Client(ClientId),
}

/// A script that runs, as SCRIPT LIST shows it.
#[derive(Clone, Debug)]
pub struct RunningScript {
    /// What runs.
    pub running: Running,
    /// Whose it is.
    pub client: ClientId,
    /// Microseconds since it began.
    pub age_us: u64,
    /// What it has been through.
    pub info: ContextInfo,
    /// Its command's name and arguments, cut short.
    pub arguments: Vec<Vec<u8>>,
}

impl Engine {
    /// Keeps a job that a shard has set aside.
    pub(super) fn keep_aside(&mut self, ticket: Ticket, place: usize, mut job: Job, aside: Aside) {
        job.context = Some(aside.context);
        self.call_slow(place, &mut job, aside.context);
        if aside.restarts && job.is_exec() {
            job.replies.clear();
        }
        match aside.cold {
            Some(range) => self.park(ticket, place, job, range),
            None => {
                self.asides.list.insert((place, aside.context), (ticket, job));
            }
        }
    }

    /// Says once in the log that a script runs for long.
    fn call_slow(&self, place: usize, job: &mut Job, id: ContextId) {
        let Some(threshold) = self.node.settings.config().script.busy_threshold else { return };
        if job.is_called_slow {
            return;
        }
        let Some(info) = self.shards[place].shard.context(id) else { return };
        let Some(running) = &info.running else { return };
        let age_us = self.now.monotonic_us.saturating_sub(info.began_us);
        if info.slices == 0 || u128::from(age_us) < threshold.as_micros() {
            return;
        }
        job.is_called_slow = true;
        log_line::warning(format_args!(
            "shard {}: {running} of client {} has been running for {} ms, with {} calls, {} slices and {} reruns; others are \
             served meanwhile, SCRIPT KILL or FUNCTION KILL stops it",
            self.shards[place].id,
            job.client,
            age_us / 1000,
            info.calls,
            info.slices,
            info.reruns
        ));
    }

    /// Gives those their turn that take no slice: commands that waited for a lock, what is stopped.
    pub fn give_short_turns(&mut self) {
        for place in 0..self.shards.len() {
            while let Some((id, false)) = self.shards[place].shard.next_turn() {
                self.give_turn(place, id);
            }
        }
    }

    /// Whether some context waits for a slice.
    pub fn wants_slice(&mut self) -> bool {
        self.shards.iter_mut().any(|local| local.shard.next_turn().is_some())
    }

    /// Whether a slice may begin now.
    pub fn may_slice(&mut self, now_us: u64) -> bool {
        let asked = self.node.observed.calls.calls();
        self.asides.pace.may_begin(now_us, asked)
    }

    /// Gives one context its slice, which began at `begun_us`; [`Engine::sliced`] follows.
    pub fn give_slice(&mut self) {
        let shards = self.shards.len();
        for step in 0..shards {
            let place = (self.asides.next_place + step) % shards;
            if let Some((id, _)) = self.shards[place].shard.next_turn() {
                self.asides.next_place = (place + 1) % shards;
                return self.give_turn(place, id);
            }
        }
    }

    /// The slice has ended.
    pub fn sliced(&mut self, begun_us: u64, ended_us: u64) {
        self.asides.pace.ended(begun_us, ended_us);
    }

    fn give_turn(&mut self, place: usize, id: ContextId) {
        match self.asides.list.remove(&(place, id)) {
            Some((ticket, job)) => self.run(ticket, place, job),
            // It waits for something else meanwhile, and is given when that is there.
            None => self.shards[place].shard.pass_turn(id),
        }
    }

    /// Jobs that shards of this core have set aside, wherever they wait.
    fn all_asides(&self) -> impl Iterator<Item = (usize, ContextId, &Ticket, &Job)> {
        let kept = self.asides.list.iter().map(|(&(place, id), (ticket, job))| (place, id, ticket, job));
        let cold = self.cold.iter().filter_map(|(_, (ticket, place, job))| Some((*place, job.context?, ticket, job)));
        kept.chain(cold)
    }

    fn stop_asides(&mut self, which: impl Fn(&Ticket, &Job, &ContextInfo) -> bool, reason: StopReason) -> usize {
        let found: Vec<(usize, ContextId)> = self
            .all_asides()
            .filter(|(place, id, ticket, job)| {
                self.shards[*place].shard.context(*id).is_some_and(|info| which(ticket, job, info))
            })
            .map(|(place, id, ..)| (place, id))
            .collect();
        found.iter().filter(|(place, id)| self.shards[*place].shard.stop_context(*id, reason)).count()
    }

    /// A client is gone: what runs for it is stopped.
    pub fn stop_asides_of(&mut self, core: CoreId, socket: SocketId) {
        self.stop_asides(|ticket, _, _| ticket.core == core && ticket.socket == Some(socket), StopReason::Gone);
    }

    /// A client of this core is gone: what runs for it, here or elsewhere, is stopped.
    pub fn stop_asides_everywhere(&mut self, socket: SocketId) {
        let own = self.core;
        self.stop_asides_of(own, socket);
        for core in self.cores().into_iter().filter(|core| *core != own) {
            let question: Question = Box::new(move |view| {
                view.engine.stop_asides_of(own, socket);
                None
            });
            self.outbox.push((core, Message::Ask(self.nobody(), question)));
        }
    }

    /// SCRIPT KILL on this core: how many scripts are stopped.
    pub fn kill_scripts(&mut self, killed: &KilledScripts) -> usize {
        let which = |_: &Ticket, job: &Job, info: &ContextInfo| match (killed, &info.running) {
            (KilledScripts::Functions, Some(Running::Function(_))) | (KilledScripts::All, Some(Running::Script(_))) => {
                true
            }
            (KilledScripts::Digest(digest), Some(Running::Script(running))) => running == digest,
            (KilledScripts::Client(id), Some(_)) => job.client == *id,
            _ => false,
        };
        let by = if *killed == KilledScripts::Functions { FUNCTION_KILLED } else { KILLED };
        self.stop_asides(which, StopReason::Killed(by))
    }

    /// The server ends: everything that is set aside is stopped.
    pub fn stop_all_asides(&mut self) {
        self.stop_asides(|_, _, _| true, StopReason::Killed(SHUTTING_DOWN));
    }

    /// The scripts that are set aside on this core.
    pub fn running_scripts(&self) -> Vec<RunningScript> {
        let now_us = self.now.monotonic_us;
        self.all_asides()
            .filter_map(|(place, id, _, job)| {
                let info = self.shards[place].shard.context(id)?.clone();
                Some(RunningScript {
                    running: info.running.clone()?,
                    client: job.client,
                    age_us: now_us.saturating_sub(info.began_us),
                    info,
                    arguments: job.shown_arguments(),
                })
            })
            .collect()
    }
}

/// As Redis words it.
const KILLED: &str = "ERR Script killed by user with SCRIPT KILL...";
const FUNCTION_KILLED: &str = "ERR Script killed by user with FUNCTION KILL...";
const SHUTTING_DOWN: &str = "ERR The server is shutting down; nothing of this was applied";

#[cfg(test)]
mod tests {
    use super::Pace;
    use crate::observe::testing::{TestNode, client};
    use crate::serve::job::{Job, Work};
    use ringkeep_shards::ids::{Batch, ContextId, ShardId};
    use ringkeep_shards::lost::{Fate, Lost};
    use ringkeep_shards::port::Gate;

    /// A run of commands from another core, of which a later one waits for a lock: the write before it was acknowledged although it was lost.
    #[test]
    fn a_job_that_is_set_aside_learns_that_what_it_did_before_is_lost() {
        let mut node = TestNode::new(1);
        let engine = &mut node.engines[0];
        for batch in [2, 3] {
            let mut job = Job::new(ShardId(0), &client().session, Work::Calls(Vec::new()));
            job.gate = Gate { batch: Batch(batch), fence: 0 };
            let ticket = engine.nobody();
            engine.asides.list.insert((0, ContextId(batch)), (ticket, job));
        }
        let last = Gate { batch: Batch(3), fence: 1 };
        engine.take_back(0, Lost { kept: Gate { batch: Batch(2), fence: 0 }, proposed: Batch(3), last });
        let lost: Vec<Option<Fate>> = engine.asides.list.values().map(|(_, job)| job.lost).collect();
        assert_eq!(lost, [None, Some(Fate::Unknown)]);
    }

    #[test]
    fn others_are_served_as_long_as_a_slice_took_while_they_ask() {
        let mut pace = Pace::default();
        assert!(pace.may_begin(1000, 0), "nobody asks");
        pace.ended(1000, 2000);
        assert!(!pace.may_begin(2010, 5));
        assert!(!pace.may_begin(2040, 5), "they are about to ask again");
        assert!(!pace.may_begin(2080, 9));
        assert!(!pace.may_begin(2990, 20));
        assert!(pace.may_begin(3000, 21), "their time is over");
        pace.ended(3000, 4000);
        assert!(!pace.may_begin(4020, 22));
        assert!(pace.may_begin(4080, 22), "nobody has asked for a while");
    }
}
