//! A shard held for one connection's EXEC, while commands of the node run between those of the shard.
//!
//! Nobody else is served by the shard meanwhile, and its batch stays open: the parts of the EXEC become one entry of the log.

use crate::runtime::ring::SocketId;
use crate::serve::called::Ran;
use crate::serve::engine::Engine;
use crate::serve::job::{Job, Work};
use crate::serve::message::{Answer, Ticket};
use ringkeep_shards::ids::CoreId;
use ringkeep_shards::port::Gate;
use std::collections::VecDeque;

/// A connection of the node.
pub type Holder = (CoreId, SocketId);

/// Who holds a shard, and what waits for that to end.
#[derive(Default)]
pub struct Hold {
    holder: Option<Holder>,
    /// What the holder's replies wait for: they leave when it is open, which is after the hold.
    gate: Gate,
    waiting: VecDeque<(Ticket, Job)>,
}

impl Hold {
    /// Whether somebody holds the shard.
    #[inline]
    pub fn is_held(&self) -> bool {
        self.holder.is_some()
    }

    /// Whether work of this connection must wait.
    #[inline]
    pub fn keeps_out(&self, holder: Option<Holder>) -> bool {
        self.holder.is_some() && self.holder != holder
    }
}

impl Ticket {
    /// The connection that waits for the answer.
    pub fn holder(&self) -> Option<Holder> {
        self.socket.map(|socket| (self.core, socket))
    }
}

impl Engine {
    /// Lets a job run, begins the hold that it asks for, or keeps the job until the shard is free.
    pub(super) fn admit_job(&mut self, ticket: Ticket, place: usize, mut job: Job) -> Option<Job> {
        let hold = &mut self.shards[place].hold;
        match job.work {
            Work::Unwatch(_) => return Some(job),
            Work::Release => {
                assert!(hold.is_held() && hold.holder == ticket.holder(), "who holds a shard releases it, once");
                let gate = std::mem::take(&mut hold.gate);
                self.free(place);
                self.answer(ticket, place, Answer::Reply(Vec::new(), Ran::default()), gate, true);
                return None;
            }
            _ => {}
        }
        if hold.keeps_out(ticket.holder()) {
            hold.waiting.push_back((ticket, job));
            return None;
        }
        if let Work::Exec { hold: wanted @ true, .. } = &mut job.work {
            *wanted = false;
            hold.holder = ticket.holder();
        }
        Some(job)
    }

    fn free(&mut self, place: usize) {
        let local = &mut self.shards[place];
        local.hold.holder = None;
        local.touched = false;
        let mut waiting = std::mem::take(&mut local.hold.waiting);
        self.touch(place);
        while let Some((ticket, job)) = waiting.pop_front() {
            // The next one may hold the shard too: the rest then waits again, in order.
            self.run(ticket, place, job);
        }
    }

    /// The gate that a job's answer waits for at once. The parts of a held EXEC are answered without: their batch stays open.
    pub(crate) fn gate_of_answer(&mut self, ticket: Ticket, place: usize, gate: Gate) -> Gate {
        let hold = &mut self.shards[place].hold;
        if hold.is_held() && hold.holder == ticket.holder() {
            hold.gate.batch = hold.gate.batch.max(gate.batch);
            hold.gate.fence = hold.gate.fence.max(gate.fence);
            return Gate::OPEN;
        }
        gate
    }
}
