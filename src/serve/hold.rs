//! A shard held for one connection's EXEC, while commands of the node run between those of the shard.
//!
//! Nobody else is served by the shard meanwhile, and its batch stays open: the parts of the EXEC become one entry of the log.

use crate::runtime::ring::SocketId;
use crate::serve::client::ClientState;
use crate::serve::engine::Engine;
use crate::serve::job::{Job, Work};
use crate::serve::message::Ticket;
use ringkeep_shards::ids::{CoreId, ShardId};
use std::collections::VecDeque;

/// A connection of the node.
pub type Holder = (CoreId, SocketId);

/// Who holds a shard, and what waits for that to end.
#[derive(Default)]
pub struct Hold {
    holder: Option<Holder>,
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
            Work::Release(holder) => {
                if hold.holder == Some(holder) {
                    self.free(place);
                }
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

    /// Ends this connection's hold of a shard.
    pub(super) fn release(&mut self, socket: SocketId, state: &ClientState, shard: ShardId) {
        let ticket = Ticket { core: self.core, socket: None, serial: 0, part: 0 };
        let work = Work::Release((self.core, socket));
        self.give(ticket, Job::new(shard, state.session.db, state.session.protocol, work));
    }
}
