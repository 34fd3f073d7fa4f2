//! From received bytes to requests: decoding, running, and going on with what was held back.

use crate::resp::Decoded;
use crate::runtime::connection::{BufferPool, Connection, OUTPUT_AHEAD_BYTES_MAX};
use crate::runtime::ring::SocketId;
use crate::serve::client::{Client, ClientState, Overrun};
use crate::serve::engine::Engine;
use bytes::Bytes;
use smallvec::SmallVec;

use super::Reactor;

/// Bytes that a connection may have sent ahead of a request that waits before it is not read from any more.
const HELD_BACK_BYTES_MAX: usize = 1 << 20;

impl Reactor {
    pub(super) fn received(&mut self, socket: SocketId, bytes: &[u8]) {
        let now_us = self.clock.monotonic_us();
        let Some(connection) = self.connections.get_mut(socket) else { return };
        connection.note_received(bytes.len(), now_us);
        self.engine.node.counters.input_bytes += bytes.len() as u64;
        self.engine.node.counters.receives += 1;
        let state = &connection.client.state;
        let departs = self.moves.is_departing(socket);
        if state.waiting.is_some() || state.session.closing || connection.is_full || departs {
            if !state.session.closing {
                connection.keep(bytes, &mut self.pool);
                if connection.undecoded().len() > HELD_BACK_BYTES_MAX && !connection.client.state.paused {
                    self.ring.pause(socket);
                }
            }
            return;
        }
        if connection.undecoded().is_empty() {
            let used = Self::decode(&mut self.engine, &mut self.pool, connection, bytes);
            connection.keep(&bytes[used..], &mut self.pool);
        } else {
            connection.keep(bytes, &mut self.pool);
            self.decode_kept(socket);
        }
        self.check_bounds(socket);
        self.flush(socket);
    }

    /// Decodes what was kept of a connection.
    pub(super) fn decode_kept(&mut self, socket: SocketId) {
        let Some(connection) = self.connections.get_mut(socket) else { return };
        let mut input = connection.take_undecoded();
        let used = Self::decode(&mut self.engine, &mut self.pool, connection, &input);
        if used == input.len() {
            self.pool.put(input);
        } else {
            input.drain(..used);
            connection.put_undecoded(input);
        }
    }

    /// Decodes and runs the requests in `input`, until one must wait; how many bytes are used up.
    pub(super) fn decode(
        engine: &mut Engine,
        pool: &mut BufferPool,
        connection: &mut Connection<Client>,
        input: &[u8],
    ) -> usize {
        let socket = connection.socket();
        let (client, out, start) = connection.client_and_output(pool);
        let Client { decoder, state } = client;
        if let Some(arguments) = state.deferred.take() {
            let list: Vec<&[u8]> = arguments.iter().map(|bytes| &bytes[..]).collect();
            let owned: Vec<(usize, Bytes)> = arguments.iter().cloned().enumerate().collect();
            let ran = engine.execute(socket, state, &list, &owned, out, start);
            assert!(ran, "nothing is gathered when a request was deferred");
        }
        engine.node.observed.calls.begin_batch();
        let mut used = 0;
        let mut is_full = false;
        let output_bytes_max = engine.node.output_bytes_max();
        // Where no password is asked for any more nobody is a stranger.
        state.session.authenticated |= engine.node.settings.config().requirepass.is_none();
        while state.waiting.is_none() && !state.session.closing && used < input.len() {
            if out.len() - start > output_bytes_max {
                state.overrun = Some(Overrun::Output);
                break;
            }
            is_full = out.len() - start > OUTPUT_AHEAD_BYTES_MAX;
            if is_full {
                break;
            }
            decoder.set_bounds(state.session.authenticated, engine.node.bulk_bytes_max());
            match decoder.next(&input[used..]) {
                Decoded::Request { consumed } => {
                    if !Self::run_request(engine, socket, decoder, state, &input[used..], out, start) {
                        // The gathered commands are sent first. The decoder gives this request again, unless it has taken its
                        // bytes out of the input.
                        engine.send_run(socket, state);
                        if state.deferred.is_some() {
                            used += consumed;
                        }
                        break;
                    }
                    used += consumed;
                }
                Decoded::Empty { consumed } => {
                    state.session.reply_mode.request_ended();
                    used += consumed;
                }
                Decoded::Incomplete { .. } => break,
                Decoded::Large { consumed, .. } => used += consumed,
                Decoded::Error(error) => {
                    if state.run.is_some() {
                        // What was gathered is answered first. The decoder gives the error again.
                        engine.send_run(socket, state);
                        break;
                    }
                    if state.session.reply_mode.sends() {
                        error.write(out);
                    }
                    state.gates.mark(out.len() - start, None);
                    state.session.closing = true;
                }
            }
        }
        engine.send_run(socket, state);
        engine.node.observed.calls.end_batch();
        if out.len() - start > output_bytes_max {
            state.overrun = Some(Overrun::Output);
        }
        connection.is_full = is_full;
        used
    }

    #[inline]
    pub(super) fn run_request(
        engine: &mut Engine,
        socket: SocketId,
        decoder: &mut crate::resp::Decoder,
        state: &mut ClientState,
        input: &[u8],
        out: &mut Vec<u8>,
        start: usize,
    ) -> bool {
        let mut owned: SmallVec<[(usize, Bytes); 2]> = SmallVec::new();
        if decoder.has_large() {
            for index in 0..decoder.argument_count() {
                if let Some(bytes) = decoder.take_large(index) {
                    owned.push((index, Bytes::from(bytes)));
                }
            }
        }
        let mut list = crate::resp::Arguments::new();
        decoder.arguments(input, &mut list);
        for (index, bytes) in &owned {
            list[*index] = bytes;
        }
        let ran = engine.execute(socket, state, &list, &owned, out, start);
        if !ran && !owned.is_empty() {
            state.deferred = Some(list.iter().map(|argument| Bytes::copy_from_slice(argument)).collect());
        }
        ran
    }

    /// A connection's request is finished: what was held back behind it runs.
    pub(super) fn resume(&mut self, socket: SocketId) {
        if !self.ring.is_open(socket) {
            return;
        }
        let Some(connection) = self.connections.get_mut(socket) else { return };
        if connection.client.state.waiting.is_none() {
            if self.check_bounds(socket) || self.moves.is_departing(socket) || self.begin_departure(socket) {
                return self.flush(socket);
            }
            let Some(connection) = self.connections.get_mut(socket) else { return };
            if !connection.undecoded().is_empty() || connection.client.state.deferred.is_some() {
                self.decode_kept(socket);
            }
            let Some(connection) = self.connections.get_mut(socket) else { return };
            let state = &mut connection.client.state;
            if state.waiting.is_none() {
                state.session.closing |= state.ended && !connection.is_full;
                if state.paused && !connection.is_full {
                    state.paused = false;
                    self.ring.receive(socket);
                }
            }
        }
        self.flush(socket);
    }
}
