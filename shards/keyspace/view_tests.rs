//! A context sees the state at its start and its own writes, and commits as if it had run at its end.

use super::tests::{LIBRARIES, NoSegments, SEED, START_MS, Step, key, run, step};
use crate::keyspace::effect::DatabaseIndex;
use crate::keyspace::keyspace::Keyspace;
use crate::limits::DATABASES_MAX;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;

type Contents = BTreeMap<(DatabaseIndex, Vec<u8>), (Vec<u8>, u64)>;

/// Everything that has not expired, in each of the ways that commands look at it.
fn seen(keyspace: &Keyspace) -> Contents {
    let mut contents = Contents::new();
    for (name, code) in keyspace.libraries().iter() {
        contents.insert((LIBRARIES, name.to_vec()), (code.to_vec(), 0));
    }
    for db in 0..DATABASES_MAX {
        for entry in keyspace.entries(db) {
            let bytes = entry.value().bytes(&NoSegments).unwrap().to_vec();
            let before = contents.insert((db, entry.key().to_vec()), (bytes, entry.expires_ms()));
            assert!(before.is_none(), "a key is met once");
        }
        let mut scanned = Vec::new();
        let mut position = Some(0);
        while let Some(from) = position {
            position = keyspace.scan(db, from, 2, &mut |entry| scanned.push(entry.key().to_vec()));
        }
        scanned.sort();
        let keys = || contents.keys().filter(|(of, _)| *of == db).map(|(_, key)| key.clone());
        assert_eq!(scanned, keys().collect::<Vec<_>>());
        assert!(keyspace.len(db) >= scanned.len());
        assert_eq!(keyspace.random(db, 12345).is_some(), !scanned.is_empty());
        for number in 0..6 {
            let found = keyspace
                .peek(db, &key(number))
                .map(|entry| (entry.value().bytes(&NoSegments).unwrap().to_vec(), entry.expires_ms()));
            assert_eq!(found.as_ref(), contents.get(&(db, key(number))));
        }
    }
    contents
}

fn started(large: bool, steps: &[Step]) -> Keyspace {
    let mut keyspace = Keyspace::new(SEED, if large { 64 } else { usize::MAX });
    keyspace.set_now(START_MS);
    steps.iter().for_each(|step| run(&mut keyspace, step));
    keyspace
}

fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    vec(step().prop_filter("the expiry cycle is the tip's", |step| !matches!(step, Step::ExpireDue)), 0..most)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn a_view_is_the_state_at_its_start_and_its_own_writes(
        before in steps(12), fast in steps(6), others in vec((steps(4), any::<bool>(), any::<bool>()), 0..4),
        own in vec(steps(4), 4), large in any::<bool>(), closes in any::<bool>(),
    ) {
        let mut keyspace = started(large, &before);
        if closes {
            keyspace.close_batch();
        }
        // What ran first in the tip goes along.
        let mut alone = started(large, &before);
        let tip_before = seen(&keyspace);
        let mark = keyspace.mark();
        keyspace.begin_reads();
        for step in &fast {
            run(&mut keyspace, step);
            run(&mut alone, step);
        }
        let (mut view, _) = keyspace.set_aside(mark, None, &NoSegments).unwrap();
        prop_assert_eq!(seen(&keyspace), tip_before);
        let mut other_pins = Vec::new();
        for ((others, closes, pins), own) in others.iter().zip(&own) {
            if *pins {
                other_pins.push(keyspace.pin_here());
            }
            others.iter().for_each(|step| run(&mut keyspace, step));
            if *closes {
                keyspace.close_batch();
            }
            if let Some(pin) = other_pins.first().copied().filter(|_| *closes) {
                other_pins.remove(0);
                keyspace.unpin(pin);
            }
            for _ in 0..40 {
                keyspace.sweep_some();
            }
            keyspace.enter(view);
            prop_assert_eq!(seen(&keyspace), seen(&alone));
            // What is taken back leaves nothing.
            let mark = keyspace.mark();
            own.iter().rev().for_each(|step| run(&mut keyspace, step));
            keyspace.undo_to(mark);
            prop_assert_eq!(seen(&keyspace), seen(&alone));
            for step in own {
                run(&mut keyspace, step);
                run(&mut alone, step);
            }
            prop_assert_eq!(seen(&keyspace), seen(&alone));
            view = keyspace.leave();
        }
        keyspace.unpin(view.start());
    }

    #[test]
    fn what_is_unchanged_commits_as_if_it_had_run_at_its_end(
        before in steps(12), others in steps(2), own in steps(5), large in any::<bool>(),
    ) {
        let mut keyspace = started(large, &before);
        keyspace.close_batch();
        let mut serial = started(large, &before);
        let view = keyspace.view_here();
        others.iter().for_each(|step| run(&mut keyspace, step));
        keyspace.close_batch();
        keyspace.enter(view);
        own.iter().for_each(|step| run(&mut keyspace, step));
        let view = keyspace.leave();
        let tip = seen(&keyspace);
        if keyspace.is_unchanged(&view, START_MS) {
            keyspace.commit(&view, &NoSegments).unwrap();
            others.iter().chain(&own).for_each(|step| run(&mut serial, step));
            prop_assert_eq!(seen(&keyspace), seen(&serial));
        } else {
            prop_assert!(!others.is_empty());
            prop_assert_eq!(seen(&keyspace), tip);
        }
        keyspace.unpin(view.start());
    }
}

#[test]
fn a_change_to_what_was_read_is_seen_and_one_to_other_keys_is_not() {
    let put = |keyspace: &mut Keyspace, name: &[u8]| keyspace.put(0, name, super::NewValue::Int(7), 0);
    for (read, changed, conflicts) in [("a", "a", true), ("a", "b", false), ("absent", "absent", true)] {
        let mut keyspace = Keyspace::new(1, 1 << 20);
        put(&mut keyspace, b"a");
        put(&mut keyspace, b"b");
        let view = keyspace.view_here();
        keyspace.enter(view);
        keyspace.read(0, read.as_bytes());
        let view = keyspace.leave();
        put(&mut keyspace, changed.as_bytes());
        assert_eq!(keyspace.is_unchanged(&view, 0), !conflicts, "{read} {changed}");
    }
}

#[test]
fn versions_do_not_pile_up_while_a_pin_stays() {
    let mut keyspace = Keyspace::new(1, 1 << 20);
    keyspace.put(0, b"hot", super::NewValue::Int(0), 0);
    keyspace.close_batch();
    let stays = keyspace.pin_here();
    let name = |number: u64| format!("key {number}").into_bytes();
    for turn in 0..20_000 {
        let pin = keyspace.pin_here();
        keyspace.put(0, b"hot", super::NewValue::Int(turn), 0);
        keyspace.put(0, &name(turn as u64 % 5000), super::NewValue::Int(turn), 0);
        keyspace.close_batch();
        keyspace.unpin(pin);
        if keyspace.wants_sweep() {
            keyspace.sweep_some();
        }
    }
    // One version of each key is the pin's; about as many may wait for the next sweep.
    let versions = keyspace.versions_bytes / 200;
    assert!(versions < 3 * 5000, "some {versions} versions");
    assert_eq!(keyspace.at(0, b"hot", stays).map(|entry| entry.value().len()), Some(1));
    keyspace.unpin(stays);
    assert_eq!(keyspace.versions_bytes, 0);
}
