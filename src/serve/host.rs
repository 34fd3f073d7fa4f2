//! What a connection's own commands ask of the server around it.

use crate::runtime::clock;
use crate::serve::client::ClientState;
use crate::serve::engine::Engine;
use ringkeep_shards::command::{ClientFacts, ConnectionHost, Endpoint};
use ringkeep_shards::ids::ShardId;
use std::net::SocketAddr;
use std::ops::Range;

/// The server, as one connection's commands see it.
pub struct Host<'a> {
    engine: &'a Engine,
    peer: Option<SocketAddr>,
    local: Option<SocketAddr>,
    shard_port_first: Option<u16>,
    since_us: u64,
    socket: usize,
    output_bytes: usize,
}

impl<'a> Host<'a> {
    /// For a connection with so many bytes of replies that have not left.
    pub fn new(engine: &'a Engine, state: &ClientState, socket: usize, output_bytes: usize) -> Self {
        let ClientState { peer, local, shard_port_first, since_us, .. } = *state;
        Host { engine, peer, local, shard_port_first, since_us, socket, output_bytes }
    }
}

/// An address as CLIENT LIST shows it.
pub fn address_text(address: Option<SocketAddr>) -> String {
    address.map_or_else(|| "?:0".to_owned(), |address| address.to_string())
}

impl ConnectionHost for Host<'_> {
    fn password(&self) -> Option<&[u8]> {
        self.engine.node.settings.config().requirepass.as_deref()
    }

    fn databases(&self) -> u8 {
        self.engine.node.settings.config().databases
    }

    fn unix_us(&self) -> u64 {
        clock::unix_us()
    }

    fn facts(&self) -> ClientFacts {
        ClientFacts {
            peer: address_text(self.peer),
            local: address_text(self.local),
            socket: self.socket,
            age_s: self.engine.now.monotonic_us.saturating_sub(self.since_us) / 1_000_000,
            idle_s: 0,
            input_bytes: 0,
            output_bytes: self.output_bytes,
            buffer_bytes: self.output_bytes,
        }
    }

    fn name(&self) -> &str {
        &self.engine.node.name
    }

    fn shards(&self) -> u16 {
        self.engine.shard_count()
    }

    fn slots(&self, shard: ShardId) -> Range<u16> {
        self.engine.map.slots(shard)
    }

    fn endpoint(&self, shard: ShardId) -> Endpoint {
        let port = self.shard_port_first.map_or(0, |first| first.saturating_add(shard.0));
        super::cluster::endpoint(self.engine.node.settings.config(), self.local, port, shard)
    }
}
