//! The settings as types: all that the rest of the program reads.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::num::NonZeroU16;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

use ringkeep_shards::ids::ShardId;

use super::output_limits::OutputLimits;
use super::table::find;
use super::value::Value;
use crate::log_line::Level;

/// Every setting that does something, parsed. Zeros that mean "none" in redis.conf are `None` here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// Where to listen; nowhere if empty.
    pub bind: Vec<BindAddress>,
    /// The base port; `None`: no base port.
    pub port: Option<NonZeroU16>,
    /// How many shards, where the data directory does not say.
    pub shards: ShardCount,
    /// The shards' own ports.
    pub shard_ports: ShardPorts,
    /// Whether clients from beyond loopback are refused as long as there is no password.
    pub protected_mode: bool,
    /// The password.
    pub requirepass: Option<Vec<u8>>,
    /// How many clients at most.
    pub clients_max: u32,
    /// Clients idle for longer are closed.
    pub timeout: Option<Duration>,
    /// How often the kernel asks whether a silent peer is alive.
    pub tcp_keepalive: Option<Duration>,
    /// The listen backlog.
    pub tcp_backlog: u32,
    /// The data directory, absolute.
    pub dir: PathBuf,
    /// How many databases SELECT can choose from.
    pub databases: u8,
    /// How many bytes the data may hold in memory.
    pub memory_bytes_max: Option<u64>,
    /// The longest argument, in bytes.
    pub bulk_bytes_max: u64,
    /// How many bytes of requests a client may have waiting.
    pub query_buffer_bytes_max: u64,
    /// How many bytes of replies a client may leave unread.
    pub output_limits: OutputLimits,
    /// Commands slower than this enter the slow log; `None`: none do.
    pub slowlog_slower_than: Option<Duration>,
    /// How many entries the slow log keeps.
    pub slowlog_entries_max: u64,
    /// Events at least this long enter LATENCY's history.
    pub latency_monitor_threshold: Option<Duration>,
    /// Which log lines are written.
    pub log_level: Level,
    /// Where log lines go; `None`: to stderr.
    pub log_file: Option<PathBuf>,
    /// Where the process id is written.
    pub pid_file: Option<PathBuf>,
    /// Whether a service manager is told that the server is ready.
    pub supervision: Supervision,
    /// Who may use DEBUG.
    pub debug_command: DebugCommand,
    /// What shard ports tell cluster clients.
    pub announce: Announce,
    /// Bounds of logs and of background disk work.
    pub log: LogLimits,
    /// Bounds of scripts.
    pub script: ScriptLimits,
}

/// An address to listen on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BindAddress {
    /// An address or a name, without the minus; `*` and `::*` are all addresses of their family.
    pub host: String,
    /// Whether the server starts without it where this machine has no such address.
    pub optional: bool,
}

/// How many shards a new data directory gets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ShardCount {
    /// One per core that the process may use.
    Auto,
    /// This many.
    Exactly(NonZeroU16),
}

/// Which ports the shards listen on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ShardPorts {
    /// Shard 0 on this port, shard 1 on the next, and so on.
    From(NonZeroU16),
    /// None.
    Off,
}

/// Who may use a command that can do harm.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DebugCommand {
    /// Nobody.
    No,
    /// Everybody.
    Yes,
    /// Clients on this machine.
    Local,
}

/// Who started the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Supervision {
    /// Nobody who wants to be told.
    No,
    /// systemd: wants to be told when the server is ready.
    Systemd,
    /// systemd, if it says so in the environment.
    Auto,
}

/// What cluster clients are told to connect to; `None`: the address that they reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Announce {
    /// The address.
    pub ip: Option<String>,
    /// The name.
    pub hostname: Option<String>,
    /// The first shard's port as clients see it.
    pub port: Option<NonZeroU16>,
    /// Which of these MOVED and CLUSTER SLOTS name.
    pub preferred: EndpointType,
}

/// Which kind of endpoint cluster clients are told first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EndpointType {
    /// The address.
    Ip,
    /// The name.
    Hostname,
    /// None: the client keeps to the address that it used.
    Unknown,
}

/// Bounds of logs and of background disk work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogLimits {
    /// The size of a log segment.
    pub segment_bytes: u64,
    /// Strings of at least this size are kept in the log only, not in memory.
    pub large_value_bytes: u64,
    /// A checkpoint is made when the log has grown by this part of the live bytes.
    pub checkpoint_growth_percent: u32,
    /// How fast zeroing, checkpoints and relocation may use the disk.
    pub background_bytes_per_second: u64,
}

/// Bounds of scripts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ScriptLimits {
    /// How long a script runs before others are served.
    pub slice: Duration,
    /// How much memory each Lua machine may use.
    pub memory_bytes_max: u64,
    /// How much memory the Lua machines of a shard may use together.
    pub pool_bytes_max: u64,
    /// A script that has run for this long is named in the log; `None`: never.
    pub busy_threshold: Option<Duration>,
    /// How long a script may run; `None`: as long as it likes.
    pub time_limit: Option<Duration>,
}

impl BindAddress {
    fn parse(word: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(word).ok()?;
        let (host, optional) = match text.strip_prefix('-') {
            Some(host) => (host, true),
            None => (text, false),
        };
        (!host.is_empty()).then(|| BindAddress { host: host.to_owned(), optional })
    }

    /// The addresses that this names on this port. A name is looked up: this may block.
    pub fn addresses(&self, port: u16) -> io::Result<Vec<SocketAddr>> {
        match self.host.as_str() {
            "*" => Ok(vec![SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port)]),
            "::*" => Ok(vec![SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port)]),
            host => Ok((host, port).to_socket_addrs()?.collect()),
        }
    }
}

impl Config {
    /// The port of a shard; `None` if the shards have no ports, or if it would lie beyond 65535.
    pub fn shard_port(&self, shard: ShardId) -> Option<u16> {
        match self.shard_ports {
            ShardPorts::From(first) => first.get().checked_add(shard.0),
            ShardPorts::Off => None,
        }
    }

    /// Says what is wrong if the ports of this many shards do not exist or contain the base port.
    pub fn check_shard_ports(&self, shards: u16) -> Result<(), String> {
        let ShardPorts::From(first) = self.shard_ports else {
            return Ok(());
        };
        let first = first.get();
        let Some(last) = first.checked_add(shards.saturating_sub(1)) else {
            return Err(format!("shard-ports: {shards} shards from port {first} on end beyond port 65535"));
        };
        match self.port {
            Some(port) if (first..=last).contains(&port.get()) => {
                Err(format!("shard-ports: the shards' ports {first} to {last} contain port {port}"))
            }
            _ => Ok(()),
        }
    }

    /// The types of these values, or what does not fit.
    pub(super) fn from_values(values: &[Value]) -> Result<Self, String> {
        let values = Values(values);
        let port = values.port("port");
        let shards = match values.of("shards") {
            Value::Number(count, _) => ShardCount::Exactly(
                u16::try_from(*count).ok().and_then(NonZeroU16::new).expect("bounds are the table's"),
            ),
            _ => ShardCount::Auto,
        };
        let config = Config {
            bind: values.addresses()?,
            port,
            shards,
            shard_ports: match (values.of("shard-ports"), port) {
                (Value::Number(..), _) => values.port("shard-ports").map_or(ShardPorts::Off, ShardPorts::From),
                (Value::Choice("auto"), Some(base)) => match base.checked_add(1) {
                    Some(first) => ShardPorts::From(first),
                    None => return Err("shard-ports: there is no port after 65535; give a port or off".to_owned()),
                },
                _ => ShardPorts::Off,
            },
            protected_mode: values.yes("protected-mode"),
            requirepass: Some(values.text("requirepass").to_vec()).filter(|password| !password.is_empty()),
            clients_max: values.number("maxclients"),
            timeout: values.duration("timeout", Duration::from_secs),
            tcp_keepalive: values.duration("tcp-keepalive", Duration::from_secs),
            tcp_backlog: values.number("tcp-backlog"),
            dir: values.path("dir").ok_or("dir: the data directory cannot be empty")?,
            databases: values.number("databases"),
            memory_bytes_max: Some(values.number("maxmemory")).filter(|bytes| *bytes != 0),
            bulk_bytes_max: values.number("proto-max-bulk-len"),
            query_buffer_bytes_max: values.number("client-query-buffer-limit"),
            output_limits: values.output_limits(),
            // Zero is a threshold here: every command is slow then.
            slowlog_slower_than: u64::try_from(values.raw_number("slowlog-log-slower-than"))
                .ok()
                .map(Duration::from_micros),
            slowlog_entries_max: values.number("slowlog-max-len"),
            latency_monitor_threshold: values.duration("latency-monitor-threshold", Duration::from_millis),
            log_level: match values.choice("loglevel") {
                "debug" => Level::Debug,
                "verbose" => Level::Verbose,
                "notice" => Level::Notice,
                "warning" => Level::Warning,
                _ => Level::Nothing,
            },
            log_file: values.path("logfile"),
            pid_file: values.path("pidfile"),
            supervision: match values.choice("supervised") {
                "no" => Supervision::No,
                "systemd" => Supervision::Systemd,
                "auto" => Supervision::Auto,
                other => return Err(format!("supervised: {other} is not supported; systemd, auto and no are")),
            },
            debug_command: match values.choice("enable-debug-command") {
                "yes" => DebugCommand::Yes,
                "local" => DebugCommand::Local,
                _ => DebugCommand::No,
            },
            announce: values.announce(),
            log: LogLimits {
                segment_bytes: values.number("log-segment-bytes"),
                large_value_bytes: values.number("large-value-bytes"),
                checkpoint_growth_percent: values.number("checkpoint-growth-percent"),
                background_bytes_per_second: values.number("background-bytes-per-second"),
            },
            script: ScriptLimits {
                slice: Duration::from_micros(values.number("script-slice-us")),
                memory_bytes_max: values.number("script-memory-bytes"),
                pool_bytes_max: values.number("lua-memory-limit"),
                busy_threshold: values.duration("busy-reply-threshold", Duration::from_millis),
                time_limit: values.duration("script-time-limit", Duration::from_millis),
            },
        };
        if let ShardCount::Exactly(count) = config.shards {
            config.check_shard_ports(count.get())?;
        }
        Ok(config)
    }
}

/// The table's values by name. A name that the table has not, or a value of another kind, is a mistake in this file.
struct Values<'a>(&'a [Value]);

impl Values<'_> {
    fn of(&self, name: &str) -> &Value {
        let (row, _) = find(name.as_bytes()).expect("the table has this setting");
        &self.0[row]
    }

    fn yes(&self, name: &str) -> bool {
        let Value::YesNo(yes) = self.of(name) else { panic!("{name} is not yes or no") };
        *yes
    }

    fn raw_number(&self, name: &str) -> i128 {
        let Value::Number(number, _) = self.of(name) else { panic!("{name} is no number") };
        *number
    }

    fn number<N: TryFrom<i128>>(&self, name: &str) -> N {
        let number = N::try_from(self.raw_number(name));
        number.unwrap_or_else(|_| panic!("the table's bounds of {name} are wider than its type"))
    }

    /// Zero is none.
    fn duration(&self, name: &str, of_units: fn(u64) -> Duration) -> Option<Duration> {
        Some(self.number(name)).filter(|units| *units != 0).map(of_units)
    }

    fn port(&self, name: &str) -> Option<NonZeroU16> {
        NonZeroU16::new(self.number(name))
    }

    fn choice(&self, name: &str) -> &'static str {
        let Value::Choice(choice) = self.of(name) else { panic!("{name} is no choice") };
        choice
    }

    fn text(&self, name: &str) -> &[u8] {
        let Value::Text(text) = self.of(name) else { panic!("{name} is no text") };
        text
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        let text = self.text(name).to_vec();
        (!text.is_empty()).then(|| PathBuf::from(std::ffi::OsString::from_vec(text)))
    }

    fn output_limits(&self) -> OutputLimits {
        let Value::OutputLimits(limits) = self.of("client-output-buffer-limit") else { panic!("no output limits") };
        *limits
    }

    fn addresses(&self) -> Result<Vec<BindAddress>, String> {
        let Value::Words(words) = self.of("bind") else { panic!("bind is not several words") };
        words
            .iter()
            .map(|word| {
                BindAddress::parse(word).ok_or_else(|| format!("bind: '{}' is no address", word.escape_ascii()))
            })
            .collect()
    }

    fn announce(&self) -> Announce {
        let text = |name| Some(String::from_utf8_lossy(self.text(name)).into_owned()).filter(|text| !text.is_empty());
        Announce {
            ip: text("cluster-announce-ip"),
            hostname: text("cluster-announce-hostname"),
            port: self.port("cluster-announce-port"),
            preferred: match self.choice("cluster-preferred-endpoint-type") {
                "ip" => EndpointType::Ip,
                "hostname" => EndpointType::Hostname,
                _ => EndpointType::Unknown,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Override, Source, load};

    fn config(lines: &[&str]) -> Result<Config, String> {
        let overrides: Vec<Override> = lines.iter().map(|line| Override::from_line(line.as_bytes()).unwrap()).collect();
        load(&Source::Defaults, &overrides).map(|store| store.config().clone()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_defaults() {
        let config = config(&[]).unwrap();
        assert_eq!(config.bind, [BindAddress { host: "127.0.0.1".to_owned(), optional: false }]);
        assert_eq!(config.port.unwrap().get(), 6_379);
        assert_eq!(config.shards, ShardCount::Auto);
        assert_eq!(config.shard_port(ShardId(2)), Some(6_382));
        assert_eq!(config.dir, std::env::current_dir().unwrap().join("ringkeep-data"));
        assert_eq!((config.timeout, config.memory_bytes_max, config.requirepass), (None, None, None));
        assert_eq!(config.slowlog_slower_than, Some(Duration::from_millis(10)));
        assert_eq!(config.log.large_value_bytes, 16_384);
        assert_eq!(config.script.busy_threshold, Some(Duration::from_secs(5)));
        assert_eq!(config.output_limits.replica.hard_bytes, 256 << 20);
    }

    #[test]
    fn addresses_to_listen_on() {
        let config = config(&["bind * -::1 ::* 10.0.0.7"]).unwrap();
        let optional: Vec<bool> = config.bind.iter().map(|address| address.optional).collect();
        assert_eq!(optional, [false, true, false, false]);
        let all: Vec<SocketAddr> = config.bind.iter().flat_map(|address| address.addresses(7).unwrap()).collect();
        assert_eq!(all, ["0.0.0.0:7", "[::1]:7", "[::]:7", "10.0.0.7:7"].map(|text| text.parse().unwrap()));
        assert!(self::config(&["bind \"\""]).unwrap().bind.is_empty());
        assert_eq!(self::config(&["bind -"]).unwrap_err(), "bind: '-' is no address");
    }

    #[test]
    fn shard_ports() {
        assert_eq!(config(&["port 7000", "shard-ports 8000"]).unwrap().shard_port(ShardId(1)), Some(8_001));
        assert_eq!(config(&["shard-ports off"]).unwrap().shard_port(ShardId(0)), None);
        assert_eq!(config(&["port 0"]).unwrap().shard_port(ShardId(0)), None);
        assert_eq!(
            config(&["port 65535"]).unwrap_err(),
            "shard-ports: there is no port after 65535; give a port or off"
        );
        assert_eq!(
            config(&["port 65530", "shards 9"]).unwrap_err(),
            "shard-ports: 9 shards from port 65531 on end beyond port 65535"
        );
        assert_eq!(
            config(&["port 7002", "shard-ports 7000", "shards 4"]).unwrap_err(),
            "shard-ports: the shards' ports 7000 to 7003 contain port 7002"
        );
    }

    #[test]
    fn zero_and_minus_one_mean_what_they_mean_in_redis() {
        let config = config(&["slowlog-log-slower-than -1", "lua-time-limit 0", "timeout 30"]).unwrap();
        assert_eq!((config.slowlog_slower_than, config.script.busy_threshold), (None, None));
        assert_eq!(config.timeout, Some(Duration::from_secs(30)));
        let config = self::config(&["slowlog-log-slower-than 0"]).unwrap();
        assert_eq!(config.slowlog_slower_than, Some(Duration::ZERO), "every command is slow");
    }
}
