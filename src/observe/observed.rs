//! What one core keeps so that it can be looked at.

use crate::observe::calls::CallBook;
use crate::observe::latency::LatencyMonitor;
use crate::observe::rates::Rates;
use crate::observe::slowlog::SlowLog;
use hdrhistogram::Histogram;
use ringkeep_shards::port::ShardStats;
use std::time::Instant;

/// One core's observations.
pub struct Observed {
    /// Calls of commands.
    pub calls: CallBook,
    /// How fast things grow.
    pub rates: Rates,
    /// How long log writes take, in microseconds.
    pub log_writes_us: Histogram<u64>,
    /// Most bytes that counted as used when INFO looked.
    pub(super) peak_bytes: u64,
    /// Commands that took long.
    pub slow_log: SlowLog,
    /// Events that took long.
    pub latency: LatencyMonitor,
    /// The shards' numbers at CONFIG RESETSTAT, by their place on the core; shards never count backwards.
    pub(super) baselines: Vec<Baseline>,
    /// The last CONFIG SET that changed each setting here, so that all cores end up alike whatever order they hear of two in.
    pub(super) changes: Vec<(Vec<u8>, u64)>,
}

/// The longest log write that is told apart from longer ones, in microseconds.
const LOG_WRITE_US_MAX: u64 = 60_000_000;

impl Observed {
    /// Nothing yet. `origin` is that of the node's monotonic clocks.
    pub fn new(origin: Instant) -> Self {
        Observed {
            calls: CallBook::new(origin),
            rates: Rates::default(),
            log_writes_us: Histogram::new_with_bounds(1, LOG_WRITE_US_MAX, 2)
                .expect("bounds that a histogram can have"),
            peak_bytes: 0,
            slow_log: SlowLog::default(),
            latency: LatencyMonitor::default(),
            baselines: Vec::new(),
            changes: Vec::new(),
        }
    }

    /// CONFIG RESETSTAT: what is counted begins again. The slow log and LATENCY have commands of their own for that.
    pub(super) fn reset(&mut self) {
        self.calls.reset();
        self.rates = Rates::default();
        self.log_writes_us.reset();
        self.peak_bytes = 0;
    }

    /// A log write took so long.
    pub fn log_write(&mut self, us: u64) {
        self.log_writes_us.saturating_record(us.clamp(1, LOG_WRITE_US_MAX));
    }
}

/// Numbers of a shard that INFO counts from.
#[derive(Clone, Copy, Default)]
pub(super) struct Baseline {
    pub(super) stats: ShardStats,
    pub(super) expired_keys: u64,
}
