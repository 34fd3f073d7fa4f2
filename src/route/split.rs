//! A request over several shards, split key by key.

use ringkeep_shards::ids::ShardId;
use smallvec::SmallVec;

use super::plan::KeyRange;
use super::slots::SlotMap;
use crate::resp::Arguments;

/// What one shard gets of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part {
    /// The shard.
    pub shard: ShardId,
    /// Positions of the arguments that are its business, ascending: keys, each with the arguments that go with it.
    pub positions: SmallVec<[u32; 8]>,
}

/// A request that works key by key (DEL, UNLINK, EXISTS, TOUCH, MGET, MSET), split over the shards of its keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Split {
    /// A part per shard that owns a key, in the order in which the shards appear in the request.
    pub parts: SmallVec<[Part; 4]>,
    /// For each key, in the order of the request, the index of its part.
    pub owners: SmallVec<[u16; 16]>,
    /// Arguments before the first key: every part begins with them.
    leading: usize,
}

const NO_PART: u16 = u16::MAX;

impl Split {
    /// Splits a request. `None` if it cannot be split because it has no keys, or because the last key lacks arguments that go
    /// with it (MSET with an odd count): any shard refuses that in the right words.
    pub fn new(arguments: &[&[u8]], range: KeyRange, map: &SlotMap) -> Option<Split> {
        let keys = range.positions(arguments.len());
        let step = range.step.max(1);
        if keys.len() == 0 || range.first + keys.len() * step > arguments.len() {
            return None;
        }
        let mut part_of_shard: SmallVec<[u16; 64]> = SmallVec::from_elem(NO_PART, usize::from(map.shard_count()));
        let mut split =
            Split { parts: SmallVec::new(), owners: SmallVec::with_capacity(keys.len()), leading: range.first };
        for position in keys {
            let shard = map.shard_of(arguments[position]);
            let part = &mut part_of_shard[usize::from(shard.0)];
            if *part == NO_PART {
                *part = split.parts.len() as u16;
                split.parts.push(Part { shard, positions: SmallVec::new() });
            }
            split.owners.push(*part);
            let positions = position as u32..(position + step) as u32;
            split.parts[usize::from(*part)].positions.extend(positions);
        }
        Some(split)
    }

    /// The request that one part's shard gets.
    pub fn request<'a>(&self, part: usize, arguments: &[&'a [u8]]) -> Arguments<'a> {
        let own = self.parts[part].positions.iter().map(|&position| arguments[position as usize]);
        arguments[..self.leading].iter().copied().chain(own).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: KeyRange = KeyRange { first: 1, last: -1, step: 1 };
    const PAIRS: KeyRange = KeyRange { first: 1, last: -1, step: 2 };

    #[test]
    fn an_mset_keeps_its_pairs_together() {
        // Slots 12182, 5061, 12182: shards 2, 1, 2 of four.
        let arguments: [&[u8]; 7] = [b"mset", b"foo", b"1", b"bar", b"2", b"{foo}x", b"3"];
        let split = Split::new(&arguments, PAIRS, &SlotMap::new(4)).unwrap();
        assert_eq!(split.parts.iter().map(|part| part.shard).collect::<Vec<_>>(), [ShardId(2), ShardId(1)]);
        assert_eq!(split.owners[..], [0, 1, 0]);
        assert_eq!(split.request(0, &arguments)[..], [&b"mset"[..], b"foo", b"1", b"{foo}x", b"3"]);
        assert_eq!(split.request(1, &arguments)[..], [&b"mset"[..], b"bar", b"2"]);
    }

    #[test]
    fn what_cannot_be_split_is_left_to_a_shard() {
        let map = SlotMap::new(4);
        assert_eq!(Split::new(&[b"mset", b"foo", b"1", b"bar"], PAIRS, &map), None);
        assert_eq!(Split::new(&[b"mget"], ALL, &map), None);
        assert_eq!(Split::new(&[b"ping", b"foo"], KeyRange::NONE, &map), None);
    }

    proptest! {
        #[test]
        fn every_key_goes_to_its_shard_once_and_in_order(
            keys in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..4), 1..40),
            shards in 1..=1024u16,
            pairs: bool,
        ) {
            let map = SlotMap::new(shards);
            let mut arguments: Vec<&[u8]> = vec![b"name"];
            for key in &keys {
                arguments.push(key);
                if pairs {
                    arguments.push(b"value");
                }
            }
            let split = Split::new(&arguments, if pairs { PAIRS } else { ALL }, &map).unwrap();
            let mut seen: Vec<u32> = split.parts.iter().flat_map(|part| part.positions.iter().copied()).collect();
            seen.sort();
            prop_assert!(seen.into_iter().eq(1..arguments.len() as u32));
            for (key, owner) in keys.iter().zip(&split.owners) {
                prop_assert_eq!(split.parts[usize::from(*owner)].shard, map.shard_of(key));
            }
            for (index, part) in split.parts.iter().enumerate() {
                prop_assert!(part.positions.is_sorted());
                prop_assert_eq!(split.request(index, &arguments).len(), part.positions.len() + 1);
                prop_assert_eq!(split.parts.iter().filter(|other| other.shard == part.shard).count(), 1);
            }
        }
    }
}
