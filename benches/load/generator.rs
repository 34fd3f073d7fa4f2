//! The load itself: one thread, one io_uring, many connections, each with one batch of requests under way.
//!
//! It must be cheaper than the server that it loads, or it is itself what is measured: requests are prepared, sends and
//! receives of all connections go to the kernel in one call, and replies are counted, not parsed.

use super::requests::RequestPool;
use super::scanner::Scanner;
use crate::common::{Random, own_cpu_seconds};
use hdrhistogram::Histogram;
use io_uring::{IoUring, opcode, squeue, types};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

const RECEIVE_BUFFER_BYTES: usize = 32 << 10;
const RING_ENTRIES: u32 = 2_048;
/// Latencies above this count as this.
const LATENCY_NS_MAX: u64 = 60_000_000_000;
/// Replies that are owed at a run's end may take this long.
const DRAIN_SECONDS_MAX: u64 = 20;
/// A completion of a send, as opposed to a receive. Only failed ones are reported.
const SEND_MARK: u64 = 1 << 32;

/// Connections that do the same.
pub struct Group {
    /// Where they connect.
    pub port: u16,
    /// How many.
    pub connections: usize,
    /// Requests under way on each.
    pub pipeline: usize,
    /// What they send.
    pub pool: Arc<RequestPool>,
}

/// What a group saw in a run.
pub struct GroupOutcome {
    /// Replies within the measured time.
    pub operations: u64,
    /// Time from sending a batch to its last reply, in nanoseconds.
    pub latency: Histogram<u64>,
}

/// What a run saw.
pub struct Outcome {
    /// Each group's share.
    pub groups: Vec<GroupOutcome>,
    /// Measured time.
    pub seconds: f64,
    /// CPU time of this thread in it.
    pub load_cpu_seconds: f64,
    /// What `sample` gave at the end, less what it gave at the start.
    pub sampled: f64,
}

struct Connection {
    stream: TcpStream,
    group: usize,
    buffer: Box<[u8]>,
    filled: usize,
    replies_owed: usize,
    sent_at: Instant,
    scanner: Scanner,
}

/// Open connections and the ring that drives them.
pub struct Load {
    ring: IoUring,
    connections: Vec<Connection>,
    groups: Vec<Group>,
    random: Random,
}

impl Load {
    /// Opens all connections.
    ///
    /// # Errors
    /// When the server refuses one, or the kernel gives no ring.
    pub fn connect(groups: Vec<Group>) -> Result<Load, String> {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_cqsize(2 * RING_ENTRIES)
            .build(RING_ENTRIES)
            .map_err(|error| format!("the load needs io_uring: {error}"))?;
        let mut connections = Vec::new();
        for (number, group) in groups.iter().enumerate() {
            for _ in 0..group.connections {
                let stream = TcpStream::connect(("127.0.0.1", group.port))
                    .map_err(|error| format!("cannot connect to port {}: {error}", group.port))?;
                stream.set_nodelay(true).map_err(|error| error.to_string())?;
                connections.push(Connection {
                    stream,
                    group: number,
                    buffer: vec![0; RECEIVE_BUFFER_BYTES].into_boxed_slice(),
                    filled: 0,
                    replies_owed: 0,
                    sent_at: Instant::now(),
                    scanner: Scanner::default(),
                });
            }
        }
        assert!(2 * connections.len() <= RING_ENTRIES as usize, "more connections than the ring has room for");
        Ok(Load { ring, connections, groups, random: Random::new(1) })
    }

    /// Loads the server for `warmup`, then for `measured`, and waits for all replies. `sample` is read at the start and the end
    /// of the measured time.
    ///
    /// # Errors
    /// A wrong reply, a closed connection, a server that stopped answering.
    pub fn run(&mut self, warmup: Duration, measured: Duration, sample: &dyn Fn() -> f64) -> Result<Outcome, String> {
        let mut groups: Vec<GroupOutcome> =
            (self.groups.iter()).map(|_| GroupOutcome { operations: 0, latency: empty_histogram() }).collect();
        let begin = Instant::now();
        for number in 0..self.connections.len() {
            self.send_batch(number, begin);
            self.receive(number);
        }
        // Start of the measured time, this thread's CPU time and the sample at that moment.
        let mut started: Option<(Instant, f64, f64)> = None;
        let mut ended: Option<(f64, f64, f64)> = None;
        let mut busy = self.connections.len();
        let mut ready = Vec::with_capacity(RING_ENTRIES as usize);
        while busy > 0 {
            self.wait()?;
            let now = Instant::now();
            if started.is_none() && now >= begin + warmup {
                started = Some((now, own_cpu_seconds(), sample()));
            }
            if let Some((start, cpu, sampled)) = started
                && ended.is_none()
                && now >= start + measured
            {
                let seconds = (now - start).as_secs_f64();
                ended = Some((seconds, own_cpu_seconds() - cpu, sample() - sampled));
            }
            if now > begin + warmup + measured + Duration::from_secs(DRAIN_SECONDS_MAX) {
                return Err(format!("{busy} connections still wait for replies {DRAIN_SECONDS_MAX} s after the end"));
            }
            ready.extend(self.ring.completion().map(|entry| (entry.user_data(), entry.result())));
            for (mark, result) in ready.drain(..) {
                if mark & SEND_MARK != 0 || result <= 0 {
                    return Err(match result {
                        0.. => "the server closed a connection".to_owned(),
                        code => format!("a socket failed: {}", std::io::Error::from_raw_os_error(-code)),
                    });
                }
                let number = mark as usize;
                let replies = self.take(number, result as usize)?;
                let connection = &mut self.connections[number];
                let outcome = &mut groups[connection.group];
                let counts = started.is_some() && ended.is_none();
                if counts {
                    outcome.operations += replies as u64;
                }
                connection.replies_owed -= replies;
                if connection.replies_owed > 0 {
                    self.receive(number);
                    continue;
                }
                if counts {
                    outcome.latency.saturating_record((now - connection.sent_at).as_nanos() as u64);
                }
                if ended.is_some() {
                    busy -= 1;
                } else {
                    self.send_batch(number, now);
                    self.receive(number);
                }
            }
        }
        let (seconds, load_cpu_seconds, sampled) = ended.expect("connections stop only after the end");
        Ok(Outcome { groups, seconds, load_cpu_seconds, sampled })
    }

    /// Hands what is queued to the kernel and waits for a completion, but never so long that the end of a run goes unseen.
    fn wait(&mut self) -> Result<(), String> {
        let patience = types::Timespec::new().nsec(20_000_000);
        let arguments = types::SubmitArgs::new().timespec(&patience);
        match self.ring.submitter().submit_with_args(1, &arguments) {
            Ok(_) => Ok(()),
            Err(error) if matches!(error.raw_os_error(), Some(libc::ETIME | libc::EINTR)) => Ok(()),
            Err(error) => Err(format!("io_uring_enter: {error}")),
        }
    }

    /// Counts the replies in what was just received.
    fn take(&mut self, number: usize, received: usize) -> Result<usize, String> {
        let connection = &mut self.connections[number];
        connection.filled += received;
        let expected = &self.groups[connection.group].pool.expected;
        let scanned = connection.scanner.scan(&connection.buffer[..connection.filled], expected);
        if let Some(wrong) = scanned.wrong {
            return Err(format!("a wrong reply: {wrong}"));
        }
        if scanned.replies > connection.replies_owed {
            return Err(format!("{} replies more than requests", scanned.replies - connection.replies_owed));
        }
        connection.buffer.copy_within(scanned.consumed..connection.filled, 0);
        connection.filled -= scanned.consumed;
        Ok(scanned.replies)
    }

    fn send_batch(&mut self, number: usize, now: Instant) {
        let connection = &mut self.connections[number];
        let group = &self.groups[connection.group];
        let first = self.random.below(group.pool.len() - group.pipeline + 1);
        let bytes = group.pool.batch(first, group.pipeline);
        connection.replies_owed = group.pipeline;
        connection.sent_at = now;
        // Success goes unreported: the replies show it. A send that waits for room goes on by itself (MSG_WAITALL).
        let entry = opcode::Send::new(types::Fd(connection.stream.as_raw_fd()), bytes.as_ptr(), bytes.len() as u32)
            .flags(libc::MSG_WAITALL | libc::MSG_NOSIGNAL)
            .build()
            .flags(squeue::Flags::SKIP_SUCCESS)
            .user_data(SEND_MARK | number as u64);
        self.push(&entry);
    }

    fn receive(&mut self, number: usize) {
        let connection = &mut self.connections[number];
        let room = &mut connection.buffer[connection.filled..];
        assert!(!room.is_empty(), "a reply's head longer than the receive buffer");
        // Nothing can be there yet: waiting first saves an attempt that fails.
        const POLL_FIRST: u16 = 1;
        let fd = types::Fd(connection.stream.as_raw_fd());
        let entry = opcode::Recv::new(fd, room.as_mut_ptr(), room.len() as u32)
            .ioprio(POLL_FIRST)
            .build()
            .user_data(number as u64);
        self.push(&entry);
    }

    fn push(&mut self, entry: &squeue::Entry) {
        // SAFETY: what the entry points to outlives it: pools are never changed, and a connection's buffer is boxed and touched
        // only when its receive has completed. Both are dropped after the ring (see Drop).
        unsafe { self.ring.submission().push(entry) }.expect("two entries per connection fit");
    }
}

fn empty_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3).expect("bounds in order, three digits")
}

impl Drop for Load {
    fn drop(&mut self) {
        // After a failed run receives may still be under way; the kernel lets go of the buffers once their sockets have ended.
        let mut owing = 0;
        for connection in &self.connections {
            let _ = connection.stream.shutdown(std::net::Shutdown::Both);
            owing += usize::from(connection.replies_owed > 0);
        }
        let deadline = Instant::now() + Duration::from_secs(2);
        while owing > 0 && Instant::now() < deadline && self.wait().is_ok() {
            owing =
                owing.saturating_sub(self.ring.completion().filter(|entry| entry.user_data() & SEND_MARK == 0).count());
        }
        if owing > 0 {
            for connection in self.connections.drain(..) {
                std::mem::forget(connection.buffer);
            }
        }
    }
}
