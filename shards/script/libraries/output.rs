//! A string in the making, outside of Lua: its bytes are steps of work and count against the VM's memory.

use super::super::lua::*;
use super::super::room::Room;
use super::super::work::Work;
use super::trouble::Trouble;
use std::os::raw::c_int;

/// What is copied between two looks at the clock, in bytes.
const PIECE_BYTES: usize = 1 << 16;
/// Bytes that are copied in the time of one step.
const BYTES_PER_STEP: usize = 8;
/// Room for a short result, without growing.
const FIRST_BYTES: usize = 128;

/// See above. What is left of the VM's memory bounds it, as if it were in the VM already.
pub(super) struct Output<'a> {
    bytes: Vec<u8>,
    room: &'a Room,
    work: Work<'a>,
}

impl<'a> Output<'a> {
    pub(super) fn new(room: &'a Room) -> Self {
        Output { bytes: Vec::new(), room, work: Work::new(room) }
    }

    /// Counts steps of other work.
    #[inline(always)]
    pub(super) fn spend(&mut self, steps: usize) -> Result<(), Trouble> {
        Ok(self.work.spend(steps)?)
    }

    #[inline]
    pub(super) fn byte(&mut self, byte: u8) -> Result<(), Trouble> {
        if self.bytes.len() == self.bytes.capacity() {
            self.grow(1)?;
        }
        self.bytes.push(byte);
        Ok(())
    }

    #[inline]
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        if self.bytes.capacity() - self.bytes.len() < bytes.len() {
            self.grow(bytes.len())?;
        }
        for piece in bytes.chunks(PIECE_BYTES) {
            self.work.spend(piece.len() / BYTES_PER_STEP + 1)?;
            self.bytes.extend_from_slice(piece);
        }
        Ok(())
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
    }

    #[cold]
    fn grow(&mut self, more_bytes: usize) -> Result<(), Trouble> {
        let wanted_bytes = self.bytes.len() + more_bytes;
        let memory = &self.room.memory;
        if wanted_bytes > STRING_BYTES_MAX || memory.exceeds(wanted_bytes) {
            return Err(Trouble::Memory);
        }
        let left_bytes = memory.limit_bytes() - memory.used_bytes();
        let capacity = (2 * self.bytes.capacity()).max(FIRST_BYTES).min(left_bytes).max(wanted_bytes);
        self.bytes.reserve_exact(capacity - self.bytes.len());
        Ok(())
    }

    /// Makes it a Lua string.
    ///
    /// # Safety
    /// `l` is a thread of the room's VM with a free slot, and the limit is lifted.
    pub(super) unsafe fn finish(self, l: *mut lua_State) -> Result<c_int, Trouble> {
        if self.room.memory.exceeds(self.bytes.len()) {
            return Err(Trouble::Memory);
        }
        // SAFETY: see above.
        unsafe { push_bytes(l, &self.bytes) };
        Ok(1)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::room::Ending;
    use super::*;

    #[test]
    fn it_stays_within_the_memory_that_is_left() {
        let room = Room::alone(1000);
        let mut output = Output::new(&room);
        for _ in 0..10 {
            output.push(&[7; 100]).unwrap();
        }
        assert_eq!(output.push(&[7]), Err(Trouble::Memory));
        assert_eq!(output.byte(7), Err(Trouble::Memory));
        assert_eq!(output.as_bytes(), [7; 1000]);
        assert!(output.bytes.capacity() <= 1000);
    }

    #[test]
    fn long_work_ends_when_the_run_is_stopped() {
        let room = Room::alone(1 << 30);
        let mut output = Output::new(&room);
        output.push(&vec![7; 1 << 20]).unwrap();
        room.ending.set(Ending::Abandoned);
        assert_eq!(output.push(&vec![7; 1 << 20]), Err(Trouble::Stopped));
        assert!(output.as_bytes().len() < (1 << 20) + (2 * PIECE_BYTES));
    }
}
