//! What the settings bound in a shard: said when it is opened, and again after every CONFIG SET.

use crate::config::Config;
use ringkeep_shards::ShardConfig;

/// Copies of large strings that stay in memory although they are in the log, in bytes per node.
const WARM_BYTES_MAX: u64 = 64 << 20;

/// Tells a shard its part of what the node is allowed.
pub fn bound_shard(shard: &mut ShardConfig, config: &Config) {
    let bytes = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let shards = u64::from(shard.shards.max(1));
    // A bound smaller than the number of shards must not round to none, which is 0.
    shard.memory_bytes_max = config.memory_bytes_max.map_or(0, |all| bytes(all / shards).max(1));
    // No more than an eighth of `maxmemory` goes to copies.
    let warm = config.memory_bytes_max.map_or(WARM_BYTES_MAX, |all| WARM_BYTES_MAX.min(all / 8));
    shard.warm_bytes_max = bytes(warm / shards);
    shard.string_bytes_max = bytes(config.bulk_bytes_max);
    shard.script_time_limit_ms = config.script.time_limit.map_or(0, |limit| limit.as_millis() as u64);
    shard.script.pool_bytes_max = bytes(config.script.pool_bytes_max);
    shard.checkpoint_growth_percent = config.log.checkpoint_growth_percent;
}
