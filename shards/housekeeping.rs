//! What keeps a shard's disk in order: segments ahead of the log, checkpoints as it grows, removal of what nobody needs.

use crate::checkpoint::{CheckpointBegin, CheckpointRun};
use crate::ids::{Batch, LogIndex, SegmentId, Term};
use crate::keyspace::{Keyspace, Segments};
use crate::limits::{LAG_SEGMENTS_MAX, SPARE_SEGMENTS_MAX};
use crate::log::{CheckpointChunk, LogIdentity, LogWriter};
use crate::port::{Outputs, SegmentWanted, ShardStats};

/// This part of a segment is kept for what is on its way when the disk is full.
const LOG_KEPT_PART: u64 = 4;
/// And this much of it in any case, in bytes.
const LOG_KEPT_BYTES_MIN: u64 = 64 << 10;
/// The log grows by this many segments at least before a checkpoint is made.
const GROWTH_SEGMENTS_MIN: u64 = 2;
/// A checkpoint of hardly anything takes so many bytes at most, what the file system adds included.
const CHECKPOINT_BYTES_MIN: u64 = 1 << 20;
/// How long after a failure, or a full disk, something is tried again, in milliseconds.
const RETRY_MS: u64 = 1000;

/// What housekeeping is told once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HousekeepingConfig {
    /// Whose files.
    pub(crate) identity: LogIdentity,
    /// The bytes of an ordinary segment.
    pub(crate) segment_bytes: u64,
    /// A checkpoint is made when the log has grown by this part of the live bytes.
    pub(crate) growth_percent: u32,
}

/// A shard's housekeeping.
pub(crate) struct Housekeeping {
    config: HousekeepingConfig,
    /// A segment was asked for and has not come.
    asked: bool,
    /// Segments could not be made since the last one that could.
    no_space: bool,
    /// As the shell said last, less what was asked for since.
    disk_free_bytes: u64,
    /// The bytes of the file that was asked for and has not come.
    asked_bytes: u64,
    retry_ms: u64,
    /// No checkpoint is begun before, after one was given up.
    checkpoint_retry_ms: u64,
    spare: Vec<SegmentId>,
    run: Option<CheckpointRun>,
    wanted: bool,
    /// `log_bytes` of the stats when the newest checkpoint began.
    log_bytes_before: u64,
    /// What the log held beyond the checkpoint that the shard was opened from.
    log_bytes_found: u64,
}

impl Housekeeping {
    /// Housekeeping of a shard that was just opened, with `log_bytes_found` in the log beyond its checkpoint.
    pub(crate) fn new(config: HousekeepingConfig, log_bytes_found: u64) -> Self {
        Housekeeping {
            config,
            asked: false,
            no_space: false,
            disk_free_bytes: u64::MAX,
            asked_bytes: 0,
            retry_ms: 0,
            checkpoint_retry_ms: 0,
            spare: Vec::new(),
            run: None,
            wanted: false,
            log_bytes_before: 0,
            log_bytes_found,
        }
    }

    /// Another share of growth counts from now on.
    pub(crate) fn set_growth_percent(&mut self, growth_percent: u32) {
        self.config.growth_percent = growth_percent;
    }

    // Segments.

    /// Asks for a segment if none waits, or if the next write needs a larger one.
    pub(crate) fn ask_for_segment(
        &mut self,
        bytes_needed: u64,
        now_ms: u64,
        log: &LogWriter,
        keyspace: &mut Keyspace,
        outputs: &mut Outputs,
    ) {
        let enough = bytes_needed == 0 && log.segments_waiting() > 0;
        if self.asked || enough || (self.no_space && now_ms < self.retry_ms) {
            return;
        }
        let bytes = bytes_needed.max(self.config.segment_bytes);
        let oversized = bytes > self.config.segment_bytes;
        let recycle = if oversized { None } else { self.spare.pop() };
        if recycle.is_none() && self.disk_free_bytes < bytes + checkpoint_bytes(keyspace) {
            // What is left is for the next checkpoint, after which old segments serve again.
            return self.no_space(now_ms);
        }
        self.asked = true;
        self.asked_bytes = if recycle.is_none() { bytes } else { 0 };
        self.disk_free_bytes -= self.asked_bytes;
        if let Some(old) = recycle {
            keyspace.segments_mut().remove(old);
        }
        let segment = keyspace.segments_mut().new_id();
        outputs.segment_wanted = Some(SegmentWanted { segment, bytes, recycle, oversized });
    }

    /// A segment that was asked for is there.
    pub(crate) fn segment_came(&mut self) {
        self.asked = false;
        self.asked_bytes = 0;
        self.no_space = false;
    }

    /// It could not be made.
    pub(crate) fn no_space(&mut self, now_ms: u64) {
        self.asked = false;
        self.asked_bytes = 0;
        self.no_space = true;
        self.retry_ms = now_ms + RETRY_MS;
    }

    /// Whether the log waits for a segment.
    pub(crate) fn has_asked(&self) -> bool {
        self.asked
    }

    /// Segments that the log passed over can serve again.
    pub(crate) fn skipped(&mut self, segments: Vec<SegmentId>) {
        self.spare.extend(segments);
    }

    /// The bytes that are free on the disk for this shard. What it has asked for may be among them.
    pub(crate) fn disk_free(&mut self, bytes: u64) {
        self.disk_free_bytes = bytes.saturating_sub(self.asked_bytes);
    }

    /// Whether there is no room for what may be needed next: another segment, and a checkpoint of what is in memory. What the log has
    /// ahead is for removals.
    pub(crate) fn is_disk_full(&self, keyspace: &Keyspace) -> bool {
        let checkpoint_bytes = if self.run.is_some() { 0 } else { checkpoint_bytes(keyspace) };
        self.no_space || self.disk_free_bytes < checkpoint_bytes + self.config.segment_bytes
    }

    /// Whether the disk has a place for so many bytes that are to be proposed. Once they are, the log can do nothing but wait for it, and
    /// no checkpoint can make room. What an ordinary segment holds has its room kept.
    pub(crate) fn has_place_for(&self, bytes: u64, keyspace: &Keyspace) -> bool {
        let bytes = bytes + LOG_KEPT_BYTES_MIN;
        bytes <= self.config.segment_bytes || self.disk_free_bytes >= bytes + checkpoint_bytes(keyspace)
    }

    /// Whether the next segment could not be made.
    #[inline]
    pub(crate) fn has_no_space(&self) -> bool {
        self.no_space
    }

    /// Whether the log has little room left and cannot have more: nothing may be written until a checkpoint has made room, whose entry
    /// must still find its place. If the last one made none, another removal may help, down to the last few blocks.
    #[inline]
    pub(crate) fn is_log_short(&self, log: &LogWriter, stats: &ShardStats) -> bool {
        if !self.no_space || log.segments_waiting() > 0 {
            return false;
        }
        let checkpoint_helps = self.run.is_some() || self.log_grew_by(stats) > 0;
        let kept = if checkpoint_helps { self.config.segment_bytes / LOG_KEPT_PART } else { LOG_KEPT_BYTES_MIN };
        log.bytes_left() < kept
    }

    // Checkpoints.

    /// A checkpoint is to be made as soon as can be.
    pub(crate) fn want_checkpoint(&mut self) {
        self.wanted = true;
    }

    /// Whether a checkpoint is wanted or being made.
    pub(crate) fn is_checkpoint_due(&self) -> bool {
        self.wanted || self.run.is_some()
    }

    /// Whether the next turn should come at once: there is something to walk over.
    pub(crate) fn wants_turn(&self) -> bool {
        self.run.as_ref().is_some_and(CheckpointRun::can_walk)
    }

    fn log_grew_by(&self, stats: &ShardStats) -> u64 {
        stats.log_bytes - self.log_bytes_before + self.log_bytes_found
    }

    fn has_grown(&self, stats: &ShardStats, keyspace: &Keyspace) -> bool {
        let grown = self.log_grew_by(stats);
        if grown < GROWTH_SEGMENTS_MIN * self.config.segment_bytes {
            return false;
        }
        let live = keyspace.unplaced_bytes() as u64 + keyspace.segments().live_bytes_total();
        grown >= live.saturating_mul(u64::from(self.config.growth_percent)) / 100
    }

    /// Begins a checkpoint at the last entry of the log, if one is due. Nothing may be gathered.
    pub(crate) fn begin_if_due(
        &mut self,
        last: (LogIndex, Term, Batch),
        meta: impl FnOnce() -> Vec<u8>,
        log: &LogWriter,
        keyspace: &mut Keyspace,
        stats: &mut ShardStats,
        outputs: &mut Outputs,
    ) {
        let now_ms = keyspace.now_ms();
        if self.run.is_some() || now_ms < self.checkpoint_retry_ms || log.segment().is_none() {
            return;
        }
        let grown_min = if self.is_log_short(log, stats) { 1 } else { self.config.segment_bytes };
        let room = self.is_disk_full(keyspace) && self.log_grew_by(stats) >= grown_min;
        if !self.wanted && !room && !self.has_grown(stats, keyspace) {
            return;
        }
        self.wanted = false;
        let (index, term, batch) = last;
        let begin = CheckpointBegin {
            identity: self.config.identity,
            start: keyspace.segments().log_start(index, term, log.durable_end()),
            batch,
            meta: meta(),
            began_ms: now_ms,
            log_bytes: stats.log_bytes,
            changes: keyspace.changes(),
            move_bytes_max: self.disk_free_bytes.saturating_sub(checkpoint_bytes(keyspace)) / 2,
        };
        let (run, order) = CheckpointRun::begin(begin, keyspace);
        outputs.checkpoint.push(order);
        stats.checkpoint_began_ms = now_ms;
        self.run = Some(run);
    }

    /// Goes on with the checkpoint.
    pub(crate) fn advance(
        &mut self,
        keyspace: &mut Keyspace,
        segments: &dyn Segments,
        committed: Batch,
        outputs: &mut Outputs,
    ) {
        if let Some(run) = &mut self.run {
            run.advance(keyspace, segments, committed, &mut outputs.checkpoint);
        }
    }

    /// A chunk is on disk. (One that a dropped run had out is let go.)
    pub(crate) fn chunk_written(&mut self, chunk: CheckpointChunk) {
        if let Some(run) = self.run.as_mut().filter(|run| run.segment() == chunk.segment) {
            run.written(chunk);
        }
    }

    /// Whether this file is of the checkpoint that is being made.
    pub(crate) fn makes(&self, segment: SegmentId) -> bool {
        self.run.as_ref().is_some_and(|run| run.segment() == segment)
    }

    /// A snapshot of the group stands for the log so far.
    pub(crate) fn superseded(&mut self, stats: &ShardStats) {
        self.log_bytes_before = stats.log_bytes;
        self.log_bytes_found = 0;
    }

    /// What a checkpoint waited for is in memory.
    pub(crate) fn brought_in(&mut self) {
        if let Some(run) = &mut self.run {
            run.brought_in();
        }
    }

    /// The checkpoint counts: what it stands for goes.
    pub(crate) fn published(&mut self, now_ms: u64, keyspace: &mut Keyspace, stats: &mut ShardStats) {
        let Some(run) = self.run.take() else { return };
        self.log_bytes_before = run.log_bytes;
        self.log_bytes_found = 0;
        stats.checkpoints += 1;
        stats.checkpoint_failed = false;
        stats.checkpoint_ms = now_ms;
        stats.checkpoint_took_ms = now_ms.saturating_sub(run.began_ms);
        stats.checkpoint_began_ms = 0;
        stats.changes_saved = run.changes;
        run.published(keyspace);
    }

    /// The checkpoint is given up.
    pub(crate) fn give_up(
        &mut self,
        now_ms: u64,
        keyspace: &mut Keyspace,
        stats: &mut ShardStats,
        outputs: &mut Outputs,
    ) {
        let Some(run) = self.run.take() else { return };
        self.checkpoint_retry_ms = now_ms + RETRY_MS;
        stats.checkpoints_failed += 1;
        stats.checkpoint_failed = true;
        stats.checkpoint_began_ms = 0;
        outputs.checkpoint.push(run.drop_run(keyspace));
    }

    /// Segments that nobody needs serve again, or go; which ones. Members of the group may yet ask for entries from `needed_from` on: some
    /// segments are kept for them, as long as there is room.
    pub(crate) fn dispose(
        &mut self,
        needed_from: LogIndex,
        keyspace: &mut Keyspace,
        outputs: &mut Outputs,
    ) -> Vec<SegmentId> {
        let mut gone = Vec::new();
        if self.run.is_some() {
            // It may refer to segments in which nothing lives any more.
            return gone;
        }
        let table = keyspace.segments_mut();
        let mut unneeded = table.disposable(LogIndex(u64::MAX));
        if needed_from != LogIndex(u64::MAX) && !self.no_space {
            let free = table.disposable(needed_from);
            let mut kept = unneeded.iter().filter(|one| !free.contains(one)).count();
            unneeded.retain(|one| {
                let keep = !free.contains(one);
                kept -= usize::from(keep);
                !keep || kept >= LAG_SEGMENTS_MAX
            });
        }
        for unneeded in unneeded {
            if self.spare.contains(&unneeded.segment) {
                continue;
            }
            gone.push(unneeded.segment);
            if unneeded.recycle && self.spare.len() < SPARE_SEGMENTS_MAX {
                self.spare.push(unneeded.segment);
            } else {
                let role = table.role(unneeded.segment);
                table.remove(unneeded.segment);
                outputs.unneeded.push((unneeded.segment, role));
            }
        }
        gone
    }
}

/// What the next checkpoint takes on the disk, about: small values, and references to large ones.
fn checkpoint_bytes(keyspace: &Keyspace) -> u64 {
    keyspace.unplaced_bytes() as u64 + CHECKPOINT_BYTES_MIN
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ShardId;
    use crate::log::{LogConfig, LogStart, ResumePoint};

    #[test]
    fn segments_made_between_two_looks_at_the_disk_leave_room_for_a_checkpoint() {
        let identity = LogIdentity { shard: ShardId(0), salt: 1 };
        let config = LogConfig { segment_bytes: 2 << 20, block_bytes: 512 };
        let log = LogWriter::new(identity, config, ResumePoint::empty(&LogStart::empty(SegmentId(1))));
        let config = HousekeepingConfig { identity, segment_bytes: 2 << 20, growth_percent: 100 };
        let mut housekeeping = Housekeeping::new(config, 0);
        let (mut keyspace, mut outputs) = (Keyspace::new(1, 1 << 10), Outputs::default());
        housekeeping.disk_free(11 << 20);
        let mut made = 0;
        for _ in 0..20 {
            housekeeping.ask_for_segment(0, 0, &log, &mut keyspace, &mut outputs);
            if let Some(wanted) = outputs.segment_wanted.take() {
                made += wanted.bytes;
                if made == wanted.bytes {
                    // A look before the file is there.
                    housekeeping.disk_free(11 << 20);
                }
                housekeeping.segment_came();
            }
        }
        assert!(housekeeping.has_no_space());
        assert!(made >= 6 << 20 && (11 << 20) - made >= CHECKPOINT_BYTES_MIN, "{made} bytes were made");
    }
}
