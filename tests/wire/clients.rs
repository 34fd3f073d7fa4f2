//! What belongs to a connection: its protocol, its silence, its end at another's hand.

use super::common::Reply;
use super::{is_reference, subject};
use std::time::{Duration, Instant};

#[test]
fn hello_tells_who_answers() {
    let server = subject().start();
    let mut client = server.client();
    let Reply::Array(fields) = client.run("HELLO") else {
        panic!("RESP2 until another is asked for");
    };
    assert_eq!(fields.len(), 14);
    let Reply::Map(fields) = client.run("HELLO 3") else {
        panic!("a map in RESP3");
    };
    let field = |name: &str| {
        let pair = fields.chunks(2).find(|pair| pair[0].text() == name);
        pair.unwrap_or_else(|| panic!("no {name} in {fields:?}"))[1].clone()
    };
    assert_eq!(field("server").text(), "redis");
    assert_eq!(field("proto"), Reply::Integer(3));
    assert_eq!(field("mode").text(), "standalone");
    assert_eq!(field("role").text(), "master");
    assert_eq!(field("modules"), Reply::Array(Vec::new()));
    assert_eq!(field("id"), client.run("CLIENT ID"));
    if !is_reference() {
        assert_eq!(field("version").text(), "7.2.4");
    }
    // Protocols are a connection's own.
    assert_eq!(client.run("GET missing"), Reply::Null);
    assert_eq!(server.client().run("GET missing"), Reply::NullBulk);
    assert!(matches!(client.run("HELLO 2"), Reply::Array(_)));
    assert_eq!(client.run("GET missing"), Reply::NullBulk);
    assert_eq!(client.run("HELLO 4").error_text().as_deref(), Some("NOPROTO unsupported protocol version"));
}

#[test]
fn replies_can_be_turned_off() {
    let server = subject().start();
    let mut client = server.client();
    client.send_raw(b"CLIENT REPLY OFF\r\nSET k 1\r\nPING\r\nBOGUS\r\nCLIENT REPLY ON\r\nGET k\r\n");
    assert!(client.reply().is_ok(), "the reply to ON is the first");
    assert_eq!(client.reply().text(), "1", "what was asked in silence was done");
    client.send_raw(b"CLIENT REPLY SKIP\r\nINCR k\r\nINCR k\r\n");
    assert_eq!(client.reply(), Reply::Integer(3), "one reply is skipped, and SKIP has none");
    assert!(client.is_silent_for(Duration::from_millis(50)));
}

#[test]
fn replies_are_turned_off_where_a_transaction_says_so() {
    let server = subject().start();
    let end = "CLIENT REPLY ON\nQUIT\n";
    let cases = [
        // Within EXEC the mode changes between its commands. What it leaves of the array is what Redis leaves.
        ("MULTI\nCLIENT REPLY OFF\nPING\nEXEC\nPING\n", "+OK +QUEUED +QUEUED *2 +OK +OK "),
        ("MULTI\nGET none\nCLIENT REPLY OFF\nGET none\nEXEC\nPING\n", "+OK +QUEUED +QUEUED +QUEUED *3 $-1 +OK +OK "),
        ("CLIENT REPLY OFF\nMULTI\nPING\nCLIENT REPLY ON\nGET none\nEXEC\nPING\n", "+OK $-1 +PONG +OK +OK "),
        ("MULTI\nCLIENT REPLY SKIP\nPING\nEXEC\nPING a\nPING\n", "+OK +QUEUED +QUEUED *2 +PONG +PONG +OK +OK "),
        // With commands of the whole node among its own it runs piece by piece.
        ("MULTI\nCLIENT REPLY OFF\nCLIENT UNPAUSE\nGET none\nEXEC\nPING\n", "+OK +QUEUED +QUEUED +QUEUED *3 +OK +OK "),
        ("CLIENT REPLY OFF\nMULTI\nCLIENT UNPAUSE\nCLIENT REPLY ON\nGET none\nEXEC\nPING\n", "+OK $-1 +PONG +OK +OK "),
        ("MULTI\nCLIENT REPLY SKIP\nCLIENT UNPAUSE\nEXEC\nPING\nPING\n", "+OK +QUEUED +QUEUED *2 +OK +PONG +OK +OK "),
        // EXEC itself is skipped, or what follows it.
        ("MULTI\nPING\nCLIENT REPLY SKIP\nEXEC\nPING a\nPING\n", "+OK +QUEUED +QUEUED *2 +PONG +PONG +OK +OK "),
        ("CLIENT REPLY SKIP\nCLIENT REPLY ON\nPING\n", "+OK +PONG +OK +OK "),
        ("CLIENT REPLY SKIP\nRESET\nPING\n", "+PONG +OK +OK "),
        ("CLIENT REPLY OFF\nRESET\nPING\n", "+RESET +PONG +OK +OK "),
        // An empty request is one too.
        ("CLIENT REPLY SKIP\n\nPING\n", "+PONG +OK +OK "),
    ];
    for (requests, replies) in cases {
        let mut client = server.client();
        client.send_raw(format!("{requests}{end}").as_bytes());
        let got = String::from_utf8(client.read_to_end()).expect("text").replace("\r\n", " ");
        assert_eq!(got, replies, "{requests:?}");
    }
}

#[test]
fn one_client_can_end_another() {
    let server = subject().start();
    let (mut killer, mut victim) = (server.client(), server.client());
    let id = victim.run("CLIENT ID").integer();
    victim.run("CLIENT SETNAME victim");
    let list = killer.run("CLIENT LIST").text();
    let line = list.lines().find(|line| line.contains("name=victim")).expect("a line for each client").to_owned();
    assert!(line.starts_with(&format!("id={id} addr=127.0.0.1:")), "{line}");
    assert_eq!(killer.command(&["CLIENT", "KILL", "ID", &id.to_string()]), Reply::Integer(1));
    assert_eq!(victim.read_to_end(), b"");
    assert_eq!(killer.command(&["CLIENT", "KILL", "ID", &id.to_string()]), Reply::Integer(0));
    // By address, the old form.
    let mut victim = server.client();
    victim.run("PING");
    let address = victim.stream().local_addr().expect("an address").to_string();
    assert!(killer.command(&["CLIENT", "KILL", &address]).is_ok());
    assert_eq!(victim.read_to_end(), b"");
    let text = killer.command(&["CLIENT", "KILL", &address]).error_text();
    assert_eq!(text.as_deref(), Some("ERR No such client"));
    // Oneself: the reply still comes.
    let own = killer.run("CLIENT ID").integer().to_string();
    assert_eq!(killer.command(&["CLIENT", "KILL", "ID", &own, "SKIPME", "no"]), Reply::Integer(1));
    assert_eq!(killer.read_to_end(), b"");
}

#[test]
fn a_pause_holds_writes_back() {
    let server = subject().start();
    let (mut pauser, mut writer, mut reader) = (server.client(), server.client(), server.client());
    assert!(pauser.run("CLIENT PAUSE 10000 WRITE").is_ok());
    assert!(reader.run("GET k").is_null(), "reads go on");
    writer.send(&["SET", "k", "v"]);
    assert!(writer.is_silent_for(Duration::from_millis(100)));
    assert!(pauser.run("CLIENT UNPAUSE").is_ok());
    assert!(writer.reply().is_ok());
    // It also ends by itself.
    let start = Instant::now();
    assert!(pauser.run("CLIENT PAUSE 200 ALL").is_ok());
    assert!(writer.run("SET k w").is_ok());
    assert!(start.elapsed() >= Duration::from_millis(190), "held back for {:?}", start.elapsed());
}

#[test]
fn quit_answers_and_closes() {
    let server = subject().start();
    let mut client = server.client();
    client.send_raw(b"SET k v\r\nQUIT\r\nSET k w\r\n");
    assert_eq!(client.read_to_end(), b"+OK\r\n+OK\r\n");
    assert_eq!(server.client().run("GET k").text(), "v", "nothing after QUIT is done");
}
