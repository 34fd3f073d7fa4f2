//! What a script or EXEC has looked at, so that it can be told whether that was changed since.

use crate::keyspace::effect::DatabaseIndex;

/// Keys that are noted one by one; more than these count as their whole database. 16 bytes each.
const KEYS_MAX: usize = 1 << 18;
/// Keys that are noted before the first look for those that are noted twice.
const KEYS_MIN: usize = 1 << 10;

/// A key by its hash. Two keys of one hash are taken for each other, which is safe: a change too many is seen, never one too few.
pub type KeyHash = (u64, DatabaseIndex);

/// Keys (present or absent) and whole databases that were read or written.
#[derive(Clone, Debug, Default)]
pub struct Reads {
    keys: Vec<KeyHash>,
    databases: u16,
    libraries: bool,
    /// How many keys there may be before those that are there twice are looked for.
    keys_max: usize,
}

impl Reads {
    /// Notes a key.
    #[inline]
    pub fn key(&mut self, db: DatabaseIndex, hash: u64) {
        if self.keys.last() == Some(&(hash, db)) {
            return;
        }
        if self.keys.len() >= self.keys_max.max(KEYS_MIN) {
            self.compact();
        }
        self.keys.push((hash, db));
    }

    /// Notes a whole database.
    pub fn database(&mut self, db: DatabaseIndex) {
        self.databases |= 1 << db;
    }

    /// Notes the libraries of functions.
    pub fn libraries(&mut self) {
        self.libraries = true;
    }

    #[cold]
    fn compact(&mut self) {
        self.sort();
        if self.keys.len() >= KEYS_MAX {
            for &(_, db) in &self.keys {
                self.databases |= 1 << db;
            }
            self.keys.clear();
        }
        self.keys_max = (self.keys.len() * 2).max(KEYS_MIN);
    }

    fn sort(&mut self) {
        self.keys.sort_unstable();
        self.keys.dedup();
    }

    /// Adds what another run looked at.
    pub fn add(&mut self, other: &Reads) {
        self.databases |= other.databases;
        self.libraries |= other.libraries;
        for &(hash, db) in &other.keys {
            self.key(db, hash);
        }
    }

    /// The keys, some of them perhaps twice.
    pub fn keys(&self) -> &[KeyHash] {
        &self.keys
    }

    /// Whether the whole database was looked at.
    pub fn has_database(&self, db: DatabaseIndex) -> bool {
        self.databases & 1 << db != 0
    }

    /// Whether the libraries were looked at.
    pub fn has_libraries(&self) -> bool {
        self.libraries
    }

    /// Whether any whole database was.
    pub fn has_databases(&self) -> bool {
        self.databases != 0
    }

    /// Forgets everything; room is kept.
    pub fn clear(&mut self) {
        self.keys.clear();
        self.databases = 0;
        self.libraries = false;
        self.keys_max = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_again_and_again_is_noted_once() {
        let mut reads = Reads::default();
        for turn in 0..1_000_000 {
            reads.key(3, turn % 700);
        }
        assert!(reads.keys().len() < 4 * KEYS_MIN, "{}", reads.keys().len());
        assert!((0..700).all(|hash| reads.keys().contains(&(hash, 3))));
        assert!(!reads.has_databases());
    }

    #[test]
    fn too_many_keys_are_their_database() {
        let mut reads = Reads::default();
        for hash in 0..1_000_000 {
            reads.key(5, hash);
        }
        assert!(reads.keys().len() <= KEYS_MAX);
        assert!(reads.has_database(5) && !reads.has_database(4));
        reads.clear();
        assert!(!reads.has_databases());
    }
}
