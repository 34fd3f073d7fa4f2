//! Addresses of shards, as cluster clients are told them.

use crate::serve::client::ClientState;
use ringkeep_shards::ids::ShardId;

/// Host and port of a shard, for a client: the address that it reached this node by.
pub fn shard_address(state: &ClientState, shard: ShardId) -> (String, u16) {
    let host = state.local.map_or_else(|| "127.0.0.1".to_owned(), |address| address.ip().to_string());
    (host, state.shard_port(shard))
}
