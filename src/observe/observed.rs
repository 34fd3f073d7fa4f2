//! What one core keeps so that it can be looked at.

use crate::observe::latency::LatencyMonitor;
use crate::observe::slowlog::SlowLog;
use ringkeep_shards::port::ShardStats;

/// One core's observations.
#[derive(Default)]
pub struct Observed {
    /// Commands that took long.
    pub slow_log: SlowLog,
    /// Events that took long.
    pub latency: LatencyMonitor,
    /// The shards' numbers at CONFIG RESETSTAT, by their place on the core; shards never count backwards.
    pub(super) baselines: Vec<Baseline>,
    /// The last CONFIG SET that changed each setting here, so that all cores end up alike whatever order they hear of two in.
    pub(super) changes: Vec<(Vec<u8>, u64)>,
}

/// Numbers of a shard that INFO counts from.
#[derive(Clone, Copy, Default)]
pub(super) struct Baseline {
    pub(super) stats: ShardStats,
    pub(super) expired_keys: u64,
}
