//! A disk that fills up: writes are refused with a clear error, nothing acknowledged is lost, and removing keys makes room.

use super::common::{Client, Reply, ServerOptions, can_mount};
use std::time::{Duration, Instant};

const DISK_BYTES: u64 = 48 << 20;
const VALUE_BYTES: usize = 8 << 10;

fn value(number: usize) -> String {
    format!("{number}:{}", "v".repeat(VALUE_BYTES))
}

/// Repeats a write until it is accepted; how often it was refused.
fn write_when_there_is_room(client: &mut Client, request: &[&str], accepted: &Reply) -> usize {
    let deadline = Instant::now() + Duration::from_secs(30);
    for refusals in 0.. {
        let reply = client.command(request);
        if reply == *accepted {
            return refusals;
        }
        let text = reply.error_text().unwrap_or_else(|| panic!("{request:?}: {reply:?}"));
        assert!(text.starts_with("MISCONF No space left on device"), "{text}");
        assert!(Instant::now() < deadline, "still refused: {text}");
        std::thread::sleep(Duration::from_millis(50));
    }
    unreachable!("it ends by a deadline")
}

#[test]
fn a_full_disk_refuses_writes_and_loses_nothing() {
    if !can_mount() {
        println!("skipped: this user may not mount a file system of a test's own");
        return;
    }
    let small = ServerOptions::ringkeep().setting("log-segment-bytes", "2mb").setting("large-value-bytes", "1kb");
    let server = small.on_file_system(DISK_BYTES).start();
    let mut client = server.client();
    let mut acknowledged = 0;
    let refusal = loop {
        let reply = client.command(&["SET", &format!("key:{acknowledged}"), &value(acknowledged)]);
        if let Some(text) = reply.error_text() {
            break text;
        }
        acknowledged += 1;
        assert!(acknowledged * VALUE_BYTES < DISK_BYTES as usize, "more was acknowledged than the disk holds");
    };
    assert!(refusal.starts_with("MISCONF No space left on device"), "{refusal}");
    assert!(acknowledged * VALUE_BYTES > DISK_BYTES as usize / 4, "refused after {acknowledged} values already");
    // All of it is there, and scripts and transactions are refused like plain writes.
    for number in 0..acknowledged {
        assert_eq!(client.command(&["GET", &format!("key:{number}")]).text(), value(number));
    }
    let script = client.command(&["EVAL", "return redis.call('SET', KEYS[1], 'v')", "1", "k"]);
    assert!(script.error_text().is_some_and(|text| text.contains("No space left on device")), "{script:?}");
    // Removals are accepted, at times after a checkpoint, and make room.
    let mut refusals = 0;
    for number in 0..acknowledged {
        refusals += write_when_there_is_room(&mut client, &["DEL", &format!("key:{number}")], &Reply::Integer(1));
    }
    println!("{acknowledged} values were removed, {refusals} times after another try");
    let ok = Reply::Simple("OK".into());
    write_when_there_is_room(&mut client, &["SET", "again", "v"], &ok);
    for number in 0..acknowledged / 2 {
        write_when_there_is_room(&mut client, &["SET", &format!("small:{number}"), "v"], &ok);
    }
    assert_eq!(client.run("DBSIZE"), Reply::Integer(1 + acknowledged as i64 / 2));
}
