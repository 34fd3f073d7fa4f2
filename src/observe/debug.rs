//! DEBUG: what tests of clients need of it, for whom `enable-debug-command` allows it.

use crate::config::DebugCommand;
use crate::observe::dispatch::Asked;
use crate::resp::WireReply;
use ringkeep_shards::command::{DEBUG_OBJECT, Failure, write_help};
use std::time::Duration;

const REFUSAL: &str = "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it from a \
    local connection, otherwise you need to set this option in the configuration file, and then restart the server.";

pub(super) fn run(asked: Asked<'_>) {
    let is_local = asked.state.peer.is_some_and(|peer| peer.ip().to_canonical().is_loopback());
    let allowed = match asked.engine.node.settings.config().debug_command {
        DebugCommand::Yes => true,
        DebugCommand::Local => is_local,
        DebugCommand::No => false,
    };
    if !allowed {
        return asked.error(REFUSAL);
    }
    let list = asked.list;
    match (list[1].to_ascii_lowercase().as_slice(), list.len()) {
        (b"object", 3) => object(asked),
        (b"set-active-expire", 3) => {
            let active = !matches!(list[2].trim_ascii_start().first(), None | Some(b'0' | b'a'..=b'z' | b'A'..=b'Z'));
            asked.ask(
                move |view| view.engine.shards.iter_mut().for_each(|local| local.shard.set_active_expiry(active)),
                |_, _, _, reply| reply.ok(),
            );
        }
        (b"sleep", 3) => sleep(asked),
        (b"help", 2) => asked.reply(|_, _, reply| {
            write_help(
                reply,
                "DEBUG",
                &[
                    ("OBJECT <key>", "How a key is kept."),
                    ("SLEEP <seconds>", "Stand still: nobody is served."),
                    ("SET-ACTIVE-EXPIRE <0|1>", "Whether expired keys are removed before somebody meets them."),
                ],
            );
        }),
        _ => asked.fail(Failure::subcommand("DEBUG", list[1])),
    }
}

/// `DEBUG SLEEP seconds`: the whole node stands still. What is no number is zero, as in Redis.
fn sleep(asked: Asked<'_>) {
    let text = String::from_utf8_lossy(asked.list[2]);
    let seconds = text.trim_start().parse::<f64>().unwrap_or(0.0);
    let time = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO);
    asked.ask(move |_| std::thread::sleep(time), |_, _, _, reply| reply.ok());
}

fn object(asked: Asked<'_>) {
    let Asked { engine, socket, state, list, out, start } = asked;
    let before = out.len();
    let mut reply = WireReply::new(out, state.session.protocol);
    match engine.shard_for(state, &DEBUG_OBJECT, list, &mut reply) {
        Some(shard) => engine.in_shard(socket, state, &DEBUG_OBJECT, shard, list, &[], out, start),
        None => engine.replied(state, out, start, before, None),
    }
}

#[cfg(test)]
mod tests {
    use crate::observe::testing::TestNode;

    #[test]
    fn refused_unless_allowed() {
        let mut node = TestNode::new(1);
        assert!(node.run("DEBUG OBJECT k").starts_with("-ERR DEBUG command not allowed. If the enable-debug-command"));
    }

    #[test]
    fn allowed() {
        let mut node = TestNode::with_settings(2, &["enable-debug-command yes"]);
        node.run("SET k 5");
        assert!(node.run("DEBUG OBJECT k").contains(" refcount:2147483647 encoding:int serializedlength:2 lru:"));
        assert_eq!(node.run("DEBUG OBJECT nope"), "-ERR no such key\r\n");
        assert_eq!(node.run("DEBUG SET-ACTIVE-EXPIRE 0"), "+OK\r\n");
        let begun = std::time::Instant::now();
        assert_eq!(node.run("DEBUG SLEEP 0.02"), "+OK\r\n");
        assert!(begun.elapsed().as_millis() >= 20);
        assert_eq!(node.run("DEBUG SLEEP x"), "+OK\r\n");
        let unknown = "-ERR unknown subcommand or wrong number of arguments for 'object'. Try DEBUG HELP.\r\n";
        assert_eq!(node.run("DEBUG object"), unknown);
    }
}
