//! What scripts cost, and what long ones do to everybody else.

use super::Row;
use super::contest::{Metric, Side, contest};
use super::generator::{Group, Load};
use super::report::{Figure, Report, Target, median};
use super::requests::{RequestPool, Workload};
use super::scanner::Expected;
use super::servers::{Persistence, Servers};
use crate::common::{Server, process_cpu_seconds};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Sums, products and comparisons.
const ARITHMETIC: &str = "local a, b = 0, 1 for i = 1, 100000 do a = a + i * 3 b = b * 0.5 + a if a > 1000000 then a = a - 1000000 end \
     end return a";
/// A loop that does nothing with the keys.
const LOOP: &str = "local n = 0 for i = 1, tonumber(ARGV[1]) do n = n + i % 7 end return n";
/// The same, reading a key before it and writing it after.
const HOT: &str = "local c = redis.call('GET', KEYS[1]) or 0 local n = 0 for i = 1, tonumber(ARGV[1]) do n = n + i % 7 end \
     redis.call('SET', KEYS[1], c + 1) return 1";
/// Reads one key again and again.
const CALLS: &str = "local n = 0 for i = 1, tonumber(ARGV[1]) do n = n + #redis.call('GET', KEYS[1]) end return n";
const HOT_CLIENTS: usize = 64;

/// The rows of this file.
pub fn rows() -> Vec<Row> {
    vec![
        Row { name: "script of 1 against get", run: against_get },
        Row { name: "script of arithmetic", run: arithmetic },
        Row { name: "extra call of a script", run: extra_call },
        Row { name: "get beside long scripts", run: beside_long },
        Row { name: "scripts on one hot key", run: hot_key },
        Row { name: "idle vms", run: idle_vms },
    ]
}

fn integer() -> Expected {
    Expected { integer: true, ..Expected::default() }
}

fn load(server: &Server, script: &str) -> Result<String, String> {
    match server.client().command(&["SCRIPT", "LOAD", script]).bytes() {
        Some(digest) => Ok(String::from_utf8_lossy(digest).into_owned()),
        None => Err("SCRIPT LOAD gave no digest".to_owned()),
    }
}

fn side(server: &Server, connections: usize, pipeline: usize, pool: RequestPool) -> Result<Side, String> {
    let group = Group { port: server.port(), connections, pipeline, pool: Arc::new(pool) };
    Ok(Side { load: Load::connect(vec![group])?, pid: server.pid().expect("a started server") })
}

fn against_get(row: &Row, servers: &Servers, report: &mut Report) -> Result<(), String> {
    let pair = servers.pair(Persistence::None)?;
    let digest = load(&pair.ours, super::requests::ONE_GET)?;
    let pool = |workload, digest: &str| RequestPool::new(workload, digest, |random| random.below(pair.keys));
    let mut scripts = side(&pair.ours, 50, 16, pool(Workload::OneGet, &digest))?;
    let mut gets = side(&pair.ours, 50, 16, pool(Workload::Get, ""))?;
    let checks = [(Metric::PerCpuSecond, Target::AtLeast(0.45))];
    contest(row.name, &checks, &mut scripts, &mut gets, servers.arguments(), report)
}

fn arithmetic(row: &Row, servers: &Servers, report: &mut Report) -> Result<(), String> {
    let pair = servers.pair(Persistence::None)?;
    let pool = |server: &Server| -> Result<RequestPool, String> {
        let digest = load(server, ARITHMETIC)?;
        Ok(RequestPool::same(&["EVALSHA", &digest, "0"], integer()))
    };
    let mut ours = side(&pair.ours, 10, 1, pool(&pair.ours)?)?;
    let mut theirs = side(&pair.theirs, 10, 1, pool(&pair.theirs)?)?;
    let target = if servers.arguments().is_quick() { Target::Shown } else { Target::AtLeast(5.0) };
    contest(row.name, &[(Metric::PerCpuSecond, target)], &mut ours, &mut theirs, servers.arguments(), report)
}

/// What each call after the first few costs: the difference between a script of many and one of few.
fn extra_call(row: &Row, servers: &Servers, report: &mut Report) -> Result<(), String> {
    const FEW: usize = 10;
    const MANY: usize = 110;
    let pair = servers.pair(Persistence::None)?;
    let digest = load(&pair.ours, CALLS)?;
    let key = super::requests::key(1);
    let calls = |count: usize| RequestPool::same(&["EVALSHA", &digest, "1", &key, &count.to_string()], integer());
    let mut few = side(&pair.ours, 50, 16, calls(FEW))?;
    let mut many = side(&pair.ours, 50, 4, calls(MANY))?;
    let gets = RequestPool::new(Workload::Get, "", |_| 1);
    let mut gets = side(&pair.ours, 50, 16, gets)?;
    let (mut values, mut call_ns, mut get_ns) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..servers.arguments().pairs() {
        let ns = |run: super::contest::Run| 1e9 / run.per_cpu_second;
        let few = ns(few.run(servers.arguments())?);
        let many = ns(many.run(servers.arguments())?);
        let get = ns(gets.run(servers.arguments())?);
        let call = (many - few) / (MANY - FEW) as f64;
        values.push(call / get);
        call_ns.push(call);
        get_ns.push(get);
    }
    report.add(Figure {
        row: row.name.to_owned(),
        metric: "/GET",
        target: if servers.arguments().is_quick() { Target::Shown } else { Target::AtMost(0.4) },
        values,
        detail: format!("{:.0} ns of CPU each; a GET in a pipeline of 16 {:.0}", median(&call_ns), median(&get_ns)),
    });
    Ok(())
}

/// Steps of a script's loop that take so long.
fn steps_for(server: &Server, digest: &str, keys: &[&str], time: Duration) -> u64 {
    let mut client = server.client();
    let mut steps = 100_000u64;
    loop {
        let text = steps.to_string();
        let count = keys.len().to_string();
        let list: Vec<&str> =
            ["EVALSHA", digest, &count].into_iter().chain(keys.iter().copied()).chain([&*text]).collect();
        client.command(&list);
        let begun = Instant::now();
        client.command(&list);
        let took = begun.elapsed();
        if took > time / 4 {
            return (steps as f64 * time.as_secs_f64() / took.as_secs_f64()) as u64;
        }
        steps *= 3;
    }
}

fn beside_long(row: &Row, servers: &Servers, report: &mut Report) -> Result<(), String> {
    servers.release();
    let server = servers.ours(1)?;
    let keys = servers.arguments().keys();
    super::preload::fill(server.port(), keys, super::requests::VALUE_BYTES)?;
    let digest = load(&server, LOOP)?;
    let long = if servers.arguments().is_quick() { Duration::from_millis(50) } else { Duration::from_secs(1) };
    let steps = steps_for(&server, &digest, &[], long).to_string();
    let pool = RequestPool::new(Workload::Get, "", |random| random.below(keys));
    let mut gets = side(&server, 50, 1, pool)?;
    let (mut tails, mut shares, mut alone_us) = (Vec::new(), Vec::new(), Vec::new());
    let ended = AtomicU32::new(0);
    for _ in 0..servers.arguments().pairs() {
        let alone = gets.run(servers.arguments())?;
        let stop = AtomicBool::new(false);
        let beside = std::thread::scope(|scope| {
            let runner = scope.spawn(|| {
                let mut client = server.client();
                while !stop.load(Ordering::Relaxed) {
                    client.command(&["EVALSHA", &digest, "0", &steps]);
                    ended.fetch_add(1, Ordering::Relaxed);
                }
            });
            let run = gets.run(servers.arguments());
            stop.store(true, Ordering::Relaxed);
            runner.join().expect("the thread that runs scripts");
            run
        })?;
        tails.push(beside.latency_us[2] / 1e3);
        shares.push(beside.per_second / alone.per_second);
        alone_us.push(alone.latency_us[2]);
    }
    let is_quick = servers.arguments().is_quick();
    let words = format!(
        "GETs of 50 connections, {} scripts ended meanwhile; p99.9 alone {:.0} us",
        ended.load(Ordering::Relaxed),
        median(&alone_us)
    );
    for (metric, target, values) in
        [("p99.9 ms", Target::AtMost(3.0), tails), ("/second", Target::AtLeast(0.4), shares)]
    {
        let target = if is_quick { Target::Shown } else { target };
        report.add(Figure { row: row.name.to_owned(), metric, target, values, detail: words.clone() });
    }
    Ok(())
}

/// Scripts per second, and how many the slowest client finished per median client.
fn hot_run(server: &Server, servers: &Servers) -> Result<(f64, f64), String> {
    let digest = load(server, HOT)?;
    server.client().command(&["SET", "hot", "0"]);
    let steps = steps_for(server, &digest, &["hot"], Duration::from_millis(5)).to_string();
    let pool = Arc::new(RequestPool::same(&["EVALSHA", &digest, "1", "hot", &steps], integer()));
    let group = || Group { port: server.port(), connections: 1, pipeline: 1, pool: pool.clone() };
    let mut load = Load::connect((0..HOT_CLIENTS).map(|_| group()).collect())?;
    let pid = server.pid().expect("a started server");
    let arguments = servers.arguments();
    // Each client gets a turn about every third of a second: fairness needs some of them.
    let measured = Duration::from_secs_f64(arguments.seconds() * if arguments.is_quick() { 1.0 } else { 3.0 });
    let outcome =
        load.run(Duration::from_secs_f64(arguments.warmup_seconds()), measured, &|| process_cpu_seconds(pid))?;
    let mut counts: Vec<f64> = outcome.groups.iter().map(|group| group.operations as f64).collect();
    counts.sort_by(f64::total_cmp);
    Ok((counts.iter().sum::<f64>() / outcome.seconds, counts[0] / median(&counts).max(1.0)))
}

fn hot_key(row: &Row, servers: &Servers, report: &mut Report) -> Result<(), String> {
    let pair = servers.pair(Persistence::None)?;
    let (mut ratios, mut fairness, mut ours, mut theirs) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..servers.arguments().pairs() {
        let (own, fair) = hot_run(&pair.ours, servers)?;
        let (other, _) = hot_run(&pair.theirs, servers)?;
        ratios.push(own / other);
        fairness.push(fair);
        ours.push(own);
        theirs.push(other);
    }
    let is_quick = servers.arguments().is_quick();
    let detail = format!(
        "{HOT_CLIENTS} clients, scripts of 5 ms that read and write one key: ours {:.0}/s, theirs {:.0}/s",
        median(&ours),
        median(&theirs)
    );
    for (metric, target, values) in
        [("/second", Target::AtLeast(0.7), ratios), ("min/median", Target::AtLeast(0.2), fairness)]
    {
        let target = if is_quick { Target::Shown } else { target };
        report.add(Figure { row: row.name.to_owned(), metric, target, values, detail: detail.clone() });
    }
    Ok(())
}

fn idle_vms(row: &Row, servers: &Servers, report: &mut Report) -> Result<(), String> {
    servers.release();
    let server = servers.ours(1)?;
    let digest = load(&server, "local t = {} for i = 1, tonumber(ARGV[1]) do t[i % 50000] = {i} end return #t")?;
    let pool = RequestPool::same(&["EVALSHA", &digest, "0", "400000"], integer());
    // As many at once as there are VMs for, with memory in each.
    side(&server, 50, 1, pool)?.run(servers.arguments())?;
    std::thread::sleep(Duration::from_secs(2));
    let number = |field: &str| server.client().info(field).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    report.add(Figure {
        row: row.name.to_owned(),
        metric: "MiB/shard",
        target: Target::AtMost(4.0),
        values: vec![number("script_vm_bytes") / f64::from(1 << 20)],
        detail: format!("{} VMs two seconds after 50 clients ran scripts of some MiB", number("script_vms")),
    });
    Ok(())
}
