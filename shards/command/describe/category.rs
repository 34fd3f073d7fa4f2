//! ACL categories: those that a command's flags imply, by Redis's rules, and those that its description adds.

use super::index;
use crate::command::command::{Command, flag};

pub(super) const KEYSPACE: u32 = 1 << 0;
pub(super) const READ: u32 = 1 << 1;
pub(super) const WRITE: u32 = 1 << 2;
pub(super) const STRING: u32 = 1 << 3;
pub(super) const BITMAP: u32 = 1 << 4;
pub(super) const PUBSUB: u32 = 1 << 5;
pub(super) const ADMIN: u32 = 1 << 6;
pub(super) const FAST: u32 = 1 << 7;
pub(super) const SLOW: u32 = 1 << 8;
pub(super) const BLOCKING: u32 = 1 << 9;
pub(super) const DANGEROUS: u32 = 1 << 10;
pub(super) const CONNECTION: u32 = 1 << 11;
pub(super) const TRANSACTION: u32 = 1 << 12;
pub(super) const SCRIPTING: u32 = 1 << 13;

/// The names, in Redis's order. Categories of data types that are not there yet are not listed.
pub(super) const NAMES: &[(u32, &str)] = &[
    (KEYSPACE, "keyspace"),
    (READ, "read"),
    (WRITE, "write"),
    (STRING, "string"),
    (BITMAP, "bitmap"),
    (PUBSUB, "pubsub"),
    (ADMIN, "admin"),
    (FAST, "fast"),
    (SLOW, "slow"),
    (BLOCKING, "blocking"),
    (DANGEROUS, "dangerous"),
    (CONNECTION, "connection"),
    (TRANSACTION, "transaction"),
    (SCRIPTING, "scripting"),
];

/// The bits of a command's categories.
pub(super) fn bits(command: &Command) -> u32 {
    let mut bits = index::doc(command).map_or(0, |(_, doc)| doc.categories);
    if command.is(flag::WRITE) {
        bits |= WRITE;
    }
    // What a script reads is decided by the keys it is given.
    if command.is(flag::READONLY) && bits & SCRIPTING == 0 {
        bits |= READ;
    }
    if command.is(flag::ADMIN) {
        bits |= ADMIN | DANGEROUS;
    }
    if command.is(flag::PUBSUB) {
        bits |= PUBSUB;
    }
    if command.is(flag::BLOCKING) {
        bits |= BLOCKING;
    }
    bits | if command.is(flag::FAST) { FAST } else { SLOW }
}

/// The names of a command's ACL categories, without the `@`.
pub fn categories(command: &Command) -> impl Iterator<Item = &'static str> {
    let bits = bits(command);
    NAMES.iter().filter(move |&&(bit, _)| bits & bit != 0).map(|&(_, name)| name)
}

/// The bit of a category's name, in any case; 0 if there is none of that name.
pub(super) fn by_name(name: &[u8]) -> u32 {
    NAMES.iter().find(|(_, known)| known.as_bytes().eq_ignore_ascii_case(name)).map_or(0, |&(bit, _)| bit)
}
