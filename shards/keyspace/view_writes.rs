//! What the keyspace's writes do while a context has its slice: they stay in its view.

use crate::keyspace::effect::{DatabaseIndex, Effect, NewValue};
use crate::keyspace::entry::Entry;
use crate::keyspace::keyspace::Keyspace;
use crate::keyspace::libraries::LibrarySet;
use crate::keyspace::text::Text;
use crate::keyspace::tip::NoSegments;
use crate::keyspace::value::{ColdRange, Segments, Value};
use crate::keyspace::view::{View, ViewDatabase, Written};
use crate::sabotage::{Sabotage, is_planted};
use hashbrown::HashTable;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

impl Keyspace {
    /// The view that has its slice, for a write to this key.
    fn writing(&mut self, db: DatabaseIndex, key: &[u8]) -> (&mut View, u64) {
        let hash = self.databases[usize::from(db)].table.hash(key);
        self.note_key(db, hash);
        (self.view.as_deref_mut().expect("a context has its slice"), hash)
    }

    pub(super) fn put_in_view(&mut self, db: DatabaseIndex, key: &[u8], value: NewValue<'_>, expires_ms: u64) {
        if is_planted(Sabotage::WriteSetSeen)
            && let NewValue::Bytes(bytes) = &value
        {
            let view = self.view.take();
            self.put(db, key, NewValue::Bytes(bytes), expires_ms);
            self.view = view;
        }
        let (now_s, large_bytes_min) = (self.now_s(), self.large_bytes_min);
        let (view, hash) = self.writing(db, key);
        let mut digits = itoa::Buffer::new();
        let bytes: &[u8] = match &value {
            NewValue::Bytes(bytes) | NewValue::Text(bytes) => bytes,
            NewValue::Int(number) => digits.format(*number).as_bytes(),
            NewValue::Owned(bytes) => bytes,
        };
        Effect::Put { db, key, value: bytes, expires_ms }.encode(&mut view.body);
        let entry = new_entry(key, value.into_value(large_bytes_min), expires_ms, now_s);
        view.databases[usize::from(db)].set(hash, key, Some(entry));
    }

    pub(super) fn remove_in_view(&mut self, db: DatabaseIndex, key: &[u8]) -> bool {
        let now_ms = self.now_ms;
        let Some(expires_ms) = self.held_in_view(db, key).map(Entry::expires_ms) else {
            self.writing(db, key);
            return false;
        };
        let (view, hash) = self.writing(db, key);
        Effect::Remove { db, key }.encode(&mut view.body);
        view.databases[usize::from(db)].set(hash, key, None);
        expires_ms == 0 || expires_ms > now_ms
    }

    pub(super) fn set_expiry_in_view(&mut self, db: DatabaseIndex, key: &[u8], expires_ms: u64) {
        let mut entry = self.held_in_view(db, key).expect("the effect names a key that exists").clone();
        entry.expires_ms = expires_ms;
        let (view, hash) = self.writing(db, key);
        Effect::Expire { db, key, expires_ms }.encode(&mut view.body);
        view.databases[usize::from(db)].set(hash, key, Some(entry));
    }

    /// Writes into a string that exists and is in memory. `effect` says so.
    pub(super) fn write_in_view(
        &mut self,
        effect: Effect<'_>,
        db: DatabaseIndex,
        key: &[u8],
        at: Option<usize>,
        bytes: &[u8],
    ) {
        self.own_in_view(db, key);
        let (view, hash) = self.writing(db, key);
        effect.encode(&mut view.body);
        let is_it = |written: &Written| written.hash == hash && written.key.as_bytes() == key;
        let written = view.databases[usize::from(db)].written.find_mut(hash, is_it).expect("it was just made its own");
        let buffer = written.entry.as_mut().expect("the string exists").value.buffer();
        let offset = at.unwrap_or(buffer.len());
        let end = offset + bytes.len();
        if end > buffer.len() {
            buffer.resize(end, 0);
        }
        buffer[offset..end].copy_from_slice(bytes);
    }

    /// Makes a string that exists a buffer of the view's own.
    fn own_in_view(&mut self, db: DatabaseIndex, key: &[u8]) {
        let held = self.held_in_view(db, key).expect("the effect names a key that exists");
        let mut entry = match held.value() {
            Value::Buffer(_) if self.is_own_in_view(db, key) => return,
            _ => held.clone(),
        };
        if !matches!(entry.value, Value::Buffer(_)) {
            let bytes = entry.value.bytes(&NoSegments);
            let bytes = bytes.unwrap_or_else(|range| panic!("it is brought in before it is written to: {range:?}"));
            let buffer = bytes.to_vec();
            drop(bytes);
            entry.value = Value::Buffer(Box::new(buffer));
        }
        let (view, hash) = self.writing(db, key);
        view.databases[usize::from(db)].set(hash, key, Some(entry));
    }

    fn is_own_in_view(&self, db: DatabaseIndex, key: &[u8]) -> bool {
        let hash = self.databases[usize::from(db)].table.hash(key);
        let view = self.view.as_deref().expect("a context has its slice");
        view.databases[usize::from(db)].find(hash, key).is_some()
    }

    /// [`Keyspace::make_writable`] in a view.
    pub(super) fn make_writable_in_view(
        &mut self,
        db: DatabaseIndex,
        key: &[u8],
        segments: &dyn Segments,
    ) -> Result<(), ColdRange> {
        let Some(held) = self.held_in_view(db, key) else { return Ok(()) };
        let Value::Large(string) = held.value() else { return Ok(()) };
        let view = self.view.as_deref().expect("a context has its slice");
        let known = view.written_into.iter().find(|(other, _)| Rc::ptr_eq(other, string)).map(|(_, bytes)| bytes);
        let buffer = match known {
            Some(bytes) => bytes.to_vec(),
            None => held.value().bytes(segments)?.to_vec(),
        };
        let written_into = known.is_none().then(|| (string.clone(), buffer.clone().into_boxed_slice()));
        let mut entry = held.clone();
        entry.value = Value::Buffer(Box::new(buffer));
        let (view, hash) = self.writing(db, key);
        view.written_into.extend(written_into);
        view.databases[usize::from(db)].set(hash, key, Some(entry));
        Ok(())
    }

    pub(super) fn rename_in_view(&mut self, db: DatabaseIndex, key: &[u8], to_db: DatabaseIndex, to: &[u8]) {
        let held = self.held_in_view(db, key).expect("the effect names a key that exists");
        let entry = Entry { key: Text::new(to), ..held.clone() };
        let (view, hash) = self.writing(db, key);
        Effect::Rename { db, key, to_db, to }.encode(&mut view.body);
        view.databases[usize::from(db)].set(hash, key, None);
        let (view, hash) = self.writing(to_db, to);
        view.databases[usize::from(to_db)].set(hash, to, Some(entry));
    }

    pub(super) fn copy_in_view(&mut self, db: DatabaseIndex, key: &[u8], to_db: DatabaseIndex, to: &[u8]) {
        let held = self.held_in_view(db, key).expect("the effect names a key that exists");
        let entry = Entry { key: Text::new(to), ..held.clone() };
        let (view, hash) = self.writing(to_db, to);
        Effect::Copy { db, key, to_db, to }.encode(&mut view.body);
        view.databases[usize::from(to_db)].set(hash, to, Some(entry));
    }

    pub(super) fn flush_in_view(&mut self, db: DatabaseIndex) {
        let view = self.view.as_deref_mut().expect("a context has its slice");
        Effect::Flush { db }.encode(&mut view.body);
        view.databases[usize::from(db)] = ViewDatabase { is_flushed: true, written: HashTable::new() };
    }

    /// The context changes the libraries.
    pub(super) fn change_libraries_in_view(&mut self, effect: Effect<'_>, set: Arc<LibrarySet>) {
        effect.encode(&mut self.view.as_deref_mut().expect("a context has its slice").body);
        self.set_libraries_in_view(set);
    }

    /// What a key holds for the context that has its slice, expired or not.
    fn held_in_view(&self, db: DatabaseIndex, key: &[u8]) -> Option<&Entry> {
        let hash = self.databases[usize::from(db)].table.hash(key);
        self.found_in_view(self.view.as_deref().expect("a context has its slice"), db, hash, key)
    }
}

fn new_entry(key: &[u8], value: Value, expires_ms: u64, now_s: u32) -> Entry {
    Entry { key: Text::new(key), value, expires_ms, accessed_s: Cell::new(now_s), scheduled_s: 0 }
}
