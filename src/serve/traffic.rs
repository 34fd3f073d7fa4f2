//! Which core a connection's commands are for: what a move to that core is decided by.

use ringkeep_shards::ids::CoreId;

/// Commands after which a connection's traffic is looked at, at first.
pub const WINDOW_COMMANDS_MIN: u32 = 128;
/// The same after many moves: a connection whose traffic swings between cores moves ever more rarely.
pub const WINDOW_COMMANDS_MAX: u32 = 1 << 16;

/// The commands of one connection since its traffic was last looked at.
#[derive(Clone, Copy, Debug)]
pub struct Traffic {
    /// Those for shards of the core that holds the connection.
    here: u32,
    /// Those for shards of one other core.
    there: u32,
    /// That core.
    other: CoreId,
    /// Those for shards of yet other cores.
    elsewhere: u32,
    window_commands: u32,
}

impl Default for Traffic {
    fn default() -> Self {
        Traffic { here: 0, there: 0, other: CoreId(0), elsewhere: 0, window_commands: WINDOW_COMMANDS_MIN }
    }
}

impl Traffic {
    /// Counts a command for a shard of the connection's own core.
    #[inline]
    pub fn count_here(&mut self) {
        self.here = self.here.saturating_add(1);
    }

    /// Counts a command for a shard of another core. The first one met in a window is that window's candidate.
    pub fn count_there(&mut self, core: CoreId) {
        if self.there == 0 {
            self.other = core;
        }
        let count = if self.other == core { &mut self.there } else { &mut self.elsewhere };
        *count = count.saturating_add(1);
    }

    /// The core that three commands of four were for, once a window is over.
    pub fn prefers(&mut self) -> Option<CoreId> {
        let total = u64::from(self.here) + u64::from(self.there) + u64::from(self.elsewhere);
        if total < u64::from(self.window_commands) {
            return None;
        }
        let prefers = u64::from(self.there) * 4 >= total * 3;
        let window = if prefers { self.window_commands * 2 } else { self.window_commands / 2 };
        let (other, window) = (self.other, window.clamp(WINDOW_COMMANDS_MIN, WINDOW_COMMANDS_MAX));
        *self = Traffic { window_commands: window, ..Traffic::default() };
        prefers.then_some(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(traffic: &mut Traffic, here: u32, there: &[(u16, u32)]) {
        (0..here).for_each(|_| traffic.count_here());
        for &(core, commands) in there {
            (0..commands).for_each(|_| traffic.count_there(CoreId(core)));
        }
    }

    #[test]
    fn a_window_with_a_clear_majority_elsewhere_prefers_that_core() {
        let mut traffic = Traffic::default();
        count(&mut traffic, 0, &[(3, WINDOW_COMMANDS_MIN - 1)]);
        assert_eq!(traffic.prefers(), None, "the window is not over");
        count(&mut traffic, 0, &[(3, 1)]);
        assert_eq!(traffic.prefers(), Some(CoreId(3)));
        assert_eq!(traffic.prefers(), None, "a new window has begun");
    }

    #[test]
    fn mixed_traffic_prefers_nothing() {
        let mut traffic = Traffic::default();
        for _ in 0..50 {
            count(&mut traffic, WINDOW_COMMANDS_MIN / 2, &[(1, WINDOW_COMMANDS_MIN / 2)]);
            assert_eq!(traffic.prefers(), None);
            count(&mut traffic, 0, &[(1, WINDOW_COMMANDS_MIN / 2), (2, WINDOW_COMMANDS_MIN / 2)]);
            assert_eq!(traffic.prefers(), None);
        }
    }

    #[test]
    fn who_moves_often_moves_more_rarely() {
        let mut traffic = Traffic::default();
        let mut moves = 0;
        for _ in 0..1000 {
            count(&mut traffic, 0, &[(1, WINDOW_COMMANDS_MIN)]);
            moves += u32::from(traffic.prefers().is_some());
        }
        assert!((5..20).contains(&moves), "{moves}");
        // And gets back to where it was while it stays.
        for _ in 0..20 {
            count(&mut traffic, WINDOW_COMMANDS_MAX, &[]);
            assert_eq!(traffic.prefers(), None);
        }
        count(&mut traffic, 0, &[(1, WINDOW_COMMANDS_MIN)]);
        assert_eq!(traffic.prefers(), Some(CoreId(1)));
    }

    #[test]
    fn a_long_past_here_does_not_count_for_long() {
        let mut traffic = Traffic::default();
        count(&mut traffic, 1_000_000, &[(1, 1)]);
        assert_eq!(traffic.prefers(), None);
        count(&mut traffic, 0, &[(1, WINDOW_COMMANDS_MIN)]);
        assert_eq!(traffic.prefers(), Some(CoreId(1)));
    }
}
