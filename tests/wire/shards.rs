//! Several shards behind one port, and each behind its own. Only Ringkeep has these.

use super::common::{Reply, Server, ServerOptions};
use super::is_reference;
use redis_protocol::redis_keyslot;

const SHARDS: u16 = 3;
const KEYS: usize = 300;

fn start() -> Server {
    ServerOptions::ringkeep().shards(SHARDS).start()
}

/// The shards' port for each slot, as CLUSTER SLOTS tells it.
pub(super) fn ports_of_slots(server: &Server) -> Vec<u16> {
    let mut ports = vec![0; 16_384];
    for range in super::common::Client::connect(server.shard_port(0)).run("CLUSTER SLOTS").elements() {
        let [first, last, node, ..] = range.elements() else {
            panic!("a range without a node: {range:?}");
        };
        let port = u16::try_from(node.elements()[1].integer()).expect("a port");
        ports[first.integer() as usize..=last.integer() as usize].fill(port);
    }
    ports
}

#[test]
fn keys_of_all_shards_are_served_on_one_port() {
    if is_reference() {
        return;
    }
    let server = start();
    let mut client = server.client();
    let names: Vec<String> = (0..KEYS).map(|number| format!("key{number}")).collect();
    let mut set = vec!["MSET"];
    names.iter().for_each(|name| set.extend([name.as_str(), name.as_str()]));
    assert!(client.command(&set).is_ok());
    assert_eq!(client.run("DBSIZE"), Reply::Integer(KEYS as i64));
    for name in &names {
        assert_eq!(client.command(&["GET", name]).text(), *name);
    }
    let mut get = vec!["MGET", "missing"];
    get.extend(names.iter().map(String::as_str));
    let reply = client.command(&get);
    assert!(reply.elements()[0].is_null());
    let values: Vec<String> = reply.elements()[1..].iter().map(Reply::text).collect();
    assert_eq!(values, names, "MGET keeps the order of its keys");
    // Pipelined requests for different shards are answered in order.
    let requests: Vec<Vec<&str>> = names.iter().map(|name| vec!["GET", name]).collect();
    let values: Vec<String> = client.pipeline(&requests).iter().map(Reply::text).collect();
    assert_eq!(values, names);
    assert_eq!(client.run("KEYS *").elements().len(), KEYS);
    let mut scanned = std::collections::BTreeSet::new();
    let mut cursor = "0".to_owned();
    loop {
        let reply = client.command(&["SCAN", &cursor, "COUNT", "7"]);
        scanned.extend(reply.elements()[1].elements().iter().map(Reply::text));
        cursor = reply.elements()[0].text();
        if cursor == "0" {
            break;
        }
        assert!(cursor.parse::<u64>().expect("a number") < 1 << 53, "cursors fit a double");
    }
    assert_eq!(scanned, names.iter().cloned().collect());
    let mut exists = vec!["EXISTS"];
    exists.extend(names.iter().map(String::as_str));
    assert_eq!(client.command(&exists), Reply::Integer(KEYS as i64));
    exists[0] = "UNLINK";
    assert_eq!(client.command(&exists), Reply::Integer(KEYS as i64));
    assert_eq!(client.run("DBSIZE"), Reply::Integer(0));
}

#[test]
fn a_protocol_error_behind_commands_of_other_shards_is_told() {
    if is_reference() {
        return;
    }
    let server = start();
    let requests: [(&[u8], &str); 3] = [
        (b"*1\r\nabc\r\n", "ERR Protocol error: expected '$', got 'a'"),
        (b"GET \"\r\n", "ERR Protocol error: unbalanced quotes in request"),
        (b"*1\r\n$-1\r\n", "ERR Protocol error: invalid bulk length"),
    ];
    // Of so many keys some are other cores', wherever the connection is.
    for number in 0..12 {
        for (wrong, told) in requests {
            let mut client = server.client();
            let mut bytes = format!("SET key{number} v\r\nGET key{number}\r\n").into_bytes();
            bytes.extend_from_slice(wrong);
            client.send_raw(&bytes);
            let got = client.read_to_end().escape_ascii().to_string();
            assert_eq!(got, format!("+OK\\r\\n$1\\r\\nv\\r\\n-{}\\r\\n", told.escape_default()));
        }
    }
}

#[test]
fn what_spans_shards_and_cannot_yet_is_refused_whole() {
    if is_reference() {
        return;
    }
    let server = start();
    let ports = ports_of_slots(&server);
    let port = |name: &str| ports[usize::from(redis_keyslot(name.as_bytes()))];
    let (here, there) =
        ("here", (0..).map(|n| format!("there{n}")).find(|name| port(name) != port("here")).expect("endless"));
    let there = there.as_str();
    let mut client = server.client();
    assert!(client.command(&["MSET", here, "1", there, "2"]).is_ok());
    let script = "redis.call('SET',KEYS[1],'x') redis.call('SET',KEYS[2],'x')";
    let undeclared = format!("redis.call('SET','{here}','x') return redis.call('SET','{there}','x')");
    let requests: Vec<Vec<&str>> = vec![
        vec!["RENAME", here, there],
        vec!["RENAMENX", here, there],
        vec!["COPY", here, there, "REPLACE"],
        vec!["MSETNX", here, "x", there, "x"],
        vec!["BITOP", "AND", here, here, there],
        vec!["LCS", here, there],
        vec!["EVAL", script, "2", here, there],
        vec!["EVAL", &undeclared, "0"],
        vec!["EVAL", &undeclared, "1", here],
    ];
    for request in &requests {
        let text = client.command(request).error_text().unwrap_or_else(|| panic!("{request:?} was served"));
        assert!(text.contains("CROSSSLOT"), "{request:?}: {text}");
    }
    client.run("MULTI");
    client.command(&["SET", here, "x"]);
    client.command(&["SET", there, "x"]);
    let text = client.run("EXEC").error_text().expect("refused");
    assert!(text.contains("CROSSSLOT"), "{text}");
    let values: Vec<String> = client.command(&["MGET", here, there]).elements().iter().map(Reply::text).collect();
    assert_eq!(values, ["1", "2"], "nothing was applied");
    // Hash tags bring keys together.
    assert!(client.run("MSETNX {tag}a 1 {tag}b 2").integer() == 1);
    assert!(client.run("RENAME {tag}a {tag}c").is_ok());
}

#[test]
fn a_shards_port_serves_its_own_slots() {
    if is_reference() {
        return;
    }
    let server = start();
    let ports = ports_of_slots(&server);
    let expected: Vec<u16> = (0..SHARDS).map(|shard| server.shard_port(shard)).collect();
    assert!(ports.iter().all(|port| expected.contains(port)), "every slot has a port");
    let mut clients: Vec<_> = expected.iter().map(|&port| super::common::Client::connect(port)).collect();
    let mut own = vec![0; clients.len()];
    for number in 0..KEYS {
        let name = format!("key{number}");
        let slot = redis_keyslot(name.as_bytes());
        let owner = ports[usize::from(slot)];
        for (at, client) in clients.iter_mut().enumerate() {
            let reply = client.command(&["SET", &name, "v"]);
            if expected[at] == owner {
                own[at] += 1;
                assert!(reply.is_ok(), "{reply:?}");
            } else {
                assert_eq!(reply.error_text(), Some(format!("MOVED {slot} 127.0.0.1:{owner}")));
            }
        }
    }
    for (client, own) in clients.iter_mut().zip(&own) {
        assert_eq!(client.run("DBSIZE"), Reply::Integer(*own), "a shard's port counts its own keys");
        assert_eq!(client.info("cluster_enabled").as_deref(), Some("1"));
        assert!(client.run("SELECT 1").error_text().is_some(), "a cluster has one database");
        let id = client.run("CLUSTER MYID").text();
        assert!(id.len() == 40 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
        let nodes = client.run("CLUSTER NODES").text();
        let myself = nodes.lines().find(|line| line.contains("myself")).expect("a line of its own");
        assert!(myself.starts_with(&id), "{nodes}");
        assert_eq!(nodes.lines().count(), usize::from(SHARDS));
        assert!(client.run("CLUSTER INFO").text().contains("cluster_state:ok"));
    }
    let mut main = server.client();
    assert_eq!(main.run("DBSIZE"), Reply::Integer(own.iter().sum()));
    assert_eq!(main.info("cluster_enabled").as_deref(), Some("0"));
    assert_eq!(main.info("redis_mode").as_deref(), Some("standalone"));
}
