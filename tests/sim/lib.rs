//! A cluster of Ringkeep's cores in one process: the real shards, logs and groups, under a virtual clock, on disks and a network that
//! one seed breaks in every way it can think of.
//!
//! ```text
//! plan ─► world ─► node ─► shard (the real one)
//!           │       └────► disk: torn, lost, slow, full
//!           ├─────► network: lost, doubled, late, cut
//!           ├─────► clients ─► history ─► checks
//!           └─────► trace: a line and a hash of everything that happened
//! ```
//!
//! Nothing here asks a clock, a socket or a file: the same plan is the same run.

mod check;
mod client;
mod dice;
#[path = "../../shards/tests/voters/disk.rs"]
#[allow(dead_code, reason = "the core's own tests use the rest")]
mod disk;
mod fault;
mod history;
mod network;
mod node;
mod plan;
#[path = "../../shards/tests/voters/reply.rs"]
mod reply;
mod trace;
mod world;

pub use plan::{Broken, Faults, Plan};
pub use trace::Trace;
pub use world::{Report, World};

/// Runs a plan to its end.
///
/// # Errors
/// What promise was broken, in words.
pub fn run(plan: &Plan, trace: Trace) -> Result<Report, String> {
    #[cfg(feature = "sabotage")]
    ringkeep_shards::sabotage::plant(match plan.broken {
        Some(Broken::Core(sabotage)) => Some(sabotage),
        _ => None,
    });
    World::new(plan, trace).run()
}
