//! What a small key costs in memory.

use super::Row;
use super::report::{Figure, Report, Target};
use super::requests::VALUE_BYTES;
use super::servers::{Persistence, Servers};
use crate::common::{Server, status_bytes};
use std::time::Duration;

const KEYS: usize = 1_000_000;

/// The rows of this file.
pub fn rows() -> Vec<Row> {
    vec![Row { name: "memory per key", run }]
}

fn run(row: &Row, servers: &Servers, report: &mut Report) -> Result<(), String> {
    servers.release();
    let keys = servers.arguments().scaled(KEYS);
    // Fresh servers: memory that earlier rows left behind is not this row's.
    let ours = measure(&servers.ours(1)?, keys)?;
    let theirs = measure(&servers.theirs(Persistence::None)?, keys)?;
    let per_key = |(empty, full): (u64, u64)| full.saturating_sub(empty) as f64 / keys as f64;
    report.add(Figure {
        row: row.name.to_owned(),
        metric: "RssAnon",
        target: if servers.arguments().is_quick() { Target::Shown } else { Target::AtMost(1.2) },
        values: vec![ours.1 as f64 / theirs.1 as f64],
        detail: format!(
            "{keys} keys: ours {:.1} MiB, {:.1} bytes per key over the empty server's {:.1} MiB; theirs {:.1} MiB, {:.1} over {:.1} MiB",
            mebibytes(ours.1),
            per_key(ours),
            mebibytes(ours.0),
            mebibytes(theirs.1),
            per_key(theirs),
            mebibytes(theirs.0)
        ),
    });
    Ok(())
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Anonymous memory of the server empty, and with the keys.
fn measure(server: &Server, keys: usize) -> Result<(u64, u64), String> {
    let pid = server.pid().expect("a started server");
    let memory = || status_bytes(pid, "RssAnon").ok_or("no RssAnon in /proc");
    let empty = memory()?;
    super::preload::fill(server.port(), keys, VALUE_BYTES)?;
    // Write buffers drain and freed pages go back within this time on either side.
    std::thread::sleep(Duration::from_secs(if keys < KEYS { 0 } else { 2 }));
    Ok((empty, memory()?))
}
