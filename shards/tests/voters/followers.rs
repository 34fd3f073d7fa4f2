//! Members that do not lead. They serve nothing until peers have a transport: a client is refused, safely, and goes to the leader.

use crate::cluster::{Answer, Cluster, NODES};
use ringkeep_shards::group::{Entry, Message, MessageType};

#[test]
fn a_follower_refuses_reads_and_writes_before_anything_happens() {
    let mut cluster = Cluster::led_by_first(1);
    cluster.expect(1, "SET k 1", "OK");
    cluster.tick();
    cluster.tick();
    assert_eq!(cluster.held(2, "k").as_deref(), Some("1"), "it has what it does not serve");
    for line in ["GET k", "SET k 2", "DBSIZE", "EVAL 'return 1' 0"] {
        let ticket = cluster.ask(2, line);
        assert_eq!(cluster.answer(ticket), &Answer::NotServing, "{line}");
    }
    let exec = cluster.exec(2, &["SET k 2"], &[]);
    assert_eq!(cluster.answer(exec), &Answer::NotServing);
    cluster.tick();
    cluster.expect_equal();
}

#[test]
fn a_proposal_that_somebody_forwards_is_dropped() {
    let mut cluster = Cluster::led_by_first(2);
    cluster.expect(1, "SET k 1", "OK");
    let commit = cluster.commit(1);
    let entry = Entry { data: vec![1; 20].into(), ..Entry::default() };
    let mut forwarded = Message { msg_type: MessageType::MsgPropose, from: 2, to: 1, ..Message::default() };
    forwarded.mut_entries().push(entry);
    cluster.deliver(forwarded);
    for _ in 0..5 {
        cluster.tick();
    }
    assert_eq!(cluster.commit(1), commit);
}

#[test]
fn followers_hold_what_the_leader_holds_after_every_kind_of_write() {
    let mut cluster = Cluster::led_by_first(3);
    let lines = [
        "SET a 1",
        "SET a 2 PX 5000",
        "APPEND a 34",
        "SETRANGE a 10 tail",
        "SETBIT bits 100 1",
        "INCRBYFLOAT f 0.1",
        "COPY a b",
        "RENAME b c",
        "EXPIRE c 100",
        "PERSIST c",
        "MSET x 1 y 2 z 3",
        "DEL x y",
        "GETDEL z",
        "FLUSHDB",
        "SET last 1",
    ];
    for line in lines {
        let ticket = cluster.ask(1, line);
        cluster.settle();
        assert!(matches!(cluster.answer(ticket), Answer::Reply(_)), "{line}");
        cluster.tick();
        cluster.tick();
        assert_eq!(cluster.commit(2), cluster.commit(1));
        cluster.expect_equal();
    }
}

#[test]
fn a_follower_that_was_away_catches_up() {
    let mut cluster = Cluster::led_by_first(4);
    cluster.network.isolate(3, NODES);
    for n in 0..300 {
        cluster.expect(1, &format!("SET k{n} {n}"), "OK");
    }
    cluster.network.heal();
    cluster.tick_until(|cluster| cluster.commit(3) == cluster.commit(1));
    cluster.expect_equal();
    assert_eq!(cluster.held(3, "k299").as_deref(), Some("299"));
}
