//! FUNCTION's subcommands that are the node's; the others are the first shard's.

use crate::observe::dispatch::Asked;
use crate::serve::functions::{Counts, FIRST};
use crate::serve::message::{Answer, CoreView};
use ringkeep_shards::command::write_help;
use ringkeep_shards::reply::ReplySink;

pub(super) fn run(asked: Asked<'_>, subcommand: &str) {
    match subcommand {
        "stats" => stats(asked),
        // A function runs from its begin to its end before its core takes anything else.
        "kill" => asked.error("NOTBUSY No scripts in execution right now."),
        "help" => asked.reply(|_, _, reply| {
            write_help(
                reply,
                "FUNCTION",
                &[
                    ("DELETE <library>", "Remove a library and its functions."),
                    ("DUMP", "All libraries as one binary payload, for RESTORE."),
                    ("FLUSH [ASYNC|SYNC]", "Remove all libraries."),
                    ("KILL", "Stop the function that runs, if it has written nothing."),
                    ("LIST [LIBRARYNAME <pattern>] [WITHCODE]", "The libraries and their functions, with their texts."),
                    ("LOAD [REPLACE] <code>", "Make a library; its first line is #!lua name=<library>."),
                    (
                        "RESTORE <payload> [FLUSH|APPEND|REPLACE]",
                        "Make the libraries of a payload: in the place of all, beside all (the default), or in the place of those of the same names.",
                    ),
                    ("STATS", "The function that runs, and how many there are."),
                ],
            );
        }),
        other => panic!("function|{other} is in the table without anything that runs it"),
    }
}

/// The first shard's core says how many there are, once that is committed; any core might run a function.
fn stats(asked: Asked<'_>) {
    let count = |view: &mut CoreView<'_>| -> Option<Option<Counts>> {
        let engine = &mut *view.engine;
        let Some(place) = engine.place_of(FIRST) else { return Some(None) };
        let (libraries, functions, gate) = engine.shards[place].shard.count_libraries();
        // A transaction that holds the shard sees what it has changed.
        let gate = engine.gate_of_answer(view.ticket, place, gate);
        let counts: Option<Counts> = Some(Counts { libraries, functions });
        engine.answer(view.ticket, place, Answer::Data(Box::new(counts)), gate, true);
        None
    };
    asked.ask_patiently(count, |_, _, cores, reply| {
        let counts = cores.into_iter().flatten().next().unwrap_or_default();
        reply.map(2);
        reply.bulk(b"running_script");
        write_running(reply);
        reply.bulk(b"engines");
        reply.map(1);
        reply.bulk(b"LUA");
        reply.map(2);
        for (name, count) in [("libraries_count", counts.libraries), ("functions_count", counts.functions)] {
            reply.bulk(name.as_bytes());
            reply.integer(count as i64);
        }
    });
}

/// The function that runs: there is none while its core answers.
fn write_running(reply: &mut dyn ReplySink) {
    reply.null();
}

#[cfg(test)]
mod tests {
    use crate::observe::testing::TestNode;

    const CODE: &[u8] =
        b"#!lua name=lib\nredis.register_function('get', function(k) return redis.call('get', k[1]) end)";

    #[test]
    fn every_shard_has_what_the_first_was_given() {
        let mut node = TestNode::new(3);
        node.run("MSET a of-a b of-b c of-c");
        assert_eq!(node.run_list(&[b"FUNCTION", b"LOAD", CODE]), "$3\r\nlib\r\n");
        for key in ["a", "b", "c"] {
            assert_eq!(node.run(&format!("FCALL get 1 {key}")), format!("$4\r\nof-{key}\r\n"));
        }
        let sets = |node: &TestNode| -> Vec<usize> {
            node.engines.iter().map(|engine| engine.shards[0].shard.keyspace().libraries_at_tip().len()).collect()
        };
        assert_eq!(sets(&node), [1, 1, 1]);
        assert!(node.run("FUNCTION STATS").ends_with("libraries_count\r\n:1\r\n$15\r\nfunctions_count\r\n:1\r\n"));
        assert!(node.run_list(&[b"FUNCTION", b"LOAD", CODE]).starts_with("-ERR Library 'lib' already exists"));
        assert_eq!(node.run("FUNCTION DELETE nope"), "-ERR Library not found\r\n");
        assert_eq!(node.run("FUNCTION DELETE lib"), "+OK\r\n");
        assert_eq!(sets(&node), [0, 0, 0]);
        for key in ["a", "b", "c"] {
            assert_eq!(node.run(&format!("FCALL get 1 {key}")), "-ERR Function not found\r\n");
        }
    }

    #[test]
    fn changes_at_once_leave_all_shards_alike() {
        let mut node = TestNode::new(3);
        for round in 0..20 {
            for core in 0..3 {
                let code = format!("#!lua name=lib\nredis.register_function('f',function()return'{round}-{core}'end)");
                node.begin_list(core, &[b"FUNCTION", b"LOAD", b"REPLACE", code.as_bytes()]);
            }
            assert_eq!(node.finish(), ["$3\r\nlib\r\n"; 3]);
            let texts: Vec<String> = node
                .engines
                .iter()
                .map(|engine| format!("{:?}", engine.shards[0].shard.keyspace().libraries_at_tip()))
                .collect();
            assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
        }
    }

    #[test]
    fn a_transaction_over_all_shards_is_refused() {
        let mut node = TestNode::new(2);
        node.run("MULTI");
        node.run("FUNCTION FLUSH");
        assert!(node.run("EXEC").starts_with("-CROSSSLOT"));
        node.run("MULTI");
        node.run("FUNCTION LIST");
        assert_eq!(node.run("EXEC"), "*1\r\n*0\r\n");
    }
}
