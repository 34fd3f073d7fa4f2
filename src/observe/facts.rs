//! Numbers of one core, as one question gathers them.

use crate::observe::observed::Baseline;
use crate::serve::local::LocalShard;
use crate::serve::message::CoreView;
use crate::serve::node::CoreCounters;
use ringkeep_shards::command::Door;
use ringkeep_shards::ids::{CoreId, LogIndex, ShardId, Term};
use ringkeep_shards::keyspace::DATABASES_MAX;
use ringkeep_shards::port::ShardStats;

/// What one core has and has done.
#[derive(Clone, Debug)]
pub struct CoreFacts {
    /// The core.
    pub core: CoreId,
    /// What it has done.
    pub counters: CoreCounters,
    /// Its connections.
    pub clients: u64,
    /// Those of them that came in by a shard's port.
    pub cluster_clients: u64,
    /// Bytes of its connections' buffers.
    pub client_bytes: u64,
    /// Bytes of the longest output that a connection has not taken yet.
    pub output_bytes_max: u64,
    /// Its shards.
    pub shards: Vec<ShardFacts>,
}

/// What one shard has and has done.
#[derive(Clone, Debug)]
pub struct ShardFacts {
    /// The shard.
    pub shard: ShardId,
    /// Its core.
    pub core: CoreId,
    /// Whether this member leads its group.
    pub is_leader: bool,
    /// The group's term.
    pub term: Term,
    /// The last entry that is committed.
    pub commit: LogIndex,
    /// Keys, and keys that expire, of each database.
    pub databases: Vec<(u64, u64)>,
    /// Bytes of its keys in memory.
    pub memory_bytes: u64,
    /// Bytes of these that are tables.
    pub overhead_bytes: u64,
    /// Scripts that it knows.
    pub scripts: u64,
    /// Bytes of its Lua machine.
    pub script_bytes: u64,
    /// Keys that expired, since CONFIG RESETSTAT.
    pub expired_keys: u64,
    /// Its numbers since CONFIG RESETSTAT.
    pub stats: ShardStats,
    /// Outputs that wait for a gate.
    pub gates_waiting: u64,
}

impl CoreFacts {
    /// The facts of a core.
    pub fn of(view: &mut CoreView<'_>) -> Self {
        let core = view.engine.core;
        let baselines = &view.engine.node.observed.baselines;
        let shards = view.engine.shards.iter_mut().enumerate();
        let shards = shards
            .map(|(place, local)| ShardFacts::of(core, local, baselines.get(place).copied().unwrap_or_default()))
            .collect();
        let mut facts = CoreFacts {
            core,
            counters: view.engine.node.counters,
            clients: 0,
            cluster_clients: 0,
            client_bytes: 0,
            output_bytes_max: 0,
            shards,
        };
        for connection in view.connections.iter_mut() {
            facts.clients += 1;
            facts.cluster_clients += u64::from(matches!(connection.client.state.session.door, Door::Shard(_)));
            facts.client_bytes += connection.buffer_bytes() as u64;
            facts.output_bytes_max = facts.output_bytes_max.max(connection.unsent_bytes() as u64);
        }
        facts
    }
}

impl ShardFacts {
    fn of(core: CoreId, local: &mut LocalShard, base: Baseline) -> Self {
        let (scripts, script_bytes) = (local.shard.scripts().len(), local.shard.scripts().memory_bytes());
        let (keyspace, group) = (local.shard.keyspace(), local.shard.group());
        let databases = 0..DATABASES_MAX;
        ShardFacts {
            shard: local.id,
            core,
            is_leader: group.is_leader(),
            term: group.term(),
            commit: group.commit(),
            databases: databases.map(|db| (keyspace.len(db) as u64, keyspace.expiring(db) as u64)).collect(),
            memory_bytes: keyspace.memory_bytes() as u64,
            overhead_bytes: keyspace.overhead_bytes() as u64,
            scripts: scripts as u64,
            script_bytes: script_bytes as u64,
            expired_keys: keyspace.expired_keys() - base.expired_keys,
            stats: since(local.shard.stats(), base.stats),
            gates_waiting: local.gates_waiting() as u64,
        }
    }

    /// Keys of all databases.
    pub fn keys(&self) -> u64 {
        self.databases.iter().map(|(keys, _)| keys).sum()
    }
}

/// CONFIG RESETSTAT on one core.
pub(super) fn reset(view: &mut CoreView<'_>) {
    let engine = &mut *view.engine;
    engine.node.counters = CoreCounters::default();
    let baseline = |local: &LocalShard| Baseline {
        stats: local.shard.stats(),
        expired_keys: local.shard.keyspace().expired_keys(),
    };
    engine.node.observed.baselines = engine.shards.iter().map(baseline).collect();
}

fn since(now: ShardStats, base: ShardStats) -> ShardStats {
    ShardStats {
        script_executions: now.script_executions - base.script_executions,
        script_fences: now.script_fences - base.script_fences,
        script_undone: now.script_undone - base.script_undone,
        group_entries: now.group_entries - base.group_entries,
        log_writes: now.log_writes - base.log_writes,
        log_bytes: now.log_bytes - base.log_bytes,
        keyspace_hits: now.keyspace_hits - base.keyspace_hits,
        keyspace_misses: now.keyspace_misses - base.keyspace_misses,
        // What is a state, not a count, stays.
        ..now
    }
}
