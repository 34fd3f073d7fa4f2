//! The replies of several shards, joined into the one that the client waits for.

use ringkeep_shards::reply::ReplySink;
use smallvec::SmallVec;

use crate::resp::{Frame, FrameKind};

/// How the replies of a split request become one. If any shard answered with an error, the first part's error is the reply.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Join {
    /// The sum of integers: DEL, UNLINK, EXISTS, TOUCH, DBSIZE.
    Sum,
    /// The elements of arrays in the order in which the keys were asked for: MGET. Holds, for each key, the index of the part
    /// that answers for it ([`super::Split::owners`]).
    Interleave(SmallVec<[u16; 16]>),
    /// OK: MSET, FLUSHALL.
    AllOk,
    /// All elements of arrays, sets or maps, in the parts' order: KEYS.
    Concat,
}

/// A part's reply is not of the kind that the join is for. With shards of one build it does not happen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct JoinError {
    /// The index of the part.
    pub part: usize,
}

impl Join {
    /// Writes the reply made of the parts' encoded replies, in the protocol of `sink`, which the parts were encoded for.
    /// Nothing is written if it fails.
    pub fn write<Sink: ReplySink>(&self, replies: &[&[u8]], sink: &mut Sink) -> Result<(), JoinError> {
        let mut frames: SmallVec<[Frame; 8]> = SmallVec::with_capacity(replies.len());
        for (part, reply) in replies.iter().enumerate() {
            let frame = Frame::read(reply).ok().filter(|frame| frame.end == reply.len());
            frames.push(frame.ok_or(JoinError { part })?);
        }
        if let Some(part) = frames.iter().position(|frame| frame.kind == FrameKind::Error) {
            sink.encoded(replies[part]);
            return Ok(());
        }
        match self {
            Join::Sum => sum(&frames, sink),
            Join::Interleave(owners) => interleave(owners, replies, &frames, sink),
            Join::AllOk => all_ok(replies, sink),
            Join::Concat => concat(replies, &frames, sink),
        }
    }
}

fn sum<Sink: ReplySink>(frames: &[Frame], sink: &mut Sink) -> Result<(), JoinError> {
    let mut sum: i64 = 0;
    for (part, frame) in frames.iter().enumerate() {
        let FrameKind::Integer(value) = frame.kind else { return Err(JoinError { part }) };
        sum = sum.checked_add(value).ok_or(JoinError { part })?;
    }
    sink.integer(sum);
    Ok(())
}

fn interleave<Sink: ReplySink>(
    owners: &[u16],
    replies: &[&[u8]],
    frames: &[Frame],
    sink: &mut Sink,
) -> Result<(), JoinError> {
    // Where each part's next element starts, and how many it has left.
    let mut next: SmallVec<[(usize, usize); 8]> = SmallVec::with_capacity(frames.len());
    for (part, frame) in frames.iter().enumerate() {
        let FrameKind::Array(elements) = frame.kind else { return Err(JoinError { part }) };
        if owners.iter().filter(|owner| usize::from(**owner) == part).count() != elements {
            return Err(JoinError { part });
        }
        next.push((frame.body, elements));
    }
    assert!(owners.iter().all(|owner| usize::from(*owner) < next.len()), "every key's part has answered");
    sink.array(owners.len());
    for &owner in owners {
        let (position, left) = &mut next[usize::from(owner)];
        let rest = &replies[usize::from(owner)][*position..];
        let element = Frame::read(rest).expect("the frame around it was read whole");
        sink.encoded(&rest[..element.end]);
        *position += element.end;
        *left -= 1;
    }
    assert!(next.iter().all(|(_, left)| *left == 0), "the counts were compared");
    Ok(())
}

fn all_ok<Sink: ReplySink>(replies: &[&[u8]], sink: &mut Sink) -> Result<(), JoinError> {
    if let Some(part) = replies.iter().position(|reply| *reply != b"+OK\r\n") {
        return Err(JoinError { part });
    }
    sink.ok();
    Ok(())
}

fn concat<Sink: ReplySink>(replies: &[&[u8]], frames: &[Frame], sink: &mut Sink) -> Result<(), JoinError> {
    let Some(first) = frames.first() else {
        sink.array(0);
        return Ok(());
    };
    let mut total: usize = 0;
    for (part, frame) in frames.iter().enumerate() {
        let count = match (first.kind, frame.kind) {
            (FrameKind::Array(_), FrameKind::Array(count)) => count,
            (FrameKind::Set(_), FrameKind::Set(count)) => count,
            (FrameKind::Map(_), FrameKind::Map(count)) => count,
            _ => return Err(JoinError { part }),
        };
        total = total.checked_add(count).ok_or(JoinError { part })?;
    }
    match first.kind {
        FrameKind::Set(_) => sink.set(total),
        FrameKind::Map(_) => sink.map(total),
        _ => sink.array(total),
    }
    for (reply, frame) in replies.iter().zip(frames) {
        sink.encoded(&reply[frame.body..]);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::WireReply;
    use crate::route::{KeyRange, SlotMap, Split};
    use proptest::prelude::*;
    use ringkeep_shards::reply::Protocol;

    fn joined(join: &Join, replies: &[&[u8]], protocol: Protocol) -> Result<String, JoinError> {
        let mut out = Vec::new();
        let result = join.write(replies, &mut WireReply::new(&mut out, protocol));
        assert!(result.is_ok() || out.is_empty(), "a failed join writes nothing");
        result.map(|()| String::from_utf8(out).unwrap())
    }

    #[track_caller]
    fn expect(join: Join, replies: &[&[u8]], wanted: &str) {
        assert_eq!(joined(&join, replies, Protocol::Resp3).as_deref(), Ok(wanted));
    }

    #[test]
    fn each_join() {
        expect(Join::Sum, &[b":2\r\n", b":0\r\n", b":40\r\n"], ":42\r\n");
        expect(Join::AllOk, &[b"+OK\r\n", b"+OK\r\n"], "+OK\r\n");
        expect(
            Join::Concat,
            &[b"*1\r\n$1\r\na\r\n", b"*0\r\n", b"*1\r\n*1\r\n:1\r\n"],
            "*2\r\n$1\r\na\r\n*1\r\n:1\r\n",
        );
        expect(Join::Concat, &[b"~1\r\n:1\r\n", b"~1\r\n:2\r\n"], "~2\r\n:1\r\n:2\r\n");
        expect(Join::Concat, &[b"%1\r\n:1\r\n:2\r\n", b"%0\r\n"], "%1\r\n:1\r\n:2\r\n");
        let owners = SmallVec::from_slice(&[1, 0, 1, 1]);
        let replies: [&[u8]; 2] = [b"*1\r\n_\r\n", b"*3\r\n$1\r\na\r\n$0\r\n\r\n$-1\r\n"];
        expect(Join::Interleave(owners), &replies, "*4\r\n$1\r\na\r\n_\r\n$0\r\n\r\n$-1\r\n");
    }

    #[test]
    fn the_first_error_is_the_reply() {
        let replies: [&[u8]; 3] = [b":1\r\n", b"-OOM one\r\n", b"-ERR two\r\n"];
        for join in [Join::Sum, Join::AllOk, Join::Concat, Join::Interleave(SmallVec::from_slice(&[0, 1, 2]))] {
            expect(join, &replies, "-OOM one\r\n");
        }
    }

    #[test]
    fn a_reply_of_another_kind_is_refused() {
        let fails = |join: Join, replies: &[&[u8]]| joined(&join, replies, Protocol::Resp2).unwrap_err().part;
        assert_eq!(fails(Join::Sum, &[b":1\r\n", b"+OK\r\n"]), 1);
        assert_eq!(fails(Join::Sum, &[b":9223372036854775807\r\n", b":1\r\n"]), 1);
        assert_eq!(fails(Join::Sum, &[b":1\r\n:2\r\n"]), 0);
        assert_eq!(fails(Join::Sum, &[b":1\r"]), 0);
        assert_eq!(fails(Join::AllOk, &[b"+OK\r\n", b":1\r\n"]), 1);
        assert_eq!(fails(Join::Concat, &[b"*0\r\n", b"~0\r\n"]), 1);
        assert_eq!(fails(Join::Interleave(SmallVec::from_slice(&[0])), &[b"*2\r\n:1\r\n:2\r\n"]), 0);
    }

    proptest! {
        #[test]
        fn a_split_mget_answers_in_the_order_asked(
            keys in proptest::collection::vec("[a-z]{0,3}", 1..30),
            shards in 1..64u16,
            resp3: bool,
        ) {
            let protocol = if resp3 { Protocol::Resp3 } else { Protocol::Resp2 };
            let encode = |keys: &[&[u8]]| {
                let mut out = Vec::new();
                let mut reply = WireReply::new(&mut out, protocol);
                reply.array(keys.len());
                keys.iter().for_each(|key| if key.len() == 1 { reply.null() } else { reply.bulk(key) });
                out
            };
            let arguments: Vec<&[u8]> = std::iter::once("mget").chain(keys.iter().map(String::as_str)).map(str::as_bytes).collect();
            let range = KeyRange { first: 1, last: -1, step: 1 };
            let split = Split::new(&arguments, range, &SlotMap::new(shards)).unwrap();
            let replies: Vec<Vec<u8>> = (0..split.parts.len()).map(|part| encode(&split.request(part, &arguments)[1..])).collect();
            let replies: Vec<&[u8]> = replies.iter().map(Vec::as_slice).collect();
            let wanted = String::from_utf8(encode(&arguments[1..])).unwrap();
            prop_assert_eq!(joined(&Join::Interleave(split.owners), &replies, protocol), Ok(wanted));
        }
    }
}
