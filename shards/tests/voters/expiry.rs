//! Expiry under clocks that differ. What one client saw expired does not come back.

use crate::cluster::{Answer, Cluster, NODES};

/// The first member leads, with a clock ten seconds ahead, and has a key that expires in five.
fn fast_leader(seed: u64) -> Cluster {
    let mut cluster = Cluster::led_by_first(seed);
    cluster.node(1).skew_ms = 10_000;
    cluster.expect(1, "SET k v PX 5000", "OK");
    cluster.tick();
    cluster.tick();
    // Nobody's timers run: only reads can meet the key.
    cluster.advance(6_000_000);
    cluster
}

#[test]
fn a_read_that_meets_an_expired_key_logs_its_removal_and_waits_for_it() {
    let mut cluster = fast_leader(1);
    cluster.node(1).disk.held = true;
    let get = cluster.ask(1, "GET k");
    cluster.settle();
    assert_eq!(cluster.answer(get), &Answer::Waits, "the removal is on no quorum");
    cluster.node(1).disk.held = false;
    cluster.settle();
    assert_eq!(cluster.answer(get), &Answer::Reply("nil".into()));
    cluster.tick();
    cluster.tick();
    assert_eq!(cluster.held(2, "k"), None);
    assert_eq!(cluster.held(3, "k"), None);
}

#[test]
fn a_slower_leader_never_brings_back_what_any_read_saw_expired() {
    let sights = [
        ("GET k", "nil"),
        ("EXISTS k", ":0"),
        ("TTL k", ":-2"),
        ("KEYS *", "[]"),
        ("SCAN 0", "[\"0\", []]"),
        ("RANDOMKEY", "nil"),
        ("EVAL 'return redis.call(\"exists\", KEYS[1])' 1 k", ":0"),
    ];
    for (line, reply) in sights {
        let mut cluster = fast_leader(2);
        cluster.expect(1, line, reply);
        cluster.network.isolate(1, NODES);
        cluster.node(2).skew_ms = -60_000;
        cluster.elect(2);
        cluster.expect(2, "GET k", "nil");
        cluster.expect(2, "KEYS *", "[]");
    }
}

#[test]
fn an_expired_key_that_nobody_met_lives_on_under_a_slower_leader() {
    let mut cluster = fast_leader(3);
    cluster.network.isolate(1, NODES);
    cluster.node(2).skew_ms = -60_000;
    cluster.elect(2);
    cluster.expect(2, "GET k", "\"v\"");
}

#[test]
fn followers_expire_nothing_on_their_own() {
    let mut cluster = Cluster::led_by_first(4);
    cluster.node(2).skew_ms = 3_600_000;
    cluster.expect(1, "SET k v PX 60000", "OK");
    for _ in 0..30 {
        cluster.tick();
    }
    assert_eq!(cluster.held(2, "k").as_deref(), Some("v"));
    // The leader's clock reaches it, and its removal reaches them.
    for _ in 0..620 {
        cluster.tick();
    }
    for node in 1..=NODES {
        assert_eq!(cluster.held(node, "k"), None, "member {node}");
    }
}

#[test]
fn a_removal_that_was_not_committed_is_taken_back_with_its_term() {
    let mut cluster = fast_leader(5);
    cluster.network.isolate(1, NODES);
    let get = cluster.ask(1, "GET k");
    let keys = cluster.ask(1, "KEYS *");
    cluster.node(2).skew_ms = -60_000;
    cluster.tick_until(|cluster| !cluster.shard(1).is_serving());
    assert_eq!(cluster.answer(get), &Answer::Again, "a read is never unknown");
    assert_eq!(cluster.answer(keys), &Answer::Again);
    assert_eq!(cluster.held(1, "k").as_deref(), Some("v"));
}
