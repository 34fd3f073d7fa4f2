//! One very large value: how long it takes to write and to read.

use super::Row;
use super::report::{Figure, Report, Target};
use super::servers::{Persistence, Servers};
use crate::common::Server;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const VALUE_BYTES: usize = 256 << 20;

/// The rows of this file.
pub fn rows() -> Vec<Row> {
    vec![Row { name: "large value get", run: get }, Row { name: "large value set", run: set }]
}

fn get(row: &Row, servers: &Servers, report: &mut Report) -> Result<(), String> {
    let bytes = servers.arguments().scaled(VALUE_BYTES);
    let pair = servers.pair(Persistence::None)?;
    let value = content(bytes);
    for server in [&pair.ours, &pair.theirs] {
        time_set(server, &value)?;
    }
    compare(row, servers, report, |server| time_get(server, &value), [&pair.ours, &pair.theirs])?;
    // The pair is used again, for small values.
    for server in [&pair.ours, &pair.theirs] {
        server.client().run("DEL large");
    }
    Ok(())
}

fn set(row: &Row, servers: &Servers, report: &mut Report) -> Result<(), String> {
    let value = content(servers.arguments().scaled(VALUE_BYTES));
    let pair = servers.pair(Persistence::Always)?;
    compare(row, servers, report, |server| time_set(server, &value), [&pair.ours, &pair.theirs])?;
    servers.release();
    Ok(())
}

fn compare(
    row: &Row,
    servers: &Servers,
    report: &mut Report,
    time: impl Fn(&Server) -> Result<f64, String>,
    [ours, theirs]: [&Server; 2],
) -> Result<(), String> {
    let mut times = Vec::new();
    for _ in 0..servers.arguments().pairs() {
        times.push((time(ours)?, time(theirs)?));
    }
    let column = |side: fn(&(f64, f64)) -> f64| super::report::median(&times.iter().map(side).collect::<Vec<_>>());
    report.add(Figure {
        row: row.name.to_owned(),
        metric: "time",
        target: Target::AtMost(1.5),
        values: times.iter().map(|(own, other)| own / other).collect(),
        detail: format!("ours {:.0} ms; theirs {:.0} ms", 1e3 * column(|times| times.0), 1e3 * column(|times| times.1)),
    });
    Ok(())
}

/// Nothing that compresses, so that no layer below gains by it.
fn content(bytes: usize) -> Vec<u8> {
    let mut random = crate::common::Random::new(256);
    let mut value = Vec::with_capacity(bytes + 8);
    while value.len() < bytes {
        value.extend_from_slice(&random.next().to_le_bytes());
    }
    value.truncate(bytes);
    value
}

fn connect(server: &Server) -> Result<TcpStream, String> {
    let stream = TcpStream::connect(("127.0.0.1", server.port())).map_err(|error| error.to_string())?;
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    stream.set_read_timeout(Some(Duration::from_secs(120))).map_err(|error| error.to_string())?;
    Ok(stream)
}

/// Seconds from the first byte sent to the acknowledgement.
fn time_set(server: &Server, value: &[u8]) -> Result<f64, String> {
    let mut stream = connect(server)?;
    let start = Instant::now();
    let head = format!("*3\r\n$3\r\nSET\r\n$5\r\nlarge\r\n${}\r\n", value.len());
    let mut reply = [0; 5];
    let sent = stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.write_all(value))
        .and_then(|()| stream.write_all(b"\r\n"));
    sent.and_then(|()| stream.read_exact(&mut reply)).map_err(|error| format!("SET: {error}"))?;
    let seconds = start.elapsed().as_secs_f64();
    if &reply != b"+OK\r\n" {
        return Err(format!("SET of {} bytes: {}...", value.len(), reply.escape_ascii()));
    }
    Ok(seconds)
}

/// Seconds from the request to the value's last byte.
fn time_get(server: &Server, value: &[u8]) -> Result<f64, String> {
    let mut stream = connect(server)?;
    let head = format!("${}\r\n", value.len());
    let mut received = vec![0; head.len() + value.len() + 2];
    // Touched beforehand: the page faults of this buffer are not the server's.
    received.fill(1);
    let start = Instant::now();
    let sent = stream.write_all(b"*2\r\n$3\r\nGET\r\n$5\r\nlarge\r\n");
    sent.and_then(|()| stream.read_exact(&mut received)).map_err(|error| format!("GET: {error}"))?;
    let seconds = start.elapsed().as_secs_f64();
    if !received.starts_with(head.as_bytes()) || received[head.len()..received.len() - 2] != *value {
        return Err("GET gave another value than was set".to_owned());
    }
    Ok(seconds)
}
