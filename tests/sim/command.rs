//! Runs seeds until one fails, or tells the story of one.

use clap::Parser;
use simulator::{Faults, Plan, Report, Trace, run};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

/// A cluster of Ringkeep's cores in one process, with virtual time and every kind of fault.
#[derive(Parser)]
struct Options {
    /// How many seeds to run.
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// How many run at a time.
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    /// One seed alone.
    #[arg(long)]
    seed: Option<u64>,
    /// Prints a line for each event of that seed.
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Members of each group: 1, 3 or 5.
    #[arg(long)]
    nodes: Option<u64>,
    /// Shards of each node; the seed decides without this.
    #[arg(long)]
    shards: Option<u16>,
    /// Virtual milliseconds of load.
    #[arg(long)]
    load_ms: Option<u64>,
    /// Faults that may come: network, disk, process, clock, with commas between; all; none.
    #[arg(long, value_parser = Faults::parse)]
    faults: Option<Faults>,
}

impl Options {
    fn plan(&self, seed: u64) -> Plan {
        let mut plan = Plan::of(seed);
        plan.nodes = self.nodes.unwrap_or(plan.nodes);
        plan.shards = self.shards.unwrap_or(plan.shards);
        plan.load_ms = self.load_ms.unwrap_or(plan.load_ms);
        plan.faults = self.faults.unwrap_or(plan.faults);
        plan
    }
}

/// A panic of the core is a broken promise like any other.
fn run_one(plan: &Plan, trace: Trace) -> Result<Report, String> {
    catch_unwind(AssertUnwindSafe(|| run(plan, trace))).unwrap_or_else(|_| Err("it panicked, see above".to_owned()))
}

fn main() -> ExitCode {
    let options = Options::parse();
    if let Some(seed) = options.seed {
        let trace = if options.trace { Trace::told(|line| println!("{line}")) } else { Trace::silent() };
        return match run_one(&options.plan(seed), trace) {
            Ok(report) => {
                println!("seed {seed}: {report:?}");
                ExitCode::SUCCESS
            }
            Err(wrong) => {
                println!("seed {seed} fails: {wrong}");
                ExitCode::FAILURE
            }
        };
    }
    let (next, failed) = (AtomicU64::new(0), AtomicBool::new(false));
    let sums = Mutex::new((0_u64, Report::default()));
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..options.jobs.max(1) {
            scope.spawn(|| {
                while !failed.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= options.seeds {
                        return;
                    }
                    let seed = options.from + number;
                    match run_one(&options.plan(seed), Trace::silent()) {
                        Ok(report) => add(&mut sums.lock().expect("nobody panics with it"), &report, &began),
                        Err(wrong) => {
                            failed.store(true, Ordering::Relaxed);
                            println!("seed {seed} fails: {wrong}\n--seed {seed} --trace tells its story");
                        }
                    }
                }
            });
        }
    });
    let (seeds, sum) = *sums.lock().expect("all have ended");
    println!("{seeds} seeds are fine: {}", line(&sum, seeds, began.elapsed().as_secs_f64()));
    if failed.into_inner() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn add((seeds, sum): &mut (u64, Report), one: &Report, began: &Instant) {
    *seeds += 1;
    sum.virtual_us += one.virtual_us;
    sum.events += one.events;
    sum.requests += one.requests;
    sum.replied += one.replied;
    sum.lost += one.lost;
    sum.crashes += one.crashes;
    sum.torn += one.torn;
    sum.snapshots += one.snapshots;
    sum.reruns += one.reruns;
    sum.checkpoints += one.checkpoints;
    if *seeds % 100 == 0 {
        println!("{seeds}: {}", line(sum, *seeds, began.elapsed().as_secs_f64()));
    }
}

fn line(sum: &Report, seeds: u64, seconds: f64) -> String {
    format!(
        "{:.0} virtual seconds per second, {:.0} seeds per minute; {} requests, {} answered, {} lost; {} crashes, {} torn writes, {} snapshots, \
         {} checkpoints, {} scripts ran again",
        sum.virtual_us as f64 / 1e6 / seconds,
        seeds as f64 * 60.0 / seconds,
        sum.requests,
        sum.replied,
        sum.lost,
        sum.crashes,
        sum.torn,
        sum.snapshots,
        sum.checkpoints,
        sum.reruns
    )
}
