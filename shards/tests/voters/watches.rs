//! WATCH dies with the term that it began in.

use crate::cluster::{Answer, Cluster, NODES};

#[test]
fn exec_is_nil_after_its_watch_lost_its_term() {
    let mut cluster = Cluster::led_by_first(1);
    cluster.expect(1, "SET k 1", "OK");
    let watches = cluster.watch(1, &["k"]);
    cluster.elect(2);
    cluster.elect(1);
    let exec = cluster.exec(1, &["SET k 2"], &watches);
    cluster.end(1);
    cluster.settle();
    assert_eq!(cluster.answer(exec), &Answer::Reply("nil".into()));
    let watches = cluster.watch(1, &["k"]);
    let exec = cluster.exec(1, &["SET k 2"], &watches);
    cluster.end(1);
    cluster.settle();
    assert_eq!(cluster.answer(exec), &Answer::Reply("[OK]".into()));
}

#[test]
fn a_watched_key_that_changed_makes_exec_a_read() {
    let mut cluster = Cluster::led_by_first(2);
    let watches = cluster.watch(1, &["k"]);
    cluster.network.isolate(1, NODES);
    cluster.ask(1, "SET k 1");
    let exec = cluster.exec(1, &["SET k 2"], &watches);
    cluster.end(1);
    cluster.tick_until(|cluster| !cluster.shard(1).is_serving());
    assert_eq!(cluster.answer(exec), &Answer::Again, "the change that made it nil is gone");
}

#[test]
fn a_member_that_does_not_serve_watches_nothing_and_removes_nothing() {
    let mut cluster = Cluster::led_by_first(3);
    cluster.node(2).skew_ms = 60_000;
    cluster.expect(1, "SET k 1 PX 30000", "OK");
    cluster.tick();
    cluster.tick();
    let watches = cluster.watch(2, &["k"]);
    cluster.end(2);
    // It still follows.
    cluster.expect(1, "SET other 1", "OK");
    cluster.tick();
    cluster.tick();
    cluster.expect_equal();
    assert_eq!(cluster.held(2, "k").as_deref(), Some("1"));
    cluster.elect(2);
    let exec = cluster.exec(2, &["SET k 2"], &watches);
    cluster.end(2);
    cluster.settle();
    assert_eq!(cluster.answer(exec), &Answer::Reply("nil".into()));
}
