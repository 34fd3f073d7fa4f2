//! Scripts and EXEC: all of them, or nothing, across terms too.

use crate::cluster::{Answer, Cluster, NODES};

const BOTH: &str = "EVAL 'redis.call(\"incr\",KEYS[1]) return redis.call(\"incr\",KEYS[2])' 2 a b";
const RAISES: &str = "EVAL 'redis.call(\"incr\",KEYS[1]) error(\"no\")' 1 a";
const READS: &str = "EVAL 'return redis.call(\"get\",KEYS[1])' 1 a";

#[test]
fn they_are_committed_whole_and_reach_every_member() {
    let mut cluster = Cluster::led_by_first(1);
    cluster.expect(1, BOTH, ":1");
    cluster.expect(1, READS, "\"1\"");
    let exec = cluster.exec(1, &["INCR a", "INCR b", "GET a"], &[]);
    cluster.end(1);
    cluster.settle();
    assert_eq!(cluster.answer(exec), &Answer::Reply("[:2, :2, \"2\"]".into()));
    cluster.tick();
    cluster.tick();
    cluster.expect_equal();
    assert_eq!(cluster.held(3, "b").as_deref(), Some("2"));
}

#[test]
fn a_lost_term_leaves_nothing_of_them() {
    let mut cluster = Cluster::led_by_first(2);
    cluster.expect(1, "MSET a 1 b 1", "OK");
    cluster.network.isolate(1, NODES);
    let script = cluster.ask(1, BOTH);
    let exec = cluster.exec(1, &["INCR a", "INCR b"], &[]);
    cluster.end(1);
    let reading_exec = cluster.exec(1, &["GET a", "GET b"], &[]);
    cluster.end(1);
    let raised = cluster.ask(1, RAISES);
    let reading = cluster.ask(1, READS);
    cluster.tick_until(|cluster| !cluster.shard(1).is_serving());
    assert_eq!(cluster.answer(script), &Answer::Unknown);
    assert_eq!(cluster.answer(exec), &Answer::Unknown);
    // These wrote nothing that stayed: they can run again.
    for ticket in [reading_exec, raised, reading] {
        assert_eq!(cluster.answer(ticket), &Answer::Again);
    }
    cluster.expect_equal();
    assert_eq!(cluster.held(1, "a").as_deref(), Some("1"));
}

#[test]
fn the_error_of_a_script_waits_for_its_fence_and_for_what_it_read() {
    let mut cluster = Cluster::led_by_first(3);
    cluster.expect(1, "SET a 1", "OK");
    cluster.network.held = true;
    let raised = cluster.ask(1, RAISES);
    cluster.settle();
    assert_eq!(cluster.answer(raised), &Answer::Waits);
    cluster.network.held = false;
    cluster.settle();
    assert!(matches!(cluster.answer(raised), Answer::Reply(text) if text.starts_with("-ERR user_script:1: no")));
    cluster.node(1).disk.held = true;
    let write = cluster.ask(1, "INCR a");
    let raised = cluster.ask(1, RAISES);
    cluster.settle();
    assert_eq!(cluster.answer(raised), &Answer::Waits, "it read what is not committed");
    cluster.node(1).disk.held = false;
    cluster.settle();
    assert_eq!(cluster.answer(write), &Answer::Reply(":2".into()));
    assert!(matches!(cluster.answer(raised), Answer::Reply(_)));
    assert_eq!(cluster.shard(1).stats().script_fences, 2);
}
