//! The tick: what was gathered is proposed and written, what is committed is applied, what a term loses is taken back.

use super::{Proposed, Shard};
use crate::group::{EntryType, GroupOutputs, Message, MessageType, Refused, TICK_MS};
use crate::ids::{Batch, LogIndex, Term};
use crate::keyspace::Segments;
use crate::limits::{BATCH_BYTES_MAX, EXPIRY_LOOKS_PER_TURN};
use crate::log::{EntryPlaces, LogPosition, LogWrite};
use crate::lost::Lost;
use crate::port::{Gate, Now, Outputs};
use crate::sabotage::{Sabotage, is_planted};

impl Shard {
    pub(super) fn end_of_tick(&mut self, now: Now, segments: &dyn Segments, outputs: &mut Outputs) {
        if self.fence_joined {
            self.fence_joined = false;
            self.group.read_index(self.fence);
            self.fence += u64::from(!is_planted(Sabotage::FenceJoinedLate));
        }
        if self.group.has_work() || self.backlog.first().is_some() {
            self.turn(segments, outputs);
        }
        if self.expiry_is_behind {
            self.expire();
        }
        self.keyspace.free_garbage();
        if self.keyspace.wants_sweep() {
            self.keyspace.sweep_some();
        }
        if self.scripts.wants_cleaning() {
            self.scripts.clean_some();
        }
        self.write_if_free(segments, outputs);
        if !self.group.is_lone() {
            self.receive_snapshot(segments, outputs);
            self.read_for_others(segments, outputs);
            self.send_snapshots(now, segments, outputs);
        }
        self.housekeeping.advance(&mut self.keyspace, segments, self.open.batch, outputs);
    }

    pub(super) fn write_if_free(&mut self, segments: &dyn Segments, outputs: &mut Outputs) {
        let body_bytes = self.keyspace.body_bytes();
        let has_room = self.group.has_room_for(body_bytes);
        if self.log.is_writing() && (body_bytes < BATCH_BYTES_MAX || !has_room) {
            return;
        }
        // What waits to be written makes room when it is: until then the batch gathers on.
        if has_room || self.group.records().is_empty() {
            self.propose(segments, outputs);
            self.begin_checkpoint_if_due(outputs);
        }
        if self.log.is_writing() || self.group.records().is_empty() || self.group.is_installing() {
            return;
        }
        let now_ms = self.keyspace.now_ms();
        match self.log.plan(self.group.records()) {
            Ok(write) => {
                if write.entries.is_some() {
                    // What follows the entries that were there is no part of a snapshot that stands for them.
                    self.give_up_snapshot(outputs);
                }
                self.keyspace.segments_mut().written(&write);
                self.housekeeping.skipped(self.log.take_skipped());
                self.stats.log_writes += 1;
                self.stats.log_bytes += write.buffer.len() as u64;
                self.placing.clear();
                self.placing.extend(self.group.records().iter().map(|record| (record.index, record.term)));
                self.group.writing();
                outputs.write = Some(write);
                self.housekeeping.ask_for_segment(0, now_ms, &self.log, &mut self.keyspace, outputs);
            }
            Err(no_segment) => {
                let bytes = no_segment.bytes_needed;
                self.housekeeping.ask_for_segment(bytes, now_ms, &self.log, &mut self.keyspace, outputs);
            }
        }
    }

    /// Begins a checkpoint at the last entry if one is due; a member that does not serve, at the last one that is applied. It follows a
    /// proposal: nothing is gathered.
    pub(super) fn begin_checkpoint_if_due(&mut self, outputs: &mut Outputs) {
        if (self.serving.is_none() && self.backlog.first().is_some()) || self.snapshots.is_receiving() {
            return;
        }
        let last = self.proposed.back().map_or((self.applied.0, self.applied.1, self.open.batch), |proposed| {
            (proposed.index, proposed.term, proposed.batch)
        });
        let group = &self.group;
        let meta = || group.conf_state_bytes();
        self.housekeeping.set_growth_percent(self.config.checkpoint_growth_percent);
        self.housekeeping.begin_if_due(last, meta, &self.log, &mut self.keyspace, &mut self.stats, outputs);
    }

    pub(super) fn give_up_checkpoint(&mut self, outputs: &mut Outputs) {
        let now_ms = self.keyspace.now_ms();
        self.housekeeping.give_up(now_ms, &mut self.keyspace, &mut self.stats, outputs);
    }

    /// Proposes the gathered batch, as the leader of the term that its effects were computed in.
    pub(super) fn propose(&mut self, segments: &dyn Segments, outputs: &mut Outputs) {
        let Some(term) = self.serving else { return };
        let waiting_bytes: usize = self.group.records().iter().map(|record| record.body.len()).sum();
        let bytes = (waiting_bytes + self.keyspace.body_bytes()) as u64;
        let has_place = self.housekeeping.has_place_for(bytes, &self.keyspace);
        let Some(closed) = self.keyspace.close_batch() else { return };
        if !has_place {
            return self.take_back(closed.batch, outputs);
        }
        match self.group.propose(term, closed.body) {
            Ok(index) => {
                self.stats.group_entries += 1;
                self.stats.timestamp = closed.timestamp;
                self.proposed.push_back(Proposed { batch: closed.batch, term, index, large: closed.large });
            }
            Err(Refused::Dropped) => self.take_back(closed.batch, outputs),
            Err(Refused::NotLeader) => self.lose(outputs),
        }
        self.turn(segments, outputs);
    }

    pub(super) fn written(&mut self, write: LogWrite, segments: &dyn Segments, outputs: &mut Outputs) {
        self.note_places(&write);
        self.place_large(&write.placements);
        self.log.completed(write);
        let mut turn = std::mem::take(&mut self.turn);
        self.group.persisted(&mut turn);
        self.deliver(&mut turn, segments, outputs);
        self.turn = turn;
        self.keyspace.cool_to(self.config.warm_bytes_max);
    }

    /// Large strings of the entries that were just written have their place now.
    pub(super) fn place_large(&mut self, placements: &[LogPosition]) {
        for (&(index, term), position) in self.placing.iter().zip(placements) {
            // Another leader may be the one that commits it: then this member applies it from here.
            if !self.group.is_lone() && self.keyspace.is_large(position.bytes as usize) {
                self.backlog.written(index, term, *position);
            }
            let Some(proposed) = self.proposed.iter_mut().find(|p| p.index == index && p.term == term) else {
                continue;
            };
            for (string, offset) in std::mem::take(&mut proposed.large) {
                self.keyspace.placed(&string, position.part(offset, string.len()));
            }
        }
        self.placing.clear();
    }

    pub(super) fn message(&mut self, now: Now, message: Message, segments: &dyn Segments, outputs: &mut Outputs) {
        match message.get_msg_type() {
            MessageType::MsgSnapshot => self.snapshot_part(message, now.monotonic_us, outputs),
            MessageType::MsgSnapStatus => self.snapshot_answered(&message, now.monotonic_us),
            _ => self.group.step(message),
        }
        self.turn(segments, outputs);
    }

    pub(super) fn turn(&mut self, segments: &dyn Segments, outputs: &mut Outputs) {
        let mut turn = std::mem::take(&mut self.turn);
        self.group.turn(&mut turn);
        self.deliver(&mut turn, segments, outputs);
        self.turn = turn;
    }

    /// What the group brought: messages, committed entries, confirmed fences, another role.
    pub(super) fn deliver(&mut self, turn: &mut GroupOutputs, segments: &dyn Segments, outputs: &mut Outputs) {
        outputs.messages.append(&mut turn.messages);
        let leads = self.group.is_leader().then(|| self.group.term());
        if self.serving.is_some() && self.serving != leads {
            self.lose(outputs);
        }
        for announced in turn.announced.drain(..) {
            self.announced(announced, self.raft_ticked_us);
        }
        self.backlog.extend(turn.committed.drain(..));
        self.apply_backlog(segments, outputs);
        for (fence, _) in turn.confirmed.drain(..) {
            self.open.fence = self.open.fence.max(fence);
        }
    }

    /// Applies what is committed, as far as it can be read.
    pub(super) fn apply_backlog(&mut self, segments: &dyn Segments, outputs: &mut Outputs) {
        while let Some(entry) = self.backlog.first() {
            let (index, term) = (LogIndex(entry.index), Term(entry.term));
            match entry.get_entry_type() {
                EntryType::EntryNormal if entry.data.is_empty() => {}
                EntryType::EntryNormal if self.proposed.front().is_some_and(|p| (p.index, p.term) == (index, term)) => {
                    let proposed = self.proposed.pop_front().expect("its front was just looked at");
                    self.keyspace.delivered(proposed.batch);
                    self.open.batch = proposed.batch;
                }
                EntryType::EntryNormal => match self.backlog.apply_first(&mut self.keyspace, segments) {
                    Ok(batch) => self.open.batch = batch,
                    Err(range) => {
                        outputs.cold_entry = Some(range);
                        return;
                    }
                },
                EntryType::EntryConfChange | EntryType::EntryConfChangeV2 => self.group.apply_members(entry),
            }
            self.backlog.pop();
            self.applied = (index, term);
            if self.group.is_leader() && self.group.term() == term {
                self.serving = Some(term);
            }
        }
    }

    /// What recovery found of the log: where the bodies of entries that are yet to be applied lie, and where all entries do.
    pub(crate) fn recovered(&mut self, places: Vec<(LogIndex, Term, LogPosition)>, stretches: EntryPlaces) {
        *self.group.places_mut() = stretches;
        for (index, term, position) in places {
            self.backlog.written(index, term, position);
        }
    }

    /// Leadership is lost: what was not delivered is taken back, newest first.
    pub(super) fn lose(&mut self, outputs: &mut Outputs) {
        let proposed = self.proposed.back().map_or(self.open.batch, |proposed| proposed.batch);
        let last = Gate { batch: self.keyspace.batch(), fence: self.fence };
        self.serving = None;
        self.give_up_checkpoint(outputs);
        self.proposed.clear();
        if !is_planted(Sabotage::TermNotUndone) {
            self.keyspace.undo_undelivered();
        }
        self.restart_contexts();
        self.fence_joined = false;
        self.fence += 1;
        // It is said of all that a refused batch in the same step would be said of, and more.
        if !is_planted(Sabotage::LossNotTold) {
            outputs.lost = Some(Lost { kept: self.open, proposed, last });
        }
    }

    /// The group refused a batch: its tick is taken back. The term goes on, with what was proposed before.
    pub(super) fn take_back(&mut self, batch: Batch, outputs: &mut Outputs) {
        self.restart_contexts();
        if !is_planted(Sabotage::RefusedNotUndone) {
            self.keyspace.undo_refused(batch);
        }
        let before = Batch(batch.0 - 1);
        outputs.lost = Some(Lost {
            kept: Gate { batch: before, fence: u64::MAX },
            proposed: before,
            last: Gate { batch, fence: u64::MAX },
        });
    }

    /// Removes keys that have expired.
    pub(super) fn expire(&mut self) {
        let may_write = self.serving.is_some() && self.expires_actively && !self.group.hands_over();
        self.expiry_is_behind = may_write && self.keyspace.expire_due(EXPIRY_LOOKS_PER_TURN);
        self.keyspace.take_gate();
    }

    pub(super) fn timer(&mut self, now: Now, segments: &dyn Segments, outputs: &mut Outputs) {
        if !self.group.is_lone() && now.monotonic_us.saturating_sub(self.raft_ticked_us) >= TICK_MS * 1000 {
            self.raft_ticked_us = now.monotonic_us;
            let entropy = self.entropy.next_u64();
            self.group.tick(entropy);
            self.turn(segments, outputs);
        }
        self.expire();
        self.snapshot_timer(now.monotonic_us, outputs);
        self.stats.disk_full = self.housekeeping.is_disk_full(&self.keyspace);
        self.housekeeping.ask_for_segment(0, now.unix_ms, &self.log, &mut self.keyspace, outputs);
        self.dispose(outputs);
        self.end_of_tick(now, segments, outputs);
    }
}
