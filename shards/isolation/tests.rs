//! `RINGKEEP_ISOLATION_SEEDS=from..to` chooses other seeds.

use super::program::Taste;
use super::replies::{Catcher, Reply};
use super::world::{Plan, Tally, World, Wrong};
use crate::checkpoint_tests::{Disk, Machine};
use crate::command::find;
use crate::dice::{Dice, seeds};
use crate::ids::ContextId;
use crate::port::{ExecItem, Input, Outcome, WatchedKey};
use crate::reply::Protocol;
use crate::sabotage::{Sabotage, plant};
use crate::script::Interrupt;

fn run(seed: u64, change: impl FnOnce(&mut Plan)) -> Result<Tally, Wrong> {
    let mut dice = Dice::new(seed);
    let mut plan = Plan::of(&mut dice);
    change(&mut plan);
    World::new(dice, plan).run().map_err(|wrong| format!("{wrong}\n{plan:?}"))
}

#[test]
fn every_reply_is_one_of_a_serial_order() {
    let mut sum = Tally::default();
    let seeds = seeds("RINGKEEP_ISOLATION_SEEDS", 0..150);
    let count = seeds.end - seeds.start;
    for seed in seeds {
        let result = std::panic::catch_unwind(|| run(seed, |_| {}));
        match result {
            Ok(Ok(tally)) => {
                sum.done += tally.done;
                sum.aside += tally.aside;
                sum.nil += tally.nil;
                sum.raised += tally.raised;
                sum.killed += tally.killed;
                sum.conflicts += tally.conflicts;
                sum.cold += tally.cold;
                sum.commits += tally.commits;
                sum.reruns_max = sum.reruns_max.max(tally.reruns_max);
            }
            Ok(Err(wrong)) => panic!("seed {seed}: {wrong}"),
            Err(_) => panic!("seed {seed} panicked"),
        }
    }
    println!("{sum:?}");
    // All that is to be tested happens.
    if count >= 100 {
        for number in [sum.nil, sum.raised, sum.killed, sum.conflicts as usize, sum.cold, sum.commits] {
            assert!(number > 20, "{sum:?}");
        }
    }
}

/// Gives an EXEC, for the first time or again; its reply, or the context that was made of it.
fn exec(
    machine: &mut Machine,
    words: &[&[&str]],
    watches: &[WatchedKey],
    reply: &mut Catcher,
    context: Option<ContextId>,
) -> Option<ContextId> {
    let item = |words: &&[&str]| ExecItem::Run {
        command: find(words[0].as_bytes()).expect("a command"),
        db: 0,
        protocol: Protocol::Resp2,
        arguments: words.iter().map(|word| word.as_bytes().to_vec()).collect(),
    };
    let items: Vec<ExecItem> = words.iter().map(item).collect();
    match machine.step(Input::Exec { items: &items, watches, reply, done: &mut || {}, context }) {
        Outcome::Done(_) => None,
        Outcome::Aside(aside) => {
            if aside.restarts {
                *reply = Catcher::default();
            }
            Some(aside.context)
        }
        other => panic!("{other:?}"),
    }
}

/// The watch was looked at when EXEC began, and never again: what wrote the watched key after having read what EXEC was about to write
/// came before it and after it.
#[test]
fn a_watched_key_that_is_changed_while_exec_is_set_aside_makes_it_nil() {
    let mut config = Machine::config();
    config.interrupt = Interrupt::counting(15);
    let mut machine = Machine::start_with(Disk::default(), 1_000_000, config);
    machine.step(Input::Watch { db: 0, keys: &[b"watched"] });
    let watches = std::mem::take(&mut machine.outputs.watched);
    let words: &[&[&str]] =
        &[&["set", "other", "1"], &["set", "other", "2"], &["set", "other", "3"], &["get", "other"]];
    let mut reply = Catcher::default();
    let mut context = exec(&mut machine, words, &watches, &mut reply, None);
    assert!(context.is_some(), "it outlives its slice");
    assert_eq!(machine.command(&["get", "other"]), "nil");
    machine.command(&["set", "watched", "changed"]);
    while context.is_some() {
        assert_eq!(machine.shard.next_turn().map(|(id, _)| id), context);
        context = exec(&mut machine, words, &watches, &mut reply, context);
    }
    assert_eq!(reply.finish(), Reply::NilArray);
    assert_eq!(machine.command(&["get", "other"]), "nil");
}

/// Long scripts among many short writers of the same keys.
fn contended(plan: &mut Plan) {
    plan.taste = Taste { keys: 2, write_percent: 80, spin_max: 150, steps_max: 6, large: false, ..plan.taste };
    plan.taste.flush_percent = 0;
    plan.taste.expiry_percent = 0;
    (plan.clients, plan.transactions) = (5, 200);
    (plan.instructions, plan.vms_max, plan.kill_percent, plan.cools) = (60, 6, 0, false);
}

/// EXECs that outlive their slice, most of them after a WATCH.
fn watchful(plan: &mut Plan) {
    contended(plan);
    plan.taste = Taste { keys: 5, write_percent: 60, spin_max: 50, steps_max: 3, ..plan.taste };
    (plan.instructions, plan.watch_percent) = (20, 60);
}

/// Runs in vain, at most, where nothing is cold and VMs are not short.
const RERUNS_MAX: u32 = crate::limits::CONTEXT_RERUNS_BEFORE_SHARD_LOCK + 2;

fn contended_run(seed: u64) -> Result<Tally, Wrong> {
    let tally = run(seed, contended)?;
    if tally.reruns_max > RERUNS_MAX {
        return Err(format!("{} runs in vain", tally.reruns_max));
    }
    Ok(tally)
}

#[test]
fn who_runs_in_vain_too_often_locks_and_comes_through() {
    let mut locked = 0;
    for seed in 0..6 {
        let tally = contended_run(seed).unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
        locked += u32::from(tally.reruns_max > crate::limits::CONTEXT_RERUNS_BEFORE_KEY_LOCKS);
    }
    assert!(locked > 1, "{locked} of the seeds had locks");
}

/// Finds what is done wrong in the core, from what clients see of it.
fn finds(sabotage: Sabotage) {
    const SEEDS: u64 = 200;
    plant(Some(sabotage));
    let silent = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let found = (0..SEEDS).find(|&seed| {
        let run = || {
            match sabotage {
                Sabotage::LocksIgnored => return contended_run(seed),
                Sabotage::WatchesEndWithTheFirstSlice => return run(seed, watchful),
                _ => {}
            }
            run(seed, |plan| plan.looks_inside = false)
        };
        !matches!(std::panic::catch_unwind(run), Ok(Ok(_)))
    });
    std::panic::set_hook(silent);
    plant(None);
    assert!(found.is_some(), "{sabotage:?} is not found in {SEEDS} seeds");
    println!("{sabotage:?}: seed {found:?}");
}

macro_rules! finds {
    ($($name:ident: $sabotage:ident;)*) => {$(
        #[test]
        fn $name() {
            finds(Sabotage::$sabotage);
        }
    )*};
}

finds! {
    contexts_that_are_not_validated_are_found: NoValidation;
    absent_keys_that_are_not_validated_are_found: AbsentNotValidated;
    databases_that_are_not_validated_are_found: DatabasesNotValidated;
    reads_that_are_not_noted_are_found: ReadsNotNoted;
    write_sets_that_others_see_are_found: WriteSetSeen;
    what_a_raising_script_leaves_is_found: RaisedNotUndone;
    what_is_left_of_a_run_that_is_set_aside_is_found: AsideNotUndone;
    what_a_raising_script_of_exec_leaves_is_found: InnerNotUndone;
    locks_that_are_ignored_are_found: LocksIgnored;
    snapshots_that_read_the_tip_are_found: SnapshotReadsTip;
    versions_that_are_not_kept_are_found: NoVersions;
    watches_that_end_too_early_are_found: WatchesEndWithTheFirstSlice;
    gates_that_open_too_early_are_found: PinnedGateOpen;
    commits_that_are_not_logged_are_found: CommitNotLogged;
    own_writes_that_are_not_seen_are_found: OwnWritesUnseen;
}
