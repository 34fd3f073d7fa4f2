//! Opening a shard whose group has several voters: its entries are applied once the group says how far they are committed.

use crate::group::{ConfState, Entry, EntryType, Group, GroupStart, HardState, decode_hard_state};
use crate::ids::{LogIndex, SegmentId, Term};
use crate::keyspace::Keyspace;
use crate::log::{LogEvent, LogStart, LogWriter, RecordView, RecoveryError, recover};
use crate::open::{OpenConfig, OpenError, Opened};
use crate::shard::{Shard, ShardConfig};

/// Which member of which group a shard is.
#[derive(Clone, Debug)]
pub struct MemberStart {
    /// This member's number in the group; not 0.
    pub node: u64,
    /// The members that the group was founded with.
    pub founders: ConfState,
}

/// Opens a shard as a member of a group, from its segments. Unlike a lone voter it cannot know which of its entries are
/// committed: all of them go to Raft, which hands them out again.
///
/// # Errors
/// [`OpenError`], with the place.
pub fn open_member(
    config: ShardConfig,
    open: OpenConfig,
    member: MemberStart,
    bytes: &[(SegmentId, &[u8])],
    next_segment: SegmentId,
) -> Result<Opened, OpenError> {
    let keyspace = Keyspace::new(open.hash_seed, open.large_bytes_min);
    let mut entries: Vec<Entry> = Vec::new();
    let mut places = Vec::new();
    let mut hard_state = HardState::default();
    let start = LogStart::empty(SegmentId(1));
    let recovered = recover(open.identity, bytes, &start, &mut |event| {
        match event {
            LogEvent::Entry(record) => {
                let header = record.header;
                if record.body.len() >= open.large_bytes_min {
                    places.push((header.index(), header.term(), header.body_position()));
                }
                entries.push(entry(record)?);
            }
            LogEvent::HardState(record) => {
                hard_state = decode_hard_state(record.body)
                    .ok_or_else(|| OpenError::Strange("a hard state's record is too short".to_owned()))?;
            }
            LogEvent::Truncate(from) => entries.retain(|entry| entry.index < from.0),
            LogEvent::Superseded => entries.clear(),
        }
        Ok(())
    })
    .map_err(|error| match error {
        RecoveryError::Corruption(corruption) => OpenError::Corruption(corruption.to_string()),
        RecoveryError::Visitor(error) => error,
    })?;
    let group = Group::new(GroupStart {
        node: member.node,
        conf_state: member.founders,
        hard_state,
        applied: (LogIndex(0), Term(0)),
        entries,
    });
    let mut log = LogWriter::new(open.identity, open.log, recovered.resume.clone());
    for &segment in &recovered.unused {
        let size = bytes.iter().find(|&&(other, _)| other == segment).map_or(0, |(_, bytes)| bytes.len() as u64);
        if segment > recovered.resume.start.segment || recovered.resume.segment_bytes == 0 {
            log.add_segment(segment, size);
        }
    }
    let mut shard = Shard::new(config, keyspace, group, log, next_segment);
    shard.recovered(places);
    Ok(Opened { shard, recovered })
}

/// The entry that a record holds.
fn entry(record: RecordView<'_>) -> Result<Entry, OpenError> {
    let flags = record.header.flags();
    let known = [EntryType::EntryNormal, EntryType::EntryConfChange, EntryType::EntryConfChangeV2];
    let entry_type = known
        .into_iter()
        .find(|known| *known as u8 == flags)
        .ok_or_else(|| OpenError::Strange(format!("entry {} is of the unknown type {flags}", record.header.index())))?;
    Ok(Entry {
        entry_type,
        term: record.header.term().0,
        index: record.header.index().0,
        data: record.body.to_vec().into(),
        ..Entry::default()
    })
}
