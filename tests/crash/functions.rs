//! Libraries of functions over crashes: what was acknowledged is there, and every shard has the same.

use super::common::{Random, Server, ServerOptions, number_from_environment};
use super::seed;
use std::path::Path;
use std::time::Duration;

const SHARDS: u16 = 3;
/// Kills, unless the environment says otherwise.
const ROUNDS: u64 = 8;

fn library(version: u64) -> String {
    format!("#!lua name=lib\nredis.register_function('version', function(k) return {version} end)")
}

/// The version that each shard calls: the keys are of all of them.
fn versions(server: &Server) -> Vec<i64> {
    let mut client = server.client();
    (0..20).map(|number| client.run(&format!("FCALL version 1 key{number}")).integer()).collect()
}

fn copy(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    std::fs::create_dir_all(to).expect("make the directory");
    for entry in std::fs::read_dir(from).expect("list the directory") {
        let entry = entry.expect("a file");
        std::fs::copy(entry.path(), to.join(entry.file_name())).expect("copy a file");
    }
}

/// The first shard has committed a change, another has not: the state that a crash between the two leaves.
#[test]
fn a_shard_that_missed_a_change_gets_it_when_the_node_starts() {
    if std::env::var_os("RINGKEEP_CRASH_SELF").is_some() {
        println!("skipped: a real server has no shards");
        return;
    }
    let mut server = ServerOptions::ringkeep().shards(SHARDS).start();
    let mut client = server.client();
    assert_eq!(client.command(&["FUNCTION", "LOAD", &library(1)]).text(), "lib");
    assert_eq!(
        client.command(&["FUNCTION", "LOAD", "#!lua name=old\nredis.register_function('old', function() end)"]).text(),
        "old"
    );
    server.terminate();
    let behind = server.data().join("shard-0001");
    let kept = server.data().with_file_name("kept");
    copy(&behind, &kept);
    server.start();
    let mut client = server.client();
    assert_eq!(client.command(&["FUNCTION", "LOAD", "REPLACE", &library(2)]).text(), "lib");
    assert!(client.run("FUNCTION DELETE old").is_ok());
    assert_eq!(versions(&server), [2; 20]);
    server.kill();
    copy(&kept, &behind);
    server.start();
    assert_eq!(versions(&server), [2; 20]);
    let mut client = server.client();
    for number in 0..20 {
        let reply = client.run(&format!("FCALL old 1 key{number}"));
        assert_eq!(reply.error_text().as_deref(), Some("ERR Function not found"));
    }
    // What was repaired is in that shard's log too.
    server.kill();
    server.start();
    assert_eq!(versions(&server), [2; 20]);
}

#[test]
fn acknowledged_libraries_survive_kill_9_on_every_shard_alike() {
    let rounds = number_from_environment("RINGKEEP_CRASH_ROUNDS", ROUNDS);
    let mut random = Random::new(seed());
    let mut server = super::subject(u32::from(SHARDS)).start();
    let mut acknowledged = 0;
    assert_eq!(server.client().command(&["FUNCTION", "LOAD", &library(0)]).text(), "lib");
    for round in 0..rounds {
        let mut client = server.client();
        let first = acknowledged + 1;
        std::thread::scope(|scope| {
            let running = scope.spawn(move || {
                let mut last = first - 1;
                for version in first.. {
                    let mut bytes = Vec::new();
                    super::common::encode(&mut bytes, &["FUNCTION", "LOAD", "REPLACE", &library(version)]);
                    if client.try_send_raw(&bytes).is_err() {
                        break;
                    }
                    match client.try_reply() {
                        Ok(Some((reply, _))) => assert_eq!(reply.text(), "lib"),
                        _ => break,
                    }
                    last = version;
                }
                last
            });
            std::thread::sleep(Duration::from_millis(20 + random.below(200) as u64));
            server.kill();
            acknowledged = running.join().expect("a loader");
        });
        server.start();
        let found = versions(&server);
        assert!(found.iter().all(|version| *version == found[0]), "round {round}: shards differ: {found:?}");
        let found = found[0] as u64;
        // The one that was under way may be there or not.
        assert!((acknowledged..=acknowledged + 1).contains(&found), "round {round}: {acknowledged} became {found}");
        acknowledged = found;
    }
    assert!(acknowledged > rounds, "only {acknowledged} loads: this tested nothing");
}
