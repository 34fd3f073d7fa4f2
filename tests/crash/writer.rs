//! A client that changes its keys until the server is gone, and remembers what it was told.

use super::common::{Client, Random, Reply, encode};
use super::ledger::{Ledger, State};

/// Requests under way at once.
const PIPELINE: usize = 24;
/// Keys of each kind, per writer.
const KEYS: usize = 40;

/// One client with keys of its own. Keys that change together share a hash tag, so that they live in one shard.
pub struct Writer {
    number: usize,
    /// What it knows.
    pub ledger: Ledger,
    random: Random,
    version: u64,
}

impl Writer {
    /// A writer with no keys yet.
    pub fn new(number: usize, seed: u64) -> Writer {
        Writer { number, ledger: Ledger::default(), random: Random::new(seed ^ number as u64), version: 0 }
    }

    /// Writes until the connection ends.
    ///
    /// # Errors
    /// A reply that no server may give.
    pub fn write_until_gone(&mut self, port: u16) -> Result<(), String> {
        let Ok(mut client) = Client::try_connect(port) else {
            return Ok(());
        };
        loop {
            let mut bytes = Vec::new();
            let keys: Vec<String> =
                (0..1 + self.random.below(PIPELINE)).map(|_| self.next_request(&mut bytes)).collect();
            if client.try_send_raw(&bytes).is_err() {
                return Ok(());
            }
            for key in keys {
                match client.try_reply() {
                    Ok(Some((Reply::Error(text), _))) => return Err(format!("{key}: {}", text.escape_ascii())),
                    Ok(Some(_)) => self.ledger.acknowledge(&key),
                    Ok(None) => return Ok(()),
                    // A reset is an end like any other; a timeout is not.
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                        return Err(format!("{key}: {error}"));
                    }
                    Err(_) => return Ok(()),
                }
            }
        }
    }

    /// Encodes a random change and gives the key (of a pair: the first) whose state it makes.
    fn next_request(&mut self, bytes: &mut Vec<u8>) -> String {
        let slot = self.random.below(KEYS);
        let tag = format!("{{{}:{slot}}}", self.number);
        self.version += 1;
        // Sizes on both sides of what a server may treat differently.
        let padding = match self.random.below(40) {
            0 => 100_000,
            1..=4 => 5_000,
            _ => self.random.below(100),
        };
        let value = format!("{}:{}", self.version, "x".repeat(padding));
        let (key, state): (String, State) = match self.random.below(8) {
            0 | 1 => {
                let key = format!("{tag}plain");
                encode(bytes, &["SET", &key, &value]);
                (key, Some(value))
            }
            2 => {
                let key = format!("{tag}plain");
                encode(bytes, &["DEL", &key]);
                (key, None)
            }
            3 => {
                let key = format!("{tag}count");
                let before: u64 = self.ledger.latest(&key).map_or(0, |text| text.parse().expect("a count"));
                encode(bytes, &["INCR", &key]);
                (key, Some((before + 1).to_string()))
            }
            4 => {
                let key = format!("{tag}text");
                // Kept short, or the reads after a restart are what takes the time.
                let before = self.ledger.latest(&key).filter(|text| text.len() < 500).unwrap_or_default();
                if before.is_empty() {
                    encode(bytes, &["SET", &key, "a"]);
                    (key, Some("a".to_owned()))
                } else {
                    encode(bytes, &["APPEND", &key, "bc"]);
                    (key, Some(before + "bc"))
                }
            }
            5 => {
                let (key, other) = (format!("{tag}pair1"), format!("{tag}pair2"));
                encode(bytes, &["MSET", &key, &value, &other, &value]);
                (key, Some(value))
            }
            6 => {
                let (key, other) = (format!("{tag}script1"), format!("{tag}script2"));
                let script = "redis.call('SET',KEYS[1],ARGV[1]) redis.call('SET',KEYS[2],ARGV[1]) return 1";
                encode(bytes, &["EVAL", script, "2", &key, &other, &value]);
                (key, Some(value))
            }
            _ => {
                let key = format!("{tag}far");
                encode(bytes, &["SET", &key, &value, "EX", "100000"]);
                (key, Some(value))
            }
        };
        self.ledger.sent(&key, state);
        key
    }

    /// Keys that exist now, once everything is settled: both halves of each pair.
    pub fn known_keys(&self) -> usize {
        let existing = self.ledger.keys().into_iter().filter(|key| self.ledger.latest(key).is_some());
        existing.map(|key| if key.ends_with('1') { 2 } else { 1 }).sum()
    }

    /// Compares everything with what a restarted server holds.
    ///
    /// # Errors
    /// All that is lost, invented or half.
    pub fn settle(&mut self, client: &mut Client) -> Result<(), String> {
        let mut wrong = Vec::new();
        for key in self.ledger.keys() {
            let found = read(client, &key);
            // The other half of a pair is whatever the first is.
            if key.ends_with('1') {
                let other = format!("{}2", &key[..key.len() - 1]);
                if read(client, &other) != found {
                    wrong.push(format!("{key} and {other} were written together and differ"));
                }
            }
            if key.ends_with("far") && found.is_some() {
                let ttl = client.command(&["TTL", &key]).integer();
                if !(90_000..=100_000).contains(&ttl) {
                    wrong.push(format!("{key} has {ttl} s to live, not about 100000"));
                }
            }
            if let Err(reason) = self.ledger.settle(&key, found) {
                wrong.push(shortened(&reason));
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
    }
}

fn read(client: &mut Client, key: &str) -> State {
    let reply = client.command(&["GET", key]);
    assert!(reply.error_text().is_none(), "GET {key}: {reply:?}");
    reply.bytes().map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

/// Without the padding.
fn shortened(text: &str) -> String {
    let mut short = String::new();
    for piece in text.split("xxxxxxxxxx").filter(|piece| !piece.is_empty()) {
        short.push_str(piece);
    }
    short
}
