//! Scripts and EXEC that outlive their slice, while leadership is lost, comes back, or refuses what they built upon.

use crate::cluster::{Answer, Cluster, NODES, Ticket};
use ringkeep_shards::group::{Message, MessageType};

/// Instructions of a slice: few.
const SLICE: u32 = 100;
/// A loop of some slices.
const LONG: &str = "for i = 1, 400 do end";
const LIBRARY: &str = "FUNCTION LOAD '#!lua name=lib\n\
    redis.register_function{function_name=\"short\", flags={\"no-writes\"}, callback=function(k) return redis.call(\"get\",k[1]) end}\n\
    redis.register_function{function_name=\"long\", flags={\"no-writes\"}, callback=function(k) local v = redis.call(\"get\",k[1]) \
    for i = 1, 400 do end return v end}'";
const SHORT_READ: &str = "return redis.call(\"get\",KEYS[1])";

fn long_read() -> String {
    format!("local v = redis.call(\"get\",KEYS[1]) {LONG} return v")
}

/// A script that writes before and after slices end.
fn long_write() -> String {
    format!(
        "EVAL 'redis.call(\"append\",KEYS[1],\"x\") {LONG} redis.call(\"append\",KEYS[2],\"x\") {LONG} return 1' 2 a b"
    )
}

/// The six ways to run code that only reads, which takes some slices or not.
fn six_ways(cluster: &mut Cluster, is_long: bool) -> [String; 6] {
    let (script, function) = if is_long { (long_read(), "long") } else { (SHORT_READ.to_owned(), "short") };
    let digest = ringkeep_shards::script::ScriptDigest::of(script.as_bytes());
    // Under its own text it is known to whoever is asked for it by its digest.
    cluster.expect(1, &format!("EVAL '{script}' 1 k"), "\"old\"");
    [
        format!("EVAL '{script}' 1 k"),
        format!("EVALSHA {} 1 k", digest.as_str()),
        format!("EVAL_RO '{script}' 1 k"),
        format!("EVALSHA_RO {} 1 k", digest.as_str()),
        format!("FCALL {function} 1 k"),
        format!("FCALL_RO {function} 1 k"),
    ]
}

/// The first member leads, and slices are short.
fn sliced(seed: u64) -> Cluster {
    let cluster = Cluster::led_by_first(seed);
    cluster.interrupt.count(SLICE);
    cluster
}

/// A leader that was deposed and does not know it, while the next one has written already.
fn deposed(seed: u64, is_long: bool) -> (Cluster, [String; 6]) {
    let mut cluster = sliced(seed);
    cluster.expect(1, "SET k old", "OK");
    cluster.expect(1, LIBRARY, "\"lib\"");
    let ways = six_ways(&mut cluster, is_long);
    cluster.network.isolate(1, NODES);
    cluster.campaign(2);
    cluster.settle();
    cluster.expect(2, "SET k new", "OK");
    assert_eq!(cluster.serving(), [1, 2]);
    (cluster, ways)
}

fn run_on(cluster: &mut Cluster, node: u64) {
    while cluster.go_on(node) {}
}

#[test]
fn a_fence_that_fails_is_an_error_on_all_six_ways_to_run_code() {
    let (mut cluster, ways) = deposed(1, false);
    let tickets = ways.each_ref().map(|line| cluster.begin(1, line));
    assert_eq!(cluster.asides(1), 0, "they are at their end");
    cluster.end(1);
    cluster.settle();
    for ticket in tickets {
        assert_eq!(cluster.answer(ticket), &Answer::Waits);
    }
    cluster.network.heal();
    cluster.tick_until(|cluster| cluster.serving() == [2]);
    for (ticket, line) in tickets.into_iter().zip(ways) {
        assert_eq!(cluster.answer(ticket), &Answer::Again, "{line}");
    }
}

#[test]
fn so_it_is_when_they_took_many_slices_and_ended_before_the_term() {
    let (mut cluster, ways) = deposed(2, true);
    let tickets = ways.each_ref().map(|line| cluster.begin(1, line));
    assert_eq!(cluster.asides(1), 6);
    cluster.end(1);
    run_on(&mut cluster, 1);
    assert_eq!(cluster.asides(1), 0);
    cluster.end(1);
    cluster.settle();
    for ticket in tickets {
        assert_eq!(cluster.answer(ticket), &Answer::Waits);
    }
    cluster.network.heal();
    cluster.tick_until(|cluster| cluster.serving() == [2]);
    for (ticket, line) in tickets.into_iter().zip(ways) {
        assert_eq!(cluster.answer(ticket), &Answer::Again, "{line}");
    }
}

#[test]
fn and_when_the_term_ends_between_their_slices() {
    let (mut cluster, ways) = deposed(3, true);
    let tickets = ways.each_ref().map(|line| cluster.begin(1, line));
    cluster.end(1);
    for _ in 0..6 {
        assert!(cluster.go_on(1));
    }
    cluster.network.heal();
    cluster.tick_until(|cluster| cluster.serving() == [2]);
    assert_eq!(cluster.asides(1), 6);
    run_on(&mut cluster, 1);
    for (ticket, line) in tickets.into_iter().zip(ways) {
        assert_eq!(cluster.answer(ticket), &Answer::NotServing, "{line}");
    }
    assert_eq!(cluster.shard(1).contexts_len(), 0);
}

#[test]
fn what_goes_on_under_a_later_term_begins_anew_there() {
    let (mut cluster, ways) = deposed(4, true);
    let tickets = ways.each_ref().map(|line| cluster.begin(1, line));
    cluster.end(1);
    for _ in 0..6 {
        assert!(cluster.go_on(1));
    }
    cluster.network.heal();
    cluster.tick_until(|cluster| cluster.serving() == [2]);
    cluster.elect(1);
    run_on(&mut cluster, 1);
    cluster.end(1);
    cluster.settle();
    for (ticket, line) in tickets.into_iter().zip(ways) {
        assert_eq!(cluster.answer(ticket), &Answer::Reply("\"new\"".into()), "{line}");
    }
}

/// A script and an EXEC that have written in some slices, and go on.
fn half_done(cluster: &mut Cluster) -> [Ticket; 2] {
    cluster.expect(1, "MSET a 1 b 1 c 1 d 1", "OK");
    let script = cluster.begin(1, &long_write());
    let waits = format!("EVAL '{LONG} return redis.call(\"append\",KEYS[1],\"y\")' 1 d");
    let exec = cluster.begin_exec(1, &["APPEND c y", &waits, "APPEND c y"], &[]);
    assert_eq!(cluster.asides(1), 2);
    cluster.end(1);
    for _ in 0..2 {
        assert!(cluster.go_on(1));
    }
    assert_eq!(cluster.asides(1), 2, "neither is at its end");
    [script, exec]
}

#[track_caller]
fn expect_strings(cluster: &Cluster, node: u64, strings: [&str; 4]) {
    for (key, string) in ["a", "b", "c", "d"].into_iter().zip(strings) {
        assert_eq!(cluster.held(node, key).as_deref(), Some(string), "{key}");
    }
}

#[test]
fn nothing_of_what_is_half_done_is_there_when_the_term_ends() {
    let mut cluster = sliced(5);
    let tickets = half_done(&mut cluster);
    expect_strings(&cluster, 1, ["1", "1", "1", "1"]);
    cluster.network.isolate(1, NODES);
    cluster.tick_until(|cluster| !cluster.shard(1).is_serving());
    run_on(&mut cluster, 1);
    for ticket in tickets {
        assert_eq!(cluster.answer(ticket), &Answer::NotServing);
    }
    assert_eq!(cluster.shard(1).contexts_len(), 0);
    expect_strings(&cluster, 1, ["1", "1", "1", "1"]);
    cluster.network.heal();
    cluster.tick_until(|cluster| cluster.serving().len() == 1);
    cluster.tick();
    cluster.tick();
    cluster.expect_equal();
}

#[test]
fn what_is_half_done_runs_again_whole_under_a_later_term() {
    let mut cluster = sliced(6);
    let [script, exec] = half_done(&mut cluster);
    cluster.elect(2);
    cluster.expect(2, "MSET a 2 c 2 d 2", "OK");
    cluster.elect(1);
    run_on(&mut cluster, 1);
    cluster.end(1);
    cluster.settle();
    assert_eq!(cluster.answer(script), &Answer::Reply(":1".into()));
    assert_eq!(cluster.answer(exec), &Answer::Reply("[:2, :2, :3]".into()));
    expect_strings(&cluster, 1, ["2x", "1x", "2yy", "2y"]);
    cluster.tick();
    cluster.tick();
    cluster.expect_equal();
}

#[test]
fn a_watched_key_of_an_earlier_term_makes_exec_nil() {
    let mut cluster = sliced(7);
    cluster.expect(1, "MSET c 1 d 1", "OK");
    let watches = cluster.watch(1, &["d"]);
    let waits = format!("EVAL '{LONG} return 1' 0");
    let exec = cluster.begin_exec(1, &["APPEND c y", &waits], &watches);
    cluster.elect(2);
    cluster.elect(1);
    run_on(&mut cluster, 1);
    cluster.end(1);
    cluster.settle();
    assert_eq!(cluster.answer(exec), &Answer::Reply("nil".into()));
    assert_eq!(cluster.held(1, "c").as_deref(), Some("1"));
}

#[test]
fn a_write_whose_body_ended_in_the_lost_term_is_unknown_and_gone() {
    let mut cluster = sliced(8);
    let tickets = half_done(&mut cluster);
    cluster.network.isolate(1, NODES);
    run_on(&mut cluster, 1);
    cluster.end(1);
    cluster.tick_until(|cluster| !cluster.shard(1).is_serving());
    for ticket in tickets {
        assert_eq!(cluster.answer(ticket), &Answer::Unknown);
    }
    expect_strings(&cluster, 1, ["1", "1", "1", "1"]);
    cluster.expect_equal();
}

fn hand_over(cluster: &mut Cluster, from: u64, to: u64) {
    let message = Message { msg_type: MessageType::MsgTransferLeader, from: to, to: from, ..Message::default() };
    cluster.deliver(message);
}

/// The first member's log is busy, the third cannot be handed over to: what is written now gathers, and is refused.
fn gathering(cluster: &mut Cluster) {
    cluster.network.isolate(3, NODES);
    cluster.node(1).disk.held = true;
    cluster.ask(1, "SET other 1");
}

#[test]
fn a_state_that_was_pinned_goes_with_the_batch_that_is_refused() {
    let mut cluster = sliced(9);
    cluster.expect(1, "MSET k old a 1 b 1", "OK");
    gathering(&mut cluster);
    let refused = cluster.give(1, "SET k refused");
    let read = cluster.begin(1, &format!("EVAL '{}' 1 k", long_read()));
    let write = cluster.begin(
        1,
        &format!("EVAL 'local v = redis.call(\"get\",\"k\") {LONG} return redis.call(\"append\",KEYS[1],v)' 1 a"),
    );
    let exec = cluster.begin_exec(1, &["GET k", &format!("EVAL '{LONG} return 1' 0"), "APPEND b y"], &[]);
    assert_eq!(cluster.asides(1), 3);
    assert!(cluster.go_on(1), "one of them has had a slice of its own");
    hand_over(&mut cluster, 1, 3);
    cluster.end(1);
    assert!(cluster.shard(1).is_serving(), "the term goes on");
    cluster.node(1).disk.held = false;
    cluster.settle();
    assert_eq!(cluster.answer(refused), &Answer::Refused);
    // The order to take over does not arrive; after an election timeout the leader goes on.
    for _ in 0..12 {
        cluster.tick();
    }
    run_on(&mut cluster, 1);
    cluster.end(1);
    cluster.settle();
    assert_eq!(cluster.answer(read), &Answer::Reply("\"old\"".into()));
    assert_eq!(cluster.answer(write), &Answer::Reply(":4".into()));
    assert_eq!(cluster.answer(exec), &Answer::Reply("[\"old\", :1, :2]".into()));
    assert_eq!(cluster.held(1, "a").as_deref(), Some("1old"));
    cluster.network.heal();
    cluster.tick_until(|cluster| cluster.commit(3) == cluster.commit(1));
    cluster.expect_equal();
}

#[test]
fn what_ended_upon_a_batch_that_is_refused_is_refused_too() {
    let mut cluster = sliced(10);
    cluster.expect(1, "MSET k old a 1 b 1", "OK");
    gathering(&mut cluster);
    cluster.give(1, "SET k refused");
    let read = cluster.begin(1, &format!("EVAL '{}' 1 k", long_read()));
    let write = cluster.begin(1, &long_write());
    run_on(&mut cluster, 1);
    assert_eq!(cluster.asides(1), 0);
    hand_over(&mut cluster, 1, 3);
    cluster.end(1);
    cluster.node(1).disk.held = false;
    cluster.settle();
    assert_eq!(cluster.answer(read), &Answer::Again);
    assert_eq!(cluster.answer(write), &Answer::Refused);
    for (key, string) in [("k", "old"), ("a", "1"), ("b", "1")] {
        assert_eq!(cluster.held(1, key).as_deref(), Some(string));
    }
    cluster.network.heal();
    for _ in 0..12 {
        cluster.tick();
    }
    cluster.expect_equal();
}

/// Seed 11671 of the chaos found it: writes of later slices were refused one by one, and the first ones stayed.
#[test]
fn an_exec_is_there_whole_although_leadership_was_about_to_be_handed_over_in_its_midst() {
    let mut cluster = sliced(11);
    cluster.expect(1, "MSET a 1 b 1", "OK");
    let long = format!("EVAL '{LONG} return 1' 0");
    let exec = cluster.begin_exec(1, &["APPEND a y", &long, "APPEND b y", &long], &[]);
    cluster.network.isolate(3, NODES);
    hand_over(&mut cluster, 1, 3);
    // The second write has been given its slice.
    let slices = (0..).take_while(|_| cluster.asides(1) == 1 && cluster.go_on(1)).take(6).count();
    assert_eq!((slices, cluster.asides(1)), (6, 1));
    for _ in 0..12 {
        cluster.tick();
    }
    run_on(&mut cluster, 1);
    cluster.end(1);
    cluster.settle();
    assert_eq!(cluster.answer(exec), &Answer::Reply("[:2, :1, :2, :1]".into()));
    assert_eq!(cluster.held(1, "a").as_deref(), Some("1y"));
    assert_eq!(cluster.held(1, "b").as_deref(), Some("1y"));
}

#[test]
fn an_exec_that_ends_while_leadership_is_handed_over_is_refused_whole() {
    let mut cluster = sliced(12);
    cluster.expect(1, "MSET a 1 b 1", "OK");
    let exec = cluster.begin_exec(1, &["APPEND a y", &format!("EVAL '{LONG} return 1' 0"), "APPEND b y"], &[]);
    cluster.network.isolate(3, NODES);
    hand_over(&mut cluster, 1, 3);
    run_on(&mut cluster, 1);
    cluster.end(1);
    assert_eq!(cluster.answer(exec), &Answer::Refused);
    for key in ["a", "b"] {
        assert_eq!(cluster.held(1, key).as_deref(), Some("1"));
    }
}
