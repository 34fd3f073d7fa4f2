//! A shard on its core, with its files and what waits for its gates.

use crate::runtime::files::ShardFiles;
use crate::runtime::ring::SocketId;
use crate::serve::hold::Hold;
use crate::serve::message::{Answer, Ticket};
use ringkeep_shards::Shard;
use ringkeep_shards::ids::{Batch, ShardId};
use std::collections::VecDeque;

/// What waits for a gate.
pub enum Gated {
    /// Bytes of a connection.
    Connection(SocketId),
    /// An answer to another core.
    Answer(Ticket, Answer),
}

/// A shard of this core.
pub struct LocalShard {
    /// Its number.
    pub id: ShardId,
    /// The shard.
    pub shard: Shard,
    /// Its segments.
    pub files: ShardFiles,
    /// The last batch that is committed: gates up to it are open.
    pub committed: Batch,
    /// Whether one connection's EXEC has it to itself.
    pub hold: Hold,
    /// Whether it took an input in this turn.
    pub touched: bool,
    held: VecDeque<(Batch, Vec<Gated>)>,
    spare: Vec<Gated>,
}

impl LocalShard {
    /// A shard that was opened.
    pub fn new(id: ShardId, shard: Shard, files: ShardFiles) -> Self {
        LocalShard {
            id,
            shard,
            files,
            committed: Batch(0),
            hold: Hold::default(),
            touched: false,
            held: VecDeque::new(),
            spare: Vec::new(),
        }
    }

    /// Keeps something until a batch is committed. There are hardly ever more than two batches that anything waits for.
    pub fn hold(&mut self, batch: Batch, gated: Gated) {
        let at = self.held.partition_point(|&(held, _)| held < batch);
        match self.held.get_mut(at) {
            Some((held, list)) if *held == batch => list.push(gated),
            _ => {
                let mut list = std::mem::take(&mut self.spare);
                list.push(gated);
                self.held.insert(at, (batch, list));
            }
        }
    }

    /// What waited for batches that are committed now.
    pub fn release(&mut self) -> Vec<Gated> {
        let mut released = Vec::new();
        while self.held.front().is_some_and(|&(batch, _)| batch <= self.committed) {
            let (_, list) = self.held.pop_front().expect("its front was just looked at");
            if released.is_empty() {
                released = list;
            } else {
                released.extend(list);
            }
        }
        released
    }

    /// How many outputs wait for a gate.
    pub fn gates_waiting(&self) -> usize {
        self.held.iter().map(|(_, list)| list.len()).sum()
    }
}
