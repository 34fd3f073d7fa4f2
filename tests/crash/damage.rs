//! Real files, cut and flipped: recovered, or refused with the place; and `ringkeep check` says the same as the server does.

use super::common::{Client, Random, Server, ServerOptions, number_from_environment};
use super::files::{Image, Place};
use super::seed;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Acknowledged writes before the damage, each a record of its own.
const WRITES: usize = 120;
/// Seconds that each test of damage takes, unless the environment says otherwise. What is left out is left to another run's seed.
const SECONDS: u64 = 12;

fn value(number: usize) -> String {
    format!("value {number} {}", "y".repeat(number % 50))
}

/// A server's files after some writes, with a checkpoint in between: before the last of them, and after it.
fn images() -> (Image, Image) {
    let mut server = ServerOptions::ringkeep().start();
    let mut client = server.client();
    for number in 0..WRITES - 1 {
        assert!(client.command(&["SET", &format!("key{number}"), &value(number)]).is_ok());
        if number == WRITES / 2 {
            assert!(client.run("SAVE").is_ok());
        }
    }
    settle(&server);
    let before = Image::take(server.data());
    let last = WRITES - 1;
    assert!(client.command(&["SET", &format!("key{last}"), &value(last)]).is_ok());
    server.kill();
    (before, Image::take(server.data()))
}

/// Waits until the idle server writes nothing more.
fn settle(server: &Server) {
    let deadline = Instant::now() + Duration::from_secs(15);
    let mut image = Image::take(server.data());
    loop {
        std::thread::sleep(Duration::from_millis(300));
        let next = Image::take(server.data());
        if next == image {
            return;
        }
        assert!(Instant::now() < deadline, "an idle server goes on writing to its files");
        image = next;
    }
}

/// How a server took damaged files.
enum Outcome {
    /// It serves all writes but for so many of the last.
    Serves { lost: usize },
    /// It refuses to start, with these words.
    Refuses(String),
}

/// Starts a server on an image and looks at all that was written. With `goes_on` it must also write from there, and find that
/// again: this costs another start.
fn start_on(image: &Image, server: &mut Server, goes_on: bool) -> Outcome {
    image.put(server.data());
    let check = check(server.data());
    let started = server.try_start();
    if let Err(log) = started {
        assert!(!check.0, "the server refuses what `ringkeep check` calls good:\n{log}\n{}", check.1);
        return Outcome::Refuses(log);
    }
    assert!(check.0, "the server serves what `ringkeep check` calls bad:\n{}", check.1);
    let found = present(&mut server.client());
    let mut lost = 0;
    for (number, found) in found.iter().enumerate() {
        match found {
            Some(found) => {
                assert_eq!(found, &value(number), "key{number} holds what nobody wrote");
                assert_eq!(lost, 0, "key{number} is there, and one written before it is not");
            }
            None => lost += 1,
        }
    }
    if goes_on {
        assert!(server.client().run("SET after damage").is_ok());
        server.kill();
        server.start();
        assert_eq!(server.client().run("GET after").text(), "damage");
    }
    server.kill();
    Outcome::Serves { lost }
}

fn present(client: &mut Client) -> Vec<Option<String>> {
    let requests: Vec<Vec<String>> = (0..WRITES).map(|number| vec!["GET".to_owned(), format!("key{number}")]).collect();
    let replies = client.pipeline(&requests);
    replies.iter().map(|reply| reply.bytes().map(|bytes| String::from_utf8_lossy(bytes).into_owned())).collect()
}

/// Does `ringkeep check` find nothing that stops a start? And its words.
fn check(directory: &Path) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_ringkeep")).arg("check").arg(directory).output().expect("run check");
    assert!(output.status.code().is_some(), "check was killed by a signal: {output:?}");
    let words = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    (output.status.success(), words)
}

/// Runs trials until all are done or the time is up; says how many were.
fn trials<T>(name: &str, of: &[T], mut trial: impl FnMut(&T)) {
    let seconds = number_from_environment("RINGKEEP_CRASH_SECONDS", SECONDS);
    let start = Instant::now();
    let mut done = 0;
    for place in of {
        if seconds > 0 && done > 0 && start.elapsed() > Duration::from_secs(seconds) {
            break;
        }
        trial(place);
        done += 1;
    }
    println!("{name}: {done} of {}", of.len());
}

fn shuffle<T>(random: &mut Random, items: &mut [T]) {
    for at in (1..items.len()).rev() {
        items.swap(at, random.below(at + 1));
    }
}

/// The refusal must lead to the damage: which directory, which segment or file in it, how far in.
fn names_the_place(log: &str, place: &Place) {
    let name = |path: Option<&std::ffi::OsStr>| path.map_or(String::new(), |name| name.to_string_lossy().into_owned());
    let (file, directory) = (name(place.file.file_name()), name(place.file.parent().and_then(Path::file_name)));
    // A small file is its own place; a log's segment is too large for that.
    let whole_file = log.contains(&file) && !file.ends_with(".log");
    let in_a_log =
        (log.contains(&file) || log.contains(&directory) && log.contains("segment")) && log.contains("offset");
    assert!(
        whole_file || in_a_log,
        "refused without saying that {} is damaged, and where:\n{log}",
        place.file.display()
    );
}

#[test]
fn an_undamaged_image_loses_nothing() {
    let (_, after) = images();
    let mut server = ServerOptions::ringkeep().prepare();
    let Outcome::Serves { lost } = start_on(&after, &mut server, true) else {
        panic!("refused");
    };
    assert_eq!(lost, 0);
}

/// Of the last write only a part arrived: it was not acknowledged, and what was acknowledged before is all there.
#[test]
fn a_last_record_cut_at_any_byte_is_a_torn_tail() {
    let mut random = Random::new(seed());
    let (before, after) = images();
    let changed = after.changes_since(&before);
    assert!(!changed.is_empty(), "the last write left no trace in the files");
    let file = &changed[0].file;
    assert!(changed.iter().all(|place| place.file == *file), "one write in several files: {changed:?}");
    let mut cuts: Vec<usize> = (0..changed.len()).collect();
    shuffle(&mut random, &mut cuts);
    let mut server = ServerOptions::ringkeep().prepare();
    trials("cuts of the last record", &cuts, |&cut| {
        let image = after.without(&changed[cut..], &before);
        match start_on(&image, &mut server, cut % 5 == 0) {
            Outcome::Serves { lost } => assert!(lost <= 1, "cut at {:?}: {lost} writes are gone", changed[cut]),
            Outcome::Refuses(log) => panic!("cut at {:?}: a torn tail was taken for corruption:\n{log}", changed[cut]),
        }
    });
}

/// A flipped bit is found, or meets nothing that matters. Only in the last record can it pass for a torn tail.
#[test]
fn a_flipped_bit_is_found_wherever_it_is() {
    let mut random = Random::new(seed());
    let (_, after) = images();
    let mut places = after.used_places();
    shuffle(&mut random, &mut places);
    // The checkpoint is small beside the log: half of the trials are its.
    let of_checkpoint = |place: &Place| place.file.extension().is_some_and(|extension| extension == "checkpoint");
    let (checkpoint, log): (Vec<Place>, Vec<Place>) = places.into_iter().partition(of_checkpoint);
    assert!(!checkpoint.is_empty(), "the image holds a checkpoint");
    let places: Vec<Place> = checkpoint.into_iter().zip(log).flat_map(|(one, other)| [one, other]).collect();
    let mut server = ServerOptions::ringkeep().prepare();
    let (mut refused, mut tried) = (0, 0);
    trials("flipped bits", &places, |place| {
        let mut image = after.clone();
        image.flip(place, random.below(8) as u32);
        tried += 1;
        match start_on(&image, &mut server, true) {
            Outcome::Serves { lost } => {
                assert!(lost <= 1, "a bit flipped at {place:?}: {lost} writes are silently gone")
            }
            Outcome::Refuses(log) => {
                refused += 1;
                names_the_place(&log, place);
            }
        }
    });
    println!("{refused} of {tried} refused");
    assert!(refused > 0, "no flipped bit was ever found");
}
