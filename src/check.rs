//! `ringkeep check`: reads a data directory that no server uses, as a start would, and says what it found where. But for taking the lock it
//! changes nothing.

use std::fmt;
use std::path::{Path, PathBuf};

use ringkeep_shards::ids::{LogIndex, SegmentId, ShardId, Term};
use ringkeep_shards::log::{
    ByteRange, CheckpointError, Corruption, LogEvent, LogStart, Recovered, RecoveryError, SegmentRole,
    newest_checkpoint, recover,
};
use ringkeep_shards::{FoundFile, check_checkpoint};

use crate::runtime::directory::{DataDirectory, FIRST_SEGMENT, Identity};
use crate::runtime::disk::Disk;
use crate::runtime::map::SegmentMap;
use crate::runtime::segment_files::{SegmentFile, SegmentFiles};
use crate::runtime::segment_lock::wait_for_writes;

/// What a check found.
#[derive(Debug)]
pub struct Report {
    /// The directory.
    pub directory: PathBuf,
    /// What it is; the reason, when that cannot be read.
    pub identity: Result<Identity, String>,
    /// Its shards.
    pub shards: Vec<ShardReport>,
}

/// What was found of one shard.
#[derive(Debug)]
pub struct ShardReport {
    /// Which.
    pub shard: ShardId,
    /// Its files, by id.
    pub files: Vec<SegmentFile>,
    /// The checkpoint that a start would use.
    pub checkpoint: Option<CheckpointReport>,
    /// Published checkpoints that are newer than that and not whole.
    pub damaged_checkpoints: Vec<CheckpointError>,
    /// What is wrong with a value that the checkpoint refers to.
    pub damaged_reference: Option<String>,
    /// Its log.
    pub log: LogReport,
}

/// A checkpoint that is whole.
#[derive(Debug)]
pub struct CheckpointReport {
    /// Its file.
    pub segment: SegmentId,
    /// The entry it stands at.
    pub index: LogIndex,
    /// How many items it holds.
    pub items: u64,
    /// Their bytes.
    pub item_bytes: u64,
}

/// A log, as recovery sees it.
#[derive(Debug)]
pub enum LogReport {
    /// It can be recovered.
    Good {
        /// How far it reaches, and in how many segments.
        recovered: Box<Recovered>,
        /// How often Raft replaced a suffix.
        truncations: u64,
    },
    /// It is damaged.
    Corrupt(Box<Corruption>),
    /// It could not be read.
    Unreadable(String),
}

/// How a check ended, worst first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Something could not be read, so that nothing can be said.
    Unreadable,
    /// Something that was durable is missing or damaged.
    Corrupt,
    /// A server can start; a torn tail is no damage.
    Fine,
}

impl Verdict {
    /// The exit status of the command: 0 fine, 1 damaged, 2 cannot be read.
    pub fn exit_status(self) -> u8 {
        match self {
            Self::Fine => 0,
            Self::Corrupt => 1,
            Self::Unreadable => 2,
        }
    }
}

/// Checks all shards of a directory. The directory is locked meanwhile, so that no server changes it.
pub fn check(directory: &Path) -> Report {
    let taken = DataDirectory::take_existing(directory).map_err(|error| error.to_string());
    let identity = taken.as_ref().map_err(Clone::clone).and_then(|taken| match taken.identity() {
        Ok(Some(identity)) => Ok(identity),
        Ok(None) => Err(format!("{} is no data directory: it has no identity file", directory.display())),
        Err(error) => Err(error.to_string()),
    });
    let shards = match (&taken, &identity) {
        (Ok(taken), Ok(identity)) => {
            (0..identity.shards).map(|shard| check_shard(taken, identity, ShardId(shard))).collect()
        }
        _ => Vec::new(),
    };
    Report { directory: directory.to_owned(), identity, shards }
}

impl Report {
    /// The worst of what was found.
    pub fn verdict(&self) -> Verdict {
        let unreadable = |shard: &ShardReport| matches!(shard.log, LogReport::Unreadable(_));
        let corrupt = |shard: &ShardReport| {
            matches!(shard.log, LogReport::Corrupt(_))
                || !shard.damaged_checkpoints.is_empty()
                || shard.damaged_reference.is_some()
        };
        if self.identity.is_err() || self.shards.iter().any(unreadable) {
            Verdict::Unreadable
        } else if self.shards.iter().any(corrupt) {
            Verdict::Corrupt
        } else {
            Verdict::Fine
        }
    }
}

fn check_shard(directory: &DataDirectory, identity: &Identity, shard: ShardId) -> ShardReport {
    let mut report = ShardReport {
        shard,
        files: Vec::new(),
        checkpoint: None,
        damaged_checkpoints: Vec::new(),
        damaged_reference: None,
        log: LogReport::Unreadable(String::new()),
    };
    let read = read_shard(directory, identity, shard, &mut report);
    report.log = read.unwrap_or_else(LogReport::Unreadable);
    report
}

/// Fills the report but for the log, which it returns.
fn read_shard(
    directory: &DataDirectory,
    identity: &Identity,
    shard: ShardId,
    report: &mut ShardReport,
) -> Result<LogReport, String> {
    let path = directory.shard(shard);
    if !path.is_dir() {
        return Err(format!("{} is missing", path.display()));
    }
    let describe = |error: std::io::Error| format!("{}: {error}", path.display());
    let files = SegmentFiles::open(&path, Disk::UNKNOWN).map_err(describe)?;
    report.files = files.list().map_err(describe)?;
    let map_all = |role| map_all(&files, &report.files, role);
    let (checkpoints, logs) = (map_all(SegmentRole::Checkpoint)?, map_all(SegmentRole::Log)?);

    let log_identity = identity.log(shard);
    let (checkpoint, damaged) = newest_checkpoint(log_identity, &slices(&checkpoints));
    report.damaged_checkpoints = damaged;
    let found: Vec<FoundFile<'_>> = slices(&checkpoints)
        .into_iter()
        .map(|(segment, bytes)| FoundFile { segment, role: SegmentRole::Checkpoint, bytes })
        .chain(slices(&logs).into_iter().map(|(segment, bytes)| FoundFile { segment, role: SegmentRole::Log, bytes }))
        .collect();
    let references = checkpoint.as_ref().map_or(Ok(()), |whole| check_checkpoint(log_identity, whole, &found));
    report.damaged_reference = references.err().map(|error| error.to_string());
    let start = checkpoint.as_ref().map_or(LogStart::empty(FIRST_SEGMENT), |checkpoint| checkpoint.base().start);
    report.checkpoint = checkpoint.map(|checkpoint| CheckpointReport {
        segment: checkpoint.segment(),
        index: checkpoint.base().start.index,
        items: checkpoint.item_count(),
        item_bytes: checkpoint.item_bytes(),
    });
    let mut truncations = 0;
    let recovered = recover::<std::convert::Infallible>(log_identity, &slices(&logs), &start, &mut |event| {
        truncations += u64::from(matches!(event, LogEvent::Truncate(_)));
        Ok(())
    });
    Ok(match recovered {
        Ok(recovered) => LogReport::Good { recovered: Box::new(recovered), truncations },
        Err(RecoveryError::Corruption(corruption)) => LogReport::Corrupt(corruption),
        Err(RecoveryError::Visitor(never)) => match never {},
    })
}

fn map_all(
    files: &SegmentFiles,
    listed: &[SegmentFile],
    role: SegmentRole,
) -> Result<Vec<(SegmentId, Option<SegmentMap>)>, String> {
    let mut maps = Vec::new();
    for file in listed.iter().filter(|file| file.role == role) {
        let path = files.path(file.segment, role);
        wait_for_writes(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        // An empty file cannot be mapped, but can be judged.
        let map = if file.bytes == 0 { None } else { Some(SegmentMap::open(&path)) };
        let map = map.transpose().and_then(|map| {
            map.as_ref().map_or(Ok(()), SegmentMap::populate)?;
            Ok(map)
        });
        maps.push((file.segment, map.map_err(|error| format!("{}: {error}", path.display()))?));
    }
    Ok(maps)
}

fn slices(maps: &[(SegmentId, Option<SegmentMap>)]) -> Vec<(SegmentId, &[u8])> {
    maps.iter().map(|(id, map)| (*id, map.as_deref().unwrap_or(&[]))).collect()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.identity {
            Ok(identity) => writeln!(
                f,
                "{}: {} shards, incarnation {:032x}",
                self.directory.display(),
                identity.shards,
                identity.incarnation
            )?,
            Err(reason) => writeln!(f, "{reason}")?,
        }
        for shard in &self.shards {
            shard.fmt(f)?;
        }
        f.write_str(match self.verdict() {
            Verdict::Fine => "fine: a server can start here",
            Verdict::Corrupt => "DAMAGED: what was once durable is not whole; restore it from a copy",
            Verdict::Unreadable => "cannot be checked: not everything could be read",
        })
    }
}

impl fmt::Display for ShardReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |role| self.files.iter().filter(|file| file.role == role).count();
        let bytes: u64 = self.files.iter().map(|file| file.bytes).sum();
        writeln!(
            f,
            "shard {}: {} log segments, {} checkpoints, {} bytes",
            self.shard,
            count(SegmentRole::Log),
            count(SegmentRole::Checkpoint),
            bytes
        )?;
        for damaged in &self.damaged_checkpoints {
            writeln!(f, "  DAMAGED: {damaged}")?;
        }
        if let Some(damaged) = &self.damaged_reference {
            writeln!(f, "  DAMAGED: {damaged}")?;
        }
        match &self.checkpoint {
            Some(CheckpointReport { segment, index, items, item_bytes }) => {
                writeln!(
                    f,
                    "  checkpoint in segment {segment}: at index {index}, {items} items of {item_bytes} bytes"
                )?;
            }
            None => writeln!(f, "  no checkpoint: the log is read from its beginning")?,
        }
        match &self.log {
            LogReport::Good { recovered, truncations } => {
                let Recovered { last_index: LogIndex(index), last_term: Term(term), .. } = **recovered;
                writeln!(
                    f,
                    "  log: {} records in {} segments, {} entries of {} bytes, last index {index} of term {term}",
                    recovered.records,
                    recovered.segments.len(),
                    recovered.entries,
                    recovered.body_bytes
                )?;
                if *truncations > 0 {
                    writeln!(f, "  Raft replaced a suffix {truncations} times")?;
                }
                for ByteRange { segment, offset, bytes } in &recovered.torn {
                    writeln!(
                        f,
                        "  a torn write at segment {segment} offset {offset}: {bytes} bytes that were never acknowledged, \
                         and are removed at the next start"
                    )?;
                }
                Ok(())
            }
            LogReport::Corrupt(corruption) => writeln!(f, "  DAMAGED: {corruption}"),
            LogReport::Unreadable(reason) => writeln!(f, "  cannot be read: {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::FileExt;

    use bytes::Bytes;
    use ringkeep_shards::ids::Timestamp;
    use ringkeep_shards::keyspace::Effect;
    use ringkeep_shards::log::{
        CheckpointBase, CheckpointWriter, LogConfig, LogWriter, PendingRecord, RecordKind, ResumePoint, SegmentTable,
    };

    use super::*;
    use crate::runtime::directory::tests::Scratch;

    const SEGMENT_BYTES: u64 = 64 << 10;

    /// A data directory of one shard with nine entries in one-entry writes of 4 KiB, and a checkpoint at the fifth.
    struct Made {
        scratch: Scratch,
        checkpoint: SegmentId,
    }

    impl Made {
        fn new() -> Self {
            Self::with_item(b"an item")
        }

        fn with_item(item: &[u8]) -> Self {
            let scratch = Scratch::new("check");
            let directory = DataDirectory::take(scratch.path()).unwrap();
            let identity = Identity { shards: 1, incarnation: 1, hash_seed: 2, log_salt: 3 };
            directory.found(&identity).unwrap();
            let disk = Disk::probe(scratch.path()).unwrap();
            let files = SegmentFiles::open(&directory.shard(ShardId(0)), disk).unwrap();
            let mut table = SegmentTable::new(SEGMENT_BYTES, FIRST_SEGMENT);
            let log = identity.log(ShardId(0));
            let start = LogStart::empty(FIRST_SEGMENT);
            let config = LogConfig { segment_bytes: SEGMENT_BYTES, block_bytes: 4096 };
            let mut writer = LogWriter::new(log, config, ResumePoint::empty(&start));
            for _ in 0..2 {
                let id = table.new_id();
                files.begin(id, SegmentRole::Log, SEGMENT_BYTES).unwrap().finish().unwrap();
                table.add(id, SegmentRole::Log, SEGMENT_BYTES);
                writer.add_segment(id, SEGMENT_BYTES);
            }
            for index in 1..=9 {
                let record = PendingRecord {
                    kind: RecordKind::Entry,
                    flags: 0,
                    term: Term(1),
                    index: LogIndex(index),
                    commit_ts: Timestamp(index),
                    body: Bytes::from(vec![index as u8; 1000]),
                };
                let write = writer.plan(&[record]).unwrap();
                table.written(&write);
                files.open_log(write.segment).unwrap().write_all_at(&write.buffer, write.offset).unwrap();
                writer.completed(write);
            }
            let checkpoint = table.new_id();
            let start = table.log_start(LogIndex(5), Term(1), writer.durable_end());
            let base = CheckpointBase { start, commit_ts: Timestamp(5), meta: Vec::new() };
            let file = files.begin(checkpoint, SegmentRole::Checkpoint, 0).unwrap();
            let mut items = CheckpointWriter::new(log, checkpoint, base);
            items.push(item);
            items.finish();
            while let Some(chunk) = items.take_chunk() {
                file.write(chunk.offset, &chunk.buffer).unwrap();
                items.give_back(chunk);
            }
            file.finish().unwrap();
            Self { scratch, checkpoint }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.scratch.path().join("shard-0000").join(name)
        }

        fn flip(&self, name: &str, offset: usize) {
            let mut bytes = fs::read(self.path(name)).unwrap();
            bytes[offset] ^= 1;
            fs::write(self.path(name), bytes).unwrap();
        }

        fn check(&self) -> (Verdict, String) {
            let report = check(self.scratch.path());
            (report.verdict(), report.to_string())
        }
    }

    const LOG: &str = "0000000000000001.log";

    #[test]
    fn a_good_directory_is_described() {
        let made = Made::new();
        let (verdict, text) = made.check();
        assert_eq!((verdict, verdict.exit_status()), (Verdict::Fine, 0), "{text}");
        for part in
            ["2 log segments, 1 checkpoints", "at index 5, 1 items of 7 bytes", "9 entries of 9000 bytes, last index 9"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn a_flipped_bit_is_found_with_its_place() {
        let made = Made::new();
        made.flip(LOG, 3 * 4096 + 500);
        let (verdict, text) = made.check();
        assert_eq!(verdict.exit_status(), 1, "{text}");
        assert!(text.contains("damaged at segment 1 offset 12288: expected write 4 with index 4"), "{text}");
        assert!(text.contains("write 5"), "{text}");
    }

    #[test]
    fn what_a_checkpoint_saw_durable_cannot_be_a_torn_tail() {
        let made = Made::new();
        made.flip(LOG, 8 * 4096 + 500);
        assert_eq!(made.check().0, Verdict::Corrupt);
        fs::remove_file(made.path(&format!("{:016}.checkpoint", made.checkpoint.0))).unwrap();
        let (verdict, text) = made.check();
        assert_eq!(verdict, Verdict::Fine);
        assert!(text.contains("a torn write at segment 1 offset 32768: 4096 bytes"), "{text}");
    }

    #[test]
    fn a_damaged_checkpoint_is_told_though_the_log_reaches_back() {
        let made = Made::new();
        made.flip(&format!("{:016}.checkpoint", made.checkpoint.0), 200);
        let (verdict, text) = made.check();
        assert_eq!(verdict, Verdict::Corrupt);
        assert!(text.contains("the checkpoint of shard 0 in segment 3 is not whole"), "{text}");
        assert!(text.contains("last index 9"), "{text}");
        fs::write(made.path(&format!("{:016}.checkpoint", made.checkpoint.0)), b"").unwrap();
        assert_eq!(made.check().0, Verdict::Corrupt);
    }

    #[test]
    fn a_value_that_a_checkpoint_refers_to_and_that_is_gone_is_told() {
        let mut item = Vec::new();
        Effect::PutReference { db: 0, key: b"k", expires_ms: 0, segment: 9, offset: 96, len: 50 }.encode(&mut item);
        let (verdict, text) = Made::with_item(&item).check();
        assert_eq!(verdict, Verdict::Corrupt);
        assert!(text.contains("DAMAGED: the checkpoint in segment 3 refers to segment 9 offset 96"), "{text}");
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let made = Made::new();
        fs::remove_file(made.path(LOG)).unwrap();
        assert_eq!(made.check().0, Verdict::Corrupt, "a segment is missing");
        let owner = DataDirectory::take(made.scratch.path()).unwrap();
        let (verdict, text) = made.check();
        assert_eq!(verdict.exit_status(), 2);
        assert!(text.contains("in use by the server"), "{text}");
        drop(owner);
        fs::remove_dir_all(made.path("")).unwrap();
        assert!(made.check().1.contains("is missing"));
        let nowhere = check(Path::new("/nowhere/at/all"));
        assert_eq!(nowhere.verdict(), Verdict::Unreadable);
    }
}
