//! Reads leave once the group has confirmed that their member led when they ran.

use crate::cluster::{Answer, Cluster, NODES};
use ringkeep_shards::group::MessageType;

#[test]
fn a_read_leaves_once_its_fence_is_confirmed() {
    let mut cluster = Cluster::led_by_first(1);
    cluster.expect(1, "SET k 1", "OK");
    cluster.network.held = true;
    let get = cluster.ask(1, "GET k");
    cluster.settle();
    assert_eq!(cluster.answer(get), &Answer::Waits);
    // Both followers hear of it; one answer makes a quorum.
    for message in cluster.network.take(|m| m.msg_type == MessageType::MsgHeartbeat) {
        cluster.deliver(message);
    }
    let mut answers = cluster.network.take(|m| m.msg_type == MessageType::MsgHeartbeatResponse);
    assert_eq!(answers.len(), 2);
    cluster.deliver(answers.remove(0));
    assert_eq!(cluster.answer(get), &Answer::Reply("\"1\"".into()));
}

#[test]
fn a_read_joins_a_fence_only_before_that_is_broadcast() {
    let mut cluster = Cluster::led_by_first(2);
    cluster.network.held = true;
    let shared = [cluster.give(1, "GET a"), cluster.give(1, "GET b")];
    cluster.end(1);
    let asked = cluster.network.take(|m| m.msg_type == MessageType::MsgHeartbeat);
    assert_eq!(asked.len(), 2, "the reads of a tick share a fence");
    // The followers answer before the next read runs; the answers arrive after it.
    for message in asked {
        cluster.deliver(message);
    }
    let answers = cluster.network.take(|m| m.msg_type == MessageType::MsgHeartbeatResponse);
    let late = cluster.ask(1, "GET a");
    for message in answers {
        cluster.deliver(message);
    }
    assert!(shared.iter().all(|&ticket| cluster.answer(ticket) == &Answer::Reply("nil".into())));
    assert_eq!(cluster.answer(late), &Answer::Waits);
    cluster.network.held = false;
    cluster.settle();
    assert_eq!(cluster.answer(late), &Answer::Reply("nil".into()));
}

#[test]
fn a_deposed_leader_that_does_not_know_it_yet_answers_no_read() {
    let mut cluster = Cluster::led_by_first(3);
    cluster.expect(1, "SET k old", "OK");
    cluster.network.isolate(1, NODES);
    // No time passes for it meanwhile.
    cluster.campaign(2);
    cluster.settle();
    assert_eq!(cluster.serving(), [1, 2]);
    cluster.expect(2, "SET k new", "OK");
    let stale = cluster.ask(1, "GET k");
    cluster.settle();
    assert_eq!(cluster.answer(stale), &Answer::Waits);
    cluster.network.heal();
    cluster.tick_until(|cluster| cluster.serving() == [2]);
    assert_eq!(cluster.answer(stale), &Answer::Again);
    cluster.expect(2, "GET k", "\"new\"");
}

#[test]
fn a_lost_fence_is_asked_again() {
    let mut cluster = Cluster::led_by_first(4);
    cluster.network.held = true;
    let get = cluster.ask(1, "GET k");
    assert_eq!(cluster.network.take(|_| true).len(), 2);
    cluster.network.held = false;
    cluster.settle();
    assert_eq!(cluster.answer(get), &Answer::Waits);
    // The next heartbeats carry it.
    cluster.tick();
    cluster.tick();
    assert_eq!(cluster.answer(get), &Answer::Reply("nil".into()));
}

#[test]
fn a_slow_disk_of_a_follower_does_not_swallow_its_answers() {
    let mut cluster = Cluster::led_by_first(5);
    cluster.network.isolate(3, NODES);
    cluster.node(2).disk.held = true;
    let set = cluster.ask(1, "SET k 1");
    cluster.settle();
    assert!(cluster.node(2).disk.is_writing());
    // Asked while the follower writes; its answer waits for that write, and for no other.
    let get = cluster.ask(1, "GET other");
    cluster.settle();
    assert!(cluster.write_done(2));
    cluster.settle();
    assert_eq!(cluster.answer(set), &Answer::Reply("OK".into()));
    assert_eq!(cluster.answer(get), &Answer::Reply("nil".into()));
}
