//! Timestamps rise from leader to leader, whatever their clocks say.

use crate::cluster::{Cluster, NODES};

#[test]
fn a_leader_with_a_slower_clock_starts_above_the_last_timestamp() {
    let mut cluster = Cluster::led_by_first(1);
    cluster.node(1).skew_ms = 3_600_000;
    cluster.expect(1, "SET k 1", "OK");
    let mut last = cluster.shard(1).stats().timestamp;
    assert_eq!(last.unix_ms(), cluster.unix_ms(1));
    for (turn, node) in [2, 3, 2, 1, 3].into_iter().enumerate() {
        cluster.node(node).skew_ms = if turn == 3 { 7_200_000 } else { -3_600_000 };
        cluster.elect(node);
        for _ in 0..3 {
            let next = cluster_value(&cluster, node) + 1;
            cluster.expect(node, "INCR k", &format!(":{next}"));
            let timestamp = cluster.shard(node).stats().timestamp;
            assert!(timestamp > last, "member {node}: {timestamp} after {last}");
            last = timestamp;
        }
    }
    // Also after all of them forgot.
    for node in 1..=NODES {
        cluster.crash(node);
        cluster.node(node).skew_ms = -3_600_000;
        cluster.start(node);
    }
    cluster.elect(1);
    let next = cluster_value(&cluster, 1) + 1;
    cluster.expect(1, "INCR k", &format!(":{next}"));
    assert!(cluster.shard(1).stats().timestamp > last);
}

fn cluster_value(cluster: &Cluster, node: u64) -> i64 {
    cluster.held(node, "k").expect("it was set").parse().expect("a number")
}
