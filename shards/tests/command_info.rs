//! The command table against a real Redis's COMMAND INFO, where `redis-server` is installed.

use ringkeep_shards::command::{Command, Keys, all, flag};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

const START_SECONDS_MAX: u64 = 20;

const FLAGS: &[(u32, &str)] = &[
    (flag::WRITE, "write"),
    (flag::READONLY, "readonly"),
    (flag::DENYOOM, "denyoom"),
    (flag::ADMIN, "admin"),
    (flag::PUBSUB, "pubsub"),
    (flag::NOSCRIPT, "noscript"),
    (flag::BLOCKING, "blocking"),
    (flag::LOADING, "loading"),
    (flag::STALE, "stale"),
    (flag::SKIP_MONITOR, "skip_monitor"),
    (flag::SKIP_SLOWLOG, "skip_slowlog"),
    (flag::ASKING, "asking"),
    (flag::FAST, "fast"),
    (flag::NO_AUTH, "no_auth"),
    (flag::MAY_REPLICATE, "may_replicate"),
    (flag::MOVABLEKEYS, "movablekeys"),
    (flag::NO_MULTI, "no_multi"),
    (flag::NO_ASYNC_LOADING, "no_async_loading"),
    (flag::ALLOW_BUSY, "allow_busy"),
    (flag::NO_MANDATORY_KEYS, "no_mandatory_keys"),
];

struct Redis {
    process: Child,
    port: u16,
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Redis {
    fn start() -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").ok()?.local_addr().ok()?.port();
        let process = std::process::Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"])
            .arg(std::env::temp_dir())
            .stdout(Stdio::null())
            .spawn()
            .ok()?;
        Some(Redis { process, port })
    }

    fn connect(&self) -> TcpStream {
        let start = Instant::now();
        loop {
            match TcpStream::connect(("127.0.0.1", self.port)) {
                Ok(stream) => return stream,
                Err(error) => assert!(start.elapsed().as_secs() < START_SECONDS_MAX, "redis does not start: {error}"),
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// As much of COMMAND INFO's answer as the table has.
#[derive(Debug, PartialEq, Eq)]
struct Info {
    arity: String,
    flags: Vec<String>,
    keys: [String; 3],
}

/// One command's answer: `*1`, `*10`, then the name, the arity, the flags, the keys.
fn info(stream: &mut TcpStream, name: &str) -> Option<Info> {
    let request = format!("COMMAND INFO {name}\r\nECHO --the-end--\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    let mut buffer = [0; 65536];
    while !answer.ends_with("--the-end--\r\n") {
        let count = stream.read(&mut buffer).unwrap();
        assert_ne!(count, 0, "redis hung up");
        answer.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
    }
    let mut lines = answer.lines().skip(1);
    if lines.next() == Some("*-1") {
        return None;
    }
    // The name's length and the name.
    let mut lines = lines.skip(2);
    let mut number =
        |prefix| lines.next().and_then(|line| line.strip_prefix(prefix)).expect("COMMAND INFO's form").to_owned();
    let arity = number(':');
    let count: usize = number('*').parse().expect("a count of flags");
    let mut flags: Vec<String> =
        lines.by_ref().take(count).map(|flag| flag.trim_start_matches('+').to_owned()).collect();
    flags.sort();
    let keys = [(); 3].map(|()| lines.next().and_then(|key| key.strip_prefix(':')).unwrap_or("missing").to_owned());
    Some(Info { arity, flags, keys })
}

fn own(command: &Command) -> Info {
    let mut flags: Vec<String> =
        FLAGS.iter().filter(|(bit, _)| command.is(*bit)).map(|(_, name)| (*name).to_owned()).collect();
    flags.sort();
    let keys = match command.keys {
        Keys::None | Keys::Counted { .. } => [0, 0, 0],
        Keys::Range { first, last, step } => [first, last, step],
    };
    Info { arity: command.arity.to_string(), flags, keys: keys.map(|key| key.to_string()) }
}

#[test]
fn every_row_is_what_command_info_says() {
    let Some(redis) = Redis::start() else {
        eprintln!("redis-server is not installed: nothing to compare with");
        return;
    };
    let mut stream = redis.connect();
    let mut compared = 0;
    let mut different = Vec::new();
    for command in all() {
        // Commands of our own, or newer than that Redis, are not known there.
        let Some(theirs) = info(&mut stream, command.name) else { continue };
        compared += 1;
        let ours = own(command);
        if ours != theirs {
            different.push(format!("{}: ours {ours:?}, theirs {theirs:?}", command.name));
        }
    }
    assert!(compared > 20, "only {compared} commands were known");
    assert!(different.is_empty(), "{}", different.join("\n"));
}
