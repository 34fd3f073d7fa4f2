//! Long work below Lua frames, in steps: between them others get their turn, or the run is stopped.

use super::room::{Ending, Room};

/// Steps between two looks at the clock's flag: some microseconds of the work that is counted.
const STEPS_PER_LOOK: u32 = 4096;

/// The run is to end at once: the function drops what it owns and leaves through [`super::shell::stop`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stopped;

/// Counts the steps of one function's work. A step is about a nanosecond: a byte that is copied, a character that is matched.
///
/// While it looks, the whole run may be suspended for any time and others of the shard served. What the function holds must bear that:
/// slices into Lua strings that stay on the stack do, so do its own buffers. No lent host does: see [`Room::ask`].
pub(super) struct Work<'a> {
    room: &'a Room,
    steps_left: u32,
}

impl<'a> Work<'a> {
    pub(super) fn new(room: &'a Room) -> Self {
        Work { room, steps_left: STEPS_PER_LOOK }
    }

    /// So many steps have been done, or are about to be.
    #[inline(always)]
    pub(super) fn spend(&mut self, steps: usize) -> Result<(), Stopped> {
        if steps < self.steps_left as usize {
            self.steps_left -= steps as u32;
            return Ok(());
        }
        self.look(steps)
    }

    #[cold]
    fn look(&mut self, steps: usize) -> Result<(), Stopped> {
        self.steps_left = STEPS_PER_LOOK;
        self.room.slicer.worked(steps.max(STEPS_PER_LOOK as usize));
        self.room.give_way();
        if self.room.ending.get() == Ending::Open { Ok(()) } else { Err(Stopped) }
    }
}
