//! What commands of a connection need to know of the server around it.

use crate::ids::ShardId;
use std::ops::Range;

/// The server, as a connection's own commands ask it.
pub trait ConnectionHost {
    /// The password of the default user; none if it needs none.
    fn password(&self) -> Option<&[u8]>;
    /// How many databases SELECT can choose from.
    fn databases(&self) -> u8;
    /// The time, in microseconds since 1970.
    fn unix_us(&self) -> u64;
    /// The connection's transport.
    fn facts(&self) -> ClientFacts;
    /// The node's own name, 40 hexadecimal digits, the same after a restart.
    fn name(&self) -> &str;
    /// How many shards the node has.
    fn shards(&self) -> u16;
    /// The slots of a shard.
    fn slots(&self, shard: ShardId) -> Range<u16>;
    /// Where clients find a shard.
    fn endpoint(&self, shard: ShardId) -> Endpoint;
}

/// What CLIENT LIST tells about a connection's transport. Sizes are bytes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ClientFacts {
    /// Where it comes from, with the port.
    pub peer: String,
    /// Where it arrived, with the port.
    pub local: String,
    /// Its number among its core's sockets.
    pub socket: usize,
    /// Seconds since it was made.
    pub age_s: u64,
    /// Seconds since bytes last came or went.
    pub idle_s: u64,
    /// Bytes received and not yet decoded.
    pub input_bytes: usize,
    /// Bytes of replies that have not left.
    pub output_bytes: usize,
    /// Memory held for both.
    pub buffer_bytes: usize,
}

/// Which of an endpoint's names clients are told first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum PreferredEndpoint {
    /// The address.
    #[default]
    Ip,
    /// The host name.
    Hostname,
    /// None: clients keep to the address that they used.
    Unknown,
}

/// Where clients find a shard.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Endpoint {
    /// The address.
    pub ip: String,
    /// The host name; empty if there is none.
    pub hostname: String,
    /// The port; 0 if shards have none.
    pub port: u16,
    /// Which of them comes first.
    pub preferred: PreferredEndpoint,
}

impl Endpoint {
    /// What clients are to connect to; none if it is what they used already.
    pub fn name(&self) -> Option<&str> {
        match self.preferred {
            PreferredEndpoint::Ip => Some(&self.ip),
            PreferredEndpoint::Hostname if self.hostname.is_empty() => Some("?"),
            PreferredEndpoint::Hostname => Some(&self.hostname),
            PreferredEndpoint::Unknown => None,
        }
    }
}
