//! MONITOR: what everybody asks, as Redis shows it.

use super::common::{Client, Reply};
use super::{is_reference, subject};
use std::time::Duration;

/// The next line, without its time and its address's port.
fn line(monitor: &mut Client) -> String {
    let Reply::Simple(text) = monitor.reply() else { panic!("a line") };
    let text = String::from_utf8(text).unwrap();
    let (time, rest) = text.split_once(' ').unwrap();
    assert!(time.split_once('.').is_some_and(|(s, us)| s.len() == 10 && us.len() == 6), "{text}");
    let (from, words) = rest.split_once("] ").unwrap();
    let from = from.split(':').next().unwrap();
    format!("{from}] {words}")
}

#[test]
fn who_listens_has_no_keys() {
    let server = subject().start();
    let mut monitor = server.client();
    assert!(monitor.run("MONITOR").is_ok());
    let refused = Some("ERR Replica can't interact with the keyspace".to_owned());
    for request in ["GET k", "SET k v", "EVAL return 0", "FLUSHALL"] {
        assert_eq!(monitor.run(request).error_text(), refused, "{request}");
    }
    monitor.send(&["QUIT"]);
    assert_eq!(monitor.read_to_end(), b"+OK\r\n", "the end of a listener is shown to others");
    let mut silent = server.client();
    silent.send_raw(b"MONITOR\r\nCLIENT REPLY OFF\r\n");
    assert!(silent.reply().is_ok());
    server.client().run("PING");
    assert!(silent.is_silent_for(Duration::from_millis(50)));
}

#[test]
fn what_others_ask_is_shown() {
    let server = subject().setting("requirepass", "secret").start();
    let connect = || {
        let mut client = server.client();
        assert!(client.run("AUTH secret").is_ok());
        client
    };
    let (mut monitor, mut second, mut client) = (connect(), connect(), connect());
    assert!(monitor.run("MONITOR").is_ok());
    assert!(second.run("MONITOR").is_ok());
    client.run("SET k v");
    client.command(&[&b"SET"[..], b"k", b"a b\"\\\r\n\t\x07\x00\xff"]);
    client.run("SELECT 3");
    client.command(&["EVAL", "redis.call('set',KEYS[1],'x') return redis.call('GET',KEYS[1])", "1", "k"]);
    client.run("AUTH secret");
    client.run("HELLO 2 AUTH default secret");
    client.run("CONFIG SET requirepass secret");
    client.run("NOSUCH x");
    client.run("GET");
    client.run("MULTI");
    client.run("INCR n");
    client.run("EXEC");
    client.run("ECHO end");
    let wanted = [
        r#"[0 127.0.0.1] "SET" "k" "v""#,
        r#"[0 127.0.0.1] "SET" "k" "a b\"\\\r\n\t\a\x00\xff""#,
        r#"[3 127.0.0.1] "SELECT" "3""#,
        r#"[3 127.0.0.1] "EVAL" "redis.call('set',KEYS[1],'x') return redis.call('GET',KEYS[1])" "1" "k""#,
        r#"[3 lua] "set" "k" "x""#,
        r#"[3 lua] "GET" "k""#,
        r#"[3 127.0.0.1] "AUTH" "(redacted)""#,
        r#"[3 127.0.0.1] "HELLO" "2" "AUTH" "(redacted)" "(redacted)""#,
        r#"[3 127.0.0.1] "MULTI""#,
        r#"[3 127.0.0.1] "INCR" "n""#,
        r#"[3 127.0.0.1] "EXEC""#,
        r#"[3 127.0.0.1] "ECHO" "end""#,
    ];
    for monitor in [&mut monitor, &mut second] {
        for wanted in wanted {
            let wanted = wanted.to_owned();
            let mut given = line(monitor);
            if given.contains("] \"exec\"") {
                given = given.replace("exec", "EXEC");
            }
            assert_eq!(given, wanted);
        }
    }
    assert!(monitor.run("RESET").error_text().is_none());
    client.run("ECHO more");
    assert_eq!(line(&mut second), r#"[0 127.0.0.1] "RESET""#);
    assert_eq!(line(&mut second), r#"[3 127.0.0.1] "ECHO" "more""#);
    drop(second);
    assert!(monitor.is_silent_for(Duration::from_millis(200)));
}

#[test]
fn every_core_tells_and_scripts_elsewhere_too() {
    if is_reference() {
        return;
    }
    let server = subject().shards("2").start();
    let mut monitor = server.client();
    assert!(monitor.run("MONITOR").is_ok());
    let mut client = server.client();
    for key in ["a", "b", "c", "d"] {
        client.run(&format!("SET {key} v"));
        client.command(&["EVAL", "return redis.call('GET',KEYS[1])", "1", key]);
    }
    for key in ["a", "b", "c", "d"] {
        assert_eq!(line(&mut monitor), format!(r#"[0 127.0.0.1] "SET" "{key}" "v""#));
        assert!(line(&mut monitor).starts_with(r#"[0 127.0.0.1] "EVAL""#));
        assert_eq!(line(&mut monitor), format!(r#"[0 lua] "GET" "{key}""#));
    }
    client.pipeline(
        &(0..100).map(|number| vec!["SET".to_owned(), format!("k{number}"), "v".to_owned()]).collect::<Vec<_>>(),
    );
    let mut seen: Vec<String> = (0..100).map(|_| line(&mut monitor)).collect();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 100);
}

#[test]
fn who_does_not_read_is_closed() {
    if is_reference() {
        return;
    }
    let server = subject().setting("client-output-buffer-limit", "normal 4mb 0 0").start();
    let mut monitor = server.client();
    assert!(monitor.run("MONITOR").is_ok());
    let mut client = server.client();
    let value = vec![b'x'; 1 << 20];
    for _ in 0..60 {
        assert!(client.command(&[&b"SET"[..], b"k", &value]).is_ok());
    }
    let clients = client.info("connected_clients");
    assert_eq!(clients.as_deref(), Some("1"));
    assert!(server.log().contains("it does not read what MONITOR shows"));
}
