//! The transport alone: every inline or RESP `PING` gets a `+PONG`. Shows how the rooms of `runtime` are joined, and measures
//! what they cost: `redis-benchmark -t ping` against this and against redis-server. Ends on SIGTERM and SIGINT and tells what
//! its first core did.
//!
//! `cargo run --release --example ping_server -- [ADDRESS] [CPU ...]`

use std::error::Error;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Mutex;
use std::time::Instant;

use ringkeep::runtime::clock::Clock;
use ringkeep::runtime::connection::{BufferPool, Connection, Connections};
use ringkeep::runtime::doorbell::Doorbell;
use ringkeep::runtime::listen::{Sharing, listen, probe};
use ringkeep::runtime::node::{CpuId, Node, allowed_cpus, prepare_process};
use ringkeep::runtime::ring::{
    Completion, EndReason, Ring, RingConfig, RingError, Sleep, SocketId,
};
use ringkeep::runtime::signals::StopRequest;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The number between `start` and the next line feed, and where the line after it starts. The example takes no malformed
/// request: what is not a number counts as zero.
fn number_line(bytes: &[u8], start: usize) -> Option<(usize, usize)> {
    let length = bytes.get(start..)?.iter().position(|&byte| byte == b'\n')?;
    let digits = bytes[start..start + length]
        .iter()
        .filter(|byte| byte.is_ascii_digit());
    let number = digits.fold(0usize, |number, digit| {
        number
            .saturating_mul(10)
            .saturating_add(usize::from(digit - b'0'))
    });
    Some((number, start + length + 1))
}

/// The length of the whole request at the start of `bytes`, and whether it is a PING.
fn request(bytes: &[u8]) -> Option<(usize, bool)> {
    const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";
    if bytes.starts_with(PING) {
        return Some((PING.len(), true));
    }
    if bytes.first()? != &b'*' {
        let (_, end) = number_line(bytes, 0)?;
        return Some((end, bytes[..end].eq_ignore_ascii_case(b"PING\r\n")));
    }
    let (arguments, mut end) = number_line(bytes, 1)?;
    for _ in 0..arguments {
        let (length, start) = number_line(bytes, end)?;
        end = start.saturating_add(length).saturating_add(2);
    }
    (end <= bytes.len()).then_some((end, false))
}

/// Answers every whole request in `bytes`; returns how many bytes they had.
fn answer(bytes: &[u8], output: &mut Vec<u8>) -> usize {
    let mut start = 0;
    while let Some((length, is_ping)) = request(&bytes[start..]) {
        output.extend_from_slice(if is_ping {
            b"+PONG\r\n"
        } else {
            b"-ERR only PING is served here\r\n"
        });
        start += length;
    }
    start
}

async fn serve(
    listener: OwnedFd,
    doorbell: Doorbell,
    stop: StopRequest,
    worker_cpus: Vec<usize>,
) -> Result<(), RingError> {
    let mut ring = Ring::new(&RingConfig::default(), doorbell, &worker_cpus)?;
    let listener = ring.listen(listener);
    let mut clock = Clock::new(Instant::now());
    let (mut connections, mut pool) = (Connections::<()>::default(), BufferPool::default());
    let mut dirty: Vec<SocketId> = Vec::new();
    let mut stopping = false;
    while !stopping || ring.sockets() > 0 {
        ring.turn(Sleep::Forever, || stop.is_requested() && !stopping)
            .await;
        clock.read();
        while let Some(event) = ring.next_completion() {
            match event {
                Completion::Received { socket, bytes } => {
                    let connection = connections
                        .get_mut(socket)
                        .expect("a socket has a connection");
                    connection.note_received(bytes.len(), clock.monotonic_us());
                    if connection.undecoded().is_empty() {
                        let used = answer(&bytes, connection.output(&mut pool));
                        connection.keep(&bytes[used..], &mut pool);
                    } else {
                        connection.keep(&bytes, &mut pool);
                        let mut replies = Vec::new();
                        let used = answer(connection.undecoded(), &mut replies);
                        connection.output(&mut pool).extend_from_slice(&replies);
                        connection.consume(used, &mut pool);
                    }
                    if !connection.is_dirty {
                        connection.is_dirty = true;
                        dirty.push(socket);
                    }
                }
                Completion::Sent { socket, buffer } => {
                    let connection = connections
                        .get_mut(socket)
                        .expect("a socket has a connection");
                    connection.sent(buffer, clock.monotonic_us(), &mut pool);
                    if connection.gathered_bytes() > 0 && !connection.is_dirty {
                        connection.is_dirty = true;
                        dirty.push(socket);
                    }
                }
                Completion::Accepted { socket, .. } => {
                    let socket = ring.attach(socket);
                    connections.insert(Connection::new(socket, (), clock.monotonic_us()));
                    ring.receive(socket);
                }
                Completion::ReceiveEnded { socket, reason } => {
                    if let EndReason::Failed(error) = reason {
                        eprintln!("a connection failed: {error}");
                    }
                    ring.close(socket);
                }
                Completion::SendFailed { socket, .. } => ring.close(socket),
                Completion::Closed { socket } => drop(connections.remove(socket)),
                Completion::AcceptFailed { listener, error } => {
                    eprintln!("a connection was not accepted: {error}");
                    ring.resume_accepting(listener);
                }
                _ => {}
            }
        }
        for socket in dirty.drain(..) {
            let Some(connection) = connections.get_mut(socket).filter(|_| ring.is_open(socket))
            else {
                continue;
            };
            connection.is_dirty = false;
            if let Some(buffer) = connection.take_sendable(connection.gathered_bytes(), &mut pool) {
                ring.send(socket, buffer);
            }
        }
        if stop.is_requested() && !stopping {
            stopping = true;
            ring.stop_listening(listener);
            for connection in connections.iter_mut() {
                ring.close(connection.socket());
            }
        }
    }
    eprintln!("{:?}", ring.counters());
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    prepare_process();
    let mut arguments = std::env::args().skip(1);
    let address: SocketAddr = arguments
        .next()
        .unwrap_or_else(|| "127.0.0.1:7104".into())
        .parse()?;
    let mut cpus: Vec<CpuId> = arguments
        .map(|cpu| cpu.parse().map(CpuId))
        .collect::<Result<_, _>>()?;
    let allowed = allowed_cpus()?;
    if cpus.is_empty() {
        cpus.push(allowed[0]);
    }
    let address = probe(address)?;
    let doorbells = cpus
        .iter()
        .map(|_| Doorbell::new())
        .collect::<Result<Vec<_>, _>>()?;
    let stop = StopRequest::new(&doorbells);
    stop.on_signals()?;
    let listeners = cpus
        .iter()
        .map(|_| listen(address, Sharing::EveryCore, 511).map(Some))
        .collect::<Result<_, _>>()?;
    let listeners: Mutex<Vec<Option<OwnedFd>>> = Mutex::new(listeners);
    eprintln!("listening on {address}, on the CPUs {cpus:?}");
    let own = cpus.clone();
    let node = Node::start(&cpus, move |core| {
        let index = usize::from(core.0);
        let listener = listeners.lock().expect("no core panicked")[index]
            .take()
            .expect("a core starts once");
        let others: Vec<usize> = allowed
            .iter()
            .filter(|&&cpu| cpu != own[index])
            .map(|cpu| cpu.0)
            .collect();
        serve(listener, doorbells[index].clone(), stop.clone(), others)
    })?;
    Ok(node.join()?)
}
