//! What cores say to each other.

use crate::runtime::connection::{BufferPool, Connections, MovedConnection};
use crate::runtime::ring::SocketId;
use crate::serve::called::Ran;
use crate::serve::client::Client;
use crate::serve::engine::Engine;
use crate::serve::job::Job;
use ringkeep_shards::ids::CoreId;
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

/// A question that every core can be asked. It is put between requests, when nothing of a connection is borrowed.
pub type Question = Box<dyn FnOnce(&mut CoreView<'_>) -> Box<dyn Any + Send> + Send>;

/// What a question may look at and change: one core.
pub struct CoreView<'a> {
    /// Its engine, with its shards and its copy of the node's settings.
    pub engine: &'a mut Engine,
    /// Its connections.
    pub connections: &'a mut Connections<Client>,
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
    /// A connection that goes to live there.
    Moved(Box<MovedConnection<Client>>),
}
