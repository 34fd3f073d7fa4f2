//! Jobs: what is done for a shard of this core where the bytes of the request are not, and where the answer goes.

use crate::observe::LARGE_REPLY_BYTES_MIN;
use crate::resp::WireReply;
use crate::route::Gate;
use crate::serve::job::{Job, Work};
use crate::serve::local::Gated;
use crate::serve::message::{Answer, Message, Ticket};
use bytes::Bytes;
use ringkeep_shards::command::Arguments;
use ringkeep_shards::keyspace::ColdRange;
use ringkeep_shards::port::{self, Aside, Input, Outcome, Request};
use ringkeep_shards::reply::ReplySink;

use crate::serve::engine::{Engine, FOR_CHECKPOINTS, FOR_ENTRIES};

/// Why a job cannot go on now.
pub(super) enum Pending {
    /// A range must be brought in first.
    Cold(ColdRange),
    /// Its shard has set it aside.
    Aside(Aside),
}

impl Engine {
    /// Gives a job to its shard, here or elsewhere.
    pub(super) fn give(&mut self, ticket: Ticket, job: Job) {
        match self.local[usize::from(job.shard.0)] {
            Some(place) => self.run(ticket, place, job),
            None => self.outbox.push((self.core_of[usize::from(job.shard.0)], Message::Job(ticket, job))),
        }
    }

    /// A message from another core. Connections that move are the reactor's business.
    pub fn received(&mut self, message: Message) {
        match message {
            Message::Job(ticket, job) => {
                let place = self.local[usize::from(job.shard.0)].expect("a job is sent to its shard's core");
                self.run(ticket, place, job);
            }
            Message::Ask(ticket, question) => self.questions.push((ticket, question)),
            Message::Answer(ticket, answer) => self.answers.push_back((ticket, answer, None)),
            Message::Moving(_) => panic!("the reactor moves connections"),
        }
    }

    /// Runs a job as far as it goes: to its answer, or to a cold value.
    pub(super) fn run(&mut self, ticket: Ticket, place: usize, job: Job) {
        let Some(job) = self.admit_job(ticket, place, job) else { return };
        let Some(mut job) = self.with_scripts(ticket, place, job) else { return };
        if let Work::Libraries(copy) = job.work {
            return self.take_copy(place, copy);
        }
        let version_before = self.version_before(place, &job);
        self.begin_job();
        let worked = self.work(place, &mut job);
        self.end_job(place, &mut job);
        match worked {
            Ok(watched) => {
                self.note_slow_calls(&mut job);
                let answer = match watched {
                    Some(watched) => Answer::Watched(watched),
                    None => Answer::Reply(std::mem::take(&mut job.replies), std::mem::take(&mut job.ran)),
                };
                let gate = self.gate_of_answer(ticket, place, job.gate);
                if let (Some(before), None) = (version_before, job.lost) {
                    return self.answer_everywhere(ticket, place, answer, gate, before);
                }
                match job.lost {
                    Some(fate) => self.answer(ticket, place, answer.in_place_of(fate), port::Gate::OPEN, true),
                    None => self.answer(ticket, place, answer, gate, job.is_one_run()),
                }
            }
            Err(Pending::Cold(range)) => self.park(ticket, place, job, range),
            Err(Pending::Aside(aside)) => self.keep_aside(ticket, place, job, aside),
        }
    }

    pub(super) fn work(
        &mut self,
        place: usize,
        job: &mut Job,
    ) -> Result<Option<Vec<ringkeep_shards::port::WatchedKey>>, Pending> {
        let Job { db, protocol, work, done, replies, gate, ran, context, aside_ns, .. } = job;
        match work {
            Work::Calls(calls) => {
                let output_bytes_max = self.node.output_bytes_max();
                let mut laps = self.node.observed.calls.laps(std::mem::take(&mut ran.each_ns));
                let mut slow = calls.get(*done).is_some_and(|call| self.reads_clock_for(call.command));
                for call in &calls[*done..] {
                    // The connection is closed for what it got already: no more is made for it.
                    if replies.len() > output_bytes_max {
                        break;
                    }
                    let list: smallvec::SmallVec<[&[u8]; 8]> = call.arguments.iter().map(|bytes| &bytes[..]).collect();
                    let owned: smallvec::SmallVec<[(usize, Bytes); 2]> = call
                        .arguments
                        .iter()
                        .enumerate()
                        .filter(|(_, bytes)| bytes.len() >= crate::resp::LARGE_BULK_BYTES_MIN)
                        .map(|(position, bytes)| (position, bytes.clone()))
                        .collect();
                    let before = replies.len();
                    let mut reply = WireReply::new(replies, *protocol);
                    let arguments = Arguments::with_owned(&list, &owned);
                    let request = Request {
                        command: call.command,
                        db: *db,
                        arguments,
                        reply: &mut reply,
                        context: context.take(),
                    };
                    self.step(place, Input::Request(request));
                    match std::mem::take(&mut self.outputs.outcome) {
                        Outcome::Cold(range) => {
                            replies.truncate(before);
                            ran.each_ns = laps.end();
                            return Err(Pending::Cold(range));
                        }
                        Outcome::Aside(aside) => {
                            replies.truncate(before);
                            *aside_ns += laps.since_reading_ns();
                            ran.each_ns = laps.end();
                            return Err(Pending::Aside(aside));
                        }
                        Outcome::Stopped(text) => {
                            replies.truncate(before);
                            WireReply::new(replies, *protocol).error(text);
                        }
                        Outcome::Refused(text) => {
                            ran.refused = true;
                            WireReply::new(replies, *protocol).error(text);
                        }
                        Outcome::Done(opens) => *gate = gate.and(opens),
                        Outcome::NotServing | Outcome::None => {}
                    }
                    *done += 1;
                    let was_slow = slow || replies.len() - before >= LARGE_REPLY_BYTES_MIN;
                    slow = calls.get(*done).is_some_and(|call| self.reads_clock_for(call.command));
                    laps.call(was_slow || slow);
                    if *aside_ns > 0 {
                        laps.add(std::mem::take(aside_ns));
                    }
                }
                ran.each_ns = laps.end();
                Ok(None)
            }
            Work::Exec { items, watches, .. } => {
                if context.is_none() {
                    replies.clear();
                }
                let mut reply = WireReply::new(replies, *protocol);
                let mut laps = self.node.observed.calls.laps(std::mem::take(&mut ran.each_ns));
                let context = context.take();
                let done = &mut || {
                    laps.call(true);
                    laps.add(std::mem::take(aside_ns));
                };
                self.step(place, Input::Exec { items, watches, reply: &mut reply, done, context });
                match std::mem::take(&mut self.outputs.outcome) {
                    Outcome::Cold(range) => return Err(Pending::Cold(range)),
                    Outcome::Aside(aside) => {
                        *aside_ns += laps.since_reading_ns();
                        if !aside.restarts {
                            ran.each_ns = laps.end();
                        }
                        return Err(Pending::Aside(aside));
                    }
                    Outcome::Stopped(text) | Outcome::Refused(text) => {
                        replies.clear();
                        WireReply::new(replies, *protocol).error(text);
                    }
                    Outcome::Done(opens) => *gate = opens,
                    Outcome::NotServing | Outcome::None => {}
                }
                ran.each_ns = laps.end();
                Ok(None)
            }
            Work::Watch(keys) => {
                let list: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
                self.step(place, Input::Watch { db: *db, keys: &list });
                Ok(Some(std::mem::take(&mut self.outputs.watched)))
            }
            Work::Unwatch(watches) => {
                self.step(place, Input::Unwatch { watches });
                Ok(None)
            }
            Work::Libraries(_) | Work::Release => panic!("neither is work that is answered"),
        }
    }

    /// An answer leaves when its gate is open; one for this core's own connection takes its gate along.
    pub(crate) fn answer(&mut self, ticket: Ticket, place: usize, answer: Answer, until: port::Gate, alone: bool) {
        let local = &mut self.shards[place];
        let open = until.is_open(local.open);
        if ticket.core == self.core {
            let gate = (!open).then_some(Gate { shard: local.id, until, alone });
            self.answers.push_back((ticket, answer, gate));
        } else if !open {
            local.hold(until, Gated::Answer(ticket, answer));
        } else {
            self.outbox.push((ticket.core, Message::Answer(ticket, answer)));
        }
    }

    pub(super) fn park(&mut self, ticket: Ticket, place: usize, job: Job, range: ColdRange) {
        let number = self.cold.insert((ticket, place, job));
        self.bring_in(place, range, number as u64);
    }

    /// Asks for a range of a shard's segments; [`Engine::populated`] is called with the number when it is in memory.
    pub(super) fn bring_in(&mut self, place: usize, range: ColdRange, number: u64) {
        let segment = self.shards[place].files.segment(range.segment);
        let map = segment.expect("values refer to segments that are there").map.clone();
        self.populate.push((map, range, number));
    }

    /// A cold range was brought in: the job that waits for it goes on.
    pub fn populated(&mut self, number: u64) {
        if number >= FOR_CHECKPOINTS {
            return self.step((number - FOR_CHECKPOINTS) as usize, Input::CheckpointWarm);
        }
        if number >= FOR_ENTRIES {
            return self.touch((number - FOR_ENTRIES) as usize);
        }
        let (ticket, place, job) = self.cold.remove(number as usize);
        self.run(ticket, place, job);
    }

    /// Jobs that wait for the disk.
    pub fn cold_waiting(&self) -> usize {
        self.cold.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::testing::TestNode;
    use crate::runtime::files::NewSegment;
    use crate::runtime::segment_lock::open_locked;
    use ringkeep_shards::ids::SegmentId;
    use ringkeep_shards::log::SegmentRole;

    /// A value is asked for, and in the same turn a checkpoint is published that has taken it along: its segment goes.
    #[test]
    fn a_range_can_be_brought_in_although_its_segment_went_in_the_same_turn() {
        let mut node = TestNode::new(1);
        let engine = &mut node.engines[0];
        let segment = SegmentId(77);
        let files = engine.shards[0].files.directory().clone();
        files.begin(segment, SegmentRole::Log, 8192).unwrap().finish().unwrap();
        let file = open_locked(&files, segment).unwrap();
        let map = files.map(segment, SegmentRole::Log).unwrap();
        engine.shards[0].files.add(NewSegment { segment, bytes: 8192, file, map });
        engine.bring_in(0, ColdRange { segment, offset: 4096, len: 100 }, 5);
        engine.shards[0].files.remove(segment);
        let (map, range, number) = engine.populate.pop().expect("it was asked for");
        assert_eq!((map.len(), range.offset, number), (8192, 4096, 5));
    }
}
