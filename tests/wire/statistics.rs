//! What the server counts, times and waits for.

use super::common::Reply;
use super::{is_reference, subject};
use std::time::{Duration, Instant};

#[test]
fn slow_commands_are_noted_with_their_time() {
    let server = subject().setting("enable-debug-command", "yes").setting("latency-monitor-threshold", "10").start();
    let mut client = server.client();
    client.run("CLIENT SETNAME me");
    assert!(client.run("DEBUG SLEEP 0.05").is_ok());
    client.run("GET k");
    let log = client.run("SLOWLOG GET");
    let entries = log.elements();
    assert_eq!(entries.len(), 1, "{log:?}");
    let entry = entries[0].elements();
    let Reply::Integer(us) = entry[2] else { panic!("{log:?}") };
    assert!((50_000..1_000_000).contains(&us), "{us}");
    assert_eq!(entry[3].elements().len(), 3);
    assert_eq!(entry[5].bytes(), Some(&b"me"[..]));
    let latest = client.run("LATENCY LATEST");
    assert_eq!(latest.elements()[0].elements()[0].bytes(), Some(&b"command"[..]), "{latest:?}");
}

#[test]
fn what_happens_is_counted() {
    if is_reference() {
        return;
    }
    let server = subject().shards("2").start();
    let mut client = server.client();
    client.run("CONFIG RESETSTAT");
    let requests: Vec<_> =
        (0..1000).map(|number| vec!["SET".to_owned(), format!("k{number}"), "v".to_owned()]).collect();
    client.pipeline(&requests);
    client.pipeline(&(0..500).map(|number| vec!["GET".to_owned(), format!("k{}", number * 4)]).collect::<Vec<_>>());
    let number = |client: &mut super::common::Client, field: &str| -> f64 {
        client.info(field).unwrap_or_else(|| panic!("{field}")).parse().unwrap_or_else(|_| panic!("{field}"))
    };
    let calls = client.info("cmdstat_set").unwrap();
    assert!(calls.starts_with("calls=1000,") && calls.ends_with("rejected_calls=0,failed_calls=0"), "{calls}");
    assert!(client.info("cmdstat_get").unwrap().starts_with("calls=500,"));
    assert_eq!((number(&mut client, "keyspace_hits"), number(&mut client, "keyspace_misses")), (250.0, 250.0));
    assert!(number(&mut client, "total_commands_processed") >= 1500.0);
    assert!(number(&mut client, "mesh_messages") > 0.0);
    assert!(number(&mut client, "log_write_usec_p50") > 0.0);
    assert!(number(&mut client, "log_write_usec_p99") >= number(&mut client, "log_write_usec_p50"));
    assert!(client.info("latency_percentiles_usec_set").unwrap().starts_with("p50="));
    assert!(number(&mut client, "instantaneous_ops_per_sec") > 0.0);
}

#[test]
fn waiting_for_replicas_ends() {
    let server = subject().start();
    let (mut client, mut other) = (server.client(), server.client());
    let begun = Instant::now();
    assert_eq!(client.run("WAIT 1 60"), Reply::Integer(0));
    assert!(begun.elapsed() >= Duration::from_millis(55), "{:?}", begun.elapsed());
    let Reply::Integer(id) = client.run("CLIENT ID") else { panic!("a number") };
    for (how, answer) in [("TIMEOUT", "0"), ("ERROR", "UNBLOCKED client unblocked via CLIENT UNBLOCK")] {
        client.send(&["WAIT", "1", "0"]);
        while other.info("blocked_clients").as_deref() != Some("1") {
            std::thread::sleep(Duration::from_millis(2));
        }
        assert_eq!(other.run(&format!("CLIENT UNBLOCK {id} {how}")), Reply::Integer(1));
        let reply = client.reply();
        let text = reply.error_text().unwrap_or_else(|| "0".to_owned());
        assert_eq!(text, answer);
    }
    assert_eq!(other.run(&format!("CLIENT UNBLOCK {id}")), Reply::Integer(0));
}

#[test]
fn a_server_keeps_its_name() {
    if is_reference() {
        return;
    }
    let mut server = subject().start();
    let before = server.client().info("run_id").unwrap();
    server.terminate();
    server.start();
    assert_eq!(server.client().info("run_id").unwrap(), before);
    assert_eq!(before.len(), 40);
}

#[test]
fn a_client_over_the_soft_limit_is_closed_in_time() {
    if is_reference() {
        return;
    }
    let server = subject().setting("client-output-buffer-limit", "normal 0 1mb 1").start();
    let mut client = server.client();
    client.command(&[&b"SET"[..], b"k", &vec![b'x'; 4 << 20]]);
    let mut reader = server.client();
    for _ in 0..8 {
        reader.send(&["GET", "k"]);
    }
    std::thread::sleep(Duration::from_millis(400));
    assert_eq!(client.info("connected_clients").as_deref(), Some("2"), "it has a second");
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(client.info("connected_clients").as_deref(), Some("1"));
    assert_eq!(client.info("client_output_buffer_limit_disconnections").as_deref(), Some("1"));
}

#[test]
fn an_exec_with_commands_of_the_node_is_isolated() {
    if is_reference() {
        return;
    }
    let server = subject().shards("2").start();
    let (mut client, mut other) = (server.client(), server.client());
    for round in 0..200 {
        client.send(&["MULTI"]);
        for _ in 0..3 {
            client.send(&["INCR", "{a}n"]);
            client.send(&["CONFIG", "GET", "timeout"]);
            client.send(&["INFO", "keyspace"]);
        }
        client.send(&["EXEC"]);
        // Whoever looks meanwhile sees all of it, or nothing.
        for _ in 0..5 {
            let seen = other.run("GET {a}n");
            let seen: i64 = seen.bytes().map_or(0, |bytes| std::str::from_utf8(bytes).unwrap().parse().unwrap());
            assert_eq!(seen % 3, 0, "round {round}");
        }
        (0..10).for_each(|_| drop(client.reply()));
        let reply = client.reply();
        let parts = reply.elements();
        assert_eq!(parts.len(), 9, "{reply:?}");
        assert_eq!(parts[6], Reply::Integer(round * 3 + 3));
        assert!(parts[8].bytes().is_some_and(|text| text.starts_with(b"# Keyspace")));
    }
}
