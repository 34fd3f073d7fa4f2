//! INFO's sections. Fields that Redis has bear its names, in its order; what is not measured is left out.

use crate::observe::info::NodeFacts;
use crate::observe::process;
use ringkeep_shards::command::Door;
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

pub(super) fn server(facts: &NodeFacts, text: &mut String) {
    field(text, "redis_version", REDIS_VERSION);
    let mode = if facts.door == Door::Server { "standalone" } else { "cluster" };
    field(text, "redis_mode", mode);
    field(text, "os", process::system());
    field(text, "arch_bits", usize::BITS);
    field(text, "multiplexing_api", "io_uring");
    field(text, "process_id", std::process::id());
    field(text, "run_id", &facts.run_id);
    field(text, "tcp_port", facts.tcp_port);
    field(text, "server_time_usec", facts.now_us);
    field(text, "uptime_in_seconds", facts.uptime_s);
    field(text, "uptime_in_days", facts.uptime_s / 86_400);
    field(text, "lru_clock", facts.now_us / 1_000_000 % (1 << 24));
    field(text, "executable", std::env::current_exe().unwrap_or_default().display());
    field(text, "config_file", facts.file.clone().unwrap_or_default().display());
}

pub(super) fn clients(facts: &NodeFacts, text: &mut String) {
    field(text, "connected_clients", facts.over_cores(|core| core.clients));
    field(text, "maxclients", facts.clients_max);
    let output = facts.cores.iter().map(|core| core.output_bytes_max).max().unwrap_or(0);
    field(text, "client_recent_max_output_buffer", output);
    field(text, "blocked_clients", 0);
    field(text, "tracking_clients", 0);
}

pub(super) fn memory(facts: &NodeFacts, text: &mut String) {
    let (used, resident, overhead) = (facts.used_bytes(), process::resident_bytes(), facts.overhead_bytes());
    let scripts = facts.over_shards(|shard| shard.script_bytes);
    sized(text, "used_memory", used);
    sized(text, "used_memory_rss", resident);
    field(text, "used_memory_overhead", overhead);
    field(text, "used_memory_dataset", used.saturating_sub(overhead));
    sized(text, "total_system_memory", process::system_memory_bytes());
    field(text, "used_memory_lua", scripts);
    field(text, "used_memory_vm_eval", scripts);
    field(text, "used_memory_lua_human", human(scripts));
    // Every shard knows the same scripts.
    field(text, "number_of_cached_scripts", facts.shards().iter().map(|shard| shard.scripts).max().unwrap_or(0));
    field(text, "number_of_functions", 0);
    field(text, "number_of_libraries", 0);
    sized(text, "maxmemory", facts.memory_bytes_max);
    field(text, "maxmemory_policy", "noeviction");
    field(text, "mem_fragmentation_ratio", format_args!("{:.2}", resident as f64 / used.max(1) as f64));
    field(text, "mem_fragmentation_bytes", resident as i64 - used as i64);
    field(text, "mem_clients_slaves", 0);
    field(text, "mem_clients_normal", facts.over_cores(|core| core.client_bytes));
    field(text, "mem_allocator", "mimalloc");
    field(text, "active_defrag_running", 0);
}

pub(super) fn persistence(_: &NodeFacts, text: &mut String) {
    for (name, value) in [
        ("loading", "0"),
        ("async_loading", "0"),
        ("rdb_bgsave_in_progress", "0"),
        ("aof_enabled", "1"),
        ("aof_rewrite_in_progress", "0"),
        // A log write that fails ends the process: whoever reads this reads the truth.
        ("aof_last_write_status", "ok"),
    ] {
        field(text, name, value);
    }
}

pub(super) fn stats(facts: &NodeFacts, text: &mut String) {
    field(text, "total_connections_received", facts.over_cores(|core| core.counters.connections_received));
    field(text, "total_commands_processed", facts.over_cores(|core| core.counters.commands_processed));
    field(text, "total_net_input_bytes", facts.over_cores(|core| core.counters.input_bytes));
    field(text, "total_net_output_bytes", facts.over_cores(|core| core.counters.output_bytes));
    field(text, "rejected_connections", facts.over_cores(|core| core.counters.connections_rejected));
    field(text, "expired_keys", facts.over_shards(|shard| shard.expired_keys));
    field(text, "evicted_keys", 0);
    field(text, "keyspace_hits", facts.over_shards(|shard| shard.stats.keyspace_hits));
    field(text, "keyspace_misses", facts.over_shards(|shard| shard.stats.keyspace_misses));
    field(text, "latest_fork_usec", 0);
    field(text, "total_forks", 0);
}

pub(super) fn replication(facts: &NodeFacts, text: &mut String) {
    field(text, "role", "master");
    field(text, "connected_slaves", 0);
    field(text, "master_failover_state", "no-failover");
    field(text, "master_replid", &facts.run_id);
    field(text, "master_replid2", "0".repeat(40));
    field(text, "master_repl_offset", 0);
    field(text, "second_repl_offset", -1);
    field(text, "repl_backlog_active", 0);
}

pub(super) fn cpu(_: &NodeFacts, text: &mut String) {
    let times = process::cpu_times();
    for (name, seconds) in [
        ("used_cpu_sys", times.system_s),
        ("used_cpu_user", times.user_s),
        ("used_cpu_sys_children", times.children_system_s),
        ("used_cpu_user_children", times.children_user_s),
    ] {
        field(text, name, format_args!("{seconds:.6}"));
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
    field(text, "ringkeep_version", env!("CARGO_PKG_VERSION"));
    field(text, "script_executions", facts.over_shards(|shard| shard.stats.script_executions));
    field(text, "script_fences", facts.over_shards(|shard| shard.stats.script_fences));
    field(text, "moved_connections", facts.over_cores(|core| core.counters.moved_connections));
    field(text, "log_writes", facts.over_shards(|shard| shard.stats.log_writes));
    field(text, "log_bytes", facts.over_shards(|shard| shard.stats.log_bytes));
    field(text, "group_entries", facts.over_shards(|shard| shard.stats.group_entries));
    field(text, "reply_gates_waiting", facts.over_shards(|shard| shard.gates_waiting));
}

pub(super) fn shards(facts: &NodeFacts, text: &mut String) {
    for shard in facts.shards() {
        let role = if shard.is_leader { "leader" } else { "follower" };
        let value = format!(
            "core={},role={role},term={},commit={},keys={},log_bytes={}",
            shard.core.0,
            shard.term.0,
            shard.commit.0,
            shard.keys(),
            shard.stats.log_bytes
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
