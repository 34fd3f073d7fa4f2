//! Raft snapshots: a checkpoint on its way to a member whose entries nobody keeps any more.
//!
//! ```text
//!  leader                                               member that lags
//!  checkpoint, item by item ──► part 0, 1, 2, ... ──►   a checkpoint of its own (unnamed), a keyspace beside its own
//!  (values are read from where they lie)  ◄── acks ──
//!  the last part: Raft's own word ───────────────────►  Raft agrees: the file gets its name, the keyspaces change places
//! ```
//!
//! Parts travel as Raft messages (`MsgSnapshot`, with the part's number as its index), acks as `MsgSnapStatus`, so that a transport knows
//! one kind of message. One part is on its way at a time.

mod part;
mod receiver;
mod sender;

pub(crate) use part::{Ack, stream};
pub(crate) use receiver::{Received, SnapshotReceiver};
pub(crate) use sender::{Offer, SnapshotSender, read_base};
