//! When to look for expired keys: hashes by the second. A key is on the schedule once; looked at too early, it is put back.

use std::collections::BTreeMap;

/// The expiry schedule of one database.
#[derive(Default)]
pub struct Schedule {
    seconds: BTreeMap<u32, Vec<u64>>,
}

impl Schedule {
    /// The second in which a key that expires at `expires_ms` is looked at: the first one that begins after it.
    pub fn second(expires_ms: u64) -> u32 {
        u32::try_from(expires_ms / 1000 + 1).unwrap_or(u32::MAX)
    }

    /// Adds a key's hash.
    pub fn add(&mut self, second: u32, hash: u64) {
        self.seconds.entry(second).or_default().push(hash);
    }

    /// A hash that is due by `now_s`, with its second.
    pub fn due(&mut self, now_s: u32) -> Option<(u32, u64)> {
        let mut first = self.seconds.first_entry()?;
        let second = *first.key();
        if second > now_s {
            return None;
        }
        let hash = first.get_mut().pop();
        if first.get().is_empty() {
            first.remove();
        }
        hash.map(|hash| (second, hash))
    }

    /// The next second that has something on the schedule.
    pub fn next_s(&self) -> Option<u32> {
        self.seconds.keys().next().copied()
    }
}
