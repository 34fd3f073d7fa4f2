//! The parts of a snapshot, and their acknowledgements, as messages.

use crate::group::{Message, MessageType, Snapshot};
use crate::ids::Timestamp;
use bytes::Bytes;

const BEGIN: u8 = 0;
const ITEMS: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;

/// What one part holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Part<'a> {
    /// The first: the timestamp of the entry that the snapshot stands at.
    Begin { commit_ts: Timestamp },
    /// Items of a checkpoint, each behind its length.
    Items(&'a [u8]),
    /// One item, of any size.
    Item(&'a [u8]),
    /// The last.
    End,
}

impl<'a> Part<'a> {
    /// Its bytes.
    pub(crate) fn encode(self) -> Bytes {
        let (kind, rest): (u8, &[u8]) = match self {
            Part::Begin { commit_ts } => return Bytes::from([&[BEGIN][..], &commit_ts.0.to_le_bytes()].concat()),
            Part::Items(items) => (ITEMS, items),
            Part::Item(item) => (ITEM, item),
            Part::End => (END, &[]),
        };
        Bytes::from([&[kind][..], rest].concat())
    }

    /// What [`Part::encode`] made; none for other bytes.
    pub(crate) fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        match (*kind, rest) {
            (BEGIN, ts) => Some(Part::Begin { commit_ts: Timestamp(u64::from_le_bytes(ts.try_into().ok()?)) }),
            (ITEMS, items) => Some(Part::Items(items)),
            (ITEM, item) => Some(Part::Item(item)),
            (END, []) => Some(Part::End),
            _ => None,
        }
    }
}

/// Which attempt to send a snapshot a part or an answer belongs to. Two attempts may be of the same entry, and yet cut differently into
/// parts: where a value lay decides that.
pub(crate) fn stream(message: &Message) -> u64 {
    message.context.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// The message that carries an encoded part of the snapshot that `announced` (Raft's own message) is about.
pub(crate) fn part_message(data: Bytes, number: u64, stream: u64, announced: &Message) -> Message {
    let metadata = announced.get_snapshot().get_metadata().clone();
    let snapshot = Snapshot { metadata: Some(metadata).into(), data, ..Snapshot::default() };
    let context = Bytes::copy_from_slice(&stream.to_le_bytes());
    Message { index: number, context, snapshot: Some(snapshot).into(), ..announced.clone() }
}

/// What a member says of the parts that came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ack {
    /// The entry that the snapshot stands at.
    pub(crate) index: u64,
    /// The number of the part that is awaited next.
    pub(crate) next: u64,
    /// Whether the member wants no more of it.
    pub(crate) refused: bool,
    /// The stream that the parts are of.
    pub(crate) stream: u64,
}

impl Ack {
    /// The message that answers this part.
    pub(crate) fn message(self, part: &Message) -> Message {
        Message {
            msg_type: MessageType::MsgSnapStatus,
            to: part.from,
            from: part.to,
            term: part.term,
            index: self.next,
            commit: self.index,
            reject: self.refused,
            context: Bytes::copy_from_slice(&self.stream.to_le_bytes()),
            ..Message::default()
        }
    }

    /// What such a message says.
    pub(crate) fn read(message: &Message) -> Self {
        let stream = stream(message);
        Ack { index: message.commit, next: message.index, refused: message.reject, stream }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_survive_their_encoding_and_other_bytes_are_none() {
        for part in [Part::Begin { commit_ts: Timestamp(7) }, Part::Items(b"xy"), Part::Item(b""), Part::End] {
            assert_eq!(Part::decode(&part.encode()), Some(part));
        }
        for bytes in [&b""[..], &[BEGIN, 1], &[END, 0], &[9]] {
            assert_eq!(Part::decode(bytes), None);
        }
    }
}
