//! Work for a shard that cannot be done where the request's bytes are: it owns its arguments.

use crate::observe::cut_arguments;
use crate::serve::called::Ran;
use crate::serve::functions::Copy;
use bytes::Bytes;
use ringkeep_shards::command::{Command, Session};
use ringkeep_shards::ids::{ClientId, ContextId, ShardId};
use ringkeep_shards::lost::Fate;
use ringkeep_shards::port::{ExecItem, Gate, WatchedKey};
use ringkeep_shards::reply::Protocol;
use smallvec::SmallVec;

/// One command with arguments of its own.
pub struct OwnedCall {
    /// The row.
    pub command: &'static Command,
    /// The arguments; large ones without a copy.
    pub arguments: SmallVec<[Bytes; 4]>,
}

impl OwnedCall {
    /// Copies the arguments that are not owned yet.
    pub fn new(command: &'static Command, list: &[&[u8]], owned: &[(usize, Bytes)]) -> Self {
        let own = |position: usize| owned.iter().find(|(at, _)| *at == position).map(|(_, bytes)| bytes.clone());
        let arguments = list
            .iter()
            .enumerate()
            .map(|(position, argument)| own(position).unwrap_or_else(|| Bytes::copy_from_slice(argument)))
            .collect();
        OwnedCall { command, arguments }
    }
}

/// What a job does.
pub enum Work {
    /// Commands, one after the other.
    Calls(Vec<OwnedCall>),
    /// EXEC.
    Exec {
        /// Its commands.
        items: Vec<ExecItem>,
        /// The keys it watched.
        watches: Vec<WatchedKey>,
        /// Whether the connection holds the shard from now on, until it releases it.
        hold: bool,
    },
    /// WATCH.
    Watch(Vec<Vec<u8>>),
    /// The end of watches; nobody waits for the answer.
    Unwatch(Vec<WatchedKey>),
    /// A copy of the first shard's libraries of functions; nobody waits for the answer.
    Libraries(Copy),
    /// The end of this connection's hold. It is answered when what it held the shard for is committed.
    Release,
}

/// Work for one shard.
pub struct Job {
    /// The shard.
    pub shard: ShardId,
    /// The connection's database.
    pub db: u8,
    /// The connection's protocol.
    pub protocol: Protocol,
    /// The work.
    pub work: Work,
    /// How many of its calls are done, when a cold value made it wait.
    pub done: usize,
    /// Whether other shards were asked for the scripts that it runs.
    pub scripts_sought: bool,
    /// The replies so far.
    pub replies: Vec<u8>,
    /// What was found out on the way.
    pub ran: Ran,
    /// What the replies so far wait for.
    pub gate: Gate,
    /// Whose it is.
    pub client: ClientId,
    /// The context that the shard made of the call that comes next, or of EXEC, if it has set that aside.
    pub context: Option<ContextId>,
    /// How long that has had slices, in nanoseconds.
    pub aside_ns: u64,
    /// Whether it has been said that it is slow.
    pub is_called_slow: bool,
    /// What became of replies that were lost while it waited.
    pub lost: Option<Fate>,
}

impl Job {
    /// Whether it is one run, whose gate says all about it.
    pub fn is_one_run(&self) -> bool {
        !matches!(&self.work, Work::Calls(calls) if calls.len() > 1)
    }

    /// Whether it is an EXEC.
    pub fn is_exec(&self) -> bool {
        matches!(self.work, Work::Exec { .. })
    }

    /// Name and arguments of the call that comes next, cut short; EXEC's name.
    pub fn shown_arguments(&self) -> Vec<Vec<u8>> {
        match &self.work {
            Work::Calls(calls) => {
                let list: Vec<&[u8]> = calls[self.done].arguments.iter().map(|argument| &argument[..]).collect();
                cut_arguments(&list)
            }
            _ => vec![b"EXEC".to_vec()],
        }
    }

    /// Work that nothing was done of yet.
    pub fn new(shard: ShardId, session: &Session, work: Work) -> Self {
        Job {
            shard,
            db: session.db,
            protocol: session.protocol,
            work,
            done: 0,
            scripts_sought: false,
            replies: Vec::new(),
            ran: Ran::default(),
            gate: Gate::OPEN,
            client: session.id,
            context: None,
            aside_ns: 0,
            is_called_slow: false,
            lost: None,
        }
    }
}
