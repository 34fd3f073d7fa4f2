//! The lagging member's end: parts become a checkpoint file without a name, and a keyspace beside the member's own. Both count once Raft
//! has agreed and the file has its name; until then nothing of the member has changed.
//!
//! Two keyspaces are in memory for that time: a member whose disk holds an old state must be able to go on with it.

use super::part::{Ack, Part, stream};
use crate::group::Message;
use crate::ids::{LogIndex, SegmentId, Term};
use crate::keyspace::Keyspace;
use crate::limits::CHECKPOINT_PENDING_BYTES_MAX;
use crate::log::{
    CheckpointBase, CheckpointChunk, CheckpointReferences, CheckpointSummary, CheckpointWriter, ITEM_LENGTH_BYTES,
    LogIdentity, LogPosition, LogStart, SegmentRole, next_item,
};
use crate::port::CheckpointOrder;
use bytes::Bytes;
use protobuf::Message as _;

/// A leader that sends nothing for this long has given up, in microseconds.
const SILENCE_US_MAX: u64 = 20_000_000;

/// How far a snapshot has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// Parts come.
    Receiving,
    /// All parts came, some are not on disk yet.
    Complete,
    /// Raft has agreed; the file gets its name.
    Publishing,
}

/// What became of a part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Received {
    /// It is taken, or was before: the leader is answered when there is room for more.
    Taken,
    /// It is no part of this snapshot, or cannot be understood: this snapshot is to be given up.
    Broken,
}

/// One snapshot that comes in.
pub(crate) struct SnapshotReceiver {
    /// The last part that came: whom to answer, and at the end what Raft is told.
    last_part: Message,
    start: LogStart,
    segment: SegmentId,
    writer: CheckpointWriter,
    keyspace: Keyspace,
    references: CheckpointReferences,
    /// The number of the part that is awaited.
    next: u64,
    /// The last part was not answered yet.
    owes_ack: bool,
    writing: bool,
    stage: Stage,
    summary: Option<CheckpointSummary>,
    heard_us: u64,
}

/// What a finished snapshot leaves to its shard.
pub(crate) struct Installed {
    pub(crate) segment: SegmentId,
    pub(crate) start: LogStart,
    pub(crate) references: CheckpointReferences,
    pub(crate) file_bytes: u64,
    pub(crate) keyspace: Keyspace,
}

impl SnapshotReceiver {
    /// Begins with part 0. `start` is where this member's log goes on behind the snapshot, `beside` the keyspace that it is to replace.
    /// None if this is no such part.
    pub(crate) fn begin(
        part: Message,
        identity: LogIdentity,
        start: LogStart,
        beside: &mut Keyspace,
        now_us: u64,
    ) -> Option<(Self, CheckpointOrder)> {
        let (0, Some(Part::Begin { commit_ts })) = (part.index, Part::decode(&part.get_snapshot().data)) else {
            return None;
        };
        let meta = part.get_snapshot().get_metadata().get_conf_state().write_to_bytes().ok()?;
        let segment = beside.segments_mut().new_id();
        let mut keyspace = beside.empty_like();
        keyspace.advance_timestamp(commit_ts);
        keyspace.segments_mut().add(segment, SegmentRole::Checkpoint, u64::MAX);
        let receiver = SnapshotReceiver {
            last_part: part,
            start,
            segment,
            writer: CheckpointWriter::new(identity, segment, CheckpointBase { start, commit_ts, meta }),
            keyspace,
            references: CheckpointReferences::new(),
            next: 1,
            owes_ack: true,
            writing: false,
            stage: Stage::Receiving,
            summary: None,
            heard_us: now_us,
        };
        Some((receiver, CheckpointOrder::Begin { segment }))
    }

    /// Whether a part belongs to this snapshot.
    pub(crate) fn is_of(&self, part: &Message) -> bool {
        let (ours, its) = (self.last_part.get_snapshot().get_metadata(), part.get_snapshot().get_metadata());
        let same_stream = (part.from, stream(part)) == (self.last_part.from, stream(&self.last_part));
        same_stream && (its.index, its.term) == (ours.index, ours.term)
    }

    /// Its file.
    pub(crate) fn segment(&self) -> SegmentId {
        self.segment
    }

    /// The entry that the snapshot stands at.
    pub(crate) fn at(&self) -> (LogIndex, Term) {
        (self.start.index, self.start.term)
    }

    /// Whether the file is getting its name: from here on the snapshot is not given up.
    pub(crate) fn is_publishing(&self) -> bool {
        self.stage == Stage::Publishing
    }

    /// Whether the leader has sent nothing for too long.
    pub(crate) fn is_given_up(&self, now_us: u64) -> bool {
        !self.is_publishing() && now_us.saturating_sub(self.heard_us) > SILENCE_US_MAX
    }

    /// Takes a part that belongs to this snapshot.
    pub(crate) fn take(&mut self, part: Message, now_us: u64) -> Received {
        self.heard_us = now_us;
        if part.index == self.next && self.stage == Stage::Receiving {
            let data = &part.get_snapshot().data;
            let taken = match Part::decode(data) {
                Some(Part::Items(items)) => self.items(items),
                Some(Part::Item(item)) => self.item(data.slice_ref(item)),
                Some(Part::End) => {
                    self.summary = Some(self.writer.finish());
                    self.stage = Stage::Complete;
                    Some(())
                }
                Some(Part::Begin { .. }) | None => None,
            };
            if taken.is_none() {
                return Received::Broken;
            }
            // Their inverses go, as nothing of this is ever undone.
            self.keyspace.applied();
            self.last_part = part;
            self.next += 1;
        }
        self.owes_ack = true;
        Received::Taken
    }

    fn items(&mut self, items: &[u8]) -> Option<()> {
        let mut at = 0;
        while let Some(item) = next_item(items, at).ok()? {
            let place = self.writer.push(item);
            self.load(item, place)?;
            at += ITEM_LENGTH_BYTES + item.len();
        }
        Some(())
    }

    fn item(&mut self, item: Bytes) -> Option<()> {
        let place = self.writer.push_with_value(&[], item.clone());
        self.load(&item, place)
    }

    fn load(&mut self, item: &[u8], place: LogPosition) -> Option<()> {
        if let Some((segment, bytes)) = self.keyspace.load(item, place).ok()? {
            *self.references.entry(segment).or_default() += bytes;
        }
        Some(())
    }

    /// A chunk is on disk.
    pub(crate) fn written(&mut self, chunk: CheckpointChunk) {
        self.writing = false;
        self.writer.give_back(chunk);
    }

    /// Hands out what is to be written next, and the answer to the leader once there is room for another part.
    pub(crate) fn advance(&mut self, orders: &mut Vec<CheckpointOrder>, messages: &mut Vec<Message>) {
        if !self.writing
            && let Some(chunk) = self.writer.take_chunk()
        {
            self.writing = true;
            orders.push(CheckpointOrder::Write { chunk });
        }
        if self.owes_ack
            && (self.stage != Stage::Receiving || self.writer.pending_bytes() < CHECKPOINT_PENDING_BYTES_MAX)
        {
            self.owes_ack = false;
            // The last part is done with when the snapshot is this member's state.
            let next = if self.stage == Stage::Receiving { self.next } else { self.next - 1 };
            messages.push(self.ack(next, false));
        }
    }

    /// What Raft is to be told now that everything is on disk, but for the name.
    pub(crate) fn complete(&self) -> Option<Message> {
        let whole = self.stage == Stage::Complete && !self.writing && self.writer.pending_bytes() == 0;
        whole.then(|| {
            let mut announced = self.last_part.clone();
            announced.index = 0;
            announced.mut_snapshot().data = Bytes::new();
            announced
        })
    }

    /// Raft has agreed: the file is to get its name.
    pub(crate) fn publish(&mut self) -> CheckpointOrder {
        assert_eq!(self.stage, Stage::Complete, "a snapshot is published once, when it is whole");
        self.stage = Stage::Publishing;
        CheckpointOrder::Publish { segment: self.segment }
    }

    /// Gives it up: the order that removes its file, and the answer that tells the leader.
    pub(crate) fn give_up(self) -> (CheckpointOrder, Message) {
        assert!(!self.is_publishing(), "what Raft has agreed to is not given up");
        (CheckpointOrder::Drop { segment: self.segment }, self.ack(self.next, true))
    }

    /// The file has its name: what it left, and the answer that tells the leader.
    pub(crate) fn finish(self) -> (Installed, Message) {
        let ack = self.ack(self.next, false);
        let summary = self.summary.expect("it was finished before it was published");
        let SnapshotReceiver { segment, start, references, keyspace, .. } = self;
        (Installed { segment, start, references, file_bytes: summary.file_bytes, keyspace }, ack)
    }

    fn ack(&self, next: u64, refused: bool) -> Message {
        let stream = stream(&self.last_part);
        Ack { index: self.start.index.0, next, refused, stream }.message(&self.last_part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::{MessageType, Snapshot};
    use crate::ids::{ShardId, Timestamp};
    use crate::snapshot::part::part_message;

    fn part(part: Part<'_>, number: u64, stream: u64) -> Message {
        let mut announced = Message { msg_type: MessageType::MsgSnapshot, from: 1, to: 2, ..Message::default() };
        let mut snapshot = Snapshot::default();
        snapshot.mut_metadata().index = 9;
        announced.snapshot = Some(snapshot).into();
        part_message(part.encode(), number, stream, &announced)
    }

    /// Found by the voters' chaos: a leader that sent the same entry's checkpoint a second time, cut differently into parts, was answered
    /// by what was left of its first attempt. A key was in neither half.
    #[test]
    fn parts_of_two_attempts_are_never_joined() {
        let mut beside = Keyspace::new(1, 100);
        let start = LogStart { index: LogIndex(9), ..LogStart::empty(SegmentId(1)) };
        let identity = LogIdentity { shard: ShardId(0), salt: 1 };
        let begin = part(Part::Begin { commit_ts: Timestamp(5) }, 0, 77);
        let (mut receiver, _) = SnapshotReceiver::begin(begin, identity, start, &mut beside, 0).unwrap();
        assert!(receiver.is_of(&part(Part::Items(&[]), 1, 77)));
        assert_eq!(receiver.take(part(Part::Items(&[]), 1, 77), 0), Received::Taken);
        assert!(!receiver.is_of(&part(Part::Items(&[]), 2, 78)));
        let mut answers = Vec::new();
        receiver.advance(&mut Vec::new(), &mut answers);
        let ack = Ack::read(&answers[0]);
        assert_eq!((ack.stream, ack.next), (77, 2), "an answer says which attempt it is to");
    }
}
