//! COMMAND DOCS: a command for people.

use super::doc::{Argument, Kind};
use super::{index, info};
use crate::command::command::Command;
use crate::reply::ReplySink;

/// Writes a command's name and its description: a pair of COMMAND DOCS's map.
pub(super) fn write(reply: &mut dyn ReplySink, command: &Command) {
    reply.bulk(command.name.as_bytes());
    let Some((group, doc)) = index::doc(command) else {
        return reply.map(0);
    };
    let texts = [("summary", doc.summary), ("since", doc.since), ("group", group), ("complexity", doc.complexity)];
    let texts = || texts.iter().filter(|(_, text)| !text.is_empty());
    let flags = u32::from(doc.deprecated.is_some()) | u32::from(doc.system) << 1;
    let pairs = texts().count()
        + usize::from(flags != 0)
        + 2 * usize::from(doc.deprecated.is_some())
        + usize::from(!doc.arguments.is_empty())
        + usize::from(!command.subcommands.is_empty());
    reply.map(pairs);
    for (name, text) in texts() {
        write_text(reply, name, text);
    }
    if flags != 0 {
        reply.bulk(b"doc_flags");
        info::write_names(reply, flags, &[(1, "deprecated"), (2, "syscmd")], "");
    }
    if let Some((since, replaced_by)) = doc.deprecated {
        write_text(reply, "deprecated_since", since);
        write_text(reply, "replaced_by", replaced_by);
    }
    if !doc.arguments.is_empty() {
        reply.bulk(b"arguments");
        write_arguments(reply, doc.arguments);
    }
    if !command.subcommands.is_empty() {
        reply.bulk(b"subcommands");
        reply.map(command.subcommands.len());
        for sub in command.subcommands {
            write(reply, sub);
        }
    }
}

fn write_text(reply: &mut dyn ReplySink, name: &str, text: &str) {
    reply.bulk(name.as_bytes());
    reply.bulk(text.as_bytes());
}

fn write_arguments(reply: &mut dyn ReplySink, arguments: &[Argument]) {
    reply.array(arguments.len());
    for argument in arguments {
        write_argument(reply, argument);
    }
}

fn write_argument(reply: &mut dyn ReplySink, argument: &Argument) {
    let (kind, group) = match argument.kind {
        Kind::String => ("string", false),
        Kind::Integer => ("integer", false),
        Kind::Double => ("double", false),
        Kind::Key => ("key", false),
        Kind::Pattern => ("pattern", false),
        Kind::UnixTime => ("unix-time", false),
        Kind::PureToken => ("pure-token", false),
        Kind::OneOf => ("oneof", true),
        Kind::Block => ("block", true),
    };
    let texts = [("token", argument.token), ("since", argument.since), ("deprecated_since", argument.deprecated)];
    let flags =
        u32::from(argument.optional) | u32::from(argument.multiple) << 1 | u32::from(argument.multiple_token) << 2;
    // A group has its arguments where another has the text to show.
    reply.map(
        3 + usize::from(argument.key_spec.is_some())
            + texts.iter().filter(|(_, text)| text.is_some()).count()
            + usize::from(flags != 0),
    );
    write_text(reply, "name", argument.name);
    write_text(reply, "type", kind);
    if !group {
        write_text(reply, "display_text", argument.shown_as.unwrap_or(argument.name));
    }
    if let Some(spec) = argument.key_spec {
        reply.bulk(b"key_spec_index");
        reply.integer(spec);
    }
    for (name, text) in texts {
        if let Some(text) = text {
            write_text(reply, name, text);
        }
    }
    if flags != 0 {
        reply.bulk(b"flags");
        info::write_names(reply, flags, &[(1, "optional"), (2, "multiple"), (4, "multiple_token")], "");
    }
    if group {
        reply.bulk(b"arguments");
        write_arguments(reply, argument.arguments);
    }
}
