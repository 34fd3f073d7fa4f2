//! Where a request belongs: the keys among its arguments, and their shard.

use ringkeep_shards::ids::ShardId;

use super::slots::SlotMap;

/// Which arguments are keys, as COMMAND INFO has it: the first and the last position, and the step between keys. Position 0
/// is the command's name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyRange {
    /// The first key's position; zero if there are no keys.
    pub first: usize,
    /// The last key's position; negative counts from the end, -1 being the last argument.
    pub last: isize,
    /// The distance between keys.
    pub step: usize,
}

impl KeyRange {
    /// No keys.
    pub const NONE: KeyRange = KeyRange { first: 0, last: 0, step: 1 };

    /// The positions of the keys among so many arguments.
    pub fn positions(&self, argument_count: usize) -> impl ExactSizeIterator<Item = usize> + use<> {
        let end = match usize::try_from(self.last) {
            Ok(last) => (last + 1).min(argument_count),
            Err(_) => (argument_count + 1).saturating_sub(self.last.unsigned_abs()),
        };
        let range = if self.first == 0 { 0..0 } else { self.first..end.max(self.first) };
        range.step_by(self.step.max(1))
    }
}

/// Which shards a request's keys live in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Placement {
    /// It has no keys.
    Keyless,
    /// All keys live in this shard.
    One(ShardId),
    /// They live in several.
    Several,
}

impl Placement {
    /// Places keys.
    #[inline]
    pub fn of<'a>(keys: impl IntoIterator<Item = &'a [u8]>, map: &SlotMap) -> Placement {
        let mut keys = keys.into_iter();
        let Some(first) = keys.next() else { return Placement::Keyless };
        let shard = map.shard_of(first);
        if map.shard_count() == 1 || keys.all(|key| map.shard_of(key) == shard) {
            Placement::One(shard)
        } else {
            Placement::Several
        }
    }

    /// Places a request whose keys are in `range`.
    #[inline]
    pub fn of_request(arguments: &[&[u8]], range: KeyRange, map: &SlotMap) -> Placement {
        Placement::of(range.positions(arguments.len()).map(|position| arguments[position]), map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn positions(first: usize, last: isize, step: usize, count: usize) -> Vec<usize> {
        KeyRange { first, last, step }.positions(count).collect()
    }

    #[test]
    fn ranges_are_those_of_command_info() {
        assert_eq!(positions(1, 1, 1, 3), [1]);
        assert_eq!(positions(1, -1, 1, 4), [1, 2, 3]);
        assert_eq!(positions(1, -1, 2, 5), [1, 3]);
        assert_eq!(positions(1, -1, 2, 4), [1, 3]);
        assert_eq!(positions(1, -2, 1, 4), [1, 2]);
        assert_eq!(positions(2, 2, 1, 4), [2]);
    }

    #[test]
    fn too_few_arguments_have_no_keys() {
        assert_eq!(positions(1, -1, 1, 1), []);
        assert_eq!(positions(1, 1, 1, 1), []);
        assert_eq!(positions(2, -3, 1, 1), []);
        assert_eq!(KeyRange::NONE.positions(5).len(), 0);
    }

    #[test]
    fn placements() {
        let map = SlotMap::new(4);
        let range = KeyRange { first: 1, last: -1, step: 1 };
        let of = |arguments: &[&[u8]], map: &SlotMap| Placement::of_request(arguments, range, map);
        assert_eq!(of(&[b"mget"], &map), Placement::Keyless);
        // Slots 12182, 5061, 3443.
        assert_eq!(of(&[b"mget", b"foo"], &map), Placement::One(ShardId(2)));
        assert_eq!(of(&[b"mget", b"foo", b"{foo}2"], &map), Placement::One(ShardId(2)));
        assert_eq!(of(&[b"mget", b"foo", b"bar"], &map), Placement::Several);
        assert_eq!(of(&[b"mget", b"foo", b"bar"], &SlotMap::new(1)), Placement::One(ShardId(0)));
    }
}
