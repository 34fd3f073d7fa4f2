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

/// The commands in the slow log, oldest first, and their microseconds.
fn slow_calls(client: &mut super::common::Client) -> Vec<(String, i64)> {
    let log = client.run("SLOWLOG GET -1");
    let call = |entry: &Reply| {
        let words: Vec<String> = entry.elements()[3].elements().iter().map(Reply::text).collect();
        (words.join(" "), entry.elements()[2].integer())
    };
    log.elements().iter().rev().map(call).collect()
}

#[test]
fn commands_of_a_transaction_are_noted_one_by_one() {
    let server = subject().setting("latency-monitor-threshold", "10").start();
    let mut client = server.client();
    let slow = "local sum = 0 for i = 1, 2e7 do sum = sum + i % 7 end return sum";
    client.run("MULTI");
    client.run("SET k v");
    client.command(&["EVAL", slow, "0"]);
    client.run("GET k");
    assert_eq!(client.run("EXEC").elements().len(), 3);
    let calls = slow_calls(&mut client);
    let (call, us) = &calls[0];
    assert_eq!((calls.len(), call.as_str()), (1, format!("EVAL {slow} 0").as_str()), "neither EXEC nor what was quick");
    assert!(*us >= 10_000);
    let latest = client.run("LATENCY LATEST");
    assert_eq!(latest.elements()[0].elements()[0].text(), "command", "{latest:?}");
    let eval = client.info("cmdstat_eval").expect("it was called");
    assert!(eval.contains("calls=1,") && eval.contains(&format!("usec={us},")), "{eval} is not {us} us");
    // Every one of them, those of the connection and of the node too; in pieces or in one go.
    for node in ["", "CONFIG GET maxclients"] {
        client.run("CONFIG SET slowlog-log-slower-than 0");
        client.run("SLOWLOG RESET");
        let commands = ["SET k 1", "SELECT 0", node, "PING", "INCR k", "AUTH default secret"];
        let commands: Vec<&str> = commands.into_iter().filter(|command| !command.is_empty()).collect();
        client.run("MULTI");
        commands.iter().for_each(|command| _ = client.run(command));
        assert_eq!(client.run("EXEC").elements().len(), commands.len());
        client.run("CONFIG SET slowlog-log-slower-than 1000000");
        let names: Vec<String> = slow_calls(&mut client).into_iter().map(|(call, _)| call).collect();
        let first = names.iter().position(|name| name == "MULTI").expect("it is noted too");
        let mut expected = commands;
        *expected.last_mut().expect("there are some") = "AUTH (redacted) (redacted)";
        assert_eq!(names[first + 1..][..expected.len()], expected);
        assert!(!names.iter().any(|name| name == "EXEC"));
    }
}

#[test]
fn who_waits_beside_a_slow_command_is_not_slow() {
    if is_reference() {
        return;
    }
    const TAGS: usize = 6;
    // From a millisecond on: below it every command has readings of the clock of its own.
    let server = subject().shards("3").setting("slowlog-log-slower-than", "1000").start();
    let mut client = server.client();
    let text: String = (0..8000).map(|number| char::from(b'a' + (number * number % 26) as u8)).collect();
    for tag in 0..TAGS {
        // The commands of one pipeline for another core travel together.
        let (a, b) = (format!("{{{tag}}}a"), format!("{{{tag}}}b"));
        let get = vec!["GET".to_owned(), a.clone()];
        let set = |key: &str, text: String| vec!["SET".to_owned(), key.to_owned(), text];
        let compare = vec!["LCS".to_owned(), a.clone(), b.clone()];
        let requests =
            [set(&a, text.clone()), set(&b, text.chars().rev().collect()), get.clone(), compare, get.clone(), get];
        let replies = client.pipeline(&requests);
        assert!(!replies[3].text().is_empty());
    }
    let calls = slow_calls(&mut client);
    assert_eq!(calls.iter().filter(|(call, _)| call.starts_with("LCS")).count(), TAGS, "{calls:?}");
    let usec_per_call = |client: &mut super::common::Client, name: &str| -> f64 {
        let stats = client.info(&format!("cmdstat_{name}")).expect("it was called");
        let field = stats.split(',').find_map(|field| field.strip_prefix("usec_per_call="));
        field.and_then(|number| number.parse().ok()).expect("a number")
    };
    let (get, compare) = (usec_per_call(&mut client, "get"), usec_per_call(&mut client, "lcs"));
    assert!(get * 10.0 < compare, "{get} us beside {compare} us");
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

/// Quick commands that EXEC runs by itself, after one that asked the node, are counted and timed like others.
#[test]
fn quick_commands_of_a_transaction_that_waited_are_counted() {
    let server = subject().start();
    let mut client = server.client();
    assert!(client.run("CONFIG RESETSTAT").is_ok());
    for line in ["MULTI", "CONFIG GET maxmemory", "UNWATCH", "ECHO text", "UNWATCH", "EXEC"] {
        client.run(line);
    }
    let stats = client.run("INFO commandstats").text();
    let line = stats.lines().find(|line| line.starts_with("cmdstat_unwatch:")).unwrap_or_default();
    assert!(line.contains("calls=2,"), "{stats}");
}
