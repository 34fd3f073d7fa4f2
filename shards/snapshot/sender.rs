//! The leader's end: a published checkpoint is read, its references are resolved, and it leaves in parts.

use super::part::{Ack, Part, part_message};
use crate::group::Message;
use crate::ids::SegmentId;
use crate::keyspace::{Effect, Effects, Segments, put_head};
use crate::limits::CHECKPOINT_BATCH_BYTES_MAX;
use crate::log::{
    CheckpointBase, ITEM_LENGTH_BYTES, LogIdentity, RecordFault, RecordKind, SegmentHold, checkpoint_base, next_item,
};
use crate::stored::{Unreadable, bytes, record};
use bytes::Bytes;

/// A part that was not acknowledged is sent again after this long, in microseconds.
const RESEND_US: u64 = 500_000;
/// A member that says nothing for this long has given up, in microseconds.
const SILENCE_US_MAX: u64 = 10_000_000;

/// What a published checkpoint is of.
///
/// # Errors
/// [`Unreadable`].
pub(crate) fn read_base(
    identity: LogIdentity,
    segment: SegmentId,
    segments: &dyn Segments,
) -> Result<CheckpointBase, Unreadable> {
    let (header, body) = record(identity, segment, 0, segments)?;
    checkpoint_base(&header, body).map_err(|fault| Unreadable::Damaged(format!("segment {segment}: {fault}")))
}

/// A checkpoint that Raft may announce, with everything that it refers to held.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    /// Its file.
    pub(crate) segment: SegmentId,
    /// What it is of.
    pub(crate) base: CheckpointBase,
    /// Its file and the segments that its values lie in.
    pub(crate) _holds: Vec<SegmentHold>,
}

/// One snapshot on its way to one member.
pub(crate) struct SnapshotSender {
    identity: LogIdentity,
    offer: Offer,
    /// What tells this attempt from others.
    stream: u64,
    /// Raft's own message: to whom, which term, which entry, which members.
    announced: Message,
    /// Where the next record of the checkpoint is.
    offset: u64,
    /// The record that is being sent, and how much of it is.
    body: Option<(Bytes, usize)>,
    /// The number of the next part to be made.
    next: u64,
    /// The part on its way, and when it left last.
    on_its_way: Option<(Message, u64)>,
    heard_us: u64,
    /// A range is being brought in.
    waits: bool,
}

impl SnapshotSender {
    /// Begins to send what `announced` (a `MsgSnapshot` of Raft) is about. No other attempt has this number for its stream.
    pub(crate) fn new(identity: LogIdentity, offer: Offer, stream: u64, announced: Message, now_us: u64) -> Self {
        SnapshotSender {
            identity,
            offer,
            stream,
            announced,
            offset: 0,
            body: None,
            next: 0,
            on_its_way: None,
            heard_us: now_us,
            waits: false,
        }
    }

    /// To whom.
    pub(crate) fn to(&self) -> u64 {
        self.announced.to
    }

    /// The entry that the snapshot stands at.
    pub(crate) fn index(&self) -> u64 {
        self.offer.base.start.index.0
    }

    /// Whether an answer is to this attempt.
    pub(crate) fn is_answered_by(&self, ack: Ack) -> bool {
        (self.stream, self.index()) == (ack.stream, ack.index)
    }

    /// Whether the member has said nothing for too long.
    pub(crate) fn is_given_up(&self, now_us: u64) -> bool {
        now_us.saturating_sub(self.heard_us) > SILENCE_US_MAX
    }

    /// What the checkpoint waited for is in memory.
    pub(crate) fn brought_in(&mut self) {
        self.waits = false;
    }

    /// The member has said something. Whether it has everything.
    pub(crate) fn heard(&mut self, ack: Ack, now_us: u64) -> bool {
        self.heard_us = now_us;
        let awaited = self.on_its_way.as_ref().map(|(part, _)| part.index);
        if awaited.is_some_and(|number| ack.next > number) {
            let (part, _) = self.on_its_way.take().expect("it was just looked at");
            return Part::decode(&part.get_snapshot().data) == Some(Part::End);
        }
        false
    }

    /// The message to send now, if there is one.
    ///
    /// # Errors
    /// [`Unreadable`]; a cold range is asked for once.
    pub(crate) fn message(&mut self, segments: &dyn Segments, now_us: u64) -> Result<Option<Message>, Unreadable> {
        if let Some((part, sent_us)) = &mut self.on_its_way {
            if now_us.saturating_sub(*sent_us) < RESEND_US {
                return Ok(None);
            }
            *sent_us = now_us;
            return Ok(Some(part.clone()));
        }
        if self.waits {
            return Ok(None);
        }
        let data = self.part(segments).inspect_err(|error| self.waits = matches!(error, Unreadable::Cold(_)))?;
        let part = part_message(data, self.next, self.stream, &self.announced);
        self.next += 1;
        self.on_its_way = Some((part.clone(), now_us));
        Ok(Some(part))
    }

    /// The next part, encoded.
    fn part(&mut self, segments: &dyn Segments) -> Result<Bytes, Unreadable> {
        let segment = self.offer.segment;
        if self.next == 0 {
            let (header, _) = record(self.identity, segment, 0, segments)?;
            self.offset = header.end();
            return Ok(Part::Begin { commit_ts: self.offer.base.commit_ts }.encode());
        }
        loop {
            if let Some((body, at)) = &mut self.body {
                if let Some(part) = items(body, at, segments)? {
                    return Ok(part);
                }
                self.body = None;
            }
            let (header, body) = record(self.identity, segment, self.offset, segments)?;
            let damaged = |fault: RecordFault| Unreadable::Damaged(format!("segment {segment}: {fault}"));
            let part = match header.kind() {
                RecordKind::CheckpointEnd => Part::End.encode(),
                // One large item fills a record: it is not copied twice.
                RecordKind::CheckpointItems if body.len() > CHECKPOINT_BATCH_BYTES_MAX => {
                    Part::Item(next_item(body, 0).map_err(damaged)?.unwrap_or_default()).encode()
                }
                RecordKind::CheckpointItems => {
                    self.body = Some((Bytes::copy_from_slice(body), 0));
                    self.offset = header.end();
                    continue;
                }
                other => return Err(damaged(RecordFault::Kind { found: other as u8 })),
            };
            self.offset = header.end();
            return Ok(part);
        }
    }
}

/// The next part out of a record's items: those up to the next one that is a reference, or that one with its value. None at the end.
fn items(body: &Bytes, at: &mut usize, segments: &dyn Segments) -> Result<Option<Bytes>, Unreadable> {
    let damaged = |what: String| Unreadable::Damaged(what);
    let from = *at;
    let mut to = from;
    while let Some(item) = next_item(body, to).map_err(|fault| damaged(fault.to_string()))? {
        let end = to + ITEM_LENGTH_BYTES + item.len();
        if let Some(Ok(Effect::PutReference { db, key, expires_ms, segment, offset, len })) = Effects::new(item).next()
        {
            if to > from {
                break;
            }
            let value = bytes(segments, SegmentId(segment), offset, len as usize)?;
            let mut whole = Vec::with_capacity(key.len() + value.len() + 32);
            put_head(&mut whole, db, key, expires_ms, value.len());
            whole.extend_from_slice(value);
            *at = end;
            return Ok(Some(Part::Item(&whole).encode()));
        }
        to = end;
    }
    *at = to;
    Ok((to > from).then(|| Part::Items(&body[from..to]).encode()))
}
