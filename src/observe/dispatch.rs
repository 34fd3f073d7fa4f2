//! Which function runs which command of this room.

use crate::resp::WireReply;
use crate::runtime::ring::SocketId;
use crate::serve::client::{ClientState, Finish};
use crate::serve::engine::Engine;
use crate::serve::message::CoreView;
use ringkeep_shards::command::{Command, Failure};
use ringkeep_shards::reply::ReplySink;
use std::any::Any;

/// One request of this room, with all that it needs to be answered now or later.
pub(super) struct Asked<'a> {
    pub(super) engine: &'a mut Engine,
    pub(super) socket: SocketId,
    pub(super) state: &'a mut ClientState,
    pub(super) list: &'a [&'a [u8]],
    pub(super) out: &'a mut Vec<u8>,
    pub(super) start: usize,
}

impl Asked<'_> {
    /// Answers at once.
    pub(super) fn reply(self, write: impl FnOnce(&mut Engine, &mut ClientState, &mut dyn ReplySink)) {
        let before = self.out.len();
        let mut reply = WireReply::new(self.out, self.state.session.protocol);
        write(self.engine, self.state, &mut reply);
        self.engine.replied(self.state, self.out, self.start, before, None);
    }

    /// Answers at once with an error.
    pub(super) fn error(self, text: &str) {
        self.reply(|_, _, reply| reply.error(text));
    }

    /// Answers at once with why it failed.
    pub(super) fn fail(self, failure: Failure) {
        self.reply(|_, _, reply| failure.write(reply));
    }

    /// Asks every core and answers with what they said, in the cores' order.
    pub(super) fn ask<T: Send + 'static>(
        self,
        question: impl Fn(&mut CoreView<'_>) -> T + Clone + Send + 'static,
        answer: impl FnOnce(&mut Engine, &mut ClientState, Vec<T>, &mut dyn ReplySink) + Send + 'static,
    ) {
        self.ask_patiently(move |view| Some(question(view)), answer);
    }

    /// [`Asked::ask`] for a question that some core may answer later.
    pub(super) fn ask_patiently<T: Send + 'static>(
        self,
        question: impl Fn(&mut CoreView<'_>) -> Option<T> + Clone + Send + 'static,
        answer: impl FnOnce(&mut Engine, &mut ClientState, Vec<T>, &mut dyn ReplySink) + Send + 'static,
    ) {
        let finish = Finish::Data(Box::new(move |engine, state, parts, out| {
            let parts = parts.into_iter().map(|part| *part.downcast::<T>().expect("the question says what it answers"));
            let mut reply = WireReply::new(out, state.session.protocol);
            answer(engine, state, parts.collect(), &mut reply);
        }));
        let ask = move || {
            let question = question.clone();
            Box::new(move |view: &mut CoreView<'_>| Some(Box::new(question(view)?) as Box<dyn Any + Send>)) as _
        };
        self.engine.ask_all(self.socket, self.state, ask, finish);
    }
}

impl Engine {
    /// Runs a command of this room; false, and nothing was done, if it is none.
    pub(crate) fn observe(
        &mut self,
        socket: SocketId,
        state: &mut ClientState,
        command: &'static Command,
        list: &[&[u8]],
        out: &mut Vec<u8>,
        start: usize,
    ) -> bool {
        let asked = Asked { engine: self, socket, state, list, out, start };
        let (name, subcommand) = command.name.split_once('|').unwrap_or((command.name, ""));
        match name {
            "config" => super::config_command::run(asked, subcommand),
            "info" => super::info::run(asked),
            "slowlog" => super::slowlog_command::run(asked, subcommand),
            "latency" => super::latency_command::run(asked, subcommand),
            "memory" => super::memory::run(asked, subcommand),
            "function" => super::function_command::run(asked, subcommand),
            "script" => super::script_command::run(asked, subcommand),
            "debug" => super::debug::run(asked),
            "shutdown" => super::shutdown::run(asked),
            "save" | "bgsave" => super::checkpoint::save(asked, name),
            "lastsave" => super::checkpoint::lastsave(asked),
            _ => return false,
        }
        true
    }
}
