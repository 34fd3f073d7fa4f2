//! The rows of operations per second and per CPU-second, one shard against the real server.

use super::Row;
use super::contest::{Metric, Side, contest};
use super::generator::{Group, Load};
use super::report::{Report, Target};
use super::requests::{RequestPool, Workload};
use super::servers::{Persistence, Servers};
use crate::common::{Client, Server};
use std::sync::Arc;

struct Throughput {
    row: &'static str,
    workload: Workload,
    connections: usize,
    pipeline: usize,
    against: Persistence,
    checks: &'static [(Metric, Target)],
}

const fn row(
    row: &'static str,
    workload: Workload,
    connections: usize,
    pipeline: usize,
    against: Persistence,
    checks: &'static [(Metric, Target)],
) -> Throughput {
    Throughput { row, workload, connections, pipeline, against, checks }
}

use Metric::{PerCpuSecond, PerSecond};
use Persistence::{Always, None};
use Target::{AtLeast, Shown};

const ROWS: &[Throughput] = &[
    row("get", Workload::Get, 50, 1, None, &[(PerCpuSecond, AtLeast(0.95)), (PerSecond, Shown)]),
    row("get pipeline 16", Workload::Get, 50, 16, None, &[(PerCpuSecond, AtLeast(1.25)), (PerSecond, Shown)]),
    row("set", Workload::Set, 50, 1, None, &[(PerCpuSecond, AtLeast(0.55)), (PerSecond, Shown)]),
    row("set pipeline 16", Workload::Set, 50, 16, None, &[(PerCpuSecond, AtLeast(1.0)), (PerSecond, AtLeast(0.9))]),
    row(
        "script of 7 pipeline 16",
        Workload::SevenGets,
        50,
        16,
        None,
        &[(PerCpuSecond, AtLeast(1.7)), (PerSecond, Shown)],
    ),
    row("script of 7", Workload::SevenGets, 50, 1, None, &[(PerCpuSecond, AtLeast(1.2))]),
    row("script of 1 pipeline 16", Workload::OneGet, 50, 16, None, &[(PerCpuSecond, Shown)]),
    row("mget of 7 pipeline 16", Workload::Mget, 50, 16, None, &[(PerCpuSecond, Shown)]),
    row("mixed 1:9 pipeline 16", Workload::Mixed, 50, 16, None, &[(PerCpuSecond, Shown)]),
    row("incr pipeline 16", Workload::Incr, 50, 16, None, &[(PerCpuSecond, Shown)]),
    row("set durable", Workload::Set, 50, 1, Always, &[(PerSecond, AtLeast(1.0)), (PerCpuSecond, Shown)]),
    row("set durable 200", Workload::Set, 200, 1, Always, &[(PerSecond, AtLeast(0.9)), (PerCpuSecond, Shown)]),
    row("set durable pipeline 16", Workload::Set, 50, 16, Always, &[(PerSecond, AtLeast(2.0)), (PerCpuSecond, Shown)]),
];

/// The rows of this file.
pub fn rows() -> Vec<Row> {
    ROWS.iter().map(|throughput| Row { name: throughput.row, run }).collect()
}

fn run(row: &Row, servers: &Servers, report: &mut Report) -> Result<(), String> {
    let throughput = ROWS.iter().find(|throughput| throughput.row == row.name).expect("made from this table");
    let pair = servers.pair(throughput.against)?;
    let mut sides = [&pair.ours, &pair.theirs].map(|server| throughput.side(server, pair.keys));
    let [ours, theirs] = &mut sides;
    let (ours, theirs) =
        (ours.as_mut().map_err(|reason| reason.clone())?, theirs.as_mut().map_err(|reason| reason.clone())?);
    contest(throughput.row, throughput.checks, ours, theirs, servers.arguments(), report)
}

impl Throughput {
    fn side(&self, server: &Server, keys: usize) -> Result<Side, String> {
        let digest = match self.workload.script() {
            Some(script) => load_script(&mut server.client(), script)?,
            _ => String::new(),
        };
        let pool = RequestPool::new(self.workload, &digest, |random| random.below(keys));
        let group =
            Group { port: server.port(), connections: self.connections, pipeline: self.pipeline, pool: Arc::new(pool) };
        Ok(Side { load: Load::connect(vec![group])?, pid: server.pid().expect("a started server") })
    }
}

fn load_script(client: &mut Client, script: &str) -> Result<String, String> {
    let reply = client.command(&["SCRIPT", "LOAD", script]);
    match reply.bytes() {
        Some(digest) => Ok(String::from_utf8_lossy(digest).into_owned()),
        _ => Err(format!("SCRIPT LOAD: {reply:?}")),
    }
}
