//! What a reply waits for while nothing goes wrong.

use crate::cluster::{Answer, Cluster, NODES};

#[test]
fn a_write_is_acknowledged_once_a_quorum_has_it_on_disk() {
    let mut cluster = Cluster::led_by_first(1);
    for node in 1..=NODES {
        cluster.node(node).disk.held = true;
    }
    let set = cluster.ask(1, "SET k 1");
    cluster.settle();
    assert_eq!(cluster.answer(set), &Answer::Waits, "on no disk");
    cluster.write_done(1);
    cluster.settle();
    assert_eq!(cluster.answer(set), &Answer::Waits, "on the leader's disk alone");
    cluster.write_done(3);
    cluster.settle();
    assert_eq!(cluster.answer(set), &Answer::Reply("OK".into()));
    assert!(cluster.node(2).disk.is_writing(), "the third member is not waited for");
}

#[test]
fn reads_wait_for_the_entry_that_touched_what_they_read() {
    let mut cluster = Cluster::led_by_first(2);
    cluster.expect(1, "MSET kept 1 gone 1 other 1", "OK");
    // Followers and fences go on; the leader itself does not have the next entry yet.
    cluster.node(1).disk.held = true;
    let writes = [cluster.ask(1, "SET kept 2"), cluster.ask(1, "DEL gone")];
    let depending = ["GET kept", "GET gone", "EXISTS gone", "DBSIZE", "KEYS *", "SCAN 0", "RANDOMKEY"];
    let depending = depending.map(|line| cluster.ask(1, line));
    let others = ["GET other", "GET never"].map(|line| cluster.ask(1, line));
    cluster.settle();
    for ticket in writes.into_iter().chain(depending) {
        assert_eq!(cluster.answer(ticket), &Answer::Waits);
    }
    assert_eq!(cluster.answer(others[0]), &Answer::Reply("\"1\"".into()));
    assert_eq!(cluster.answer(others[1]), &Answer::Reply("nil".into()));
    // The first of the two entries.
    assert!(cluster.write_done(1));
    cluster.settle();
    assert_eq!(cluster.answer(depending[0]), &Answer::Reply("\"2\"".into()));
    assert_eq!(cluster.answer(depending[1]), &Answer::Waits);
    assert_eq!(cluster.answer(depending[3]), &Answer::Waits);
    cluster.node(1).disk.held = false;
    cluster.settle();
    assert_eq!(cluster.answer(depending[1]), &Answer::Reply("nil".into()));
    assert_eq!(cluster.answer(depending[3]), &Answer::Reply(":2".into()));
    assert!(depending.iter().all(|&ticket| cluster.answer(ticket) != &Answer::Waits));
}

#[test]
fn a_flush_holds_back_every_read_of_its_database_until_it_is_committed() {
    let mut cluster = Cluster::led_by_first(3);
    cluster.expect(1, "SET k 1", "OK");
    cluster.node(1).disk.held = true;
    cluster.ask(1, "FLUSHDB");
    let reads = ["GET k", "GET never", "DBSIZE"].map(|line| cluster.ask(1, line));
    cluster.settle();
    assert!(reads.iter().all(|&ticket| cluster.answer(ticket) == &Answer::Waits));
    cluster.node(1).disk.held = false;
    cluster.settle();
    assert_eq!(cluster.answer(reads[0]), &Answer::Reply("nil".into()));
    cluster.expect_equal();
}

#[test]
fn a_write_that_changes_nothing_is_a_read_and_needs_a_fence() {
    let mut cluster = Cluster::led_by_first(4);
    cluster.expect(1, "SET k text", "OK");
    cluster.network.held = true;
    let lines = ["SET k 2 NX", "INCR k", "DEL never", "EXPIRE never 1"];
    let tickets = lines.map(|line| cluster.ask(1, line));
    cluster.settle();
    assert!(tickets.iter().all(|&ticket| cluster.answer(ticket) == &Answer::Waits));
    cluster.network.held = false;
    cluster.settle();
    assert_eq!(cluster.answer(tickets[0]), &Answer::Reply("nil".into()));
    assert_eq!(cluster.answer(tickets[1]), &Answer::Reply("-ERR value is not an integer or out of range".into()));
}
