//! Members that lag behind what others keep in memory, but not behind their logs.

use crate::cluster::{Cluster, LARGE_BYTES_MIN, NODES};

/// Three members that keep nearly nothing in memory for each other; the first one leads.
fn short_memories(seed: u64) -> Cluster {
    let mut cluster = Cluster::new(seed);
    for node in 1..=NODES {
        cluster.crash(node);
        cluster.node(node).tail_bytes_max = 512;
    }
    for node in 1..=NODES {
        cluster.start(node);
    }
    cluster.elect(1);
    cluster
}

fn write_much(cluster: &mut Cluster, leader: u64) {
    for n in 0..100 {
        cluster.expect(leader, &format!("SET k{} {n}", n % 7), "OK");
        cluster.expect(leader, &format!("SET large{} {}", n % 5, n.to_string().repeat(LARGE_BYTES_MIN)), "OK");
    }
}

#[track_caller]
fn catches_up(cluster: &mut Cluster, node: u64) {
    cluster.tick_until(|cluster| {
        let serving = cluster.serving();
        serving.first().is_some_and(|&leader| cluster.contents(node) == cluster.contents(leader))
    });
    assert_eq!((1..=NODES).map(|node| cluster.snapshots(node)).sum::<u64>(), 0, "no snapshot was needed");
}

#[test]
fn what_a_member_missed_is_read_from_the_leaders_log() {
    let mut cluster = short_memories(1);
    cluster.network.isolate(3, NODES);
    write_much(&mut cluster, 1);
    cluster.network.heal();
    catches_up(&mut cluster, 3);
}

#[test]
fn a_cold_log_is_brought_in_first() {
    let mut cluster = short_memories(2);
    cluster.network.isolate(3, NODES);
    write_much(&mut cluster, 1);
    for node in 1..=NODES {
        cluster.node(node).disk.forgetful = true;
        cluster.node(node).disk.forget();
    }
    cluster.network.heal();
    catches_up(&mut cluster, 3);
}

#[test]
fn a_leader_that_was_restarted_finds_the_entries_of_its_log_again() {
    let mut cluster = short_memories(3);
    cluster.network.isolate(3, NODES);
    write_much(&mut cluster, 1);
    for node in [1, 2] {
        cluster.crash(node);
    }
    for node in [1, 2] {
        cluster.start(node);
    }
    cluster.elect(2);
    write_much(&mut cluster, 2);
    cluster.network.heal();
    catches_up(&mut cluster, 3);
}

#[test]
fn segments_are_kept_for_a_member_that_answers_but_lags() {
    let mut cluster = short_memories(4);
    // It hears and answers, but gets nothing onto its disk.
    cluster.node(3).disk.held = true;
    for n in 0..5 {
        cluster.expect(1, &format!("SET filler {}", n.to_string().repeat(100 << 10)), "OK");
        cluster.tick();
    }
    cluster.checkpoint(1);
    cluster.expect(1, "SET after 1", "OK");
    cluster.node(3).disk.held = false;
    catches_up(&mut cluster, 3);
}
