//! The command table: every command that exists, found by name.

use crate::command::command::Command;
use crate::command::{
    bit_range, bitfield, bits, client, cluster, connection, counter, describe, expiry, functions, key, lcs, modules,
    multi_string, object, range, scan, script, server, string,
};
use std::sync::OnceLock;

/// The tables of the families, each sorted as its file likes.
const FAMILIES: &[&[Command]] = &[
    string::COMMANDS,
    multi_string::COMMANDS,
    range::COMMANDS,
    counter::COMMANDS,
    lcs::COMMANDS,
    bits::COMMANDS,
    bit_range::COMMANDS,
    bitfield::COMMANDS,
    key::COMMANDS,
    expiry::COMMANDS,
    scan::COMMANDS,
    object::COMMANDS,
    script::COMMANDS,
    functions::COMMANDS,
    connection::COMMANDS,
    client::COMMANDS,
    cluster::COMMANDS,
    modules::COMMANDS,
    describe::COMMANDS,
    server::COMMANDS,
];

/// The longest name of a command, in bytes.
const NAME_BYTES_MAX: usize = 32;
const SLOTS: usize = 1024;

struct Index {
    slots: Box<[Option<&'static Command>; SLOTS]>,
    sorted: Vec<&'static Command>,
}

fn index() -> &'static Index {
    static INDEX: OnceLock<Index> = OnceLock::new();
    INDEX.get_or_init(|| {
        let mut slots = Box::new([None; SLOTS]);
        let mut sorted: Vec<&'static Command> = FAMILIES.iter().copied().flatten().collect();
        sorted.sort_by_key(|command| command.name);
        for pair in sorted.windows(2) {
            assert!(pair[0].name != pair[1].name, "{} is in the table twice", pair[0].name);
        }
        for &command in &sorted {
            assert!(command.name.len() <= NAME_BYTES_MAX);
            let mut slot = slot(command.name.as_bytes());
            while slots[slot].is_some() {
                slot = (slot + 1) % SLOTS;
            }
            slots[slot] = Some(command);
        }
        Index { slots, sorted }
    })
}

/// Where the search for a name begins, in whatever case it is written. No byte is copied: this is done for each command.
#[inline]
fn slot(name: &[u8]) -> usize {
    /// The bit that tells a letter's cases apart; in other bytes it may well be set.
    const ANY_CASE: u64 = 0x2020_2020_2020_2020;
    let mut hash: u64 = name.len() as u64;
    let mut add = |word: u64| hash = (hash ^ (word | ANY_CASE)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    let (words, rest) = name.as_chunks::<8>();
    words.iter().for_each(|word| add(u64::from_le_bytes(*word)));
    match (rest.first_chunk::<4>(), rest.last_chunk::<4>()) {
        (Some(first), Some(last)) => {
            add(u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last)));
        }
        _ => add(rest.iter().fold(0, |word, &byte| word << 8 | u64::from(byte))),
    }
    hash as usize % SLOTS
}

/// The command of this name, in any case.
#[inline]
pub fn find(name: &[u8]) -> Option<&'static Command> {
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let index = index();
    let mut slot = slot(name);
    while let Some(command) = index.slots[slot] {
        if command.name.as_bytes().eq_ignore_ascii_case(name) {
            return Some(command);
        }
        slot = (slot + 1) % SLOTS;
    }
    None
}

/// The subcommand of a container, in any case.
pub fn find_subcommand(container: &'static Command, name: &[u8]) -> Option<&'static Command> {
    container
        .subcommands
        .iter()
        .find(|sub| sub.name.split_once('|').is_some_and(|(_, own)| own.as_bytes().eq_ignore_ascii_case(name)))
}

/// Every command, by name.
pub fn all() -> &'static [&'static Command] {
    &index().sorted
}
