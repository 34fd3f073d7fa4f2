//! What holds for every sequence of effects: an undo is the identity, and a follower that applies the log ends up equal.

use crate::ids::Timestamp;
use crate::keyspace::batch::Mark;
use crate::keyspace::effect::{DatabaseIndex, Effects, NewValue};
use crate::keyspace::keyspace::Keyspace;
use crate::keyspace::value::{ColdRange, Segments};
use crate::limits::DATABASES_MAX;
use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;

pub(super) const SEED: u64 = 11;
const LARGE_BYTES_MIN: usize = 64;
pub(super) const START_MS: u64 = 1_000_000;
/// Few databases and keys, so that effects meet each other.
const DATABASES: u8 = 2;

pub(super) struct NoSegments;

impl Segments for NoSegments {
    fn resident(&self, _: ColdRange) -> Option<&[u8]> {
        None
    }
}

/// One write, or something that leads to one.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Put(DatabaseIndex, u8, Vec<u8>, u64),
    PutInt(DatabaseIndex, u8, i64),
    PutOwned(DatabaseIndex, u8, usize),
    Remove(DatabaseIndex, u8),
    Expire(DatabaseIndex, u8, u64),
    Append(DatabaseIndex, u8, Vec<u8>),
    Splice(DatabaseIndex, u8, usize, Vec<u8>),
    Rename(DatabaseIndex, u8, DatabaseIndex, u8),
    Copy(DatabaseIndex, u8, DatabaseIndex, u8),
    Flush(DatabaseIndex),
    LibraryPut(u8, Vec<u8>),
    LibraryRemove(u8),
    LibrariesFlush,
    /// A read, and the removal of what it met expired.
    Read(DatabaseIndex, u8),
    ExpireDue,
}

pub(super) fn key(number: u8) -> Vec<u8> {
    // Inside an entry, and behind a pointer.
    if number.is_multiple_of(2) { vec![b'k', number] } else { [&[b'k'; 40][..], &[number]].concat() }
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(b"12345".to_vec()),
        vec(any::<u8>(), 0..30),
        vec(any::<u8>(), LARGE_BYTES_MIN - 2..LARGE_BYTES_MIN + 20)
    ]
}

fn expires_ms() -> impl Strategy<Value = u64> {
    // None, past, soon, late.
    prop_oneof![3 => Just(0), 1 => 1..START_MS, 2 => START_MS + 1..START_MS + 5_000, 1 => Just(START_MS * 9)]
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let (db, key) = (|| 0..DATABASES, || 0u8..6);
    prop_oneof![
        4 => (db(), key(), bytes(), expires_ms()).prop_map(|(db, key, bytes, at)| Step::Put(db, key, bytes, at)),
        1 => (db(), key(), any::<i64>()).prop_map(|(db, key, number)| Step::PutInt(db, key, number)),
        1 => (db(), key(), 1usize..200).prop_map(|(db, key, len)| Step::PutOwned(db, key, len)),
        2 => (db(), key()).prop_map(|(db, key)| Step::Remove(db, key)),
        2 => (db(), key(), expires_ms()).prop_map(|(db, key, at)| Step::Expire(db, key, at)),
        3 => (db(), key(), bytes()).prop_map(|(db, key, tail)| Step::Append(db, key, tail)),
        3 => (db(), key(), 0usize..100, bytes()).prop_map(|(db, key, at, bytes)| Step::Splice(db, key, at, bytes)),
        2 => (db(), key(), db(), key()).prop_map(|(db, key, to_db, to)| Step::Rename(db, key, to_db, to)),
        1 => (db(), key(), db(), key()).prop_map(|(db, key, to_db, to)| Step::Copy(db, key, to_db, to)),
        1 => db().prop_map(Step::Flush),
        2 => (key(), bytes()).prop_map(|(name, code)| Step::LibraryPut(name, code)),
        1 => key().prop_map(Step::LibraryRemove),
        1 => Just(Step::LibrariesFlush),
        3 => (db(), key()).prop_map(|(db, key)| Step::Read(db, key)),
        1 => Just(Step::ExpireDue),
    ]
}

pub(super) fn run(keyspace: &mut Keyspace, step: &Step) {
    let there = |keyspace: &Keyspace, db, key: &[u8]| keyspace.read(db, key).is_some();
    match step {
        Step::Put(db, k, bytes, at) => keyspace.put(*db, &key(*k), NewValue::Bytes(bytes), *at),
        Step::PutInt(db, k, number) => keyspace.put(*db, &key(*k), NewValue::Int(*number), 0),
        Step::PutOwned(db, k, len) => {
            keyspace.put(*db, &key(*k), NewValue::Owned(Bytes::from(vec![b'o'; *len])), 0);
        }
        Step::Remove(db, k) => {
            keyspace.remove(*db, &key(*k));
        }
        Step::Expire(db, k, at) if there(keyspace, *db, &key(*k)) => keyspace.set_expiry(*db, &key(*k), *at),
        Step::Append(db, k, tail) if there(keyspace, *db, &key(*k)) => {
            keyspace.make_writable(*db, &key(*k), &NoSegments).unwrap();
            keyspace.append(*db, &key(*k), tail);
        }
        Step::Splice(db, k, at, bytes) if there(keyspace, *db, &key(*k)) => {
            keyspace.make_writable(*db, &key(*k), &NoSegments).unwrap();
            keyspace.splice(*db, &key(*k), *at, bytes);
        }
        Step::Rename(db, k, to_db, to) if there(keyspace, *db, &key(*k)) => {
            keyspace.rename(*db, &key(*k), *to_db, &key(*to));
        }
        Step::Copy(db, k, to_db, to) if there(keyspace, *db, &key(*k)) => {
            keyspace.copy(*db, &key(*k), *to_db, &key(*to));
        }
        Step::Flush(db) => keyspace.flush(*db),
        Step::LibraryPut(name, code) => keyspace.put_library(&key(*name), code.as_slice().into()),
        Step::LibraryRemove(name) => {
            keyspace.remove_library(&key(*name));
        }
        Step::LibrariesFlush => {
            keyspace.flush_libraries();
        }
        Step::Read(db, k) => {
            keyspace.read(*db, &key(*k));
            keyspace.remove_met_expired();
        }
        Step::ExpireDue => {
            keyspace.expire_due(4);
        }
        // A command that finds no key has no effect.
        Step::Expire(..) | Step::Append(..) | Step::Splice(..) | Step::Rename(..) | Step::Copy(..) => {}
    }
}

/// Stands for the database among what there is.
pub(super) const LIBRARIES: DatabaseIndex = u8::MAX;

type Contents = BTreeMap<(DatabaseIndex, Vec<u8>), (Vec<u8>, u64, &'static str)>;

/// Everything there is, expired or not.
fn everything(keyspace: &mut Keyspace) -> Contents {
    let now_ms = keyspace.now_ms();
    keyspace.set_now(0);
    let mut contents = Contents::new();
    for db in 0..DATABASES_MAX {
        for entry in keyspace.entries(db) {
            let bytes = entry.value().bytes(&NoSegments).unwrap().to_vec();
            contents.insert((db, entry.key().to_vec()), (bytes, entry.expires_ms(), entry.value().encoding()));
        }
        assert_eq!(keyspace.len(db), keyspace.entries(db).count());
        assert_eq!(keyspace.expiring(db), keyspace.entries(db).filter(|entry| entry.expires_ms() != 0).count());
    }
    for (name, code) in keyspace.libraries_at_tip().iter() {
        contents.insert((LIBRARIES, name.to_vec()), (code.to_vec(), 0, "library"));
    }
    let held: usize = (0..DATABASES_MAX).flat_map(|db| keyspace.entries(db)).map(|entry| entry.memory_bytes()).sum();
    let besides = keyspace.versions_bytes + keyspace.libraries_bytes();
    assert_eq!(keyspace.memory_bytes(), held + besides, "memory is what the entries, versions and libraries hold");
    keyspace.set_now(now_ms);
    contents
}

/// The contents without what has expired.
fn live(keyspace: &mut Keyspace) -> Contents {
    let now_ms = keyspace.now_ms();
    let mut contents = everything(keyspace);
    contents.retain(|_, (_, expires_ms, _)| *expires_ms == 0 || *expires_ms > now_ms);
    contents
}

/// With or without large strings. Those become buffers for good when something is written to them, and hold more memory then:
/// where there are some, memory is not looked at.
fn started(large: bool, steps: &[Step]) -> Keyspace {
    let mut keyspace = Keyspace::new(SEED, if large { LARGE_BYTES_MIN } else { usize::MAX });
    keyspace.set_now(START_MS);
    for step in steps {
        run(&mut keyspace, step);
    }
    keyspace
}

/// Every key that expires is found by the schedule.
fn assert_scheduled(keyspace: &mut Keyspace) {
    keyspace.set_now(START_MS * 100);
    while keyspace.expire_due(1000) {}
    for db in 0..DATABASES_MAX {
        assert_eq!(keyspace.expiring(db), 0, "a key was not on the schedule");
    }
}

fn close_and_apply(keyspace: &mut Keyspace, follower: &mut Keyspace) {
    let Some(closed) = keyspace.close_batch() else { return };
    let mut position = 0;
    let (_, mut effects) = Effects::of_body(&closed.body).unwrap();
    while let Some(effect) = effects.next() {
        follower.apply(effect.unwrap(), None, &NoSegments);
        position = effects.position();
    }
    assert_eq!(position, closed.body.len());
    for (string, at) in &closed.large {
        assert_eq!(string.memory().unwrap(), closed.body[*at..*at + string.len()], "a large string's place");
    }
    follower.applied();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn undoing_to_a_mark_is_the_identity_but_for_expired_keys(
        before in vec(step(), 0..20), closes in any::<bool>(), pins in any::<bool>(), large in any::<bool>(),
        after in vec(step(), 0..20),
    ) {
        let mut keyspace = started(large, &before);
        if closes || pins {
            keyspace.close_batch();
        }
        if pins {
            keyspace.pin();
        }
        let (all, memory_bytes) = (everything(&mut keyspace), keyspace.memory_bytes());
        let mark = keyspace.mark();
        for step in &after {
            run(&mut keyspace, step);
        }
        keyspace.undo_to(mark);
        let left = everything(&mut keyspace);
        for (key, value) in &left {
            prop_assert_eq!(&all[key].0, &value.0);
            prop_assert_eq!(all[key].1, value.1);
        }
        let gone: Vec<_> = all.iter().filter(|(key, _)| !left.contains_key(*key)).collect();
        prop_assert!(gone.iter().all(|(_, (_, at, _))| *at != 0 && *at <= START_MS), "only expired keys go: {:?}", gone);
        if gone.is_empty() {
            prop_assert!(!keyspace.wrote_since(mark));
            if !large {
                prop_assert_eq!(&left, &all);
                prop_assert_eq!(keyspace.memory_bytes() - keyspace.versions_bytes, memory_bytes);
            }
        }
        assert_scheduled(&mut keyspace);
    }

    #[test]
    fn undoing_every_batch_is_the_identity(
        before in vec(step(), 0..20), batches in vec(vec(step(), 0..8), 0..5), pin in 0usize..6, large in any::<bool>(),
    ) {
        let mut keyspace = started(large, &before);
        if let Some(closed) = keyspace.close_batch() {
            keyspace.delivered(closed.batch);
        }
        let (all, memory_bytes) = (everything(&mut keyspace), keyspace.memory_bytes());
        for (number, batch) in batches.iter().enumerate() {
            if number == pin {
                keyspace.pin();
            }
            for step in batch {
                run(&mut keyspace, step);
            }
            // The last one stays open.
            if number + 1 < batches.len() {
                keyspace.close_batch();
            }
        }
        keyspace.undo_undelivered();
        let left = everything(&mut keyspace);
        let plain = |contents: &Contents| -> Vec<_> {
            contents.iter().map(|(key, (bytes, at, _))| (key.clone(), bytes.clone(), *at)).collect()
        };
        prop_assert_eq!(plain(&left), plain(&all));
        if !large {
            prop_assert_eq!(left, all);
            prop_assert_eq!(keyspace.memory_bytes() - keyspace.versions_bytes, memory_bytes);
        }
        assert_scheduled(&mut keyspace);
    }

    #[test]
    fn a_follower_that_applies_the_batches_is_equal(batches in vec(vec((step(), any::<bool>()), 0..12), 1..6)) {
        let mut keyspace = started(true, &[]);
        let mut follower = started(true, &[]);
        for batch in &batches {
            for (step, undone) in batch {
                let mark: Mark = keyspace.mark();
                run(&mut keyspace, step);
                if *undone {
                    keyspace.undo_to(mark);
                }
            }
            close_and_apply(&mut keyspace, &mut follower);
            prop_assert_eq!(live(&mut keyspace), live(&mut follower));
            prop_assert_eq!(everything(&mut keyspace), everything(&mut follower));
        }
        assert_scheduled(&mut follower);
    }

    #[test]
    fn timestamps_grow_with_every_batch(batches in vec(vec(step(), 1..4), 1..6)) {
        let mut keyspace = started(true, &[]);
        let mut last = Timestamp(0);
        for batch in &batches {
            let mark = keyspace.mark();
            batch.iter().for_each(|step| run(&mut keyspace, step));
            keyspace.undo_to(mark);
            batch.iter().for_each(|step| run(&mut keyspace, step));
            if let Some(closed) = keyspace.close_batch() {
                prop_assert!(closed.timestamp > last);
                last = closed.timestamp;
            }
        }
    }
}

/// A script sets a key to expire in the past, reads it and fails: the key was not expired before, and is not now.
#[test]
fn what_an_undone_effect_made_expire_comes_back() {
    let mut keyspace = started(false, &[]);
    keyspace.put(0, b"held", NewValue::Bytes(b"v"), 0);
    let mark = keyspace.mark();
    keyspace.put(0, b"held", NewValue::Bytes(b"w"), 1);
    keyspace.put(0, b"new", NewValue::Bytes(b"w"), 1);
    for key in [&b"held"[..], b"new"] {
        assert!(keyspace.read(0, key).is_none());
    }
    keyspace.remove_met_expired();
    assert_eq!(keyspace.expired_keys(), 2);
    keyspace.undo_to(mark);
    assert!(keyspace.read(0, b"held").is_some());
    assert_eq!((keyspace.len(0), keyspace.expired_keys()), (1, 0));
}

/// The mark of a removal that survives is not taken back with the marks of what was written before it: a read of the removed key
/// waits for the removal.
#[test]
fn a_removal_that_survives_is_waited_for() {
    let mut keyspace = started(false, &[]);
    keyspace.put(0, b"old", NewValue::Bytes(b"v"), 1);
    let closed = keyspace.close_batch().unwrap();
    keyspace.delivered(closed.batch);
    let mark = keyspace.mark();
    keyspace.put(0, b"old", NewValue::Bytes(b"w"), 0);
    keyspace.put(0, b"old", NewValue::Bytes(b"w"), 2);
    assert!(keyspace.read(0, b"old").is_none());
    keyspace.undo_to(mark);
    assert!(keyspace.wrote_since(mark), "it had expired before the mark");
    keyspace.take_gate();
    assert!(keyspace.read(0, b"old").is_none());
    assert_eq!(keyspace.take_gate(), keyspace.batch());
}

/// What is left waiting for a batch of which nothing is left would wait for the next write of anyone.
#[test]
fn nothing_waits_for_a_batch_that_was_taken_back_whole() {
    let mut keyspace = started(false, &[]);
    keyspace.put(0, b"k", NewValue::Bytes(b"v"), 0);
    let closed = keyspace.close_batch().unwrap();
    keyspace.take_gate();
    let mark = keyspace.mark();
    keyspace.put(0, b"k", NewValue::Bytes(b"w"), 0);
    keyspace.put(0, b"past", NewValue::Bytes(b"w"), 1);
    assert!(keyspace.read(0, b"past").is_none());
    keyspace.undo_to(mark);
    assert_eq!(keyspace.take_gate(), closed.batch);
    keyspace.depend_on_database(0);
    assert_eq!(keyspace.take_gate(), closed.batch);
    keyspace.put(0, b"k", NewValue::Bytes(b"w"), 0);
    keyspace.flush(1);
    keyspace.undo_undelivered();
    keyspace.read(0, b"k");
    keyspace.depend_on_database(0);
    keyspace.depend_on_database(1);
    assert_eq!(keyspace.take_gate().0, 0, "what is left is committed");
    assert_eq!(keyspace.len(0), 0);
}
