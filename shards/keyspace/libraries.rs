//! The libraries of functions: their texts, by name. They are data of the shard like its keys, but of no database.
//!
//! The whole set is shared: an inverse, a checkpoint and another shard keep the set that they saw, a change makes a new one. A set holds
//! a handful of libraries, and a text is never copied.

use crate::ids::Batch;
use crate::keyspace::effect::Effect;
use crate::keyspace::keyspace::Keyspace;
use crate::keyspace::undo::{Inverse, Undo};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Names and texts.
pub type LibrarySet = BTreeMap<Box<[u8]>, Arc<[u8]>>;

/// What a library costs in memory besides its name and its text, in bytes (an estimate).
const LIBRARY_BYTES: usize = 64;

/// The libraries of a shard, as its keyspace keeps them.
#[derive(Default)]
pub(super) struct Libraries {
    set: Arc<LibrarySet>,
    /// The number of this set.
    version: u64,
    /// The last number that was given to a set, a context's too.
    numbered: u64,
    bytes: usize,
}

impl Libraries {
    /// Another set is there from now on; the one before.
    pub(super) fn replace(&mut self, set: Arc<LibrarySet>) -> Arc<LibrarySet> {
        self.version = self.number();
        self.bytes = set.iter().map(|(name, code)| library_bytes(name, code)).sum();
        std::mem::replace(&mut self.set, set)
    }

    /// The set.
    pub(super) fn set(&self) -> &Arc<LibrarySet> {
        &self.set
    }

    /// Its number.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// A number for another set.
    pub(super) fn number(&mut self) -> u64 {
        self.numbered += 1;
        self.numbered
    }

    /// Bytes that the libraries hold.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// What a library costs, in bytes.
pub fn library_bytes(name: &[u8], code: &[u8]) -> usize {
    LIBRARY_BYTES + name.len() + code.len()
}

impl Keyspace {
    /// The libraries, as a context sees them while it has its slice. What they depend on is added to the gate.
    pub fn libraries(&self) -> &Arc<LibrarySet> {
        if self.is_looked_over {
            self.reads.borrow_mut().libraries();
            if let Some(view) = &self.view {
                return &view.libraries;
            }
        }
        self.depend_on(self.uncommitted.newest_of_libraries());
        self.libraries_at_tip()
    }

    /// The libraries, for a look from outside, not for requests.
    pub fn libraries_at_tip(&self) -> &Arc<LibrarySet> {
        &self.libraries.set
    }

    /// The number of the set that [`Keyspace::libraries`] gives. No two sets have the same, and an undo makes another one too.
    pub fn libraries_version(&self) -> u64 {
        self.view.as_deref().map_or(self.libraries.version, |view| view.libraries_version)
    }

    /// Bytes that the libraries hold in memory.
    pub fn libraries_bytes(&self) -> usize {
        self.libraries.bytes()
    }

    /// The library has this text, whether it was there or not.
    pub fn put_library(&mut self, name: &[u8], code: Arc<[u8]>) {
        let mut set = LibrarySet::clone(self.libraries());
        set.insert(name.into(), code.clone());
        self.change_libraries(Effect::LibraryPut { name, code: &code }, set);
    }

    /// Removes a library; whether it was there.
    pub fn remove_library(&mut self, name: &[u8]) -> bool {
        if !self.libraries().contains_key(name) {
            return false;
        }
        let mut set = LibrarySet::clone(self.libraries());
        set.remove(name);
        self.change_libraries(Effect::LibraryRemove { name }, set);
        true
    }

    /// Removes all libraries; whether there were any.
    pub fn flush_libraries(&mut self) -> bool {
        if self.libraries().is_empty() {
            return false;
        }
        self.change_libraries(Effect::LibrariesFlush, LibrarySet::new());
        true
    }

    /// Changes, removes and adds libraries until there are these.
    pub fn become_libraries(&mut self, wanted: &LibrarySet) {
        let there = self.libraries().clone();
        for name in there.keys().filter(|name| !wanted.contains_key(*name)) {
            self.remove_library(name);
        }
        for (name, code) in wanted {
            if there.get(name).is_none_or(|old| !Arc::ptr_eq(old, code) && old != code) {
                self.put_library(name, code.clone());
            }
        }
    }

    fn change_libraries(&mut self, effect: Effect<'_>, set: LibrarySet) {
        let set = Arc::new(set);
        if self.view.is_some() {
            return self.change_libraries_in_view(effect, set);
        }
        self.log(effect);
        self.set_libraries(set);
    }

    pub(super) fn store_library(&mut self, name: &[u8], code: Arc<[u8]>) {
        let mut set = LibrarySet::clone(&self.libraries.set);
        set.insert(name.into(), code);
        self.set_libraries(Arc::new(set));
    }

    pub(super) fn take_library(&mut self, name: &[u8]) {
        let mut set = LibrarySet::clone(&self.libraries.set);
        set.remove(name);
        self.set_libraries(Arc::new(set));
    }

    pub(super) fn set_libraries(&mut self, set: Arc<LibrarySet>) {
        let newest: Batch = self.uncommitted.mark_libraries(self.batch);
        self.depend_on(self.batch);
        self.changes += 1;
        let before = self.libraries.replace(set);
        self.undo.push(Undo {
            db: 0,
            survives: false,
            mark: None,
            inverse: Inverse::Libraries { set: before, newest },
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> Arc<[u8]> {
        text.as_bytes().into()
    }

    #[test]
    fn readers_wait_for_what_is_uncommitted_and_for_nothing_else() {
        let mut keyspace = Keyspace::new(1, usize::MAX);
        keyspace.put_library(b"a", code("x"));
        let closed = keyspace.close_batch().unwrap();
        keyspace.take_gate();
        keyspace.libraries();
        assert_eq!(keyspace.take_gate(), closed.batch);
        let mark = keyspace.mark();
        let version = keyspace.libraries_version();
        assert!(keyspace.flush_libraries() && !keyspace.flush_libraries());
        assert_eq!(keyspace.take_gate(), keyspace.batch());
        keyspace.undo_to(mark);
        assert!(keyspace.libraries_version() > version, "an undo is a change too");
        assert_eq!(keyspace.libraries().len(), 1);
        assert_eq!(keyspace.take_gate(), closed.batch);
        assert!(!keyspace.remove_library(b"b"));
        assert!(!keyspace.wrote_since(mark));
    }

    #[test]
    fn another_set_is_taken_over_by_what_differs() {
        let mut keyspace = Keyspace::new(1, usize::MAX);
        for (name, text) in [("a", "1"), ("b", "2"), ("c", "3")] {
            keyspace.put_library(name.as_bytes(), code(text));
        }
        keyspace.close_batch();
        let wanted: LibrarySet =
            [("b", "2"), ("c", "4"), ("d", "5")].into_iter().map(|(n, t)| (n.as_bytes().into(), code(t))).collect();
        let before = keyspace.libraries_bytes();
        keyspace.become_libraries(&wanted);
        assert_eq!(**keyspace.libraries(), wanted);
        assert_eq!(keyspace.libraries_bytes(), before);
        let closed = keyspace.close_batch().unwrap();
        let (_, effects) = crate::keyspace::Effects::of_body(&closed.body).unwrap();
        assert_eq!(effects.count(), 3, "one removed, one changed, one added");
        let mark = keyspace.mark();
        keyspace.become_libraries(&wanted);
        assert!(!keyspace.wrote_since(mark));
    }
}
