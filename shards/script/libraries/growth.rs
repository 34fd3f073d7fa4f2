//! Whether a table that a library fills may grow.

use super::super::room::Room;
use super::trouble::Trouble;
use crate::limits::SCRIPT_REPLY_ELEMENTS_MAX;

/// What an entry of a table costs while the table doubles, in bytes: the larger of its two kinds, old and new.
const ENTRY_BYTES: usize = 48;

/// May a table of so many entries get one more? The entry that makes it double pays for all; and LuaJIT, which raises where a table
/// can grow no more, is never brought to do so below frames that own something.
#[inline]
pub(super) fn check_entry(room: &Room, entries: usize) -> Result<(), Trouble> {
    let more_bytes = if entries.is_power_of_two() { entries * ENTRY_BYTES } else { ENTRY_BYTES };
    if entries >= SCRIPT_REPLY_ELEMENTS_MAX || room.memory.exceeds(more_bytes) {
        return Err(Trouble::Memory);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_bounded_by_memory_and_by_what_luajit_can_hold() {
        let room = Room::alone(100_000);
        assert_eq!(check_entry(&room, 1000), Ok(()));
        assert_eq!(check_entry(&room, 1024), Ok(()));
        assert_eq!(check_entry(&room, 4096), Err(Trouble::Memory));
        assert_eq!(check_entry(&Room::alone(usize::MAX), SCRIPT_REPLY_ELEMENTS_MAX), Err(Trouble::Memory));
    }
}
