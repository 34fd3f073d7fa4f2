//! Libraries of functions: they are data like keys, in terms that are lost, in snapshots, at members that follow.

use crate::cluster::{Answer, Cluster, NODES};

/// FUNCTION LOAD of a library that answers with a number.
pub fn load(value: u64) -> String {
    format!("FUNCTION LOAD REPLACE '#!lua name=lib\nredis.register_function(\"f\", function(k) return {value} end)'")
}

const LOADED: &str = "\"lib\"";
const CALL: &str = "FCALL f 1 k";

#[test]
fn they_reach_every_member_and_whoever_leads_calls_them() {
    let mut cluster = Cluster::led_by_first(1);
    cluster.expect(1, &load(1), LOADED);
    cluster.expect(1, CALL, ":1");
    cluster.tick();
    cluster.tick();
    cluster.expect_equal();
    cluster.elect(2);
    cluster.expect(2, CALL, ":1");
    cluster.expect(2, &load(2), LOADED);
    cluster.crash(2);
    cluster.start(2);
    cluster.elect(3);
    cluster.expect(3, CALL, ":2");
    cluster.expect(3, "FUNCTION FLUSH", "OK");
    cluster.expect(3, CALL, "-ERR Function not found");
}

#[test]
fn a_lost_term_takes_its_libraries_along() {
    let mut cluster = Cluster::led_by_first(2);
    cluster.expect(1, &load(1), LOADED);
    cluster.network.isolate(1, NODES);
    let changed = cluster.ask(1, &load(2));
    // It sees the change at once and must not be answered before that is committed.
    let called = cluster.ask(1, CALL);
    let listed = cluster.ask(1, "FUNCTION LIST");
    cluster.tick_until(|cluster| !cluster.shard(1).is_serving());
    assert_eq!(cluster.answer(changed), &Answer::Unknown);
    for ticket in [called, listed] {
        assert_eq!(cluster.answer(ticket), &Answer::Again);
    }
    cluster.expect_equal();
    cluster.tick_until(|cluster| cluster.serving().first().is_some_and(|&leader| leader != 1));
    let second = cluster.serving()[0];
    cluster.expect(second, CALL, ":1");
    cluster.network.heal();
    cluster.tick_until(|cluster| cluster.commit(1) == cluster.commit(second));
    cluster.elect(1);
    cluster.expect(1, CALL, ":1");
}

#[test]
fn a_call_and_its_error_wait_for_the_library_that_they_depend_on() {
    let mut cluster = Cluster::led_by_first(3);
    cluster.expect(1, &load(1), LOADED);
    cluster.node(1).disk.held = true;
    let removed = cluster.ask(1, "FUNCTION DELETE lib");
    let called = cluster.ask(1, CALL);
    let key = cluster.ask(1, "GET k");
    cluster.settle();
    for ticket in [removed, called] {
        assert_eq!(cluster.answer(ticket), &Answer::Waits);
    }
    assert_eq!(cluster.answer(key), &Answer::Reply("nil".into()), "keys do not depend on it");
    cluster.node(1).disk.held = false;
    cluster.settle();
    assert_eq!(cluster.answer(called), &Answer::Reply("-ERR Function not found".into()));
}
