//! What passes between Lua and its surroundings: values that scripts return, replies that they are given, errors that they raise, and
//! every function of `redis`, with random values.
//!
//! Left out, since Redis 7.2 answers otherwise than 7.0: doubles whose shortest digits are not those of `%.17g`, NaN, numbers of 1e17
//! and more, and -0, as arguments of commands, and errors without a text (`error({})`), over which 7.0 ends. Left out, since nobody promises
//! it: the order of the pairs of a table.

use super::common::{Random, Server, ServerOptions, reference_binary};
use super::step::Step;
use crate::request;
use std::fmt::Write;
use std::io::Read;

/// Shows a value with its types, the pairs of tables in order.
const SHOW: &str = "local function show(v) \
    if type(v) ~= 'table' then return type(v) .. ' ' .. tostring(v) end \
    local parts = {} \
    for key, value in pairs(v) do parts[#parts + 1] = show(key) .. ' = ' .. show(value) end \
    table.sort(parts) return '{' .. table.concat(parts, ', ') .. '}' end \
    local function all(...) \
    local parts = {} for i = 1, select('#', ...) do parts[i] = show((select(i, ...))) end \
    return table.concat(parts, '; ') end ";

/// What a script writes in front of a table whose pairs may come in any order.
pub const ANY_ORDER: &str = "--[[any order]]";

/// Nested tables, at most.
const DEPTH_MAX: usize = 5;

/// Numbers that 7.0 and 7.2 write alike where they write them as doubles.
const DOUBLES: [&str; 16] = [
    "0",
    "1",
    "-1",
    "0.5",
    "-2.25",
    "3.75",
    "1024",
    "100000",
    "-7.125",
    "1e15",
    "123456789.5",
    "1/0",
    "-1/0",
    "0.0625",
    "2^40",
    "-(2^31)",
];
/// Numbers that become integers.
const NUMBERS: [&str; 22] = [
    "0",
    "1",
    "-1",
    "3.99",
    "-3.99",
    "0.1",
    "1e20",
    "-1e20",
    "2^53",
    "2^53+1",
    "-(2^53)",
    "2^63",
    "-(2^63)",
    "2^62",
    "2^31",
    "1e300",
    "1/0",
    "-1/0",
    "0/0",
    "4294967296.7",
    "0x7fffffff",
    "9007199254740993",
];
/// Keys of tables: those that Redis knows, and others.
const TAGS: [&str; 12] = [
    "ok",
    "err",
    "double",
    "map",
    "set",
    "big_number",
    "verbatim_string",
    "format",
    "string",
    "attrib",
    "null",
    "other",
];

fn literal(bytes: &[u8]) -> String {
    let mut text = String::from("'");
    for byte in bytes {
        match byte {
            b'\'' | b'\\' | 0..=31 | 127..=255 => write!(text, "\\{byte:03}").expect("a string takes anything"),
            plain => text.push(char::from(*plain)),
        }
    }
    text + "'"
}

/// A string as an expression.
fn string(random: &mut Random) -> String {
    match random.below(12) {
        0 => "''".to_owned(),
        1 => literal(&(0..random.below(12)).map(|_| random.next() as u8).collect::<Vec<_>>()),
        2 => format!("string.rep({}, {})", literal(&[random.next() as u8]), 1 + random.below(40_000)),
        3 => literal(b"two\r\nlines"),
        4 => literal(b"zero\0inside"),
        5 => "'-LEADS with a dash'".to_owned(),
        6 => "'ERR of the usual kind'".to_owned(),
        7 => "'oneword'".to_owned(),
        8 => literal(format!("{}", random.next()).as_bytes()),
        9 => "'  blanks  '".to_owned(),
        10 => "tostring(12)".to_owned(),
        _ => "'WRONGKIND a sentence'".to_owned(),
    }
}

fn scalar(random: &mut Random) -> String {
    match random.below(9) {
        0 => "nil".to_owned(),
        1 => "true".to_owned(),
        2 => "false".to_owned(),
        3..6 => random.pick(&NUMBERS).to_owned(),
        6 if random.one_in(3) => random.pick(&["print", "tostring", "function() end", "redis.call"]).to_owned(),
        _ => string(random),
    }
}

/// A field of a table that may tell its kind.
fn field(random: &mut Random, tag: &str, depth: usize) -> String {
    match tag {
        "double" => format!("double={}", random.pick(&DOUBLES)),
        tag => format!("{tag}={}", value(random, depth)),
    }
}

/// Any value as an expression.
fn value(random: &mut Random, depth: usize) -> String {
    if depth == 0 || random.one_in(3) {
        return scalar(random);
    }
    let depth = depth - 1;
    match random.below(14) {
        0 => format!("{{ok={}}}", scalar(random)),
        1 => format!("{{err={}}}", scalar(random)),
        2 => format!("{{double={}}}", random.pick(&DOUBLES)),
        3 => format!("{{double={}}}", string(random)),
        4 => {
            // The key may be anything but nil and NaN.
            let key = random.pick(&["'k'", "7", "2.5", "true", "{1,2}", "{ok='fine'}"]).to_owned();
            format!("{{map={{[{key}]={}}}}}", value(random, depth))
        }
        5 => {
            format!("{{set={{[{}]=true}}}}", random.pick(&["'k'", "7", "-0.5", "false", "{3}", "{err='ERR in a set'}"]))
        }
        6 => {
            let pairs: Vec<String> =
                (0..random.below(5)).map(|number| format!("k{number}={}", value(random, depth))).collect();
            format!("{ANY_ORDER}{{map={{{}}}}}", pairs.join(","))
        }
        7 => {
            let members: Vec<String> = (0..random.below(5)).map(|number| format!("m{number}={number}")).collect();
            format!("{ANY_ORDER}{{set={{{}}}}}", members.join(","))
        }
        8 => format!("{{big_number={}}}", string(random)),
        9 => {
            let format = random.pick(&["'txt'", "'mkd'", "'t'", "''", "'longer'", "7", "nil", "'a\\0b'"]).to_owned();
            format!("{{verbatim_string={{format={format},string={}}}}}", scalar(random))
        }
        10 => {
            // Two tags: the first one that fits decides.
            // (Constructors that name a field twice are Lua's own business, and LuaJIT minds it in its own way.)
            let first = random.below(TAGS.len());
            let second = (first + 1 + random.below(TAGS.len() - 1)) % TAGS.len();
            let fields = [first, second].map(|tag| field(random, TAGS[tag], depth));
            format!("{ANY_ORDER}{{{}}}", fields.join(","))
        }
        11 => format!("setmetatable({{}}, {{__index = function() return {} end}})", scalar(random)),
        12 => {
            let places: Vec<i32> = (-1..5).filter(|_| !random.one_in(3)).collect();
            let holes: Vec<String> = places.iter().map(|at| format!("[{at}]={}", value(random, depth))).collect();
            format!("{{{}}}", holes.join(","))
        }
        _ => {
            let elements: Vec<String> = (0..random.below(6)).map(|_| value(random, depth)).collect();
            format!("{{{}}}", elements.join(","))
        }
    }
}

/// An error that a script raises. A table has a text: without one Redis 7.0 ends.
fn raised(random: &mut Random) -> String {
    let text = string(random);
    match random.below(10) {
        0 => format!("error({text})"),
        1 => format!("error({text}, {})", random.below(3)),
        2 => format!("error({{err={text}}})"),
        3 => format!("error({{err={text}, source={}, line={}}})", string(random), random.below(100)),
        4 => format!("error({{err={text}, ignore_error_stats_update=true, other={{}}}})"),
        5 => format!("error({})", random.pick(&["nil", "7", "2.5", "true", "false"])),
        6 => format!("error(redis.error_reply({text}))"),
        7 => "redis.call('INCR', KEYS[1], 'x')".to_owned(),
        8 => format!("local e = redis.pcall('GET') e.err = {text} error(e)"),
        _ => format!("error({{err={}}})", random.below(1000)),
    }
}

/// Arguments of a function of `redis`.
fn arguments(random: &mut Random) -> String {
    let arguments: Vec<String> = (0..random.below(4))
        .map(|_| match random.below(6) {
            0 => random.pick(&["0", "1", "2", "3", "4", "-1", "2.5", "'2'", "'3'", "1e10"]).to_owned(),
            1 => random.pick(&["nil", "true", "{}", "{err='x'}"]).to_owned(),
            2 => random.pick(&["'GET'", "'set'", "'NOSUCH'", "'k0'", "'CONFIG'", "'EVAL'"]).to_owned(),
            _ => string(random),
        })
        .collect();
    arguments.join(", ")
}

/// A function of `redis`; those that are given commands are in `commands`.
const FUNCTIONS: [&str; 9] = [
    "error_reply",
    "status_reply",
    "sha1hex",
    "log",
    "setresp",
    "set_repl",
    "replicate_commands",
    "acl_check_cmd",
    "breakpoint",
];

/// Commands of all kinds of replies; numbers among their arguments are written by the shell of Lua.
const COMMANDS: [&str; 34] = [
    "'GET', KEYS[1]",
    "'GET', 'missing'",
    "'MGET', KEYS[1], 'missing', KEYS[1]",
    "'SET', KEYS[1], ARGV[1]",
    "'SET', KEYS[1], ARGV[1], 'GET'",
    "'SET', KEYS[1], ARGV[1], 'NX'",
    "'INCR', 'n'",
    "'INCRBY', 'n', 99999999999999",
    "'DECRBY', 'n', -7",
    "'INCRBYFLOAT', 'f', 2.5",
    "'INCRBYFLOAT', 'f', '1e-3'",
    "'INCR', KEYS[1]",
    "'LCS', 'x', 'y'",
    "'LCS', 'x', 'y', 'LEN'",
    "'LCS', 'x', 'y', 'IDX'",
    "'LCS', 'x', 'y', 'IDX', 'WITHMATCHLEN'",
    "'BITFIELD', 'b', 'OVERFLOW', 'FAIL', 'INCRBY', 'u2', 0, 3",
    "'BITFIELD', 'b', 'GET', 'i64', 0, 'SET', 'u8', '#1', 200",
    "'TYPE', KEYS[1]",
    "'TYPE', 'missing'",
    "'PTTL', 'x'",
    "'TTL', 'missing'",
    "'EXISTS', KEYS[1], KEYS[1]",
    "'GETDEL', KEYS[1]",
    "'GETEX', KEYS[1], 'PERSIST'",
    "'OBJECT', 'ENCODING', KEYS[1]",
    "'ECHO', 0.5",
    "'ECHO', 1234567890123456",
    "'PING'",
    "'MSETNX', 'x', 'ohmytext', 'y', 'mynewtext'",
    "'MSET', 'x', 'ohmytext', 'y', 'mynewtext'",
    "'COMMAND', 'GETKEYS', 'MSET', 'a', 1, 'b', 2",
    "'COMMAND', 'INFO', 'nosuch'",
    "'GETRANGE', KEYS[1], -3, -1",
];

fn eval(random: &mut Random, body: String) -> Step {
    let argument: Vec<u8> = match random.below(4) {
        0 => b"12".to_vec(),
        1 => Vec::new(),
        2 => (0..random.below(30)).map(|_| random.next() as u8).collect(),
        _ => b"a text".to_vec(),
    };
    request!["EVAL", body, "1", random.pick(&["k0", "k1"]), argument]
}

/// Adds a random step.
pub fn generate(random: &mut Random, steps: &mut Vec<Step>) {
    let protocol = random.pick(&["", "", "redis.setresp(2) ", "redis.setresp(3) "]).to_owned();
    let step = match random.below(12) {
        0..4 => {
            let value = value(random, DEPTH_MAX);
            eval(random, format!("{protocol}return {value}"))
        }
        4 => {
            let depth = 1 + random.below(50);
            let value = value(random, 1);
            eval(random, format!("{protocol}local t = {value} for i = 1, {depth} do t = {{t}} end return t"))
        }
        5 => {
            let raised = raised(random);
            eval(random, format!("{protocol}{raised}"))
        }
        6 => {
            let raised = raised(random);
            let caught = random.pick(&["return e", "return all(ok, e)", "return {e}", "error(e)"]).to_owned();
            // What was no table and had no place is an error of its own kind when it is raised once more.
            eval(random, format!("{SHOW}{protocol}local ok, e = pcall(function() {raised} end) {caught}"))
        }
        7 | 8 => {
            let (function, arguments) = (random.pick(&FUNCTIONS).to_owned(), arguments(random));
            match random.below(3) {
                0 => eval(random, format!("return redis.{function}({arguments})")),
                1 => eval(random, format!("{SHOW}return all(redis.{function}({arguments}))")),
                _ => {
                    eval(random, format!("{SHOW}return all(pcall(redis.{function}, {arguments}))").replace(", )", ")"))
                }
            }
        }
        9 => {
            let (function, arguments) = (random.pick(&["call", "pcall"]).to_owned(), arguments(random));
            eval(random, format!("{SHOW}return all(pcall(redis.{function}, {arguments}))").replace(", )", ")"))
        }
        _ => {
            let command = random.pick(&COMMANDS).to_owned();
            let how = match random.below(3) {
                0 => format!("return redis.call({command})"),
                1 => format!("return redis.pcall({command})"),
                _ => format!("return show(redis.pcall({command}))"),
            };
            let order = if command.contains("'IDX'") { ANY_ORDER } else { "" };
            eval(random, format!("{order}{SHOW}{protocol}{how}"))
        }
    };
    if random.one_in(10) {
        steps.extend([request!["MULTI"], step.clone(), step, request!["EXEC"]]);
    } else {
        steps.push(step);
    }
}

/// Edge cases: those that random values have found, and the bounds.
pub const EDGES: &str = r##"
EVAL "return redis.error_reply('')" 0
EVAL "return redis.error_reply('-')" 0
EVAL "return redis.error_reply('--X y')" 0
EVAL "return redis.error_reply('X\\0y z')" 0
EVAL "return redis.error_reply('\\0')" 0
EVAL "return redis.status_reply('')" 0
EVAL "return redis.status_reply('a\\0b')" 0
EVAL "return redis.status_reply('a\\r\\nb')" 0
EVAL "return {ok='a\\0b'}" 0
EVALSHA no-digest no-number
EVALSHA_RO no-digest -1
EVALSHA 0000000000000000000000000000000000000000 no-number
EVAL "return {err='a\\0b'}" 0
EVAL "return {big_number='a\\0b'}" 0
EVAL "return {big_number='1\\r\\n2'}" 0
EVAL "return {verbatim_string={format='a\\0b',string='x\\0y'}}" 0
EVAL "return {err=''}" 0
EVAL "return {ok=''}" 0
EVAL "return {big_number=''}" 0
EVAL "return {big_number=12}" 0
EVAL "return {ok=12}" 0
EVAL "return {err=12}" 0
EVAL "return {double='1.5'}" 0
EVAL "return {double=1e400}" 0
EVAL "return {double=-1e400}" 0
EVAL "return {map={}}" 0
EVAL "return {set={}}" 0
EVAL "return {map=5}" 0
EVAL "return {set=5}" 0
EVAL "return {map={[1]={map={[2]={set={[3]=4}}}}}}" 0
EVAL "return {verbatim_string={format='txt'}}" 0
EVAL "return {verbatim_string={string='txt'}}" 0
EVAL "return {verbatim_string='txt'}" 0
EVAL "return {{err='X y'},{ok='z'},{err='no'}}" 0
EVAL "error('\\0')" 0
EVAL "error('a\\0b')" 0
EVAL "error({err='a\\0b'})" 0
EVAL "error({err='a\\r\\nb'})" 0
EVAL "error({err=''})" 0
EVAL "error({err=5})" 0
EVAL "error({err='x', source=5, line='y'})" 0
EVAL "error({err='x', source={}, line={}})" 0
EVAL "error({err='x', source='s'})" 0
EVAL "error({err='x', line=3})" 0
EVAL "error(true)" 0
EVAL "error(2.5)" 0
EVAL "error(nil)" 0
EVAL "local ok, e = pcall(error, {err='x'}) error(e)" 0
EVAL "local ok, e = pcall(redis.call, 'GET') error(e)" 0
EVAL "return redis.error_reply('\\013\\nx\\r')" 0
EVAL "return redis.error_reply('CODE \\013\\nx y\\r')" 0
EVAL "local e = redis.pcall('GET') return {e.err, e.source, e.line, e.ignore_error_stats_update}" 0
EVAL "local ok, e = pcall(redis.call, 'GET') return {e.err, e.source, e.line, e.ignore_error_stats_update}" 0
EVAL "return redis.sha1hex('a\\0b')" 0
EVAL "return redis.sha1hex(12)" 0
EVAL "return redis.sha1hex({})" 0
EVAL "return redis.sha1hex(nil)" 0
EVAL "return redis.sha1hex('a','b')" 0
EVAL "return redis.log('3','x')" 0
EVAL "return redis.log('x','x')" 0
EVAL "return redis.log(-1,'x')" 0
EVAL "return redis.log(3.7,'x')" 0
EVAL "return redis.log(redis.LOG_WARNING,nil)" 0
EVAL "return redis.log(redis.LOG_WARNING,{},true)" 0
EVAL "return redis.setresp('3')" 0
EVAL "return redis.setresp(2.9)" 0
EVAL "return redis.setresp({})" 0
EVAL "return redis.setresp(2,3)" 0
EVAL "redis.setresp(3) redis.setresp(2) return redis.call('GET','missing')" 0
EVAL "return redis.set_repl()" 0
EVAL "return redis.set_repl(1,2)" 0
EVAL "return redis.set_repl(-1)" 0
EVAL "return redis.set_repl(4)" 0
EVAL "return redis.set_repl('x')" 0
EVAL "return {redis.REPL_ALL,redis.REPL_AOF,redis.REPL_REPLICA,redis.REPL_SLAVE,redis.REPL_NONE}" 0
EVAL "return redis.replicate_commands(1,2,3)" 0
EVAL "return redis.acl_check_cmd()" 0
EVAL "return redis.acl_check_cmd(1)" 0
EVAL "return redis.acl_check_cmd({})" 0
EVAL "return redis.acl_check_cmd('set','a','b')" 0
EVAL "return redis.acl_check_cmd('CONFIG','GET')" 0
EVAL "return redis.acl_check_cmd('CONFIG','NOSUCH')" 0
EVAL "return redis.breakpoint(1)" 0
EVAL "return redis.register_function" 0
EVAL "return #redis.sha1hex('') .. redis.sha1hex(string.rep('x', 100000))" 0
"##;

/// Replies too deep for a parser, up to the bound of Lua's stack and beyond it.
#[test]
fn deep_tables_become_the_same_bytes() {
    let Some(binary) = reference_binary() else {
        eprintln!("skipped: neither redis-server nor valkey-server is installed");
        return;
    };
    let (reference, subject) = (ServerOptions::reference(&binary).start(), ServerOptions::ringkeep().start());
    // The reply's bytes: a PING behind the script says where they end.
    let bytes = |server: &Server, protocol: &str, script: &str| {
        let mut client = server.client();
        client.command(&["HELLO", protocol]);
        client.send(&["EVAL", script, "0"]);
        client.send(&["PING"]);
        let (mut reply, mut part) = (Vec::new(), [0; 65_536]);
        while !reply.ends_with(b"+PONG\r\n") {
            let read = client.stream().read(&mut part).expect("a reply");
            assert!(read > 0, "closed after {} bytes", reply.len());
            reply.extend_from_slice(&part[..read]);
        }
        reply
    };
    for protocol in ["2", "3"] {
        for depth in [60, 150, 1000, 1900, 7000, 7900, 8_010, 20_000] {
            // Where maps and sets reach the bound is for each server to say: pairs take more of a stack there.
            let tables = if depth <= 1900 { 5 } else { 2 };
            for table in &["{t}", "{t, 'after'}", "{map={k=t}}", "{set={[t]=true}}", "{map={[t]=1}}"][..tables] {
                let script = format!("local t = {{'bottom'}} for i = 1, {depth} do t = {table} end return t");
                let (wanted, given) = (bytes(&reference, protocol, &script), bytes(&subject, protocol, &script));
                if depth > 7900 {
                    // Some slots of the stack are in use; how many differs.
                    let text: &[u8] = b"-ERR reached lua stack limit\r\n";
                    let is_bounded = |reply: &[u8]| reply.windows(text.len()).any(|part| part == text);
                    assert!(is_bounded(&wanted) && is_bounded(&given), "{depth} of {table}, RESP{protocol}");
                    continue;
                }
                assert!(
                    wanted == given,
                    "{depth} of {table}, RESP{protocol}: {} and {} bytes",
                    wanted.len(),
                    given.len()
                );
            }
        }
    }
}
