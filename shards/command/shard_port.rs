//! Commands that do something else on a shard's own port, where the shard is a Redis Cluster node with one database.

use crate::command::call::{Arguments, Call};
use crate::command::command::{Command, Keys, Run, flag};
use crate::command::failure::Failure;
use crate::command::row::row;
use crate::command::{functions, key, scan, script};
use crate::reply::ReplySink;

/// What a command of the table is on a shard's own port.
pub fn at_shard_port(command: &'static Command) -> &'static Command {
    match command.name {
        "copy" => &COPY,
        "move" => &MOVE,
        "scan" => &SCAN,
        name @ ("eval" | "evalsha" | "eval_ro" | "evalsha_ro" | "fcall" | "fcall_ro") => {
            script::COMMANDS_AT_SHARD_PORT.iter().find(|row| row.name == name).expect("each has its row")
        }
        "function|load" => &functions::LOAD_AT_SHARD_PORT,
        _ => command,
    }
}

static COPY: Command = row("copy", -3, flag::WRITE | flag::DENYOOM, Keys::FIRST_TWO, Run::Shard(copy));
static MOVE: Command = row("move", 3, flag::WRITE | flag::FAST, Keys::FIRST, Run::Shard(move_key));
static SCAN: Command = row("scan", -2, flag::READONLY, Keys::None, Run::Walk(scan_single));

fn copy(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    let (to_db, _) = key::copy_options(call, arguments)?;
    if to_db != 0 {
        return Err(Failure::text("ERR Copying to another database is not allowed in cluster mode"));
    }
    key::copy(call, arguments, reply)
}

fn move_key(_: &mut Call<'_>, _: Arguments<'_>, _: &mut dyn ReplySink) -> Result<(), Failure> {
    Err(Failure::text("ERR MOVE is not allowed in cluster mode"))
}

fn scan_single(call: &mut Call<'_>, arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    scan::scan_within(call, arguments, reply, true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::testing::TestShard;
    use crate::command::{find, find_subcommand};

    fn run(shard: &mut TestShard, line: &str) -> String {
        let words: Vec<&str> = line.split(' ').collect();
        let (Run::Shard(handler) | Run::Walk(handler)) = at_shard_port(find(words[0].as_bytes()).unwrap()).run else {
            panic!("{line} is none of these");
        };
        shard.run_handler(handler, &words)
    }

    #[test]
    fn there_is_one_database() {
        let mut shard = TestShard::new();
        shard.put("a", "1", 0);
        assert_eq!(run(&mut shard, "MOVE a 0"), "-ERR MOVE is not allowed in cluster mode");
        let refused = "-ERR Copying to another database is not allowed in cluster mode";
        assert_eq!(run(&mut shard, "COPY a b DB 1"), refused);
        assert_eq!(run(&mut shard, "COPY a b DB 99"), "-ERR DB index is out of range");
        assert_eq!(run(&mut shard, "COPY a b DB 0"), ":1");
        assert_eq!(run(&mut shard, "COPY a b REPLACE"), ":1");
    }

    #[test]
    fn rows_differ_in_nothing_that_clients_see() {
        let load = &functions::LOAD_AT_SHARD_PORT;
        for row in [&COPY, &MOVE, &SCAN, load].into_iter().chain(&script::COMMANDS_AT_SHARD_PORT) {
            let (container, name) = row.name.split_once('|').unwrap_or((row.name, ""));
            let table = find(container.as_bytes()).unwrap();
            let table = find_subcommand(table, name.as_bytes()).unwrap_or(table);
            assert_eq!(
                (row.arity, row.flags & !flag::AT_SHARD_PORT, row.keys),
                (table.arity, table.flags, table.keys),
                "{}",
                row.name
            );
        }
    }

    #[test]
    fn a_scan_ends_with_the_shard() {
        let mut shard = TestShard::new();
        shard.shards = 3;
        for number in 0..50 {
            shard.put(&format!("key{number}"), "v", 0);
        }
        assert!(run(&mut shard, "SCAN 0 COUNT 1000").starts_with("[\"0\", ["));
    }
}
