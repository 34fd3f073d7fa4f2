//! A shard's port as a Redis Cluster node: addresses, and what is refused there before EXEC.

use crate::config::{Config, EndpointType};
use crate::resp::WireReply;
use crate::serve::client::ClientState;
use crate::serve::engine::Engine;
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

impl Engine {
    /// Refuses a command that was just queued if its keys are not this shard's: a cluster's client goes elsewhere then, and does not
    /// find out at EXEC. `before` is where the reply to it begins.
    pub(super) fn check_queued(&mut self, state: &mut ClientState, list: &[&[u8]], out: &mut Vec<u8>, before: usize) {
        let queued = state.session.transaction.as_ref().and_then(|queue| queue.commands.last());
        let &(command, _) = queued.expect("a command was just queued");
        let mut refusal = Vec::new();
        let mut reply = WireReply::new(&mut refusal, state.session.protocol);
        if self.shard_for(state, command, list, &mut reply).is_some() {
            return;
        }
        out.truncate(before);
        out.extend_from_slice(&refusal);
        let queue = state.session.transaction.as_mut().expect("it was just looked at");
        queue.commands.pop();
        queue.aborted = true;
    }
}
