//! The live process killed at random moments, and its files damaged: no acknowledged write is lost, no half of one is seen, and
//! corruption is told from a torn tail.
//!
//! `RINGKEEP_CRASH_ROUNDS` kills more often; `RINGKEEP_CRASH_SECONDS` gives the tests of damaged files more time, 0 as much as they
//! want; `RINGKEEP_CRASH_SEED` repeats a run's choices (not its timing). `RINGKEEP_CRASH_SELF=1` kills a real Redis with
//! `appendfsync always` instead: it loses nothing either, so what is lost is not the harness's doing.

#[path = "../common/mod.rs"]
mod common;

mod damage;
mod files;
mod full_disk;
mod functions;
mod kill;
mod ledger;
mod writer;

use common::{ServerOptions, number_from_environment, reference_binary};

/// The seed of this run's choices: printed, so that it can be repeated.
fn seed() -> u64 {
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock past 1970");
    let seed = number_from_environment("RINGKEEP_CRASH_SEED", clock.as_nanos() as u64);
    println!("RINGKEEP_CRASH_SEED={seed}");
    seed
}

/// The server that is killed: Ringkeep, unless a real server takes its place.
fn subject(shards: u32) -> ServerOptions {
    if std::env::var_os("RINGKEEP_CRASH_SELF").is_none() {
        return ServerOptions::ringkeep().shards(shards);
    }
    let binary = reference_binary().expect("a real server for RINGKEEP_CRASH_SELF");
    ServerOptions::reference(&binary).setting("appendonly", "yes").setting("appendfsync", "always")
}
