//! What the slowest requests wait for: SET while a checkpoint is written, GET of hot keys while others read cold values.

use super::Row;
use super::generator::{Group, Load, Outcome};
use super::machine::{major_faults, make_cold};
use super::preload;
use super::report::{Figure, Report, Target, median};
use super::requests::{RequestPool, VALUE_BYTES, Workload};
use super::servers::Servers;
use crate::common::{Random, Server};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

const CONNECTIONS: usize = 50;
/// Keys that a checkpoint has to write.
const CHECKPOINT_KEYS: usize = 1_000_000;
/// Cold values: larger than what a server keeps beside the key, small enough that their bytes alone delay nobody.
const COLD_VALUE_BYTES: usize = 16 << 10;
const COLD_VALUES: usize = 32_768;
const COLD_CONNECTIONS: usize = 8;
const QUANTILE: f64 = 0.999;

/// The rows of this file.
pub fn rows() -> Vec<Row> {
    vec![Row { name: "tail of set at checkpoint", run: checkpoint }, Row { name: "tail of get beside cold", run: cold }]
}

fn group(server: &Server, connections: usize, pool: RequestPool) -> Group {
    Group { port: server.port(), connections, pipeline: 1, pool: Arc::new(pool) }
}

fn run_once(load: &mut Load, servers: &Servers) -> Result<Outcome, String> {
    let warmup = Duration::from_secs_f64(servers.arguments().warmup_seconds());
    load.run(warmup, Duration::from_secs_f64(servers.arguments().seconds()), &|| 0.0)
}

fn tail_us(outcome: &Outcome) -> f64 {
    outcome.groups[0].latency.value_at_quantile(QUANTILE) as f64 / 1e3
}

fn report_ratio(row: &Row, servers: &Servers, report: &mut Report, tails: &[(f64, f64)], words: &str) {
    let column = |side: fn(&(f64, f64)) -> f64| median(&tails.iter().map(side).collect::<Vec<_>>());
    report.add(Figure {
        row: row.name.to_owned(),
        metric: "p99.9",
        target: if servers.arguments().is_quick() { Target::Shown } else { Target::AtMost(3.0) },
        values: tails.iter().map(|(without, with)| with / without).collect(),
        detail: format!("{:.0} us without, {:.0} us with; {words}", column(|tail| tail.0), column(|tail| tail.1)),
    });
}

fn checkpoint(row: &Row, servers: &Servers, report: &mut Report) -> Result<(), String> {
    servers.release();
    let server = servers.ours(1)?;
    let keys = servers.arguments().scaled(CHECKPOINT_KEYS);
    preload::fill(server.port(), keys, VALUE_BYTES)?;
    let pool = RequestPool::new(Workload::Set, "", |random| random.below(keys));
    let mut load = Load::connect(vec![group(&server, CONNECTIONS, pool)])?;
    let mut tails = Vec::new();
    let ended = AtomicU32::new(0);
    for _ in 0..servers.arguments().pairs() {
        let without = tail_us(&run_once(&mut load, servers)?);
        let stop = AtomicBool::new(false);
        let with = std::thread::scope(|scope| {
            let keeper = scope.spawn(|| keep_checkpointing(&server, &stop, &ended));
            let outcome = run_once(&mut load, servers);
            stop.store(true, Ordering::Relaxed);
            keeper.join().expect("the thread that asks for checkpoints")?;
            outcome
        });
        tails.push((without, tail_us(&with?)));
    }
    let words = format!("{} checkpoints of {keys} keys ended meanwhile", ended.load(Ordering::Relaxed));
    if ended.load(Ordering::Relaxed) == 0 && !servers.arguments().is_quick() {
        return Err("INFO never showed a checkpoint under way: there was nothing to measure".to_owned());
    }
    report_ratio(row, servers, report, &tails, &words);
    Ok(())
}

/// One checkpoint after the other; each begins as soon as INFO says that the one before has ended. Counts those that INFO has
/// shown under way: what ends within a look was too short to be measured.
fn keep_checkpointing(server: &Server, stop: &AtomicBool, ended: &AtomicU32) -> Result<(), String> {
    let mut client = server.client();
    while !stop.load(Ordering::Relaxed) {
        if let Some(error) = client.run("BGSAVE SCHEDULE").error_text() {
            return Err(format!("BGSAVE: {error}"));
        }
        let mut seen = false;
        while client.info("rdb_bgsave_in_progress").as_deref() == Some("1") {
            seen = true;
            std::thread::sleep(Duration::from_millis(1));
        }
        ended.fetch_add(u32::from(seen), Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn cold(row: &Row, servers: &Servers, report: &mut Report) -> Result<(), String> {
    if servers.arguments().against_self {
        return Err("the reference has no shards whose values could be cold".to_owned());
    }
    servers.release();
    let mut server = servers.ours(1)?;
    let keys = servers.arguments().keys();
    preload::fill(server.port(), keys, VALUE_BYTES)?;
    let values = servers.arguments().scaled(COLD_VALUES);
    let name = |number: usize| format!("cold:{number:08}");
    preload::fill_named(server.port(), values, COLD_VALUE_BYTES, name)?;
    // What was just written may be kept in memory; after a restart it is only on disk.
    server.terminate();
    server.try_start()?;
    let pid = server.pid().expect("a started server");
    let mut random = Random::new(7);
    let mut tails = Vec::new();
    let (mut resident, mut cold_reads, mut faults) = (Vec::new(), 0, 0);
    for _ in 0..servers.arguments().pairs() {
        let hot = || RequestPool::new(Workload::Get, "", |random| random.below(keys));
        let without = run_once(&mut Load::connect(vec![group(&server, CONNECTIONS, hot())])?, servers)?;
        resident
            .push(100.0 * make_cold(server.data(), pid).map_err(|error| format!("cannot make files cold: {error}"))?);
        let names: Vec<String> = (0..values).map(|_| name(random.below(values))).collect();
        let others = group(&server, COLD_CONNECTIONS, RequestPool::gets(names.into_iter(), COLD_VALUE_BYTES));
        let before = major_faults(pid);
        let with = run_once(&mut Load::connect(vec![group(&server, CONNECTIONS, hot()), others])?, servers)?;
        faults += major_faults(pid) - before;
        cold_reads += with.groups[1].operations;
        tails.push((tail_us(&without), tail_us(&with)));
    }
    let words = format!(
        "{cold_reads} values of {COLD_VALUE_BYTES} bytes read meanwhile, {faults} major faults of the server's own threads, {:.0}% of the files in memory before",
        median(&resident)
    );
    report_ratio(row, servers, report, &tails, &words);
    Ok(())
}
