//! Which keys an entry not yet committed touched: what a read's reply must wait for.
//!
//! One array of batch numbers, indexed by the key's hash: a key (present or absent) gates on the newest batch that touched its
//! place. Two keys that share a place over-gate each other for the length of one log write, which is safe; nothing is ever removed,
//! since a number that is committed gates nothing.

use crate::ids::Batch;
use crate::keyspace::effect::DatabaseIndex;
use crate::limits::DATABASES_MAX;

const PLACES: usize = 8192;

/// A key's place in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(u16);

/// The uncommitted table of one shard.
pub struct Uncommitted {
    keys: Box<[Batch; PLACES]>,
    /// The newest batch that touched any key of a database: what whole-keyspace reads gate on.
    databases: [Batch; DATABASES_MAX as usize],
    /// The newest batch that emptied the database: every key of it gates on that.
    flushed: [Batch; DATABASES_MAX as usize],
    /// The newest batch that changed a library of functions.
    libraries: Batch,
}

impl Uncommitted {
    /// A table in which nothing is uncommitted.
    pub fn new() -> Self {
        Uncommitted {
            keys: Box::new([Batch(0); PLACES]),
            databases: [Batch(0); DATABASES_MAX as usize],
            flushed: [Batch(0); DATABASES_MAX as usize],
            libraries: Batch(0),
        }
    }

    /// The place of the key with this hash.
    #[inline]
    pub fn place(db: DatabaseIndex, hash: u64) -> Place {
        Place((hash as usize ^ (usize::from(db) << 9)) as u16 & (PLACES as u16 - 1))
    }

    /// Marks a key as touched by `batch`; what was there before, for an undo.
    #[inline]
    pub fn mark(&mut self, db: DatabaseIndex, place: Place, batch: Batch) -> Batch {
        self.databases[usize::from(db)] = batch;
        std::mem::replace(&mut self.keys[usize::from(place.0)], batch)
    }

    /// Takes a mark back. The database's own mark stays: it over-gates, until that batch is committed or
    /// [`Uncommitted::unmark_databases`] is told that there is none.
    pub fn unmark(&mut self, place: Place, previous: Batch) {
        self.keys[usize::from(place.0)] = previous;
    }

    /// Nothing is left of the batches after `batch`: no database waits for them.
    pub fn unmark_databases(&mut self, batch: Batch) {
        for mark in &mut self.databases {
            *mark = (*mark).min(batch);
        }
    }

    /// Marks a whole database as emptied by `batch`; what was there before, for an undo.
    pub fn mark_flushed(&mut self, db: DatabaseIndex, batch: Batch) -> Batch {
        self.databases[usize::from(db)] = batch;
        std::mem::replace(&mut self.flushed[usize::from(db)], batch)
    }

    /// Takes a flush's mark back.
    pub fn unmark_flushed(&mut self, db: DatabaseIndex, previous: Batch) {
        self.flushed[usize::from(db)] = previous;
    }

    /// Marks the libraries as changed by `batch`; what was there before, for an undo.
    pub fn mark_libraries(&mut self, batch: Batch) -> Batch {
        std::mem::replace(&mut self.libraries, batch)
    }

    /// Takes the libraries' mark back.
    pub fn unmark_libraries(&mut self, previous: Batch) {
        self.libraries = previous;
    }

    /// The newest batch that a read of the libraries depends on.
    #[inline]
    pub fn newest_of_libraries(&self) -> Batch {
        self.libraries
    }

    /// The newest batch that a read of this key depends on.
    #[inline]
    pub fn newest(&self, db: DatabaseIndex, place: Place) -> Batch {
        self.keys[usize::from(place.0)].max(self.flushed[usize::from(db)])
    }

    /// The newest batch that a read of the whole database depends on.
    pub fn newest_of_database(&self, db: DatabaseIndex) -> Batch {
        self.databases[usize::from(db)]
    }
}

impl Default for Uncommitted {
    fn default() -> Self {
        Self::new()
    }
}

const _: () = assert!(PLACES.is_power_of_two() && PLACES <= 1 << 16);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_gates_on_the_newest_batch_that_touched_it_or_flushed_it() {
        let mut table = Uncommitted::new();
        let place = Uncommitted::place(3, 12345);
        let previous = table.mark(3, place, Batch(4));
        assert_eq!(table.newest(3, place), Batch(4));
        table.unmark(place, previous);
        assert_eq!(table.newest(3, place), Batch(0));
        table.mark_flushed(3, Batch(9));
        assert_eq!(table.newest(3, place), Batch(9));
        assert_eq!(table.newest(2, place), Batch(0));
        assert_eq!(table.newest_of_database(3), Batch(9));
    }
}
