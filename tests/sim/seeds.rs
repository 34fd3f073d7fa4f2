//! The default mix, over some seeds.

use simulator::{Faults, Plan, Trace, run};

/// `RINGKEEP_SIM_SEEDS=from..to` runs others.
fn seeds() -> std::ops::Range<u64> {
    let Ok(text) = std::env::var("RINGKEEP_SIM_SEEDS") else { return 0..200 };
    let bounds = text.split_once("..").and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    bounds.unwrap_or_else(|| panic!("RINGKEEP_SIM_SEEDS is from..to, not {text}"))
}

fn short(seed: u64) -> Plan {
    Plan { load_ms: 4000, ..Plan::of(seed) }
}

#[test]
fn no_promise_is_broken() {
    let (mut replied, mut lost, mut torn) = (0, 0, 0);
    for seed in seeds() {
        let report = run(&short(seed), Trace::silent()).unwrap_or_else(|wrong| {
            panic!("seed {seed} fails: {wrong}\ncargo run --release -p simulator -- --load-ms 4000 --seed {seed} --trace tells its story")
        });
        replied += report.replied;
        lost += report.lost;
        torn += report.torn;
    }
    let runs = seeds().count() as u64;
    assert!(
        replied > 100 * runs && lost > runs && torn > runs / 4,
        "{replied} answered, {lost} lost, {torn} torn in {runs} runs"
    );
}

#[test]
fn groups_of_one_and_five_keep_them_too() {
    for seed in 0..20 {
        for nodes in [1, 5] {
            let plan = Plan { nodes, ..short(seed) };
            run(&plan, Trace::silent()).unwrap_or_else(|wrong| panic!("seed {seed}, {nodes} nodes: {wrong}"));
        }
    }
}

#[test]
fn without_faults_every_request_is_answered() {
    for seed in 0..10 {
        let plan = Plan { faults: Faults::NONE, ..short(seed) };
        let report = run(&plan, Trace::silent()).unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
        assert_eq!((report.lost, report.crashes), (0, 0), "seed {seed}");
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in 0..5 {
        let hash = || run(&short(seed), Trace::silent()).expect("it runs").hash;
        assert_eq!(hash(), hash(), "seed {seed}");
    }
}
