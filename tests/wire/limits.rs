//! Bounds: what a client may make the server hold.

use super::common::{Client, Reply, Server, encode, status_bytes};
use super::{is_reference, subject};
use std::time::{Duration, Instant};

/// Waits until only one client is connected: the one that asks.
fn wait_until_alone(client: &mut Client) {
    let deadline = Instant::now() + Duration::from_secs(15);
    loop {
        let list = client.run("CLIENT LIST").text();
        if list.lines().count() == 1 {
            return;
        }
        assert!(Instant::now() < deadline, "still connected:\n{list}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn anonymous_bytes(server: &Server) -> u64 {
    status_bytes(server.pid().expect("a running server"), "RssAnon").expect("RssAnon in /proc")
}

#[test]
fn a_client_that_does_not_read_is_dropped() {
    const VALUE_BYTES: usize = 100_000;
    const REQUESTS: usize = 2_000;
    let server = subject().setting("client-output-buffer-limit", "normal 4mb 0 0").start();
    let mut other = server.client();
    assert!(other.command(&["SET", "large", &"x".repeat(VALUE_BYTES)]).is_ok());
    let before = anonymous_bytes(&server);
    let mut deaf = server.client();
    let mut bytes = Vec::new();
    (0..REQUESTS).for_each(|_| encode(&mut bytes, &["GET", "large"]));
    // The server may close in the middle of this.
    let _ = deaf.try_send_raw(&bytes);
    wait_until_alone(&mut other);
    let after = anonymous_bytes(&server);
    assert!(after < before + (64 << 20), "one deaf client cost {} MiB", (after - before) >> 20);
    let received = drain(&mut deaf);
    assert!(received < REQUESTS * VALUE_BYTES / 2, "all of it was sent after all: {received} bytes");
    assert!(other.run("PING").text() == "PONG");
    if !is_reference() {
        let log = server.log();
        assert!(log.lines().any(|line| line.contains("client-output-buffer-limit")), "no line says so: {log}");
    }
}

#[test]
fn a_client_that_does_not_read_is_dropped_wherever_its_keys_are() {
    if is_reference() {
        return;
    }
    let server = subject().shards(2).setting("client-output-buffer-limit", "normal 4mb 0 0").start();
    let mut other = server.client();
    // One of these is not on the core that holds the connection.
    for key in ["a", "b"] {
        assert!(other.command(&["SET", key, &"x".repeat(100_000)]).is_ok());
        let mut deaf = server.client();
        let mut bytes = Vec::new();
        (0..2_000).for_each(|_| encode(&mut bytes, &["GET", key]));
        let _ = deaf.try_send_raw(&bytes);
        wait_until_alone(&mut other);
        assert!(drain(&mut deaf) < 100_000_000);
    }
    assert_eq!(server.log().lines().filter(|line| line.contains("client-output-buffer-limit")).count(), 2);
}

/// Sends requests until the server takes no more; how many bytes it took.
fn send_without_end(client: &mut Client, request: &[u8], bytes_max: usize) -> usize {
    let block: Vec<u8> = request.iter().copied().cycle().take(request.len() * (1 + 65_536 / request.len())).collect();
    client.stream().set_write_timeout(Some(Duration::from_secs(1))).expect("set a write timeout");
    let mut sent = 0;
    while sent < bytes_max {
        // What is cut off in the middle of the block goes on where it was cut.
        match std::io::Write::write(&mut client.stream(), &block[sent % block.len()..]) {
            Ok(count) => sent += count,
            Err(_) => break,
        }
    }
    sent
}

#[test]
fn one_that_floods_is_not_read_from() {
    const VALUE_BYTES: usize = 10_000;
    if is_reference() {
        return;
    }
    let server = subject().start();
    let mut other = server.client();
    assert!(other.command(&["SET", "k", &"x".repeat(VALUE_BYTES)]).is_ok());
    let before = anonymous_bytes(&server);
    let mut request = Vec::new();
    encode(&mut request, &["GET", "k"]);
    let mut flood = server.client();
    let sent = send_without_end(&mut flood, &request, 64 << 20);
    assert!(sent < 64 << 20, "the server reads on and on");
    let after = anonymous_bytes(&server);
    assert!(after < before + (400 << 20), "one flooding client cost {} MiB", (after - before) >> 20);
    assert_eq!(other.run("PING").text(), "PONG");
    // Everything is answered, once it is read.
    for _ in 0..sent / request.len() {
        assert_eq!(flood.reply().bytes().map(<[u8]>::len), Some(VALUE_BYTES));
    }
    // And one whose requests are held back.
    assert!(other.run("CLIENT PAUSE 100000 ALL").is_ok());
    let mut held = server.client();
    let sent = send_without_end(&mut held, &request, 64 << 20);
    assert!(sent < 64 << 20, "the server reads on and on");
    other.send(&["CLIENT", "UNPAUSE"]);
}

/// Bytes that still come, until the connection ends in whatever way.
fn drain(client: &mut Client) -> usize {
    let mut total = 0;
    let mut buffer = vec![0; 1 << 20];
    loop {
        match std::io::Read::read(&mut client.stream(), &mut buffer) {
            Ok(0) | Err(_) => return total,
            Ok(count) => total += count,
        }
    }
}

#[test]
fn a_request_larger_than_the_query_buffer_is_refused() {
    let server = subject().setting("client-query-buffer-limit", "1mb").start();
    let mut client = server.client();
    let mut head = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$400000000\r\n".to_vec();
    head.resize(3 << 20, b'x');
    let mut refused = false;
    for _ in 0..20 {
        if client.try_send_raw(&head).is_err() {
            refused = true;
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(refused, "60 MiB of one request were taken where 1 MiB is the limit");
    let mut other = server.client();
    wait_until_alone(&mut other);
    assert_eq!(other.run("EXISTS k"), Reply::Integer(0));
}

/// As in Redis 7.2 (7.0 does not count them), what MULTI queues is what the client has sent and the server has not done yet.
#[test]
fn a_transaction_larger_than_the_query_buffer_is_refused() {
    if is_reference() {
        return;
    }
    let server = subject().setting("client-query-buffer-limit", "1mb").start();
    let mut client = server.client();
    assert!(client.run("MULTI").is_ok());
    let mut request = Vec::new();
    encode(&mut request, &["SET", "k", &"x".repeat(100_000)]);
    let mut is_queued = || client.try_send_raw(&request).is_ok() && matches!(client.try_reply(), Ok(Some(_)));
    assert!((0..100).take_while(|_| is_queued()).count() < 20, "10 MB were queued where 1 MiB is the limit");
    let mut other = server.client();
    wait_until_alone(&mut other);
    assert_eq!(other.run("EXISTS k"), Reply::Integer(0));
    assert_eq!(other.info("client_query_buffer_limit_disconnections").as_deref(), Some("1"));
}

#[test]
fn many_arguments_announced_cost_nothing_until_they_come() {
    let server = subject().start();
    let mut other = server.client();
    let before = anonymous_bytes(&server);
    let clients: Vec<Client> = (0..50)
        .map(|_| {
            let mut client = server.client();
            client.send_raw(b"*2147483647\r\n$3\r\nDEL\r\n$536870912\r\n");
            client
        })
        .collect();
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(other.run("PING").text(), "PONG");
    let after = anonymous_bytes(&server);
    assert!(after < before + (64 << 20), "50 announcements cost {} MiB", (after.saturating_sub(before)) >> 20);
    drop(clients);
    wait_until_alone(&mut other);
}

#[test]
fn no_more_than_maxclients() {
    let server = subject().setting("maxclients", "10").start();
    // The connections that watched the server's start are gone when only one is left.
    let mut first = server.client();
    wait_until_alone(&mut first);
    let mut clients: Vec<Client> = (0..9).map(|_| server.client()).collect();
    clients.iter_mut().for_each(|client| assert_eq!(client.run("PING").text(), "PONG"));
    let mut refused = server.client();
    let reply = refused.reply();
    assert_eq!(reply.error_text().as_deref(), Some("ERR max number of clients reached"));
    assert_eq!(refused.read_to_end(), b"");
    // When one goes, there is room.
    clients.pop();
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let mut next = server.client();
        let _ = next.try_send_raw(b"PING\r\n");
        if next.try_reply().is_ok_and(|reply| reply.is_some_and(|(reply, _)| reply.bytes() == Some(b"PONG"))) {
            break;
        }
        assert!(Instant::now() < deadline, "no room although one has left");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn idle_clients_are_dropped_after_the_timeout() {
    let server = subject().setting("timeout", "1").start();
    let mut idle = server.client();
    let mut busy = server.client();
    assert_eq!(idle.run("PING").text(), "PONG");
    let start = Instant::now();
    let mut closed = false;
    while start.elapsed() < Duration::from_secs(8) && !closed {
        assert_eq!(busy.run("PING").text(), "PONG", "a client that asks is not idle");
        closed = !idle.is_silent_for(Duration::from_millis(200));
    }
    assert!(closed, "idle for 8 s, where 1 s is allowed");
    assert!(start.elapsed() > Duration::from_millis(900), "closed before its time");
}

#[test]
fn who_monitors_is_not_idle() {
    let server = subject().setting("timeout", "1").start();
    let mut monitor = server.client();
    assert!(monitor.run("MONITOR").is_ok());
    assert!(monitor.is_silent_for(Duration::from_secs(3)), "closed for having nothing to say");
    server.client().run("ECHO hello");
    let line = monitor.reply().text();
    assert!(line.contains("ECHO"), "{line}");
}

#[test]
fn the_longest_argument_can_be_changed_for_who_is_connected() {
    let server = subject().start();
    let (mut client, mut other) = (server.client(), server.client());
    let value = vec![b'x'; 2 << 20];
    assert!(client.command(&[&b"SET"[..], b"k", &value]).is_ok());
    assert!(other.run("CONFIG SET proto-max-bulk-len 1mb").is_ok());
    client.send_raw(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$2097152\r\n");
    assert_eq!(client.reply().error_text().as_deref(), Some("ERR Protocol error: invalid bulk length"));
    assert_eq!(client.read_to_end(), b"");
}

/// A log of a hundred segments must not need a hundred descriptors: they would be those of clients.
#[test]
fn whole_segments_need_no_descriptors() {
    if is_reference() {
        return;
    }
    let small = subject().setting("log-segment-bytes", "1mb").setting("checkpoint-growth-percent", "10000");
    let mut server = small.start();
    let descriptors = |server: &Server| {
        let path = format!("/proc/{}/fd", server.pid().expect("a running server"));
        std::fs::read_dir(path).expect("its descriptors").count()
    };
    let before = descriptors(&server);
    let value = "x".repeat(500_000);
    for number in 0..60 {
        assert!(server.client().command(&["SET", &format!("large:{number}"), &value]).is_ok());
    }
    let segments = std::fs::read_dir(server.data().join("shard-0000")).expect("the log").count();
    assert!(segments > 25, "{segments} segments");
    assert!(descriptors(&server) < before + 10, "{before} before, then {}", descriptors(&server));
    server.kill();
    server.start();
    assert!(descriptors(&server) < before + 10, "{before} before, {} after a restart", descriptors(&server));
    assert!(server.client().run("SET more 1").is_ok());
    assert_eq!(server.client().run("DBSIZE"), Reply::Integer(61));
}

#[test]
fn writes_are_refused_over_maxmemory() {
    let server = subject().start();
    let mut client = server.client();
    assert!(client.run("SET before 1").is_ok());
    assert!(client.run("CONFIG SET maxmemory 1").is_ok());
    let reply = client.run("SET after 1");
    assert_eq!(reply.error_text().as_deref(), Some("OOM command not allowed when used memory > 'maxmemory'."));
    assert_eq!(client.run("GET before").text(), "1");
    assert_eq!(client.run("DEL before"), Reply::Integer(1));
    let reply = client.run("SET after 1");
    assert_eq!(reply.error_text().as_deref(), Some(OUT_OF_MEMORY), "an empty node weighs something too");
    assert!(client.run("CONFIG SET maxmemory 0").is_ok());
    assert!(client.run("SET after 1").is_ok());
}

const OUT_OF_MEMORY: &str = "OOM command not allowed when used memory > 'maxmemory'.";

#[test]
fn over_maxmemory_a_transaction_that_needs_memory_does_nothing() {
    let server = subject().start();
    let mut client = server.client();
    assert!(client.run("SET kept 1").is_ok());
    assert!(client.run("MULTI").is_ok());
    for queued in ["DEL kept", "SET after 1"] {
        client.run(queued);
    }
    assert!(server.client().run("CONFIG SET maxmemory 1").is_ok());
    let reply = client.run("EXEC").error_text().unwrap_or_default();
    assert!(reply.starts_with("EXECABORT Transaction discarded because of: OOM command not allowed"), "{reply}");
    assert_eq!(client.run("EXISTS kept after"), Reply::Integer(1));
}

/// Scripts that declare their flags are refused as a whole, the others when they need memory; INFO tells which was which.
#[test]
fn over_maxmemory_scripts_are_refused_as_their_flags_say() {
    let server = subject().start();
    let mut client = server.client();
    assert!(client.run("CONFIG SET maxmemory 1").is_ok());
    assert!(client.run("CONFIG RESETSTAT").is_ok());
    let mut refusal =
        |command: &str, script: &str| client.command(&[command, script, "0"]).error_text().unwrap_or_default();
    for command in ["EVAL", "EVAL_RO"] {
        assert_eq!(refusal(command, "#!lua\nreturn 1"), OUT_OF_MEMORY);
    }
    assert_eq!(refusal("EVAL", "#!lua flags=no-writes\nreturn 1"), "");
    assert_eq!(refusal("EVAL", "#!lua flags=allow-oom\nreturn redis.call('SET', 'a', 1)"), "");
    assert_eq!(refusal("EVAL", "return redis.call('GET', 'a')"), "");
    let raised = refusal("EVAL", "return redis.call('SET', 'b', 1)");
    assert!(raised.starts_with(OUT_OF_MEMORY) && raised.contains(" script: "), "{raised}");
    let stats = client.run("INFO commandstats").text();
    let counts = |name: &str| {
        let line = stats.lines().find(|line| line.starts_with(&format!("cmdstat_{name}:"))).unwrap_or_default();
        let number =
            |field: &str| line.split([':', ',']).find_map(|part| part.strip_prefix(field)).unwrap_or("").to_owned();
        [number("calls="), number("rejected_calls="), number("failed_calls=")].join(" ")
    };
    assert_eq!((counts("eval"), counts("set")), ("4 1 1".to_owned(), "1 1 0".to_owned()), "{stats}");
}

/// Large values live in the log: four times as much of them as the process may hold is served, and read back whole.
#[test]
fn large_values_need_no_memory() {
    const MEMORY_BYTES: u64 = 32 << 20;
    const VALUE_BYTES: usize = 64 << 10;
    const VALUES: usize = 4 * MEMORY_BYTES as usize / VALUE_BYTES;
    if is_reference() {
        println!("skipped: a real server holds every value in memory");
        return;
    }
    let mut server = subject().setting("maxmemory", "32mb").start();
    let empty = anonymous_bytes(&server);
    let value = |number: usize| format!("{number}:{}", char::from(b'a' + (number % 26) as u8)).repeat(VALUE_BYTES / 8);
    let mut client = server.client();
    for number in 0..VALUES {
        let reply = client.command(&["SET", &format!("large:{number}"), &value(number)]);
        assert!(reply.is_ok(), "value {number}: {reply:?}");
    }
    let read_back = |client: &mut Client| {
        for number in (0..VALUES).rev() {
            assert_eq!(client.command(&["GET", &format!("large:{number}")]).text(), value(number), "value {number}");
        }
    };
    read_back(&mut client);
    let held = anonymous_bytes(&server) - empty.min(anonymous_bytes(&server));
    assert!(held < MEMORY_BYTES, "{} MiB are held for {} MiB of values", held >> 20, (VALUES * VALUE_BYTES) >> 20);
    server.kill();
    server.start();
    read_back(&mut server.client());
}

#[test]
fn evicting_policies_are_refused() {
    if is_reference() {
        return;
    }
    let mut server = subject().setting("maxmemory-policy", "allkeys-lru").prepare();
    let (status, log) = server.start_refused();
    assert!(!status.success());
    assert!(log.contains("maxmemory-policy"), "{log}");
}
