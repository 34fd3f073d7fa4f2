//! What cores say to each other.

use crate::runtime::connection::{BufferPool, Connections, MovedConnection};
use crate::runtime::ring::SocketId;
use crate::serve::called::Ran;
use crate::serve::client::Client;
use crate::serve::engine::Engine;
use crate::serve::job::Job;
use ringkeep_shards::ids::{ClientId, CoreId};
use ringkeep_shards::port::WatchedKey;
use std::any::Any;

/// Which part of which request an answer is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ticket {
    /// The core that holds the connection.
    pub core: CoreId,
    /// The connection; none if nobody waits for the answer.
    pub socket: Option<SocketId>,
    /// The connection's count of waits, so that a late answer is told from this one's.
    pub serial: u32,
    /// The part of the request.
    pub part: u16,
}

/// An answer to a part of a request.
pub enum Answer {
    /// Replies, encoded, in the connection's protocol; and what was found out on the way.
    Reply(Vec<u8>, Ran),
    /// The numbers of watched keys.
    Watched(Vec<WatchedKey>),
    /// What a question found out.
    Data(Box<dyn Any + Send>),
}

/// A question that every core can be asked. It is put between requests, when nothing of a connection is borrowed. Without an answer
/// it has left its ticket with the engine, which answers later.
pub type Question = Box<dyn FnOnce(&mut CoreView<'_>) -> Option<Box<dyn Any + Send>> + Send>;

/// What a question may look at and change: one core.
pub struct CoreView<'a> {
    /// Its engine, with its shards and its copy of the node's settings.
    pub engine: &'a mut Engine,
    /// Its connections.
    pub connections: &'a mut Connections<Client>,
    /// Who asks.
    pub ticket: Ticket,
    /// Buffers for what connections are sent.
    pub pool: &'a mut BufferPool,
    /// Connections to be closed after the question.
    pub close: &'a mut Vec<SocketId>,
}

/// A message from one core to another.
pub enum Message {
    /// Work for a shard of that core.
    Job(Ticket, Job),
    /// A question to the core.
    Ask(Ticket, Question),
    /// The answer to either; its gates are open.
    Answer(Ticket, Answer),
    /// About a connection that moves.
    Moving(Moving),
}

/// What two cores say to each other about a connection that moves from one to the other; see `runtime::reactor::moving`.
pub enum Moving {
    /// It goes to live at the receiver.
    Arrives(Box<MovedConnection<Client>>),
    /// It lives at the sender, which was put so many questions of each core before.
    Arrived(ClientId, Vec<u64>),
    /// The sender has forgotten it: it may move again.
    Settled(ClientId),
    /// It was killed while it moved to the receiver.
    Close(ClientId),
}
