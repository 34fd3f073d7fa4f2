//! kill -9 under load, over and over, on the same files.

use super::common::{Random, Reply, Server, number_from_environment};
use super::writer::Writer;
use super::{seed, subject};
use std::time::Duration;

/// Kills of each test, unless the environment says otherwise.
const ROUNDS: u64 = 8;
const WRITERS: usize = 5;
/// Fewer acknowledged writes than this, in all rounds together, have tested nothing.
const ACKNOWLEDGED_MIN: u64 = 2_000;

fn kill_under_load(shards: u32, settings: &[(&str, &str)]) -> Server {
    let rounds = number_from_environment("RINGKEEP_CRASH_ROUNDS", ROUNDS);
    let seed = seed();
    let mut random = Random::new(seed);
    let mut writers: Vec<Writer> = (0..WRITERS).map(|number| Writer::new(number, seed)).collect();
    let options = settings.iter().fold(subject(shards), |options, (name, value)| options.setting(name, value));
    let mut server = options.start();
    for round in 0..rounds {
        let port = server.port();
        let results: Vec<Result<(), String>> = std::thread::scope(|scope| {
            let running: Vec<_> =
                writers.iter_mut().map(|writer| scope.spawn(move || writer.write_until_gone(port))).collect();
            std::thread::sleep(Duration::from_millis(50 + random.below(600) as u64));
            // In some rounds a checkpoint is under way.
            if random.one_in(3) {
                let _ = server.client().run("BGSAVE");
                std::thread::sleep(Duration::from_millis(random.below(60) as u64));
            }
            server.kill();
            running.into_iter().map(|thread| thread.join().expect("a writer")).collect()
        });
        for result in results {
            result.unwrap_or_else(|reason| panic!("round {round}: {reason}"));
        }
        server.start();
        // Now and then it is killed before anybody looked.
        if random.one_in(4) {
            server.kill();
            server.start();
        }
        let mut client = server.client();
        for writer in &mut writers {
            writer.settle(&mut client).unwrap_or_else(|reason| panic!("after round {round}:\n{reason}"));
        }
    }
    let acknowledged: u64 = writers.iter().map(|writer| writer.ledger.acknowledged).sum();
    println!("{rounds} kills, {acknowledged} acknowledged writes, {shards} shards");
    let wanted = ACKNOWLEDGED_MIN * rounds / ROUNDS;
    assert!(acknowledged >= wanted, "only {acknowledged} writes in {rounds} rounds: this tested nothing");
    // Nothing but what the writers know is there.
    let known: usize = writers.iter().map(|writer| writer.known_keys()).sum();
    assert_eq!(server.client().run("DBSIZE"), Reply::Integer(known as i64));
    server
}

#[test]
fn acknowledged_writes_survive_kill_9() {
    kill_under_load(1, &[]);
}

#[test]
fn acknowledged_writes_survive_kill_9_on_several_shards() {
    kill_under_load(3, &[]);
}

/// Segments so small that checkpoints follow one another, and are cut by the kills; most values lie in the log.
#[test]
fn acknowledged_writes_survive_kill_9_while_checkpoints_come_and_go() {
    if std::env::var_os("RINGKEEP_CRASH_SELF").is_some() {
        println!("skipped: a real server has no segments");
        return;
    }
    let small = [("log-segment-bytes", "1mb"), ("checkpoint-growth-percent", "1"), ("large-value-bytes", "1kb")];
    let server = kill_under_load(2, &small);
    for shard in ["shard-0000", "shard-0001"] {
        let directory = server.data().join(shard);
        let names: Vec<String> = std::fs::read_dir(&directory)
            .expect("list a shard's files")
            .map(|entry| entry.expect("a file").file_name().to_string_lossy().into_owned())
            .collect();
        assert!(names.iter().any(|name| name.ends_with(".checkpoint")), "no checkpoint was made: {names:?}");
        assert!(names.len() < 40, "segments that nobody needs are not removed: {names:?}");
    }
}

/// A server that is killed while it recovers has lost nothing by it.
#[test]
fn recovery_may_be_killed_too() {
    let seed = seed();
    let mut random = Random::new(seed);
    let mut writer = Writer::new(0, seed);
    let mut server = subject(1).start();
    let port = server.port();
    std::thread::scope(|scope| {
        let running = scope.spawn(|| writer.write_until_gone(port));
        std::thread::sleep(Duration::from_millis(800));
        server.kill();
        running.join().expect("a writer").expect("only right replies");
    });
    for _ in 0..10 {
        let mut child = server.command().spawn().expect("start the server's binary");
        std::thread::sleep(Duration::from_millis(random.below(60) as u64));
        child.kill().expect("kill the server");
        child.wait().expect("wait for the killed server");
    }
    server.start();
    writer.settle(&mut server.client()).unwrap_or_else(|reason| panic!("{reason}"));
}
