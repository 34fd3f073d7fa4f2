//! Members that missed more than anybody keeps: a checkpoint takes the place of their state.

use crate::cluster::{Cluster, LARGE_BYTES_MIN, NODES};
use crate::functions::load;
use ringkeep_shards::group::MessageType;
use ringkeep_shards::log::SegmentRole;

/// The third member is away, and what it missed is in a checkpoint of the first only.
fn one_lags(seed: u64) -> Cluster {
    let mut cluster = Cluster::led_by_first(seed);
    cluster.expect(1, "SET old gone", "OK");
    cluster.expect(1, "SET kept before", "OK");
    cluster.tick();
    cluster.network.isolate(3, NODES);
    cluster.expect(1, "DEL old", ":1");
    for n in 0..40 {
        cluster.expect(1, &format!("SET k{n} {n}"), "OK");
    }
    for n in 0..8 {
        cluster.expect(1, &format!("SET large{n} {}", n.to_string().repeat(LARGE_BYTES_MIN * 4)), "OK");
    }
    cluster.expect(1, "SET k1 later PX 86400000", "OK");
    cluster.expect(1, "RENAME k2 renamed", "OK");
    cluster.expect(1, &load(7), "\"lib\"");
    forget(&mut cluster);
    cluster
}

/// The first two members start anew from checkpoints: they have no entries before those any more.
fn forget(cluster: &mut Cluster) {
    for _ in 0..4 {
        // The log goes on in another segment.
        cluster.expect(1, &format!("SET filler {}", "f".repeat(100 << 10)), "OK");
    }
    cluster.tick();
    for node in [1, 2] {
        cluster.checkpoint(node);
        cluster.crash(node);
    }
    for node in [1, 2] {
        cluster.start(node);
    }
    cluster.elect(1);
}

#[track_caller]
fn catches_up(cluster: &mut Cluster) {
    cluster.tick_until(|cluster| {
        let serving = cluster.serving();
        serving.first().is_some_and(|&leader| (1..=NODES).all(|node| cluster.commit(node) == cluster.commit(leader)))
    });
    cluster.expect_equal();
}

#[test]
fn a_member_that_missed_too_much_gets_a_snapshot_and_follows_from_there() {
    let mut cluster = one_lags(1);
    cluster.network.heal();
    catches_up(&mut cluster);
    assert_eq!(cluster.snapshots(3), 1);
    assert_eq!(cluster.held(3, "old"), None);
    assert_eq!(cluster.held(3, "kept").as_deref(), Some("before"));
    cluster.expect(1, "APPEND large3 tail", &format!(":{}", LARGE_BYTES_MIN * 4 + 4));
    cluster.expect(1, "SET after 1", "OK");
    catches_up(&mut cluster);
    // It can lead with what it got.
    cluster.elect(3);
    cluster.expect(3, "GET k1", "\"later\"");
    cluster.expect(3, "GET renamed", "\"2\"");
    cluster.expect(3, "INCR after", ":2");
    cluster.expect(3, "FCALL f 1 k", ":7");
    catches_up(&mut cluster);
}

#[test]
fn what_came_with_a_snapshot_survives_a_power_cut() {
    let mut cluster = one_lags(2);
    cluster.network.heal();
    catches_up(&mut cluster);
    cluster.expect(1, "SET after 1", "OK");
    cluster.tick();
    let before = cluster.contents(3);
    cluster.crash(3);
    cluster.start(3);
    catches_up(&mut cluster);
    assert_eq!(cluster.contents(3), before);
    let checkpoints = cluster.node(3).disk.files().iter().filter(|file| file.role == SegmentRole::Checkpoint).count();
    assert_eq!(checkpoints, 1);
}

#[test]
fn values_of_a_snapshot_need_no_memory() {
    let mut cluster = one_lags(3);
    for node in 1..=NODES {
        cluster.node(node).disk.forgetful = true;
        cluster.node(node).disk.forget();
    }
    cluster.network.heal();
    catches_up(&mut cluster);
    let bytes = cluster.shard(3).keyspace().memory_bytes();
    assert!(bytes < 8 * LARGE_BYTES_MIN * 4, "{bytes} bytes in memory");
}

#[test]
fn power_may_be_cut_at_every_step_of_a_snapshot_at_either_end() {
    for end in [1, 3] {
        for steps in 0.. {
            let mut cluster = one_lags(4);
            cluster.network.heal();
            // Steps of the snapshot: its messages, either way.
            let mut left = steps;
            cluster.network.held = true;
            for _ in 0..400 {
                let message = cluster.network.take_first();
                let Some(message) = message else {
                    cluster.advance(100_000);
                    (1..=NODES).for_each(|node| cluster.timer(node));
                    continue;
                };
                let of_snapshot = [MessageType::MsgSnapshot, MessageType::MsgSnapStatus].contains(&message.msg_type);
                cluster.deliver(message);
                (1..=NODES).for_each(|node| _ = cluster.write_done(node));
                if of_snapshot {
                    if left == 0 {
                        break;
                    }
                    left -= 1;
                }
            }
            let cut_in_between = left == 0;
            cluster.crash(end);
            cluster.network.held = false;
            cluster.start(end);
            catches_up(&mut cluster);
            assert_eq!(cluster.held(3, "renamed").as_deref(), Some("2"));
            if !cut_in_between {
                assert!(steps > 5, "a snapshot of several parts: {steps}");
                break;
            }
        }
    }
}

#[test]
fn lost_and_repeated_parts_do_no_harm() {
    for seed in 10..20 {
        let mut cluster = one_lags(seed);
        cluster.network.heal();
        cluster.network.held = true;
        for _ in 0..3000 {
            let Cluster { network, random, .. } = &mut cluster;
            match network.any(random) {
                Some(message) => cluster.deliver(message),
                None => {
                    cluster.advance(20_000);
                    (1..=NODES).for_each(|node| cluster.timer(node));
                }
            }
            (1..=NODES).for_each(|node| _ = cluster.write_done(node));
        }
        cluster.network.held = false;
        catches_up(&mut cluster);
    }
}

#[test]
fn another_leader_begins_anew() {
    let mut cluster = one_lags(5);
    cluster.network.heal();
    // The first leader gets no further than a part or two.
    cluster.network.cut(3, 1);
    for _ in 0..30 {
        cluster.tick();
    }
    cluster.crash(1);
    cluster.network.heal();
    cluster.tick_until(|cluster| cluster.serving() == [2]);
    cluster.expect(2, "SET after 2", "OK");
    cluster.tick_until(|cluster| cluster.commit(3) == cluster.commit(2));
    assert_eq!(cluster.contents(3), cluster.contents(2));
}

#[test]
fn a_member_whose_disk_fails_the_snapshot_stays_as_it_was_until_it_succeeds() {
    let mut cluster = one_lags(6);
    cluster.node(3).disk.full = true;
    let before = cluster.contents(3);
    cluster.network.heal();
    for _ in 0..50 {
        cluster.tick();
    }
    assert_eq!(cluster.contents(3), before);
    cluster.node(3).disk.full = false;
    catches_up(&mut cluster);
}

#[test]
fn followers_make_checkpoints_of_their_own_and_start_from_them() {
    let mut cluster = Cluster::led_by_first(7);
    for n in 0..30 {
        cluster.expect(1, &format!("SET k{n} {}", "v".repeat(LARGE_BYTES_MIN * 2)), "OK");
    }
    cluster.tick();
    cluster.checkpoint(2);
    cluster.expect(1, "SET after 1", "OK");
    cluster.tick();
    let before = cluster.contents(2);
    cluster.crash(2);
    cluster.start(2);
    catches_up(&mut cluster);
    assert_eq!(cluster.contents(2), before);
}
