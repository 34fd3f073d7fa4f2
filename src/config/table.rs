//! The one table of settings: all of Redis 7.2's, and Ringkeep's own.

use super::kind::Kind;
use super::kind::Kind::{
    Addresses, Choice, Choices, Directory, FileName, HostName, KeyspaceEvents, OomScores, OutputLimits, Percentiles,
    ReplicaOf, Save, ShardCount, ShardPorts, Text, YesNo,
};
use super::kind::{memory, memory_or_percent, number, octal};
use ringkeep_shards::limits::STRING_BYTES_MAX;

/// What becomes of a setting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sort {
    /// It does what it says.
    Honoured,
    /// Kept and reported; nothing here depends on it. A log line at start says so.
    WithoutEffect,
    /// Any valid value is accepted, but the value stays the default, and is reported as that: it cannot be weaker.
    Fixed(&'static str),
    /// Any other value than the default promises something that is not there, and is refused for this reason.
    RefusedUnlessDefault(&'static str),
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The name, in lower case.
    pub name: &'static str,
    /// An older name for the same setting.
    pub alias: Option<&'static str>,
    /// What values it takes.
    pub kind: Kind,
    /// The default, as it would stand in the file.
    pub default: &'static str,
    /// What becomes of it.
    pub sort: Sort,
    /// Whether CONFIG SET may change it.
    pub mutability: Mutability,
    /// Whether patterns of CONFIG GET pass it over; its exact name is answered.
    pub hidden: bool,
    /// Whether its value must not be shown in the slow log, MONITOR and the like.
    pub secret: bool,
}

/// Whether CONFIG SET may change a setting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mutability {
    /// At any time.
    Always,
    /// Only by the file or the command line.
    AtStartOnly,
    /// Only by the file or the command line, though Redis lets CONFIG SET change it.
    AtStartHere,
    /// Redis lets it be changed behind `enable-protected-configs`; here never.
    Protected,
}

impl Setting {
    const fn new(name: &'static str, kind: Kind, default: &'static str, sort: Sort) -> Self {
        Setting { name, alias: None, kind, default, sort, mutability: Mutability::Always, hidden: false, secret: false }
    }

    const fn alias(mut self, alias: &'static str) -> Self {
        self.alias = Some(alias);
        self
    }

    const fn at_start_only(mut self) -> Self {
        self.mutability = Mutability::AtStartOnly;
        self
    }

    const fn at_start_here(mut self) -> Self {
        self.mutability = Mutability::AtStartHere;
        self
    }

    const fn protected(mut self) -> Self {
        self.mutability = Mutability::Protected;
        self
    }

    const fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    /// The setting's name and, if it has one, its older name.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        std::iter::once(self.name).chain(self.alias)
    }
}

/// The row that has this name or alias, in any case, and the spelling that the table has for it.
pub fn find(name: &[u8]) -> Option<(usize, &'static str)> {
    SETTINGS.iter().enumerate().find_map(|(row, setting)| {
        let found = setting.names().find(|own| own.as_bytes().eq_ignore_ascii_case(name))?;
        Some((row, found))
    })
}

/// The most shards that a node can have: each has a directory, a Raft group and a port.
pub const SHARDS_MAX: u16 = 1_024;

/// The most databases that SELECT can choose from.
pub const DATABASES_MAX: i128 = 16;

const fn honoured(name: &'static str, kind: Kind, default: &'static str) -> Setting {
    Setting::new(name, kind, default, Sort::Honoured)
}

const fn without_effect(name: &'static str, kind: Kind, default: &'static str) -> Setting {
    Setting::new(name, kind, default, Sort::WithoutEffect)
}

const fn fixed(name: &'static str, kind: Kind, default: &'static str, why: &'static str) -> Setting {
    Setting::new(name, kind, default, Sort::Fixed(why))
}

const fn refused(name: &'static str, kind: Kind, default: &'static str, why: &'static str) -> Setting {
    Setting::new(name, kind, default, Sort::RefusedUnlessDefault(why))
}

const INT_MIN: i128 = i32::MIN as i128;
const INT_MAX: i128 = i32::MAX as i128;
const UINT_MAX: i128 = u32::MAX as i128;
const LONG_MAX: i128 = i64::MAX as i128;
const ULONG_MAX: i128 = u64::MAX as i128;

const POLICIES: &[&str] = &[
    "volatile-lru",
    "volatile-lfu",
    "volatile-random",
    "volatile-ttl",
    "allkeys-lru",
    "allkeys-lfu",
    "allkeys-random",
    "noeviction",
];
const SYSLOG_FACILITIES: &[&str] =
    &["user", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"];
const LOG_LEVELS: &[&str] = &["debug", "verbose", "notice", "warning", "nothing"];
const SUPERVISORS: &[&str] = &["upstart", "systemd", "auto", "no"];
const FSYNC_MODES: &[&str] = &["everysec", "always", "no"];
const DISKLESS_LOADS: &[&str] = &["disabled", "on-empty-db", "swapdb"];
const TLS_CLIENT_CHECKS: &[&str] = &["no", "yes", "optional"];
const OOM_SCORE_MODES: &[&str] = &["no", "yes", "relative", "absolute"];
const PUBSUB_DEFAULTS: &[&str] = &["allchannels", "resetchannels"];
const SANITIZE_MODES: &[&str] = &["no", "yes", "clients"];
const PROTECTED_ACTIONS: &[&str] = &["no", "yes", "local"];
const ENDPOINT_TYPES: &[&str] = &["ip", "hostname", "unknown-endpoint"];
const PROPAGATION_ERRORS: &[&str] = &["ignore", "panic", "panic-on-replicas"];
const SHUTDOWN_FLAGS: &[&str] = &["default", "save", "nosave", "now", "force"];

const ACL: &str = "access control lists are not there yet; requirepass is";
const CLIENT_EVICTION: &str =
    "clients are not evicted by memory yet; client-output-buffer-limit and client-query-buffer-limit bound each one";
const CLUSTER: &str = "the base port is always one standalone Redis for now; cluster clients use the shard ports";
const EVICTION: &str = "only noeviction is there yet: keys are never evicted";
const NOTIFICATIONS: &str = "keyspace notifications are not there yet";
const REPLICATION: &str = "Redis replication is not spoken";
const SOCKET_MARK: &str = "sockets are not marked";
const SYSLOG: &str = "log lines go to stderr or logfile; a service manager can pass them on to syslog";
const TLS: &str = "TLS is not there yet";
const UNIX_SOCKET: &str = "Unix sockets are not there yet";

/// All settings, in the order in which CONFIG GET lists them.
#[rustfmt::skip] // One row, one line.
pub static SETTINGS: &[Setting] = &[
    // Ringkeep's own.
    honoured("shards", ShardCount, "auto").at_start_only(),
    honoured("shard-ports", ShardPorts, "auto").at_start_only(),
    honoured("log-segment-bytes", memory(1_048_576, 1 << 30), "64mb").at_start_only(),
    honoured("large-value-bytes", memory(1_024, 1 << 30), "16kb").at_start_only(),
    honoured("checkpoint-growth-percent", number(1, 10_000), "100"),
    honoured("background-bytes-per-second", memory(1_048_576, LONG_MAX), "100mb").at_start_only(),
    honoured("script-slice-us", number(100, 1_000_000), "1000"),
    honoured("script-memory-bytes", memory(1_048_576, LONG_MAX), "128mb").at_start_only(),
    honoured("script-time-limit", number(0, LONG_MAX), "0"),
    honoured("lua-memory-limit", memory(1_048_576, LONG_MAX), "1gb"),
    // Honoured.
    honoured("bind", Addresses, "127.0.0.1").at_start_here(),
    honoured("busy-reply-threshold", number(0, LONG_MAX), "5000").alias("lua-time-limit"),
    honoured("client-output-buffer-limit", OutputLimits, "normal 0 0 0 replica 256mb 64mb 60 pubsub 32mb 8mb 60"),
    honoured("client-query-buffer-limit", memory(1_048_576, LONG_MAX), "1gb"),
    honoured("cluster-announce-hostname", HostName, ""),
    honoured("cluster-announce-ip", Text, ""),
    honoured("cluster-announce-port", number(0, 65_535), "0"),
    honoured("cluster-preferred-endpoint-type", Choice(ENDPOINT_TYPES), "ip"),
    honoured("databases", number(1, DATABASES_MAX), "16").at_start_only(),
    honoured("dir", Directory, "ringkeep-data").at_start_only(),
    honoured("enable-debug-command", Choice(PROTECTED_ACTIONS), "no").at_start_only(),
    honoured("latency-monitor-threshold", number(0, LONG_MAX), "0"),
    honoured("logfile", Text, "").at_start_only(),
    honoured("loglevel", Choice(LOG_LEVELS), "notice"),
    honoured("maxclients", number(1, UINT_MAX), "10000"),
    honoured("maxmemory", memory(0, ULONG_MAX), "0"),
    honoured("pidfile", Text, "").at_start_only(),
    honoured("port", number(0, 65_535), "6379").at_start_here(),
    honoured("protected-mode", YesNo, "yes"),
    honoured("proto-max-bulk-len", memory(1_048_576, STRING_BYTES_MAX as i128), "512mb"),
    honoured("requirepass", Text, "").secret(),
    honoured("slowlog-log-slower-than", number(-1, LONG_MAX), "10000"),
    honoured("slowlog-max-len", number(0, LONG_MAX), "128"),
    honoured("supervised", Choice(SUPERVISORS), "no").at_start_only(),
    honoured("tcp-backlog", number(0, INT_MAX), "511").at_start_only(),
    honoured("tcp-keepalive", number(0, INT_MAX), "300"),
    honoured("timeout", number(0, INT_MAX), "0"),
    // Always as said here, because it cannot be weaker.
    fixed("appendfsync", Choice(FSYNC_MODES), "always", "a write is acknowledged only once it is on disk"),
    fixed("appendonly", YesNo, "yes", "every acknowledged write is on disk already"),
    fixed("daemonize", YesNo, "no", "the server stays in the foreground; let a service manager start it").at_start_only(),
    fixed("no-appendfsync-on-rewrite", YesNo, "no", "a write is acknowledged only once it is on disk"),
    fixed("save", Save, "", "every write is logged, and checkpoints are made as the log grows"),
    // Refused unless left at what Redis has by default.
    refused("aclfile", Text, "", ACL).at_start_only(),
    refused("cluster-enabled", YesNo, "no", CLUSTER).at_start_only(),
    refused("maxmemory-clients", memory_or_percent(100, LONG_MAX), "0", CLIENT_EVICTION),
    refused("maxmemory-policy", Choice(POLICIES), "noeviction", EVICTION),
    refused("min-replicas-to-write", number(0, INT_MAX), "0", REPLICATION).alias("min-slaves-to-write"),
    refused("notify-keyspace-events", KeyspaceEvents, "", NOTIFICATIONS),
    refused("replicaof", ReplicaOf, "", REPLICATION).alias("slaveof").at_start_only(),
    refused("socket-mark-id", number(0, UINT_MAX), "0", SOCKET_MARK).at_start_only(),
    refused("syslog-enabled", YesNo, "no", SYSLOG).at_start_only(),
    refused("tls-auth-clients", Choice(TLS_CLIENT_CHECKS), "yes", TLS),
    refused("tls-ca-cert-dir", Text, "", TLS),
    refused("tls-ca-cert-file", Text, "", TLS),
    refused("tls-cert-file", Text, "", TLS),
    refused("tls-ciphers", Text, "", TLS),
    refused("tls-ciphersuites", Text, "", TLS),
    refused("tls-client-cert-file", Text, "", TLS),
    refused("tls-client-key-file", Text, "", TLS),
    refused("tls-client-key-file-pass", Text, "", TLS),
    refused("tls-cluster", YesNo, "no", TLS),
    refused("tls-dh-params-file", Text, "", TLS),
    refused("tls-key-file", Text, "", TLS),
    refused("tls-key-file-pass", Text, "", TLS),
    refused("tls-port", number(0, 65_535), "0", TLS),
    refused("tls-prefer-server-ciphers", YesNo, "no", TLS),
    refused("tls-protocols", Text, "", TLS),
    refused("tls-replication", YesNo, "no", TLS),
    refused("tls-session-cache-size", number(0, INT_MAX), "20480", TLS),
    refused("tls-session-cache-timeout", number(0, INT_MAX), "300", TLS),
    refused("tls-session-caching", YesNo, "yes", TLS),
    refused("unixsocket", Text, "", UNIX_SOCKET).at_start_only(),
    // Accepted, kept and reported; nothing here depends on them.
    without_effect("acl-pubsub-default", Choice(PUBSUB_DEFAULTS), "resetchannels"),
    without_effect("acllog-max-len", number(0, LONG_MAX), "128"),
    without_effect("active-defrag-cycle-max", number(1, 99), "25"),
    without_effect("active-defrag-cycle-min", number(1, 99), "1"),
    without_effect("active-defrag-ignore-bytes", memory(1, LONG_MAX), "100mb"),
    without_effect("active-defrag-max-scan-fields", number(1, LONG_MAX), "1000"),
    without_effect("active-defrag-threshold-lower", number(0, 1_000), "10"),
    without_effect("active-defrag-threshold-upper", number(0, 1_000), "100"),
    without_effect("active-expire-effort", number(1, 10), "1"),
    without_effect("activedefrag", YesNo, "no"),
    without_effect("activerehashing", YesNo, "yes"),
    without_effect("always-show-logo", YesNo, "no").at_start_only(),
    without_effect("aof-disable-auto-gc", YesNo, "no").hidden(),
    without_effect("aof-load-truncated", YesNo, "yes"),
    without_effect("aof-rewrite-incremental-fsync", YesNo, "yes"),
    without_effect("aof-timestamp-enabled", YesNo, "no"),
    without_effect("aof-use-rdb-preamble", YesNo, "yes"),
    without_effect("aof_rewrite_cpulist", Text, "").at_start_only(),
    without_effect("appenddirname", FileName, "appendonlydir").at_start_only(),
    without_effect("appendfilename", FileName, "appendonly.aof").at_start_only(),
    without_effect("auto-aof-rewrite-min-size", memory(0, LONG_MAX), "64mb"),
    without_effect("auto-aof-rewrite-percentage", number(0, INT_MAX), "100"),
    without_effect("bgsave_cpulist", Text, "").at_start_only(),
    without_effect("bind-source-addr", Text, ""),
    without_effect("bio_cpulist", Text, "").at_start_only(),
    without_effect("cluster-allow-pubsubshard-when-down", YesNo, "yes"),
    without_effect("cluster-allow-reads-when-down", YesNo, "no"),
    without_effect("cluster-allow-replica-migration", YesNo, "yes"),
    without_effect("cluster-announce-bus-port", number(0, 65_535), "0"),
    without_effect("cluster-announce-human-nodename", Text, ""),
    without_effect("cluster-announce-tls-port", number(0, 65_535), "0"),
    without_effect("cluster-config-file", Text, "nodes.conf").at_start_only(),
    without_effect("cluster-link-sendbuf-limit", memory(0, ULONG_MAX), "0"),
    without_effect("cluster-migration-barrier", number(0, INT_MAX), "1"),
    without_effect("cluster-node-timeout", number(0, LONG_MAX), "15000"),
    without_effect("cluster-ping-interval", number(0, LONG_MAX), "0").hidden(),
    without_effect("cluster-port", number(0, 65_535), "0").at_start_only(),
    without_effect("cluster-replica-no-failover", YesNo, "no").alias("cluster-slave-no-failover"),
    without_effect("cluster-replica-validity-factor", number(0, INT_MAX), "10").alias("cluster-slave-validity-factor"),
    without_effect("cluster-require-full-coverage", YesNo, "yes"),
    without_effect("crash-log-enabled", YesNo, "yes"),
    without_effect("crash-memcheck-enabled", YesNo, "yes"),
    without_effect("dbfilename", FileName, "dump.rdb").protected(),
    without_effect("disable-thp", YesNo, "yes").at_start_only(),
    without_effect("dynamic-hz", YesNo, "yes"),
    without_effect("enable-module-command", Choice(PROTECTED_ACTIONS), "no").at_start_only(),
    without_effect("enable-protected-configs", Choice(PROTECTED_ACTIONS), "no").at_start_only(),
    without_effect("hash-max-listpack-entries", number(0, LONG_MAX), "512").alias("hash-max-ziplist-entries"),
    without_effect("hash-max-listpack-value", memory(0, LONG_MAX), "64").alias("hash-max-ziplist-value"),
    without_effect("hll-sparse-max-bytes", memory(0, LONG_MAX), "3000"),
    without_effect("hz", number(0, INT_MAX), "10"),
    without_effect("ignore-warnings", Text, ""),
    without_effect("io-threads", number(1, 128), "1").at_start_only(),
    without_effect("io-threads-do-reads", YesNo, "no").at_start_only(),
    without_effect("jemalloc-bg-thread", YesNo, "yes"),
    without_effect("key-load-delay", number(INT_MIN, INT_MAX), "0").hidden(),
    without_effect("latency-tracking", YesNo, "yes"),
    without_effect("latency-tracking-info-percentiles", Percentiles, "50 99 99.9"),
    without_effect("lazyfree-lazy-eviction", YesNo, "no"),
    without_effect("lazyfree-lazy-expire", YesNo, "no"),
    without_effect("lazyfree-lazy-server-del", YesNo, "no"),
    without_effect("lazyfree-lazy-user-del", YesNo, "no"),
    without_effect("lazyfree-lazy-user-flush", YesNo, "no"),
    without_effect("lfu-decay-time", number(0, INT_MAX), "1"),
    without_effect("lfu-log-factor", number(0, INT_MAX), "10"),
    without_effect("list-compress-depth", number(0, INT_MAX), "0"),
    without_effect("list-max-listpack-size", number(INT_MIN, INT_MAX), "-2").alias("list-max-ziplist-size"),
    without_effect("loading-process-events-interval-bytes", number(1_024, INT_MAX), "2097152").hidden(),
    without_effect("locale-collate", Text, ""),
    without_effect("masterauth", Text, "").secret(),
    without_effect("masteruser", Text, "").secret(),
    without_effect("maxmemory-eviction-tenacity", number(0, 100), "10"),
    without_effect("maxmemory-samples", number(1, INT_MAX), "5"),
    without_effect("min-replicas-max-lag", number(0, INT_MAX), "10").alias("min-slaves-max-lag"),
    without_effect("oom-score-adj", Choice(OOM_SCORE_MODES), "no"),
    without_effect("oom-score-adj-values", OomScores, "0 200 800"),
    without_effect("proc-title-template", Text, "{title} {listen-addr} {server-mode}"),
    without_effect("propagation-error-behavior", Choice(PROPAGATION_ERRORS), "ignore"),
    without_effect("rdb-del-sync-files", YesNo, "no"),
    without_effect("rdb-key-save-delay", number(INT_MIN, INT_MAX), "0").hidden(),
    without_effect("rdb-save-incremental-fsync", YesNo, "yes"),
    without_effect("rdbchecksum", YesNo, "yes").at_start_only(),
    without_effect("rdbcompression", YesNo, "yes"),
    without_effect("repl-backlog-size", memory(1, LONG_MAX), "1mb"),
    without_effect("repl-backlog-ttl", number(0, LONG_MAX), "3600"),
    without_effect("repl-disable-tcp-nodelay", YesNo, "no"),
    without_effect("repl-diskless-load", Choice(DISKLESS_LOADS), "disabled"),
    without_effect("repl-diskless-sync", YesNo, "yes"),
    without_effect("repl-diskless-sync-delay", number(0, INT_MAX), "5"),
    without_effect("repl-diskless-sync-max-replicas", number(0, INT_MAX), "0"),
    without_effect("repl-ping-replica-period", number(1, INT_MAX), "10").alias("repl-ping-slave-period"),
    without_effect("repl-timeout", number(1, INT_MAX), "60"),
    without_effect("replica-announce-ip", Text, "").alias("slave-announce-ip"),
    without_effect("replica-announce-port", number(0, 65_535), "0").alias("slave-announce-port"),
    without_effect("replica-announced", YesNo, "yes"),
    without_effect("replica-ignore-disk-write-errors", YesNo, "no"),
    without_effect("replica-ignore-maxmemory", YesNo, "yes").alias("slave-ignore-maxmemory"),
    without_effect("replica-lazy-flush", YesNo, "no").alias("slave-lazy-flush"),
    without_effect("replica-priority", number(0, INT_MAX), "100").alias("slave-priority"),
    without_effect("replica-read-only", YesNo, "yes").alias("slave-read-only"),
    without_effect("replica-serve-stale-data", YesNo, "yes").alias("slave-serve-stale-data"),
    without_effect("sanitize-dump-payload", Choice(SANITIZE_MODES), "no"),
    without_effect("server_cpulist", Text, "").at_start_only(),
    without_effect("set-max-intset-entries", number(0, LONG_MAX), "512"),
    without_effect("set-max-listpack-entries", number(0, LONG_MAX), "128"),
    without_effect("set-max-listpack-value", number(0, LONG_MAX), "64"),
    without_effect("set-proc-title", YesNo, "yes").at_start_only(),
    without_effect("shutdown-on-sigint", Choices(SHUTDOWN_FLAGS), "default"),
    without_effect("shutdown-on-sigterm", Choices(SHUTDOWN_FLAGS), "default"),
    without_effect("shutdown-timeout", number(0, INT_MAX), "10"),
    without_effect("stop-writes-on-bgsave-error", YesNo, "yes"),
    without_effect("stream-node-max-bytes", memory(0, LONG_MAX), "4kb"),
    without_effect("stream-node-max-entries", number(0, LONG_MAX), "100"),
    without_effect("syslog-facility", Choice(SYSLOG_FACILITIES), "local0").at_start_only(),
    without_effect("syslog-ident", Text, "redis").at_start_only(),
    without_effect("tracking-table-max-keys", number(0, LONG_MAX), "1000000"),
    without_effect("unixsocketperm", octal(0, 0o777), "0").at_start_only(),
    without_effect("use-exit-on-panic", YesNo, "no").hidden(),
    without_effect("watchdog-period", number(0, INT_MAX), "0").hidden(),
    without_effect("zset-max-listpack-entries", number(0, LONG_MAX), "128").alias("zset-max-ziplist-entries"),
    without_effect("zset-max-listpack-value", memory(0, LONG_MAX), "64").alias("zset-max-ziplist-value"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_name_is_there_twice_and_all_are_in_lower_case() {
        let mut seen = BTreeSet::new();
        for name in SETTINGS.iter().flat_map(|setting| setting.names()) {
            assert!(seen.insert(name), "{name} is there twice");
            assert_eq!(name, name.to_ascii_lowercase());
        }
    }

    #[test]
    fn names_are_found_in_any_case_and_by_alias() {
        let (row, name) = find(b"MaxMemory").unwrap();
        assert_eq!((SETTINGS[row].name, name), ("maxmemory", "maxmemory"));
        let (row, name) = find(b"lua-time-limit").unwrap();
        assert_eq!((SETTINGS[row].name, name), ("busy-reply-threshold", "lua-time-limit"));
        assert!(find(b"cluster-port").is_some() && find(b"set-max-listpack-value").is_some());
        assert!(find(b"max-memory").is_none() && find(b"").is_none());
    }
}
