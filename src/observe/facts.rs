//! Numbers of one core, as one question gathers them.

use crate::observe::calls::CallStats;
use crate::observe::observed::Baseline;
use crate::serve::local::LocalShard;
use crate::serve::message::CoreView;
use crate::serve::node::CoreCounters;
use hdrhistogram::Histogram;
use ringkeep_shards::command::Door;
use ringkeep_shards::ids::{CoreId, LogIndex, ShardId, Term};
use ringkeep_shards::limits::DATABASES_MAX;
use ringkeep_shards::log::SegmentRole;
use ringkeep_shards::port::ShardStats;
use ringkeep_shards::script::ScriptDigest;
use std::collections::BTreeMap;

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
    /// Bytes of the longest request that is not whole yet.
    pub input_bytes_max: u64,
    /// Requests that wait for time to pass.
    pub blocked: u64,
    /// Calls of commands, from connections and from scripts.
    pub calls: Vec<CallStats>,
    /// Errors by their first word.
    pub errors: BTreeMap<String, u64>,
    /// All errors.
    pub error_count: u64,
    /// Commands, bytes received, bytes sent per second.
    pub per_second: [f64; 3],
    /// How long log writes took, in microseconds.
    pub log_writes_us: Histogram<u64>,
    /// Most bytes that were ever seen to be used.
    pub peak_bytes: u64,
    /// The scripts that its shards know: the first half of their digests.
    pub scripts: Vec<[u8; 20]>,
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
    /// Its own port; 0 if there is none.
    pub port: u16,
    /// Bytes of its log's segments on disk.
    pub log_bytes: u64,
    /// Bytes of its Lua machine.
    pub script_bytes: u64,
    /// Libraries of functions, their functions, and the bytes of their texts in memory.
    pub libraries: (u64, u64, u64),
    /// Keys that expired, since CONFIG RESETSTAT.
    pub expired_keys: u64,
    /// The entry that its newest checkpoint stands at; 0 if it has none.
    pub checkpoint_index: LogIndex,
    /// Its numbers since CONFIG RESETSTAT.
    pub stats: ShardStats,
    /// Outputs that wait for a gate.
    pub gates_waiting: u64,
}

impl CoreFacts {
    /// The facts of a core.
    pub fn of(view: &mut CoreView<'_>) -> Self {
        let engine = &mut *view.engine;
        let (core, counters) = (engine.core, engine.node.counters);
        let mut scripts = Vec::new();
        let mut calls = engine.node.observed.calls.stats();
        let mut errors = engine.node.observed.calls.errors().clone();
        let mut error_count = engine.node.observed.calls.error_count();
        for local in &mut engine.shards {
            scripts.extend(local.shard.scripts().digests().map(half));
            let script_calls = local.shard.script_calls().counts().iter();
            calls.extend(script_calls.map(CallStats::of_script));
            for (code, count) in local.shard.script_calls().errors() {
                *errors.entry(code.to_owned()).or_default() += count;
                error_count += count;
            }
        }
        let baselines = &engine.node.observed.baselines;
        let config = engine.node.settings.config();
        let shards = engine.shards.iter_mut().enumerate();
        let shards: Vec<ShardFacts> = shards
            .map(|(place, local)| {
                let port = config.shard_port(local.id).unwrap_or(0);
                ShardFacts::of(core, port, local, baselines.get(place).copied().unwrap_or_default())
            })
            .collect();
        let observed = &mut engine.node.observed;
        let counts = [observed.calls.calls(), counters.input_bytes, counters.output_bytes];
        let mut facts = CoreFacts {
            core,
            counters,
            clients: 0,
            cluster_clients: 0,
            client_bytes: 0,
            output_bytes_max: 0,
            input_bytes_max: 0,
            calls,
            errors,
            error_count,
            per_second: observed.rates.per_second(engine.now.monotonic_us, counts),
            log_writes_us: observed.log_writes_us.clone(),
            peak_bytes: 0,
            scripts,
            shards,
            blocked: engine.blocked_count() as u64,
        };
        for connection in view.connections.iter_mut() {
            facts.clients += 1;
            facts.cluster_clients += u64::from(matches!(connection.client.state.session.door, Door::Shard(_)));
            facts.client_bytes += connection.buffer_bytes() as u64;
            facts.input_bytes_max = facts.input_bytes_max.max(connection.undecoded().len() as u64);
            facts.output_bytes_max = facts.output_bytes_max.max(connection.unsent_bytes() as u64);
        }
        let used =
            facts.shards.iter().map(|shard| shard.memory_bytes + shard.script_bytes).sum::<u64>() + facts.client_bytes;
        let peak = &mut view.engine.node.observed.peak_bytes;
        *peak = used.max(*peak);
        facts.peak_bytes = *peak;
        facts
    }
}

/// Enough of a digest to count scripts by.
fn half(digest: &ScriptDigest) -> [u8; 20] {
    *digest.as_bytes().first_chunk().expect("a digest has forty digits")
}

impl ShardFacts {
    fn of(core: CoreId, port: u16, local: &mut LocalShard, base: Baseline) -> Self {
        let (libraries, functions, _) = local.shard.count_libraries();
        let script_bytes = local.shard.scripts().memory_bytes();
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
            port,
            log_bytes: keyspace.segments().bytes_of(SegmentRole::Log),
            checkpoint_index: keyspace.segments().checkpoint().map_or(LogIndex(0), |(_, index)| index),
            script_bytes: script_bytes as u64,
            libraries: (libraries as u64, functions as u64, keyspace.libraries_bytes() as u64),
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
    // INFO's `moved_connections` and the like count from zero too.
    engine.node.counters = CoreCounters::default();
    engine.node.observed.reset();
    engine.shards.iter_mut().for_each(|local| local.shard.script_calls().reset());
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
        script_slices: now.script_slices - base.script_slices,
        script_reruns: now.script_reruns - base.script_reruns,
        script_conflicts: now.script_conflicts - base.script_conflicts,
        script_kills: now.script_kills - base.script_kills,
        scripts_evicted: now.scripts_evicted - base.scripts_evicted,
        group_entries: now.group_entries - base.group_entries,
        log_writes: now.log_writes - base.log_writes,
        log_bytes: now.log_bytes - base.log_bytes,
        keyspace_hits: now.keyspace_hits - base.keyspace_hits,
        keyspace_misses: now.keyspace_misses - base.keyspace_misses,
        // What is a state, not a count, stays.
        ..now
    }
}
