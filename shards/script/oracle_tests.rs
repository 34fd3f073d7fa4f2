//! The same scripts here and in a real Redis, byte by byte, where one is installed.
//!
//! Left out: what differs between Redis 7.0, which distributions install, and 7.2, which is the aim (the digits of numbers that are no
//! integers, `os`), what crashes 7.0 (`error({})`), and the words of `assert` (LuaJIT adds no place to them).
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

use super::fake_host::Bench;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const SCRIPTS: &[&str] = &[
    "return type(getmetatable(\"\").__index)",
    "getmetatable(\"\").__index = 1",
    "getmetatable(\"\").__foo = 1",
    "setmetatable(_G, {})",
    "rawset(_G, 'x', 1)",
    "table.insert(redis, 1)",
    "return rawget(_G,'x')",
    "x = 1",
    "return x",
    "redis.call = 1",
    "local t = {} t[nil] = 1",
    "return redis.call()",
    "return redis.call({})",
    "return redis.call('get')",
    "return redis.call('set', 'a', 1.5)",
    "return redis.call('nosuch', 'a')",
    "return redis.pcall('nosuch', 'a')",
    "return {pcall(redis.call, 'nosuch')}",
    "local ok, e = pcall(redis.call, 'nosuch') local t = {} for k,v in pairs(e) do t[#t+1] = k..'='..tostring(v) end return t",
    "error('boom')",
    "error({err='boom'})",
    "error({err='ERR boom', foo=1})",
    "error()",
    "error(5)",
    "local a = nil; return a.b",
    "return nosuch()",
    "pairs(nil)",
    "for k,v in pairs(nil) do end",
    "return redis.error_reply('foo')",
    "return redis.error_reply('FOO bar')",
    "return redis.error_reply('-FOO bar')",
    "return redis.error_reply()",
    "return redis.error_reply(1)",
    "return redis.status_reply('x')",
    "return redis.status_reply('x', 2)",
    "return redis.sha1hex('')",
    "return redis.sha1hex()",
    "return redis.log(1)",
    "return redis.log('a','b')",
    "return redis.log(9,'b')",
    "return redis.log(redis.LOG_WARNING,'hi', 2, {})",
    "return redis.setresp(4)",
    "return redis.setresp()",
    "return redis.setresp(3)",
    "return redis.set_repl(0)",
    "return redis.set_repl(9)",
    "return redis.set_repl()",
    "return redis.replicate_commands()",
    "return redis.breakpoint()",
    "return redis.debug('x')",
    "return redis.acl_check_cmd('nosuch','x')",
    "return redis.acl_check_cmd()",
    "return redis.acl_check_cmd({})",
    "math.randomseed(7) return tostring(math.random())",
    "math.randomseed() return tostring(math.random())",
    "return math.random(0)",
    "return math.random(3,1)",
    "return math.random(1,2,3)",
    "return {1,2,nil,4}",
    "return {ok='x', err='y'}",
    "return {double=1.5}",
    "return {map={a=1}}",
    "return 3.99",
    "return -3.99",
    "return 1e300",
    "return 0/0",
    "return true",
    "return false",
    "return nil",
    "return function() end",
    "return coroutine.create(function() end)",
    "return {{{}}}",
    "return",
    "return 1,2",
    "local function f() return f() + 1 end return f()",
    "return loadstring('return 1')()",
    "return loadstring(string.dump(function() end))",
    "return tostring(getfenv)",
    "return tostring(newproxy)",
    "syntax error here",
    "return 'unfinished",
    "for",
    "return redis.call('set','a','b','c','d')",
    "return redis.call('incr','notint')",
    "return redis.call('get', true)",
    "return redis.call('get', nil)",
    "return _VERSION",
    "#!lua flags=no-writes\nreturn redis.call('set','a','b')",
    "#!lua flags=foo\nreturn 1",
    "#!lua\nreturn 1",
    "#!lua foo=bar\nreturn 1",
    "#!lua name=x\nreturn 1",
    "#!lua\nerror('x')",
    "#!python\nreturn 1",
    "#!lua",
    "#!",
    "#!\nreturn 1",
    "#!lua flags=\nreturn 1",
    "#!lua flags=no-writes flags=allow-oom\nreturn 1",
    "#!lua flags\nreturn 1",
    "#!lua \"flags=no-writes\"\nreturn 1",
    "#!lua 'flags=no-writes\nreturn 1",
    "return print(1)",
    "return {err='a\\r\\nb'}",
    "return {ok='a\\r\\nb'}",
    "return {err=1}",
    "return {ok=1}",
    "return {1, 'a', {ok='x'}, {err='BOO y'}, false, true, 2.5}",
    "return {err={}}",
    "error('line\\nbreak')",
    "return ('x'):bad()",
    "return #5",
    "return {} < {}",
    "return 1 .. {}",
    "local t = setmetatable({}, {__index=function(t,k) error('idx') end}) return t.x",
    "return redis.call('echo', 2^53)",
    "return redis.call('echo', 1/0)",
    "return redis.call('echo', 3)",
    "return KEYS[1]",
    "return ARGV[1]",
    "return #KEYS",
    "KEYS[1]='x' return KEYS[1]",
    "KEYS = 1",
    "local a = redis.call('set','k','v') return a.ok",
    "return type(redis.call('get','nokey'))",
    "return collectgarbage('count') > 0",
    "return gcinfo() > 0",
    "return pcall(error)",
    "return select('#', pcall(error, nil))",
    "return {xpcall(function() error('x') end, function(e) return 'H:'..e end)}",
    "return unpack({1,2,3})",
    "return math.pow(2,3)",
    "return math.fmod(7,3)",
    "return math.mod(7,3)",
    "return table.getn({1,2})",
    "return string.gfind('a','a')()",
    "return pcall",
    "return {redis.call('set','a','1'), redis.pcall('incr','a')}",
    "return bit.tobit(0xffffffff)",
    "return tonumber('0x10')",
    "return tonumber('1e1')",
    "error({err='ERR x', source='abc', line='9'})",
    "error({err='x y', ignore_error_stats_update=true})",
    "local t = {} for i=1,200 do t={t} end return t",
    "coroutine.yield(1)",
    "local e = redis.pcall('nosuch') error(e)",
    "local ok, e = pcall(error, 'x') return e",
    "return redis.call('get','a','b','c')",
    "return loadfile",
    "return dofile",
    "return require",
    "return module",
    "return getmetatable(redis)",
    "return #redis",
    "return next(redis) ~= nil",
];

/// Where LuaJIT is not Lua 5.1, and what it answers.
const DIFFERENCES: &[(&str, &str)] = &[
    // The sign of a NaN is not shown, and constants that differ only in sign are not mixed up.
    ("return tostring(-0.0)..' '..tostring(1/0)..' '..tostring(0/0)", "$10\r\n-0 inf nan\r\n"),
    // `assert` raises its message as it is, also a table.
    ("local ok, e = pcall(assert, nil, {err = 'T x'}) return e", "$3\r\nT x\r\n"),
];

#[test]
fn luajit_differs_where_it_is_known_to() {
    for (source, expected) in DIFFERENCES {
        assert_eq!(Bench::new().run(source, &[], &[]).1, *expected, "{source}");
    }
}

/// A Redis of our own.
pub(super) struct Redis {
    child: Child,
    stream: BufReader<TcpStream>,
}

impl Redis {
    /// Starts one on a free port; `None` if none is installed.
    pub(super) fn start() -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new("redis-server");
        command.args(["--port", &port.to_string(), "--save", "", "--appendonly", "no", "--dir"]);
        command.arg(std::env::temp_dir()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().ok()?;
        for _ in 0..200 {
            if let Ok(stream) = TcpStream::connect(("127.0.0.1", port)) {
                stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                return Some(Redis { child, stream: BufReader::new(stream) });
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        child.kill().unwrap();
        panic!("redis-server does not answer");
    }

    pub(super) fn command(&mut self, arguments: &[&str]) -> Vec<u8> {
        let mut request = format!("*{}\r\n", arguments.len()).into_bytes();
        for argument in arguments {
            request.extend_from_slice(format!("${}\r\n{argument}\r\n", argument.len()).as_bytes());
        }
        self.stream.get_mut().write_all(&request).unwrap();
        let mut reply = Vec::new();
        let mut left = 1;
        while left > 0 {
            left -= 1;
            let start = reply.len();
            self.stream.read_until(b'\n', &mut reply).unwrap();
            let line = String::from_utf8_lossy(&reply[start..]).into_owned();
            let count = line[1..].trim().parse::<i64>().unwrap_or(0).max(0) as usize;
            match line.as_bytes()[0] {
                b'*' => left += count,
                b'$' if !line.starts_with("$-") => {
                    let mut body = vec![0; count + 2];
                    self.stream.read_exact(&mut body).unwrap();
                    reply.extend_from_slice(&body);
                }
                _ => {}
            }
        }
        reply
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn scripts_answer_as_in_a_real_redis() {
    let Some(mut redis) = Redis::start() else {
        eprintln!("no redis-server here: the comparison is left out");
        return;
    };
    let mut different = String::new();
    for source in SCRIPTS {
        let mut bench = Bench::new();
        redis.command(&["FLUSHALL"]);
        redis.command(&["SET", "text", "value"]);
        bench.host.data.insert(b"text".to_vec(), b"value".to_vec());
        let theirs = String::from_utf8_lossy(&redis.command(&["EVAL", source, "0"])).into_owned();
        let ours = bench.run(source, &[], &[]).1;
        if ours != theirs {
            different += &format!("{source}\n  redis {theirs:?}\n  here  {ours:?}\n");
        }
    }
    assert!(different.is_empty(), "\n{different}");
}
