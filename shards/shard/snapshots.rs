//! Snapshots of the group: what a leader sends to a member that lags, and what such a member does with it.

use crate::group::{ConfState, Message};
use crate::ids::{LogIndex, SegmentId, Term};
use crate::keyspace::Segments;
use crate::log::CheckpointChunk;
use crate::port::{CheckpointOrder, Now, Outputs};
use crate::snapshot::{Ack, Offer, Received, SnapshotReceiver, SnapshotSender, read_base, stream};
use crate::stored::Unreadable;
use protobuf::Message as _;

use super::Shard;

/// An offer that Raft does not take up for so long is withdrawn, in microseconds: it holds segments.
const OFFER_US_MAX: u64 = 10_000_000;

/// The snapshots of one member that are on their way, out and in.
pub(super) struct Snapshots {
    /// Raft wants one to announce.
    wanted: bool,
    /// Its checkpoint's first record is being brought in.
    waits: bool,
    /// What Raft may announce, and since when.
    offer: Option<(Offer, u64)>,
    senders: Vec<SnapshotSender>,
    receiver: Option<SnapshotReceiver>,
}

impl Snapshots {
    pub(super) fn new() -> Self {
        Snapshots { wanted: false, waits: false, offer: None, senders: Vec::new(), receiver: None }
    }

    /// Whether a snapshot is coming in.
    pub(super) fn is_receiving(&self) -> bool {
        self.receiver.is_some()
    }
}

impl Shard {
    // A leader.

    /// Offers the newest checkpoint when Raft wants one, or has one made; sends what can be sent.
    pub(super) fn send_snapshots(&mut self, now: Now, segments: &dyn Segments, outputs: &mut Outputs) {
        self.snapshots.wanted |= self.group.wants_snapshot();
        if !self.group.is_leader() {
            return self.stop_sending();
        }
        if self.snapshots.wanted && !self.snapshots.waits {
            self.offer_newest(now, segments, outputs);
        }
        let mut index = 0;
        while let Some(sender) = self.snapshots.senders.get_mut(index) {
            match sender.message(segments, now.monotonic_us) {
                Ok(message) => {
                    outputs.messages.extend(message);
                    index += 1;
                }
                Err(Unreadable::Cold(range)) => {
                    outputs.checkpoint.push(CheckpointOrder::BringIn { range });
                    index += 1;
                }
                Err(Unreadable::Damaged(_)) => {
                    self.end_sender(index, false);
                    self.housekeeping.want_checkpoint();
                }
            }
        }
    }

    fn offer_newest(&mut self, now: Now, segments: &dyn Segments, outputs: &mut Outputs) {
        let newest = self.keyspace.segments().checkpoint();
        let Some((segment, _)) = newest.filter(|(_, index)| *index >= self.group.snapshot_index_min()) else {
            if !self.housekeeping.is_checkpoint_due() {
                self.housekeeping.want_checkpoint();
            }
            return;
        };
        let base = match read_base(self.identity, segment, segments) {
            Ok(base) => base,
            Err(Unreadable::Cold(range)) => {
                self.snapshots.waits = true;
                return outputs.checkpoint.push(CheckpointOrder::BringIn { range });
            }
            Err(Unreadable::Damaged(_)) => return self.housekeeping.want_checkpoint(),
        };
        let members = ConfState::parse_from_bytes(&base.meta).expect("a checkpoint of a group names its members");
        self.group.offer_snapshot(Some((base.start.index, base.start.term, members)));
        let holds = self.keyspace.segments().hold_checkpoint();
        self.snapshots.offer = Some((Offer { segment, base, _holds: holds }, now.monotonic_us));
        self.snapshots.wanted = false;
    }

    /// Raft has announced the snapshot that was offered: it is on its way.
    pub(super) fn announced(&mut self, message: Message, now_us: u64) {
        let index = message.get_snapshot().get_metadata().index;
        let offer = self.snapshots.offer.take_if(|(offer, _)| offer.base.start.index.0 == index);
        self.group.offer_snapshot(None);
        self.snapshots.senders.retain(|sender| sender.to() != message.to);
        match offer {
            Some((offer, _)) => {
                let stream = self.entropy.next_u64();
                self.snapshots.senders.push(SnapshotSender::new(self.identity, offer, stream, message, now_us));
            }
            None => self.group.report_snapshot(message.to, false),
        }
    }

    /// A member answers a part.
    pub(super) fn snapshot_answered(&mut self, message: &Message, now_us: u64) {
        let ack = Ack::read(message);
        let of = |sender: &SnapshotSender| sender.to() == message.from && sender.is_answered_by(ack);
        let Some(index) = self.snapshots.senders.iter().position(of) else { return };
        if ack.refused {
            self.end_sender(index, false);
        } else if self.snapshots.senders[index].heard(ack, now_us) {
            self.end_sender(index, true);
        }
    }

    fn end_sender(&mut self, index: usize, arrived: bool) {
        let sender = self.snapshots.senders.remove(index);
        self.group.report_snapshot(sender.to(), arrived);
    }

    fn stop_sending(&mut self) {
        let snapshots = &mut self.snapshots;
        snapshots.wanted = false;
        if snapshots.offer.take().is_some() | !std::mem::take(&mut snapshots.senders).is_empty() {
            self.group.offer_snapshot(None);
        }
    }

    // Both.

    /// What a snapshot waited for is in memory.
    pub(super) fn snapshot_brought_in(&mut self) {
        self.snapshots.waits = false;
        self.snapshots.senders.iter_mut().for_each(SnapshotSender::brought_in);
    }

    /// Gives up what the other end does not go on with.
    pub(super) fn snapshot_timer(&mut self, now_us: u64, outputs: &mut Outputs) {
        while let Some(index) = self.snapshots.senders.iter().position(|sender| sender.is_given_up(now_us)) {
            self.end_sender(index, false);
        }
        if self.snapshots.offer.take_if(|(_, since_us)| now_us.saturating_sub(*since_us) > OFFER_US_MAX).is_some() {
            self.group.offer_snapshot(None);
        }
        if self.snapshots.receiver.as_ref().is_some_and(|receiver| receiver.is_given_up(now_us)) {
            self.give_up_snapshot(outputs);
        }
    }

    // A member that lags.

    /// A part of a snapshot has come.
    pub(super) fn snapshot_part(&mut self, part: Message, now_us: u64, outputs: &mut Outputs) {
        if part.term < self.group.term().0 || self.group.is_leader() {
            return;
        }
        let metadata = part.get_snapshot().get_metadata();
        let (index, term) = (LogIndex(metadata.index), Term(metadata.term));
        if let Some(receiver) = &mut self.snapshots.receiver {
            if receiver.is_of(&part) {
                if receiver.take(part, now_us) == Received::Broken {
                    self.give_up_snapshot(outputs);
                }
                return;
            }
            if receiver.is_publishing() || part.index != 0 {
                return;
            }
            self.give_up_snapshot(outputs);
        }
        if part.index != 0 || !self.group.lacks(index) {
            // What this member has by now it need not be sent; in the middle nothing can begin.
            let done = !self.group.lacks(index);
            let ack = Ack { index: index.0, next: part.index + 1, refused: !done, stream: stream(&part) };
            outputs.messages.push(ack.message(&part));
            return;
        }
        if self.log.is_writing() || !self.group.records().is_empty() || self.backlog.first().is_some() {
            // It is sent again.
            return;
        }
        self.give_up_checkpoint(outputs);
        let start = self.log.superseding_start(index, term);
        let begun = SnapshotReceiver::begin(part, self.identity, start, &mut self.keyspace, now_us);
        if let Some((receiver, order)) = begun {
            outputs.checkpoint.push(order);
            self.snapshots.receiver = Some(receiver);
        }
    }

    /// Goes on with the snapshot that comes in. When everything is on disk Raft decides.
    pub(super) fn receive_snapshot(&mut self, segments: &dyn Segments, outputs: &mut Outputs) {
        let Some(receiver) = &mut self.snapshots.receiver else { return };
        receiver.advance(&mut outputs.checkpoint, &mut outputs.messages);
        let Some(announced) = receiver.complete() else { return };
        if self.log.is_writing() || !self.group.records().is_empty() || self.backlog.first().is_some() {
            return;
        }
        let mut turn = std::mem::take(&mut self.turn);
        let agreed = self.group.lacks(receiver.at().0) && self.group.install(announced, &mut turn);
        if agreed {
            outputs.checkpoint.push(receiver.publish());
        }
        self.deliver(&mut turn, segments, outputs);
        self.turn = turn;
        if !agreed {
            self.give_up_snapshot(outputs);
        }
    }

    /// The snapshot's file has its name: it is this member's state from here on.
    pub(super) fn snapshot_published(&mut self, segments: &dyn Segments, outputs: &mut Outputs) {
        let receiver = self.snapshots.receiver.take().expect("a snapshot was being published");
        assert!(self.proposed.is_empty() && self.backlog.first().is_none(), "a snapshot is installed at rest");
        self.applied = receiver.at();
        let (installed, ack) = receiver.finish();
        outputs.messages.push(ack);
        self.log.supersede(&installed.start);
        self.backlog.forget_places();
        self.open.batch = self.keyspace.install(installed.keyspace, installed.segment, installed.file_bytes);
        let table = self.keyspace.segments_mut();
        table.published(installed.segment, installed.start, &installed.references);
        self.housekeeping.superseded(&self.stats);
        self.stats.snapshots_installed += 1;
        let mut turn = std::mem::take(&mut self.turn);
        self.group.installed(&mut turn);
        self.deliver(&mut turn, segments, outputs);
        self.turn = turn;
        self.dispose(outputs);
    }

    /// Whether this file is the snapshot's that comes in.
    pub(super) fn receives(&self, segment: SegmentId) -> bool {
        self.snapshots.receiver.as_ref().is_some_and(|receiver| receiver.segment() == segment)
    }

    /// A chunk of the snapshot that comes in is on disk.
    pub(super) fn snapshot_written(&mut self, chunk: CheckpointChunk) {
        if let Some(receiver) = &mut self.snapshots.receiver {
            receiver.written(chunk);
        }
    }

    /// The snapshot that comes in is given up: nothing of this member has changed.
    ///
    /// # Panics
    /// When Raft has agreed to it already: it believes that the state is there.
    pub(super) fn give_up_snapshot(&mut self, outputs: &mut Outputs) {
        if let Some(receiver) = self.snapshots.receiver.take() {
            let (order, refusal) = receiver.give_up();
            outputs.checkpoint.push(order);
            outputs.messages.push(refusal);
        }
    }
}
