//! Opening a shard whose group has several voters: its entries are applied once the group says how far they are committed.

use crate::group::{ConfState, Entry, EntryType, Group, GroupStart, HardState, decode_hard_state};
use crate::ids::SegmentId;
use crate::keyspace::Keyspace;
use crate::log::{LogEvent, LogWriter, RecordView, RecoveryError, SegmentRole, recover};
use crate::open::{FoundFile, OpenConfig, OpenError, Opened, load_newest};
use crate::shard::{Shard, ShardConfig, ShardStart};

/// Which member of which group a shard is.
#[derive(Clone, Debug)]
pub struct MemberStart {
    /// This member's number in the group; not 0.
    pub node: u64,
    /// The members that the group was founded with.
    pub founders: ConfState,
}

/// Opens a shard as a member of a group, from its files. Unlike a lone voter it cannot know which of its entries behind the
/// checkpoint are committed: all of them go to Raft, which hands them out again.
///
/// # Errors
/// [`OpenError`], with the place.
///
/// # Panics
/// When the files are not sorted by number.
pub fn open_member(
    config: ShardConfig,
    open: OpenConfig,
    member: MemberStart,
    files: &[FoundFile<'_>],
) -> Result<Opened, OpenError> {
    let of_role = |role| -> Vec<(SegmentId, &[u8])> {
        files.iter().filter(|file| file.role == role).map(|file| (file.segment, file.bytes)).collect()
    };
    let logs = of_role(SegmentRole::Log);
    let mut keyspace = Keyspace::new(open.hash_seed, open.large_bytes_min);
    for file in files {
        keyspace.segments_mut().add(file.segment, file.role, file.bytes.len() as u64);
    }
    let start = load_newest(open.identity, &of_role(SegmentRole::Checkpoint), &mut keyspace)?;
    let applied = (start.index, start.term);
    let mut entries: Vec<Entry> = Vec::new();
    let mut places = Vec::new();
    let mut hard_state = HardState::default();
    let recovered = recover(open.identity, &logs, &start, &mut |event| {
        match event {
            LogEvent::Entry(record) => {
                let header = record.header;
                if header.index() <= start.index {
                    return Ok(());
                }
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
    keyspace.segments_mut().recovered(&recovered);
    let (node, conf_state) = (member.node, member.founders);
    let group = Group::new(GroupStart { node, conf_state, hard_state, applied, entries });
    let mut log = LogWriter::new(open.identity, open.log, recovered.resume.clone());
    for &segment in &recovered.unused {
        let size = logs.iter().find(|&&(other, _)| other == segment).map_or(0, |(_, bytes)| bytes.len() as u64);
        if segment > recovered.resume.start.segment || recovered.resume.segment_bytes == 0 {
            log.add_segment(segment, size);
        }
    }
    let log_bytes = recovered.segments.iter().map(|summary| summary.used_bytes).sum();
    let mut shard =
        Shard::new(config, keyspace, group, log, ShardStart { identity: open.identity, applied, log_bytes });
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
