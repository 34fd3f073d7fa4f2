//! Chore for the disk that nobody waits for: segments made ahead of their use, checkpoints, files that go.
//!
//! One thread a core does it with direct I/O, in steps of a megabyte, and sleeps between them so as to stay below the bytes per second
//! it is allowed: what disturbs the log's writes is the disk's queue, which no share of CPU limits. What the log stands still for is
//! done first, and without sleeping. A thread, because files are made, synced, renamed and removed by calls that block, and a glommio task
//! that blocks holds its whole core.

use crate::log_line;
use crate::runtime::doorbell::Doorbell;
use crate::runtime::files::NewSegment;
use crate::runtime::map::SegmentMap;
use crate::runtime::segment_files::{RetiredFile, SegmentFiles, UnfinishedFile};
use crate::runtime::segment_lock::open_locked;
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use ringkeep_shards::ids::SegmentId;
use ringkeep_shards::log::{CheckpointChunk, SegmentRole};
use ringkeep_shards::port::SegmentWanted;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a shard wants done.
pub enum Chore {
    /// A segment for its log, now if the log stands still.
    Segment {
        /// Which.
        wanted: SegmentWanted,
        /// Whether the log stands still until it is there.
        urgent: bool,
    },
    /// The segment that was asked for is urgent by now.
    Hurry,
    /// A file that nobody needs goes. Its bytes go piece by piece, unless somebody still has its map.
    Remove(SegmentId, SegmentRole, Option<Arc<SegmentMap>>),
    /// A checkpoint's file is begun.
    BeginCheckpoint(SegmentId),
    /// A part of it is written.
    WriteCheckpoint(CheckpointChunk),
    /// It is made durable and gets its name.
    PublishCheckpoint(SegmentId),
    /// It is given up.
    DropCheckpoint,
}

/// Chore for a shard.
pub struct Request {
    /// The shard's place on its core.
    pub place: usize,
    /// Its files.
    pub files: SegmentFiles,
    /// What is to be done.
    pub work: Chore,
}

/// What was done.
pub enum Done {
    /// A segment is there.
    Segment(NewSegment),
    /// A segment cannot be made.
    SegmentFailed(io::Error),
    /// A part of the checkpoint is on disk.
    CheckpointWritten(CheckpointChunk),
    /// The checkpoint has its name.
    CheckpointPublished(SegmentId, SegmentMap),
    /// The checkpoint in this file cannot be written; nothing of it is left.
    CheckpointFailed(SegmentId, io::Error),
}

/// What was done for a shard.
pub struct Reply {
    /// The shard's place on its core.
    pub place: usize,
    /// What.
    pub done: Done,
}

/// Starts a core's background thread, which writes no more than `bytes_per_second`; it ends when its requests' sender is
/// gone.
pub fn start(doorbell: Doorbell, bytes_per_second: u64) -> (Sender<Request>, Receiver<Reply>) {
    let (requests, inbox) = unbounded();
    let (outbox, replies) = unbounded();
    std::thread::Builder::new()
        .name("background".to_owned())
        .spawn(move || Worker { inbox, outbox, doorbell, shards: Vec::new(), pace: Pace::new(bytes_per_second) }.run())
        .expect("a thread can be started");
    (requests, replies)
}

/// A segment that is being zeroed.
struct Making {
    files: SegmentFiles,
    segment: SegmentId,
    bytes: u64,
    file: UnfinishedFile,
}

/// What is to be done for one shard.
#[derive(Default)]
struct ShardWork {
    /// A segment that was asked for and not begun.
    wanted: Option<(SegmentFiles, SegmentWanted)>,
    making: Option<Making>,
    urgent: bool,
    rest: VecDeque<(SegmentFiles, Chore)>,
    checkpoint: Option<(SegmentId, UnfinishedFile)>,
    /// Files without names, whose bytes go piece by piece.
    going: Vec<RetiredFile>,
}

impl ShardWork {
    fn has_segment(&self) -> bool {
        self.wanted.is_some() || self.making.is_some()
    }

    fn is_urgent(&self) -> bool {
        self.urgent && self.has_segment()
    }
}

struct Worker {
    inbox: Receiver<Request>,
    outbox: Sender<Reply>,
    doorbell: Doorbell,
    shards: Vec<ShardWork>,
    pace: Pace,
}

impl Worker {
    fn run(&mut self) {
        loop {
            let urgent = self.shards.iter().any(ShardWork::is_urgent);
            let idle = |shard: &ShardWork| !shard.has_segment() && shard.rest.is_empty() && shard.going.is_empty();
            let idle = self.shards.iter().all(idle);
            let wait = if idle {
                Duration::MAX
            } else if urgent {
                Duration::ZERO
            } else {
                self.pace.early()
            };
            let request = if wait == Duration::MAX {
                self.inbox.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                self.inbox.recv_timeout(wait)
            };
            match request {
                Ok(request) => self.take(request),
                Err(RecvTimeoutError::Timeout) => {
                    if self.one_step().is_err() {
                        return;
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn take(&mut self, Request { place, files, work }: Request) {
        if self.shards.len() <= place {
            self.shards.resize_with(place + 1, ShardWork::default);
        }
        let shard = &mut self.shards[place];
        match work {
            Chore::Segment { wanted, urgent } => {
                shard.wanted = Some((files, wanted));
                shard.urgent = urgent;
            }
            Chore::Hurry => shard.urgent = true,
            other => shard.rest.push_back((files, other)),
        }
    }

    /// Does one thing: first what a log stands still for, then checkpoints and removals, then what is left of removed files, then
    /// segments ahead of their use.
    fn one_step(&mut self) -> Result<(), crossbeam::channel::SendError<Reply>> {
        let urgent = self.shards.iter().position(ShardWork::is_urgent);
        let rest = || self.shards.iter().position(|shard| !shard.rest.is_empty());
        let going = || self.shards.iter().position(|shard| !shard.going.is_empty());
        let segment = || self.shards.iter().position(ShardWork::has_segment);
        let (place, done) = if let Some(place) = urgent {
            (place, self.segment_step(place))
        } else if let Some(place) = rest() {
            (place, self.rest_step(place))
        } else if let Some(place) = going() {
            self.shorten(place);
            return Ok(());
        } else if let Some(place) = segment() {
            (place, self.segment_step(place))
        } else {
            return Ok(());
        };
        let Some(done) = done else { return Ok(()) };
        self.outbox.send(Reply { place, done })?;
        self.doorbell.ring();
        Ok(())
    }

    fn segment_step(&mut self, place: usize) -> Option<Done> {
        let shard = &mut self.shards[place];
        let result = match (shard.wanted.take(), shard.making.take()) {
            (Some((files, wanted)), _) => begin_segment(files, wanted),
            (None, Some(mut making)) => match making.file.zero_next() {
                Ok(0) => finish_segment(making).map(Progress::There),
                Ok(written) => {
                    self.pace.wrote(written);
                    Ok(Progress::Making(making))
                }
                Err(error) => Err(error),
            },
            (None, None) => return None,
        };
        match result {
            Ok(Progress::There(new)) => Some(Done::Segment(new)),
            Ok(Progress::Making(making)) => {
                shard.making = Some(making);
                None
            }
            Err(error) => Some(Done::SegmentFailed(error)),
        }
    }

    fn shorten(&mut self, place: usize) {
        let going = &mut self.shards[place].going;
        match going.last_mut().map(RetiredFile::shorten) {
            Some(Ok(bytes @ 1..)) => self.pace.wrote(bytes),
            // What cannot be shortened goes in one piece.
            _ => drop(going.pop()),
        }
    }

    fn rest_step(&mut self, place: usize) -> Option<Done> {
        let shard = &mut self.shards[place];
        let (files, work) = shard.rest.pop_front()?;
        let result = match work {
            Chore::Remove(segment, role, map) => {
                match files.retire(segment, role) {
                    // The last map goes here, not on the core.
                    Ok(retired) if map.is_none_or(|map| Arc::into_inner(map).is_some()) => {
                        shard.going.push(retired);
                    }
                    Ok(_) => {}
                    Err(error) => {
                        let path = files.path(segment, role);
                        log_line::warning(format_args!("{} cannot be removed: {error}", path.display()));
                    }
                }
                return None;
            }
            Chore::BeginCheckpoint(segment) => match files.begin(segment, SegmentRole::Checkpoint, 0) {
                Ok(file) => {
                    shard.checkpoint = Some((segment, file));
                    return None;
                }
                Err(error) => Err((segment, error)),
            },
            // After a failure the steps that were on their way are void.
            Chore::WriteCheckpoint(chunk) => {
                let (segment, file) = shard.checkpoint.as_ref().filter(|(segment, _)| *segment == chunk.segment)?;
                self.pace.wrote(chunk.buffer.len());
                let written = file.write(chunk.offset, &chunk.buffer);
                written.map_err(|error| (*segment, error)).map(|()| Done::CheckpointWritten(chunk))
            }
            Chore::PublishCheckpoint(segment) => {
                let (_, file) = shard.checkpoint.take().filter(|(begun, _)| *begun == segment)?;
                let map = file.finish().and_then(|()| files.map(segment, SegmentRole::Checkpoint));
                map.map_err(|error| (segment, error)).map(|map| Done::CheckpointPublished(segment, map))
            }
            Chore::DropCheckpoint => {
                shard.checkpoint = None;
                return None;
            }
            Chore::Segment { .. } | Chore::Hurry => panic!("segments have their own place"),
        };
        Some(result.unwrap_or_else(|(segment, error)| {
            shard.checkpoint = None;
            Done::CheckpointFailed(segment, error)
        }))
    }
}

enum Progress {
    There(NewSegment),
    Making(Making),
}

fn begin_segment(files: SegmentFiles, wanted: SegmentWanted) -> io::Result<Progress> {
    let SegmentWanted { segment, bytes, recycle, oversized } = wanted;
    if let Some(old) = recycle {
        files.recycle(old, segment)?;
        return open_segment(&files, segment, bytes).map(Progress::There);
    }
    let file = files.begin(segment, SegmentRole::Log, bytes)?;
    let making = Making { files, segment, bytes, file };
    // One write fills it, which makes its blocks count too: zeros would only double the bytes.
    if oversized { finish_segment(making).map(Progress::There) } else { Ok(Progress::Making(making)) }
}

fn finish_segment(making: Making) -> io::Result<NewSegment> {
    let Making { files, segment, bytes, file } = making;
    file.finish()?;
    open_segment(&files, segment, bytes)
}

fn open_segment(files: &SegmentFiles, segment: SegmentId, bytes: u64) -> io::Result<NewSegment> {
    Ok(NewSegment { segment, bytes, file: open_locked(files, segment)?, map: files.map(segment, SegmentRole::Log)? })
}

/// Holds a writer to a rate: says how long it is ahead of it.
struct Pace {
    since: Instant,
    bytes: u64,
    bytes_per_second: u64,
}

impl Pace {
    fn new(bytes_per_second: u64) -> Self {
        Pace { since: Instant::now(), bytes: 0, bytes_per_second: bytes_per_second.max(1) }
    }

    fn wrote(&mut self, bytes: usize) {
        // What was not written while there was nothing to write is not made up for.
        if self.early().is_zero() {
            *self = Pace::new(self.bytes_per_second);
        }
        self.bytes += bytes as u64;
    }

    fn early(&self) -> Duration {
        let due = Duration::from_secs_f64(self.bytes as f64 / self.bytes_per_second as f64);
        due.saturating_sub(self.since.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::directory::tests::Scratch;
    use crate::runtime::disk::Disk;

    fn wait(replies: &Receiver<Reply>) -> Done {
        replies.recv_timeout(Duration::from_secs(60)).expect("an answer").done
    }

    fn wanted(segment: u64, recycle: Option<u64>) -> SegmentWanted {
        let recycle = recycle.map(SegmentId);
        SegmentWanted { segment: SegmentId(segment), bytes: 4 << 20, recycle, oversized: false }
    }

    #[test]
    fn an_urgent_segment_overtakes_a_slow_checkpoint_and_old_files_serve_again() {
        let scratch = Scratch::new("background");
        let disk = Disk::probe(scratch.path()).unwrap();
        let files = SegmentFiles::open(&scratch.path().join("shard-0000"), disk).unwrap();
        // A megabyte each ten seconds: only what is urgent is done within the test.
        let (requests, replies) = start(Doorbell::new().unwrap(), 100 << 10);
        let ask = |work| requests.send(Request { place: 0, files: files.clone(), work }).unwrap();
        ask(Chore::BeginCheckpoint(SegmentId(9)));
        let mut buffer = ringkeep_shards::log::AlignedBuffer::with_capacity(1 << 20);
        buffer.push(&[7; 1 << 20]);
        ask(Chore::WriteCheckpoint(CheckpointChunk { segment: SegmentId(9), offset: 0, buffer }));
        assert!(matches!(wait(&replies), Done::CheckpointWritten(_)));
        ask(Chore::Segment { wanted: wanted(1, None), urgent: false });
        ask(Chore::Hurry);
        let Done::Segment(new) = wait(&replies) else { panic!("a segment") };
        assert_eq!((new.segment, new.bytes, new.map.len()), (SegmentId(1), 4 << 20, 4 << 20));
        // A shard lets go of a file before it is to serve again.
        drop(new);
        ask(Chore::Segment { wanted: wanted(2, Some(1)), urgent: true });
        let Done::Segment(new) = wait(&replies) else { panic!("a segment") };
        assert_eq!(new.segment, SegmentId(2));
        let names: Vec<u64> = files.list().unwrap().iter().map(|file| file.segment.0).collect();
        assert_eq!(names, [2], "the checkpoint does not count, and the old segment has a new name");
    }
}
