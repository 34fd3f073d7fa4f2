//! FUNCTION and FCALL: metadata, what a library may do while it is loaded, errors, policies of RESTORE.
//!
//! Left out: names that differ in case alone within one library, which Redis 7.0 accepts and then ends over.

use super::common::{Random, Reply, Server, ServerOptions, reference_binary};
use super::generate::value;
use super::step::Step;
use crate::request;

/// Bodies of functions over one key and one argument.
const BODIES: &[&str] = &[
    "return redis.call('GET',k[1])",
    "redis.call('SET',k[1],a[1]) return redis.call('GET',k[1])",
    "return redis.call('INCR',k[1])",
    "return {#k,#a,k[1] or 'none',a[1] or 'none'}",
    "return redis.pcall('INCR',k[1])",
    "return KEYS[1]",
    "return redis.error_reply('no')",
    "error('boom')",
    "local x = nothing return x",
    "x = 1",
    "return redis.call('NOPE')",
    "return redis.call('FCALL','f1',0)",
    "return {redis.call('EXISTS',k[1]),true,false,2.5,{ok='fine'}}",
];
const LIBRARIES: [&str; 4] = ["lib1", "lib2", "Lib_3", "bad-name"];
const FUNCTIONS: [&str; 5] = ["f1", "f2", "f3", "other", ""];
const FLAGS: [&str; 6] = ["", "'no-writes'", "'allow-oom','no-writes'", "'NO-WRITES','allow-stale'", "'unknown'", "1"];

fn code(random: &mut Random) -> String {
    let mut code = format!("#!lua name={}\n", random.pick(&LIBRARIES));
    for _ in 0..1 + random.below(2) {
        let (name, body) = (random.pick(&FUNCTIONS), random.pick(BODIES));
        let call = match random.one_in(2) {
            true => format!("redis.register_function('{name}', function(k,a) {body} end)\n"),
            false => {
                let flags = random.pick(&FLAGS);
                format!(
                    "redis.register_function{{function_name='{name}', flags={{{flags}}}, description='of {name}', callback=function(k,a) {body} end}}\n"
                )
            }
        };
        code.push_str(&call);
    }
    code
}

/// A payload as DUMP makes it.
fn payload(codes: &[String]) -> Vec<u8> {
    let mut payload = Vec::new();
    for code in codes {
        payload.extend_from_slice(&[0xf5, 0x80]);
        payload.extend_from_slice(&(code.len() as u32).to_be_bytes());
        payload.extend_from_slice(code.as_bytes());
    }
    payload.extend_from_slice(&10_u16.to_le_bytes());
    let mut crc = 0_u64;
    for byte in &payload {
        crc ^= u64::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x95AC_9329_AC4B_C9B5 } else { crc >> 1 };
        }
    }
    payload.extend_from_slice(&crc.to_le_bytes());
    payload
}

/// Adds a random step: mostly calls, and enough changes of libraries that names meet.
pub fn generate(random: &mut Random, steps: &mut Vec<Step>) {
    let (function, key) =
        (*random.pick(&[&FUNCTIONS[0], &FUNCTIONS[1], &FUNCTIONS[2], &FUNCTIONS[3]]), random.pick(&["k0", "k1", "k2"]));
    match random.below(14) {
        0 | 1 => steps.push(request!["FUNCTION", "LOAD", code(random)]),
        2 | 3 => steps.push(request!["FUNCTION", "LOAD", "REPLACE", code(random)]),
        4 => steps.push(request!["FUNCTION", "DELETE", random.pick(&LIBRARIES)]),
        5 => {
            let codes: Vec<String> = (0..random.below(3)).map(|_| code(random)).collect();
            steps.push(request!["FUNCTION", "RESTORE", payload(&codes), random.pick(&["FLUSH", "APPEND", "REPLACE"])]);
        }
        6 => steps.push(request!["FUNCTION", "LIST", "WITHCODE"]),
        7 => steps.push(request!["FUNCTION", "LIST", "LIBRARYNAME", random.pick(&["lib*", "*3", "LIB1", "x"])]),
        8 if random.one_in(4) => steps.push(request!["FUNCTION", "FLUSH"]),
        8 => steps.push(request!["FUNCTION", "STATS"]),
        9 => steps.push(request!["SET", key, value(random)]),
        10 => steps.push(request!["FCALL_RO", function, "1", key, "7"]),
        _ => steps.push(request!["FCALL", function, "1", key, random.pick(&["7", "abc", "1.5", "", "10"])]),
    }
}

/// A real server's dump is restored here and ours there, packed (as it is by default) or not.
#[test]
fn dumps_are_restored_by_the_other_server() {
    let Some(binary) = reference_binary() else {
        eprintln!("skipped: neither redis-server nor valkey-server is installed");
        return;
    };
    let listed = |server: &Server| {
        let reply = server.client().run("FUNCTION LIST WITHCODE");
        let mut libraries: Vec<Reply> = reply.elements().to_vec();
        libraries.sort();
        libraries
    };
    let long = format!(
        "#!lua name=long\n-- {}\nredis.register_function('long', function() return 'long' end)",
        "what repeats is packed; ".repeat(300)
    );
    let codes = ["#!lua name=short\nredis.register_function('short', function() return 1 end)", &long];
    for packed in ["yes", "no"] {
        let reference = ServerOptions::reference(&binary).setting("rdbcompression", packed).start();
        let subject = ServerOptions::ringkeep().shards(2).start();
        for code in codes {
            reference.client().command(&["FUNCTION", "LOAD", code]);
        }
        let dump = reference.client().run("FUNCTION DUMP");
        assert!(subject.client().command(&[b"FUNCTION", &b"RESTORE"[..], dump.bytes().unwrap()]).is_ok());
        assert_eq!(listed(&subject), listed(&reference));
        assert_eq!(subject.client().run("FCALL long 0").text(), "long");
        reference.client().run("FUNCTION FLUSH");
        let dump = subject.client().run("FUNCTION DUMP");
        assert!(reference.client().command(&[b"FUNCTION", &b"RESTORE"[..], dump.bytes().unwrap()]).is_ok());
        assert_eq!(listed(&subject), listed(&reference));
    }
}

/// Edge cases.
pub const EDGES: &str = r##"
FUNCTION
FUNCTION BOGUS
FUNCTION HELP
FUNCTION KILL
FUNCTION KILL x
FUNCTION STATS
FUNCTION STATS x
FUNCTION DUMP
FUNCTION DUMP x
FUNCTION LOAD
FUNCTION LOAD x
FUNCTION LOAD x y
FUNCTION LOAD REPLACE
FUNCTION LOAD REPLACE REPLACE x
FUNCTION DELETE
FUNCTION DELETE nope
FUNCTION FLUSH x
FUNCTION FLUSH sync
FUNCTION FLUSH Async
FUNCTION FLUSH sync async
FUNCTION LIST
FUNCTION LIST x
FUNCTION LIST LIBRARYNAME
FUNCTION LIST LIBRARYNAME a LIBRARYNAME b
FUNCTION LIST WITHCODE WITHCODE
FUNCTION LIST withcode libraryname *
FUNCTION RESTORE
FUNCTION RESTORE x
FUNCTION RESTORE x y
FUNCTION RESTORE x y z
FUNCTION RESTORE "\x0a\x00xxxxxxxx"
FUNCTION RESTORE "\x0a\x00]\x9b\\@\x0f\x7f\xa2\xda"
FUNCTION RESTORE "\x0a\x00]\x9b\\@\x0f\x7f\xa2\xda" append
FUNCTION RESTORE "\x0a\x00]\x9b\\@\x0f\x7f\xa2\xda" Flush
FUNCTION RESTORE "\x0a\x00]\x9b\\@\x0f\x7f\xa2\xda" REPLACE
FCALL
FCALL f
FCALL f 0
FCALL f x
FCALL_RO f 0
COMMAND INFO fcall
COMMAND GETKEYS FCALL f 2 a b c
COMMAND GETKEYS FCALL_RO f 1 a b c

FUNCTION LOAD ""
FUNCTION LOAD "#!lua"
FUNCTION LOAD "#!lua\n"
FUNCTION LOAD "#!\n"
FUNCTION LOAD "\n#!lua name=x\n"
FUNCTION LOAD "#!lua name=\n"
FUNCTION LOAD "#!lua name=a-b\n"
FUNCTION LOAD "#!lua name=a b\n"
FUNCTION LOAD "#!lua name=x name=y\n"
FUNCTION LOAD "#!lua foo=x\n"
FUNCTION LOAD "#!lua flags=no-writes name=x\n"
FUNCTION LOAD "#!py name=x\n"
FUNCTION LOAD "#!py name=a-b\n"
FUNCTION LOAD "#!lua 'name=x\n"
FUNCTION LOAD "#!lua name=x\x00\n"
FUNCTION LOAD "#!lua name=x\n"
FUNCTION LOAD "#!LUA NAME=x\nredis.register_function('f', function() return 1 end)"
FUNCTION LOAD "#!lua \"name=y\"\nredis.register_function('g', function() return 2 end)"
FUNCTION LIST WITHCODE
FCALL F 0
FCALL g 0
FUNCTION STATS

FUNCTION LOAD "#!lua name=lib\nx"
FUNCTION LOAD "#!lua name=lib\n\n("
FUNCTION LOAD "#!lua name=lib\nx = 1"
FUNCTION LOAD "#!lua name=lib\nredis.call('ping')"
FUNCTION LOAD "#!lua name=lib\nredis.pcall('ping')"
FUNCTION LOAD "#!lua name=lib\nredis.setresp(3)"
FUNCTION LOAD "#!lua name=lib\nreturn redis.error_reply('x')"
FUNCTION LOAD "#!lua name=lib\nlocal a = redis.REPL_ALL"
FUNCTION LOAD "#!lua name=lib\nlocal a = KEYS"
FUNCTION LOAD "#!lua name=lib\nlocal a = foo"
FUNCTION LOAD "#!lua name=lib\nerror('x')"
FUNCTION LOAD "#!lua name=lib\nlocal a = math.random()"
FUNCTION LOAD "#!lua name=lib\n_G.x = 1"
FUNCTION LOAD "#!lua name=lib\nredis.foo = 1"
FUNCTION LOAD "#!lua name=lib\nredis.register_function = 1"
FUNCTION LOAD "#!lua name=lib\nlocal t = nil t.x = 1"
FUNCTION LOAD "#!lua name=lib\nredis.log(redis.LOG_NOTICE, 'hello', redis.REDIS_VERSION)"
FUNCTION LOAD "#!lua name=lib\nwhile true do end"
FUNCTION LIST

FUNCTION LOAD "#!lua name=lib\nredis.register_function()"
FUNCTION LOAD "#!lua name=lib\nredis.register_function(1,2,3)"
FUNCTION LOAD "#!lua name=lib\nredis.register_function('a')"
FUNCTION LOAD "#!lua name=lib\nredis.register_function('a', 1)"
FUNCTION LOAD "#!lua name=lib\nredis.register_function({}, function() end)"
FUNCTION LOAD "#!lua name=lib\nredis.register_function('', function() end)"
FUNCTION LOAD "#!lua name=lib\nredis.register_function('a-b', function() end)"
FUNCTION LOAD "#!lua name=lib\nredis.register_function{}"
FUNCTION LOAD "#!lua name=lib\nredis.register_function{function_name='a'}"
FUNCTION LOAD "#!lua name=lib\nredis.register_function{callback=function() end}"
FUNCTION LOAD "#!lua name=lib\nredis.register_function{function_name={}}"
FUNCTION LOAD "#!lua name=lib\nredis.register_function{callback=1}"
FUNCTION LOAD "#!lua name=lib\nredis.register_function{description={}}"
FUNCTION LOAD "#!lua name=lib\nredis.register_function{flags=1}"
FUNCTION LOAD "#!lua name=lib\nredis.register_function{flags={'x'}}"
FUNCTION LOAD "#!lua name=lib\nredis.register_function{flags={1}}"
FUNCTION LOAD "#!lua name=lib\nredis.register_function{foo=1}"
FUNCTION LOAD "#!lua name=lib\nredis.register_function{[1]='a'}"
FUNCTION LOAD "#!lua name=lib\nredis.register_function('a', function() end) redis.register_function('a', function() end)"
FUNCTION LOAD "#!lua name=lib\nredis.register_function(12, function() return 'twelve' end)"
FUNCTION LOAD REPLACE "#!lua name=lib\nredis.register_function{Function_Name=1, CALLBACK=function() end, description=2, flags={x=1}}"
FUNCTION LOAD REPLACE "#!lua name=lib\nredis.register_function{function_name='a', callback=function() end, flags={'no-writes','No-Writes','allow-oom','allow-stale','no-cluster','allow-cross-slot-keys'}}"
FUNCTION LIST
FUNCTION LIST WITHCODE LIBRARYNAME L?B

FUNCTION LOAD "#!lua name=lib\nlocal n = 0 redis.register_function('count', function() n = n + 1 return n end)"
FCALL count 0
FCALL count 0
FUNCTION LOAD "#!lua name=lib\nredis.register_function('a', function() end)"
FUNCTION LOAD "#!lua name=two\nredis.register_function('count', function() end)"
FUNCTION LOAD REPLACE "#!lua name=two\nredis.register_function('count', function() end)"
FUNCTION LOAD REPLACE "#!lua name=lib\nnope()"
FCALL count 0
FUNCTION LOAD REPLACE "#!lua name=lib\nredis.register_function('other', function() return 'new' end)"
FCALL count 0
FCALL other 0
FUNCTION DELETE LIB
FUNCTION DELETE lib
FUNCTION DELETE lib
FCALL other 0

FUNCTION LOAD "#!lua name=lib\nredis.register_function('args', function(k,a,c) return {#k,#a,k[1] or 'no',a[1] or 'no',type(c)} end)\nredis.register_function('keys', function() return KEYS end)\nredis.register_function('argv', function() local a = ARGV return a end)\nredis.register_function('err', function() error('x') end)\nredis.register_function('err2', function() return redis.call('nope') end)\nredis.register_function('err3', function() return redis.error_reply('boo') end)\nredis.register_function('err4', function() error({err='ERR boo'}) end)\nredis.register_function('set', function(k,a) return redis.call('set',k[1],a[1]) end)\nredis.register_function{function_name='get', callback=function(k) return redis.call('get',k[1]) end, flags={'no-writes'}, description='reads'}\nredis.register_function{function_name='ro_set', callback=function(k,a) return redis.call('set',k[1],a[1]) end, flags={'no-writes'}}\nredis.register_function('glob', function() x=1 end)\nredis.register_function('nonglob', function() return x end)\nredis.register_function('resp', function() redis.setresp(3) return {map={a=1}} end)\nredis.register_function('fcall', function() return redis.call('fcall','get',1,'a') end)\nredis.register_function('load', function() return redis.call('function','load','x') end)\nredis.register_function('list', function() return redis.call('function','list') end)\nredis.register_function('eval', function() return redis.call('eval','return 1',0) end)\nredis.register_function('change', function(k,a) k[1]='z' a[1]='q' return {k[1],a[1]} end)\nredis.register_function('several', function() return 1,2 end)\nredis.register_function('register', function() redis.register_function('x', function() end) end)"
FCALL args 0
FCALL args 1 a b c
FCALL args 2 a
FCALL args -1 a
FCALL args " 1" a
FCALL args 1.0 a
FCALL args 99999999999999999999 a
FCALL nope x
FCALL keys 1 a
FCALL argv 0 a
FCALL err 0
FCALL err2 0
FCALL err3 0
FCALL err4 0
FCALL set 1 a b
FCALL_RO set 1 a b
FCALL_RO get 1 a
FCALL get 1 a
FCALL ro_set 1 a x
FCALL_RO ro_set 1 a x
FCALL GET 1 a
FCALL glob 0
FCALL nonglob 0
FCALL resp 0
FCALL fcall 0
FCALL load 0
FCALL list 0
FCALL eval 0
FCALL change 1 a b
FCALL several 0
FCALL register 0
EVAL "return type(redis.register_function)" 0
EVAL "return redis.call('fcall','get',1,'a')" 0
EVAL "return redis.call('function','stats')" 0
EVAL "return {KEYS[1],ARGV[1]}" 1 k v
FLUSHALL
FCALL get 1 a
FUNCTION STATS

MULTI
FUNCTION LOAD "#!lua name=lib\nredis.register_function('set', function(k,a) return redis.call('set',k[1],a[1]) end)"
FCALL set 1 a b
FUNCTION LIST
FCALL nope 0
FCALL set x
FUNCTION STATS
FUNCTION DELETE lib
GET a
EXEC
FUNCTION LIST
MULTI
FUNCTION LOAD
EXEC
"##;
