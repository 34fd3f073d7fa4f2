//! The key table: extendible hashing over small segments.
//!
//! ```text
//! directory, by the top `depth` bits of the hash     segments of at most 448 entries
//! 00 ─┬──────────────────────────────────────────►  depth 1, prefix 0
//! 01 ─┘
//! 10 ────────────────────────────────────────────►  depth 2, prefix 10
//! 11 ────────────────────────────────────────────►  depth 2, prefix 11
//! ```
//!
//! It grows by splitting one segment, so that no insertion ever pays for the whole table (only the directory, eight
//! bytes for some 300 entries, is doubled at once). Its order is the order of hashes, which no split changes: a scan that goes on
//! from a hash meets everything that was there throughout, once.

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Entries of a segment before it is split: seven eighths of 512 buckets.
const SEGMENT_ENTRIES_MAX: usize = 448;
/// Directory bits before segments grow instead of splitting: only equal hashes get here.
const DEPTH_BITS_MAX: u32 = 28;

/// The hash of a key; deterministic for a seed, on every machine (xxh3, 64 bits), so that scan cursors outlive a process.
#[inline]
pub fn hash_key(seed: u64, key: &[u8]) -> u64 {
    xxh3_64_with_seed(key, seed)
}

/// What a table holds: something that knows its key.
pub trait Keyed {
    /// The key that the entry is found by.
    fn key(&self) -> &[u8];
}

/// A hash table of boxed entries with stable iteration and bounded insertion.
pub struct Table<T> {
    directory: Vec<u32>,
    segments: Vec<Segment<T>>,
    depth: u32,
    len: usize,
    seed: u64,
}

struct Segment<T> {
    depth: u32,
    entries: HashTable<Box<T>>,
    /// Where the table's tags begin, for hints to the processor only. hashbrown keeps the buckets below them, in descending order.
    tags_address: usize,
}

impl<T: Keyed> Segment<T> {
    fn new(depth: u32, entries: HashTable<Box<T>>) -> Self {
        Segment { depth, entries, tags_address: 0 }
    }

    fn insert(&mut self, hash: u64, entry: Box<T>, seed: u64) {
        let placed = self.entries.insert_unique(inner(hash), entry, |other| inner(hash_key(seed, other.key())));
        let buckets_to_tags = (placed.bucket_index() + 1) * size_of::<Box<T>>();
        self.tags_address = std::ptr::from_ref(placed.get()).addr() + buckets_to_tags;
    }

    /// Asks for the tags and the buckets where an entry with this hash most likely is.
    #[inline]
    fn prefetch_buckets(&self, hash: u64) {
        let index = inner(hash) as usize & (self.entries.num_buckets() - 1);
        prefetch(self.tags_address.wrapping_add(index));
        let bucket = self.tags_address.wrapping_sub((index + 1) * size_of::<Box<T>>());
        prefetch(bucket);
        prefetch(bucket.wrapping_sub(LINE_BYTES));
    }
}

/// hashbrown takes a bucket from the low bits and a tag from the top ones. The directory has used the top ones up.
#[inline]
fn inner(hash: u64) -> u64 {
    hash.rotate_left(32)
}

/// Bytes that the processor brings at once.
const LINE_BYTES: usize = 64;

/// Asks for the cache line at an address, for all levels of the cache: a hint, which a wrong address makes useless and nothing else.
#[inline]
fn prefetch(address: usize) {
    branches::prefetch_read_data::<u8, 0>(std::ptr::without_provenance(address));
}

impl<T: Keyed> Table<T> {
    /// An empty table whose keys are hashed with `seed`.
    pub fn new(seed: u64) -> Self {
        Table { directory: vec![0], segments: vec![Segment::new(0, HashTable::new())], depth: 0, len: 0, seed }
    }

    /// How many entries there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The seed that keys are hashed with.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The hash by which `key` is found here.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> u64 {
        hash_key(self.seed, key)
    }

    #[inline]
    fn slot(&self, hash: u64) -> usize {
        // A shift by 64 is none: depth 0 has one slot.
        let slot = if self.depth == 0 { 0 } else { (hash >> (64 - self.depth)) as usize };
        self.directory[slot] as usize
    }

    /// The entry of `key`, whose hash is `hash`.
    #[inline]
    pub fn find(&self, hash: u64, key: &[u8]) -> Option<&T> {
        self.segments[self.slot(hash)].entries.find(inner(hash), |entry| entry.key() == key).map(|entry| &**entry)
    }

    /// Asks the processor for the place of the entry whose hash is `hash`, which is wanted soon. It waits for nothing.
    #[inline]
    pub fn prefetch_place(&self, hash: u64) {
        self.segments[self.slot(hash)].prefetch_buckets(hash);
    }

    /// Asks for the entry itself: worth it once its place has come.
    #[inline]
    pub fn prefetch_entry(&self, hash: u64) {
        for entry in self.segments[self.slot(hash)].entries.iter_hash(inner(hash)) {
            prefetch(std::ptr::from_ref(&**entry).addr());
        }
    }

    /// The entry of `key`, to be changed in place (but not its key).
    #[inline]
    pub fn find_mut(&mut self, hash: u64, key: &[u8]) -> Option<&mut T> {
        let slot = self.slot(hash);
        self.segments[slot].entries.find_mut(inner(hash), |entry| entry.key() == key).map(|entry| &mut **entry)
    }

    /// The entries whose hash may be `hash`: a superset, to be looked at.
    pub fn candidates(&self, hash: u64) -> impl Iterator<Item = &T> {
        self.segments[self.slot(hash)].entries.iter_hash(inner(hash)).map(|entry| &**entry)
    }

    /// Adds an entry whose key is not there yet.
    pub fn insert(&mut self, hash: u64, entry: Box<T>) {
        debug_assert!(self.find(hash, entry.key()).is_none(), "a key is in the table once");
        let seed = self.seed;
        loop {
            let slot = self.slot(hash);
            let segment = &mut self.segments[slot];
            if segment.entries.len() < SEGMENT_ENTRIES_MAX || segment.depth == DEPTH_BITS_MAX {
                segment.insert(hash, entry, seed);
                self.len += 1;
                return;
            }
            self.split(slot);
        }
    }

    /// Takes the entry of `key` out.
    pub fn remove(&mut self, hash: u64, key: &[u8]) -> Option<Box<T>> {
        let slot = self.slot(hash);
        let found = self.segments[slot].entries.find_entry(inner(hash), |entry| entry.key() == key).ok()?;
        self.len -= 1;
        Some(found.remove().0)
    }

    fn split(&mut self, slot: usize) {
        if self.segments[slot].depth == self.depth {
            self.directory = self.directory.iter().flat_map(|&segment| [segment, segment]).collect();
            self.depth += 1;
        }
        let depth = self.segments[slot].depth + 1;
        let old = std::mem::replace(
            &mut self.segments[slot],
            Segment::new(depth, HashTable::with_capacity(SEGMENT_ENTRIES_MAX / 2 + 32)),
        );
        let new_slot = self.segments.len();
        self.segments.push(Segment::new(depth, HashTable::with_capacity(SEGMENT_ENTRIES_MAX / 2 + 32)));
        let mut prefix = 0;
        for entry in old.entries {
            let hash = hash_key(self.seed, entry.key());
            prefix = hash >> (64 - depth) >> 1;
            let target = if (hash >> (64 - depth)) & 1 == 0 { slot } else { new_slot };
            self.segments[target].insert(hash, entry, self.seed);
        }
        let span = 1usize << (self.depth - depth);
        let upper = ((prefix as usize) << 1 | 1) << (self.depth - depth);
        self.directory[upper..upper + span].fill(new_slot as u32);
    }

    /// Visits entries in the order of their hashes, from `position` on, at least `count` of them (all with the last one's
    /// hash), and returns the position to go on from; none at the end. Cost: one segment of up to 448 entries a call, or more.
    ///
    /// A position is the top 43 bits of a hash.
    pub fn scan<'t>(&'t self, position: u64, count: usize, visit: &mut dyn FnMut(&'t T)) -> Option<u64> {
        let mut from = position;
        let mut seen = 0;
        let mut found: Vec<(u64, &'t T)> = Vec::new();
        while from < SCAN_POSITIONS {
            let hash = from << SCAN_SHIFT;
            let segment = &self.segments[self.slot(hash)];
            found.clear();
            for entry in &segment.entries {
                let position = hash_key(self.seed, entry.key()) >> SCAN_SHIFT;
                if position >= from {
                    found.push((position, entry));
                }
            }
            found.sort_unstable_by_key(|&(position, _)| position);
            let mut rest = found.iter().peekable();
            while let Some(&(position, entry)) = rest.next() {
                visit(entry);
                seen += 1;
                if seen >= count && rest.peek().is_some_and(|&&(next, _)| next != position) {
                    return Some(position + 1);
                }
            }
            let width = (64 - segment.depth).saturating_sub(SCAN_SHIFT);
            from = ((from >> width) + 1) << width;
            if seen >= count && from < SCAN_POSITIONS {
                return Some(from);
            }
        }
        None
    }

    /// The scan position at which the segment that holds `position` ends.
    pub fn segment_end(&self, position: u64) -> u64 {
        let width = (64 - self.segments[self.slot(position << SCAN_SHIFT)].depth).saturating_sub(SCAN_SHIFT);
        ((position >> width) + 1) << width
    }

    /// Visits the entries from one scan position to another, in no order.
    pub fn visit<'t>(&'t self, from: u64, to: u64, visit: &mut dyn FnMut(&'t T)) {
        let mut at = from;
        while at < to {
            let segment = &self.segments[self.slot(at << SCAN_SHIFT)];
            let end = self.segment_end(at);
            let width = (64 - segment.depth).saturating_sub(SCAN_SHIFT);
            let whole = at >> width << width == at && end <= to;
            for entry in &segment.entries {
                if whole || (at..to).contains(&(hash_key(self.seed, entry.key()) >> SCAN_SHIFT)) {
                    visit(entry);
                }
            }
            at = end;
        }
    }

    /// Every entry, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.segments.iter().flat_map(|segment| segment.entries.iter().map(|entry| &**entry))
    }

    /// Some entry, chosen by `entropy`: a random segment's random one. None if the table is empty.
    pub fn random(&self, entropy: u64) -> Option<&T> {
        if self.len == 0 {
            return None;
        }
        let count = self.segments.len() as u64;
        let start = (entropy >> 32) % count;
        let segment = (0..count)
            .map(|step| &self.segments[((start + step) % count) as usize])
            .find(|segment| !segment.entries.is_empty())?;
        let nth = (entropy & 0xffff_ffff) as usize % segment.entries.len();
        segment.entries.iter().nth(nth).map(|entry| &**entry)
    }

    /// Drops up to `segments` segments' entries; whether anything is left. For a table that nobody reads any more.
    pub fn free_some(&mut self, segments: usize) -> bool {
        let keep = self.segments.len().saturating_sub(segments);
        self.segments.truncate(keep);
        !self.segments.is_empty()
    }

    /// What the table itself holds besides its entries, in bytes (an estimate: control bytes and pointers).
    pub fn overhead_bytes(&self) -> usize {
        self.directory.capacity() * 4 + self.segments.len() * (size_of::<Segment<T>>() + 512 * 9)
    }
}

/// How far a hash is shifted to become a scan position.
pub const SCAN_SHIFT: u32 = 21;
/// One past the last scan position.
pub const SCAN_POSITIONS: u64 = 1 << (64 - SCAN_SHIFT);

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    struct Pair(Vec<u8>, u32);

    impl Keyed for Pair {
        fn key(&self) -> &[u8] {
            &self.0
        }
    }

    fn name(i: u32) -> Vec<u8> {
        format!("key:{i}").into_bytes()
    }

    fn filled(n: u32) -> Table<Pair> {
        let mut table = Table::new(7);
        for i in 0..n {
            table.insert(table.hash(&name(i)), Box::new(Pair(name(i), i)));
        }
        table
    }

    #[test]
    fn what_is_inserted_is_found_and_what_is_removed_is_not() {
        let mut table = filled(20_000);
        assert_eq!(table.len(), 20_000);
        for i in (0..20_000).step_by(3) {
            let hash = table.hash(&name(i));
            assert_eq!(table.remove(hash, &name(i)).map(|pair| pair.1), Some(i));
        }
        for i in 0..20_000 {
            let found = table.find(table.hash(&name(i)), &name(i)).map(|pair| pair.1);
            assert_eq!(found, (i % 3 != 0).then_some(i));
        }
    }

    #[test]
    fn a_scan_meets_all_once_in_any_step() {
        let table = filled(5_000);
        for count in [1, 10, 700, 100_000] {
            let mut seen = BTreeMap::new();
            let mut position = Some(0);
            while let Some(from) = position {
                position = table.scan(from, count, &mut |pair| *seen.entry(pair.1).or_insert(0) += 1);
            }
            assert_eq!(seen.len(), 5_000);
            assert!(seen.values().all(|&times| times == 1));
        }
    }

    #[test]
    fn a_scan_meets_what_stays_while_the_table_grows_and_shrinks() {
        let mut table = filled(3_000);
        let mut seen = std::collections::BTreeSet::new();
        let mut position = Some(0);
        let mut extra = 3_000;
        while let Some(from) = position {
            position = table.scan(from, 10, &mut |pair| {
                seen.insert(pair.1);
            });
            for _ in 0..50 {
                table.insert(table.hash(&name(extra)), Box::new(Pair(name(extra), extra)));
                extra += 1;
            }
            let gone = name(extra - 40);
            table.remove(table.hash(&gone), &gone);
        }
        assert!((0..3_000).all(|i| seen.contains(&i)));
    }
}
