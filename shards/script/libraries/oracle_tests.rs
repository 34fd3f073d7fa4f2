//! The libraries here and in a real Redis, byte by byte, where one is installed: chosen scripts, and random values and texts.
//!
//! Left out, because they differ and are known to: the order of the keys of a table (LuaJIT has its own), the bits of what is no number
//! (LuaJIT has one of them), strings that are a number up to a zero byte (LuaJIT reads on), -0 as a constant and as a key (one of the
//! two takes it for 0), and the line before an error of a function with several results in tail position.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

use super::super::fake_host::Bench;
use super::super::oracle_tests::Redis;
use super::oracle_scripts::SCRIPTS;
use crate::script::number::NumberText;
use std::fmt::Write;

/// Lua that writes any value as a line, the same whichever order tables have.
const SHOW: &str = r#"
local function show(value)
  if type(value) == 'number' then
    if value ~= value then return 'nan' end
    return string.format('%.17g', value)
  elseif type(value) == 'string' then
    return '"' .. value:gsub('[^%w ]', function(c) return string.format('\\%03d', c:byte()) end) .. '"'
  elseif type(value) == 'table' then
    local parts = {}
    for k, v in pairs(value) do parts[#parts + 1] = show(k) .. '=' .. show(v) end
    table.sort(parts)
    return '{' .. table.concat(parts, ',') .. '}'
  elseif value == cjson.null then
    return 'null'
  end
  return tostring(value)
end
local function all(...) return select('#', ...) .. ':' .. show({...}) end
local function try(f, ...) return all(pcall(f, ...)) end
"#;

/// Random numbers that are the same every time.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 16) as usize % bound
    }

    fn one_of<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.below(all.len())]
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| (self.next() >> 32) as u8).collect()
    }
}

/// A string as Lua source.
fn quoted(bytes: &[u8]) -> String {
    let mut text = String::from("'");
    for byte in bytes {
        write!(text, "\\{byte:03}").unwrap();
    }
    text + "'"
}

/// How often everything random is tried; a variable in the environment asks for more.
fn rounds() -> u64 {
    std::env::var("RINGKEEP_ORACLE_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(30)
}

/// Runs expressions that give one string each, many in a script, and compares.
fn compare(redis: &mut Redis, seed: u64, mut expression: impl FnMut(&mut Dice) -> String) {
    let mut bench = Bench::new();
    for round in 0..rounds() {
        let mut dice = Dice((seed << 32 | round) * 2 + 1);
        for _ in 0..20 {
            dice.next();
        }
        let cases: Vec<String> = (0..40).map(|_| expression(&mut dice)).collect();
        let source = format!("{SHOW} return {{{}}}", cases.join(",\n"));
        let theirs = String::from_utf8_lossy(&redis.command(&["EVAL", &source, "0"])).into_owned();
        let ours = bench.run(&source, &[], &[]).1;
        if ours != theirs {
            let mut lines = ours.lines().zip(theirs.lines());
            let place = lines.position(|(ours, theirs)| ours != theirs).unwrap_or(0);
            // Each case is a line for its length and one for its text.
            let case = cases.get(place.saturating_sub(1) / 2).map_or(&*source, |case| case);
            let from = place.saturating_sub(1) | 1;
            let text = |reply: &str| reply.lines().skip(from).take(2).collect::<Vec<_>>().join(" ");
            panic!("seed {seed}, round {round}: {case}\n  redis {}\n  here  {}", text(&theirs), text(&ours));
        }
    }
}

fn redis() -> Option<Redis> {
    let redis = Redis::start();
    if redis.is_none() {
        eprintln!("no redis-server here: the comparison is left out");
    }
    redis
}

#[test]
fn scripts_with_libraries_answer_as_in_a_real_redis() {
    let Some(mut redis) = redis() else { return };
    let mut different = String::new();
    for source in SCRIPTS {
        let mut bench = Bench::new();
        // Options last in Redis.
        redis.command(&["SCRIPT", "FLUSH", "SYNC"]);
        for source in [(*source).to_string(), format!("{SHOW} return try(function() {source} end)")] {
            let theirs = String::from_utf8_lossy(&redis.command(&["EVAL", &source, "0"])).into_owned();
            let ours = bench.run(&source, &[], &[]).1;
            if ours != theirs {
                different += &format!("{source}\n  redis {theirs:?}\n  here  {ours:?}\n");
            }
            redis.command(&["SCRIPT", "FLUSH", "SYNC"]);
        }
    }
    assert!(different.is_empty(), "\n{different}");
}

/// A double as Lua source: any bits, or a number that people use.
fn number(dice: &mut Dice) -> String {
    match dice.below(6) {
        0 => format!("(struct.unpack('d', {}))", quoted(&dice.bytes(8))),
        1 => format!("{}", dice.next() as i32),
        2 => format!("{}", dice.next() >> dice.below(64)),
        3 => format!("-{}", (dice.next() >> dice.below(64)).max(1)),
        4 => format!("{}e{}", dice.below(100_000), dice.below(40) as i32 - 20),
        _ => {
            let special = [
                "0",
                "(struct.unpack('>d', '\\128\\0\\0\\0\\0\\0\\0\\0'))",
                "1/0",
                "-1/0",
                "2^53",
                "2^63",
                "-2^63",
                "0.1",
                "1/3",
                "2^31",
                "-2^31",
                "2^32",
            ];
            dice.one_of(&special).to_string()
        }
    }
}

/// A value as Lua source. Its tables have an order: they are lists, or have one key.
fn value(dice: &mut Dice, depth: usize) -> String {
    match dice.below(if depth == 0 { 5 } else { 8 }) {
        0 | 1 => number(dice),
        2 => {
            let len = dice.below(12);
            quoted(&dice.bytes(len))
        }
        3 => dice.one_of(&["true", "false", "cjson.null", "nil", "''"]).to_string(),
        4 => format!("('x'):rep({})", dice.below(70_000) >> dice.below(17)),
        5 | 6 => {
            let len = dice.below(5) + if dice.below(20) == 0 { 20 } else { 0 };
            let elements: Vec<String> = (0..len).map(|_| value(dice, depth - 1)).collect();
            format!("{{{}}}", elements.join(","))
        }
        _ => {
            let key = match dice.below(4) {
                0 => number(dice),
                1 => dice.one_of(&["true", "{}", "0", "20", "3"]).to_string(),
                _ => quoted(b"key"),
            };
            format!("{{[nonan({key})]={}}}", value(dice, depth - 1))
        }
    }
}

#[test]
fn random_values_are_written_as_in_a_real_redis() {
    let Some(mut redis) = redis() else { return };
    let nonan = "(function(v) if v ~= v then return 1 end if v == 0 then return 0 end return v end)";
    compare(&mut redis, 1, |dice| {
        let value = value(dice, 4).replace("nonan", nonan);
        format!("try(cjson.encode, {value})")
    });
    compare(&mut redis, 2, |dice| {
        let value = value(dice, 4).replace("nonan", nonan);
        format!("try(cmsgpack.pack, {value})").replace("(struct.unpack", &format!("{nonan}(struct.unpack"))
    });
    compare(&mut redis, 3, |dice| {
        let value = number(dice);
        let precision = 1 + dice.below(14);
        format!("try(function() cjson.encode_number_precision({precision}) return cjson.encode({{{value}}}) end)")
    });
}

#[test]
fn tables_of_any_order_come_back() {
    let Some(mut redis) = redis() else { return };
    compare(&mut redis, 4, |dice| {
        let entries: Vec<String> = (0..dice.below(30))
            .map(|index| match dice.below(3) {
                0 => format!("[{}]={index}", dice.below(40)),
                1 => format!("k{}={{{index},{{a={index},b=2}}}}", dice.below(40)),
                _ => format!("[{}.5]='{index}'", dice.below(40)),
            })
            .collect();
        let library = dice.one_of(&["cjson.decode(cjson.encode", "cmsgpack.unpack(cmsgpack.pack"]);
        format!("try(function() return {library}({{{}}})) end)", entries.join(","))
    });
}

#[test]
fn random_json_is_read_as_in_a_real_redis() {
    let Some(mut redis) = redis() else { return };
    const PIECES: [&str; 40] = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"a\"",
        "\"b\":",
        "\"\\u00e9x\"",
        "\"\\ud83d\\ude00\"",
        "\"\\ud83d\"",
        "\"\\ude00\"",
        "\"\\x\"",
        "\"",
        "\\",
        "1",
        "-1.5e3",
        "0x1F",
        "nan",
        "-inf",
        "null",
        "true",
        "false",
        "fals",
        " ",
        "\n\t",
        "\0",
        "\"\\/\\b\\f\\n\\r\\t\\\\\\\"\"",
        "0",
        "01",
        "+1",
        "Infinity",
        "\u{e9}",
        "\x0b",
    ];
    fn json(dice: &mut Dice, depth: usize) -> String {
        match dice.below(if depth == 0 { 3 } else { 5 }) {
            0 => dice.one_of(&["1", "true", "null", "-2.5e-3", "1e400"]).to_string(),
            1 => format!("\"{}\"", dice.one_of(&["", "x", "\\n", "\\u20ac", "\\uD834\\uDD1E", "\u{20ac}\x7f", "/"])),
            2 => format!(" {} ", dice.next() as i32),
            3 => {
                let elements: Vec<String> = (0..dice.below(4)).map(|_| json(dice, depth - 1)).collect();
                format!("[{}]", elements.join(","))
            }
            _ => {
                let entries: Vec<String> =
                    (0..dice.below(4)).map(|_| format!("\"k{}\" :{}", dice.below(5), json(dice, depth - 1))).collect();
                format!("{{{}}}", entries.join(", "))
            }
        }
    }
    compare(&mut redis, 5, |dice| {
        let text: String = (0..1 + dice.below(12)).map(|_| dice.one_of(&PIECES)).collect();
        format!("try(cjson.decode, {})", quoted(text.as_bytes()))
    });
    compare(&mut redis, 6, |dice| {
        let mut text = json(dice, 5).into_bytes();
        // A byte is lost, changed or put in.
        let place = dice.below(text.len());
        match dice.below(6) {
            0 => drop(text.remove(place)),
            1 => text[place] = dice.next() as u8,
            2 => text.insert(place, dice.one_of(&PIECES).as_bytes()[0]),
            3 => text.truncate(place),
            _ => {}
        }
        format!("try(cjson.decode, {})", quoted(&text))
    });
    compare(&mut redis, 7, |dice| {
        let letters: Vec<u8> =
            (0..dice.below(20)).map(|_| b"0123456789012345678901234567..eE+-xpabcdefinf()_"[dice.below(47)]).collect();
        let start = dice.one_of(&[
            "",
            "0",
            "-",
            "0x",
            "-0x",
            "1",
            "0x0.0",
            "0x1.fffffffffffff",
            "nan(",
            "0.000",
            "1e",
            "9007199254740993.",
        ]);
        let text = [start.as_bytes(), &letters].concat();
        let strict = dice.one_of(&["true", "true", "true", "false"]);
        format!("try(function() cjson.decode_invalid_numbers({strict}) return cjson.decode({}) end)", quoted(&text))
    });
}

#[test]
fn random_msgpack_is_read_as_in_a_real_redis() {
    let Some(mut redis) = redis() else { return };
    fn input(dice: &mut Dice) -> Vec<u8> {
        let mut input = Vec::new();
        for _ in 0..1 + dice.below(12) {
            match dice.below(5) {
                0 => input.push(0xc0 + dice.below(32) as u8),
                1 => input.push(0x80 + dice.below(6) as u8),
                2 => input.push(0x90 + dice.below(6) as u8),
                3 => {
                    let len = dice.below(6);
                    input.push(0xa0 + len as u8);
                    input.extend_from_slice(&dice.bytes(len));
                }
                _ => {
                    let len = dice.below(9);
                    input.extend_from_slice(&dice.bytes(len));
                }
            }
        }
        input
    }
    compare(&mut redis, 8, |dice| format!("try(cmsgpack.unpack, {})", quoted(&input(dice))));
    compare(&mut redis, 9, |dice| {
        let input = input(dice);
        let offset = dice.below(input.len() + 3) as i32 - 1;
        let limit = dice.below(5) as i32 - 1;
        let call = dice.one_of(&["one, INPUT, OFFSET", "limit, INPUT, LIMIT", "limit, INPUT, LIMIT, OFFSET"]);
        let call = call.replace("LIMIT", &limit.to_string()).replace("OFFSET", &offset.to_string());
        format!("try(cmsgpack.unpack_{})", call.replace("INPUT", &quoted(&input)))
    });
}

#[test]
fn random_structures_are_those_of_a_real_redis() {
    let Some(mut redis) = redis() else { return };
    fn format(dice: &mut Dice) -> String {
        (0..dice.below(8))
            .map(|_| match dice.below(12) {
                0 => format!("i{}", dice.below(36)),
                1 => format!("I{}", dice.below(36)),
                2 => format!("c{}", 1 + dice.below(5)),
                3 => format!("!{}", 1 << dice.below(6)),
                4 => dice.one_of(&["!", "!3", "i", "I", "c", "z", "-", "5", "c99999999999"]).to_string(),
                _ => dice
                    .one_of(&["b", "B", "h", "H", "l", "L", "T", "f", "d", "s", "x", " ", "<", ">", "Bc0", "sc0"])
                    .to_string(),
            })
            .collect()
    }
    compare(&mut redis, 10, |dice| {
        let format = format(dice);
        let values: Vec<String> = (0..dice.below(9))
            .map(|_| match dice.below(4) {
                0 => number(dice),
                1 => quoted(NumberText::new(dice.below(1000) as f64).as_bytes()),
                2 => dice.one_of(&["nil", "{}", "'abc'", "''", "'a\\0b'"]).to_string(),
                _ => format!("{}", dice.below(300)),
            })
            .map(|value| format!(", (function(v) if v ~= v then return 1 end return v end)({value})"))
            .collect();
        format!("try(struct.pack, '{format}'{})", values.concat())
    });
    compare(&mut redis, 11, |dice| {
        let format = format(dice);
        let len = dice.below(60);
        let mut data = dice.bytes(len);
        for _ in 0..dice.below(20) {
            // Zero bytes and small numbers are what strings end with and lengths are.
            if len > 0 {
                data[dice.below(len)] = dice.below(4) as u8;
            }
        }
        let place = dice.one_of(&["", "", ", 1", ", 3", ", 0", ", -1", ", 100"]);
        format!("try(struct.unpack, '{format}', {}{place})", quoted(&data))
    });
    compare(&mut redis, 12, |dice| format!("try(struct.size, '{}')", format(dice)));
}
