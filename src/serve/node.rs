//! The node as one core sees it, and the commands that are the whole node's.
//!
//! Every core has its own copy; a change is a question to all of them.

use crate::config::ConfigStore;
use crate::observe::Observed;
use crate::resp::WireReply;
use crate::runtime::ring::SocketId;
use crate::runtime::signals::StopRequest;
use crate::runtime::slice_timer::SliceLength;
use crate::serve::client::ClientState;
use crate::serve::engine::Engine;
use ringkeep_shards::command::Command;
use ringkeep_shards::reply::ReplySink;

/// One core's copy of what is the node's.
pub struct NodeState {
    /// The settings.
    pub settings: ConfigStore,
    /// The node's own name, the same after a restart, 40 hexadecimal digits (INFO `run_id`).
    pub run_id: String,
    /// The data directory's name, 40 hexadecimal digits: what the ids of its shards as a cluster's nodes come from.
    pub name: String,
    /// When the process started, in Unix milliseconds.
    pub started_unix_ms: u64,
    /// Stops the process.
    pub stop: StopRequest,
    /// How long the slices of scripts are.
    pub slice_length: SliceLength,
    /// What this core has done.
    pub counters: CoreCounters,
    /// What this core keeps for SLOWLOG, LATENCY, CONFIG RESETSTAT.
    pub observed: Observed,
}

impl NodeState {
    /// Bytes of replies that an ordinary client may leave unread.
    pub fn output_bytes_max(&self) -> usize {
        match self.settings.config().output_limits.normal.hard_bytes {
            0 => usize::MAX,
            bytes => bytes as usize,
        }
    }

    /// The longest argument that a client may send, in bytes.
    #[inline]
    pub fn bulk_bytes_max(&self) -> usize {
        self.settings.config().bulk_bytes_max as usize
    }
}

/// What one core has done since the start or CONFIG RESETSTAT.
#[derive(Clone, Copy, Default, Debug)]
pub struct CoreCounters {
    /// Connections accepted.
    pub connections_received: u64,
    /// Connections refused at `maxclients`.
    pub connections_rejected: u64,
    /// Times that bytes were received.
    pub receives: u64,
    /// Times that bytes were sent.
    pub sends: u64,
    /// Time that the shards' timers took, in microseconds: expiry, mostly.
    pub expiry_us: u64,
    /// Messages to other cores.
    pub mesh_messages: u64,
    /// Connections closed at their query buffer limit.
    pub query_limit_closed: u64,
    /// Connections closed at their output limit.
    pub output_limit_closed: u64,
    /// Bytes received.
    pub input_bytes: u64,
    /// Bytes sent.
    pub output_bytes: u64,
    /// Connections that moved to another core.
    pub moved_connections: u64,
}

impl Engine {
    /// Runs a command whose row says [`ringkeep_shards::command::Run::Node`].
    pub(super) fn on_node(
        &mut self,
        socket: SocketId,
        state: &mut ClientState,
        command: &'static Command,
        list: &[&[u8]],
        out: &mut Vec<u8>,
        start: usize,
    ) {
        if self.observe(socket, state, command, list, out, start) {
            return;
        }
        let before = out.len();
        let mut reply = WireReply::new(out, state.session.protocol);
        reply.error(&format!("ERR {} is not there yet", command.name));
        self.replied(state, out, start, before, None);
    }
}
