//! What a checkpoint refers to, looked up and checked before anybody relies on it.

use crate::keyspace::{Effect, Effects};
use crate::log::{Checkpoint, LogIdentity, LogPosition, SegmentRole, check_references};
use crate::open::{FoundFile, OpenError};

/// Checks the large values that a checkpoint refers to. Those in the log behind its start are left to recovery, which reads all of
/// that.
///
/// # Errors
/// [`OpenError`], with the place.
pub fn check_checkpoint(
    identity: LogIdentity,
    checkpoint: &Checkpoint<'_>,
    files: &[FoundFile<'_>],
) -> Result<(), OpenError> {
    let mut places = Vec::new();
    for (_, item) in checkpoint.items() {
        if let Some(Ok(Effect::PutReference { segment, offset, len, .. })) = Effects::new(item).next() {
            places.push(LogPosition { segment: crate::ids::SegmentId(segment), offset, bytes: len });
        }
    }
    places.sort_unstable();
    for places in places.chunk_by(|one, next| one.segment == next.segment) {
        let segment = places[0].segment;
        let file = files.iter().find(|file| file.segment == segment).ok_or_else(|| {
            OpenError::Corruption(format!(
                "the checkpoint in segment {} refers to {}, but the file is missing",
                checkpoint.segment(),
                places[0]
            ))
        })?;
        if file.role == SegmentRole::Log && segment >= checkpoint.base().start.segment {
            continue;
        }
        check_references(identity, file.role, file.bytes, places)
            .map_err(|damaged| OpenError::Corruption(damaged.to_string()))?;
    }
    Ok(())
}
