//! SHUTDOWN: the process is asked to stop, as a signal would.

use crate::observe::dispatch::Asked;

pub(super) fn run(asked: Asked<'_>) {
    let (mut save, mut nosave, mut others, mut abort) = (false, false, false, false);
    for option in &asked.list[1..] {
        match option.to_ascii_lowercase().as_slice() {
            b"save" => save = true,
            b"nosave" => nosave = true,
            // What is acknowledged is on disk already: there is nobody to wait for, and nothing that could fail.
            b"now" | b"force" => others = true,
            b"abort" => abort = true,
            _ => return asked.error("ERR syntax error"),
        }
    }
    if (save && nosave) || (abort && (save || nosave || others)) {
        return asked.error("ERR syntax error");
    }
    if abort {
        return asked.error("ERR No shutdown in progress.");
    }
    asked.reply(|engine, state, _| {
        state.session.closing = true;
        engine.node.stop.request();
    });
}

#[cfg(test)]
mod tests {
    use crate::observe::testing::TestNode;

    #[test]
    fn options_are_those_of_redis() {
        let mut node = TestNode::new(1);
        for wrong in ["SHUTDOWN x", "SHUTDOWN save nosave", "SHUTDOWN abort now"] {
            assert_eq!(node.run(wrong), "-ERR syntax error\r\n", "{wrong}");
        }
        assert_eq!(node.run("SHUTDOWN ABORT"), "-ERR No shutdown in progress.\r\n");
        assert!(!node.engines[0].node.stop.is_requested());
        assert_eq!(node.run("SHUTDOWN NOSAVE NOW FORCE"), "");
        assert!(node.engines[0].node.stop.is_requested());
    }
}
