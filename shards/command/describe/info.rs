//! COMMAND INFO: a command for programs.

use super::doc::{FindKeys, KeySpec, access};
use super::{category, index};
use crate::command::command::{Command, Keys, flag};
use crate::reply::ReplySink;

/// The flags that clients are told, in Redis's order.
const FLAG_NAMES: &[(u32, &str)] = &[
    (flag::WRITE, "write"),
    (flag::READONLY, "readonly"),
    (flag::DENYOOM, "denyoom"),
    (flag::ADMIN, "admin"),
    (flag::PUBSUB, "pubsub"),
    (flag::NOSCRIPT, "noscript"),
    (flag::BLOCKING, "blocking"),
    (flag::LOADING, "loading"),
    (flag::STALE, "stale"),
    (flag::SKIP_MONITOR, "skip_monitor"),
    (flag::SKIP_SLOWLOG, "skip_slowlog"),
    (flag::ASKING, "asking"),
    (flag::FAST, "fast"),
    (flag::NO_AUTH, "no_auth"),
    (flag::NO_MANDATORY_KEYS, "no_mandatory_keys"),
    (flag::NO_ASYNC_LOADING, "no_async_loading"),
    (flag::NO_MULTI, "no_multi"),
    (flag::MOVABLEKEYS, "movablekeys"),
    (flag::ALLOW_BUSY, "allow_busy"),
];

/// Writes what COMMAND and COMMAND INFO tell about a command.
pub(super) fn write(reply: &mut dyn ReplySink, command: &Command) {
    let (first, last, step, movable) = match command.keys {
        Keys::None => (0, 0, 0, 0),
        Keys::Range { first, last, step } => (first, last, step, 0),
        // Nobody finds these without looking at the arguments.
        Keys::Counted { .. } => (0, 0, 0, flag::MOVABLEKEYS),
    };
    let doc = index::doc(command).map(|(_, doc)| doc);
    reply.array(10);
    reply.bulk(command.name.as_bytes());
    reply.integer(i64::from(command.arity));
    write_names(reply, command.flags | movable, FLAG_NAMES, "");
    reply.integer(i64::from(first));
    reply.integer(i64::from(last));
    reply.integer(i64::from(step));
    write_names(reply, category::bits(command), category::NAMES, "@");
    let tips = doc.map_or(&[][..], |doc| doc.tips);
    reply.set(tips.len());
    for tip in tips {
        reply.bulk(tip.as_bytes());
    }
    let keys = doc.map_or(&[][..], |doc| doc.keys);
    reply.set(keys.len());
    for spec in keys {
        write_key_spec(reply, spec);
    }
    match command.subcommands {
        [] => reply.set(0),
        subcommands => {
            reply.array(subcommands.len());
            for sub in subcommands {
                write(reply, sub);
            }
        }
    }
}

/// Writes the names of the bits that are set, as a set of simple strings.
pub(super) fn write_names(reply: &mut dyn ReplySink, bits: u32, names: &[(u32, &str)], prefix: &str) {
    let set = || names.iter().filter(|&&(bit, _)| bits & bit != 0);
    reply.set(set().count());
    for (_, name) in set() {
        if prefix.is_empty() {
            reply.simple(name);
        } else {
            reply.simple(&format!("{prefix}{name}"));
        }
    }
}

fn write_key_spec(reply: &mut dyn ReplySink, spec: &KeySpec) {
    reply.map(3 + usize::from(!spec.note.is_empty()));
    if !spec.note.is_empty() {
        reply.bulk(b"notes");
        reply.bulk(spec.note.as_bytes());
    }
    reply.bulk(b"flags");
    write_names(reply, spec.access, access::NAMES, "");
    reply.bulk(b"begin_search");
    write_search(reply, "index", &[("index", spec.begin)]);
    reply.bulk(b"find_keys");
    match spec.find {
        FindKeys::Range { last, step } => {
            write_search(reply, "range", &[("lastkey", last), ("keystep", step), ("limit", 0)]);
        }
        FindKeys::Counted => {
            write_search(reply, "keynum", &[("keynumidx", 0), ("firstkey", 1), ("keystep", 1)]);
        }
    }
}

fn write_search(reply: &mut dyn ReplySink, kind: &str, fields: &[(&str, i64)]) {
    reply.map(2);
    reply.bulk(b"type");
    reply.bulk(kind.as_bytes());
    reply.bulk(b"spec");
    reply.map(fields.len());
    for (name, value) in fields {
        reply.bulk(name.as_bytes());
        reply.integer(*value);
    }
}
