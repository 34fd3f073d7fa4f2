//! A leader that its peers do not hear any more.

use crate::cluster::{Answer, Cluster, NODES};

#[test]
fn its_writes_are_taken_back_and_its_clients_know_what_they_can_know() {
    let mut cluster = Cluster::led_by_first(1);
    cluster.expect(1, "MSET a 1 b 1 c 1 list x", "OK");
    cluster.expect(1, "SET d 1 PX 100000", "OK");
    let before = cluster.contents(1);
    cluster.network.isolate(1, NODES);
    let lines = ["SET a 2", "DEL b", "INCR c", "APPEND list y", "RENAME d e", "FLUSHDB", "SET f 1", "EXPIRE f 100"];
    let mut proposed: Vec<_> = lines.map(|line| cluster.ask(1, line)).to_vec();
    cluster.settle();
    proposed.push(cluster.ask(1, "SET g 1"));
    cluster.node(1).disk.held = true;
    // While the log writes, a tick gathers that is never proposed.
    let gathered = cluster.ask(1, "SET h 1");
    let gathered_more = cluster.give(1, "INCR h");
    let reads = ["GET a", "GET never", "GET h", "DBSIZE", "SET f 2 NX"].map(|line| cluster.ask(1, line));
    assert_eq!(cluster.shard(1).keyspace().len(0), 3);
    cluster.tick_until(|cluster| !cluster.shard(1).is_serving());
    for ticket in proposed {
        assert_eq!(cluster.answer(ticket), &Answer::Unknown);
    }
    assert_eq!(cluster.answer(gathered), &Answer::Refused);
    assert_eq!(cluster.answer(gathered_more), &Answer::Refused);
    for ticket in reads {
        assert_eq!(cluster.answer(ticket), &Answer::Again);
    }
    assert_eq!(cluster.contents(1), before, "back at the last entry that was delivered");
    cluster.expect_equal();
}

#[test]
fn it_follows_the_next_leader_and_can_lead_again() {
    let mut cluster = Cluster::led_by_first(2);
    cluster.expect(1, "SET k 1", "OK");
    cluster.network.isolate(1, NODES);
    let lost = cluster.ask(1, "INCRBY k 10");
    let read = cluster.ask(1, "GET k");
    cluster.tick_until(|cluster| cluster.serving().first().is_some_and(|&leader| leader != 1));
    let second = cluster.serving()[0];
    cluster.expect(second, "INCRBY k 100", ":101");
    cluster.network.heal();
    cluster.tick_until(|cluster| cluster.commit(1) == cluster.commit(second));
    cluster.expect_equal();
    cluster.elect(1);
    cluster.expect(1, "INCR k", ":102");
    cluster.expect(1, "GET k", "\"102\"");
    // Numbers of batches and fences go on: what was lost does not open by them.
    assert_eq!(cluster.answer(lost), &Answer::Unknown);
    assert_eq!(cluster.answer(read), &Answer::Again);
    cluster.expect_equal();
}

#[test]
fn a_write_that_is_unknown_to_its_client_may_yet_be_committed() {
    let mut cluster = Cluster::led_by_first(3);
    // Its entry reaches the others; their answers do not reach it.
    cluster.network.cut(2, 1);
    cluster.network.cut(3, 1);
    let set = cluster.ask(1, "SET k 1");
    cluster.settle();
    cluster.tick_until(|cluster| cluster.serving().first().is_some_and(|&leader| leader != 1));
    assert_eq!(cluster.answer(set), &Answer::Unknown);
    let second = cluster.serving()[0];
    cluster.expect(second, "GET k", "\"1\"");
    cluster.network.heal();
    cluster.tick_until(|cluster| cluster.commit(1) == cluster.commit(second));
    cluster.expect_equal();
}

#[test]
fn a_leader_that_hears_nobody_stops_serving_within_two_election_timeouts() {
    let mut cluster = Cluster::led_by_first(4);
    cluster.network.isolate(1, NODES);
    let ticks = (0..).find(|_| {
        cluster.tick();
        !cluster.shard(1).is_serving()
    });
    assert!(ticks < Some(20));
    let late = cluster.ask(1, "SET k 1");
    assert_eq!(cluster.answer(late), &Answer::NotServing);
}
