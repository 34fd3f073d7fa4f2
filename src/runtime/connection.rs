//! What a connection holds on its core besides its socket: bytes not yet decoded, replies not yet sent.
//!
//! ```text
//! replies -> gathering ......................... -> in flight (the ring's) -> buffer pool
//!            [ may be sent | waits for its gate ]
//! ```
//!
//! Buffers come from a pool of the core and go back when they are empty: a quiet connection holds no memory for bytes.

mod pool;
mod table;

use std::os::fd::OwnedFd;

use super::ring::SocketId;

pub use pool::{BufferPool, POOLED_BUFFER_BYTES_MAX, POOLED_BUFFERS_MAX};
pub use table::Connections;

/// Replies that may gather for a client that does not read them, before no more of its requests are run, in bytes. A limit that drops
/// it may come first.
pub const OUTPUT_AHEAD_BYTES_MAX: usize = 64 << 20;

/// The transport state of one connection; `T` is what the rest of the server keeps for its client.
pub struct Connection<T> {
    socket: SocketId,
    /// The client.
    pub client: T,
    input: Vec<u8>,
    /// What of `input` was consumed already.
    input_start: usize,
    gathering: Vec<u8>,
    /// What of `gathering` was sent already.
    gathering_start: usize,
    in_flight_bytes: usize,
    /// Nothing more is read or gathered; the connection closes when all is sent.
    pub close_after_flush: bool,
    /// Whether the connection is listed among those that have something to send; the owner's to use.
    pub is_dirty: bool,
    /// Whether so many replies have gathered that no more requests are run until some have left.
    pub is_full: bool,
    /// When bytes last came or went, on the core's monotonic clock.
    pub last_active_us: u64,
    received_bytes: u64,
    sent_bytes: u64,
}

/// A connection on its way to another core: nothing of it is in flight.
pub struct MovedConnection<T> {
    /// The socket.
    pub descriptor: OwnedFd,
    /// What the other core has to decode first.
    pub undecoded: Vec<u8>,
    /// The client.
    pub client: T,
    /// Bytes received and sent so far.
    pub traffic_bytes: (u64, u64),
    /// When bytes last came or went, on the node's monotonic clock.
    pub last_active_us: u64,
}

impl<T> Connection<T> {
    /// A new connection.
    pub fn new(socket: SocketId, client: T, now_us: u64) -> Self {
        Self {
            socket,
            client,
            input: Vec::new(),
            input_start: 0,
            gathering: Vec::new(),
            gathering_start: 0,
            in_flight_bytes: 0,
            close_after_flush: false,
            is_dirty: false,
            is_full: false,
            last_active_us: now_us,
            received_bytes: 0,
            sent_bytes: 0,
        }
    }

    /// Its socket in the core's ring.
    pub fn socket(&self) -> SocketId {
        self.socket
    }

    /// Notes that bytes arrived.
    pub fn note_received(&mut self, bytes: usize, now_us: u64) {
        self.received_bytes += bytes as u64;
        self.last_active_us = now_us;
    }

    /// Bytes received and sent since the connection was made.
    pub fn traffic_bytes(&self) -> (u64, u64) {
        (self.received_bytes, self.sent_bytes)
    }

    /// What was received and not decoded. When it is empty, new bytes are decoded where they are, and only what is left of
    /// them is kept.
    pub fn undecoded(&self) -> &[u8] {
        &self.input[self.input_start..]
    }

    /// Keeps bytes behind what is undecoded.
    pub fn keep(&mut self, bytes: &[u8], pool: &mut BufferPool) {
        if bytes.is_empty() {
            return;
        }
        if self.input.capacity() == 0 {
            self.input = pool.take();
        }
        // Moving the rest to the front costs no more than what was consumed before it.
        if self.input_start > 0 && self.input_start >= self.input.len() / 2 {
            self.input.drain(..self.input_start);
            self.input_start = 0;
        }
        self.input.extend_from_slice(bytes);
    }

    /// Takes `bytes` off the front of what is undecoded.
    ///
    /// # Panics
    /// When there are not as many.
    pub fn consume(&mut self, bytes: usize, pool: &mut BufferPool) {
        assert!(bytes <= self.undecoded().len(), "what is consumed was there");
        self.input_start += bytes;
        if self.input_start == self.input.len() {
            self.input_start = 0;
            pool.put(std::mem::take(&mut self.input));
        }
    }

    /// The undecoded bytes as a buffer of their own, to receive a large value behind them; [`Self::put_undecoded`] brings
    /// them back.
    pub fn take_undecoded(&mut self) -> Vec<u8> {
        self.input.drain(..self.input_start);
        self.input_start = 0;
        std::mem::take(&mut self.input)
    }

    /// See [`Self::take_undecoded`].
    ///
    /// # Panics
    /// When something was kept meanwhile: it would be out of order.
    pub fn put_undecoded(&mut self, bytes: Vec<u8>) {
        assert!(self.undecoded().is_empty(), "one buffer holds what is undecoded");
        self.input = bytes;
        self.input_start = 0;
    }

    /// Where replies are written, at its end.
    pub fn output(&mut self, pool: &mut BufferPool) -> &mut Vec<u8> {
        if self.gathering.capacity() == 0 {
            self.gathering = pool.take();
        }
        &mut self.gathering
    }

    /// The client and where its replies are written, borrowed apart; and where in the latter the oldest byte that was not handed to
    /// the ring is.
    pub fn client_and_output(&mut self, pool: &mut BufferPool) -> (&mut T, &mut Vec<u8>, usize) {
        if self.gathering.capacity() == 0 {
            self.gathering = pool.take();
        }
        (&mut self.client, &mut self.gathering, self.gathering_start)
    }

    /// The replies that were gathered and not handed to the ring, in bytes.
    pub fn gathered_bytes(&self) -> usize {
        self.gathering.len() - self.gathering_start
    }

    /// All that the client has not taken: gathered and in flight.
    pub fn unsent_bytes(&self) -> usize {
        self.gathered_bytes() + self.in_flight_bytes
    }

    /// Memory held for bytes in both directions.
    pub fn buffer_bytes(&self) -> usize {
        self.input.capacity() + self.gathering.capacity() + self.in_flight_bytes
    }

    /// Whether a send is under way.
    pub fn is_sending(&self) -> bool {
        self.in_flight_bytes > 0
    }

    /// Whether it has nothing left to send.
    pub fn is_flushed(&self) -> bool {
        self.unsent_bytes() == 0
    }

    /// Takes the first `sendable` of the gathered bytes, for [`Ring::send`](super::ring::Ring::send). `None` while a send is
    /// under way or when there is nothing. Takes the whole buffer when all may go; otherwise copies the shorter part.
    ///
    /// # Panics
    /// When fewer are gathered.
    pub fn take_sendable(&mut self, sendable: usize, pool: &mut BufferPool) -> Option<Vec<u8>> {
        let gathered = self.gathered_bytes();
        assert!(sendable <= gathered, "what may be sent was gathered");
        if sendable == 0 || self.is_sending() {
            return None;
        }
        self.in_flight_bytes = sendable;
        if self.gathering_start == 0 && sendable >= gathered - sendable {
            let mut rest = Vec::new();
            if sendable < gathered {
                rest = pool.take();
                rest.extend_from_slice(&self.gathering[sendable..]);
                self.gathering.truncate(sendable);
            }
            return Some(std::mem::replace(&mut self.gathering, rest));
        }
        let end = self.gathering_start + sendable;
        let mut part = pool.take();
        part.extend_from_slice(&self.gathering[self.gathering_start..end]);
        if end == self.gathering.len() {
            self.gathering_start = 0;
            pool.put(std::mem::take(&mut self.gathering));
        } else if end > self.gathering.len() / 2 {
            self.gathering.drain(..end);
            self.gathering_start = 0;
        } else {
            self.gathering_start = end;
        }
        Some(part)
    }

    /// A send is done, or failed; its buffer goes to the pool.
    pub fn sent(&mut self, buffer: Vec<u8>, now_us: u64, pool: &mut BufferPool) {
        assert!(buffer.len() == self.in_flight_bytes, "what comes back is what was sent");
        self.sent_bytes += buffer.len() as u64;
        self.in_flight_bytes = 0;
        self.last_active_us = now_us;
        pool.put(buffer);
    }

    /// Packs it up for another core. Its socket was released by the ring.
    ///
    /// # Panics
    /// When it is not flushed.
    pub fn into_moved(mut self, descriptor: OwnedFd) -> MovedConnection<T> {
        assert!(self.is_flushed(), "a connection moves when everything is sent");
        let undecoded = self.take_undecoded();
        let traffic_bytes = self.traffic_bytes();
        MovedConnection {
            descriptor,
            undecoded,
            client: self.client,
            traffic_bytes,
            last_active_us: self.last_active_us,
        }
    }

    /// Unpacks one that came from another core, under the id that its socket has in this core's ring. Decode what is
    /// undecoded before anything is received.
    pub fn from_moved(socket: SocketId, undecoded: Vec<u8>, client: T, traffic_bytes: (u64, u64), now_us: u64) -> Self {
        let mut connection = Self::new(socket, client, now_us);
        connection.put_undecoded(undecoded);
        (connection.received_bytes, connection.sent_bytes) = traffic_bytes;
        connection
    }
}

#[cfg(test)]
mod tests;
