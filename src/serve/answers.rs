//! Answers that come to a connection of this core, part by part, and what its reply becomes.

use crate::resp::WireReply;
use crate::route::Gate;
use crate::runtime::ring::SocketId;
use crate::serve::called::Ended;
use crate::serve::client::{ClientState, Finish};
use crate::serve::local::Gated;
use crate::serve::message::{Answer, Ticket};
use crate::serve::shown::Shown;
use ringkeep_shards::lost::Fate;
use ringkeep_shards::reply::ReplySink;
use std::any::Any;

use crate::serve::engine::Engine;

impl Engine {
    /// An answer has come for a connection: whether its request is finished, with the reply written.
    #[allow(clippy::too_many_arguments, reason = "an answer is its parts, borrowed apart")]
    pub fn answered(
        &mut self,
        socket: SocketId,
        state: &mut ClientState,
        ticket: Ticket,
        answer: Answer,
        gate: Option<Gate>,
        out: &mut Vec<u8>,
        start: usize,
    ) -> bool {
        let Some(waiting) = &mut state.waiting else { return false };
        if waiting.serial != ticket.serial {
            return false;
        }
        let mut answer = answer;
        if let Answer::Reply(_, ran) = &mut answer {
            waiting.ran.add(std::mem::take(ran));
        }
        let slot = &mut waiting.parts[usize::from(ticket.part)];
        assert!(slot.is_none(), "a part is answered once");
        *slot = Some(answer);
        waiting.missing -= 1;
        waiting.gates.extend(gate);
        if waiting.missing > 0 {
            return false;
        }
        let mut waiting = state.waiting.take().expect("it was just looked at");
        let ended = Ended::of(&mut waiting);
        if state.exec.is_some() && !matches!(waiting.finish, Finish::ExecEnd) {
            self.finish_within_exec(state, waiting, ended);
            // Quick commands among the pieces share a reading, as those of one receive do.
            self.node.observed.calls.begin_batch();
            let finished = self.run_exec(socket, state, out, start);
            self.node.observed.calls.end_batch();
            if finished {
                self.exec_called(state);
            }
            return finished;
        }
        let before = out.len();
        let mut gates = waiting.gates.clone();
        if waiting.parts.len() > 1 {
            gates.iter_mut().for_each(|gate| gate.alone = false);
        }
        let (shown, lost) = (std::mem::replace(&mut waiting.shown, Shown::All), waiting.lost);
        self.finish(state, waiting, out);
        if let Some(error) = lost.and_then(Fate::error) {
            out.truncate(before);
            WireReply::new(out, state.session.protocol).error(error);
        }
        self.answered_call(state, ended, &out[before..]);
        shown.cut(out, before);
        for gate in &gates {
            let local = self.local[usize::from(gate.shard.0)].expect("gates are of this core's shards");
            self.shards[local].hold(gate.until, Gated::Connection(socket));
        }
        state.gates.mark_all(out.len() - start, &gates);
        true
    }

    pub(super) fn finish(&mut self, state: &mut ClientState, waiting: super::client::Waiting, out: &mut Vec<u8>) {
        let parts = waiting.parts.into_iter().map(|part| part.expect("all parts are answered"));
        let encoded = |part: Answer| match part {
            Answer::Reply(bytes, _) => bytes,
            Answer::Watched(_) | Answer::Data(_) => panic!("shards answer with replies"),
        };
        match waiting.finish {
            Finish::Exec(session) => {
                for part in parts {
                    let reply = encoded(part);
                    if reply != b"*-1\r\n" && reply != b"_\r\n" {
                        state.session = *session.clone();
                    }
                    state.session.reply_mode.request_ended();
                    out.extend_from_slice(&reply);
                }
            }
            Finish::Piece => parts.for_each(|part| self.finish_piece(state, &encoded(part), out)),
            Finish::ExecEnd => {
                self.finish_exec(state, out);
                self.exec_called(state);
            }
            Finish::Reply => parts.for_each(|part| out.extend_from_slice(&encoded(part))),
            Finish::Join(join) => {
                let replies: Vec<Vec<u8>> = parts.map(encoded).collect();
                let slices: Vec<&[u8]> = replies.iter().map(Vec::as_slice).collect();
                let mut reply = WireReply::new(out, state.session.protocol);
                if let Err(error) = join.write(&slices, &mut reply) {
                    panic!("shards of one build answer alike: {error:?}");
                }
            }
            Finish::Any => {
                let mut replies: Vec<Vec<u8>> = parts.map(encoded).collect();
                let chosen = replies.iter().position(|reply| reply != b"$-1\r\n" && reply != b"_\r\n").unwrap_or(0);
                out.append(&mut replies[chosen]);
            }
            Finish::Watch => {
                for (part, watched) in parts.enumerate() {
                    let Answer::Watched(watched) = watched else { panic!("WATCH is answered with numbers ({part})") };
                    for key in watched {
                        let shard = self.map.shard_of(&key.key);
                        state.session.watched.push((shard, key));
                    }
                }
                WireReply::new(out, state.session.protocol).ok();
            }
            Finish::Data(finish) => {
                let data: Vec<Box<dyn Any + Send>> = parts
                    .map(|part| match part {
                        Answer::Data(data) => data,
                        Answer::Reply(..) | Answer::Watched(_) => panic!("questions are answered with data"),
                    })
                    .collect();
                finish(self, state, data, out);
            }
        }
    }
}
