//! What comes out of a ring.

use std::io;
use std::os::fd::OwnedFd;

use super::buffers::ProvidedBuffer;
use ringkeep_shards::log::AlignedBuffer;

/// A socket that a ring drives. Ids of closed sockets are not valid again when their place is reused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SocketId {
    pub(super) index: u32,
    pub(super) generation: u32,
}

impl SocketId {
    /// The place of the socket in the ring: small, dense, reused. Tables beside the ring are indexed by it.
    pub fn index(self) -> usize {
        self.index as usize
    }

    /// A socket of no ring, for tests of what lies above.
    #[cfg(test)]
    pub(crate) fn for_test(index: u32) -> Self {
        SocketId { index, generation: 0 }
    }
}

/// A listener that a ring accepts from. Never reused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ListenerId(pub(super) u32);

/// Why nothing more will be received from a socket.
#[derive(Debug)]
pub enum EndReason {
    /// The peer closed, or shut down its sending side.
    EndOfStream,
    /// The connection is broken.
    Failed(io::Error),
}

/// One event of a ring.
#[derive(Debug)]
pub enum Completion {
    /// A connection arrived. It is nobody's yet: give it to a ring with [`Ring::attach`](super::Ring::attach), or drop it.
    Accepted {
        /// Where it arrived.
        listener: ListenerId,
        /// The connection.
        socket: OwnedFd,
    },
    /// A connection could not be taken for want of descriptors or memory. Nothing more is accepted there until
    /// [`Ring::resume_accepting`](super::Ring::resume_accepting); wait a while first.
    AcceptFailed {
        /// The listener that stopped.
        listener: ListenerId,
        /// What is lacking.
        error: io::Error,
    },
    /// A listener is closed: the last event of it.
    ListenerClosed {
        /// The listener.
        listener: ListenerId,
    },
    /// Bytes arrived. More will, without being asked for.
    Received {
        /// From where.
        socket: SocketId,
        /// The bytes; drop them soon.
        bytes: ProvidedBuffer,
    },
    /// The answer to [`Ring::receive_into`](super::Ring::receive_into). Receiving has stopped; go on with another
    /// `receive_into` or with [`Ring::receive`](super::Ring::receive).
    ReceivedInto {
        /// From where.
        socket: SocketId,
        /// The buffer, longer by `received` bytes.
        buffer: Vec<u8>,
        /// How many bytes arrived, never zero. Fewer than asked for when the socket ended or was paused.
        received: usize,
    },
    /// The answer to [`Ring::pause`](super::Ring::pause): nothing more arrives until it is asked for.
    Paused {
        /// The socket.
        socket: SocketId,
        /// The buffer of a `receive_into` that was cut off before any byte arrived.
        buffer: Option<Vec<u8>>,
    },
    /// Nothing more will be received. Sending still works after an end of stream.
    ReceiveEnded {
        /// The socket.
        socket: SocketId,
        /// Why.
        reason: EndReason,
    },
    /// All bytes of a send are with the kernel. The buffer is as it was given, for reuse.
    Sent {
        /// The socket.
        socket: SocketId,
        /// The buffer.
        buffer: Vec<u8>,
    },
    /// A send failed; the connection is broken.
    SendFailed {
        /// The socket.
        socket: SocketId,
        /// The buffer.
        buffer: Vec<u8>,
        /// Why.
        error: io::Error,
    },
    /// The answer to [`Ring::close`](super::Ring::close), and the last event of the socket.
    Closed {
        /// The socket; the id is invalid from now on.
        socket: SocketId,
    },
    /// The answer to [`Ring::write_log`](super::Ring::write_log).
    LogWritten {
        /// The number that the caller gave.
        token: u64,
        /// The buffer as it was given, for reuse.
        buffer: AlignedBuffer,
        /// Durable, or why not; a short write is an error of kind `WriteZero`.
        result: io::Result<()>,
    },
    /// Somebody rang the doorbell, or cold values are ready: look at what else the core serves.
    Woken,
}
