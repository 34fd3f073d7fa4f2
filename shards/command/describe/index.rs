//! Finding rows and descriptions by name.

use super::doc::Doc;
use super::{bitmaps, cluster, connection, generic, scripting, server, strings, transactions};
use crate::command::command::Command;
use crate::command::table::{find, find_subcommand};

/// The groups of Redis's documentation, by their names there.
static GROUPS: &[(&str, &[Doc])] = &[
    ("generic", generic::DOCS),
    ("string", strings::DOCS),
    ("bitmap", bitmaps::DOCS),
    ("connection", connection::DOCS),
    ("server", server::DOCS),
    ("scripting", scripting::DOCS),
    ("transactions", transactions::DOCS),
    ("cluster", cluster::DOCS),
];

/// A command's group and description.
pub(super) fn doc(command: &Command) -> Option<(&'static str, &'static Doc)> {
    GROUPS
        .iter()
        .flat_map(|&(group, docs)| docs.iter().map(move |doc| (group, doc)))
        .find(|(_, doc)| doc.name == command.name)
}

/// The command of a full name (`get`, `object|encoding`), in any case.
pub(super) fn by_full_name(name: &[u8]) -> Option<&'static Command> {
    match name.iter().position(|&byte| byte == b'|') {
        Some(bar) => find_subcommand(find(&name[..bar])?, &name[bar + 1..]),
        None => find(name),
    }
}

/// The command that these arguments run: a container's subcommand if one is named.
pub(super) fn by_arguments(arguments: &[&[u8]]) -> Option<&'static Command> {
    let command = find(arguments[0])?;
    match arguments.get(1) {
        Some(sub) if !command.subcommands.is_empty() => find_subcommand(command, sub),
        _ => Some(command),
    }
}

#[cfg(test)]
mod tests {
    use super::super::doc::FindKeys;
    use super::*;
    use crate::command::command::Keys;
    use crate::command::table::all;
    use std::collections::BTreeSet;

    #[test]
    fn every_command_is_described_once() {
        let mut names = BTreeSet::new();
        for doc in GROUPS.iter().flat_map(|(_, docs)| docs.iter()) {
            assert!(names.insert(doc.name), "{} is described twice", doc.name);
            assert!(!doc.summary.is_empty() && !doc.since.is_empty());
        }
        for command in all().iter().flat_map(|command| std::iter::once(*command).chain(command.subcommands)) {
            assert!(names.contains(command.name), "{} has no description", command.name);
        }
    }

    /// The range that the row of a command with these specs has: ranges that follow one another are one.
    fn range(doc: &Doc) -> Keys {
        let Some(first) = doc.keys.first() else { return Keys::None };
        let last = doc.keys.last().expect("there is a first");
        match (first.find, last.find) {
            (FindKeys::Counted, _) => Keys::Counted { count: first.begin as i16 },
            (_, FindKeys::Range { last: end, step }) => Keys::Range {
                first: first.begin as i16,
                last: if end < 0 { end } else { last.begin + end } as i16,
                step: step as i16,
            },
            _ => panic!("{} mixes ranges and counts", doc.name),
        }
    }

    #[test]
    fn descriptions_and_rows_agree_on_keys() {
        for command in all().iter().flat_map(|command| std::iter::once(*command).chain(command.subcommands)) {
            let (_, doc) = doc(command).unwrap();
            assert_eq!(range(doc), command.keys, "{}", command.name);
        }
    }

    #[test]
    fn full_names() {
        for (name, found) in [
            ("DEL", Some("del")),
            ("Object|ENCODING", Some("object|encoding")),
            ("object|", None),
            ("object|encoding|x", None),
            ("get|x", None),
            ("nothing", None),
            ("", None),
        ] {
            assert_eq!(by_full_name(name.as_bytes()).map(|command| command.name), found, "{name}");
        }
    }
}
