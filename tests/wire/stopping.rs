//! The end: what was asked is answered, what was answered is kept, and it does not take long.

use super::common::{Client, Reply, Server, ServerOptions, encode};
use super::{is_reference, subject};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

/// Clients that read take no time; so long may take one that does not.
const END_MAX: Duration = Duration::from_secs(15);

fn end(server: &mut Server) -> Duration {
    let since = Instant::now();
    let status = server.wait_for_end(END_MAX).expect("it ends");
    assert_eq!(status.code(), Some(0), "{}", server.log());
    since.elapsed()
}

/// Writes of many clients over all shards, pipelined and without an end: each counts in a key of its own, of which the last
/// acknowledged and the last sent number come back.
fn writers(server: &Server, clients: usize) -> Vec<std::thread::JoinHandle<(String, i64, i64)>> {
    let spawn = |number: usize| {
        let mut client = server.client();
        std::thread::spawn(move || {
            let key = format!("counter{number}");
            let (mut acknowledged, mut sent) = (0, 0);
            loop {
                let mut bytes = Vec::new();
                (0..50).for_each(|_| encode(&mut bytes, &["INCR", &key]));
                sent += 50;
                if client.try_send_raw(&bytes).is_err() {
                    return (key, acknowledged, sent);
                }
                for _ in 0..50 {
                    match client.try_reply() {
                        Ok(Some((Reply::Integer(value), _))) => acknowledged = value,
                        _ => return (key, acknowledged, sent),
                    }
                }
            }
        })
    };
    (0..clients).map(spawn).collect()
}

fn stop_under_load(stop: impl FnOnce(&Server)) {
    if is_reference() {
        return;
    }
    let mut server = ServerOptions::ringkeep().shards(2).start();
    let idle: Vec<Client> = (0..20).map(|_| server.client()).collect();
    let writers = writers(&server, 12);
    std::thread::sleep(Duration::from_millis(300));
    stop(&server);
    let took = end(&mut server);
    assert!(took < Duration::from_secs(4), "clients that read made it wait {took:?}: {}", server.log());
    drop(idle);
    let counts: Vec<_> = writers.into_iter().map(|writer| writer.join().expect("a writer")).collect();
    server.start();
    let mut client = server.client();
    for (key, acknowledged, sent) in counts {
        assert!(acknowledged > 0, "{key} was never written");
        let found: i64 = client.command(&["GET", &key]).text().parse().expect("a number");
        assert!(
            (acknowledged..=sent).contains(&found),
            "{key}: {acknowledged} acknowledged, {sent} sent, {found} found"
        );
    }
}

#[test]
fn sigterm_while_all_shards_are_written() {
    stop_under_load(|server| server.signal(libc::SIGTERM));
}

#[test]
fn sigint_while_all_shards_are_written() {
    stop_under_load(|server| server.signal(libc::SIGINT));
}

#[test]
fn shutdown_while_all_shards_are_written() {
    for options in [&["SHUTDOWN"][..], &["SHUTDOWN", "SAVE", "NOW"], &["SHUTDOWN", "NOSAVE", "FORCE"]] {
        stop_under_load(|server| {
            let mut client = server.client();
            assert!(client.run("SHUTDOWN ABORT").error_text().is_some(), "there is nothing to abort");
            client.send(options);
            assert_eq!(client.read_to_end(), b"", "no reply, only the end");
        });
    }
}

#[test]
fn who_does_not_read_is_not_waited_for_long() {
    if is_reference() {
        return;
    }
    let mut server = subject().start();
    let mut deaf = server.client();
    deaf.command(&["SET", "large", &"x".repeat(1 << 20)]);
    let mut bytes = Vec::new();
    (0..40).for_each(|_| encode(&mut bytes, &["GET", "large"]));
    deaf.send_raw(&bytes);
    std::thread::sleep(Duration::from_millis(200));
    server.signal(libc::SIGTERM);
    end(&mut server);
    assert!(server.log().contains("have not taken their replies"), "{}", server.log());
}

#[test]
fn what_a_pause_holds_back_is_not_done_at_the_end() {
    if is_reference() {
        return;
    }
    let mut server = subject().start();
    let (mut pauser, mut writer) = (server.client(), server.client());
    assert!(pauser.run("CLIENT PAUSE 100000 WRITE").is_ok());
    writer.send(&["SET", "k", "v"]);
    assert!(writer.is_silent_for(Duration::from_millis(100)));
    server.signal(libc::SIGTERM);
    assert!(end(&mut server) < Duration::from_secs(4));
    assert_eq!(writer.read_to_end(), b"");
    server.start();
    assert_eq!(server.client().run("EXISTS k"), Reply::Integer(0));
}

/// A killed server's last write may still be on its way; its successor must not read the log before it has landed.
#[test]
fn a_start_waits_for_the_writes_of_the_server_before() {
    if is_reference() {
        return;
    }
    let mut server = subject().start();
    server.client().run("SET k v");
    server.kill();
    let shard = server.data().join("shard-0000");
    let entries = std::fs::read_dir(shard).expect("the shard's files").map(|entry| entry.expect("a file").path());
    let log = entries.filter(|path| path.extension().is_some_and(|extension| extension == "log")).min();
    let held = std::fs::File::open(log.expect("a segment")).expect("open the segment");
    // SAFETY: a plain system call on an open descriptor.
    let locked = unsafe { libc::flock(held.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) };
    assert_eq!(locked, 0, "a dead server holds nothing");
    let mut child = server.command().spawn().expect("start the server's binary");
    std::thread::sleep(Duration::from_millis(1500));
    let refused = Client::try_connect(server.port()).is_err();
    let log = server.log();
    drop(held);
    let deadline = Instant::now() + END_MAX;
    let served = loop {
        if let Ok(mut client) = Client::try_connect(server.port()) {
            break client.run("GET k").text();
        }
        assert!(Instant::now() < deadline, "nobody listens:\n{}", server.log());
        std::thread::sleep(Duration::from_millis(10));
    };
    child.kill().expect("kill the server");
    child.wait().expect("wait for the killed server");
    assert!(refused, "it served while the log could still change");
    assert!(log.contains("waiting for the last writes of the server before"), "{log}");
    assert_eq!(served, "v");
}
