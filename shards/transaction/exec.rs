//! EXEC in one shard: its commands one after the other. A command that fails undoes nothing, as in Redis.

use crate::command::{Arguments, Failure, Run};
use crate::keyspace::{ColdRange, Mark, Segments};
use crate::port::ExecItem;
use crate::reply::ReplySink;
use crate::script::RunId;
use crate::shard::{ScriptRun, Shard};
use crate::transaction::{Halt, ScriptState};

/// How far an EXEC came.
pub(crate) enum ExecEnd {
    /// To its end.
    Done,
    /// Its slice is over, or it waits for something.
    Aside {
        /// The command that comes next, or the script that goes on.
        next: usize,
        /// That script.
        run: Option<RunId>,
        /// Where it began.
        undo_bytes: Option<Mark>,
        /// What it waits for.
        halt: Option<Halt>,
    },
    /// A range must be brought in first; it cannot go on from here.
    Cold(ColdRange),
    /// A script in it has outlived its slice, and no VM is free to keep it.
    Crowded,
    /// A script in it has met a locked key.
    Locked,
    /// A script's result is longer than a reply may be.
    TooLong,
}

/// Where an EXEC goes on.
pub(crate) struct ExecFrom {
    /// The next command.
    pub(crate) next: usize,
    /// The script that this command is, if it was set aside, and where the view's effects were when it began.
    pub(crate) run: Option<(RunId, usize)>,
    /// Whether the array of replies is to begin.
    pub(crate) begins: bool,
}

/// Runs the commands from there on. `state` is the script's among them; `done` is told after each.
pub(crate) fn run_exec(
    shard: &mut Shard,
    items: &[ExecItem],
    from: ExecFrom,
    state: &mut ScriptState,
    reply: &mut dyn ReplySink,
    done: &mut dyn FnMut(),
    segments: &dyn Segments,
) -> ExecEnd {
    let ExecFrom { next, mut run, begins } = from;
    if begins {
        reply.array(items.len());
    }
    for (place, item) in items.iter().enumerate().skip(next) {
        match item {
            ExecItem::Reply { reply: bytes, .. } => reply.encoded(bytes),
            ExecItem::Run { command, db, protocol, arguments } => {
                reply.switch_protocol(*protocol);
                let list: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
                if let Run::Script = command.run {
                    let ran = match run.take() {
                        Some((run, undo_bytes)) => shard.go_on_within(run, undo_bytes, command, state, reply, segments),
                        None => shard.script_within(command, *db, Arguments::new(&list), state, reply, segments),
                    };
                    match ran {
                        ScriptRun::Done => {}
                        ScriptRun::Aside { run, mark, halt } => {
                            return ExecEnd::Aside { next: place, run: Some(run), undo_bytes: mark, halt };
                        }
                        ScriptRun::Crowded => return ExecEnd::Crowded,
                        ScriptRun::Locked => return ExecEnd::Locked,
                        ScriptRun::TooLong => return ExecEnd::TooLong,
                    }
                } else if let Some(text) = shard.refusal(command, &list) {
                    reply.error(text);
                } else {
                    match shard.run_handler(command, *db, Arguments::new(&list), reply, segments) {
                        Ok(()) => {}
                        Err(Failure::Cold(range)) => return ExecEnd::Cold(range),
                        Err(failure) => failure.write(reply),
                    }
                }
            }
        }
        done();
        if shard.interrupt().command_ran() && place + 1 < items.len() {
            return ExecEnd::Aside { next: place + 1, run: None, undo_bytes: None, halt: None };
        }
    }
    ExecEnd::Done
}
