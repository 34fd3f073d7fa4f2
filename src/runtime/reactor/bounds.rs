//! What a connection may hold and how long it may be silent; those that exceed it are closed.

use crate::log_line;
use crate::runtime::connection::Connection;
use crate::runtime::ring::SocketId;
use crate::serve::client::{Client, Overrun};
use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use super::Reactor;

/// What a client of another machine reads while there is no password.
const PROTECTED: &str = "-DENIED Ringkeep is running in protected mode because protected mode is enabled and no password is \
    set for the default user. In this mode connections are only accepted from the loopback interface. Set a password \
    (requirepass), or disable protected mode (protected-mode no), and connect again.\r\n";

impl Reactor {
    /// Why a new connection is not served.
    pub(super) fn refusal(&self, peer: Option<SocketAddr>) -> Option<&'static str> {
        let config = self.engine.node.settings.config();
        if self.connected.load(Ordering::Relaxed) >= config.clients_max as usize {
            return Some("-ERR max number of clients reached\r\n");
        }
        let foreign = peer.is_some_and(|address| !address.ip().to_canonical().is_loopback());
        if foreign && config.protected_mode && config.requirepass.is_none() {
            return Some(PROTECTED);
        }
        None
    }

    /// Drops a connection that holds more than it may; whether it did.
    pub(super) fn check_bounds(&mut self, socket: SocketId) -> bool {
        let Some(connection) = self.connections.get_mut(socket) else { return false };
        let client = &connection.client;
        let queued = client.state.session.transaction.as_ref().map_or(0, |queue| queue.bytes());
        let query = (connection.undecoded().len() + client.decoder.held_bytes() + queued) as u64;
        if query > self.engine.node.settings.config().query_buffer_bytes_max {
            connection.client.state.overrun = Some(Overrun::Query);
        }
        let unsent = connection.unsent_bytes();
        if unsent > self.engine.node.output_bytes_max() {
            connection.client.state.overrun = Some(Overrun::Output);
        }
        let Some(overrun) = connection.client.state.overrun else { return false };
        let state = &connection.client.state;
        let peer = state.peer.map_or_else(|| "unknown".to_owned(), |peer| peer.to_string());
        let id = state.session.id;
        self.engine.node.counters.output_limit_closed += u64::from(overrun == Overrun::Output);
        self.engine.node.counters.query_limit_closed += u64::from(overrun == Overrun::Query);
        match overrun {
            Overrun::Query => log_line::warning(format_args!(
                "client {id} ({peer}) is closed: {query} bytes of requests exceed client-query-buffer-limit"
            )),
            Overrun::Output => log_line::warning(format_args!(
                "client {id} ({peer}) is closed: {unsent} bytes of replies that it does not read exceed \
                 client-output-buffer-limit"
            )),
        }
        self.leave(socket);
        true
    }

    /// Closes connections that have left more unread than the soft limit for too long.
    pub(super) fn check_soft_limit(&mut self) {
        let limit = self.engine.node.settings.config().output_limits.normal;
        if limit.soft_bytes == 0 {
            return;
        }
        let now_us = self.clock.monotonic_us();
        let mut over = Vec::new();
        for connection in self.connections.iter_mut() {
            let unsent = connection.unsent_bytes();
            let state = &mut connection.client.state;
            if unsent as u64 <= limit.soft_bytes {
                state.over_soft_limit_us = None;
                continue;
            }
            let since_us = *state.over_soft_limit_us.get_or_insert(now_us);
            if now_us.saturating_sub(since_us) > limit.soft_duration.as_micros() as u64 && !state.ended {
                state.ended = true;
                self.engine.node.counters.output_limit_closed += 1;
                let (id, seconds) = (state.session.id, limit.soft_duration.as_secs());
                log_line::warning(format_args!(
                    "client {id} is closed: for more than {seconds} s it has left {unsent} bytes unread, above the soft \
                     client-output-buffer-limit"
                ));
                over.push(connection.socket());
            }
        }
        over.into_iter().for_each(|socket| self.leave(socket));
    }

    /// Closes connections that were silent for longer than `timeout`.
    pub(super) fn close_idle(&mut self) {
        let Some(timeout) = self.engine.node.settings.config().timeout else { return };
        let now_us = self.clock.monotonic_us();
        let idle = |connection: &&mut Connection<Client>| {
            now_us.saturating_sub(connection.last_active_us) > timeout.as_micros() as u64
                && connection.client.state.waiting.is_none()
                // Who only listens has nothing to say.
                && !connection.client.state.session.monitors
        };
        let idle: Vec<SocketId> = self.connections.iter_mut().filter(idle).map(|c| c.socket()).collect();
        for socket in idle {
            self.leave(socket);
        }
    }
}
