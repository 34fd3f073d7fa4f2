//! Starting, stopping, and what is refused at the start.

use super::common::{Client, Reply, Server, ServerOptions, encode, process_cpu_seconds};
use super::{is_reference, subject};
use std::time::{Duration, Instant};

/// Writes from a thread of its own until the server is gone; gives the last acknowledged and the last sent number.
fn write_until_gone(port: u16) -> std::thread::JoinHandle<(i64, i64)> {
    std::thread::spawn(move || {
        let mut client = Client::connect(port);
        let (mut acknowledged, mut sent) = (0, 0);
        loop {
            let mut bytes = Vec::new();
            for _ in 0..20 {
                sent += 1;
                encode(&mut bytes, &["SET", "counter", &sent.to_string()]);
            }
            if client.try_send_raw(&bytes).is_err() {
                return (acknowledged, sent);
            }
            for _ in 0..20 {
                match client.try_reply() {
                    Ok(Some((reply, _))) if reply.is_ok() => acknowledged += 1,
                    // A server that stops may refuse, as long as it does not acknowledge.
                    _ => return (acknowledged, sent),
                }
            }
        }
    })
}

fn stop_under_load(signal: i32) {
    if is_reference() {
        return;
    }
    let mut server = subject().start();
    let writer = write_until_gone(server.port());
    std::thread::sleep(Duration::from_millis(300));
    server.signal(signal);
    let status = server.wait_for_end(Duration::from_secs(20)).expect("it ends");
    assert_eq!(status.code(), Some(0), "{}", server.log());
    let (acknowledged, sent) = writer.join().expect("the writer");
    assert!(acknowledged > 0, "nothing was written before the end");
    server.start();
    let found: i64 = server.client().run("GET counter").text().parse().expect("a number");
    assert!((acknowledged..=sent).contains(&found), "{acknowledged} acknowledged, {sent} sent, {found} found");
}

#[test]
fn sigterm_loses_nothing() {
    stop_under_load(libc::SIGTERM);
}

#[test]
fn sigint_loses_nothing() {
    stop_under_load(libc::SIGINT);
}

#[test]
fn shutdown_ends_the_server() {
    let mut server = subject().start();
    let mut client = server.client();
    client.run("SET k v");
    client.send(&["SHUTDOWN", "NOSAVE"]);
    assert_eq!(client.read_to_end(), b"", "no reply, only the end");
    let status = server.wait_for_end(Duration::from_secs(20)).expect("it ends");
    assert_eq!(status.code(), Some(0), "{}", server.log());
    if is_reference() {
        return;
    }
    server.start();
    assert_eq!(server.client().run("GET k").text(), "v", "what was acknowledged is kept, whatever SHUTDOWN says");
}

#[test]
fn everything_is_there_after_a_restart() {
    if is_reference() {
        return;
    }
    let mut server = subject().start();
    let mut client = server.client();
    client.run("SET plain value");
    client.run("SET expiring value EX 10000");
    client.run("SET gone value PX 1");
    client.run("SETRANGE padded 5 x");
    client.command(&["SET", "large", &"x".repeat(3 << 20)]);
    client.run("SELECT 7");
    client.run("SET elsewhere value");
    client.run("SELECT 0");
    client.run("EVAL redis.call('SET','scripted','1') 0");
    std::thread::sleep(Duration::from_millis(10));
    for round in 0..3 {
        if round % 2 == 0 {
            server.terminate();
        } else {
            server.kill();
        }
        server.start();
        let mut client = server.client();
        assert_eq!(client.run("GET plain").text(), "value");
        let ttl = client.run("TTL expiring").integer();
        assert!((9_000..=10_000).contains(&ttl), "{ttl}");
        assert_eq!(client.run("EXISTS gone"), Reply::Integer(0));
        assert_eq!(client.run("GET padded").bytes(), Some(&b"\0\0\0\0\0x"[..]));
        assert_eq!(client.run("STRLEN large"), Reply::Integer(3 << 20));
        assert_eq!(client.run("GET scripted").text(), "1");
        assert_eq!(client.run("DBSIZE"), Reply::Integer(5));
        client.run("SELECT 7");
        assert_eq!(client.run("GET elsewhere").text(), "value");
    }
}

#[test]
fn who_is_accepted_is_served() {
    let mut server = subject().start();
    for _ in 0..5 {
        server.kill();
        let mut child = server.command().spawn().expect("start the server's binary");
        let deadline = Instant::now() + Duration::from_secs(20);
        let reply = loop {
            // A killed process's listener can outlive it by a moment; who is reset by it has reached nobody.
            if let Ok(mut client) = Client::try_connect(server.port())
                && client.try_send_raw(b"SET first request\r\n").is_ok()
                && let Ok(Some((reply, _))) = client.try_reply()
            {
                break reply;
            }
            assert!(Instant::now() < deadline, "nobody listens:\n{}", server.log());
        };
        child.kill().expect("kill the server");
        child.wait().expect("wait for the killed server");
        assert!(reply.is_ok(), "the first request of all: {reply:?}");
    }
}

fn refuse_second(change: impl Fn(&mut Server, &Server), names: impl Fn(&Server) -> String) {
    if is_reference() {
        return;
    }
    let first = subject().start();
    first.client().run("SET k v");
    let mut second = subject().prepare();
    change(&mut second, &first);
    let (status, log) = second.start_refused();
    assert!(!status.success(), "{log}");
    assert!(log.contains(&names(&first)), "the refusal does not say what is taken: {log}");
    if second.data() != first.data() {
        assert!(!second.data().join("identity").exists(), "its number of shards is fixed by a start that was refused");
    }
    // And the first is none the worse, on all its connections.
    for _ in 0..20 {
        assert_eq!(first.client().run("GET k").text(), "v");
    }
}

#[test]
fn a_second_server_on_the_same_directory_is_refused() {
    refuse_second(|second, first| second.use_data(first.data()), |first| first.data().display().to_string());
}

#[test]
fn a_second_server_on_the_same_port_is_refused() {
    refuse_second(|second, first| second.use_port(first.port()), |first| first.port().to_string());
}

#[test]
fn a_shard_port_that_is_taken_is_told_before_anything_is_made() {
    if is_reference() {
        return;
    }
    let first = subject().start();
    let taken = first.port().to_string();
    let mut second = subject().shards(2).setting("shard-ports", &taken).prepare();
    let (status, log) = second.start_refused();
    assert!(!status.success() && log.contains(&taken), "{log}");
    assert!(!second.data().join("identity").exists(), "its number of shards is fixed by a start that was refused");
}

#[test]
fn a_server_that_would_listen_nowhere_is_refused() {
    if is_reference() {
        return;
    }
    let mut nowhere = subject().bind("").prepare();
    let (status, log) = nowhere.start_refused();
    assert!(!status.success() && log.contains("no address to listen on"), "{log}");
}

#[test]
fn a_terminal_that_closes_takes_no_server_along() {
    let server = subject().start();
    server.signal(libc::SIGHUP);
    std::thread::sleep(Duration::from_millis(100));
    assert!(server.client().run("SET k v").is_ok());
}

#[test]
fn a_directory_keeps_its_number_of_shards() {
    if is_reference() {
        return;
    }
    let mut server = ServerOptions::ringkeep().shards(2).start();
    server.client().run("SET k v");
    server.terminate();
    server.use_shards(3);
    let (status, log) = server.start_refused();
    assert!(!status.success());
    assert!(log.contains("shards"), "{log}");
    server.use_shards("auto");
    server.start();
    assert_eq!(server.client().run("GET k").text(), "v");
}

#[test]
fn bad_settings_stop_the_start_with_their_line() {
    if is_reference() {
        return;
    }
    for (name, value) in [("no-such-setting", "1"), ("maxclients", "many"), ("replicaof", "127.0.0.1 7000")] {
        let mut server = subject().setting("timeout", "0").setting(name, value).prepare();
        let (status, log) = server.start_refused();
        assert!(!status.success(), "{name} {value} was taken");
        assert!(log.contains(name), "{log}");
        assert!(log.contains('2'), "the number of the line is not said: {log}");
    }
}

#[test]
fn an_idle_server_costs_next_to_nothing() {
    let server = subject().shards(2).start();
    let mut client = server.client();
    client.run("SET k v EX 100000");
    watch_idle(&server, 3.0);
    let mut idle: Vec<Client> = (0..1000).map(|_| server.client()).collect();
    idle.iter_mut().for_each(|client| assert_eq!(client.run("PING").text(), "PONG"));
    watch_idle(&server, 3.0);
    assert_eq!(client.run("GET k").text(), "v", "and wakes at once");
}

/// What was begun at the start may still be under way on a busy machine: an idle server has a quiet stretch soon.
fn watch_idle(server: &Server, watched_seconds: f64) {
    let pid = server.pid().expect("a running server");
    let mut shares = Vec::new();
    for _ in 0..3 {
        std::thread::sleep(Duration::from_secs(1));
        let before = process_cpu_seconds(pid);
        std::thread::sleep(Duration::from_secs_f64(watched_seconds));
        shares.push(100.0 * (process_cpu_seconds(pid) - before) / watched_seconds);
        if shares.last().is_some_and(|&share| share < 1.0) {
            return;
        }
    }
    panic!("an idle server uses {shares:.2?} percent of a core");
}

/// As in Redis: Debian's stock configuration names a directory that only its service manager makes.
#[test]
fn a_pid_file_that_cannot_be_written_is_told_and_no_more() {
    if is_reference() {
        println!("skipped: what a real server logs is its own");
        return;
    }
    let server = subject().setting("pidfile", "/no/such/directory/server.pid").start();
    assert!(server.client().run("SET a 1").is_ok());
    let log = server.log();
    assert!(log.contains("the pid file /no/such/directory/server.pid cannot be written"), "{log}");
}
