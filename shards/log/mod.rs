//! A shard's log: the record format, the writer, recovery, segments and checkpoints. Pure: the shell opens, maps and writes files;
//! here they are bytes.

mod buffer;
mod checkpoint;
mod checkpoint_writer;
mod fault;
mod places;
mod record;
mod recovered;
mod recovery;
mod references;
mod remains;
mod segments;
mod start;
mod usage;
mod writer;

#[cfg(test)]
mod checkpoint_tests;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod recovery_tests;

pub use buffer::{AlignedBuffer, BUFFER_ALIGNMENT_BYTES};
pub use checkpoint::{
    Checkpoint, CheckpointBase, CheckpointError, ITEM_LENGTH_BYTES, checkpoint_base, newest_checkpoint, next_item,
};
pub use checkpoint_writer::{CheckpointChunk, CheckpointSummary, CheckpointWriter};
pub use fault::{Corruption, Evidence, RecordFault};
pub use places::{EntryPlace, EntryPlaces};
pub use record::{
    BLOCK_BYTES_MAX, BLOCK_BYTES_MIN, HEADER_BYTES, LogIdentity, LogPosition, RecordHeader, RecordKind, RecordView,
    record_bytes,
};
pub use recovered::{
    ByteRange, HardStateRecord, LogEvent, Recovered, RecoveryError, ResumePoint, SegmentStart, SegmentSummary,
};
pub use recovery::recover;
pub use references::{DamagedValue, check_references};
pub use segments::{CheckpointReferences, Disposable, SegmentRole, SegmentTable};
pub use start::{DurableEnd, LogStart};
pub use usage::{SegmentHold, SegmentUse};
pub use writer::{LogConfig, LogWrite, LogWriter, NoSegment, PendingRecord};
