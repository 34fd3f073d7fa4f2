//! Requests that wait: commands gathered for a foreign shard, parts that several shards answer, questions to all cores.

use crate::runtime::ring::SocketId;
use crate::serve::called::Called;
use crate::serve::client::{ClientState, Finish};
use crate::serve::job::{Job, OwnedCall, Work};
use crate::serve::message::{Message, Question, Ticket};
use crate::serve::shown::Shown;
use bytes::Bytes;
use ringkeep_shards::command::{Door, Run};
use ringkeep_shards::ids::{CoreId, ShardId};

use crate::serve::engine::Engine;

/// Commands of one connection that one message to a foreign shard carries at most.
const RUN_CALLS_MAX: usize = 1024;

impl Engine {
    pub(super) fn mark_waiting_replies(&mut self, state: &mut ClientState) {
        let sends = state.take_reply_mode();
        if let Some(waiting) = &mut state.waiting {
            waiting.shown = Shown::whole(sends);
        }
    }

    /// Whether the request was added to the commands that are gathered for one foreign shard.
    pub(super) fn joins_run(&mut self, state: &mut ClientState, list: &[&[u8]], owned: &[(usize, Bytes)]) -> bool {
        let run = state.run.as_mut().expect("the caller looked");
        let Some(command) = ringkeep_shards::command::find(list[0]) else { return false };
        if !matches!(command.run, Run::Shard(_))
            || !command.arity_fits(list.len())
            || !command.subcommands.is_empty()
            || state.session.transaction.is_some()
            || state.session.door != Door::Server
            || run.calls.len() >= RUN_CALLS_MAX
        {
            return false;
        }
        let Some(positions) = command.key_positions(list) else { return false };
        let run = state.run.as_mut().expect("the caller looked");
        for position in positions {
            if self.map.shard_of(list[position]) != run.shard {
                return false;
            }
        }
        state.session.last_command = command.name;
        state.traffic.count_there(self.core_of[usize::from(run.shard.0)]);
        if self.monitors.is_fed() {
            self.feed_monitors(state, command, list);
        }
        let run = state.run.as_mut().expect("the caller looked");
        run.calls.push(OwnedCall::new(command, list, owned));
        true
    }

    /// Sends what was gathered for a foreign shard. Call it when the connection's bytes are used up, or cannot be used.
    pub fn send_run(&mut self, socket: SocketId, state: &mut ClientState) {
        if let Some(run) = state.run.take() {
            let commands = run.calls.iter().map(|call| call.command).collect();
            self.wait_for(socket, state, run.shard, Work::Calls(run.calls));
            if let Some(waiting) = &mut state.waiting {
                waiting.called = Called::Run(commands);
            }
        }
    }

    /// Gives work to one shard, wherever it is, and waits for its reply.
    pub(super) fn wait_for(&mut self, socket: SocketId, state: &mut ClientState, shard: ShardId, work: Work) {
        let finish = if matches!(work, Work::Watch(_)) { Finish::Watch } else { Finish::Reply };
        let job = Job::new(shard, &state.session, work);
        let ticket = self.ticket(socket, state.wait(1, finish), 0);
        self.mark_waiting_replies(state);
        self.give(ticket, job);
    }

    /// Gives the parts of a request to several shards and waits for all of them.
    pub(super) fn wait_for_all(
        &mut self,
        socket: SocketId,
        state: &mut ClientState,
        parts: Vec<(ShardId, Work)>,
        finish: Finish,
    ) {
        let serial = state.wait(parts.len(), finish);
        self.mark_waiting_replies(state);
        for (part, (shard, work)) in parts.into_iter().enumerate() {
            let job = Job::new(shard, &state.session, work);
            self.give(self.ticket(socket, serial, part as u16), job);
        }
    }

    /// Asks every core, this one too, and waits for all of them.
    pub(crate) fn ask_all(
        &mut self,
        socket: SocketId,
        state: &mut ClientState,
        question: impl Fn() -> Question,
        finish: Finish,
    ) {
        let cores = self.cores();
        let serial = state.wait(cores.len(), finish);
        self.mark_waiting_replies(state);
        for (part, core) in cores.into_iter().enumerate() {
            let ticket = self.ticket(socket, serial, part as u16);
            if core == self.core {
                self.questions.push((ticket, question()));
            } else {
                self.outbox.push((core, Message::Ask(ticket, question())));
            }
        }
    }

    /// Every core that runs, in order.
    pub fn cores(&self) -> Vec<CoreId> {
        let last = self.core_of.iter().max().map_or(0, |core| core.0);
        (0..=last.max(self.core.0)).map(CoreId).collect()
    }

    pub(super) fn ticket(&self, socket: SocketId, serial: u32, part: u16) -> Ticket {
        Ticket { core: self.core, socket: Some(socket), serial, part }
    }
}
