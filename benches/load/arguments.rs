//! What the command line asks for.

use clap::Parser;

/// Measures Ringkeep against a real Redis or Valkey.
#[derive(Parser, Clone, Debug)]
pub struct Arguments {
    /// Pairs of runs (ours, theirs) per row.
    #[arg(long, default_value_t = 7)]
    pub pairs: usize,
    /// Seconds of each run, after its warm-up. Below 1 the CPU figures are coarse.
    #[arg(long, default_value_t = 2.0)]
    pub seconds: f64,
    /// Only rows whose name contains one of these.
    #[arg(long)]
    pub only: Vec<String>,
    /// Keys that the throughput rows draw from.
    #[arg(long, default_value_t = 100_000)]
    pub keys: usize,
    /// Runs of a fraction of a second on small data, to show that everything works. The default without `cargo bench`.
    #[arg(long)]
    pub quick: bool,
    /// Exit with 1 when a row is below its target.
    #[arg(long)]
    pub check: bool,
    /// The real server takes both sides: every ratio should then be close to 1. Shows how far to trust the rest.
    #[arg(long)]
    pub against_self: bool,
    /// Names the rows and ends.
    #[arg(long)]
    pub list: bool,
    /// What `cargo bench` passes; `cargo test` does not.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Arguments {
    /// Is this row asked for?
    pub fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| name.contains(part.as_str()))
    }

    /// Is it only to be shown that everything works?
    pub fn is_quick(&self) -> bool {
        self.quick || !self.bench
    }

    /// Pairs of runs per row.
    pub fn pairs(&self) -> usize {
        if self.is_quick() { 1 } else { self.pairs.max(1) }
    }

    /// Seconds of a run.
    pub fn seconds(&self) -> f64 {
        if self.is_quick() { 0.1 } else { self.seconds }
    }

    /// Seconds before a run counts.
    pub fn warmup_seconds(&self) -> f64 {
        if self.is_quick() { 0.02 } else { 0.3 }
    }

    /// `full`, or so much less that a quick run stays quick.
    pub fn scaled(&self, full: usize) -> usize {
        if self.is_quick() { (full / 100).max(1) } else { full }
    }

    /// Keys that the throughput rows draw from.
    pub fn keys(&self) -> usize {
        if self.is_quick() { self.keys.min(2_000) } else { self.keys }
    }
}
