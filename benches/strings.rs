//! The functions of strings and tables that are ours, beside LuaJIT's own in a plain VM: the same scripts in both.

mod hosts;

use criterion::{Criterion, criterion_group, criterion_main};
use hosts::{Host, Sum};
use mlua::Lua;
use ringkeep_shards::script::{Interrupt, Script, ScriptEnd, ScriptEngine, ScriptLimits};
use std::hint::black_box;

/// What all scripts start with; each then runs its own lines and answers with `n`.
const BEFORE: &str = "
local n, words, long = 0, 'the quick brown fox jumps over the lazy dog', ('lorem ipsum dolor sit amet '):rep(40)
local function shuffled(len, make)
  local t, v = {}, 7
  for i = 1, len do v = (v * 7621 + 1) % 32768 t[i] = make and make(v) or v end
  return t
end
local texts = {}
for i = 1, 8 do texts[i] = words:sub(i) .. i end
local function key(v) return 'key:' .. v end
";

const CASES: &[(&str, &str)] = &[
    ("find plain, short", "for i = 1, 1000 do n = n + texts[i % 8 + 1]:find('lazy', 1, true) end"),
    ("find without specials, short", "for i = 1, 1000 do n = n + texts[i % 8 + 1]:find('lazy') end"),
    ("find plain, 1 KiB", "for i = 1, 1000 do n = n + (long:find('nowhere', i % 8, true) or 1) end"),
    ("find pattern, short", "for i = 1, 1000 do n = n + words:find('%a+y') end"),
    ("find pattern, 1 KiB", "for i = 1, 100 do n = n + (long:find('%d+') or 1) end"),
    ("match captures, short", "for i = 1, 1000 do local a, b = ('user:1234'):match('^(%a+):(%d+)$') n = n + #b end"),
    ("match trim", "for i = 1, 1000 do n = n + #('  some text '):match('^%s*(.-)%s*$') end"),
    ("gsub string, short", "for i = 1, 1000 do n = n + #words:gsub('o', '0') end"),
    ("gsub captures, 1 KiB", "for i = 1, 10 do n = n + #long:gsub('(%w+)', '<%1>') end"),
    ("gsub table, 1 KiB", "local t = {lorem = 'LOREM'} for i = 1, 10 do n = n + #long:gsub('%w+', t) end"),
    ("gsub function, 1 KiB", "local f = function(w) return w end for i = 1, 10 do n = n + #long:gsub('%w+', f) end"),
    ("gmatch words, short", "for i = 1, 100 do for w in words:gmatch('%a+') do n = n + #w end end"),
    (
        "gmatch stepped",
        "for i = 1, 100 do local f = words:gmatch('%a+') local w = f() while w do n = n + #w w = f() end end",
    ),
    ("gmatch words, 1 KiB", "for i = 1, 10 do for w in long:gmatch('%a+') do n = n + #w end end"),
    ("sort 100 numbers", "for i = 1, 10 do local t = shuffled(100) table.sort(t) n = n + t[1] end"),
    ("sort 10000 numbers", "local t = shuffled(10000) table.sort(t) n = n + t[1]"),
    ("sort 100 strings", "for i = 1, 10 do local t = shuffled(100, key) table.sort(t) n = n + #t[1] end"),
    ("sort 10000 strings", "local t = shuffled(10000, key) table.sort(t) n = n + #t[1]"),
    (
        "sort 100 numbers, comparator",
        "for i = 1, 10 do local t = shuffled(100) table.sort(t, function(a, b) return a > b end) n = n + t[1] end",
    ),
    (
        "sort 10000 numbers, comparator",
        "local t = shuffled(10000) table.sort(t, function(a, b) return a > b end) n = n + t[1]",
    ),
    (
        "sort 10000 strings, comparator",
        "local t = shuffled(10000, key) table.sort(t, function(a, b) return a > b end) n = n + #t[1]",
    ),
    ("concat 3 strings", "local t = {'a', 'b', 'c'} for i = 1, 1000 do n = n + #table.concat(t, ':') end"),
    ("concat 100 strings", "local t = shuffled(100, key) for i = 1, 100 do n = n + #table.concat(t, ',') end"),
    ("concat 10000 strings", "local t = shuffled(10000, key) n = n + #table.concat(t, ',')"),
    ("rep short", "for i = 1, 1000 do n = n + #('ab'):rep(i % 20) end"),
    ("rep 1 MiB", "n = n + #('ab'):rep(500000)"),
    ("lower short", "for i = 1, 1000 do n = n + #texts[i % 8 + 1]:lower() end"),
    ("lower 1 KiB", "for i = 1, 1000 do n = n + #long:lower() end"),
    ("reverse short", "for i = 1, 1000 do n = n + #texts[i % 8 + 1]:reverse() end"),
    ("format %s:%d", "for i = 1, 1000 do n = n + #string.format('%s:%d', 'key', i) end"),
    ("format %.2f", "for i = 1, 1000 do n = n + #string.format('%.2f', i / 7) end"),
    ("insert at the end", "local t = {} for i = 1, 1000 do table.insert(t, i) end n = #t"),
    ("insert at the front", "local t = {} for i = 1, 200 do table.insert(t, 1, i) end n = #t"),
    ("remove from the end", "local t = shuffled(1000) for i = 1, 1000 do n = n + table.remove(t) end"),
    (
        "coroutine",
        "local c = coroutine.wrap(function() for i = 1, 1000 do coroutine.yield(i) end end) for i = 1, 1000 do n = n + c() end",
    ),
];

fn strings(criterion: &mut Criterion) {
    let mut engine = ScriptEngine::new(ScriptLimits::default(), Interrupt::default()).expect("a VM");
    let lua = Lua::new();
    for (name, source) in CASES {
        let source = format!("{BEFORE}{source}\nreturn n");
        let digest = engine.load(source.as_bytes()).expect("it compiles");
        let theirs = lua.load(&*source).into_function().expect("it compiles");
        let mut answer = Sum::default();
        let end = engine.run(Script::Digest(digest.as_bytes()), &[], &[], false, &mut Host, &mut answer);
        assert_eq!((end, answer.0), (ScriptEnd::Done, theirs.call::<i64>(()).expect("it runs")), "{name}");
        criterion.bench_function(&format!("strings/{name}/ours"), |bencher| {
            bencher.iter(|| {
                let mut answer = Sum::default();
                engine.run(Script::Digest(digest.as_bytes()), &[], &[], false, &mut Host, &mut answer);
                black_box(answer.0)
            });
        });
        criterion.bench_function(&format!("strings/{name}/luajit"), |bencher| {
            bencher.iter(|| theirs.call::<i64>(()).expect("it runs"));
        });
    }
}

criterion_group!(benches, strings);
criterion_main!(benches);
