//! What the server keeps for one connection, besides its bytes.

use crate::resp::Decoder;
use crate::route::{Gate, Join, OutputQueue};
use crate::serve::called::{Called, Ran};
use crate::serve::engine::Engine;
use crate::serve::exec::ExecRun;
use crate::serve::job::OwnedCall;
use crate::serve::message::Answer;
use crate::serve::shown::Shown;
pub use crate::serve::traffic::Traffic;
use ringkeep_shards::command::Session;
use ringkeep_shards::ids::ShardId;
use ringkeep_shards::lost::Fate;
use ringkeep_shards::port;
use smallvec::SmallVec;
use std::any::Any;
use std::net::SocketAddr;

/// One connection's client.
pub struct Client {
    /// Finds requests in what was received.
    pub decoder: Decoder,
    /// The rest; apart from the decoder, whose arguments are borrowed while a request runs.
    pub state: ClientState,
}

/// A client's state while its requests run.
pub struct ClientState {
    /// What commands see.
    pub session: Session,
    /// When its replies may leave.
    pub gates: OutputQueue,
    /// The request that is being worked on elsewhere; what follows it is held back.
    pub waiting: Option<Waiting>,
    /// Counts waits.
    pub serial: u32,
    /// Commands for a foreign shard that are gathered into one message.
    pub run: Option<Run>,
    /// A request with large arguments that waits for the run before it.
    pub deferred: Option<Vec<bytes::Bytes>>,
    /// EXEC, while it runs piece by piece.
    pub exec: Option<Box<ExecRun>>,
    /// The gate that the connection was last listed for at its shard.
    pub listed: (ShardId, port::Gate),
    /// Set when the connection holds more than it may: it is closed.
    pub overrun: Option<Overrun>,
    /// Since when it leaves more unread than the soft limit, on the node's monotonic clock.
    pub over_soft_limit_us: Option<u64>,
    /// Whether receiving is paused.
    pub paused: bool,
    /// Whether the peer has sent its last byte.
    pub ended: bool,
    /// Where it came from.
    pub peer: Option<SocketAddr>,
    /// Where it arrived.
    pub local: Option<SocketAddr>,
    /// The port of shard 0; shard n has the n-th one after it. None if shards have no ports.
    pub shard_port_first: Option<u16>,
    /// When it was made, on the node's monotonic clock.
    pub since_us: u64,
    /// Which cores its commands are for.
    pub traffic: Traffic,
}

impl ClientState {
    /// The state of a new connection.
    pub fn new(session: Session, since_us: u64, shard_port_first: Option<u16>) -> Self {
        ClientState {
            session,
            gates: OutputQueue::default(),
            waiting: None,
            serial: 0,
            run: None,
            deferred: None,
            exec: None,
            listed: (ShardId(0), port::Gate::OPEN),
            overrun: None,
            over_soft_limit_us: None,
            paused: false,
            ended: false,
            peer: None,
            local: None,
            shard_port_first,
            since_us,
            traffic: Traffic::default(),
        }
    }
}

/// What a connection holds too much of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Overrun {
    /// Bytes of requests.
    Query,
    /// Bytes of replies that the client does not read.
    Output,
}

/// Commands for one foreign shard.
pub struct Run {
    /// The shard.
    pub shard: ShardId,
    /// The commands.
    pub calls: Vec<OwnedCall>,
}

/// Writes a reply made of the data that all cores answered with.
pub type FinishData = dyn FnOnce(&mut Engine, &mut ClientState, Vec<Box<dyn Any + Send>>, &mut Vec<u8>) + Send;

/// What makes one reply of the parts' answers.
pub enum Finish {
    /// The only part's reply.
    Reply,
    /// The parts' replies, joined.
    Join(Join),
    /// Any part's reply that is not null.
    Any,
    /// EXEC: what its commands made of the session holds, unless a watched key was changed.
    Exec(Box<Session>),
    /// A piece of an EXEC.
    Piece,
    /// The end of an EXEC of several pieces: its shard is released, and what it did there is committed.
    ExecEnd,
    /// WATCH: the numbers are remembered, the reply is OK.
    Watch,
    /// A function of the parts' data, which writes the reply.
    Data(Box<FinishData>),
}

/// A request that waits for answers.
pub struct Waiting {
    /// Tells its answers from others'.
    pub serial: u32,
    /// The answers so far.
    pub parts: Vec<Option<Answer>>,
    /// How many are missing.
    pub missing: usize,
    /// What becomes of them.
    pub finish: Finish,
    /// The commands that are waited for.
    pub called: Called,
    /// When they began, in nanoseconds of the core's call book.
    pub begun_ns: u64,
    /// The arguments of a command of the node, cut, for the slow log.
    pub arguments: Option<Vec<Vec<u8>>>,
    /// What the parts' cores found out.
    pub ran: Ran,
    /// Gates of this core's shards that the reply waits for.
    pub gates: SmallVec<[Gate; 2]>,
    /// What of the reply is sent.
    pub shown: Shown,
    /// What became of a part that was answered and lost before the others were: the reply says so.
    pub lost: Option<Fate>,
}

impl ClientState {
    /// The port of a shard; 0 if shards have none.
    pub fn shard_port(&self, shard: ShardId) -> u16 {
        self.shard_port_first.map_or(0, |first| first.saturating_add(shard.0))
    }

    /// Whether the reply that was just written, or will be, is sent; CLIENT REPLY's mode moves on to the next request. Commands of an
    /// EXEC are no requests of their own.
    pub fn take_reply_mode(&mut self) -> bool {
        let sends = self.session.reply_mode.sends();
        if self.exec.is_none() {
            self.session.reply_mode.request_ended();
        }
        sends
    }

    /// Begins to wait for `parts` answers; the serial number that they carry.
    pub fn wait(&mut self, parts: usize, finish: Finish) -> u32 {
        assert!(self.waiting.is_none(), "one request of a connection runs at a time");
        self.serial = self.serial.wrapping_add(1);
        self.waiting = Some(Waiting {
            serial: self.serial,
            parts: (0..parts).map(|_| None).collect(),
            missing: parts,
            finish,
            called: Called::Nothing,
            begun_ns: 0,
            arguments: None,
            ran: Ran::default(),
            gates: SmallVec::new(),
            shown: Shown::All,
            lost: None,
        });
        self.serial
    }
}
