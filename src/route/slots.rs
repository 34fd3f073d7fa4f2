//! Keys to hash slots to shards.

use std::ops::Range;

use ringkeep_shards::ids::{ShardId, Slot};

use super::crc16::crc16;
use crate::resp::parse_decimal;

/// Redis Cluster's number of hash slots.
pub const SLOT_COUNT: u16 = 1 << SLOT_BITS;
const SLOT_BITS: u32 = 14;
/// The most shards of a node: what a SCAN cursor has room for.
pub const SHARD_COUNT_MAX: u16 = 1024;

/// The slot of a key. Of a key with a hash tag (`{...}`, not empty), only the tag counts.
#[inline]
pub fn slot_of(key: &[u8]) -> Slot {
    Slot(crc16(tag_of(key)) % SLOT_COUNT)
}

/// What counts of a key: the bytes between its first `{` and the next `}`, if there are any.
#[inline]
fn tag_of(key: &[u8]) -> &[u8] {
    // `contains` looks at a word at a time; most keys have no tag.
    if !key.contains(&b'{') {
        return key;
    }
    let start = key.iter().position(|&byte| byte == b'{').map_or(0, |open| open + 1);
    match key[start..].iter().position(|&byte| byte == b'}') {
        None | Some(0) => key,
        Some(length) => &key[start..start + length],
    }
}

/// Reads a slot number that a client gave.
pub fn parse_slot(text: &[u8]) -> Option<Slot> {
    let number = u16::try_from(parse_decimal(text)?).ok()?;
    (number < SLOT_COUNT).then_some(Slot(number))
}

/// The even split of all slots over a node's shards. Each owns one contiguous range; their sizes differ by one at most.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SlotMap {
    shards: u16,
}

impl SlotMap {
    /// The split over so many shards: at least one, at most [`SHARD_COUNT_MAX`].
    pub fn new(shards: u16) -> Self {
        assert!((1..=SHARD_COUNT_MAX).contains(&shards), "a node has 1 to {SHARD_COUNT_MAX} shards, not {shards}");
        SlotMap { shards }
    }

    /// How many shards there are.
    pub fn shard_count(&self) -> u16 {
        self.shards
    }

    /// The shard that owns a slot.
    #[inline]
    pub fn shard_of_slot(&self, slot: Slot) -> ShardId {
        assert!(slot.0 < SLOT_COUNT, "there is no slot {slot}");
        // The inverse of `first`, in whole numbers.
        ShardId((((u32::from(slot.0) + 1) * u32::from(self.shards) - 1) >> SLOT_BITS) as u16)
    }

    /// The shard that owns a key.
    #[inline]
    pub fn shard_of(&self, key: &[u8]) -> ShardId {
        if self.shards == 1 { ShardId(0) } else { self.shard_of_slot(slot_of(key)) }
    }

    /// The slots that a shard owns.
    pub fn slots(&self, shard: ShardId) -> Range<u16> {
        assert!(shard.0 < self.shards, "there is no shard {shard}");
        self.first(shard.0)..self.first(shard.0 + 1)
    }

    fn first(&self, shard: u16) -> u16 {
        ((u32::from(shard) << SLOT_BITS) / u32::from(self.shards)) as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn another_implementation_finds_the_same_slot(key in proptest::collection::vec(prop_oneof![
            1 => Just(b'{'), 1 => Just(b'}'), 6 => any::<u8>(),
        ], 0..60)) {
            prop_assert_eq!(slot_of(&key), Slot(redis_protocol::redis_keyslot(&key)));
        }
    }

    #[test]
    fn slots_are_those_of_redis() {
        // CLUSTER KEYSLOT of a Redis 7.0.15.
        for (key, slot) in [
            ("", 0),
            ("foo", 12182),
            ("123456789", 12739),
            ("{user1000}.following", 3443),
            ("user1000", 3443),
            ("foo{}{bar}", 8363),
            ("foo{{bar}}zap", 4015),
            ("foo{bar}{zap}", 5061),
            ("{", 4092),
            ("{}", 15257),
            ("a{", 14311),
        ] {
            assert_eq!(slot_of(key.as_bytes()), Slot(slot), "{key}");
        }
    }

    #[test]
    fn every_slot_has_the_one_owner_whose_range_holds_it() {
        for shards in (1..=SHARD_COUNT_MAX).filter(|shards| *shards < 70 || shards % 97 == 0 || *shards > 1020) {
            let map = SlotMap::new(shards);
            let mut next = 0;
            for shard in (0..shards).map(ShardId) {
                let range = map.slots(shard);
                assert_eq!(range.start, next);
                let even = SLOT_COUNT / shards;
                assert!(range.len() == usize::from(even) || range.len() == usize::from(even) + 1);
                assert!(range.clone().all(|slot| map.shard_of_slot(Slot(slot)) == shard));
                next = range.end;
            }
            assert_eq!(next, SLOT_COUNT);
        }
    }

    #[test]
    fn slot_numbers_of_clients() {
        assert_eq!(parse_slot(b"16383"), Some(Slot(16383)));
        for text in [&b"16384"[..], b"-1", b"", b"x", b"65536", b"99999999999"] {
            assert_eq!(parse_slot(text), None);
        }
    }

    #[test]
    #[should_panic(expected = "1 to 1024 shards")]
    fn no_shards_is_a_broken_invariant() {
        SlotMap::new(0);
    }
}
