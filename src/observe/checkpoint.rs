//! SAVE, BGSAVE, LASTSAVE.

use crate::observe::dispatch::Asked;

const NOT_THERE: &str = "ERR checkpoints on demand are not there yet; every acknowledged write is in the log already";

pub(super) fn save(asked: Asked<'_>, name: &str) {
    let options = &asked.list[1..];
    let fits = options.is_empty() || (options.len() == 1 && options[0].eq_ignore_ascii_case(b"schedule"));
    if name == "bgsave" && !fits {
        return asked.error("ERR syntax error");
    }
    asked.error(NOT_THERE);
}

/// Redis counts its start as a save, until there is one.
pub(super) fn lastsave(asked: Asked<'_>) {
    asked.reply(|engine, _, reply| reply.integer((engine.node.started_unix_ms / 1000) as i64));
}
