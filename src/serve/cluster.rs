//! Addresses of shards, as cluster clients are told them.

use crate::config::{Config, EndpointType};
use crate::serve::client::ClientState;
use ringkeep_shards::command::{Endpoint, PreferredEndpoint};
use ringkeep_shards::ids::ShardId;
use std::net::SocketAddr;

/// Where clients find a shard: what is announced, or else the address that this client reached the node by.
pub fn endpoint(config: &Config, local: Option<SocketAddr>, shard_port: u16, shard: ShardId) -> Endpoint {
    let announce = &config.announce;
    let reached = || local.map_or_else(|| "127.0.0.1".to_owned(), |address| address.ip().to_canonical().to_string());
    Endpoint {
        ip: announce.ip.clone().unwrap_or_else(reached),
        hostname: announce.hostname.clone().unwrap_or_default(),
        port: announce.port.map_or(shard_port, |first| first.get().saturating_add(shard.0)),
        preferred: match announce.preferred {
            EndpointType::Ip => PreferredEndpoint::Ip,
            EndpointType::Hostname => PreferredEndpoint::Hostname,
            EndpointType::Unknown => PreferredEndpoint::Unknown,
        },
    }
}

/// Host and port of a shard, as MOVED names them. An empty host is the one that the client used.
pub fn shard_address(config: &Config, state: &ClientState, shard: ShardId) -> (String, u16) {
    let endpoint = endpoint(config, state.local, state.shard_port(shard), shard);
    (endpoint.name().unwrap_or_default().to_owned(), endpoint.port)
}
