//! COMMAND and its subcommands. They run at the connection: the table is the same everywhere.

use super::{category, docs, getkeys, index, info};
use crate::command::call::Arguments;
use crate::command::command::{Command, Keys, Run, flag};
use crate::command::failure::Failure;
use crate::command::row::row;
use crate::command::table::{all, find_subcommand};
use crate::command::write_help;
use crate::glob::{Case, matches};
use crate::reply::ReplySink;

/// Runs COMMAND with or without a subcommand; checks their forms itself.
///
/// # Errors
/// An unknown subcommand, a number of arguments that does not fit, and what each subcommand refuses.
///
/// # Panics
/// If the command is not COMMAND.
pub fn command(arguments: Arguments<'_>, reply: &mut dyn ReplySink) -> Result<(), Failure> {
    let Some(name) = arguments.get(1) else {
        write_all(reply);
        return Ok(());
    };
    let sub = find_subcommand(&COMMANDS[0], name).ok_or_else(|| {
        let name = &name[..name.len().min(UNKNOWN_BYTES_MAX)];
        Failure::quoting("ERR unknown subcommand '", name, "'. Try COMMAND HELP.")
    })?;
    if !sub.arity_fits(arguments.len()) {
        return Err(Failure::WrongArity(sub.name));
    }
    let rest = &arguments[2..];
    match sub.name {
        "command|count" => reply.integer(all().len() as i64),
        "command|docs" => write_docs(reply, rest),
        "command|getkeys" => getkeys::write(reply, rest, false)?,
        "command|getkeysandflags" => getkeys::write(reply, rest, true)?,
        "command|help" => write_help(reply, "COMMAND", HELP),
        "command|info" if rest.is_empty() => write_all(reply),
        "command|info" => {
            reply.array(rest.len());
            for name in rest {
                match index::by_full_name(name) {
                    Some(command) => info::write(reply, command),
                    None => reply.null(),
                }
            }
        }
        "command|list" => write_list(reply, rest)?,
        other => panic!("{other} is no subcommand of COMMAND"),
    }
    Ok(())
}

/// How much of an unknown subcommand's name is told, in bytes.
const UNKNOWN_BYTES_MAX: usize = 128;

const HELP: &[(&str, &str)] = &[
    ("(no subcommand)", "Describe all commands for programs."),
    ("COUNT", "Count the commands."),
    ("LIST [FILTERBY (MODULE <module>|ACLCAT <category>|PATTERN <pattern>)]", "List the names of commands."),
    ("INFO [<command-name> ...]", "Describe commands for programs; all of them if none is named."),
    ("DOCS [<command-name> ...]", "Describe commands for people; all of them if none is named."),
    ("GETKEYS <full-command>", "Find the keys in a full command."),
    ("GETKEYSANDFLAGS <full-command>", "Find the keys in a full command, and what it does to them."),
];

fn write_all(reply: &mut dyn ReplySink) {
    reply.array(all().len());
    for command in all() {
        info::write(reply, command);
    }
}

/// Names that no command has are left out.
fn write_docs(reply: &mut dyn ReplySink, names: &[&[u8]]) {
    let named: Vec<&Command> = names.iter().filter_map(|name| index::by_full_name(name)).collect();
    let commands = if names.is_empty() { all() } else { &named };
    reply.map(commands.len());
    for command in commands {
        docs::write(reply, command);
    }
}

/// `[FILTERBY MODULE name | ACLCAT category | PATTERN pattern]`
fn write_list(reply: &mut dyn ReplySink, options: &[&[u8]]) -> Result<(), Failure> {
    let wanted: &dyn Fn(&Command) -> bool = match options {
        [] => &|_| true,
        [word, kind, argument] if word.eq_ignore_ascii_case(b"filterby") => {
            if kind.eq_ignore_ascii_case(b"module") {
                // There are no modules.
                &|_| false
            } else if kind.eq_ignore_ascii_case(b"aclcat") {
                &|command| category::bits(command) & category::by_name(argument) != 0
            } else if kind.eq_ignore_ascii_case(b"pattern") {
                &|command| matches(argument, command.name.as_bytes(), Case::Insensitive)
            } else {
                return Err(Failure::Syntax);
            }
        }
        _ => return Err(Failure::Syntax),
    };
    let listed: Vec<&str> = all()
        .iter()
        .flat_map(|command| std::iter::once(*command).chain(command.subcommands))
        .filter(|command| wanted(command))
        .map(|command| command.name)
        .collect();
    reply.array(listed.len());
    for name in listed {
        reply.bulk(name.as_bytes());
    }
    Ok(())
}

const FLAGS: u32 = flag::LOADING | flag::STALE;

/// The rows of this family.
pub const COMMANDS: &[Command] = &[Command {
    name: "command",
    arity: -1,
    flags: FLAGS,
    keys: Keys::None,
    run: Run::Connection,
    subcommands: &[
        row("command|count", 2, FLAGS, Keys::None, Run::Connection),
        row("command|docs", -2, FLAGS, Keys::None, Run::Connection),
        row("command|getkeys", -3, FLAGS, Keys::None, Run::Connection),
        row("command|getkeysandflags", -3, FLAGS, Keys::None, Run::Connection),
        row("command|help", 2, FLAGS, Keys::None, Run::Connection),
        row("command|info", -2, FLAGS, Keys::None, Run::Connection),
        row("command|list", -2, FLAGS, Keys::None, Run::Connection),
    ],
}];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::testing::Recorder;
    use crate::reply::Protocol;

    fn run_as(protocol: Protocol, line: &str) -> String {
        let list: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let mut reply = Recorder::new(protocol);
        if let Err(failure) = command(Arguments::new(&list), &mut reply) {
            reply = Recorder::new(protocol);
            failure.write(&mut reply);
        }
        reply.finish()
    }

    fn run(line: &str) -> String {
        run_as(Protocol::Resp3, line)
    }

    #[test]
    fn info_in_both_protocols() {
        assert_eq!(
            run("COMMAND INFO Get nothing"),
            "[[\"get\", :2, (readonly, fast), :1, :1, :1, (@read, @string, @fast), (), \
             ({\"flags\": (RO, access), \"begin_search\": {\"type\": \"index\", \"spec\": {\"index\": :1}}, \
             \"find_keys\": {\"type\": \"range\", \"spec\": {\"lastkey\": :0, \"keystep\": :1, \"limit\": :0}}}), ()], nil]"
        );
        assert_eq!(
            run_as(Protocol::Resp2, "COMMAND INFO del"),
            "[[\"del\", :-2, [write], :1, :-1, :1, [@keyspace, @write, @slow], \
             [\"request_policy:multi_shard\", \"response_policy:agg_sum\"], \
             [[\"flags\", [RM, delete], \"begin_search\", [\"type\", \"index\", \"spec\", [\"index\", :1]], \
             \"find_keys\", [\"type\", \"range\", \"spec\", [\"lastkey\", :-1, \"keystep\", :1, \"limit\", :0]]]], []]]"
        );
        let object = run("COMMAND INFO object");
        assert!(object.starts_with("[[\"object\", :-2, (), :0, :0, :0, (@slow), (), (), [[\"object|encoding\", :3, "));
        let freq = run("COMMAND INFO object|FREQ");
        assert!(freq.starts_with("[[\"object|freq\", :3, (readonly), :2, :2, :1, (@keyspace, @read, @slow), "));
        assert!(object.contains(&freq[1..freq.len() - 1]), "a container shows its subcommands whole");
    }

    #[test]
    fn all_of_them() {
        let count = all().len();
        assert_eq!(run("COMMAND COUNT"), format!(":{count}"));
        assert_eq!(run("COMMAND"), run("COMMAND INFO"));
        let with_subcommands: usize = all().iter().map(|command| 1 + command.subcommands.len()).sum();
        assert_eq!(run("COMMAND LIST").split(", ").count(), with_subcommands);
        // Key specs and arguments have types of their own, but a complete reply has all of these.
        for (reply, word) in [(run("COMMAND"), ", ("), (run("COMMAND DOCS"), "\"summary\": ")] {
            assert!(reply.matches(word).count() >= with_subcommands);
        }
        assert!(run_as(Protocol::Resp2, "COMMAND DOCS").starts_with('['));
    }

    #[test]
    fn docs_show_the_arguments_tree() {
        assert_eq!(run("COMMAND DOCS nothing"), "{}");
        assert_eq!(
            run("COMMAND DOCS TTL nothing"),
            "{\"ttl\": {\"summary\": \"Tell in how many seconds a key expires.\", \"since\": \"1.0.0\", \
             \"group\": \"generic\", \"complexity\": \"O(1)\", \"arguments\": [{\"name\": \"key\", \"type\": \"key\", \
             \"display_text\": \"key\", \"key_spec_index\": :0}]}}"
        );
        let expire = run("COMMAND DOCS expire");
        assert!(
            expire.contains(
                "{\"name\": \"condition\", \"type\": \"oneof\", \"since\": \"7.0.0\", \"flags\": (optional), \
                 \"arguments\": [{\"name\": \"nx\", \"type\": \"pure-token\", \"display_text\": \"nx\", \"token\": \"NX\"}, "
            ),
            "{expire}"
        );
        assert!(run("COMMAND DOCS object").contains("\"subcommands\": {\"object|encoding\": {\"summary\": "));
        assert!(run("COMMAND DOCS del").contains("\"key_spec_index\": :0, \"flags\": (multiple)"));
    }

    #[test]
    fn lists_are_filtered() {
        assert_eq!(run("COMMAND LIST FILTERBY PATTERN OBJECT|?E*"), "[\"object|help\", \"object|refcount\"]");
        assert_eq!(run("COMMAND LIST filterby pattern TTL"), "[\"ttl\"]");
        assert_eq!(run("COMMAND LIST FILTERBY MODULE any"), "[]");
        assert_eq!(run("COMMAND LIST FILTERBY ACLCAT nothing"), "[]");
        let dangerous = run("COMMAND LIST FILTERBY ACLCAT Dangerous");
        for name in ["flushall", "flushdb", "keys"] {
            assert!(dangerous.contains(&format!("\"{name}\"")), "{name}");
        }
        assert!(!dangerous.contains("\"del\""));
        for wrong in ["x", "FILTERBY", "FILTERBY PATTERN", "FILTERBY NAME x", "FILTERBY PATTERN x y"] {
            assert_eq!(run(&format!("COMMAND LIST {wrong}")), "-ERR syntax error", "{wrong}");
        }
    }

    #[test]
    fn keys_of_full_commands() {
        for (line, answer) in [
            ("GETKEYS del a b a", r#"["a", "b", "a"]"#),
            ("GETKEYS object freq k", r#"["k"]"#),
            ("GETKEYS copy a b DB 3", r#"["a", "b"]"#),
            ("GETKEYS nothing a", "-ERR Invalid command specified"),
            ("GETKEYS object nothing a", "-ERR Invalid command specified"),
            ("GETKEYS object|freq a", "-ERR Invalid command specified"),
            ("GETKEYS object", "-ERR The command has no key arguments"),
            ("GETKEYS dbsize", "-ERR The command has no key arguments"),
            ("GETKEYS del", "-ERR Invalid number of arguments specified for command"),
            ("GETKEYS get a b", "-ERR Invalid number of arguments specified for command"),
            ("GETKEYSANDFLAGS rename a b", r#"[["a", (RW, access, delete)], ["b", (OW, update)]]"#),
            ("GETKEYSANDFLAGS unlink a b", r#"[["a", (RM, delete)], ["b", (RM, delete)]]"#),
            ("GETKEYSANDFLAGS set a 1", r#"[["a", (OW, update)]]"#),
            ("GETKEYSANDFLAGS set a get", r#"[["a", (OW, update)]]"#),
            ("GETKEYSANDFLAGS set a 1 Get", r#"[["a", (RW, access, update)]]"#),
            ("GETKEYS", "-ERR wrong number of arguments for 'command|getkeys' command"),
            ("COUNT x", "-ERR wrong number of arguments for 'command|count' command"),
            ("nothing", "-ERR unknown subcommand 'nothing'. Try COMMAND HELP."),
        ] {
            assert_eq!(run(&format!("COMMAND {line}")), answer, "{line}");
        }
        assert_eq!(run("COMMAND HELP").matches(", ").count(), 16 + 1, "17 lines, one with a comma");
    }
}
