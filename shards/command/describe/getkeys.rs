//! COMMAND GETKEYS and GETKEYSANDFLAGS: the keys of a full command.

use super::doc::{Doc, FindKeys, access};
use super::{index, info};
use crate::command::command::{Keys, flag};
use crate::command::failure::Failure;
use crate::reply::ReplySink;

/// Writes the keys of the command that `arguments` are, with what it does to each if `with_access`.
pub(super) fn write(reply: &mut dyn ReplySink, arguments: &[&[u8]], with_access: bool) -> Result<(), Failure> {
    let command = index::by_arguments(arguments).ok_or(Failure::text("ERR Invalid command specified"))?;
    if command.keys == Keys::None {
        return Err(Failure::text("ERR The command has no key arguments"));
    }
    if !command.arity_fits(arguments.len()) {
        return Err(Failure::text("ERR Invalid number of arguments specified for command"));
    }
    let positions: Vec<usize> = command.key_positions(arguments).into_iter().flatten().collect();
    if positions.is_empty() && !command.is(flag::NO_MANDATORY_KEYS) {
        return Err(Failure::text("ERR Invalid arguments specified for command"));
    }
    let doc = index::doc(command).map(|(_, doc)| doc);
    reply.array(positions.len());
    for position in positions {
        if with_access {
            reply.array(2);
        }
        reply.bulk(arguments[position]);
        if with_access {
            info::write_names(reply, doc.map_or(0, |doc| access_of(doc, arguments, position)), access::NAMES, "");
        }
    }
    Ok(())
}

/// What a command does to the key at this position.
fn access_of(doc: &Doc, arguments: &[&[u8]], position: usize) -> u32 {
    let has = |word: &[u8]| arguments[3..].iter().any(|argument| argument.eq_ignore_ascii_case(word));
    match doc.name {
        "set" if has(b"get") => access::RW | access::ACCESS | access::UPDATE,
        "set" => access::OW | access::UPDATE,
        "bitfield" if only_reads(&arguments[2..]) => access::RO | access::ACCESS,
        "bitfield" => access::RW | access::ACCESS | access::UPDATE,
        // The last of the specs that begin at or before the key; a range of one key ends where it begins.
        _ => doc
            .keys
            .iter()
            .rev()
            .find(|spec| spec.begin as usize + usize::from(spec.find == FindKeys::Counted) <= position)
            .map_or(0, |spec| spec.access),
    }
}

/// Whether BITFIELD's operations are all GETs; what cannot be read counts as a write.
fn only_reads(mut operations: &[&[u8]]) -> bool {
    while let [operation, rest @ ..] = operations {
        let taken = if operation.eq_ignore_ascii_case(b"get") {
            2
        } else if operation.eq_ignore_ascii_case(b"overflow") {
            1
        } else {
            return false;
        };
        let Some(rest) = rest.get(taken..) else { return false };
        operations = rest;
    }
    true
}
