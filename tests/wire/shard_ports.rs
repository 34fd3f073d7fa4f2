//! A shard's own port as a node of a Redis Cluster. Only Ringkeep has these.

use super::common::{Client, Reply, Server, ServerOptions};
use super::is_reference;
use super::shards::ports_of_slots;
use redis_protocol::redis_keyslot;
use std::collections::BTreeSet;
use std::process::Command;

const SHARDS: u16 = 3;
const KEYS: usize = 300;

fn start() -> Option<Server> {
    if is_reference() {
        return None;
    }
    Some(ServerOptions::ringkeep().shards(SHARDS).start())
}

/// A connection to each shard's port, and a key that lives there.
fn shards(server: &Server) -> Vec<(Client, String)> {
    let ports = ports_of_slots(server);
    let key = |port: u16| {
        let mut names = (0..).map(|number| format!("key{number}"));
        names.find(|name| ports[usize::from(redis_keyslot(name.as_bytes()))] == port).expect("endless")
    };
    let port = |shard| server.shard_port(shard);
    (0..SHARDS).map(|shard| (Client::connect(port(shard)), key(port(shard)))).collect()
}

fn error(reply: &Reply) -> String {
    reply.error_text().unwrap_or_else(|| panic!("served: {reply:?}"))
}

#[test]
fn a_node_has_one_database() {
    let Some(server) = start() else { return };
    let (mut client, key) = shards(&server).swap_remove(1);
    assert!(client.command(&["SET", &key, "v"]).is_ok());
    assert!(client.run("SELECT 0").is_ok());
    assert_eq!(error(&client.run("SELECT 1")), "ERR SELECT is not allowed in cluster mode");
    assert_eq!(error(&client.command(&["MOVE", &key, "1"])), "ERR MOVE is not allowed in cluster mode");
    let copy = format!("{{{key}}}copy");
    let refused = "ERR Copying to another database is not allowed in cluster mode";
    assert_eq!(error(&client.command(&["COPY", &key, &copy, "DB", "1"])), refused);
    assert_eq!(client.command(&["COPY", &key, &copy, "DB", "0"]), Reply::Integer(1));
    client.run("MULTI");
    for request in [vec!["MOVE", &key, "1"], vec!["COPY", &key, &copy, "DB", "1"], vec!["SELECT", "1"]] {
        assert_eq!(client.command(&request).text(), "QUEUED");
    }
    let replies = client.run("EXEC");
    assert!(replies.elements().iter().all(|reply| error(reply).contains("not allowed in cluster mode")), "{replies:?}");
    for allowed in ["READONLY", "READWRITE", "ASKING"] {
        assert!(client.run(allowed).is_ok(), "{allowed}");
    }
}

#[test]
fn whole_keyspace_commands_cover_the_node_alone() {
    let Some(server) = start() else { return };
    let mut main = server.client();
    for number in 0..KEYS {
        main.command(&["SET", &format!("key{number}"), "v"]);
    }
    let ports = ports_of_slots(&server);
    let mut left = KEYS;
    for (shard, (client, _)) in shards(&server).iter_mut().enumerate() {
        let port = server.shard_port(shard as u16);
        let own: BTreeSet<String> = (0..KEYS)
            .map(|number| format!("key{number}"))
            .filter(|name| ports[usize::from(redis_keyslot(name.as_bytes()))] == port)
            .collect();
        let texts = |reply: &Reply| -> Vec<String> { reply.elements().iter().map(Reply::text).collect() };
        assert_eq!(client.run("DBSIZE"), Reply::Integer(own.len() as i64));
        assert_eq!(texts(&client.run("KEYS *")).into_iter().collect::<BTreeSet<_>>(), own);
        let whole = client.run("SCAN 0 COUNT 10000");
        assert_eq!(whole.elements()[0].text(), "0", "there is nothing behind this shard's last key");
        assert_eq!(texts(&whole.elements()[1]).into_iter().collect::<BTreeSet<_>>(), own);
        let (mut scanned, mut cursor) = (BTreeSet::new(), "0".to_owned());
        loop {
            let page = client.command(&["SCAN", &cursor, "COUNT", "9"]);
            scanned.extend(texts(&page.elements()[1]));
            cursor = page.elements()[0].text();
            if cursor == "0" {
                break;
            }
        }
        assert_eq!(scanned, own);
        for _ in 0..20 {
            assert!(own.contains(&client.run("RANDOMKEY").text()));
        }
        let keyspace = client.run("INFO keyspace").text();
        assert!(keyspace.contains(&format!("db0:keys={},", own.len())), "{keyspace}");
        assert!(client.run(if shard == 0 { "FLUSHALL" } else { "FLUSHDB" }).is_ok());
        left -= own.len();
        assert_eq!(main.run("DBSIZE"), Reply::Integer(left as i64), "and the others keep theirs");
    }
}

#[test]
fn a_foreign_key_is_redirected_before_it_is_queued() {
    let Some(server) = start() else { return };
    let mut shards = shards(&server);
    let foreign = shards[2].1.clone();
    let (client, key) = &mut shards[0];
    let moved = format!("MOVED {} 127.0.0.1:{}", redis_keyslot(foreign.as_bytes()), server.shard_port(2));
    assert_eq!(error(&client.command(&["GET", &foreign])), moved);
    assert_eq!(error(&client.command(&["WATCH", &foreign])), moved);
    assert_eq!(error(&client.command(&["EVAL", "return 1", "1", &foreign])), moved);
    assert!(error(&client.command(&["MGET", key, &foreign])).starts_with("CROSSSLOT"));
    client.run("MULTI");
    assert_eq!(client.command(&["SET", key, "v"]).text(), "QUEUED");
    assert_eq!(error(&client.command(&["SET", &foreign, "v"])), moved);
    assert!(error(&client.run("EXEC")).starts_with("EXECABORT"));
    assert!(client.command(&["GET", key]).is_null(), "nothing of it was done");
    for absent in ["PUBLISH a b", "SUBSCRIBE a", "SPUBLISH a b"] {
        assert!(error(&client.run(absent)).starts_with("ERR unknown command"), "{absent}");
    }
}

#[test]
fn a_node_keeps_its_id() {
    let Some(mut server) = start() else { return };
    let ids = |server: &Server| -> Vec<String> {
        shards(server).iter_mut().map(|(client, _)| client.run("CLUSTER MYID").text()).collect()
    };
    let before = ids(&server);
    assert_eq!(before.iter().collect::<BTreeSet<_>>().len(), usize::from(SHARDS));
    server.terminate();
    server.start();
    assert_eq!(ids(&server), before);
}

/// What redis-cli says about the cluster; none where it is not installed.
fn redis_cli(arguments: &[&str]) -> Option<String> {
    match Command::new("redis-cli").args(arguments).output() {
        Ok(output) => Some(String::from_utf8_lossy(&output.stdout).into_owned()),
        Err(error) => {
            eprintln!("skipped: no redis-cli ({error})");
            None
        }
    }
}

#[test]
fn redis_cli_finds_the_cluster_in_order() {
    let Some(server) = start() else { return };
    let node = format!("127.0.0.1:{}", server.shard_port(1));
    let Some(text) = redis_cli(&["--cluster", "check", &node]) else { return };
    for line in ["[OK] All nodes agree about slots configuration.", "[OK] All 16384 slots covered."] {
        assert!(text.contains(line), "{text}");
    }
    let text = redis_cli(&["--cluster", "info", &node]).expect("it was there");
    assert!(text.contains("[OK] 0 keys in 3 masters."), "{text}");
    // And follows redirections.
    let port = server.shard_port(0).to_string();
    for (_, key) in shards(&server) {
        let text = redis_cli(&["-c", "-p", &port, "SET", &key, "v"]).expect("it was there");
        assert!(text.trim_end().ends_with("OK"), "{text}");
    }
    assert_eq!(server.client().run("DBSIZE"), Reply::Integer(i64::from(SHARDS)));
}

/// What a script or a transaction does there stays in the shard's one database, and a transaction in one slot.
#[test]
fn scripts_and_transactions_keep_to_the_node() {
    let Some(server) = start() else { return };
    let (mut client, key) = shards(&server).swap_remove(1);
    assert!(client.command(&["SET", &key, "v"]).is_ok());
    let eval = |client: &mut Client, script: &str| client.command(&["EVAL", script, "1", &key]);
    let refused = error(&eval(&mut client, "redis.call('SELECT', 1) return redis.call('SET', KEYS[1], 'other')"));
    assert!(refused.contains("SELECT is not allowed in cluster mode"), "{refused}");
    let refused = error(&eval(&mut client, "return redis.call('MOVE', KEYS[1], 1)"));
    assert!(refused.contains("MOVE is not allowed in cluster mode"), "{refused}");
    assert_eq!(eval(&mut client, "redis.call('SELECT', 0) return redis.call('DBSIZE')"), Reply::Integer(1));
    assert_eq!(client.command(&["GET", &key]).text(), "v");
    // Two keys of this shard in two slots: MULTI takes them one by one, EXEC does not run them together.
    let mine = |name: &String| error_free(&mut Client::connect(server.shard_port(1)), name);
    let other = (0..).map(|number| format!("other{number}")).find(mine).expect("endless");
    assert!(client.run("MULTI").is_ok());
    assert_eq!(client.command(&["SET", &key, "changed"]).text(), "QUEUED");
    assert_eq!(client.command(&["SET", &other, "changed"]).text(), "QUEUED");
    assert_eq!(error(&client.run("EXEC")), "CROSSSLOT Keys in request don't hash to the same slot");
    assert_eq!(client.command(&["GET", &key]).text(), "v");
}

/// Whether a node serves a key.
fn error_free(client: &mut Client, name: &str) -> bool {
    client.command(&["GET", name]).error_text().is_none()
}
