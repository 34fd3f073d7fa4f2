//! Ringkeep against a real Redis, reply by reply.
//!
//! Each family of commands has a table of edge cases and a generator of random commands. Both go to both servers, in RESP2 and in
//! RESP3, and each reply must be the same, byte by byte; `normalise` lists the exceptions with their reasons. A random sequence
//! that differs is made as short as it can be before it is shown.
//!
//! `RINGKEEP_ORACLE_SEQUENCES` sets how many random sequences each family runs, `RINGKEEP_ORACLE_SEED` repeats one run;
//! `RINGKEEP_ORACLE_SELF=1` puts a second real Redis in Ringkeep's place, which shows that what differs is not the harness.

#[path = "../common/mod.rs"]
mod common;

mod bits;
mod connection;
mod conversions;
mod errors;
mod expiry;
mod functions;
mod generate;
mod keys;
mod minimise;
mod normalise;
mod pair;
mod recipes;
mod scan;
mod scripts;
mod step;
mod strings;
mod transactions;

use common::{Random, number_from_environment};
use pair::Pair;
use step::{Step, parse_groups};

/// Random sequences of each family, unless the environment says otherwise.
const SEQUENCES: u64 = 60;
/// Steps of a random sequence, at most.
const STEPS_MAX: usize = 40;
/// Of so many steps in a family's sequence one comes from another family.
const STRANGER_ONE_IN: usize = 6;
/// So many differences of one table are shown.
const SHOWN_MAX: usize = 60;

/// A family of commands: what is asked of it.
struct Family {
    name: &'static str,
    /// Groups of requests, as `step::parse_groups` reads them.
    edges: &'static str,
    /// Adds one or a few random steps.
    generate: fn(&mut Random, &mut Vec<Step>),
}

const FAMILIES: [Family; 11] = [
    Family { name: "strings", edges: strings::EDGES, generate: strings::generate },
    Family { name: "bits", edges: bits::EDGES, generate: bits::generate },
    Family { name: "keys", edges: keys::EDGES, generate: keys::generate },
    Family { name: "expiry", edges: expiry::EDGES, generate: expiry::generate },
    Family { name: "scan", edges: scan::EDGES, generate: scan::generate },
    Family { name: "connection", edges: connection::EDGES, generate: connection::generate },
    Family { name: "transactions", edges: transactions::EDGES, generate: transactions::generate },
    Family { name: "scripts", edges: scripts::EDGES, generate: scripts::generate },
    Family { name: "conversions", edges: conversions::EDGES, generate: conversions::generate },
    Family { name: "recipes", edges: recipes::EDGES, generate: recipes::generate },
    Family { name: "functions", edges: functions::EDGES, generate: functions::generate },
];

fn family(name: &str) -> &'static Family {
    FAMILIES.iter().find(|family| family.name == name).expect("a family of the table")
}

/// The whole table of a family, in both protocols; all that differs is shown at once.
fn check_edges(name: &str) {
    let Some(mut pair) = Pair::start() else {
        return;
    };
    let mut differences = Vec::new();
    let mut asked = 0;
    for protocol in [2, 3] {
        for group in parse_groups(family(name).edges) {
            asked += group.len();
            for difference in pair.run(protocol, &group) {
                let request = &group[difference.step];
                differences.push(format!("RESP{protocol}  {request}\n{difference}"));
            }
        }
    }
    assert!(asked > 0, "an empty table");
    let shown: Vec<&str> = differences.iter().take(SHOWN_MAX).map(String::as_str).collect();
    assert!(
        differences.is_empty(),
        "{} of {asked} replies differ in {name}; the first {}:\n{}",
        differences.len(),
        shown.len(),
        shown.join("\n")
    );
}

/// Random sequences of a family, with some of the others' commands among them.
fn check_random(name: &str) {
    let Some(mut pair) = Pair::start() else {
        return;
    };
    let sequences = number_from_environment("RINGKEEP_ORACLE_SEQUENCES", SEQUENCES);
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock past 1970");
    let first_seed = number_from_environment("RINGKEEP_ORACLE_SEED", clock.as_nanos() as u64);
    for seed in first_seed..first_seed + sequences {
        let steps = random_sequence(name, seed);
        let protocol = if seed % 2 == 0 { 2 } else { 3 };
        if pair.run(protocol, &steps).is_empty() {
            continue;
        }
        let (shortest, differences) = minimise::shortest(&mut pair, protocol, steps);
        let Some(difference) = differences.first() else {
            panic!(
                "{name}: RINGKEEP_ORACLE_SEED={seed} differed once and not again: it depends on time or on what was before"
            );
        };
        let listing: Vec<String> = shortest.iter().map(|step| format!("    {step}")).collect();
        panic!(
            "{name}: replies differ. RINGKEEP_ORACLE_SEED={seed} RINGKEEP_ORACLE_SEQUENCES=1, RESP{protocol}, shortest:\n{}\nat: {}\n{difference}",
            listing.join("\n"),
            shortest[difference.step],
        );
    }
}

fn random_sequence(name: &str, seed: u64) -> Vec<Step> {
    let mut random = Random::new(seed);
    let length = 1 + random.below(STEPS_MAX);
    let mut steps = Vec::new();
    while steps.len() < length {
        let family = match random.one_in(STRANGER_ONE_IN) {
            true => &FAMILIES[random.below(FAMILIES.len())],
            false => family(name),
        };
        let from = steps.len();
        (family.generate)(&mut random, &mut steps);
        for step in &mut steps[from..] {
            generate::damage(&mut random, step);
        }
    }
    steps
}

macro_rules! families {
    ($($edges:ident $random:ident $name:literal;)*) => {$(
        #[test]
        fn $edges() {
            check_edges($name);
        }

        #[test]
        fn $random() {
            check_random($name);
        }
    )*};
}

families! {
    edges_of_strings random_strings "strings";
    edges_of_bits random_bits "bits";
    edges_of_keys random_keys "keys";
    edges_of_expiry random_expiry "expiry";
    edges_of_scan random_scan "scan";
    edges_of_connection random_connection "connection";
    edges_of_transactions random_transactions "transactions";
    edges_of_scripts random_scripts "scripts";
    edges_of_conversions random_conversions "conversions";
    edges_of_recipes random_recipes "recipes";
    edges_of_functions random_functions "functions";
}

/// The oracle must be able to fail: a sequence that differs is found, and nothing but what makes it differ is left of it.
#[test]
fn a_difference_is_found_and_made_short() {
    let Some(mut pair) = Pair::start_self() else {
        return;
    };
    let text = "SET a 1\nINCR a\nSET b 2\nGET b\nCONFIG GET port\nDEL a";
    let steps = parse_groups(text).remove(0);
    let differences = pair.run(2, &steps);
    assert_eq!(differences.len(), 1, "two servers differ in their ports: {differences:?}");
    assert_eq!(differences[0].step, 4);
    let (shortest, differences) = minimise::shortest(&mut pair, 2, steps);
    assert_eq!(shortest.len(), 1, "only the request that differs is left: {shortest:?}");
    assert_eq!(differences[0].step, 0);
}
