//! Who leads, and from when on it serves.

use crate::cluster::{Answer, Cluster, NODES};

#[test]
fn members_elect_one_of_them_when_their_timeouts_end() {
    let mut cluster = Cluster::new(1);
    assert!(cluster.serving().is_empty());
    cluster.tick_until(|cluster| !cluster.serving().is_empty());
    let leader = cluster.serving()[0];
    assert_eq!(cluster.serving(), [leader]);
    for node in 1..=NODES {
        assert_eq!(cluster.shard(node).group().leader(), Some(leader));
    }
}

#[test]
fn nothing_is_served_before_the_leaders_own_first_entry_is_applied() {
    let mut cluster = Cluster::led_by_first(2);
    cluster.expect(1, "SET k 1", "OK");
    cluster.network.isolate(1, NODES);
    for node in [2, 3] {
        cluster.node(node).disk.held = true;
    }
    cluster.campaign(2);
    // Their votes.
    for node in [2, 3] {
        cluster.settle();
        assert!(cluster.write_done(node));
    }
    cluster.settle();
    assert!(cluster.shard(2).group().is_leader());
    let early = cluster.ask(2, "GET k");
    assert_eq!(cluster.answer(early), &Answer::NotServing);
    // The first entry of the term.
    assert!(cluster.write_done(2));
    cluster.settle();
    assert!(!cluster.shard(2).is_serving());
    assert!(cluster.write_done(3));
    cluster.settle();
    assert!(cluster.shard(2).is_serving());
    cluster.expect(2, "GET k", "\"1\"");
}
