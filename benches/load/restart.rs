//! How long a killed server takes until it serves again, and how that grows with its keys.

use super::Row;
use super::report::{Figure, Report, Target, median};
use super::requests::VALUE_BYTES;
use super::servers::Servers;
use std::time::Instant;

const KEYS: usize = 1_000_000;
const FEWER_KEYS: usize = 200_000;
const RESTARTS: usize = 3;
/// Five times the keys; so much more than five times the time is still called linear.
const GROWTH_MAX: f64 = 1.3 * (KEYS / FEWER_KEYS) as f64;

/// The rows of this file.
pub fn rows() -> Vec<Row> {
    vec![Row { name: "restart", run }]
}

fn run(row: &Row, servers: &Servers, report: &mut Report) -> Result<(), String> {
    if servers.arguments().against_self {
        return Err("the reference has no shards to recover without persistence".to_owned());
    }
    servers.release();
    let quick = servers.arguments().is_quick();
    let fewer = measure(servers, servers.arguments().scaled(FEWER_KEYS))?;
    let all = measure(servers, servers.arguments().scaled(KEYS))?;
    let detail = format!(
        "after kill -9: {:.0} ms with {} keys, {:.0} ms with {}",
        1e3 * median(&all),
        servers.arguments().scaled(KEYS),
        1e3 * median(&fewer),
        servers.arguments().scaled(FEWER_KEYS)
    );
    let growth = vec![median(&all) / median(&fewer)];
    report.add(Figure {
        row: row.name.to_owned(),
        metric: "seconds",
        target: if quick { Target::Shown } else { Target::AtMost(2.0) },
        values: all,
        detail,
    });
    report.add(Figure {
        row: row.name.to_owned(),
        metric: "growth",
        target: if quick { Target::Shown } else { Target::AtMost(GROWTH_MAX) },
        values: growth,
        detail: "time with all keys to time with a fifth of them: 5 is linear".to_owned(),
    });
    Ok(())
}

/// Seconds from the start of the process to its first answer, for each restart.
fn measure(servers: &Servers, keys: usize) -> Result<Vec<f64>, String> {
    let mut server = servers.ours(1)?;
    super::preload::fill(server.port(), keys, VALUE_BYTES)?;
    let mut seconds = Vec::new();
    for _ in 0..RESTARTS.min(servers.arguments().pairs()) {
        server.kill();
        let start = Instant::now();
        server.try_start()?;
        seconds.push(start.elapsed().as_secs_f64());
        let found = server.client().run("DBSIZE").integer();
        if found != keys as i64 {
            return Err(format!("{found} keys after a restart, {keys} before"));
        }
    }
    Ok(seconds)
}
