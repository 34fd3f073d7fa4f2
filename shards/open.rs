//! Opening a shard: what its log holds becomes its keyspace and its member of the group.

use crate::group::{ConfState, Entry, EntryType, Group, GroupStart, HardState, decode_hard_state};
use crate::ids::{LogIndex, SegmentId, Term};
use crate::keyspace::{Keyspace, Segments};
use crate::log::{LogConfig, LogEvent, LogIdentity, LogStart, LogWriter, Recovered, RecoveryError, recover};
use crate::shard::{Shard, ShardConfig, apply_entry};
use std::fmt;

/// This member's number in a group of one.
const LONE_NODE: u64 = 1;

/// Why a shard cannot be opened.
#[derive(Debug)]
pub enum OpenError {
    /// What was durable is damaged.
    Corruption(String),
    /// A record is whole but holds what no version of this program wrote.
    Strange(String),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Corruption(text) | OpenError::Strange(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for OpenError {}

/// A shard that was opened, and what the shell must do before it serves: make the tail durable, zero what a torn write left.
pub struct Opened {
    /// The shard.
    pub shard: Shard,
    /// What recovery found.
    pub recovered: Recovered,
}

/// What a shard's log says about whose it is.
#[derive(Clone, Copy, Debug)]
pub struct OpenConfig {
    /// Whose log it is.
    pub identity: LogIdentity,
    /// The disk.
    pub log: LogConfig,
    /// The seed of the key hash.
    pub hash_seed: u64,
    /// Strings of this many bytes or more live in the log.
    pub large_bytes_min: usize,
}

/// Opens a shard whose group has one voter, from its segments.
///
/// # Errors
/// [`OpenError`], with the place.
pub fn open_lone(
    config: ShardConfig,
    open: OpenConfig,
    bytes: &[(SegmentId, &[u8])],
    segments: &dyn Segments,
    next_segment: SegmentId,
) -> Result<Opened, OpenError> {
    let mut keyspace = Keyspace::new(open.hash_seed, open.large_bytes_min);
    let start = LogStart::empty(SegmentId(1));
    let mut applied = (LogIndex(0), Term(0));
    let mut hard_state = HardState::default();
    let recovered = recover(open.identity, bytes, &start, &mut |event| {
        match event {
            LogEvent::Entry(record) => {
                let header = record.header;
                if header.flags() == EntryType::EntryNormal as u8 && !record.body.is_empty() {
                    apply_entry(&mut keyspace, record.body, Some(header.body_position()), segments);
                }
                applied = (header.index(), header.term());
            }
            LogEvent::HardState(record) => {
                hard_state = decode_hard_state(record.body)
                    .ok_or_else(|| OpenError::Strange("a hard state's record is too short".to_owned()))?;
            }
            LogEvent::Truncate(index) => {
                return Err(OpenError::Strange(format!("a group of one voter replaced its entries from {index} on")));
            }
            LogEvent::Superseded => {}
        }
        Ok(())
    })
    .map_err(|error| match error {
        RecoveryError::Corruption(corruption) => OpenError::Corruption(corruption.to_string()),
        RecoveryError::Visitor(error) => error,
    })?;
    let conf_state = ConfState { voters: vec![LONE_NODE], ..ConfState::default() };
    let group =
        Group::new(GroupStart { node: LONE_NODE, conf_state, hard_state, applied, entries: Vec::<Entry>::new() });
    let mut log = LogWriter::new(open.identity, open.log, recovered.resume.clone());
    for &segment in &recovered.unused {
        let size = bytes.iter().find(|&&(other, _)| other == segment).map_or(0, |(_, bytes)| bytes.len() as u64);
        if segment > recovered.resume.start.segment || recovered.resume.segment_bytes == 0 {
            log.add_segment(segment, size);
        }
    }
    let shard = Shard::new(config, keyspace, group, log, next_segment);
    Ok(Opened { shard, recovered })
}
