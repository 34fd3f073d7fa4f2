//! Proposals that the group refuses, while leadership is handed over: their tick is taken back, what was proposed before stands.

use crate::cluster::{Answer, Cluster, NODES};
use ringkeep_shards::group::{Message, MessageType};

fn hand_over(cluster: &mut Cluster, from: u64, to: u64) {
    let message = Message { msg_type: MessageType::MsgTransferLeader, from: to, to: from, ..Message::default() };
    cluster.deliver(message);
}

#[test]
fn a_tick_that_is_refused_leaves_nothing_and_takes_nothing_along() {
    let mut cluster = Cluster::led_by_first(1);
    cluster.expect(1, "MSET k 1 other 1", "OK");
    cluster.network.isolate(3, NODES);
    cluster.network.held = true;
    let before = cluster.ask(1, "INCR k");
    cluster.write_done(1);
    let refused = [cluster.give(1, "INCR k"), cluster.give(1, "SET new 1"), cluster.give(1, "FLUSHDB")];
    let read_of_it = cluster.give(1, "GET k");
    hand_over(&mut cluster, 1, 3);
    for ticket in refused {
        assert_eq!(cluster.answer(ticket), &Answer::Refused);
    }
    assert_eq!(cluster.answer(read_of_it), &Answer::Again);
    assert_eq!(cluster.answer(before), &Answer::Waits);
    assert!(cluster.shard(1).is_serving(), "the term goes on");
    let read = cluster.ask(1, "GET k");
    let early = cluster.ask(1, "SET k 9");
    assert!(matches!(cluster.answer(early), Answer::Reply(text) if text.starts_with("-TRYAGAIN ")));
    // The order to take over does not arrive; after an election timeout the leader goes on.
    cluster.network.held = false;
    cluster.settle();
    assert_eq!(cluster.answer(before), &Answer::Reply(":2".into()));
    assert_eq!(cluster.answer(read), &Answer::Reply("\"2\"".into()));
    for _ in 0..12 {
        cluster.tick();
    }
    assert_eq!(cluster.serving(), [1]);
    cluster.expect(1, "INCR k", ":3");
    cluster.expect(1, "GET new", "nil");
    cluster.network.heal();
    cluster.tick_until(|cluster| cluster.commit(3) == cluster.commit(1));
    cluster.expect_equal();
}

#[test]
fn the_next_leader_knows_nothing_of_a_refused_tick() {
    let mut cluster = Cluster::led_by_first(2);
    cluster.expect(1, "SET k 1", "OK");
    let refused = cluster.give(1, "SET k 2");
    hand_over(&mut cluster, 1, 3);
    assert_eq!(cluster.answer(refused), &Answer::Refused);
    cluster.settle();
    assert_eq!(cluster.serving(), [3]);
    cluster.expect(3, "GET k", "\"1\"");
    cluster.tick();
    cluster.tick();
    cluster.expect_equal();
}

#[test]
fn scripts_and_exec_are_refused_whole() {
    let mut cluster = Cluster::led_by_first(3);
    cluster.network.held = true;
    hand_over(&mut cluster, 1, 3);
    let script = cluster.ask(1, "EVAL 'redis.call(\"set\",KEYS[1],1)' 1 k");
    let exec = cluster.exec(1, &["SET a 1", "SET b 1"], &[]);
    cluster.end(1);
    assert!(matches!(cluster.answer(script), Answer::Reply(text) if text.starts_with("-TRYAGAIN ")));
    assert!(matches!(cluster.answer(exec), Answer::Reply(text) if text.starts_with("-TRYAGAIN ")));
    assert!(cluster.contents(1).is_empty());
}
