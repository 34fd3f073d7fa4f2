//! Commands of a connection, as text. What Redis answers was compared with Redis 7.0.15 where it has the command.

use crate::command::connection::run_on_connection;
use crate::command::host::{ClientFacts, ConnectionHost, Endpoint, PreferredEndpoint};
use crate::command::session::{Admission, Door, Session};
use crate::command::testing::Recorder;
use crate::ids::{ClientId, ShardId};
use crate::reply::Protocol;
use crate::slots::slots_of;
use std::ops::Range;

struct TestHost {
    password: Option<&'static [u8]>,
    hostname: &'static str,
    preferred: PreferredEndpoint,
}

impl ConnectionHost for TestHost {
    fn password(&self) -> Option<&[u8]> {
        self.password
    }
    fn databases(&self) -> u8 {
        16
    }
    fn unix_us(&self) -> u64 {
        1_700_000_000_000_123
    }
    fn facts(&self) -> ClientFacts {
        ClientFacts {
            peer: "127.0.0.1:5000".into(),
            local: "127.0.0.1:6379".into(),
            socket: 8,
            ..ClientFacts::default()
        }
    }
    fn name(&self) -> &str {
        "0123456789012345678901234567890123456789"
    }
    fn shards(&self) -> u16 {
        2
    }
    fn slots(&self, shard: ShardId) -> Range<u16> {
        slots_of(shard, 2)
    }
    fn endpoint(&self, shard: ShardId) -> Endpoint {
        Endpoint {
            ip: "10.0.0.1".into(),
            hostname: self.hostname.into(),
            port: 7000 + shard.0,
            preferred: self.preferred,
        }
    }
}

const OPEN: TestHost = TestHost { password: None, hostname: "", preferred: PreferredEndpoint::Ip };
const LOCKED: TestHost = TestHost { password: Some(b"secret"), ..OPEN };
const WRONG: &str = "-WRONGPASS invalid username-password pair or user is disabled.";

fn at(door: Door) -> Session {
    Session::new(ClientId(7), door, true)
}

/// The reply; empty if there is none.
fn run(session: &mut Session, host: &TestHost, line: &str) -> String {
    let list: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    let mut reply = Recorder::new(session.protocol);
    if let Admission::Run(command) = session.admit(&list, &mut reply) {
        run_on_connection(command, session, host, &list, &mut reply);
    }
    let sends = session.reply_mode.sends() && line != "CLIENT REPLY SKIP";
    session.reply_mode.request_ended();
    if sends { reply.finish() } else { String::new() }
}

fn check(session: &mut Session, host: &TestHost, lines: &[(&str, &str)]) {
    for (line, expected) in lines {
        assert_eq!(run(session, host, line), *expected, "{line}");
    }
}

#[test]
fn passwords() {
    let nopass = "-ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?";
    check(
        &mut at(Door::Server),
        &OPEN,
        &[
            ("AUTH x", nopass),
            ("AUTH default x", "OK"),
            ("AUTH bob x", WRONG),
            ("AUTH a b c", "-ERR syntax error"),
            ("AUTH", "-ERR wrong number of arguments for 'auth' command"),
        ],
    );
    let mut stranger = Session::new(ClientId(1), Door::Server, false);
    check(
        &mut stranger,
        &LOCKED,
        &[
            ("PING", "-NOAUTH Authentication required."),
            ("AUTH wrong", WRONG),
            ("AUTH secre", WRONG),
            ("AUTH secretsecret", WRONG),
            ("AUTH bob secret", WRONG),
            ("PING", "-NOAUTH Authentication required."),
            ("AUTH secret", "OK"),
            ("PING", "PONG"),
            ("AUTH wrong", WRONG),
            ("PING", "PONG"),
            ("RESET", "RESET"),
            ("PING", "-NOAUTH Authentication required."),
            ("AUTH default secret", "OK"),
            ("PING", "PONG"),
        ],
    );
}

#[test]
fn hello_switches_with_its_own_reply() {
    let mut session = at(Door::Server);
    check(
        &mut session,
        &OPEN,
        &[
            ("HELLO 4", "-NOPROTO unsupported protocol version"),
            ("HELLO x", "-ERR Protocol version is not an integer or out of range"),
            ("HELLO 2 auth a", "-ERR Syntax error in HELLO option 'auth'"),
            ("HELLO 2 setname", "-ERR Syntax error in HELLO option 'setname'"),
            ("HELLO 2 foo", "-ERR Syntax error in HELLO option 'foo'"),
            (
                "HELLO",
                r#"["server", "redis", "version", "7.2.4", "proto", :2, "id", :7, "mode", "standalone", "role", "master", "modules", []]"#,
            ),
            (
                "HELLO 3 SETNAME me",
                r#"{"server": "redis", "version": "7.2.4", "proto": :3, "id": :7, "mode": "standalone", "role": "master", "modules": []}"#,
            ),
            ("CLIENT GETNAME", r#""me""#),
            ("RESET", "RESET"),
            ("CLIENT GETNAME", "nil"),
        ],
    );
    assert_eq!(session.protocol, Protocol::Resp2);
    let mut stranger = Session::new(ClientId(1), Door::Shard(ShardId(0)), false);
    assert!(run(&mut stranger, &LOCKED, "HELLO 3").starts_with("-NOAUTH HELLO must be called with the client already"));
    assert_eq!(run(&mut stranger, &LOCKED, "HELLO 3 AUTH default wrong"), WRONG);
    assert_eq!(stranger.protocol, Protocol::Resp2, "a refused HELLO changes nothing");
    let hello = run(&mut stranger, &LOCKED, "HELLO 3 AUTH default secret");
    assert!(hello.contains(r#""mode": "cluster""#), "{hello}");
}

#[test]
fn reset_ends_silence_unless_it_is_skipped_itself() {
    check(
        &mut at(Door::Server),
        &OPEN,
        &[
            ("CLIENT REPLY SKIP", ""),
            ("RESET", ""),
            ("CLIENT REPLY OFF", ""),
            ("RESET", "RESET"),
            ("CLIENT REPLY SKIP", ""),
            ("CLIENT REPLY ON", "OK"),
            ("PING", "PONG"),
        ],
    );
}

#[test]
fn a_clients_own_names() {
    let invalid = "-ERR Client names cannot contain spaces, newlines or special characters.";
    let mut session = at(Door::Server);
    check(
        &mut session,
        &OPEN,
        &[
            ("CLIENT ID", ":7"),
            ("CLIENT GETNAME", "nil"),
            ("CLIENT SETNAME é", invalid),
            ("CLIENT SETNAME me", "OK"),
            ("CLIENT SETINFO lib-name redis-rs", "OK"),
            ("CLIENT SETINFO LIB-VER 1.0", "OK"),
            ("CLIENT SETINFO Lib-Ver é", "-ERR Lib-Ver cannot contain spaces, newlines or special characters."),
            ("CLIENT SETINFO foo 1", "-ERR Unrecognized option 'foo'"),
            ("CLIENT NO-EVICT on", "OK"),
            ("CLIENT NO-TOUCH maybe", "-ERR syntax error"),
            ("CLIENT GETREDIR", ":-1"),
            ("CLIENT TRACKINGINFO", r#"["flags", ["off"], "redirect", :-1, "prefixes", []]"#),
            ("CLIENT REPLY foo", "-ERR syntax error"),
            ("CLIENT REPLY OFF", ""),
            ("CLIENT REPLY SKIP", ""),
            ("PING", ""),
            ("CLIENT REPLY ON", "OK"),
            ("CLIENT REPLY SKIP", ""),
            ("PING", ""),
            ("PING", "PONG"),
        ],
    );
    let info = run(&mut session, &OPEN, "CLIENT INFO");
    assert!(
        info.starts_with(r#""id=7 addr=127.0.0.1:5000 laddr=127.0.0.1:6379 fd=8 name=me age=0 idle=0 flags=e db=0"#)
    );
    assert!(
        info.ends_with(r#"cmd=client|info user=default redir=-1 resp=2 lib-name=redis-rs lib-ver=1.0\n""#),
        "{info}"
    );
    run(&mut session, &OPEN, "RESET");
    assert_eq!(session.library_name, b"redis-rs", "a library stays what it is");
    assert!(!session.no_evict);
}

#[test]
fn databases() {
    check(
        &mut at(Door::Server),
        &OPEN,
        &[
            ("SELECT 15", "OK"),
            ("SELECT 16", "-ERR DB index is out of range"),
            ("SELECT -1", "-ERR DB index is out of range"),
            ("SELECT x", "-ERR value is not an integer or out of range"),
            ("SELECT 3000000000", "-ERR value is out of range, value must between -2147483648 and 2147483647"),
        ],
    );
    check(
        &mut at(Door::Shard(ShardId(1))),
        &OPEN,
        &[("SELECT 0", "OK"), ("SELECT 1", "-ERR SELECT is not allowed in cluster mode")],
    );
}

#[test]
fn a_lone_master() {
    check(
        &mut at(Door::Server),
        &OPEN,
        &[
            ("TIME", r#"["1700000000", "123"]"#),
            ("ROLE", r#"["master", :0, []]"#),
            ("WAIT 0 0", ":0"),
            ("WAIT x 0", "-ERR value is not an integer or out of range"),
            ("WAIT 0 x", "-ERR timeout is not an integer or out of range"),
            ("WAIT 0 -1", "-ERR timeout is negative"),
            ("WAITAOF 1 0 0", "[:1, :0]"),
            ("WAITAOF 2 0 0", "-ERR value is out of range, value must between 0 and 1"),
            ("MODULE LIST", "[]"),
        ],
    );
}

#[test]
fn a_shards_port_is_a_clusters_node() {
    for line in ["CLUSTER INFO", "CLUSTER KEYSLOT a", "CLUSTER HELP", "READONLY", "ASKING"] {
        assert_eq!(run(&mut at(Door::Server), &OPEN, line), "-ERR This instance has cluster support disabled");
    }
    let mut session = at(Door::Shard(ShardId(1)));
    let [first, second] = [0, 1].map(|shard| super::cluster::node_id(OPEN.name(), ShardId(shard)));
    assert_eq!(first.len(), 40);
    assert_ne!(first, second);
    check(
        &mut session,
        &OPEN,
        &[
            ("CLUSTER KEYSLOT a", ":15495"),
            ("CLUSTER MYID", &format!("{second:?}")),
            ("CLUSTER REPLICAS x", "-ERR Unknown node x"),
            (&format!("CLUSTER COUNT-FAILURE-REPORTS {first}"), ":0"),
            ("READONLY", "OK"),
            (
                "CLUSTER SLOTS",
                &format!(
                    r#"[[:0, :8191, ["10.0.0.1", :7000, "{first}", []]], [:8192, :16383, ["10.0.0.1", :7001, "{second}", []]]]"#
                ),
            ),
            (
                "CLUSTER NODES",
                &format!(
                    r#""{first} 10.0.0.1:7000@0 master - 0 1700000000000 1 connected 0-8191\n{second} 10.0.0.1:7001@0 myself,master - 0 0 2 connected 8192-16383\n""#
                ),
            ),
        ],
    );
    assert!(run(&mut session, &OPEN, "CLUSTER RESET").starts_with("-ERR CLUSTER RESET is refused"));
    let named = TestHost { hostname: "ring.example", preferred: PreferredEndpoint::Hostname, ..OPEN };
    session.protocol = Protocol::Resp3;
    let slots = run(&mut session, &named, "CLUSTER SLOTS");
    let expected = format!(r#"[:0, :8191, ["ring.example", :7000, "{first}", {{"ip": "10.0.0.1"}}]]"#);
    assert!(slots.contains(&expected), "{slots}");
    let shards = run(&mut session, &named, "CLUSTER SHARDS");
    let expected = format!(
        r#"{{"slots": [:0, :8191], "nodes": [{{"id": "{first}", "port": :7000, "ip": "10.0.0.1", "endpoint": "ring.example", "hostname": "ring.example", "role": "master", "replication-offset": :0, "health": "online"}}]}}"#
    );
    assert!(shards.contains(&expected), "{shards}");
}
