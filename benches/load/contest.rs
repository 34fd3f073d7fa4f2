//! Two loads in turn, pair by pair.

use super::arguments::Arguments;
use super::generator::{Load, Outcome};
use super::machine::Ticks;
use super::report::{Figure, Report, Target, median};
use crate::common::{own_cpu_seconds, process_cpu_seconds};
use std::time::{Duration, Instant};

/// A load that used so much of its core may have been what held the server back.
const LIMIT_PERCENT: f64 = 97.0;
/// Other processes that use more than this disturb what is measured.
const OTHERS_PERCENT_MAX: f64 = 10.0;

/// How two sides are compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Metric {
    /// Operations per CPU-second of the server.
    PerCpuSecond,
    /// Operations per second.
    PerSecond,
}

/// One side: a load and the process it is for.
pub struct Side {
    /// Open connections.
    pub load: Load,
    /// The server.
    pub pid: u32,
}

/// What one run of one side gave.
#[derive(Clone, Debug)]
pub struct Run {
    /// Operations per second.
    pub per_second: f64,
    /// Operations per CPU-second of the server.
    pub per_cpu_second: f64,
    /// Share of its core that the load used, in percent.
    pub load_percent: f64,
    /// Share of its core that the server used, in percent.
    pub server_percent: f64,
    /// What other processes used meanwhile, in percent of one core.
    pub others_percent: f64,
    /// Latencies of the first group, in microseconds: p50, p99, p99.9.
    pub latency_us: [f64; 3],
}

impl Side {
    /// One run.
    ///
    /// # Errors
    /// What the load says.
    pub fn run(&mut self, arguments: &Arguments) -> Result<Run, String> {
        let pid = self.pid;
        let warmup = Duration::from_secs_f64(arguments.warmup_seconds());
        let measured = Duration::from_secs_f64(arguments.seconds());
        let (begin, ticks) = (Instant::now(), Ticks::now());
        let cpu_seconds = || process_cpu_seconds(pid) + own_cpu_seconds();
        let before = cpu_seconds();
        let outcome = self.load.run(warmup, measured, &move || process_cpu_seconds(pid))?;
        let others = ticks.busy_seconds_since() - (cpu_seconds() - before);
        Ok(Run::of(&outcome, 100.0 * others.max(0.0) / begin.elapsed().as_secs_f64()))
    }
}

impl Run {
    fn of(outcome: &Outcome, others_percent: f64) -> Run {
        let operations: u64 = outcome.groups.iter().map(|group| group.operations).sum();
        let latency = &outcome.groups[0].latency;
        Run {
            per_second: operations as f64 / outcome.seconds,
            per_cpu_second: operations as f64 / outcome.sampled,
            load_percent: 100.0 * outcome.load_cpu_seconds / outcome.seconds,
            server_percent: 100.0 * outcome.sampled / outcome.seconds,
            others_percent,
            latency_us: [0.5, 0.99, 0.999].map(|quantile| latency.value_at_quantile(quantile) as f64 / 1e3),
        }
    }

    fn value(&self, metric: Metric) -> f64 {
        match metric {
            Metric::PerCpuSecond => self.per_cpu_second,
            Metric::PerSecond => self.per_second,
        }
    }
}

/// Runs `ours` and `theirs` in turn and reports each metric's ratio.
///
/// # Errors
/// What a load says.
pub fn contest(
    row: &str,
    checks: &[(Metric, Target)],
    ours: &mut Side,
    theirs: &mut Side,
    arguments: &Arguments,
    report: &mut Report,
) -> Result<(), String> {
    let mut runs: Vec<(Run, Run)> = Vec::new();
    for pair in 0..arguments.pairs() {
        // Whoever comes second finds a warmer machine, so they take turns at that, too.
        if pair % 2 == 0 {
            let own = ours.run(arguments)?;
            runs.push((own, theirs.run(arguments)?));
        } else {
            let other = theirs.run(arguments)?;
            runs.push((ours.run(arguments)?, other));
        }
    }
    for &(metric, target) in checks {
        let values = runs.iter().map(|(own, other)| own.value(metric) / other.value(metric)).collect();
        let metric = match metric {
            Metric::PerCpuSecond => "/cpu-second",
            Metric::PerSecond => "/second",
        };
        let own: Vec<&Run> = runs.iter().map(|(own, _)| own).collect();
        let other: Vec<&Run> = runs.iter().map(|(_, other)| other).collect();
        let detail = format!("ours {}; theirs {}", describe(&own), describe(&other));
        report.add(Figure { row: row.to_owned(), metric, target, values, detail });
    }
    Ok(())
}

fn describe(runs: &[&Run]) -> String {
    let middle = |value: &dyn Fn(&Run) -> f64| median(&runs.iter().map(|run| value(run)).collect::<Vec<_>>());
    let load = middle(&|run| run.load_percent);
    let others = middle(&|run| run.others_percent);
    format!(
        "{:.1}k/s {:.1}k/cpu-s (cores: server {:.0}% load {load:.0}%{}{}; us {:.0}/{:.0}/{:.0})",
        middle(&|run| run.per_second) / 1e3,
        middle(&|run| run.per_cpu_second) / 1e3,
        middle(&|run| run.server_percent),
        if load > LIMIT_PERCENT { " THE LIMIT" } else { "" },
        if others > OTHERS_PERCENT_MAX { format!(", OTHER PROCESSES {others:.0}%") } else { String::new() },
        middle(&|run| run.latency_us[0]),
        middle(&|run| run.latency_us[1]),
        middle(&|run| run.latency_us[2]),
    )
}
