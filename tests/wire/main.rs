//! The real binary over TCP: the protocol to the byte, limits, passwords, starting and stopping.
//!
//! `RINGKEEP_WIRE_SELF=1` runs what a real Redis must answer too against an installed one: it shows that a test asks for what
//! Redis does, not for what its author thought.

#[path = "../common/mod.rs"]
mod common;

mod authentication;
mod clients;
mod functions;
mod lifecycle;
mod limits;
mod monitor;
mod moving;
mod protocol;
mod shard_ports;
mod shards;
mod slicing;
mod statistics;
mod stopping;

use common::{ServerOptions, reference_binary};

/// The server under test: Ringkeep, unless a real server takes its place.
fn subject() -> ServerOptions {
    match std::env::var_os("RINGKEEP_WIRE_SELF") {
        Some(_) => ServerOptions::reference(&reference_binary().expect("a real server for RINGKEEP_WIRE_SELF")),
        None => ServerOptions::ringkeep(),
    }
}

/// Is a real server in Ringkeep's place? Tests of what only Ringkeep promises then say so and end.
fn is_reference() -> bool {
    let yes = std::env::var_os("RINGKEEP_WIRE_SELF").is_some();
    if yes {
        eprintln!("skipped: a real server does not promise this");
    }
    yes
}
