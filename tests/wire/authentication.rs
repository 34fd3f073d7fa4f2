//! Passwords, and who may talk without one.

use super::common::{Client, Reply, encode};
use super::subject;
use std::net::UdpSocket;

const WRONG: &str = "WRONGPASS invalid username-password pair or user is disabled.";

#[test]
fn nothing_without_the_password() {
    let server = subject().setting("requirepass", "secret").start();
    let mut client = server.client();
    for request in ["PING", "GET k", "SET k v", "MULTI", "CONFIG GET *", "CLIENT ID", "EXEC", "BOGUS", "GET"] {
        let text = client.run(request).error_text().unwrap_or_else(|| panic!("{request} was served"));
        let known = match request {
            "BOGUS" => text.starts_with("ERR unknown command"),
            "EXEC" => text == "EXECABORT Transaction discarded because of: NOAUTH Authentication required.",
            "GET" => text == "ERR wrong number of arguments for 'get' command",
            _ => text == "NOAUTH Authentication required.",
        };
        assert!(known, "{request}: {text}");
    }
    assert_eq!(client.run("AUTH wrong").error_text().as_deref(), Some(WRONG));
    assert_eq!(client.run("AUTH default wrong").error_text().as_deref(), Some(WRONG));
    assert_eq!(client.run("AUTH someone secret").error_text().as_deref(), Some(WRONG));
    assert!(client.run("AUTH secret").is_ok());
    assert!(client.run("SET k v").is_ok());
    assert!(client.run("AUTH default secret").is_ok());
    assert_eq!(client.run("RESET").text(), "RESET");
    assert_eq!(client.run("GET k").error_text().as_deref(), Some("NOAUTH Authentication required."));
    assert!(client.run("QUIT").is_ok());
}

#[test]
fn hello_can_bring_the_password() {
    let server = subject().setting("requirepass", "secret").start();
    let mut client = server.client();
    let text = client.run("HELLO 3").error_text().expect("refused");
    assert!(text.starts_with("NOAUTH HELLO must be called with the client already authenticated"), "{text}");
    assert_eq!(client.run("HELLO 3 AUTH default wrong").error_text().as_deref(), Some(WRONG));
    let hello = client.run("HELLO 3 AUTH default secret SETNAME me");
    assert!(matches!(hello, Reply::Map(_)), "{hello:?}");
    assert_eq!(client.run("CLIENT GETNAME").text(), "me");
    assert_eq!(client.run("GET missing"), Reply::Null);
}

#[test]
fn who_has_the_password_may_send_much() {
    let server = subject().setting("requirepass", "secret").start();
    let large = "x".repeat(20_000);
    let set = ["SET", "k", large.as_str()];
    let many = [&["EXISTS"][..], &["k"; 30]].concat();
    for authenticate in ["AUTH secret", "HELLO 2 AUTH default secret"] {
        // At once: the bounds of strangers end between two requests that came together.
        let mut client = server.client();
        let mut bytes = format!("{authenticate}\r\n").into_bytes();
        encode(&mut bytes, &set);
        encode(&mut bytes, &many);
        client.send_raw(&bytes);
        assert!(client.reply().error_text().is_none());
        assert!(client.reply().is_ok());
        assert_eq!(client.reply(), Reply::Integer(30));
        // And later; until it is a stranger again.
        assert!(client.command(&set).is_ok());
        assert_eq!(client.run("RESET").text(), "RESET");
        client.send(&set);
        let text = client.reply().error_text();
        assert_eq!(text.as_deref(), Some("ERR Protocol error: unauthenticated bulk length"));
    }
}

#[test]
fn nobody_is_a_stranger_once_the_password_is_gone() {
    let server = subject().start();
    let mut first = server.client();
    assert!(first.run("CONFIG SET requirepass secret").is_ok());
    let mut second = server.client();
    assert!(second.run("PING").error_text().is_some());
    assert!(first.command(&["CONFIG", "SET", "requirepass", ""]).is_ok());
    assert_eq!(second.run("PING").text(), "PONG");
    assert!(second.command(&["SET", "k", &"x".repeat(20_000)]).is_ok());
}

#[test]
fn the_longest_argument_can_be_set_while_clients_are_connected() {
    let server = subject().start();
    let (mut client, mut other) = (server.client(), server.client());
    client.run("PING");
    let large = "x".repeat(1_500_000);
    assert!(other.run("CONFIG SET proto-max-bulk-len 1048576").is_ok());
    client.send_raw(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1500000\r\n");
    assert_eq!(client.reply().error_text().as_deref(), Some("ERR Protocol error: invalid bulk length"));
    assert!(other.run("CONFIG SET proto-max-bulk-len 2097152").is_ok());
    assert!(other.command(&["SET", "k", &large]).is_ok());
}

#[test]
fn strangers_cannot_announce_much() {
    let server = subject().setting("requirepass", "secret").start();
    for (bytes, expected) in [
        (&b"*11\r\n$4\r\nPING\r\n"[..], "ERR Protocol error: unauthenticated multibulk length"),
        (&b"*2\r\n$4\r\nAUTH\r\n$16385\r\n"[..], "ERR Protocol error: unauthenticated bulk length"),
    ] {
        let mut client = server.client();
        client.send_raw(bytes);
        assert_eq!(client.reply().error_text().as_deref(), Some(expected));
        assert_eq!(client.read_to_end(), b"");
    }
}

#[test]
fn whoever_is_let_in_may_send_as_much_as_anybody() {
    let server = subject().setting("requirepass", "secret").start();
    let mut client = server.client();
    let names: Vec<Vec<u8>> = (0..30).map(|number| format!("key:{number}").into_bytes()).collect();
    let delete: Vec<&[u8]> = std::iter::once(&b"DEL"[..]).chain(names.iter().map(Vec::as_slice)).collect();
    let value = vec![b'x'; 100_000];
    assert!(client.run("AUTH secret").is_ok());
    assert_eq!(client.command(&delete), Reply::Integer(0));
    assert!(client.command(&[&b"SET"[..], b"key:1", &value]).is_ok());
    // In one pipeline with what lets in, and what puts out again.
    let mut client = server.client();
    client.send(&["HELLO", "2", "AUTH", "default", "secret"]);
    client.send(&delete);
    client.send(&["RESET"]);
    client.send(&delete);
    assert!(matches!(client.reply(), Reply::Array(_)));
    assert_eq!(client.reply(), Reply::Integer(1));
    assert_eq!(client.reply().text(), "RESET");
    let text = client.reply().error_text();
    assert_eq!(text.as_deref(), Some("ERR Protocol error: unauthenticated multibulk length"));
}

#[test]
fn a_password_can_be_set_while_running() {
    let server = subject().start();
    let (mut before, mut setter) = (server.client(), server.client());
    assert_eq!(
        before.run("AUTH x").error_text().as_deref(),
        Some(
            "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?"
        )
    );
    assert!(setter.run("CONFIG SET requirepass secret").is_ok());
    assert_eq!(before.run("PING").text(), "PONG", "who is in stays in");
    let mut after = server.client();
    assert_eq!(after.run("PING").error_text().as_deref(), Some("NOAUTH Authentication required."));
    assert!(after.run("AUTH secret").is_ok());
    assert_eq!(after.run("CONFIG GET requirepass").elements()[1].text(), "secret");
}

/// An address of this machine that is not loopback, if it has one. Nothing is sent: connecting a datagram socket only looks up
/// the route.
fn outer_address() -> Option<String> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then(|| address.to_string())
}

#[test]
fn beyond_loopback_nobody_is_served_without_a_password() {
    let Some(address) = outer_address() else {
        eprintln!("skipped: this machine has only a loopback address");
        return;
    };
    let connect = |port: u16| {
        let stream = std::net::TcpStream::connect((address.as_str(), port)).expect("connect from outside");
        Client::from_stream(stream)
    };
    let server = subject().bind("0.0.0.0").start();
    let mut stranger = connect(server.port());
    let text = stranger.reply().error_text().expect("refused");
    assert!(text.starts_with("DENIED "), "{text}");
    assert_eq!(stranger.read_to_end(), b"");
    assert_eq!(server.client().run("PING").text(), "PONG", "loopback is served");
    drop(server);

    let server = subject().bind("0.0.0.0").setting("requirepass", "secret").start();
    assert!(connect(server.port()).run("AUTH secret").is_ok());
    drop(server);

    let server = subject().bind("0.0.0.0").setting("protected-mode", "no").start();
    assert_eq!(connect(server.port()).run("PING").text(), "PONG");
}
