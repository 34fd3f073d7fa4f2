//! Members that lose their memory and find what their logs hold.

use crate::cluster::{Answer, Cluster, LARGE_BYTES_MIN, NODES};

#[test]
fn everything_acknowledged_is_there_after_all_members_lost_power() {
    let mut cluster = Cluster::led_by_first(1);
    for n in 0..50 {
        cluster.expect(1, &format!("SET k{n} {n}"), "OK");
        cluster.expect(1, "APPEND log x", &format!(":{}", n + 1));
    }
    let before = cluster.contents(1);
    for node in 1..=NODES {
        cluster.crash(node);
    }
    for node in 1..=NODES {
        cluster.start(node);
        assert!(!cluster.shard(node).is_serving());
    }
    cluster.tick_until(|cluster| !cluster.serving().is_empty());
    let leader = cluster.serving()[0];
    assert_eq!(cluster.contents(leader), before);
    cluster.expect(leader, "STRLEN log", ":50");
    cluster.tick_until(|cluster| (1..=NODES).all(|node| cluster.commit(node) == cluster.commit(leader)));
    cluster.expect_equal();
}

#[test]
fn a_member_remembers_its_term_and_its_vote() {
    let mut cluster = Cluster::led_by_first(2);
    cluster.elect(2);
    cluster.elect(3);
    let term = cluster.shard(1).group().term();
    for node in 1..=NODES {
        cluster.crash(node);
        cluster.start(node);
        assert_eq!(cluster.shard(node).group().term(), term, "member {node}");
    }
}

#[test]
fn a_torn_write_of_a_leader_was_acknowledged_to_nobody() {
    for seed in 0..20 {
        let mut cluster = Cluster::led_by_first(seed);
        cluster.expect(1, "SET k 1", "OK");
        // Nobody else hears of it.
        cluster.network.isolate(1, NODES);
        cluster.node(1).disk.held = true;
        let value = "v".repeat(3000);
        let set = cluster.ask(1, &format!("SET k {value}"));
        cluster.crash(1);
        assert_eq!(cluster.answer(set), &Answer::Gone);
        cluster.node(1).disk.held = false;
        cluster.network.heal();
        cluster.tick_until(|cluster| !cluster.serving().is_empty());
        let leader = cluster.serving()[0];
        cluster.expect(leader, "INCR k", ":2");
        cluster.start(1);
        cluster.tick_until(|cluster| cluster.commit(1) == cluster.commit(leader));
        cluster.expect_equal();
        cluster.elect(1);
        cluster.expect(1, "INCR k", ":3");
    }
}

#[test]
fn a_suffix_that_was_replaced_stays_replaced() {
    let mut cluster = Cluster::led_by_first(3);
    cluster.network.isolate(1, NODES);
    for n in 0..5 {
        cluster.ask(1, &format!("SET lost{n} 1"));
        cluster.settle();
    }
    cluster.tick_until(|cluster| cluster.serving().first().is_some_and(|&leader| leader != 1));
    let leader = cluster.serving()[0];
    cluster.expect(leader, "SET k 1", "OK");
    cluster.network.heal();
    cluster.tick_until(|cluster| cluster.commit(1) == cluster.commit(leader));
    cluster.crash(1);
    cluster.start(1);
    cluster.tick_until(|cluster| cluster.commit(1) == cluster.commit(leader));
    cluster.expect_equal();
    assert_eq!(cluster.held(1, "lost0"), None);
}

#[test]
fn a_leader_restarts_from_its_checkpoint_and_the_log_behind_it() {
    let mut cluster = Cluster::led_by_first(4);
    for n in 0..50 {
        cluster.expect(1, &format!("SET k{n} {n}"), "OK");
    }
    cluster.expect(1, &format!("SET large {}", "v".repeat(2 * LARGE_BYTES_MIN)), "OK");
    cluster.checkpoint(1);
    cluster.expect(1, "SET k1 changed", "OK");
    cluster.expect(1, "DEL k2", ":1");
    for node in 1..=NODES {
        cluster.crash(node);
    }
    for node in 1..=NODES {
        cluster.start(node);
    }
    cluster.elect(1);
    assert_eq!(cluster.held(1, "k1").as_deref(), Some("changed"));
    assert_eq!(cluster.contents(1).len(), 50);
    cluster.expect(1, "APPEND large tail", &format!(":{}", 2 * LARGE_BYTES_MIN + 4));
    cluster.tick_until(|cluster| (2..=NODES).all(|node| cluster.commit(node) == cluster.commit(1)));
    cluster.expect_equal();
}

#[test]
fn a_checkpoint_dies_with_the_term_that_its_entry_was_proposed_in() {
    let mut cluster = Cluster::led_by_first(5);
    cluster.expect(1, "SET k 1", "OK");
    cluster.network.isolate(1, NODES);
    // It stands at an entry that is never committed.
    cluster.node(1).shard.as_mut().expect("it is up").want_checkpoint();
    cluster.ask(1, "SET k 2");
    cluster.tick_until(|cluster| !cluster.shard(1).is_serving());
    assert_eq!((cluster.shard(1).stats().checkpoints, cluster.shard(1).stats().checkpoints_failed), (0, 1));
    cluster.crash(1);
    cluster.start(1);
    cluster.network.heal();
    cluster.tick_until(|cluster| !cluster.serving().is_empty());
    for _ in 0..20 {
        cluster.tick();
    }
    cluster.expect_equal();
    assert_eq!(cluster.held(1, "k").as_deref(), Some("1"));
}
