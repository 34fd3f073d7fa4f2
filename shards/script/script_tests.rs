//! Whole scripts, and the bytes that Redis 7 answers them with.

use super::fake_host::{Bench, FakeHost, Wire};
use super::{Interrupt, LogLevel, Script, ScriptEnd, ScriptEngine, ScriptLimits};
use crate::reply::Protocol;

/// Runs each script in one engine and compares its reply.
fn check(cases: &[(&str, &str)]) {
    let mut bench = Bench::new();
    bench.host.data.insert(b"text".to_vec(), b"value".to_vec());
    let mut wrong = String::new();
    for (source, expected) in cases {
        let reply = bench.eval(source);
        if reply != *expected {
            wrong += &format!("{source}\n  expected {expected:?}\n  replied  {reply:?}\n");
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn results_become_replies() {
    check(&[
        ("return 1", ":1\r\n"),
        ("return 3.99", ":3\r\n"),
        ("return -3.99", ":-3\r\n"),
        ("return 1e300", ":-9223372036854775808\r\n"),
        ("return 0/0", ":-9223372036854775808\r\n"),
        ("return 'x'", "$1\r\nx\r\n"),
        ("return ''", "$0\r\n\r\n"),
        ("return true", ":1\r\n"),
        ("return false", "$-1\r\n"),
        ("return nil", "$-1\r\n"),
        ("return", "$-1\r\n"),
        ("", "$-1\r\n"),
        ("return 1,2", ":1\r\n"),
        (
            "return print ~= nil",
            "-ERR user_script:1: Script attempted to access nonexistent global variable 'print' script: <sha>, on @user_script:1.\r\n",
        ),
        ("return function() end", "$-1\r\n"),
        ("return coroutine.create(function() end)", "$-1\r\n"),
        ("return {}", "*0\r\n"),
        ("return {1,2,nil,4}", "*2\r\n:1\r\n:2\r\n"),
        ("return {{{}}}", "*1\r\n*1\r\n*0\r\n"),
        (
            "return {1, 'a', {ok='x'}, {err='BOO y'}, false, true, 2.5}",
            "*7\r\n:1\r\n$1\r\na\r\n+x\r\n-BOO y\r\n$-1\r\n:1\r\n:2\r\n",
        ),
        ("return {1, {2, {3}, 4}, 5}", "*3\r\n:1\r\n*3\r\n:2\r\n*1\r\n:3\r\n:4\r\n:5\r\n"),
        ("return {ok='x', err='y'}", "-y\r\n"),
        ("return {ok='a\\r\\nb'}", "+a  b\r\n"),
        ("return {err='a\\r\\nb'}", "-a  b\r\n"),
        ("return {err=1}", "*0\r\n"),
        ("return {ok=1}", "*0\r\n"),
        ("return {err={}}", "*0\r\n"),
        ("return {double=1.5}", "$3\r\n1.5\r\n"),
        ("return {map={a=1}}", "*2\r\n$1\r\na\r\n:1\r\n"),
        ("return {set={a=true}}", "*1\r\n$1\r\na\r\n"),
        ("return {map={}}", "*0\r\n"),
        ("return {map={a={map={b={1,2}}}}}", "*2\r\n$1\r\na\r\n*2\r\n$1\r\nb\r\n*2\r\n:1\r\n:2\r\n"),
        ("return {big_number='12'}", "$2\r\n12\r\n"),
        ("return {verbatim_string={format='txt', string='hi'}}", "$2\r\nhi\r\n"),
        ("return {verbatim_string={format='txt'}}", "*0\r\n"),
        ("return setmetatable({1}, {__index=function() return 1 end})", "*1\r\n:1\r\n"),
    ]);
}

#[test]
fn results_use_what_resp3_has() {
    let mut bench = Bench::new();
    bench.protocol = Protocol::Resp3;
    for (source, expected) in [
        ("return nil", "_\r\n"),
        ("return false", "_\r\n"),
        ("return true", ":1\r\n"),
        ("redis.setresp(3) return true", "#t\r\n"),
        ("redis.setresp(3) return false", "#f\r\n"),
        ("return {double=1.5}", ",1.5\r\n"),
        ("return {map={a=1}}", "%1\r\n$1\r\na\r\n:1\r\n"),
        ("return {set={a=true}}", "~1\r\n$1\r\na\r\n"),
        ("return {big_number='12\\n3'}", "(12 3\r\n"),
        ("return {verbatim_string={format='txt', string='hi'}}", "=6\r\ntxt:hi\r\n"),
        // RESP3 has room for three letters; a format of another length once ended the server.
        ("return {verbatim_string={format='markdown', string='hi'}}", "=6\r\nmar:hi\r\n"),
        ("return {verbatim_string={format='m', string='hi'}}", "=6\r\nm  :hi\r\n"),
        ("return {verbatim_string={format='', string='hi'}}", "=6\r\n   :hi\r\n"),
        ("return {verbatim_string={format='a\\0b', string='hi'}}", "=6\r\na  :hi\r\n"),
    ] {
        assert_eq!(bench.eval(source), expected, "{source}");
    }
    bench.protocol = Protocol::Resp2;
    assert_eq!(bench.eval("redis.setresp(3) return false"), ":0\r\n");
}

#[test]
fn commands_replies_become_values() {
    check(&[
        ("return redis.call('get', 'text')", "$5\r\nvalue\r\n"),
        ("return type(redis.call('get', 'nokey'))", "$7\r\nboolean\r\n"),
        ("return redis.call('set', 'k', 'v')", "+OK\r\n"),
        ("return redis.call('set', 'k', 'v').ok", "$2\r\nOK\r\n"),
        ("redis.call('set', 'n', 7) return redis.call('incr', 'n') + 1", ":9\r\n"),
        ("return redis.call('mget', 'text', 'nokey')", "*2\r\n$5\r\nvalue\r\n$-1\r\n"),
        ("return redis.call('mget', 'nokey', 'text')[2]", "$5\r\nvalue\r\n"),
        ("return redis.call('reply', 'map')", "*4\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n*2\r\n:1\r\n$-1\r\n"),
        ("return redis.call('reply', 'double')", "$3\r\n1.5\r\n"),
        ("return redis.call('reply', 'boolean')", ":1\r\n"),
        ("return redis.call('reply', 'verbatim')", "$9\r\nsome text\r\n"),
        ("redis.setresp(3) return redis.call('reply', 'map').map.b[1] == true", ":1\r\n"),
        ("redis.setresp(3) return redis.call('reply', 'map').map.a", ":1\r\n"),
        ("redis.setresp(3) return redis.call('reply', 'map').map.b[2] == nil and 5", ":5\r\n"),
        ("redis.setresp(3) return redis.call('get', 'nokey') == nil and 5", ":5\r\n"),
        ("redis.setresp(3) return redis.call('reply', 'set').set.y and 5", ":5\r\n"),
        ("redis.setresp(3) return redis.call('reply', 'double').double * 2", ":3\r\n"),
        ("redis.setresp(3) return redis.call('reply', 'big').big_number", "$30\r\n123456789012345678901234567890\r\n"),
        ("redis.setresp(3) return redis.call('reply', 'verbatim').verbatim_string.format", "$3\r\ntxt\r\n"),
        ("redis.setresp(3) return redis.call('reply', 'verbatim').verbatim_string.string", "$9\r\nsome text\r\n"),
        (
            "redis.setresp(3) local r = redis.call('reply', 'empty') return {#r, r[2].map and 1, r[3].set and 1}",
            "*3\r\n:3\r\n:1\r\n:1\r\n",
        ),
        ("redis.setresp(3) return redis.call('reply', 'attribute')", "$5\r\nvalue\r\n"),
        ("local r = redis.call('reply', 'error-inside') return {r[1].err, r[2]}", "*2\r\n$10\r\nERR inside\r\n:1\r\n"),
        (
            "return redis.call('reply', 'encoded', '*2\\r\\n:5\\r\\n*2\\r\\n$3\\r\\nabc\\r\\n+fine\\r\\n')",
            "*2\r\n:5\r\n*2\r\n$3\r\nabc\r\n+fine\r\n",
        ),
        ("return redis.call('reply', 'encoded', '-WRONG no\\r\\n')", "-WRONG no script: <sha>, on @user_script:1.\r\n"),
        (
            "redis.setresp(3) return redis.call('reply', 'encoded', '%1\\r\\n$1\\r\\nk\\r\\n,2.5\\r\\n').map.k.double * 2",
            ":5\r\n",
        ),
    ]);
}

#[test]
fn numbers_become_arguments() {
    check(&[
        ("return redis.call('echo', 3)", "$1\r\n3\r\n"),
        ("return redis.call('echo', 2^53)", "$16\r\n9007199254740992\r\n"),
        ("return redis.call('echo', 0.1)", "$3\r\n0.1\r\n"),
        ("return redis.call('echo', 1e300)", "$6\r\n1e+300\r\n"),
        ("return redis.call('echo', 1/0)", "$3\r\ninf\r\n"),
        (
            "redis.call('set', 1, 2) redis.call('set', 3.5, 4) return redis.call('mget', 1, '3.5')",
            "*2\r\n$1\r\n2\r\n$1\r\n4\r\n",
        ),
        ("local t = {} for i = 1, 300 do t[i] = i end return redis.call('mget', unpack(t))[300]", "$-1\r\n"),
    ]);
}

#[test]
fn errors_are_worded_as_in_redis() {
    const AT: &str = " script: <sha>, on @user_script:1.\r\n";
    let at = |text: &str| format!("-{text}{AT}");
    let cases = [
        ("error('boom')", at("ERR user_script:1: boom")),
        ("error({err='boom'})", at("boom")),
        ("error({err='ERR boom', foo=1})", at("ERR boom")),
        ("error({})", at("ERR unknown error")),
        ("error({ok='x'})", at("ERR unknown error")),
        ("error()", at("ERR nil")),
        ("error(5)", at("ERR user_script:1: 5")),
        ("error('line\\nbreak')", at("ERR user_script:1: line break")),
        ("local a = nil; return a.b", at("ERR user_script:1: attempt to index local 'a' (a nil value)")),
        ("return ('x'):bad()", at("ERR user_script:1: attempt to call method 'bad' (a nil value)")),
        ("return #5", at("ERR user_script:1: attempt to get length of a number value")),
        ("return {} < {}", at("ERR user_script:1: attempt to compare two table values")),
        ("return 1 .. {}", at("ERR user_script:1: attempt to concatenate a table value")),
        ("local t = {} t[nil] = 1", at("ERR user_script:1: table index is nil")),
        ("return string.rep()", at("ERR user_script:1: bad argument #1 to 'rep' (string expected, got no value)")),
        ("return redis.call()", at("ERR Please specify at least one argument for this redis lib call")),
        ("return redis.call({})", at("ERR Lua redis lib command arguments must be strings or integers")),
        ("return redis.call('get', true)", at("ERR Lua redis lib command arguments must be strings or integers")),
        ("return redis.call('get', nil)", at("ERR Lua redis lib command arguments must be strings or integers")),
        ("return redis.call('get')", at("ERR Wrong number of args calling Redis command from script")),
        ("return redis.call('nosuch', 'a')", at("ERR Unknown Redis command called from script")),
        ("return redis.call('set', 'a', 'b', 'c')", at("ERR syntax error")),
        ("return redis.call('incr', 'text')", at("ERR value is not an integer or out of range")),
        ("return redis.sha1hex()", at("ERR wrong number of arguments")),
        ("return redis.log(1)", at("ERR redis.log() requires two arguments or more.")),
        ("return redis.log('a','b')", at("ERR First argument must be a number (log level).")),
        ("return redis.log(9,'b')", at("ERR Invalid debug level.")),
        ("return redis.setresp(4)", at("ERR RESP version must be 2 or 3.")),
        ("return redis.setresp()", at("ERR redis.setresp() requires one argument.")),
        (
            "return redis.set_repl(9)",
            at("ERR Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE."),
        ),
        ("return redis.set_repl()", at("ERR redis.set_repl() requires two arguments.")),
        ("return redis.acl_check_cmd('nosuch', 'x')", at("ERR Invalid command passed to redis.acl_check_cmd()")),
        ("return redis.acl_check_cmd()", at("ERR Please specify at least one argument for this redis lib call")),
        ("return math.random(0)", at("ERR user_script:1: bad argument #1 to 'random' (interval is empty)")),
        ("return math.random(3,1)", at("ERR user_script:1: bad argument #2 to 'random' (interval is empty)")),
        ("return math.random(1,2,3)", at("ERR user_script:1: wrong number of arguments")),
        ("math.randomseed()", at("ERR user_script:1: bad argument #1 to 'randomseed' (number expected, got no value)")),
        ("coroutine.yield(1)", at("ERR attempt to yield across metamethod/C-call boundary")),
        ("local e = redis.pcall('nosuch') error(e)", at("ERR Unknown Redis command called from script")),
        ("local e = redis.pcall('nosuch') return e", "-ERR Unknown Redis command called from script\r\n".into()),
        (
            "return {pcall(redis.call, 'nosuch')}",
            "*2\r\n$-1\r\n$44\r\nERR Unknown Redis command called from script\r\n".into(),
        ),
        ("return redis.error_reply('foo')", "-ERR foo\r\n".into()),
        ("return redis.error_reply('FOO bar')", "-FOO bar\r\n".into()),
        ("return redis.error_reply('-FOO bar')", "-FOO bar\r\n".into()),
        ("return redis.error_reply()", "-ERR wrong number or type of arguments\r\n".into()),
        ("return redis.status_reply('x', 2)", "-ERR wrong number or type of arguments\r\n".into()),
        ("return redis.status_reply('x')", "+x\r\n".into()),
        ("\n\nerror('x')", "-ERR user_script:3: x script: <sha>, on @user_script:3.\r\n".into()),
        ("#!lua\nerror('x')", "-ERR user_script:2: x script: <sha>, on @user_script:2.\r\n".into()),
        (
            "syntax error here",
            "-ERR Error compiling script (new function): user_script:1: '=' expected near 'error'\r\n".into(),
        ),
        (
            "return 'unfinished",
            "-ERR Error compiling script (new function): user_script:1: unfinished string near '<eof>'\r\n".into(),
        ),
        ("#!lua flags=foo\nreturn 1", "-ERR Unexpected flag in script shebang: foo\r\n".into()),
        (
            "#!lua flags=no-cluster\nreturn 1",
            "-ERR Can not run script on cluster, 'no-cluster' flag is set.\r\n".into(),
        ),
        (
            "#!lua flags=no-writes\nreturn redis.call('set','a','b')",
            "-ERR Write commands are not allowed from read-only scripts. script: <sha>, on @user_script:2.\r\n".into(),
        ),
    ];
    let cases: Vec<(&str, &str)> = cases.iter().map(|(source, expected)| (*source, &**expected)).collect();
    check(&cases);
}

#[test]
fn globals_are_locked() {
    let locked = "-ERR user_script:1: Attempt to modify a readonly table script: <sha>, on @user_script:1.\r\n";
    let refused = "-ERR Attempt to modify a readonly table script: <sha>, on @user_script:1.\r\n";
    for source in [
        "x = 1",
        "redis = 1",
        "KEYS = 1",
        "tostring = nil",
        "redis.call = 1",
        "string.format = 1",
        "math.pi = 3",
        "_G.x = 1",
        "_G.redis = nil",
        "getmetatable('').__index = 1",
        "getmetatable('').__foo = 1",
        "getmetatable(_G).__index = {}",
        "string.gsub = nil",
        "cjson.encode = nil",
        "cmsgpack.x = 1",
        "struct.pack = 1",
        "os.clock = nil",
    ] {
        check(&[(source, locked)]);
    }
    for source in ["setmetatable(_G, {})", "rawset(_G, 'x', 1)", "table.insert(redis, 1)", "setmetatable(redis, {})"] {
        check(&[(source, refused)]);
    }
    check(&[
        ("return rawget(_G, 'x')", "$-1\r\n"),
        ("return type(rawget(_G, 'redis'))", "$5\r\ntable\r\n"),
        ("return getmetatable(redis)", "$-1\r\n"),
        ("return type(getmetatable('').__index)", "$5\r\ntable\r\n"),
        ("return next(redis) ~= nil", ":1\r\n"),
        ("local n = 0 for name in pairs(redis) do n = n + 1 end return n", ":26\r\n"),
        ("KEYS[1] = 'x' return KEYS[1]", "$1\r\nx\r\n"),
        ("return #KEYS", ":0\r\n"),
        ("local t = setmetatable({}, {__index = {a = 1}}) return t.a", ":1\r\n"),
        (
            "local t = {} rawset(t, 'a', 1) table.insert(t, 5) table.insert(t, 1, 4) return {t.a, t[1], t[2]}",
            "*3\r\n:1\r\n:4\r\n:5\r\n",
        ),
        ("local t = {} for k, v in pairs({1, 2}) do t[k] = v end return t", "*2\r\n:1\r\n:2\r\n"),
    ]);
    let mut bench = Bench::new();
    for name in [
        "dofile", "loadfile", "require", "module", "package", "jit", "ffi", "io", "debug", "getfenv", "setfenv",
        "newproxy", "print",
    ] {
        let expected = format!(
            "-ERR user_script:1: Script attempted to access nonexistent global variable '{name}' script: <sha>, on @user_script:1.\r\n"
        );
        assert_eq!(bench.eval(&format!("return {name}")), expected);
    }
    let names = "local t = {} for name in pairs(_G) do t[#t + 1] = name end table.sort(t) return table.concat(t, ' ')";
    let list = "ARGV KEYS _G _VERSION assert bit cjson cmsgpack collectgarbage coroutine error gcinfo getmetatable ipairs load loadstring math next os pairs pcall rawequal rawget rawset redis select server setmetatable string struct table tonumber tostring type unpack xpcall";
    assert_eq!(bench.eval(names), format!("${}\r\n{list}\r\n", list.len()));
}

#[test]
fn the_rest_of_the_interface_answers() {
    check(&[
        ("return redis.sha1hex('')", "$40\r\nda39a3ee5e6b4b0d3255bfef95601890afd80709\r\n"),
        ("return redis.setresp(3)", "$-1\r\n"),
        ("return redis.set_repl(redis.REPL_AOF)", "$-1\r\n"),
        ("return redis.replicate_commands()", ":1\r\n"),
        ("return redis.breakpoint()", "$-1\r\n"),
        ("return redis.debug('x')", "$-1\r\n"),
        ("return redis.acl_check_cmd('get', 'x')", ":1\r\n"),
        ("return redis.acl_check_cmd('set', 'x')", "$-1\r\n"),
        ("return redis.REDIS_VERSION", "$5\r\n7.2.4\r\n"),
        ("return redis.REDIS_VERSION_NUM", ":459268\r\n"),
        ("return server == redis", ":1\r\n"),
        ("return server.call('get', 'text')", "$5\r\nvalue\r\n"),
        ("return server.SERVER_NAME", "$8\r\nringkeep\r\n"),
        (
            "local n = server.SERVER_VERSION_NUM local function part(by) return bit.band(bit.rshift(n, by), 255) end \
             return server.SERVER_VERSION == string.format('%d.%d.%d', part(16), part(8), part(0))",
            ":1\r\n",
        ),
        (
            "return {redis.LOG_DEBUG, redis.LOG_VERBOSE, redis.LOG_NOTICE, redis.LOG_WARNING}",
            "*4\r\n:0\r\n:1\r\n:2\r\n:3\r\n",
        ),
        ("return os.clock() >= 0", ":1\r\n"),
        ("return math.mod(7, 3) + math.pow(2, 3)", ":9\r\n"),
        ("return bit.tohex(65535, -2147483648)", "$8\r\n0000FFFF\r\n"),
        (
            "return bit.tohex(-1, '300') .. bit.tohex(171, -2) .. bit.tohex(171) .. bit.tohex(1, 0)",
            "$18\r\nffffffffAB000000ab\r\n",
        ),
        ("return table.getn({1, 2})", ":2\r\n"),
        ("return string.gfind('a', 'a')()", "$1\r\na\r\n"),
        ("return bit.tobit(0xffffffff)", ":-1\r\n"),
        ("return loadstring('return 1')()", ":1\r\n"),
        ("return loadstring(string.dump(function() end))", "$-1\r\n"),
        ("return load(function() return nil end) ~= nil", ":1\r\n"),
        (
            "local ok, e = pcall(loadstring('return nosuch')) return e",
            "$91\r\n[string \"return nosuch\"]:1: Script attempted to access nonexistent global variable 'nosuch'\r\n",
        ),
        ("return select('#', pcall(error, nil))", ":2\r\n"),
        ("return select('#', pcall(function() end))", ":1\r\n"),
        (
            "return {xpcall(function() error('x') end, function(e) return 'H:'..e end)}",
            "*2\r\n$-1\r\n$18\r\nH:user_script:1: x\r\n",
        ),
        ("local ok, e = pcall(error, {code = 5}) return e.code", ":5\r\n"),
        ("local ok, e, more = pcall(error, {err = 5}) return {e, more or 'none'}", "*2\r\n:5\r\n$4\r\nnone\r\n"),
        (
            "local c = coroutine.wrap(function(a) local b = coroutine.yield(a + 1) return b * 2 end) return {c(1), c(10)}",
            "*2\r\n:2\r\n:20\r\n",
        ),
        ("return coroutine.running() == nil", ":1\r\n"),
        ("return coroutine.wrap(function() return coroutine.running() ~= nil end)()", ":1\r\n"),
        ("return coroutine.wrap(function() return redis.call('get', 'text') end)()", "$5\r\nvalue\r\n"),
        ("collectgarbage('stop') return collectgarbage('count') > 0", ":1\r\n"),
        (
            "math.randomseed(0) return string.format('%.14g %.14g', math.random(), math.random())",
            "$33\r\n0.17082803611217 0.74990198051087\r\n",
        ),
        ("math.randomseed(0) return {math.random(10), math.random(5, 7)}", "*2\r\n:2\r\n:7\r\n"),
    ]);
    let mut bench = Bench::new();
    assert_eq!(bench.eval("redis.log(redis.LOG_WARNING, 'hi', 2, {}, 'there')"), "$-1\r\n");
    assert_eq!(bench.host.logged, [(LogLevel::Warning, "hi 2 there".to_string())]);
    bench.eval("redis.setresp(3)");
    assert_eq!(bench.host.protocol, Protocol::Resp3);
    let (_, reply) = bench.run("return {KEYS[1], KEYS[2], ARGV[1], #KEYS, #ARGV}", &["a", "b"], &["c"]);
    assert_eq!(reply, "*5\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n:2\r\n:1\r\n");
    let (_, reply) = bench.run("return {#KEYS, #ARGV}", &[], &[]);
    assert_eq!(reply, "*2\r\n:0\r\n:0\r\n");
}

#[test]
fn an_abandoned_run_cannot_be_held_by_the_script() {
    let mut bench = Bench::new();
    bench.host.cold_key = Some(b"cold".to_vec());
    for source in [
        "return redis.call('get', 'cold')",
        "return redis.pcall('get', 'cold')",
        "pcall(redis.call, 'get', 'cold') redis.call('set', 'after', 1)",
        "while true do pcall(redis.call, 'get', 'cold') end",
        "while true do pcall(pcall, pcall, redis.pcall, 'get', 'cold') end",
        "xpcall(function() redis.call('get', 'cold') end, function() while true do end end)",
        "for i = 1, 1e9 do local c = coroutine.create(function() redis.call('get', 'cold') end) coroutine.resume(c) end",
        "table.sort({3, 2, 1}, function() pcall(redis.call, 'get', 'cold') return false end) redis.call('set', 'after', 1)",
        "string.gsub('aaaa', 'a', function() pcall(redis.call, 'get', 'cold') end) redis.call('set', 'after', 1)",
        "for i = 1, 300 do redis.call('get', 'warm') end while true do pcall(redis.call, 'get', 'cold') end",
        "local t = setmetatable({}, {__index = function() return redis.call('get', 'cold') end}) while true do pcall(function() return t.x end) end",
    ] {
        assert_eq!(bench.run(source, &[], &[]), (ScriptEnd::Abandoned, String::new()), "{source}");
        assert!(!bench.host.data.contains_key(&b"after"[..]), "{source}");
        assert_eq!(bench.eval("return 1"), ":1\r\n", "after {source}");
    }
    // A run that is repeated sees the same random numbers.
    bench.host.cold_key = None;
    let mut fresh = Bench::new();
    assert_eq!(bench.eval("return tostring(math.random())"), fresh.eval("return tostring(math.random())"));
    bench.host.cold_key = Some(b"cold".to_vec());
    bench.run("math.random() redis.call('get', 'cold')", &[], &[]);
    assert_eq!(bench.eval("return tostring(math.random())"), fresh.eval("return tostring(math.random())"));
}

#[test]
fn a_panic_of_the_host_passes_around_the_script() {
    let mut bench = Bench::new();
    for source in ["redis.call('panic')", "while true do pcall(redis.call, 'panic') end"] {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| bench.run(source, &[], &[])));
        let payload = result.unwrap_err();
        assert_eq!(payload.downcast_ref::<&str>(), Some(&"the host panics"));
        assert_eq!(bench.eval("return 1"), ":1\r\n");
    }
}

#[test]
fn memory_is_bounded() {
    let mut bench = Bench::with_memory(8 << 20);
    let short = "-ERR Error running script <sha>, not enough memory\r\n";
    for source in [
        "local t = {} while true do t[#t + 1] = {} end",
        "local s = 'x' while true do s = s .. s end",
        "return string.rep('x', 100000000)",
        "local t = {} for i = 1, 1e9 do t[i] = i end",
        "local t = {} local i = 0 while true do i = i + 1 t[i] = 'k' .. i end",
        "local t = {} while true do t[#t + 1] = redis.call('reply', 'large', '1000000') end",
        "local t = {} while true do t[#t + 1] = coroutine.create(function() end) end",
    ] {
        let reply = bench.eval(source);
        assert!(
            reply == short || reply.starts_with("-ERR not enough memory script: <sha>, on @user_script:1"),
            "{source}: {reply}"
        );
        while bench.engine.clean_some() {}
        assert!(bench.engine.memory_bytes() <= 9 << 20, "{source}: {}", bench.engine.memory_bytes());
        assert_eq!(
            bench.eval("local t = {} for i = 1, 1000 do t[i] = {i} end return #t"),
            ":1000\r\n",
            "after {source}"
        );
    }
    assert_eq!(bench.eval("local ok, e = pcall(string.rep, 'x', 1e8) return e"), "$17\r\nnot enough memory\r\n");
    assert_eq!(
        bench.eval("return redis.call('reply', 'large', '100000000')"),
        "-ERR not enough memory script: <sha>, on @user_script:1.\r\n"
    );
    // Garbage is not counted against the scripts that come after.
    for _ in 0..200 {
        assert_eq!(
            bench.eval("local t = {} for i = 1, 20 do t[i] = string.rep('x', 10000) .. i end return #t"),
            ":20\r\n"
        );
    }
}

/// What VMs keep compiled is given up before a script that runs is short of memory for it.
#[test]
fn compiled_scripts_leave_place_for_those_that_run() {
    let mut bench = Bench::new();
    let limits = ScriptLimits { memory_bytes_max: 1 << 20, vms_max: 2, ..ScriptLimits::default() };
    bench.engine = ScriptEngine::new(limits, Interrupt::default()).unwrap();
    for round in 0..2 {
        for number in 0..40 {
            let lines: String = (0..700).map(|line| format!("t[#t + 1] = 'line {line} of {number}'\n")).collect();
            let reply = bench.eval(&format!("local t = {{}}\n{lines}return #t"));
            assert_eq!(reply, ":700\r\n", "script {number}, round {round}");
        }
    }
    assert!(bench.engine.memory_bytes() < 2 << 20);
}

#[test]
fn depth_is_bounded() {
    let mut bench = Bench::new();
    assert_eq!(
        bench.eval("local function f() return f() + 1 end return f()"),
        "-ERR user_script:1: stack overflow script: <sha>, on @user_script:1.\r\n"
    );
    let reply = bench.eval("local t = {} t[1] = t return t");
    assert!(reply.starts_with("*1\r\n*1\r\n") && reply.ends_with("-ERR reached lua stack limit\r\n"));
    let depth = reply.matches("*1\r\n").count();
    assert!((7900..8000).contains(&depth), "{depth}");
    assert_eq!(bench.eval("local t = {} for i = 1, 7000 do t = {t} end return t").matches('*').count(), 7001);
    assert_eq!(bench.eval("return redis.call('reply', 'nested', 5)"), "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n");
    assert_eq!(
        bench.eval("return redis.call('reply', 'nested', 100000)"),
        "-ERR reached lua stack limit script: <sha>, on @user_script:1.\r\n"
    );
    assert_eq!(bench.eval("return 1"), ":1\r\n");
}

#[test]
fn scripts_are_kept_by_text_and_digest() {
    let mut engine =
        ScriptEngine::new(ScriptLimits { evaluated_scripts_max: 3, ..ScriptLimits::default() }, Interrupt::default())
            .unwrap();
    let mut host = FakeHost::default();
    let mut run = |engine: &mut ScriptEngine, script: Script<'_>| {
        let mut wire = Wire::default();
        let end = engine.run(script, &[], &[], false, &mut host, &mut wire);
        (end, String::from_utf8(wire.bytes).unwrap())
    };
    let kept = engine.load(b"return 'kept'").unwrap();
    assert!(engine.exists(kept.as_bytes()));
    assert_eq!(engine.source(kept.as_bytes()), Some(&b"return 'kept'"[..]));
    let upper = kept.as_str().to_uppercase();
    assert_eq!(run(&mut engine, Script::Digest(upper.as_bytes())), (ScriptEnd::Done, "$4\r\nkept\r\n".into()));
    assert_eq!(run(&mut engine, Script::Digest(b"nonsense")).0, ScriptEnd::NoScript);
    assert!(
        engine
            .load(b"return return")
            .unwrap_err()
            .0
            .starts_with(b"ERR Error compiling script (new function): user_script:1:")
    );
    assert!(engine.load(b"\x1bLJ\x02").unwrap_err().0.starts_with(b"ERR Error compiling script"));
    for number in 0..10 {
        let source = format!("return {number}");
        assert_eq!(run(&mut engine, Script::Source(source.as_bytes())).1, format!(":{number}\r\n"));
        assert_eq!(run(&mut engine, Script::Source(b"return 'often'")).1, "$5\r\noften\r\n");
    }
    assert_eq!(engine.len(), 4, "one loaded and three evaluated");
    assert!(engine.exists(kept.as_bytes()));
    let often = super::ScriptDigest::of(b"return 'often'");
    assert_eq!(run(&mut engine, Script::Digest(often.as_bytes())).0, ScriptEnd::Done);
    engine.flush();
    assert!(engine.is_empty());
    assert_eq!(run(&mut engine, Script::Digest(kept.as_bytes())), (ScriptEnd::NoScript, String::new()));
    assert_eq!(run(&mut engine, Script::Source(b"return 'kept'")).1, "$4\r\nkept\r\n");
}

#[test]
fn read_only_runs_tell_the_host() {
    let mut bench = Bench::new();
    let mut wire = Wire::default();
    let source = Script::Source(b"return redis.pcall('set', 'a', 1)");
    bench.engine.run(source, &[], &[], true, &mut bench.host, &mut wire);
    assert_eq!(wire.bytes, b"-ERR Write commands are not allowed from read-only scripts.\r\n");
    assert_eq!(bench.eval("return redis.pcall('set', 'a', 1)"), "+OK\r\n");
}

/// What a script says need not be text; a detour over text once put other bytes in place of those that are none.
#[test]
fn any_bytes_reach_the_client_as_they_are() {
    let mut engine = ScriptEngine::new(ScriptLimits::default(), Interrupt::default()).unwrap();
    let bytes: &[u8] = b"A \xff\x01\xfe";
    let mut run = |source: &str| {
        let mut wire = Wire { protocol: Protocol::Resp3, ..Wire::default() };
        let script = Script::Source(source.as_bytes());
        engine.run(script, &[], &[bytes], false, &mut FakeHost::default(), &mut wire);
        wire.bytes
    };
    let line = |kind: &[u8], end: &[u8]| [kind, bytes, end].concat();
    assert_eq!(run("return redis.status_reply(ARGV[1])"), line(b"+", b"\r\n"));
    assert_eq!(run("return {err=ARGV[1]}"), line(b"-", b"\r\n"));
    assert_eq!(run("return {big_number=ARGV[1]}"), line(b"(", b"\r\n"));
    assert!(run("error({err=ARGV[1]})").starts_with(&line(b"-", b" script: ")));
    assert!(run("error(ARGV[1], 0)").starts_with(&line(b"-ERR ", b" script: ")));
    // Of an error's end only line breaks are cut off.
    assert_eq!(run("return redis.error_reply('A b \\r\\n')"), b"-A b \r\n");
}

/// Redis takes these texts as C's, which end at a zero. What was behind it once reached clients.
#[test]
fn errors_and_states_end_at_a_zero() {
    check(&[
        ("return redis.error_reply('X\\0y z')", "-ERR X\r\n"),
        ("return redis.error_reply('X y\\0z').err", "$3\r\nX y\r\n"),
        ("return {err='X y\\0z'}", "-X y\r\n"),
        ("return {ok='a\\0b'}", "+a\r\n"),
        ("return #redis.status_reply('a\\0b').ok", ":3\r\n"),
        ("return {big_number='1\\0002'}", "$3\r\n1\x002\r\n"),
        ("local ok, e = pcall(error, 'a\\0b') return #e", ":3\r\n"),
    ]);
}
