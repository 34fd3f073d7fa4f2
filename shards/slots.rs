//! Redis Cluster's hash slots, and which shard owns which.

use crate::ids::{ShardId, Slot};
use std::ops::Range;

/// How many slots there are.
pub const SLOTS: u16 = 16384;

/// The slot of a key: CRC16 of it, or of its hash tag (Redis Cluster specification).
#[inline]
pub fn slot_of(key: &[u8]) -> Slot {
    Slot(redis_protocol::redis_keyslot(key))
}

/// The shard that owns a slot: the slots are split evenly, in order, over `shards` shards.
#[inline]
pub fn shard_of_slot(slot: Slot, shards: u16) -> ShardId {
    ShardId((((u32::from(slot.0) + 1) * u32::from(shards) - 1) / u32::from(SLOTS)) as u16)
}

/// The shard that owns a key.
#[inline]
pub fn shard_of(key: &[u8], shards: u16) -> ShardId {
    if shards == 1 { ShardId(0) } else { shard_of_slot(slot_of(key), shards) }
}

/// The slots that a shard owns.
pub fn slots_of(shard: ShardId, shards: u16) -> Range<u16> {
    let first = |shard: u32| (shard * u32::from(SLOTS) / u32::from(shards)) as u16;
    first(u32::from(shard.0))..first(u32::from(shard.0) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_owners_agree() {
        for shards in [1, 2, 3, 7, 64, 1000, 1024] {
            let mut covered = 0;
            for shard in 0..shards {
                for slot in slots_of(ShardId(shard), shards) {
                    assert_eq!(shard_of_slot(Slot(slot), shards), ShardId(shard));
                    covered += 1;
                }
            }
            assert_eq!(covered, SLOTS);
        }
        assert_eq!(slot_of(b"123456789"), Slot(12739));
        assert_eq!(slot_of(b"{user1000}.following"), slot_of(b"{user1000}.followers"));
    }
}
