//! Every bound of the core, each with its unit in its name, and what they promise each other. Bounds that an operator sets are settings;
//! those of the wire are the shell's.

use crate::log::BLOCK_BYTES_MAX;

// What clients ask.

/// The number of databases that SELECT reaches at most.
pub const DATABASES_MAX: u8 = 16;

/// The longest string that `proto-max-bulk-len` may allow, in bytes: what is brought in from disk at once, and with what a tick has gathered
/// before fits into one record.
pub const STRING_BYTES_MAX: usize = 768 << 20;

/// Bytes of commands that one transaction queues at most.
pub const QUEUE_BYTES_MAX: usize = 1 << 30;

/// Codes of errors (their first words) that a core, or a shard's scripts, count apart; more are left out.
pub const ERROR_CODES_MAX: usize = 128;

/// Bytes of calls of scripts and EXEC that are kept for MONITOR until the shell takes them; more are dropped.
pub const RECORDED_BYTES_MAX: usize = 16 << 20;

// Scripts.

/// More elements than this in KEYS or ARGV are refused: a Lua table's bound is not far above.
pub const SCRIPT_ARGUMENTS_MAX: usize = 1 << 24;

/// The longest table that is made ahead of the elements of a reply; LuaJIT's own bound is above.
pub const SCRIPT_REPLY_ELEMENTS_MAX: usize = 1 << 26;

/// Elements of what a script returns. A table without shared parts that has more does not fit into a VM; one whose parts are shared can
/// stand for more than there is time or room for.
pub const SCRIPT_RESULT_ELEMENTS_MAX: usize = 1 << 23;

/// Bytes of what a script returns.
pub const SCRIPT_RESULT_BYTES_MAX: usize = 512 << 20;

/// Lines that one run may log; more are dropped.
pub const SCRIPT_LOG_LINES_MAX: usize = 100;

/// Lua VMs of a shard. All but one of them can be held by scripts that have outlived their slice; more such scripts wait for one.
pub const SCRIPT_VMS_MAX: usize = 64;

/// Instructions of Lua that the load of a library of functions takes at most.
pub const LIBRARY_LOAD_STEPS_MAX: u32 = 10_000_000;

/// Functions that one library registers at most.
pub const LIBRARY_FUNCTIONS_MAX: usize = 10_000;

/// Libraries of functions at most: each change of them makes a new list of all.
pub const LIBRARIES_MAX: usize = 10_000;

/// What the libraries of functions hold at most, in bytes.
pub const LIBRARIES_BYTES_MAX: usize = 64 << 20;

// Contexts.

/// Runs in vain after which a context locks the keys that it touched.
pub const CONTEXT_RERUNS_BEFORE_KEY_LOCKS: u32 = 3;

/// Runs in vain after which a context locks the whole shard.
pub const CONTEXT_RERUNS_BEFORE_SHARD_LOCK: u32 = 6;

/// Requests that a shard sets aside at most, those included that wait for others. More are refused.
pub const CONTEXTS_MAX: usize = 1 << 16;

// A tick.

/// Bytes of effects that a batch gathers before it is proposed although the log is busy.
pub const BATCH_BYTES_MAX: usize = 64 << 20;

/// Bytes that the effects of one tick hold at most, a command's arguments included, before it stores a string of its own making (BITOP)
/// and what frames its effects: all of a tick is one entry, which is one record of the log.
pub const ENTRY_BYTES_MAX: usize = RECORD_BODY_BYTES_MAX - STRING_BYTES_MAX - (64 << 20);

/// Keys that one turn of the expiry cycle looks at. While more are due every turn of the reactor is one.
pub const EXPIRY_LOOKS_PER_TURN: usize = 1000;

/// Segments of a table (some 450 entries each) that are freed at once. A turn frees one slice, so that more goes than clients can store in
/// a turn.
pub const FREED_TABLE_SEGMENTS_PER_SLICE: usize = 2;

/// Items of a checkpoint that are taken in before their inverses are let go.
pub const LOADED_ITEMS_PER_BATCH: usize = 4096;

// The log and its files.

/// The size of a segment unless one record needs more, in bytes.
pub const SEGMENT_BYTES_DEFAULT: u64 = 64 << 20;

/// The largest body of a record, in bytes. The kernel writes just below 2 GiB at once, and one write is one operation: this leaves room
/// for a write's other records.
pub const RECORD_BODY_BYTES_MAX: usize = (2 << 30) - (1 << 20);

/// Write buffers up to this size in bytes are kept for the next write; a larger one is returned to the allocator.
pub const LOG_BUFFER_KEPT_BYTES_MAX: usize = 1 << 20;

/// Free segments that are kept to be used again, rather than removed.
pub const SPARE_SEGMENTS_MAX: usize = 4;

/// Segments that are kept for members of the group that lag.
pub const LAG_SEGMENTS_MAX: usize = 8;

/// Items of a checkpoint are gathered into records with bodies up to this size in bytes; a larger item is a record of its own.
pub const CHECKPOINT_BATCH_BYTES_MAX: usize = 256 << 10;

/// A chunk of a checkpoint for the disk has this size in bytes, except the last.
pub const CHECKPOINT_CHUNK_BYTES: usize = 1 << 20;

/// Bytes that a checkpoint, walked or received, may be ahead of the disk. A chunk is handed out once its records are laid out: the record
/// that is gathered comes on top of it.
pub const CHECKPOINT_PENDING_BYTES_MAX: usize = 2 * CHECKPOINT_CHUNK_BYTES;

// The group.

/// Bytes of entries that one append message carries, one entry at least.
pub const GROUP_MESSAGE_BYTES_MAX: u64 = 1 << 20;

/// Append messages on their way to one follower.
pub const GROUP_INFLIGHT_MESSAGES_MAX: usize = 256;

/// Bytes of entries that are proposed and not committed; beyond it proposals are refused.
pub const UNCOMMITTED_BYTES_MAX: u64 = 1 << 30;

/// Bytes of committed entries that one turn of the group hands out.
pub const COMMITTED_BYTES_MAX: u64 = 16 << 20;

/// Bytes of applied entries that a member keeps in memory for others.
pub const TAIL_BYTES_DEFAULT: usize = 8 << 20;

/// Requests for entries in the log that wait at the same time; one more is asked again by Raft.
pub const WANTED_ENTRIES_MAX: usize = 16;

/// A cold range of the log is brought in for others with what follows it, up to this many bytes in all.
pub const LOG_READ_AHEAD_BYTES: usize = 256 << 10;

const _: () = assert!(CHECKPOINT_CHUNK_BYTES.is_multiple_of(BLOCK_BYTES_MAX as usize), "chunks are direct writes");
const _: () = assert!(CHECKPOINT_PENDING_BYTES_MAX >= CHECKPOINT_CHUNK_BYTES + CHECKPOINT_BATCH_BYTES_MAX);
const _: () =
    assert!(ENTRY_BYTES_MAX > STRING_BYTES_MAX + (1 << 20), "a string of any length that is allowed can be stored");
const _: () = assert!(LIBRARIES_BYTES_MAX <= STRING_BYTES_MAX, "what is unpacked fits into the tick's entry");
const _: () = assert!(BATCH_BYTES_MAX < ENTRY_BYTES_MAX, "a batch is proposed before it is full");
const _: () = assert!((BATCH_BYTES_MAX as u64) < UNCOMMITTED_BYTES_MAX, "a batch fits beside what is proposed");
const _: () =
    assert!(GROUP_MESSAGE_BYTES_MAX <= TAIL_BYTES_DEFAULT as u64, "a message's entries are in memory at once");
const _: () = assert!(SEGMENT_BYTES_DEFAULT.is_multiple_of(BLOCK_BYTES_MAX as u64), "segments are whole blocks");
