//! The only source of time and entropy.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::sys;

const ENTROPY_BYTES: usize = 256;

/// One core's clock: read once per turn of its loop, so that everything in a turn happens at one moment.
pub struct Clock {
    origin: Instant,
    unix_ms: u64,
    monotonic_ns: u64,
}

impl Clock {
    /// A clock that was just read. Monotonic readings of clocks made from the same `origin` can be compared.
    pub fn new(origin: Instant) -> Self {
        let mut clock = Self { origin, unix_ms: 0, monotonic_ns: 0 };
        clock.read();
        clock
    }

    /// Looks at the time. The monotonic reading never goes back; the Unix time does when somebody sets the clock back.
    pub fn read(&mut self) {
        self.monotonic_ns = self.origin.elapsed().as_nanos() as u64;
        // Before 1970 nothing expires and no timestamp exists: the year the machine woke up in is then the best answer.
        self.unix_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
    }

    /// Unix time in milliseconds at the last reading.
    pub fn unix_ms(&self) -> u64 {
        self.unix_ms
    }

    /// Microseconds since the origin at the last reading; never goes back.
    pub fn monotonic_us(&self) -> u64 {
        self.monotonic_ns / 1000
    }

    /// Nanoseconds since the origin at the last reading; never goes back.
    pub fn monotonic_ns(&self) -> u64 {
        self.monotonic_ns
    }

    /// Microseconds since the origin now: for what is measured within a turn.
    pub fn now_us(&self) -> u64 {
        self.origin.elapsed().as_micros() as u64
    }
}

/// The time now, in microseconds since 1970, for who asks what time it is. What happens in a turn has its clock's time.
pub fn unix_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}

/// Random numbers from the kernel, fetched a few dozen at a time.
pub struct Entropy {
    bytes: [u8; ENTROPY_BYTES],
    used: usize,
}

impl Default for Entropy {
    fn default() -> Self {
        Self { bytes: [0; ENTROPY_BYTES], used: ENTROPY_BYTES }
    }
}

impl Entropy {
    /// A number that nobody can guess.
    pub fn next_u64(&mut self) -> u64 {
        if self.used == ENTROPY_BYTES {
            sys::fill_random(&mut self.bytes);
            self.used = 0;
        }
        let number = &mut self.bytes[self.used..self.used + size_of::<u64>()];
        let result = u64::from_ne_bytes(number.try_into().expect("eight bytes"));
        // A number that was given out is not kept.
        number.fill(0);
        self.used += size_of::<u64>();
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::time::Duration;

    #[test]
    fn a_reading_stands_until_the_next() {
        let mut clock = Clock::new(Instant::now());
        let (unix_ms, monotonic_us) = (clock.unix_ms(), clock.monotonic_us());
        std::thread::sleep(Duration::from_millis(5));
        assert_eq!((clock.unix_ms(), clock.monotonic_us()), (unix_ms, monotonic_us));
        clock.read();
        assert!(clock.monotonic_us() >= monotonic_us + 5_000);
        assert!(clock.unix_ms() > 1_600_000_000_000);
    }

    #[test]
    fn numbers_differ_across_refills() {
        let mut entropy = Entropy::default();
        let numbers: BTreeSet<u64> = (0..1000).map(|_| entropy.next_u64()).collect();
        assert_eq!(numbers.len(), 1000);
    }
}
