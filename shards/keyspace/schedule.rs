//! When to look for expired keys: hashes by the second. A key is on the schedule once; looked at too early, it is put back.

use std::collections::BTreeMap;

/// The expiry schedule of one database.
#[derive(Default)]
pub struct Schedule {
    seconds: BTreeMap<u32, Second>,
}

/// What is looked at in one second.
#[derive(Default)]
struct Second {
    hashes: Vec<u64>,
    /// How many of them nobody wants looked at any more: their keys are gone, or on the schedule elsewhere.
    stale: usize,
}

impl Schedule {
    /// The second in which a key that expires at `expires_ms` is looked at: the first one that begins after it.
    pub fn second(expires_ms: u64) -> u32 {
        u32::try_from(expires_ms / 1000 + 1).unwrap_or(u32::MAX)
    }

    /// Adds a key's hash.
    pub fn add(&mut self, second: u32, hash: u64) {
        self.seconds.entry(second).or_default().hashes.push(hash);
    }

    /// A hash of this second need not be looked at. Once most of the second's are like that they go: otherwise keys that live
    /// shorter than their expiry says would leave theirs behind until then.
    pub fn forget(&mut self, second: u32, is_wanted: impl Fn(u64) -> bool) {
        let Some(found) = self.seconds.get_mut(&second) else { return };
        found.stale += 1;
        if found.stale * 2 <= found.hashes.len() {
            return;
        }
        found.stale = 0;
        // A key that came again in the same second is there twice.
        found.hashes.sort_unstable();
        found.hashes.dedup();
        found.hashes.retain(|hash| is_wanted(*hash));
        found.hashes.shrink_to(found.hashes.len() * 2);
        if found.hashes.is_empty() {
            self.seconds.remove(&second);
        }
    }

    /// A hash that is due by `now_s`, with its second.
    pub fn due(&mut self, now_s: u32) -> Option<(u32, u64)> {
        let mut first = self.seconds.first_entry()?;
        let second = *first.key();
        if second > now_s {
            return None;
        }
        let hash = first.get_mut().hashes.pop();
        if first.get().hashes.is_empty() {
            first.remove();
        }
        hash.map(|hash| (second, hash))
    }

    /// The next second that has something on the schedule.
    pub fn next_s(&self) -> Option<u32> {
        self.seconds.keys().next().copied()
    }

    /// How many hashes are on the schedule.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.seconds.values().map(|second| second.hashes.len()).sum()
    }
}
