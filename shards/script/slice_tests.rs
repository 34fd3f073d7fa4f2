//! Runs that are set aside and go on, and runs that are taken down.

use super::fake_host::{FakeHost, Wire};
use super::{Interrupt, RunId, Script, ScriptEnd, ScriptEngine, ScriptLimits};

/// Scripts that are in the midst of everything when their slices end.
const SCRIPTS: &[&str] = &[
    "local s = 0 for i = 1, 30000 do s = s + i % 7 end return s",
    "local t = {} for i = 1, 3000 do t[i] = (i * 7919) % 3001 end table.sort(t) return t[1] .. ' ' .. t[3000]",
    "local t = {} for i = 1, 2000 do t[i] = (i * 7919) % 3001 end table.sort(t, function(a, b) return a > b end) return t[1] .. ' ' .. t[2000]",
    "local n = 0 local s = string.gsub(string.rep('ab', 3000), '%w', function(c) n = n + 1 return c == 'a' and 'x' or nil end) return s:sub(1, 9) .. n",
    "local co = coroutine.wrap(function() for i = 1, 3000 do coroutine.yield(i) end return 'end' end) local s = 0 for i = 1, 3000 do s = s + co() end return s .. co()",
    "local m = setmetatable({}, {__index = function(t, k) local s = 0 for i = 1, k do s = s + i end return s end}) local s = 0 for i = 1, 300 do s = s + m[i] end return s",
    "local function f(n) if n == 0 then error('deep') end local ok, e = pcall(f, n - 1) error(e, 0) end local ok, e = pcall(f, 100) for i = 1, 5000 do pcall(error, i) end return e",
    "local s = '' for w in string.gmatch(string.rep('word ', 2000), '%a+') do s = w end return s",
    "for i = 1, 200 do redis.call('set', 'k' .. i, i) end local s = 0 for i = 1, 200 do s = s + redis.call('get', 'k' .. i) end return s",
    "local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end return fib(18)",
    "local ok, e = xpcall(function() local x = nil for i = 1, 1000 do x = i end error('x') end, function(m) local s = 0 for i = 1, 5000 do s = s + 1 end return m .. s end) return e",
    "return redis.sha1hex(table.concat((function() local t = {} for i = 1, 5000 do t[i] = tostring(i) end return t end)()))",
];

struct Sliced {
    engine: ScriptEngine,
    host: FakeHost,
    interrupt: Interrupt,
}

impl Sliced {
    fn new(instructions: u32, vms_max: usize) -> Self {
        let interrupt = Interrupt::counting(instructions);
        let limits = ScriptLimits { vms_max, ..ScriptLimits::default() };
        Sliced { engine: ScriptEngine::new(limits, interrupt.clone()).unwrap(), host: FakeHost::default(), interrupt }
    }

    fn begin(&mut self, source: &str, wire: &mut Wire) -> ScriptEnd {
        self.interrupt.begin();
        let end = self.engine.run(Script::Source(source.as_bytes()), &[], &[], false, &mut self.host, wire);
        self.interrupt.end();
        end
    }

    fn go_on(&mut self, run: RunId, wire: &mut Wire) -> ScriptEnd {
        self.interrupt.begin();
        let end = self.engine.go_on(run, &mut self.host, wire);
        self.interrupt.end();
        end
    }

    /// Runs a script to its end; its reply, and how many slices it took.
    fn run(&mut self, source: &str) -> (String, usize) {
        let mut wire = Wire::default();
        let mut end = self.begin(source, &mut wire);
        let mut slices = 1;
        while let ScriptEnd::Aside(run) = end {
            end = self.go_on(run, &mut wire);
            slices += 1;
        }
        (String::from_utf8_lossy(&wire.bytes).into_owned(), slices)
    }
}

#[test]
fn a_sliced_run_comes_to_the_same_end() {
    let mut whole = Sliced::new(0, 8);
    for instructions in [1000, 377, 50] {
        let mut sliced = Sliced::new(instructions, 8);
        for source in SCRIPTS {
            let (expected, _) = whole.run(source);
            let (reply, slices) = sliced.run(source);
            assert_eq!(reply, expected, "{source}");
            assert!(slices > 3, "{source}: {slices} slices");
        }
    }
}

#[test]
fn runs_that_are_set_aside_do_not_see_each_other() {
    let mut whole = Sliced::new(0, 8);
    let expected: Vec<String> = SCRIPTS.iter().map(|source| whole.run(source).0).collect();
    let mut sliced = Sliced::new(500, SCRIPTS.len() + 1);
    let mut wires: Vec<Wire> = SCRIPTS.iter().map(|_| Wire::default()).collect();
    let mut ends: Vec<ScriptEnd> = Vec::new();
    for (source, wire) in SCRIPTS.iter().zip(&mut wires) {
        ends.push(sliced.begin(source, wire));
    }
    while ends.iter().any(|end| matches!(end, ScriptEnd::Aside(_))) {
        for (end, wire) in ends.iter_mut().zip(&mut wires) {
            if let ScriptEnd::Aside(run) = *end {
                *end = sliced.go_on(run, wire);
            }
        }
    }
    for (wire, expected) in wires.iter().zip(&expected) {
        assert_eq!(String::from_utf8_lossy(&wire.bytes), *expected);
    }
}

/// Scripts that never end by themselves, and defend themselves.
const ENDLESS: &[&str] = &[
    "while true do end",
    "while true do pcall(function() while true do end end) end",
    "local function f() return pcall(f) end while true do f() end",
    "while true do pcall(error, {}) end",
    "while true do xpcall(function() while true do end end, function() while true do end end) end",
    "local t = {} for i = 1, 100 do t[i] = i end while true do pcall(table.sort, t, function(a, b) while true do end end) end",
    "while true do pcall(string.gsub, 'abc', '.', function() while true do end end) end",
    "while true do local co = coroutine.create(function() while true do pcall(function() while true do end end) end end) coroutine.resume(co) end",
    "local function f() local co = coroutine.wrap(function() while true do coroutine.yield() end end) while true do co() end end while true do pcall(f) end",
    "local t = setmetatable({}, {__index = function() while true do end end, __lt = function() while true do end end}) while true do pcall(function() return t.x end) pcall(function() return t < t end) end",
    "while true do redis.pcall('get', 'k') end",
    "while true do pcall(redis.call, 'nosuch') end",
    "for i = 1, math.huge do local s = tostring(i) end",
    "table.insert({1}, '-2000000000', 1)",
    "table.insert({1}, 2147483700, 1)",
    "local s = string.rep('a', 100) while true do pcall(string.find, s, '.-b') end",
    // Twice as much at each level of handlers.
    "local function h(m) xpcall(error, h) error(m) end xpcall(error, h)",
];

#[test]
fn whatever_it_does_a_run_is_taken_down() {
    let mut sliced = Sliced::new(2000, 4);
    for source in ENDLESS {
        for after in [0, 3] {
            let mut wire = Wire::default();
            let mut end = sliced.begin(source, &mut wire);
            for _ in 0..after {
                let ScriptEnd::Aside(run) = end else { panic!("{source} ended: {end:?}") };
                end = sliced.go_on(run, &mut wire);
            }
            let ScriptEnd::Aside(run) = end else { panic!("{source} ended: {end:?}") };
            let end = sliced.engine.stop(run, Some("ERR it was killed"), &mut wire);
            assert_eq!(end, ScriptEnd::Raised, "{source}");
            let reply = String::from_utf8_lossy(&wire.bytes).into_owned();
            assert!(reply.starts_with("-ERR it was killed script: "), "{source}: {reply}");
            let mut wire = Wire::default();
            let ScriptEnd::Aside(run) = sliced.begin(source, &mut wire) else { panic!("{source} ended") };
            assert_eq!(sliced.engine.stop(run, None, &mut wire), ScriptEnd::Abandoned);
            assert!(wire.bytes.is_empty());
        }
    }
    assert_eq!(sliced.run("return 1").0, ":1\r\n");
    while sliced.engine.clean_some() {}
    assert!(sliced.engine.vms() <= 5, "{} VMs", sliced.engine.vms());
}

#[test]
fn short_scripts_run_beside_as_many_long_ones_as_may_be() {
    let mut sliced = Sliced::new(2000, 4);
    let mut runs = Vec::new();
    for _ in 0..3 {
        let mut wire = Wire::default();
        let ScriptEnd::Aside(run) = sliced.begin("local n = 0 while true do n = n + 1 end", &mut wire) else {
            panic!("it ended");
        };
        runs.push(run);
    }
    let mut wire = Wire::default();
    assert_eq!(sliced.begin("while true do end", &mut wire), ScriptEnd::Crowded);
    assert!(wire.bytes.is_empty());
    assert_eq!(sliced.run("return 'short'").0, "$5\r\nshort\r\n");
    assert_eq!(sliced.engine.vms(), 4);
    sliced.engine.stop(runs.pop().unwrap(), None, &mut wire);
    assert!(matches!(sliced.begin("while true do end", &mut wire), ScriptEnd::Aside(_)));
    assert!(sliced.engine.is_long(Script::Source(b"while true do end")));
    assert!(!sliced.engine.is_long(Script::Source(b"return 'short'")));
    sliced.engine.flush();
    assert_eq!(sliced.engine.len(), 0);
    assert!(matches!(sliced.go_on(runs.pop().unwrap(), &mut wire), ScriptEnd::Aside(_)));
    // The engine goes with runs still set aside.
}

impl Sliced {
    fn load(&mut self, code: &str) {
        let new =
            self.engine.prepare(code.as_bytes(), true, &mut Vec::new()).unwrap_or_else(|error| panic!("{error:?}"));
        self.engine.adopt(new, false, 1);
    }

    fn call(&mut self, name: &str, arguments: &[&[u8]], wire: &mut Wire) -> ScriptEnd {
        let function = self.engine.function(name.as_bytes()).unwrap();
        self.interrupt.begin();
        let end = self.engine.call(&function, &[b"k"], arguments, false, &mut self.host, wire);
        self.interrupt.end();
        end
    }
}

const COUNTING: &str = "#!lua name=lib
redis.register_function('count', function(k, a)
    local s = 0
    for i = 1, 30000 do s = s + i % 7 end
    if a[2] then error('at the end') end
    return {s, k[1], a[1]}
end)";

#[test]
fn functions_are_set_aside_each_with_its_own_arguments() {
    let mut sliced = Sliced::new(1000, 4);
    sliced.load(COUNTING);
    let mut aside = Vec::new();
    for argument in [&b"one"[..], b"two", b"three"] {
        let mut wire = Wire::default();
        let ScriptEnd::Aside(run) = sliced.call("count", &[argument], &mut wire) else { panic!("it is long") };
        aside.push((run, argument, wire));
    }
    assert!(sliced.engine.function(b"COUNT").unwrap().is_long());
    // Each took a VM, which loaded the library for itself.
    assert_eq!(sliced.engine.vms(), 3);
    // The library goes and comes back otherwise: runs go on with what they have.
    sliced.load("#!lua name=lib\nredis.register_function('count', function() return 'new' end)");
    let mut wire = Wire::default();
    assert_eq!(sliced.call("count", &[], &mut wire), ScriptEnd::Done);
    assert_eq!(wire.bytes, b"$3\r\nnew\r\n");
    for (run, argument, mut wire) in aside.into_iter().rev() {
        let mut end = ScriptEnd::Aside(run);
        while let ScriptEnd::Aside(run) = end {
            end = sliced.go_on(run, &mut wire);
        }
        let argument = String::from_utf8_lossy(argument);
        let expected = format!("*3\r\n:90000\r\n$1\r\nk\r\n${}\r\n{argument}\r\n", argument.len());
        assert_eq!(String::from_utf8_lossy(&wire.bytes), expected);
    }
    while sliced.engine.clean_some() {}
    assert_eq!(sliced.engine.vms(), 1, "those with what was forgotten are closed");
    let mut wire = Wire::default();
    assert_eq!(sliced.call("count", &[], &mut wire), ScriptEnd::Done);
}

#[test]
fn the_error_of_a_function_names_it_although_it_was_set_aside() {
    let mut sliced = Sliced::new(1000, 4);
    sliced.load(COUNTING);
    let mut wire = Wire::default();
    let mut end = sliced.call("count", &[b"x", b"y"], &mut wire);
    let mut slices = 0;
    while let ScriptEnd::Aside(run) = end {
        end = sliced.go_on(run, &mut wire);
        slices += 1;
    }
    assert!(slices > 3);
    let error = "-ERR user_function:5: at the end script: count, on @user_function:5.\r\n";
    assert_eq!((end, String::from_utf8_lossy(&wire.bytes).into_owned()), (ScriptEnd::Raised, error.to_owned()));
}

/// A load is bounded by its own count, whatever the slice says, and leaves the slice's hook to runs.
#[test]
fn a_load_is_never_set_aside() {
    let mut sliced = Sliced::new(50, 2);
    sliced.interrupt.begin();
    sliced.load("#!lua name=a\nlocal s = 0 for i = 1, 100000 do s = s + i end\nredis.register_function('sum', function() return s end)");
    let refused = sliced.engine.prepare(b"#!lua name=b\nwhile true do end", true, &mut Vec::new()).err().unwrap();
    assert_eq!(refused.0, b"ERR Error registering functions: ERR FUNCTION LOAD timeout");
    sliced.interrupt.end();
    let mut wire = Wire::default();
    assert_eq!(sliced.call("sum", &[], &mut wire), ScriptEnd::Done);
    assert_eq!(wire.bytes, b":5000050000\r\n");
}

/// Scripts that nest native frames without an end: LuaJIT bounds the stack of Lua, not the native one.
const DEEP: &[&str] = &[
    "local function r() string.gsub('a', '.', r) end return pcall(r)",
    "local m = {} setmetatable(m, {__index = function() string.gsub('a', '.', m) end}) return pcall(string.gsub, 'a', '.', m)",
    "local function r() table.sort({2, 1}, r) end return pcall(r)",
    "local m = {} m.__lt = function(x, y) table.sort({x, y}) end return pcall(table.sort, {setmetatable({}, m), setmetatable({}, m)})",
    "local function r() load(r) end return pcall(r)",
    "local m = setmetatable({}, {__tostring = function(x) return string.format('%s', x) end}) return pcall(string.format, '%s', m)",
    "local function h(m) pcall(error) error(m) end return xpcall(error, h)",
    "local function h(m) pcall(error) math.min(m, {}) end return xpcall(error, h)",
    "local function r() coroutine.wrap(r)() end return pcall(r)",
    "local function r() local ok, e = coroutine.resume(coroutine.create(r)) error(e) end return pcall(r)",
    "local list = {} for i = 1, 50000 do list[i] = coroutine.wrap(function() if list[i + 1] then list[i + 1]() end end) end return pcall(list[1])",
    "local function r() coroutine.wrap(function() string.gsub('a', '.', r) end)() end return pcall(r)",
    "local function r() coroutine.wrap(function() table.sort({1, 2}, function() load(r) end) end)() end return pcall(r)",
    "local function r() pcall(redis.call, 'get', 'k') pcall(load, string.rep('(', 190) .. '1' .. string.rep(')', 190)) string.gsub('a', '.', r) end return pcall(r)",
    "local function r() local t = {} for i = 1, 50 do t[i] = {} end pcall(cjson.encode, t) string.gsub('a', '.', r) end return pcall(r)",
    "local m = {} m.__index = function(t, k) return t[k + 1] end return pcall(function() return setmetatable({}, m)[1] end)",
    "local m = {} m.__concat = function(x, y) return x .. y end local t = setmetatable({}, m) return pcall(function() return t .. t end)",
    "local m = {} m.__eq = function(x, y) return x == y end local s, t = setmetatable({}, m), setmetatable({}, m) return pcall(function() return s == t end)",
    "local m = {} m.__tostring = function(x) return tostring(x) .. 'x' end return pcall(tostring, setmetatable({}, m))",
    "local m = {} m.__call = function(x) return x() + 1 end return pcall(setmetatable({}, m))",
    "local t = {} for i = 1, 100000 do t = setmetatable({}, {__index = t}) end return pcall(function() return t.x end)",
    "local t = {} for i = 1, 100000 do t = setmetatable({}, {__call = t}) end return pcall(t)",
    "local function r(...) return pcall(r, ...) end return (r())",
    "local function r(...) return (pcall(r, ...)) end return (r())",
    "return pcall(load, string.rep('{', 10000))",
    "return pcall(load, 'return ' .. string.rep('(', 10000))",
    "return pcall(load, 'return ' .. string.rep('-', 10000) .. '1')",
    "return pcall(load, string.rep('do ', 10000))",
    "return pcall(load, 'return ' .. string.rep('function() return ', 10000))",
    "return pcall(load, 'return ' .. string.rep('1 .. ', 10000) .. '1')",
    "return pcall(load, 'return ' .. string.rep('1 + (', 190) .. '1' .. string.rep(')', 190))",
];

#[test]
fn whatever_nests_the_process_lives() {
    for (jit, instructions) in [(true, 1000), (false, 0)] {
        let interrupt = Interrupt::counting(instructions);
        let limits = ScriptLimits { jit, ..ScriptLimits::default() };
        let engine = ScriptEngine::new(limits, interrupt.clone()).unwrap();
        let mut sliced = Sliced { engine, host: FakeHost::default(), interrupt };
        for source in DEEP {
            let (reply, _) = sliced.run(source);
            assert!(!reply.is_empty(), "{source}");
        }
        assert_eq!(sliced.run("return 1").0, ":1\r\n");
    }
}

/// LuaJIT made the text of this error when it had overwritten the function in its frame: with no memory left it read what was there
/// instead, and the process died (fuzz, seeds 0..10 in some of their runs).
#[test]
fn a_coroutine_that_cannot_be_resumed_says_so_without_any_memory() {
    for instructions in [0, 500] {
        let interrupt = Interrupt::counting(instructions);
        let limits = ScriptLimits { memory_bytes_max: 1 << 20, ..ScriptLimits::default() };
        let engine = ScriptEngine::new(limits, interrupt.clone()).unwrap();
        let mut sliced = Sliced { engine, host: FakeHost::default(), interrupt };
        let (reply, _) = sliced.run(
            "local co = coroutine.create(function() end) coroutine.resume(co) \
             local t = {} pcall(function() while true do t = {t} end end) \
             local done, text = coroutine.resume(co) \
             t = nil return text",
        );
        assert!(reply.contains("cannot resume dead coroutine") || reply.contains("not enough memory"), "{reply}");
    }
}
