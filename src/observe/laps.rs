//! How long each of some calls took that follow each other without the book at hand.

use std::time::Instant;

/// The times of calls, in order.
pub struct Laps {
    origin: Instant,
    at_ns: u64,
    ns: Vec<u64>,
    /// Calls since the last reading; they share the time until the next one.
    pending: u32,
}

impl Laps {
    /// The calls begin at a reading `at_ns` after `origin`; `ns` are the times of those before them.
    pub(super) fn new(origin: Instant, at_ns: u64, ns: Vec<u64>) -> Self {
        Laps { origin, at_ns, ns, pending: 0 }
    }

    /// A call is done: the clock is read if `reads` says so. It should after a call that can be slow, and before one.
    #[inline]
    pub fn call(&mut self, reads: bool) {
        self.pending += 1;
        if reads {
            self.lap();
        }
    }

    /// Time since the last reading: of a call that is not done yet, if the clock was read before it.
    pub fn since_reading_ns(&self) -> u64 {
        (self.origin.elapsed().as_nanos() as u64).saturating_sub(self.at_ns)
    }

    /// The call that was done last took so much more before.
    pub fn add(&mut self, ns: u64) {
        if self.pending > 0 {
            self.lap();
        }
        if let Some(last) = self.ns.last_mut() {
            *last += ns;
        }
    }

    /// All are done, or wait: their times, in nanoseconds.
    pub fn end(mut self) -> Vec<u64> {
        if self.pending > 0 {
            self.lap();
        }
        self.ns
    }

    fn lap(&mut self) {
        let now_ns = self.origin.elapsed().as_nanos() as u64;
        let each_ns = now_ns.saturating_sub(self.at_ns) / u64::from(self.pending);
        self.ns.resize(self.ns.len() + self.pending as usize, each_ns);
        (self.at_ns, self.pending) = (now_ns, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_slow_one_has_its_time_and_the_quick_ones_share_theirs() {
        let origin = Instant::now();
        let mut laps = Laps::new(origin, 0, vec![7]);
        laps.call(false);
        laps.call(true);
        std::thread::sleep(Duration::from_millis(5));
        laps.call(true);
        laps.call(false);
        let ns = laps.end();
        assert_eq!((ns.len(), ns[0], ns[1]), (5, 7, ns[2]));
        assert!(ns[3] >= 5_000_000 && ns.iter().sum::<u64>() <= origin.elapsed().as_nanos() as u64 + 7);
    }
}
