//! INFO's sections. Fields that Redis has bear its names, in its order. What does not exist here (forks, replicas, eviction) is zero,
//! as in a Redis that has none of it.

use crate::observe::facts::{CoreFacts, ShardFacts};
use crate::observe::info::NodeFacts;
use crate::observe::process;
use crate::serve::node::CoreCounters;
use ringkeep_shards::command::Door;
use std::collections::BTreeMap;
use std::fmt::{Display, Write};

/// The Redis whose commands this is.
const REDIS_VERSION: &str = "7.2.4";

fn field(text: &mut String, name: &str, value: impl Display) {
    write!(text, "{name}:{value}\r\n").expect("a string takes everything");
}

/// A size as people read it: `1.50M`.
pub(super) fn human(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["K", "M", "G", "T", "P", "E"];
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let power = (bytes.ilog2() / 10) as usize;
    format!("{:.2}{}", bytes as f64 / 1024_f64.powi(power as i32), UNITS[power - 1])
}

fn sized(text: &mut String, name: &str, bytes: u64) {
    field(text, name, bytes);
    field(text, &format!("{name}_human"), human(bytes));
}

/// Fields whose values are always these: `name:value`, parted by blanks.
fn fixed(text: &mut String, fields: &str) {
    for part in fields.split_whitespace() {
        text.push_str(part);
        text.push_str("\r\n");
    }
}

fn ratio(above: u64, below: u64) -> String {
    format!("{:.2}", above as f64 / below.max(1) as f64)
}

pub(super) fn server(facts: &NodeFacts, text: &mut String) {
    field(text, "redis_version", REDIS_VERSION);
    fixed(text, "redis_git_sha1:00000000 redis_git_dirty:0 redis_build_id:0");
    let mode = if facts.door == Door::Server { "standalone" } else { "cluster" };
    field(text, "redis_mode", mode);
    field(text, "os", process::system());
    field(text, "arch_bits", usize::BITS);
    field(text, "monotonic_clock", "POSIX clock_gettime");
    field(text, "multiplexing_api", "io_uring");
    // Cores share nothing; nothing was compiled by a C compiler of ours.
    fixed(text, "atomicvar_api:none gcc_version:0.0.0");
    field(text, "process_id", std::process::id());
    field(text, "process_supervised", "no");
    field(text, "run_id", &facts.run_id);
    field(text, "tcp_port", facts.tcp_port);
    field(text, "server_time_usec", facts.now_us);
    field(text, "uptime_in_seconds", facts.uptime_s);
    field(text, "uptime_in_days", facts.uptime_s / 86_400);
    // Timers run ten times a second.
    fixed(text, "hz:10 configured_hz:10");
    field(text, "lru_clock", facts.now_us / 1_000_000 % (1 << 24));
    field(text, "executable", std::env::current_exe().unwrap_or_default().display());
    field(text, "config_file", facts.file.clone().unwrap_or_default().display());
    field(text, "io_threads_active", 0);
}

pub(super) fn clients(facts: &NodeFacts, text: &mut String) {
    field(text, "connected_clients", facts.over_cores(|core| core.clients));
    field(text, "cluster_connections", 0);
    field(text, "maxclients", facts.clients_max);
    let most = |bytes: fn(&CoreFacts) -> u64| facts.cores.iter().map(bytes).max().unwrap_or(0);
    field(text, "client_recent_max_input_buffer", most(|core| core.input_bytes_max));
    field(text, "client_recent_max_output_buffer", most(|core| core.output_bytes_max));
    field(text, "blocked_clients", facts.over_cores(|core| core.blocked));
    fixed(text, "tracking_clients:0 clients_in_timeout_table:0 total_blocking_keys:0 total_blocking_keys_on_nokey:0");
}

pub(super) fn memory(facts: &NodeFacts, text: &mut String) {
    let (used, resident, overhead) = (facts.used_bytes(), process::resident_bytes(), facts.overhead_bytes());
    let scripts = facts.over_shards(|shard| shard.script_bytes);
    let peak = facts.peak_bytes();
    let dataset = used.saturating_sub(overhead);
    let percent = |part: u64, whole: u64| format!("{:.2}%", part as f64 * 100.0 / whole.max(1) as f64);
    sized(text, "used_memory", used);
    sized(text, "used_memory_rss", resident);
    sized(text, "used_memory_peak", peak);
    field(text, "used_memory_peak_perc", percent(used, peak));
    field(text, "used_memory_overhead", overhead);
    // Only what keys, clients and scripts hold counts as used.
    field(text, "used_memory_startup", 0);
    field(text, "used_memory_dataset", dataset);
    field(text, "used_memory_dataset_perc", percent(dataset, used));
    field(text, "allocator_allocated", used);
    field(text, "allocator_active", resident);
    field(text, "allocator_resident", resident);
    sized(text, "total_system_memory", process::system_memory_bytes());
    field(text, "used_memory_lua", scripts);
    field(text, "used_memory_vm_eval", scripts);
    field(text, "used_memory_lua_human", human(scripts));
    field(text, "used_memory_scripts_eval", scripts);
    field(text, "number_of_cached_scripts", facts.scripts());
    let ((libraries, functions), texts) = (facts.libraries(), facts.over_shards(|shard| shard.libraries.2));
    field(text, "number_of_functions", functions);
    field(text, "number_of_libraries", libraries);
    // Functions run in the machines of scripts.
    fixed(text, "used_memory_vm_functions:0");
    sized(text, "used_memory_vm_total", scripts);
    field(text, "used_memory_functions", texts);
    sized(text, "used_memory_scripts", scripts + texts);
    sized(text, "maxmemory", facts.memory_bytes_max);
    field(text, "maxmemory_policy", "noeviction");
    let apart = resident as i64 - used as i64;
    field(text, "allocator_frag_ratio", ratio(resident, used));
    field(text, "allocator_frag_bytes", apart);
    fixed(text, "allocator_rss_ratio:1.00 allocator_rss_bytes:0 rss_overhead_ratio:1.00 rss_overhead_bytes:0");
    field(text, "mem_fragmentation_ratio", ratio(resident, used));
    field(text, "mem_fragmentation_bytes", apart);
    fixed(
        text,
        "mem_not_counted_for_evict:0 mem_replication_backlog:0 mem_total_replication_buffers:0 mem_clients_slaves:0",
    );
    field(text, "mem_clients_normal", facts.over_cores(|core| core.client_bytes));
    fixed(text, "mem_cluster_links:0 mem_aof_buffer:0 mem_allocator:mimalloc active_defrag_running:0");
    fixed(text, "lazyfree_pending_objects:0 lazyfreed_objects:0");
}

/// The log is what Redis calls its append-only file, a checkpoint what it calls an RDB file; neither is written by a fork.
pub(super) fn persistence(facts: &NodeFacts, text: &mut String) {
    let stats = |shard: &ShardFacts| shard.stats;
    let (now_ms, shards) = (facts.now_ms, || facts.shards().into_iter().map(stats));
    fixed(text, "loading:0 async_loading:0 current_cow_peak:0 current_cow_size:0 current_cow_size_age:0");
    fixed(text, "current_fork_perc:0.00 current_save_keys_processed:0 current_save_keys_total:0");
    field(text, "rdb_changes_since_last_save", shards().map(|stats| stats.changes - stats.changes_saved).sum::<u64>());
    let began_ms = shards().map(|stats| stats.checkpoint_began_ms).filter(|began_ms| *began_ms != 0).min();
    field(text, "rdb_bgsave_in_progress", u8::from(began_ms.is_some()));
    // Redis counts its start as a save, until there is one. Of several shards the one whose checkpoint is oldest tells.
    let saved_ms = shards().map(|stats| stats.checkpoint_ms).min().unwrap_or(0);
    field(text, "rdb_last_save_time", (saved_ms / 1000).max(facts.started_s));
    let failed = shards().any(|stats| stats.checkpoint_failed);
    field(text, "rdb_last_bgsave_status", if failed { "err" } else { "ok" });
    let seconds = |ms: Option<u64>| ms.map_or(-1, |ms| (ms / 1000) as i64);
    let took_ms = shards().filter(|stats| stats.checkpoints > 0).map(|stats| stats.checkpoint_took_ms).max();
    field(text, "rdb_last_bgsave_time_sec", seconds(took_ms));
    field(text, "rdb_current_bgsave_time_sec", seconds(began_ms.map(|began_ms| now_ms.saturating_sub(began_ms))));
    // A save of the node is one of every shard.
    field(text, "rdb_saves", shards().map(|stats| stats.checkpoints).min().unwrap_or(0));
    fixed(text, "rdb_last_cow_size:0 rdb_last_load_keys_expired:0 rdb_last_load_keys_loaded:0");
    fixed(text, "aof_enabled:1 aof_rewrite_in_progress:0 aof_rewrite_scheduled:0 aof_last_rewrite_time_sec:-1");
    fixed(text, "aof_current_rewrite_time_sec:-1 aof_last_bgrewrite_status:ok aof_rewrites:0");
    // A log write that fails ends the process: whoever reads this reads the truth.
    fixed(text, "aof_rewrites_consecutive_failures:0 aof_last_write_status:ok aof_last_cow_size:0");
    fixed(text, "module_fork_in_progress:0 module_fork_last_cow_size:0");
    let log_bytes = facts.over_shards(|shard| shard.log_bytes);
    field(text, "aof_current_size", log_bytes);
    field(text, "aof_base_size", 0);
    fixed(text, "aof_pending_rewrite:0 aof_buffer_length:0 aof_pending_bio_fsync:0 aof_delayed_fsync:0");
}

pub(super) fn stats(facts: &NodeFacts, text: &mut String) {
    let counters = |number: fn(&CoreCounters) -> u64| facts.over_cores(|core| number(&core.counters));
    let rate = |at: usize| facts.cores.iter().map(|core| core.per_second[at]).sum::<f64>();
    field(text, "total_connections_received", counters(|core| core.connections_received));
    field(text, "total_commands_processed", facts.calls.iter().map(|stats| stats.calls).sum::<u64>());
    field(text, "instantaneous_ops_per_sec", rate(0).round() as u64);
    field(text, "total_net_input_bytes", counters(|core| core.input_bytes));
    field(text, "total_net_output_bytes", counters(|core| core.output_bytes));
    fixed(text, "total_net_repl_input_bytes:0 total_net_repl_output_bytes:0");
    field(text, "instantaneous_input_kbps", format_args!("{:.2}", rate(1) / 1024.0));
    field(text, "instantaneous_output_kbps", format_args!("{:.2}", rate(2) / 1024.0));
    fixed(text, "instantaneous_input_repl_kbps:0.00 instantaneous_output_repl_kbps:0.00");
    field(text, "rejected_connections", counters(|core| core.connections_rejected));
    fixed(text, "sync_full:0 sync_partial_ok:0 sync_partial_err:0");
    field(text, "expired_keys", facts.over_shards(|shard| shard.expired_keys));
    fixed(text, "expired_stale_perc:0.00 expired_time_cap_reached_count:0");
    field(text, "expire_cycle_cpu_milliseconds", counters(|core| core.expiry_us) / 1000);
    fixed(text, "evicted_keys:0 evicted_clients:0");
    field(text, "evicted_scripts", facts.over_shards(|shard| shard.stats.scripts_evicted));
    fixed(text, "total_eviction_exceeded_time:0 current_eviction_exceeded_time:0");
    field(text, "keyspace_hits", facts.over_shards(|shard| shard.stats.keyspace_hits));
    field(text, "keyspace_misses", facts.over_shards(|shard| shard.stats.keyspace_misses));
    fixed(text, "pubsub_channels:0 pubsub_patterns:0 pubsubshard_channels:0 latest_fork_usec:0 total_forks:0");
    fixed(text, "migrate_cached_sockets:0 slave_expires_tracked_keys:0 active_defrag_hits:0 active_defrag_misses:0");
    fixed(text, "active_defrag_key_hits:0 active_defrag_key_misses:0 total_active_defrag_time:0");
    fixed(text, "current_active_defrag_time:0 tracking_total_keys:0 tracking_total_items:0 tracking_total_prefixes:0");
    field(text, "unexpected_error_replies", 0);
    field(text, "total_error_replies", facts.over_cores(|core| core.error_count));
    field(text, "dump_payload_sanitizations", 0);
    field(text, "total_reads_processed", counters(|core| core.receives));
    field(text, "total_writes_processed", counters(|core| core.sends));
    fixed(text, "io_threaded_reads_processed:0 io_threaded_writes_processed:0");
    field(text, "client_query_buffer_limit_disconnections", counters(|core| core.query_limit_closed));
    field(text, "client_output_buffer_limit_disconnections", counters(|core| core.output_limit_closed));
    fixed(text, "reply_buffer_shrinks:0 reply_buffer_expands:0");
}

pub(super) fn replication(facts: &NodeFacts, text: &mut String) {
    fixed(text, "role:master connected_slaves:0 master_failover_state:no-failover");
    field(text, "master_replid", &facts.run_id);
    field(text, "master_replid2", "0".repeat(40));
    fixed(text, "master_repl_offset:0 second_repl_offset:-1 repl_backlog_active:0 repl_backlog_size:1048576");
    fixed(text, "repl_backlog_first_byte_offset:0 repl_backlog_histlen:0");
}

pub(super) fn cpu(_: &NodeFacts, text: &mut String) {
    let times = process::cpu_times();
    for (name, seconds) in [
        ("used_cpu_sys", times.system_s),
        ("used_cpu_user", times.user_s),
        ("used_cpu_sys_children", times.children_system_s),
        ("used_cpu_user_children", times.children_user_s),
        // There is no main thread: every core has its own.
        ("used_cpu_sys_main_thread", times.system_s),
        ("used_cpu_user_main_thread", times.user_s),
    ] {
        field(text, name, format_args!("{seconds:.6}"));
    }
}

pub(super) fn command_stats(facts: &NodeFacts, text: &mut String) {
    for stats in facts.calls.iter().filter(|stats| stats.calls + stats.rejected > 0) {
        let (calls, usec) = (stats.calls, stats.ns / 1000);
        let each = stats.ns as f64 / 1000.0 / calls.max(1) as f64;
        let (rejected, failed) = (stats.rejected, stats.failed);
        let value = format!(
            "calls={calls},usec={usec},usec_per_call={each:.2},rejected_calls={rejected},failed_calls={failed}"
        );
        field(text, &format!("cmdstat_{}", stats.name), value);
    }
}

pub(super) fn error_stats(facts: &NodeFacts, text: &mut String) {
    let mut errors: BTreeMap<&str, u64> = BTreeMap::new();
    for (word, count) in facts.cores.iter().flat_map(|core| &core.errors) {
        *errors.entry(word).or_default() += count;
    }
    for (word, count) in errors {
        field(text, &format!("errorstat_{word}"), format_args!("count={count}"));
    }
}

pub(super) fn latency_stats(facts: &NodeFacts, text: &mut String) {
    for stats in &facts.calls {
        let Some(histogram) = stats.histogram.as_ref().filter(|histogram| !histogram.is_empty()) else { continue };
        let at = |quantile: f64| histogram.value_at_quantile(quantile) as f64 / 1000.0;
        let value = format!("p50={:.3},p99={:.3},p99.9={:.3}", at(0.5), at(0.99), at(0.999));
        field(text, &format!("latency_percentiles_usec_{}", stats.name), value);
    }
}

pub(super) fn cluster(facts: &NodeFacts, text: &mut String) {
    field(text, "cluster_enabled", u8::from(facts.door != Door::Server));
}

pub(super) fn keyspace(facts: &NodeFacts, text: &mut String) {
    let shards = facts.shards();
    let shown = |shard: &ringkeep_shards::ids::ShardId| facts.door == Door::Server || facts.door == Door::Shard(*shard);
    let shards: Vec<_> = shards.into_iter().filter(|shard| shown(&shard.shard)).collect();
    for db in 0..shards.first().map_or(0, |shard| shard.databases.len()) {
        let keys: u64 = shards.iter().map(|shard| shard.databases[db].0).sum();
        let expires: u64 = shards.iter().map(|shard| shard.databases[db].1).sum();
        if keys > 0 {
            field(text, &format!("db{db}"), format_args!("keys={keys},expires={expires},avg_ttl=0"));
        }
    }
}

pub(super) fn ringkeep(facts: &NodeFacts, text: &mut String) {
    let counters = |number: fn(&CoreCounters) -> u64| facts.over_cores(|core| number(&core.counters));
    let mut writes = facts.cores[0].log_writes_us.clone();
    for core in &facts.cores[1..] {
        writes.add(&core.log_writes_us).expect("all have the same bounds");
    }
    field(text, "ringkeep_version", env!("CARGO_PKG_VERSION"));
    field(text, "script_executions", facts.over_shards(|shard| shard.stats.script_executions));
    field(text, "script_fences", facts.over_shards(|shard| shard.stats.script_fences));
    field(text, "script_slices", facts.over_shards(|shard| shard.stats.script_slices));
    field(text, "script_reruns", facts.over_shards(|shard| shard.stats.script_reruns));
    field(text, "script_conflicts", facts.over_shards(|shard| shard.stats.script_conflicts));
    field(text, "script_kills", facts.over_shards(|shard| shard.stats.script_kills));
    field(text, "script_undone", facts.over_shards(|shard| shard.stats.script_undone));
    field(text, "script_cache_entries", facts.scripts());
    field(text, "script_cache_bytes", facts.over_shards(|shard| shard.stats.script_cache_bytes));
    field(text, "script_vms", facts.over_shards(|shard| shard.stats.script_vms));
    field(text, "script_vm_bytes", facts.over_shards(|shard| shard.script_bytes));
    field(text, "requests_set_aside", facts.over_shards(|shard| shard.stats.contexts));
    field(text, "mesh_messages", counters(|core| core.mesh_messages));
    field(text, "moved_connections", counters(|core| core.moved_connections));
    field(text, "log_writes", facts.over_shards(|shard| shard.stats.log_writes));
    field(text, "log_bytes", facts.over_shards(|shard| shard.stats.log_bytes));
    field(text, "log_write_usec_p50", writes.value_at_quantile(0.5));
    field(text, "log_write_usec_p99", writes.value_at_quantile(0.99));
    field(text, "group_entries", facts.over_shards(|shard| shard.stats.group_entries));
    field(text, "reply_gates_waiting", facts.over_shards(|shard| shard.gates_waiting));
}

pub(super) fn shards(facts: &NodeFacts, text: &mut String) {
    for shard in facts.shards() {
        // Seconds; -1 if none was made since the start.
        let made_ms = Some(shard.stats.checkpoint_ms).filter(|made_ms| *made_ms != 0);
        let age = made_ms.map_or(-1, |made_ms| (facts.now_ms.saturating_sub(made_ms) / 1000) as i64);
        let role = if shard.is_leader { "leader" } else { "follower" };
        let value = format!(
            "core={},port={},role={role},term={},commit={},keys={},log_bytes={},checkpoint_index={},checkpoint_age={age}",
            shard.core.0,
            shard.port,
            shard.term.0,
            shard.commit.0,
            shard.keys(),
            shard.log_bytes,
            shard.checkpoint_index.0,
        );
        field(text, &format!("shard{}", shard.shard.0), value);
    }
}

#[cfg(test)]
mod tests {
    use super::human;

    #[test]
    fn sizes_as_redis_shows_them() {
        for (bytes, text) in
            [(0, "0B"), (1023, "1023B"), (1024, "1.00K"), (916_392, "894.91K"), (25_276_510_208, "23.54G")]
        {
            assert_eq!(human(bytes), text);
        }
    }
}
