//! A node: its shards, each with its disk, and a clock of its own.

use crate::disk::{Disk, Files};
use crate::plan::Broken;
use crate::reply::Text;
use ringkeep_shards::group::ConfState;
use ringkeep_shards::ids::{ContextId, SegmentId, ShardId};
use ringkeep_shards::keyspace::ColdRange;
use ringkeep_shards::limits::DATABASES_MAX;
use ringkeep_shards::log::{LogConfig, LogIdentity};
use ringkeep_shards::port::{CheckpointOrder, ExecItem, Gate, Outputs};
use ringkeep_shards::script::{Interrupt, ScriptLimits};
use ringkeep_shards::{MemberStart, OpenConfig, Shard, ShardConfig, open_member};
use std::collections::VecDeque;

/// Strings of this many bytes or more live in the log.
pub const LARGE_BYTES_MIN: usize = 256;

/// One life of one shard of one node: what was scheduled for an earlier one is void.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place {
    pub node: u64,
    pub shard: u16,
    pub life: u64,
}

/// A request that is not at its end.
pub struct Task {
    /// Its number in the history.
    pub operation: usize,
    pub asked: Asked,
    pub reply: Text,
    pub context: Option<ContextId>,
}

pub enum Asked {
    Command(Vec<Vec<u8>>),
    Exec(Vec<ExecItem>),
}

/// A shard of a node.
#[derive(Default)]
pub struct Member {
    /// None while the node is down.
    pub shard: Option<Shard>,
    pub disk: Disk,
    pub outputs: Outputs,
    /// Replies that wait for their gates.
    pub waiting: Vec<(usize, Gate, String)>,
    /// Requests that the shard has set aside.
    pub asides: Vec<Task>,
    pub open: Gate,
    /// Steps of a checkpoint, in their order.
    pub orders: VecDeque<CheckpointOrder>,
    /// Whether the end of a turn, a slice, a step of a checkpoint is on its way.
    pub turn_ends: bool,
    pub slice_comes: bool,
    pub order_comes: bool,
    pub cold_entry: Option<ColdRange>,
    /// Of a disk that is broken on purpose: what it held when the node started, and what the last write overwrote.
    pub image: Files,
    pub overwritten: Option<(SegmentId, u64, Vec<u8>)>,
}

/// What a node is made of, and keeps over its lives.
pub struct Node {
    pub number: u64,
    pub members: Vec<Member>,
    pub interrupts: Vec<Interrupt>,
    pub is_up: bool,
    pub life: u64,
    /// How far its wall clock is ahead, in milliseconds, and how much faster it goes, in millionths.
    pub skew_ms: i64,
    pub drift_ppm: i64,
    /// Until when it stands still.
    pub frozen_until_us: u64,
    pub segment_bytes: u64,
    pub tail_bytes_max: usize,
    /// In which log write from now on it crashes; 0: in none.
    pub crashes_in_write: u64,
    /// The longest time that a log write takes, in microseconds.
    pub write_us: u64,
}

impl Node {
    pub fn new(number: u64, shards: u16) -> Self {
        Node {
            number,
            members: (0..shards).map(|_| Member::default()).collect(),
            interrupts: (0..shards).map(|_| Interrupt::default()).collect(),
            is_up: false,
            life: 0,
            skew_ms: 0,
            drift_ppm: 0,
            frozen_until_us: 0,
            segment_bytes: 256 << 10,
            tail_bytes_max: 64 << 20,
            crashes_in_write: 0,
            write_us: 200,
        }
    }

    /// Starts every shard from what its disk holds.
    ///
    /// # Errors
    /// What its recovery says.
    pub fn start(&mut self, nodes: u64, checkpoint_growth_percent: u32, broken: Option<Broken>) -> Result<(), String> {
        self.life += 1;
        let shards = self.members.len() as u16;
        for (number, member) in self.members.iter_mut().enumerate() {
            let shard = ShardId(number as u16);
            let config = ShardConfig {
                shard,
                shards,
                databases: DATABASES_MAX,
                string_bytes_max: 512 << 20,
                memory_bytes_max: 0,
                warm_bytes_max: 0,
                segment_bytes: self.segment_bytes,
                checkpoint_growth_percent,
                entropy: self.number << 32 | self.life,
                script: ScriptLimits::default(),
                script_time_limit_ms: 0,
                interrupt: self.interrupts[number].clone(),
            };
            let open = OpenConfig {
                identity: LogIdentity { shard, salt: 7 },
                log: LogConfig { segment_bytes: self.segment_bytes, block_bytes: 512 },
                hash_seed: self.number,
                large_bytes_min: LARGE_BYTES_MIN,
            };
            let founders = ConfState { voters: (1..=nodes).collect(), ..ConfState::default() };
            let start = MemberStart { node: self.number, founders, tail_bytes_max: self.tail_bytes_max };
            let opened = open_member(config, open, start, &member.disk.files())
                .map_err(|error| format!("node {} does not start: shard {number}: {error}", self.number))?;
            member.disk.mend(&opened.recovered);
            if broken == Some(Broken::DiskGoesBack) {
                member.image = member.disk.image();
            }
            member.shard = Some(opened.shard);
        }
        self.is_up = true;
        Ok(())
    }

    pub fn place(&self, shard: u16) -> Place {
        Place { node: self.number, shard, life: self.life }
    }
}
