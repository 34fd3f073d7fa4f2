//! Two shards against one, both on the servers' one core, with clients on the shards' own ports.

use super::Row;
use super::contest::{Metric, Side, contest};
use super::generator::{Group, Load};
use super::report::{Report, Target};
use super::requests::{RequestPool, VALUE_BYTES, Workload, key};
use super::servers::Servers;
use crate::common::{Client, Reply, Server};
use redis_protocol::redis_keyslot;
use std::sync::Arc;

const CONNECTIONS: usize = 50;

/// The rows of this file.
pub fn rows() -> Vec<Row> {
    ["two shards get", "two shards set", "two shards get pipeline 16", "two shards set pipeline 16"]
        .map(|name| Row { name, run })
        .into()
}

fn run(row: &Row, servers: &Servers, report: &mut Report) -> Result<(), String> {
    let workload = if row.name.contains("set") { Workload::Set } else { Workload::Get };
    let pipeline = if row.name.ends_with("16") { 16 } else { 1 };
    let target = match (workload, pipeline) {
        (Workload::Get, 1) => Target::AtLeast(0.9),
        (_, 1) => Target::AtLeast(0.7),
        _ => Target::Shown,
    };
    servers.release();
    let keys = servers.arguments().keys();
    let (one, two) = (servers.ours(1)?, servers.ours(2)?);
    for server in [&one, &two] {
        super::preload::fill(server.port(), keys, VALUE_BYTES)?;
    }
    let (mut one, mut two) = (side(&one, 1, workload, pipeline, keys)?, side(&two, 2, workload, pipeline, keys)?);
    let checks = [(Metric::PerCpuSecond, target), (Metric::PerSecond, Target::Shown)];
    contest(row.name, &checks, &mut two, &mut one, servers.arguments(), report)
}

/// Connections on every shard's port, each asking only for keys that live there.
fn side(server: &Server, shards: u16, workload: Workload, pipeline: usize, keys: usize) -> Result<Side, String> {
    let slots = slot_ports(server)?;
    let groups = (0..shards).map(|shard| {
        let port = server.shard_port(shard);
        let own: Vec<usize> = (0..keys).filter(|&number| slots[slot(number)] == port).collect();
        if own.is_empty() {
            return Err(format!("no key lives on port {port}"));
        }
        let pool = RequestPool::new(workload, "", |random| own[random.below(own.len())]);
        Ok(Group { port, connections: CONNECTIONS / usize::from(shards), pipeline, pool: Arc::new(pool) })
    });
    let groups = groups.collect::<Result<Vec<_>, _>>()?;
    Ok(Side { load: Load::connect(groups)?, pid: server.pid().expect("a started server") })
}

fn slot(number: usize) -> usize {
    usize::from(redis_keyslot(key(number).as_bytes()))
}

/// The port of each slot, as a cluster client learns it.
fn slot_ports(server: &Server) -> Result<Vec<u16>, String> {
    let port = server.shard_port(0);
    let mut client = Client::try_connect(port).map_err(|error| format!("shard port {port}: {error}"))?;
    let reply = client.run("CLUSTER SLOTS");
    let mut ports = vec![0; 16_384];
    let Reply::Array(ranges) = &reply else {
        return Err(format!("CLUSTER SLOTS: {reply:?}"));
    };
    for range in ranges {
        let [first, last, node, ..] = range.elements() else {
            return Err(format!("CLUSTER SLOTS: {range:?}"));
        };
        let port = node.elements()[1].integer() as u16;
        ports[first.integer() as usize..=last.integer() as usize].fill(port);
    }
    Ok(ports)
}
