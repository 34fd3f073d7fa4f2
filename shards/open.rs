//! Opening a shard: what its log holds becomes its keyspace and its member of the group.

use crate::group::{ConfState, Entry, EntryType, Group, GroupStart, HardState, decode_hard_state};
use crate::ids::{LogIndex, SegmentId, Term};
use crate::keyspace::{Keyspace, Segments};
use crate::limits::LOADED_ITEMS_PER_BATCH;
use crate::log::{
    CheckpointReferences, LogConfig, LogEvent, LogIdentity, LogStart, LogWriter, Recovered, RecoveryError, SegmentRole,
    newest_checkpoint, recover,
};
use crate::references::check_checkpoint;
use crate::shard::{Shard, ShardConfig, ShardStart, apply_entry};
use std::fmt;

/// This member's number in a group of one.
const LONE_NODE: u64 = 1;

/// The number of a shard's first segment: where its log begins before there is a checkpoint.
pub const FIRST_SEGMENT: SegmentId = SegmentId(1);

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

/// A file of the shard's directory.
#[derive(Clone, Copy, Debug)]
pub struct FoundFile<'a> {
    /// Its number.
    pub segment: SegmentId,
    /// What it is for.
    pub role: SegmentRole,
    /// What it holds.
    pub bytes: &'a [u8],
}

/// Opens a shard whose group has one voter, from its files: the newest checkpoint, then the log behind it.
///
/// # Errors
/// [`OpenError`], with the place.
///
/// # Panics
/// When the files are not sorted by number.
pub fn open_lone(
    config: ShardConfig,
    open: OpenConfig,
    files: &[FoundFile<'_>],
    segments: &dyn Segments,
) -> Result<Opened, OpenError> {
    let mut keyspace = Keyspace::new(open.hash_seed, open.large_bytes_min);
    let (start, _) = load_newest(open.identity, files, &mut keyspace)?;
    let logs = logs_of(files);
    let mut applied = (start.index, start.term);
    let mut hard_state = HardState::default();
    let recovered = recover(open.identity, &logs, &start, &mut |event| {
        match event {
            LogEvent::Entry(record) => {
                let header = record.header;
                if header.index() <= start.index {
                    return Ok(());
                }
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
            LogEvent::Superseded => {
                return Err(OpenError::Strange(format!(
                    "the log of a group of one voter ends before entry {}, at which its checkpoint stands",
                    start.index
                )));
            }
        }
        Ok(())
    })
    .map_err(|error| match error {
        RecoveryError::Corruption(corruption) => OpenError::Corruption(corruption.to_string()),
        RecoveryError::Visitor(error) => error,
    })?;
    keyspace.segments_mut().recovered(&recovered);
    let conf_state = ConfState { voters: vec![LONE_NODE], ..ConfState::default() };
    // Nobody lags behind a lone voter: it keeps nothing.
    let (node, entries, tail_bytes_max) = (LONE_NODE, Vec::<Entry>::new(), 0);
    let group = Group::new(GroupStart { node, conf_state, hard_state, applied, entries, tail_bytes_max });
    let (log, start) = go_on(&open, files, &recovered, applied);
    let shard = Shard::new(config, keyspace, group, log, start);
    Ok(Opened { shard, recovered })
}

/// The log's segments among the files.
pub(crate) fn logs_of<'a>(files: &[FoundFile<'a>]) -> Vec<(SegmentId, &'a [u8])> {
    of_role(files, SegmentRole::Log)
}

fn of_role<'a>(files: &[FoundFile<'a>], role: SegmentRole) -> Vec<(SegmentId, &'a [u8])> {
    files.iter().filter(|file| file.role == role).map(|file| (file.segment, file.bytes)).collect()
}

/// A writer that goes on where the log ends, with the segments that wait to be used.
pub(crate) fn go_on(
    open: &OpenConfig,
    files: &[FoundFile<'_>],
    recovered: &Recovered,
    applied: (LogIndex, Term),
) -> (LogWriter, ShardStart) {
    let mut log = LogWriter::new(open.identity, open.log, recovered.resume.clone());
    let unused = files.iter().filter(|file| recovered.unused.contains(&file.segment));
    for file in unused {
        if file.segment > recovered.resume.start.segment || recovered.resume.segment_bytes == 0 {
            log.add_segment(file.segment, file.bytes.len() as u64);
        }
    }
    let log_bytes = recovered.segments.iter().map(|summary| summary.used_bytes).sum();
    (log, ShardStart { identity: open.identity, applied, log_bytes })
}

/// Fills the keyspace from the newest checkpoint, if there is one, and tells it of all files. Where the log goes on, and what else the
/// checkpoint says.
pub(crate) fn load_newest(
    identity: LogIdentity,
    files: &[FoundFile<'_>],
    keyspace: &mut Keyspace,
) -> Result<(LogStart, Vec<u8>), OpenError> {
    for file in files {
        keyspace.segments_mut().add(file.segment, file.role, file.bytes.len() as u64);
    }
    let (newest, damaged) = newest_checkpoint(identity, &of_role(files, SegmentRole::Checkpoint));
    // A file has its name once it is whole and on disk: what is not whole was damaged since.
    if let Some(error) = damaged.first() {
        return Err(OpenError::Corruption(error.to_string()));
    }
    let Some(checkpoint) = newest else { return Ok((LogStart::empty(FIRST_SEGMENT), Vec::new())) };
    check_checkpoint(identity, &checkpoint, files)?;
    let mut references = CheckpointReferences::new();
    let mut taken = 0;
    for (place, item) in checkpoint.items() {
        let referred = keyspace.load(item, place).map_err(|what| {
            OpenError::Strange(format!("segment {}, offset {}: {what}", checkpoint.segment(), place.offset))
        })?;
        if let Some((segment, bytes)) = referred {
            *references.entry(segment).or_default() += bytes;
        }
        taken += 1;
        if taken % LOADED_ITEMS_PER_BATCH == 0 {
            keyspace.applied();
        }
    }
    keyspace.applied();
    let base = checkpoint.base();
    keyspace.advance_timestamp(base.commit_ts);
    keyspace.segments_mut().published(checkpoint.segment(), base.start, &references);
    Ok((base.start, base.meta.clone()))
}
