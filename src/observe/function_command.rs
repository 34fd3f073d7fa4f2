//! FUNCTION's subcommands that are the node's; the others are the first shard's.

use crate::observe::dispatch::Asked;
use crate::serve::asides::{KilledScripts, RunningScript};
use crate::serve::functions::{Counts, FIRST};
use crate::serve::message::{Answer, CoreView};
use ringkeep_shards::command::write_help;
use ringkeep_shards::reply::ReplySink;
use ringkeep_shards::script::Running;

pub(super) fn run(asked: Asked<'_>, subcommand: &str) {
    match subcommand {
        "stats" => stats(asked),
        "kill" => kill(asked),
        "help" => asked.reply(|_, _, reply| {
            write_help(
                reply,
                "FUNCTION",
                &[
                    ("DELETE <library>", "Remove a library and its functions."),
                    ("DUMP", "All libraries as one binary payload, for RESTORE."),
                    ("FLUSH [ASYNC|SYNC]", "Remove all libraries."),
                    ("KILL", "Stop the functions that run; nothing of them stays."),
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

fn kill(asked: Asked<'_>) {
    let kill = |view: &mut CoreView<'_>| view.engine.kill_scripts(&KilledScripts::Functions);
    asked.ask(kill, |_, _, cores, reply| match cores.into_iter().sum() {
        0usize => reply.error("NOTBUSY No scripts in execution right now."),
        _ => reply.ok(),
    });
}

/// The first shard's core says how many there are, once that is committed; any core might run a function.
fn stats(asked: Asked<'_>) {
    let count = |view: &mut CoreView<'_>| -> Option<CoreStats> {
        let engine = &mut *view.engine;
        let running = engine.running_scripts();
        let Some(place) = engine.place_of(FIRST) else { return Some((None, running)) };
        let (libraries, functions, gate) = engine.shards[place].shard.count_libraries();
        // A transaction that holds the shard sees what it has changed.
        let gate = engine.gate_of_answer(view.ticket, place, gate);
        let stats: CoreStats = (Some(Counts { libraries, functions }), running);
        engine.answer(view.ticket, place, Answer::Data(Box::new(stats)), gate, true);
        None
    };
    asked.ask_patiently(count, |_, _, cores, reply| {
        let counts = cores.iter().find_map(|(counts, _)| *counts).unwrap_or_default();
        let mut running: Vec<RunningScript> = cores.into_iter().flat_map(|(_, running)| running).collect();
        running.retain(|run| matches!(run.running, Running::Function(_)));
        reply.map(2);
        reply.bulk(b"running_script");
        write_running(&running, reply);
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

/// What one core says: how many there are, if it is the first shard's, and what runs.
type CoreStats = (Option<Counts>, Vec<RunningScript>);

/// The function that has been running for longest, of those that have outlived a slice.
fn write_running(running: &[RunningScript], reply: &mut dyn ReplySink) {
    let Some((run, Running::Function(name))) =
        running.iter().max_by_key(|run| run.age_us).map(|run| (run, &run.running))
    else {
        return reply.null();
    };
    reply.map(3);
    reply.bulk(b"name");
    reply.bulk(name);
    reply.bulk(b"command");
    reply.array(run.arguments.len());
    run.arguments.iter().for_each(|argument| reply.bulk(argument));
    reply.bulk(b"duration_ms");
    reply.integer((run.age_us / 1000) as i64);
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
