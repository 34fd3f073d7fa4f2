//! What shards ask of the disk apart from their log writes, sorted into work for the background.

use crate::log_line;
use crate::runtime::background::{Chore, Done};
use crate::serve::engine::{Engine, FOR_CHECKPOINTS};
use crate::serve::message::{Answer, Message, Ticket};
use ringkeep_shards::port::{CheckpointOrder, Input};
use std::io;

/// SAVE on one core: who waits, and the checkpoints that each shard must have made by then.
pub struct Save {
    ticket: Ticket,
    /// Checkpoints of each shard that were made, and that failed, as they must be outnumbered.
    before: Vec<(u64, u64)>,
}

impl Engine {
    /// Makes a checkpoint of every shard and answers when all are there, or one has failed.
    pub fn save_for(&mut self, ticket: Ticket) {
        let mut before = Vec::new();
        for place in 0..self.shards.len() {
            let stats = self.shards[place].shard.stats();
            // One that is being made may stand at an entry before this request.
            let made = stats.checkpoints + u64::from(stats.checkpoint_began_ms != 0);
            before.push((made, stats.checkpoints_failed));
            self.shards[place].shard.want_checkpoint();
            self.touch(place);
        }
        self.saves.push(Save { ticket, before });
        self.answer_saves();
    }

    fn answer_saves(&mut self) {
        let shards = &self.shards;
        let mut done = Vec::new();
        self.saves.retain(|save| {
            let now = shards.iter().map(|local| local.shard.stats());
            let mut both = now.zip(&save.before);
            let failed = both.clone().any(|(now, before)| now.checkpoints_failed > before.1);
            let waits = !failed && both.any(|(now, before)| now.checkpoints <= before.0);
            if !waits {
                done.push((save.ticket, !failed));
            }
            waits
        });
        for (ticket, saved) in done {
            let answer = Answer::Data(Box::new(saved));
            if ticket.core == self.core {
                self.answers.push_back((ticket, answer, None));
            } else {
                self.outbox.push((ticket.core, Message::Answer(ticket, answer)));
            }
        }
    }

    /// Queues what a shard's last step asked for.
    pub(super) fn keep_house(&mut self, place: usize) {
        let local = &mut self.shards[place];
        if let Some(wanted) = self.outputs.segment_wanted.take() {
            if let Some(old) = wanted.recycle {
                local.files.remove(old);
            }
            local.hurried = local.shard.waits_for_segment();
            self.background.push((place, Chore::Segment { wanted, urgent: local.hurried }));
        }
        for (segment, role) in self.outputs.unneeded.drain(..) {
            let map = local.files.remove(segment);
            self.background.push((place, Chore::Remove(segment, role, map)));
        }
        for order in std::mem::take(&mut self.outputs.checkpoint) {
            let work = match order {
                CheckpointOrder::Begin { segment } => Chore::BeginCheckpoint(segment),
                CheckpointOrder::Write { chunk } => Chore::WriteCheckpoint(chunk),
                CheckpointOrder::Publish { segment } => Chore::PublishCheckpoint(segment),
                CheckpointOrder::Drop { .. } => Chore::DropCheckpoint,
                CheckpointOrder::BringIn { range } => {
                    self.bring_in(place, range, FOR_CHECKPOINTS + place as u64);
                    continue;
                }
            };
            self.background.push((place, work));
        }
    }

    /// A segment that was asked for ahead of its use is urgent once the log stands still.
    pub(super) fn hurry(&mut self, place: usize) {
        let local = &mut self.shards[place];
        if !local.hurried && local.shard.waits_for_segment() {
            local.hurried = true;
            self.background.push((place, Chore::Hurry));
        }
    }

    /// The background has done something for a shard.
    pub fn background_done(&mut self, place: usize, done: Done) {
        let local = &mut self.shards[place];
        match done {
            Done::Segment(new) => {
                let (segment, bytes) = (new.segment, new.bytes);
                local.files.add(new);
                self.step(place, Input::Segment { segment, bytes });
            }
            Done::SegmentFailed(error) => {
                if error.kind() != io::ErrorKind::StorageFull && error.kind() != io::ErrorKind::QuotaExceeded {
                    panic!("shard {}: a segment cannot be made: {error}", local.id);
                }
                if !local.shard.stats().disk_full {
                    log_line::warning(format_args!(
                        "shard {}: the disk is full: writes are refused, removing keys still works",
                        local.id
                    ));
                }
                self.step(place, Input::NoSpace);
            }
            Done::CheckpointWritten(chunk) => self.step(place, Input::CheckpointWritten(chunk)),
            Done::CheckpointPublished(segment, map) => {
                local.files.add_checkpoint(segment, map);
                self.step(place, Input::CheckpointPublished(segment));
                self.answer_saves();
                let took_ms = self.shards[place].shard.stats().checkpoint_took_ms;
                log_line::verbose(format_args!(
                    "shard {}: checkpoint {segment} took {took_ms} ms",
                    self.shards[place].id
                ));
            }
            Done::CheckpointFailed(segment, error) => {
                log_line::warning(format_args!(
                    "shard {}: a checkpoint cannot be written: {error}; it is tried again, and the log keeps every write",
                    local.id
                ));
                self.step(place, Input::CheckpointFailed(segment));
                self.answer_saves();
            }
        }
    }

    /// Tells the shards how much room the disk has.
    pub fn tell_disk_free(&mut self) {
        for place in 0..self.shards.len() {
            // Without an answer the last one holds.
            let Ok(free) = self.shards[place].files.directory().free_bytes() else { continue };
            let share = free / u64::from(self.shard_count());
            self.step(place, Input::DiskFree(share));
        }
    }
}
