//! What can run long can be stopped, what can grow is bounded, and what nests does not outgrow a small stack.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

use crate::script::ScriptEnd;
use crate::script::fake_host::Bench;
use crate::script::nesting::STACK_BYTES_MIN;
use std::time::{Duration, Instant};

#[test]
fn whatever_runs_long_can_be_stopped() {
    let mut bench = Bench::with_memory(128 << 20);
    for source in [
        "return (('a'):rep(4000)):find(('a*'):rep(30) .. 'b')",
        "return (('a'):rep(4000)):find(('a-'):rep(30) .. 'b')",
        "return (('a'):rep(4000)):match(('a?'):rep(3000) .. ('a'):rep(3000) .. 'b')",
        "return (('a'):rep(1000000)):find('.-.-.-b')",
        "return (('a'):rep(1000000)):find('%b()b')  or (('('):rep(1000000)):find('%b()')",
        "return (('a'):rep(10000) .. ('b'):rep(10000)):find('(a+)(b*)%1c')",
        "for w in (('a'):rep(1000000)):gmatch('a-a-a-b') do end",
        "return (('a'):rep(4000000)):gsub('a', 'bc')",
        "return (('a'):rep(4000000)):gsub('', '%0')",
        "return (('a'):rep(4000000)):gsub('a', {})",
        "return (('a'):rep(4000000)):gsub('a', string.len)",
        "return (('a'):rep(1000000) .. 'b'):rep(20):find(('a'):rep(1000000) .. 'c', 1, true)",
        "return ('x'):rep(40000000)",
        "return ('x'):rep(10000000):upper():lower():reverse()",
        "local s = ('\\n'):rep(2000000) return string.format('%q%q', s, s)",
        "local t, s = {}, ('x'):rep(100) for i = 1, 200000 do t[i] = s end return table.concat(t, ', ')",
        "local t = {} for i = 1, 1000000 do t[i] = (i * 7919) % 1000003 end table.sort(t)",
        "local t = {} for i = 1, 100000 do t[i] = 'k' .. (i * 7919) % 1000003 end table.sort(t)",
        "local t = {} for i = 1, 1000000 do t[i] = i end table.sort(t, function() return math.random() < 0.5 end)",
        "local t = {} for i = 1, 1000000 do t[i] = i end table.sort(t, rawequal)",
        "local t = {} for i = 1, 1000000 do t[i] = i end table.insert(t, 1, 0)",
        "local t = {} table.insert(t, -2000000000, 0)",
        "local t = {} for i = 1, 200000 do t[i] = {} end for i = 1, 1000 do collectgarbage() end",
        "return loadstring(('local x = 1 '):rep(100) .. ('x = x + 1 '):rep(1000000))",
    ] {
        bench.engine.stop_at_look(Some(50));
        let start = Instant::now();
        let end = bench.run(source, &[], &[]);
        let spent = start.elapsed();
        bench.engine.stop_at_look(None);
        assert_eq!(end, (ScriptEnd::Abandoned, String::new()), "{source}");
        assert!(spent < Duration::from_secs(5), "{source}: {spent:?}");
        assert_eq!(bench.eval("return 1"), ":1\r\n", "after {source}");
        assert_eq!(bench.eval("return ('abc'):gsub('%w', '%0%0')"), "$6\r\naabbcc\r\n", "after {source}");
        bench.engine.flush();
    }
}

#[test]
fn what_is_made_counts_against_the_memory() {
    let mut bench = Bench::with_memory(8 << 20);
    for source in [
        "return ('x'):rep(1e9)",
        "return ('x'):rep(3000000):gsub('x', 'yyyy')",
        "return ('x'):rep(3000000):gsub('x', function() return 'yyyy' end)",
        "local s = ('x'):rep(3000000) return string.format('%s%s%s%s', s, s, s, s)",
        "local s = ('x'):rep(1000000) local r = table.concat({s, s, s, s, s, s, s, s, s, s}) return #r",
        "local s = ('x'):rep(1000000) local t = {} for i = 1, 200 do t[i] = s end return table.concat(t)",
        "return ('x'):find(('a?'):rep(1000000))",
    ] {
        let reply = bench.eval(source);
        assert!(reply.contains("not enough memory"), "{source}: {reply}");
        assert_eq!(bench.eval("return ('abc'):rep(2)"), "$6\r\nabcabc\r\n", "after {source}");
        while bench.engine.clean_some() {}
        assert!(bench.engine.memory_bytes() < 9 << 20, "{source}");
    }
    // What was begun is given back at once.
    let reply = bench.eval(
        "for i = 1, 20 do pcall(string.rep, 'x', 1e9) \
         pcall(string.gsub, ('x'):rep(1000), 'x', function() return ('y'):rep(20000) end) collectgarbage() end \
         return #('x'):rep(3000000)",
    );
    assert_eq!(reply, ":3000000\r\n");
}

/// Scripts that nest as deep as they may, and what they answer.
const NESTING: &[(&str, &str)] = &[
    (
        "local n = 0 local function f() n = n + 1 ('a'):gsub('a', f) end local ok, e = pcall(f) return {n, e}",
        "*2\r\n:198\r\n$16\r\nC stack overflow\r\n",
    ),
    (
        "local n = 0 local function f() n = n + 1 table.sort({1, 2}, f) end local ok, e = pcall(f) return {n, e}",
        "*2\r\n:198\r\n$16\r\nC stack overflow\r\n",
    ),
    (
        "local n = 0 local function f() n = n + 1 return coroutine.resume(coroutine.create(f)) end f() return n",
        ":200\r\n",
    ),
    ("local n = 0 local function f() n = n + 1 coroutine.wrap(f)() end pcall(f) return n", ":200\r\n"),
    (
        "local n = 0 local t = setmetatable({}, {}) getmetatable(t).__index = function() n = n + 1 \
         ('a'):gsub('a', t) end local ok, e = pcall(function() return t.x end) return {n, e}",
        "*2\r\n:198\r\n$16\r\nC stack overflow\r\n",
    ),
    ("local n = 0 local function f() n = n + 1 assert(load(f)) end pcall(f) return n", ":198\r\n"),
    (
        "local n = 0 local function f() n = n + 1 if n % 3 == 0 then ('a'):gsub('a', f) elseif n % 3 == 1 then table.sort({1, 2}, f) \
         else coroutine.wrap(f)() end end pcall(f) return n > 190 and n < 210",
        ":1\r\n",
    ),
    // At the bottom of all that, the parser nests as well.
    (
        "local n = 0 local function f() n = n + 1 ('a'):gsub('a', f) loadstring('return ' .. ('('):rep(190) .. ('{'):rep(150)) end \
         pcall(f) return loadstring('return ' .. ('('):rep(190) .. '1' .. (')'):rep(190))()",
        ":1\r\n",
    ),
    // A handler of errors runs where the error was raised.
    ("local function h() return xpcall(error, h) end xpcall(error, h) return 1", ":1\r\n"),
    ("local function h() error('x') end return select('#', xpcall(error, h)) > 0", ":1\r\n"),
];

#[test]
fn nesting_is_bounded_on_a_small_stack() {
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES_MIN);
    let run = || {
        let mut bench = Bench::new();
        for (source, expected) in NESTING {
            assert_eq!(bench.eval(source), *expected, "{source}");
        }
    };
    thread.spawn(run).unwrap().join().unwrap();
}

#[test]
fn tables_are_sorted() {
    let mut bench = Bench::new();
    for (source, expected) in [
        ("local t = {3, 1, 2} table.sort(t) return t", "*3\r\n:1\r\n:2\r\n:3\r\n"),
        ("local t = {'b', 'a', 'ab', ''} table.sort(t) return t", "*4\r\n$0\r\n\r\n$1\r\na\r\n$2\r\nab\r\n$1\r\nb\r\n"),
        ("local t = {'key-0000-b', 'key-0000-a'} table.sort(t) return t[1]", "$10\r\nkey-0000-a\r\n"),
        ("local t = {'a\\0b', 'a\\0a', 'a'} table.sort(t) return #t[1] .. t[2]", "$4\r\n1a\0a\r\n"),
        (
            "local t = {} for i = 1, 5000 do t[i] = 'k' .. i * 7919 % 5003 end table.sort(t) \
             for i = 2, 5000 do assert(t[i - 1] < t[i]) end return #t",
            ":5000\r\n",
        ),
        (
            "local t = {} for i = 1, 5000 do t[i] = i * 7919 % 5003 end table.sort(t) \
             for i = 2, 5000 do assert(t[i - 1] < t[i]) end return #t",
            ":5000\r\n",
        ),
        ("local t = {0/0, 1, 0/0, 2} return pcall(table.sort, t) ~= nil", ":1\r\n"),
        (
            "local order = {__lt = function(a, b) return a.n < b.n end} local t = {} \
             for i = 1, 9 do t[i] = setmetatable({n = i * 7 % 10}, order) end table.sort(t) return t[1].n .. t[9].n",
            "$2\r\n19\r\n",
        ),
    ] {
        assert_eq!(bench.eval(source), expected, "{source}");
    }
}

#[test]
fn compiled_and_other_paths_agree() {
    let mut bench = Bench::new();
    for (source, expected) in [
        ("local n = 0 for i = 1, 500 do n = n + ('abc'):find('c') end return n", ":1500\r\n"),
        ("local n = 0 for i = 1, 500 do n = n + (('x'):rep(5000) .. 'c'):find('c') end return n", ":2500500\r\n"),
        ("local n = 0 for i = 1, 500 do n = n + #('a'):rep(i % 20 * 300) end return n", ":1425000\r\n"),
        ("local n = 0 for i = 1, 500 do n = n + #('%d:%s'):format(i, 'k') end return n", ":2392\r\n"),
        ("local n = 0 for i = 1, 500 do n = n + #table.concat({'a', i, 'b'}, ',') end return n", ":3392\r\n"),
        ("local n = 0 for i = 1, 500 do for w in ('a b c'):gmatch('%a') do n = n + #w end end return n", ":1500\r\n"),
        (
            "local t = {} for i = 1, 3000 do t[i] = i end table.insert(t, 2, 'x') return t[2] .. t[3] .. #t",
            "$6\r\nx23001\r\n",
        ),
        ("local t = {} for i = 1, 3000 do table.insert(t, 1, i) end return t[1] + t[3000]", ":3001\r\n"),
        ("return table.maxn({1, 2, [50] = 1, x = 1})", ":50\r\n"),
        ("local n = 0 for i = 1, 300 do n = n + #string.format('%s' .. i, 'x') end return n", ":1092\r\n"),
        ("local n = 0 for i = 1, 600 do n = n + ('abc' .. i):find(tostring(i)) end return n", ":2400\r\n"),
    ] {
        assert_eq!(bench.eval(source), expected, "{source}");
    }
}
