//! What becomes of replies that wait for something that a shard has lost: a term that ended, a proposal that was refused.
//!
//! A write that was proposed is told UNKNOWN, one that was not is refused, a read is told to come again. A reply made of several
//! runs, some of which may have been committed, is UNKNOWN. With one voter no term ends; a proposal can be refused.

use crate::resp::{Frame, FrameKind};
use crate::serve::called::Ran;
use crate::serve::client::ClientState;
use crate::serve::engine::Engine;
use crate::serve::local::Gated;
use crate::serve::message::{Answer, Message};
use ringkeep_shards::ids::ShardId;
use ringkeep_shards::lost::{Fate, Lost};

impl Engine {
    /// A shard of this core has lost something. Connections learn of it from the reactor, by [`Engine::lost`].
    pub(crate) fn take_back(&mut self, place: usize, lost: Lost) {
        let shard = self.shards[place].id;
        self.lost.push((shard, lost));
        for (_, list) in self.shards[place].take_lost(&lost) {
            for gated in list {
                match gated {
                    Gated::Connection(socket) => self.released.push(socket),
                    // The request may have parts elsewhere that were committed.
                    Gated::Answer(ticket, answer) => {
                        let answer = answer.in_place_of(Fate::Unknown);
                        self.outbox.push((ticket.core, Message::Answer(ticket, answer)));
                    }
                    Gated::Libraries(change) => self.lose_change(change),
                    Gated::Copied(core, number) => self.confirm((core, number)),
                }
            }
        }
        for (_, answer, gate) in &mut self.answers {
            let Some(fate) = gate.filter(|gate| gate.shard == shard).map(|gate| gate.fate(&lost)) else { continue };
            if fate != Fate::Stands {
                *answer = std::mem::replace(answer, Answer::Reply(Vec::new(), Ran::default())).in_place_of(fate);
                *gate = None;
            }
        }
        // What a job has of its replies while it waits: for a value, or for its turn.
        let parked = self.cold.iter_mut().map(|(_, (_, parked, job))| (*parked, job));
        for (_, job) in parked.chain(self.asides.jobs_mut()).filter(|(parked, _)| *parked == place) {
            if job.lost.is_none() && lost.fate(job.gate) != Fate::Stands {
                job.lost = Some(Fate::Unknown);
            }
        }
    }
}

impl Answer {
    /// The errors that stand for the replies of this answer.
    pub(super) fn in_place_of(self, fate: Fate) -> Answer {
        match self {
            Answer::Reply(replies, ran) => Answer::Reply(errors(&replies, fate), ran),
            other => other,
        }
    }
}

impl ClientState {
    /// Replaces the replies in `out`, from `start` on, that wait for what a shard has lost. Whether there were any.
    pub fn take_back(&mut self, shard: ShardId, lost: &Lost, out: &mut Vec<u8>, start: usize) -> bool {
        let ranges = self.gates.lost(shard, lost);
        for (range, fate) in ranges.iter().rev() {
            let bytes = start + range.start..start + range.end;
            let errors = errors(&out[bytes.clone()], *fate);
            self.gates.replace(range.clone(), errors.len(), None);
            out.splice(bytes, errors);
        }
        if let Some(waiting) = &mut self.waiting {
            let before = waiting.gates.len();
            waiting.gates.retain(|gate| gate.shard != shard || gate.fate(lost) == Fate::Stands);
            if waiting.gates.len() < before {
                waiting.lost = Some(Fate::Unknown);
            }
        }
        !ranges.is_empty()
    }
}

/// An error for each reply in `replies`; messages that were pushed between them stay.
fn errors(replies: &[u8], fate: Fate) -> Vec<u8> {
    let error = fate.error().expect("a reply that stands is not replaced");
    let (mut errors, mut rest) = (Vec::new(), replies);
    while !rest.is_empty() {
        let Ok(frame) = Frame::read(rest) else {
            // CLIENT REPLY took elements out of an array: what is left is one reply.
            errors.extend_from_slice(format!("-{error}\r\n").as_bytes());
            break;
        };
        match frame.kind {
            FrameKind::Push(_) => errors.extend_from_slice(&rest[..frame.end]),
            _ => errors.extend_from_slice(format!("-{error}\r\n").as_bytes()),
        }
        rest = &rest[frame.end..];
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::testing::{TestNode, client};
    use crate::route;
    use crate::serve::client::Finish;
    use ringkeep_shards::ids::Batch;
    use ringkeep_shards::lost::{REFUSED, UNCONFIRMED, UNKNOWN};
    use ringkeep_shards::port::Gate;
    use ringkeep_shards::slots::shard_of;

    const SHARD: ShardId = ShardId(0);
    /// Batches 3 and 4 were proposed, 5 was not; fence 7 is the last one that was confirmed.
    const LOST: Lost =
        Lost { kept: Gate { batch: Batch(2), fence: 7 }, proposed: Batch(4), last: Gate { batch: Batch(5), fence: 8 } };

    fn gate(batch: u64, fence: u64) -> route::Gate {
        route::Gate { shard: SHARD, until: Gate { batch: Batch(batch), fence }, alone: true }
    }

    /// Everything that this shard has not committed by now.
    fn all_since(node: &TestNode, core: usize) -> Lost {
        let last = Gate { batch: Batch(u64::MAX), fence: u64::MAX };
        Lost { kept: node.engines[core].shards[0].open, proposed: last.batch, last }
    }

    #[test]
    fn each_reply_becomes_what_its_client_can_know() {
        let mut state = client();
        let mut out = b"left".to_vec();
        let replies: [(&[u8], Option<route::Gate>); 7] = [
            (b"+committed\r\n", Some(gate(2, 0))),
            (b"+OK\r\n", Some(gate(3, 0))),
            (b"*2\r\n$1\r\n\n\r\n:2\r\n", Some(gate(3, 0))),
            (b"$4\r\nread\r\n", Some(gate(2, 8))),
            (b"+PONG\r\n", None),
            (b":1\r\n", Some(gate(5, 0))),
            (b"+later\r\n", Some(gate(6, 0))),
        ];
        for (reply, gate) in replies {
            out.extend_from_slice(reply);
            state.gates.mark(out.len() - 4, gate);
        }
        assert!(state.take_back(SHARD, &LOST, &mut out, 4));
        let wanted = format!(
            "left+committed\r\n-{UNKNOWN}\r\n-{UNKNOWN}\r\n-{UNCONFIRMED}\r\n+PONG\r\n-{REFUSED}\r\n+later\r\n"
        );
        assert_eq!(String::from_utf8(out.clone()).unwrap(), wanted);
        let leaves = state.gates.releasable(&|_| Gate { batch: Batch(5), fence: 7 });
        assert_eq!(leaves, out.len() - 4 - "+later\r\n".len(), "errors wait for nothing");
        assert!(!state.take_back(ShardId(1), &LOST, &mut out, 4));
    }

    #[test]
    fn a_request_that_waits_for_other_parts_learns_of_the_one_that_was_lost() {
        let mut state = client();
        state.wait(2, Finish::Reply);
        let waiting = state.waiting.as_mut().unwrap();
        waiting.gates.extend([gate(2, 0), gate(4, 0), route::Gate { shard: ShardId(1), ..gate(4, 0) }]);
        state.take_back(SHARD, &LOST, &mut Vec::new(), 0);
        let waiting = state.waiting.unwrap();
        assert_eq!((waiting.gates.len(), waiting.lost), (2, Some(Fate::Unknown)));
    }

    #[test]
    fn an_answer_to_another_core_is_replaced_before_it_leaves() {
        let mut node = TestNode::new(2);
        let key = (0..).map(|n| format!("k{n}")).find(|key| shard_of(key.as_bytes(), 2) == ShardId(1)).unwrap();
        node.begin(0, &format!("set {key} v"));
        for (_, message) in std::mem::take(&mut node.engines[0].outbox) {
            node.engines[1].received(message);
        }
        assert_eq!(node.engines[1].shards[0].gates_waiting(), 1);
        let lost = all_since(&node, 1);
        node.engines[1].take_back(0, lost);
        assert_eq!(node.engines[1].shards[0].gates_waiting(), 0);
        assert_eq!(node.finish()[0], format!("-{UNKNOWN}\r\n"));
    }

    /// Ways to run code that reads `key` and takes no slice, or some.
    fn ways(node: &mut TestNode, key: &str) -> Vec<Vec<String>> {
        let mut ways = Vec::new();
        let loads = [("short", ""), ("long", "for i = 1, 2000 do end ")];
        let functions = loads.map(|(name, work)| {
            format!(
                "redis.register_function{{function_name='{name}', flags={{'no-writes'}}, callback=function(KEYS) \
                 local v = redis.call('get', KEYS[1]) {work}return v end}}\n"
            )
        });
        let library = format!("#!lua name=lib\n{}", functions.concat());
        assert_eq!(node.run_list(&[b"function", b"load", b"replace", library.as_bytes()]), "$3\r\nlib\r\n");
        for (name, work) in loads {
            let script = format!("local v = redis.call('get', KEYS[1]) {work}return v");
            let digest = node.run_list(&[b"script", b"load", script.as_bytes()])[5..45].to_owned();
            for (command, what) in [
                ("eval", script.as_str()),
                ("eval_ro", &script),
                ("evalsha", &digest),
                ("evalsha_ro", &digest),
                ("fcall", name),
                ("fcall_ro", name),
            ] {
                ways.push([command, what, "1", key].map(str::to_owned).to_vec());
            }
        }
        ways
    }

    /// The client of every way to run code reads an error when its shard cannot stand by what was read: here and from another core.
    #[test]
    fn code_that_read_what_is_lost_is_answered_with_an_error_on_all_six_ways() {
        let mut node = TestNode::new(2);
        node.interrupt.count(500);
        for shard in 0..2_u16 {
            let key = (0..).map(|n| format!("k{n}")).find(|key| shard_of(key.as_bytes(), 2) == ShardId(shard)).unwrap();
            let place = usize::from(shard);
            node.run(&format!("set {key} old"));
            for way in ways(&mut node, &key) {
                let list: Vec<&[u8]> = way.iter().map(String::as_bytes).collect();
                assert_eq!(node.run_list(&list), "$3\r\nold\r\n");
                // It reads what its shard has not committed yet.
                node.begin_by_another(place, &format!("set {key} new"));
                node.begin_list(0, &list);
                node.carry_messages();
                node.give_slices();
                let lost = Lost { proposed: node.engines[place].shards[0].open.batch, ..all_since(&node, place) };
                node.lose(place, lost);
                // Of an answer to another core it is not known whether it is all of a request.
                let error = [REFUSED, UNKNOWN][place];
                assert_eq!(node.finish()[0], format!("-{error}\r\n"), "{way:?}");
                node.run(&format!("set {key} old"));
            }
        }
    }

    #[test]
    fn an_answer_that_has_not_reached_its_connection_is_replaced() {
        let mut node = TestNode::new(1);
        node.run("multi");
        node.run("set k v");
        node.begin(0, "exec");
        assert!(node.engines[0].answers[0].2.is_some());
        let lost = all_since(&node, 0);
        node.engines[0].take_back(0, lost);
        assert_eq!(node.finish()[0], format!("-{UNKNOWN}\r\n"));
    }
}
