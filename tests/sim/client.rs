//! What clients ask for.

use crate::dice::Dice;
use crate::history::{History, Wish};
use crate::node::{Asked, LARGE_BYTES_MIN};
use ringkeep_shards::command::find;
use ringkeep_shards::port::ExecItem;
use ringkeep_shards::reply::Protocol;
use ringkeep_shards::slots::shard_of;

/// Strings of each shard that histories are about.
pub const STRINGS_PER_SHARD: usize = 3;
/// Keys of each shard that are only there to make work.
const NOISE_KEYS: usize = 8;

const BOTH: &str = "redis.call('append',KEYS[1],ARGV[1]) redis.call('append',KEYS[2],ARGV[1]) return 1";
const SLOWLY: &str = "redis.call('append',KEYS[1],ARGV[1]) for i = 1, 600 do end redis.call('append',KEYS[2],ARGV[1]) \
    for i = 1, 300 do end return 1";
const RAISES: &str = "redis.call('append',KEYS[1],ARGV[1]) for i = 1, 200 do end redis.call('del',KEYS[2]) error('no')";
const READS: &str = "local a = redis.call('get',KEYS[1]) for i = 1, 600 do end return {a, redis.call('get',KEYS[2])}";
const READS_THEN_APPENDS: &str = "local a = redis.call('get',KEYS[1]) redis.call('append',KEYS[2],ARGV[1]) return a";
const SLOWLY_READS_THEN_APPENDS: &str = "local a = redis.call('get',KEYS[1]) for i = 1, 500 do end \
    redis.call('append',KEYS[2],ARGV[1]) for i = 1, 200 do end return a";
const HIDDEN_READ: &str =
    "local a = redis.call('exists','absent') for i = 1, 300 do end redis.call('incr',KEYS[1]) return a";

/// The names of keys, by shard.
pub struct Keys {
    /// The strings, those of the first shard first.
    pub strings: Vec<String>,
    noise: Vec<Vec<String>>,
}

impl Keys {
    pub fn new(shards: u16) -> Self {
        let names = |prefix: &str, count: usize, shard: u16| -> Vec<String> {
            let all = (0..).map(|number| format!("{prefix}{number}"));
            all.filter(|name| shard_of(name.as_bytes(), shards).0 == shard).take(count).collect()
        };
        Keys {
            strings: (0..shards).flat_map(|shard| names("s", STRINGS_PER_SHARD, shard)).collect(),
            noise: (0..shards).map(|shard| names("n", NOISE_KEYS, shard)).collect(),
        }
    }
}

/// A request, for a shard.
pub struct Request {
    pub shard: u16,
    pub wish: Wish,
    pub asked: Asked,
    /// Whether it may stand in a pipeline: it is done at once.
    pub is_quick: bool,
}

/// Some request of some client.
pub fn request(dice: &mut Dice, keys: &Keys, history: &History) -> Request {
    let shard = dice.below(keys.noise.len() as u64) as u16;
    let token = history.token();
    let first = usize::from(shard) * STRINGS_PER_SHARD;
    let one = first + dice.below(STRINGS_PER_SHARD as u64) as usize;
    let other = first + (one - first + 1 + dice.below(STRINGS_PER_SHARD as u64 - 1) as usize) % STRINGS_PER_SHARD;
    let name = |key: usize| keys.strings[key].as_str();
    let script = |text: &str, read_only: bool| {
        let eval = if read_only { "eval_ro" } else { "eval" };
        command(&[eval, text, "2", name(one), name(other), &token])
    };
    let both = Wish::Append { keys: vec![one, other], token: token.clone(), tells_length: false };
    let skew = Wish::ReadThenAppend { read: one, append: other, token: token.clone() };
    let mut is_quick = false;
    let (wish, asked) = match dice.below(20) {
        0..4 => {
            is_quick = true;
            let wish = Wish::Append { keys: vec![one], token: token.clone(), tells_length: true };
            (wish, command(&["append", name(one), &token]))
        }
        4 => (both, script(BOTH, false)),
        5 | 6 => (both, script(SLOWLY, false)),
        7 => (both, exec(&[&["append", name(one), &token], &["append", name(other), &token]])),
        8 => {
            let slow = ["eval", "for i = 1, 500 do end return 1", "0"];
            (both, exec(&[&["append", name(one), &token], &slow, &["append", name(other), &token]]))
        }
        9 => (Wish::Raise { keys: vec![one, other], token: token.clone() }, script(RAISES, false)),
        10..12 => {
            is_quick = true;
            (Wish::Read { keys: vec![one] }, command(&["get", name(one)]))
        }
        12 => (Wish::Read { keys: vec![one, other] }, command(&["mget", name(one), name(other)])),
        13 => (Wish::Read { keys: vec![one, other] }, exec(&[&["get", name(one)], &["get", name(other)]])),
        14 => (Wish::Read { keys: vec![one, other] }, script(READS, true)),
        15 => (skew, script(READS_THEN_APPENDS, false)),
        16 | 17 => (skew, script(SLOWLY_READS_THEN_APPENDS, false)),
        _ => (Wish::Noise, noise(dice, &keys.noise[usize::from(shard)])),
    };
    Request { shard, wish, asked, is_quick }
}

fn noise(dice: &mut Dice, keys: &[String]) -> Asked {
    let (key, other) = (dice.pick(keys), dice.pick(keys));
    let number = dice.within(1..3000).to_string();
    let text = |len: u64| "v".repeat(len as usize);
    let long = text(LARGE_BYTES_MIN as u64 + dice.below(900));
    match dice.below(14) {
        0 => command(&["set", key, &number, "px", &number]),
        1 | 2 => command(&["set", key, &long]),
        3 => command(&["append", key, &long[..90]]),
        4 => command(&["setrange", key, &number[..1], "mark"]),
        5 => command(&["del", key]),
        6 => command(&["copy", key, other, "replace"]),
        7 => command(&["keys", "*"]),
        8 => command(&["dbsize"]),
        9 => command(&["pexpire", key, &number]),
        10 => command(&["setbit", key, &number, "1"]),
        11 => command(&["getdel", key]),
        12 => command(&["rename", key, other]),
        _ => command(&["eval", HIDDEN_READ, "1", key]),
    }
}

fn words(words: &[&str]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

fn command(list: &[&str]) -> Asked {
    Asked::Command(words(list))
}

fn exec(lines: &[&[&str]]) -> Asked {
    let item = |line: &&[&str]| ExecItem::Run {
        command: find(line[0].as_bytes()).expect("a command"),
        db: 0,
        protocol: Protocol::Resp2,
        arguments: words(line),
    };
    Asked::Exec(lines.iter().map(item).collect())
}
