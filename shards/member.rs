//! Opening a shard whose group has several voters: its entries are applied once the group says how far they are committed.

use crate::group::{ConfState, Entry, EntryType, Group, GroupStart, HardState, decode_hard_state};
use crate::keyspace::Keyspace;
use crate::log::{EntryPlaces, LogEvent, RecordView, RecoveryError, recover};
use crate::open::{FoundFile, OpenConfig, OpenError, Opened, go_on, load_newest, logs_of};
use crate::shard::{Shard, ShardConfig};
use protobuf::Message as _;

/// Which member of which group a shard is.
#[derive(Clone, Debug)]
pub struct MemberStart {
    /// This member's number in the group; not 0.
    pub node: u64,
    /// The members that the group was founded with.
    pub founders: ConfState,
    /// See [`GroupStart::tail_bytes_max`].
    pub tail_bytes_max: usize,
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
    files: &[FoundFile<'_>],
) -> Result<Opened, OpenError> {
    let mut keyspace = Keyspace::new(open.hash_seed, open.large_bytes_min);
    let (start, meta) = load_newest(open.identity, files, &mut keyspace)?;
    let mut entries: Vec<Entry> = Vec::new();
    let mut places = Vec::new();
    let mut stretches = EntryPlaces::default();
    let mut hard_state = HardState::default();
    let recovered = recover(open.identity, &logs_of(files), &start, &mut |event| {
        match event {
            LogEvent::Entry(record) => {
                let header = record.header;
                if header.cut_before() > 0 {
                    stretches.break_off();
                }
                stretches.push(header.index(), header.term(), header.body_position().segment, header.offset());
                if header.index() <= start.index {
                    return Ok(());
                }
                if record.body.len() >= open.large_bytes_min {
                    places.push((header.index(), header.term(), header.body_position()));
                }
                entries.push(entry_of(record)?);
            }
            LogEvent::HardState(record) => {
                hard_state = decode_hard_state(record.body)
                    .ok_or_else(|| OpenError::Strange("a hard state's record is too short".to_owned()))?;
            }
            LogEvent::Truncate(from) => {
                stretches.truncate(from);
                entries.retain(|entry| entry.index < from.0);
            }
            LogEvent::Superseded => {
                stretches.clear();
                entries.clear();
            }
        }
        Ok(())
    })
    .map_err(|error| match error {
        RecoveryError::Corruption(corruption) => OpenError::Corruption(corruption.to_string()),
        RecoveryError::Visitor(error) => error,
    })?;
    keyspace.segments_mut().recovered(&recovered);
    let conf_state = match meta.is_empty() {
        true => member.founders,
        false => ConfState::parse_from_bytes(&meta)
            .map_err(|error| OpenError::Strange(format!("the members in a checkpoint cannot be read: {error}")))?,
    };
    let applied = (start.index, start.term);
    let group = Group::new(GroupStart {
        node: member.node,
        conf_state,
        hard_state,
        applied,
        entries,
        tail_bytes_max: member.tail_bytes_max,
    });
    let (log, start) = go_on(&open, files, &recovered, applied);
    let mut shard = Shard::new(config, keyspace, group, log, start);
    stretches.break_off();
    shard.recovered(places, stretches);
    Ok(Opened { shard, recovered })
}

/// The entry that a record holds.
pub(crate) fn entry_of(record: RecordView<'_>) -> Result<Entry, OpenError> {
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
