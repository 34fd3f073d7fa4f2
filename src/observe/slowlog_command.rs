//! SLOWLOG: the cores' slow logs as one.

use crate::observe::dispatch::Asked;
use crate::observe::slowlog::SlowCall;
use crate::serve::message::CoreView;
use ringkeep_shards::command::{Failure, write_help};
use ringkeep_shards::keyspace::canonical_integer;

/// What GET tells if nobody says how many.
const COUNT: usize = 10;

pub(super) fn run(asked: Asked<'_>, subcommand: &str) {
    let entries_max = usize::try_from(asked.engine.node.settings.config().slowlog_entries_max).unwrap_or(usize::MAX);
    match subcommand {
        "get" => get(asked, entries_max),
        "len" => asked.ask(
            |view| view.engine.node.observed.slow_log.len(),
            move |_, _, lengths, reply| reply.integer(lengths.iter().sum::<usize>().min(entries_max) as i64),
        ),
        "reset" => asked.ask(|view| view.engine.node.observed.slow_log.clear(), |_, _, _, reply| reply.ok()),
        "help" => asked.reply(|_, _, reply| {
            write_help(
                reply,
                "SLOWLOG",
                &[
                    (
                        "GET [<count>]",
                        "The newest entries (10; -1: all): id, Unix time, microseconds, arguments, client, its name.",
                    ),
                    ("LEN", "How many entries there are."),
                    ("RESET", "Forget all entries."),
                ],
            );
        }),
        other => panic!("slowlog|{other} is in the table without anything that runs it"),
    }
}

fn get(asked: Asked<'_>, entries_max: usize) {
    let count = match asked.list {
        [_, _] => COUNT,
        [_, _, count] => match canonical_integer(count) {
            Some(-1) => usize::MAX,
            Some(count @ 0..) => count as usize,
            _ => return asked.error("ERR count should be greater than or equal to -1"),
        },
        list => return asked.fail(Failure::subcommand("SLOWLOG", list[1])),
    };
    let count = count.min(entries_max);
    let newest = move |view: &mut CoreView<'_>| view.engine.node.observed.slow_log.newest(count);
    asked.ask(newest, move |_, _, parts, reply| {
        let mut calls: Vec<SlowCall> = parts.into_iter().flatten().collect();
        calls.sort_by_key(|call| std::cmp::Reverse((call.unix_s, call.id)));
        calls.truncate(count);
        reply.array(calls.len());
        for call in calls {
            reply.array(6);
            reply.integer(call.id as i64);
            reply.integer(call.unix_s as i64);
            reply.integer(call.duration_us as i64);
            reply.array(call.arguments.len());
            call.arguments.iter().for_each(|argument| reply.bulk(argument));
            reply.bulk(call.peer.map_or_else(String::new, |peer| peer.to_string()).as_bytes());
            reply.bulk(&call.name);
        }
    });
}

#[cfg(test)]
mod tests {
    use crate::observe::testing::TestNode;

    #[test]
    fn cores_logs_are_one() {
        let mut node = TestNode::new(2);
        for (core, unix_ms) in [(0, 1_000), (1, 3_000), (0, 2_000)] {
            let log = &mut node.engines[core].node.observed.slow_log;
            log.note(unix_ms, 9, vec![b"get".to_vec(), b"k".to_vec()], None, b"me", 128);
        }
        assert_eq!(node.run("SLOWLOG LEN"), ":3\r\n");
        let newest = node.run("SLOWLOG GET 2");
        assert!(newest.starts_with("*2\r\n*6\r\n"), "{newest}");
        assert!(newest.contains(":3\r\n:9\r\n*2\r\n$3\r\nget\r\n$1\r\nk\r\n$0\r\n\r\n$2\r\nme\r\n*6\r\n"), "{newest}");
        assert_eq!(node.run("SLOWLOG GET -2"), "-ERR count should be greater than or equal to -1\r\n");
        assert_eq!(node.run("SLOWLOG RESET"), "+OK\r\n");
        assert_eq!(node.run("SLOWLOG GET"), "*0\r\n");
    }
}
