//! Names for the numbers that must never be mixed up: each is its own type.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(
    /// A shard of the node, counted from zero. The number of shards is fixed when a data directory is made.
    ShardId(u16)
);
id!(
    /// A core of the node that runs an executor, counted from zero (not the operating system's CPU number).
    CoreId(u16)
);
id!(
    /// One of Redis Cluster's 16,384 hash slots.
    Slot(u16)
);
id!(
    /// A request that a shard has set aside: a script or an EXEC that has outlived its slice, a command that waits for one. From 1,
    /// never used again.
    ContextId(u64)
);
id!(
    /// A Raft term.
    Term(u64)
);
id!(
    /// The index of a Raft entry in its shard's log; the first is 1.
    LogIndex(u64)
);
id!(
    /// A segment file of one shard's directory. Log segments and checkpoints share one sequence.
    SegmentId(u64)
);
id!(
    /// One write of a shard's log to disk; it may hold several records. Counted from 1, never reused.
    WriteNumber(u64)
);
id!(
    /// A connection of a client, unique in the node's life (CLIENT ID).
    ClientId(u64)
);
id!(
    /// A shard's batch of effects: what one tick gathers, and what becomes one Raft entry. Dense, from 1, local to the
    /// process: the gate of a reply names it before Raft has given the entry its index.
    Batch(u64)
);
id!(
    /// A hybrid logical clock reading: 48 bits of Unix milliseconds, 16 bits of counter. Monotonic per shard.
    Timestamp(u64)
);

impl Timestamp {
    /// The timestamp of the first event in a millisecond.
    pub fn from_unix_ms(ms: u64) -> Self {
        Timestamp(ms << 16)
    }

    /// The Unix time in milliseconds.
    pub fn unix_ms(self) -> u64 {
        self.0 >> 16
    }
}
