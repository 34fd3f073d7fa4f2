//! What is simulated.

use crate::dice::Dice;

/// Which kinds of faults may come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Faults {
    /// Messages lost, doubled, delayed, reordered; links and nodes cut off.
    pub network: bool,
    /// Log writes torn and lost by crashes, slow disks, no space.
    pub disk: bool,
    /// Crashes, restarts, freezes.
    pub process: bool,
    /// Clocks that jump and drift.
    pub clock: bool,
}

impl Faults {
    /// All of them.
    pub const ALL: Faults = Faults { network: true, disk: true, process: true, clock: true };
    /// None.
    pub const NONE: Faults = Faults { network: false, disk: false, process: false, clock: false };

    /// Reads names with commas between: `network,disk,process,clock`, `all`, `none`.
    ///
    /// # Errors
    /// The name that there is not.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut faults = Faults::NONE;
        for name in text.split(',') {
            match name {
                "all" => faults = Faults::ALL,
                "none" => {}
                "network" => faults.network = true,
                "disk" => faults.disk = true,
                "process" => faults.process = true,
                "clock" => faults.clock = true,
                _ => {
                    return Err(format!("there are no faults called {name}: network, disk, process, clock, all, none"));
                }
            }
        }
        Ok(faults)
    }
}

/// A promise that is broken on purpose.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Broken {
    /// In the core.
    #[cfg(feature = "sabotage")]
    Core(ringkeep_shards::sabotage::Sabotage),
    /// Replies leave before their gates open.
    RepliesBeforeGates,
    /// Reads that a lost term leaves without a confirmation are answered all the same.
    LostReadsAnswered,
    /// Writes that a lost term may have undone are acknowledged.
    LostWritesAcknowledged,
    /// A write that is told durable is gone after a crash if it was the last.
    WritesNotDurable,
    /// A crash brings back the disk as it was when the node started: votes and entries are forgotten.
    DiskGoesBack,
}

/// A run. The seed decides what the plan leaves open.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// What decides everything else.
    pub seed: u64,
    /// Members of each group: 1, 3 or 5.
    pub nodes: u64,
    /// Shards of each node.
    pub shards: u16,
    /// Clients, each with one request, or one pipeline, at a time.
    pub clients: u64,
    /// How long they go on, in virtual milliseconds.
    pub load_ms: u64,
    /// What may go wrong.
    pub faults: Faults,
    /// What is done wrong.
    pub broken: Option<Broken>,
}

impl Plan {
    /// The default mix: sizes by the seed.
    pub fn of(seed: u64) -> Self {
        let mut dice = Dice::new(seed ^ 0x706c_616e);
        Plan {
            seed,
            nodes: 3,
            shards: dice.within(1..3) as u16,
            clients: dice.within(3..9),
            load_ms: 10_000,
            faults: Faults::ALL,
            broken: None,
        }
    }
}
