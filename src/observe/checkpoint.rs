//! SAVE, BGSAVE, LASTSAVE: checkpoints on demand. No write waits for one to be safe; they make the log short and a restart fast.

use crate::observe::dispatch::Asked;
use crate::serve::message::CoreView;

pub(super) fn save(asked: Asked<'_>, name: &str) {
    if name == "bgsave" {
        return background_save(asked);
    }
    let save = |view: &mut CoreView<'_>| -> Option<bool> {
        view.engine.save_for(view.ticket);
        None
    };
    asked.ask_patiently(save, |_, _, cores, reply| match cores.into_iter().all(std::convert::identity) {
        true => reply.ok(),
        false => {
            reply.error("ERR a checkpoint could not be written, see the log; no acknowledged write is lost by that")
        }
    });
}

fn background_save(asked: Asked<'_>) {
    let scheduled = match &asked.list[1..] {
        [] => false,
        [option] if option.eq_ignore_ascii_case(b"schedule") => true,
        _ => return asked.error("ERR syntax error"),
    };
    let begin = move |view: &mut CoreView<'_>| -> bool {
        let due = view.engine.shards.iter().any(|local| local.shard.is_checkpoint_due());
        if !due || scheduled {
            for place in 0..view.engine.shards.len() {
                view.engine.shards[place].shard.want_checkpoint();
                view.engine.touch(place);
            }
        }
        due
    };
    asked.ask(begin, move |_, _, cores, reply| match (cores.into_iter().any(std::convert::identity), scheduled) {
        (true, true) => reply.simple("Background saving scheduled"),
        (true, false) => reply.error("ERR Background save already in progress"),
        (false, _) => reply.simple("Background saving started"),
    });
}

/// When the shard whose checkpoint is oldest had it. Redis counts its start as a save, until there is one.
pub(super) fn lastsave(asked: Asked<'_>) {
    let oldest = |view: &mut CoreView<'_>| -> u64 {
        view.engine.shards.iter().map(|local| local.shard.stats().checkpoint_ms).min().unwrap_or(u64::MAX)
    };
    asked.ask(oldest, |engine, _, cores, reply| {
        let oldest = cores.into_iter().min().unwrap_or(0).max(engine.node.started_unix_ms);
        reply.integer((oldest / 1000) as i64);
    });
}
