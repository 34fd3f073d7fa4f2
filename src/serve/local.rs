//! A shard on its core, with its files and what waits for its gates.

use crate::runtime::files::ShardFiles;
use crate::runtime::ring::SocketId;
use crate::serve::functions::Change;
use crate::serve::hold::Hold;
use crate::serve::message::{Answer, Ticket};
use ringkeep_shards::Shard;
use ringkeep_shards::ids::{CoreId, ShardId};
use ringkeep_shards::lost::{Fate, Lost};
use ringkeep_shards::port::Gate;
use std::collections::VecDeque;

/// What waits for a gate.
pub enum Gated {
    /// Bytes of a connection.
    Connection(SocketId),
    /// An answer to another core.
    Answer(Ticket, Answer),
    /// Libraries that this shard, the first, has changed: the others are told then.
    Libraries(Change),
    /// A copy of them that this shard has taken over: the core is told then, for its hand-over of this number.
    Copied(CoreId, usize),
}

/// Something that is held, with the gate that it waits for.
type Held = (Gate, Vec<Gated>);

/// A shard of this core.
pub struct LocalShard {
    /// Its number.
    pub id: ShardId,
    /// The shard.
    pub shard: Shard,
    /// Its segments.
    pub files: ShardFiles,
    /// Gates up to this one are open.
    pub open: Gate,
    /// Whether one connection's EXEC has it to itself.
    pub hold: Hold,
    /// Whether it took an input in this turn.
    pub touched: bool,
    /// Whether the background knows that the log stands still.
    pub hurried: bool,
    /// Ordered by batch.
    held: VecDeque<Held>,
    spare: Vec<Gated>,
}

impl LocalShard {
    /// A shard that was opened.
    pub fn new(id: ShardId, shard: Shard, files: ShardFiles) -> Self {
        LocalShard {
            id,
            shard,
            files,
            open: Gate::OPEN,
            touched: false,
            hurried: false,
            hold: Hold::default(),
            held: VecDeque::new(),
            spare: Vec::new(),
        }
    }

    /// Keeps something until a gate is open. There are hardly ever more than a few gates that anything waits for.
    pub fn hold(&mut self, gate: Gate, gated: Gated) {
        let at = self.held.partition_point(|&(held, _)| held < gate);
        match self.held.get_mut(at) {
            Some((held, list)) if *held == gate => list.push(gated),
            _ => {
                let mut list = std::mem::take(&mut self.spare);
                list.push(gated);
                self.held.insert(at, (gate, list));
            }
        }
    }

    /// What waited for gates that are open now.
    pub fn release(&mut self) -> Vec<Gated> {
        let mut released = Vec::new();
        // Those that wait for a fence alone hold back nobody behind them.
        let mut at = 0;
        while let Some(&(gate, _)) = self.held.get(at).filter(|(gate, _)| gate.batch <= self.open.batch) {
            if !gate.is_open(self.open) {
                at += 1;
                continue;
            }
            let (_, list) = self.held.remove(at).expect("it was just looked at");
            if released.is_empty() {
                released = list;
            } else {
                released.extend(list);
            }
        }
        released
    }

    /// What waited for gates that will never open, with these.
    pub fn take_lost(&mut self, lost: &Lost) -> Vec<Held> {
        let (taken, held): (Vec<Held>, Vec<Held>) =
            std::mem::take(&mut self.held).into_iter().partition(|(gate, _)| lost.fate(*gate) != Fate::Stands);
        self.held = held.into();
        taken
    }

    /// How many outputs wait for a gate.
    pub fn gates_waiting(&self) -> usize {
        self.held.iter().map(|(_, list)| list.len()).sum()
    }
}
