//! What a script costs apart from its commands: the host answers at once. Beside it, the same script with mlua's closures.

mod hosts;

use criterion::{Criterion, criterion_group, criterion_main};
use hosts::{Host, Sum, VALUE};
use mlua::{Lua, Variadic};
use ringkeep_shards::script::{Interrupt, Script, ScriptEnd, ScriptEngine, ScriptLimits};
use std::hint::black_box;

const ONE_GET: &str = "return redis.call('GET', KEYS[1])";
const SEVEN_GETS: &str = "
local total = 0
for i = 1, 7 do
  total = total + #redis.call('GET', KEYS[i])
end
return total";
const SEVEN_GETS_LISTED: &str =
    "return {redis.call('GET', KEYS[1]), redis.call('GET', KEYS[2]), redis.call('GET', KEYS[3]),
  redis.call('GET', KEYS[4]), redis.call('GET', KEYS[5]), redis.call('GET', KEYS[6]), redis.call('GET', KEYS[7])}";
const LOOP: &str = "local s = 0 for i = 1, 100000 do s = s + (i % 7) * 2 end return s";
const KEYS: [&[u8]; 7] = [b"key:0001", b"key:0002", b"key:0003", b"key:0004", b"key:0005", b"key:0006", b"key:0007"];

fn scripts(criterion: &mut Criterion) {
    let mut engine = ScriptEngine::new(ScriptLimits::default(), Interrupt::default()).expect("a VM");
    let cases = [
        ("nothing", "return 1", &KEYS[..0]),
        ("one GET", ONE_GET, &KEYS[..1]),
        ("seven GETs", SEVEN_GETS, &KEYS[..]),
        ("seven GETs as a list", SEVEN_GETS_LISTED, &KEYS[..]),
        ("100,000 loop steps", LOOP, &KEYS[..0]),
    ];
    for (name, source, keys) in cases {
        let digest = engine.load(source.as_bytes()).expect("it compiles");
        criterion.bench_function(&format!("script/evalsha/{name}"), |bencher| {
            bencher.iter(|| {
                let mut sum = Sum::default();
                let script = Script::Digest(digest.as_bytes());
                let end = engine.run(script, black_box(keys), &[], false, &mut Host, &mut sum);
                assert_eq!(end, ScriptEnd::Done);
                sum.0
            });
        });
    }
    criterion.bench_function("script/eval/seven GETs", |bencher| {
        bencher.iter(|| {
            let mut sum = Sum::default();
            let script = Script::Source(SEVEN_GETS.as_bytes());
            engine.run(script, black_box(&KEYS), &[], false, &mut Host, &mut sum);
            sum.0
        });
    });
}

fn closures(criterion: &mut Criterion) {
    let lua = Lua::new();
    let redis = lua.create_table().expect("a table");
    let call = lua.create_function(|lua, arguments: Variadic<mlua::LuaString>| {
        black_box(&arguments);
        lua.create_string(VALUE)
    });
    redis.set("call", call.expect("a function")).expect("a field");
    lua.globals().set("redis", redis).expect("a global");
    let script = lua.load(SEVEN_GETS).into_function().expect("it compiles");
    criterion.bench_function("script/mlua closures/seven GETs", |bencher| {
        bencher.iter(|| {
            let keys = KEYS.map(|key| lua.create_string(key).expect("a string"));
            let keys = lua.create_sequence_from(keys).expect("a table");
            lua.globals().set("KEYS", keys).expect("a global");
            lua.globals().set("ARGV", lua.create_table().expect("a table")).expect("a global");
            script.call::<i64>(()).expect("it runs")
        });
    });
}

criterion_group!(benches, scripts, closures);
criterion_main!(benches);
