//! Values that live in the log: each member refers to its own.

use crate::cluster::{Cluster, LARGE_BYTES_MIN, NODES};

#[test]
fn a_member_appends_to_a_value_that_it_must_read_from_its_disk() {
    let mut cluster = Cluster::led_by_first(1);
    let value = "v".repeat(LARGE_BYTES_MIN * 2);
    for node in 1..=NODES {
        cluster.node(node).disk.forgetful = true;
    }
    cluster.expect(1, &format!("SET k {value}"), "OK");
    cluster.tick();
    cluster.tick();
    // Now each of them follows once, with a value that is cold.
    for (turn, leader) in [2, 3, 1].into_iter().enumerate() {
        cluster.elect(leader);
        cluster.expect(leader, "APPEND k tail", &format!(":{}", value.len() + 4 * (turn + 1)));
        cluster.tick();
        cluster.tick();
        for node in 1..=NODES {
            cluster.node(node).disk.forget();
            assert_eq!(cluster.commit(node), cluster.commit(leader));
        }
        cluster.expect_equal();
    }
}

#[test]
fn followers_keep_large_values_on_disk_not_in_memory() {
    let mut cluster = Cluster::led_by_first(2);
    for n in 0..20 {
        cluster.expect(1, &format!("SET k{n} {}", "v".repeat(LARGE_BYTES_MIN * 8)), "OK");
    }
    cluster.tick();
    cluster.tick();
    for node in 1..=NODES {
        let bytes = cluster.shard(node).keyspace().memory_bytes();
        assert!(bytes < 20 * LARGE_BYTES_MIN, "member {node} holds {bytes} bytes in memory");
    }
}
