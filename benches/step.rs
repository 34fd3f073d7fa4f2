//! What a command costs in its shard, from arguments to encoded reply, with its share of the tick: GET, SET and INCR, sixteen to a tick as a
//! pipeline brings them. The disk answers at once. Beside them, the standard library's map, which promises nothing.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ringkeep::resp::WireReply;
use ringkeep_shards::command::{Arguments, find};
use ringkeep_shards::ids::ShardId;
use ringkeep_shards::keyspace::{ColdRange, Segments};
use ringkeep_shards::limits::SEGMENT_BYTES_DEFAULT;
use ringkeep_shards::log::{LogConfig, LogIdentity};
use ringkeep_shards::port::{Input, Now, Outputs, Request};
use ringkeep_shards::reply::Protocol;
use ringkeep_shards::script::ScriptLimits;
use ringkeep_shards::{OpenConfig, Shard, ShardConfig, open_lone};
use std::collections::HashMap;
use std::hint::black_box;

const KEYS: usize = 100_000;
const PER_TICK: usize = 16;
const VALUE: &[u8; 64] = b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// No value here is large enough to lie in a segment.
struct NoSegments;

impl Segments for NoSegments {
    fn resident(&self, _: ColdRange) -> Option<&[u8]> {
        None
    }
}

struct Machine {
    shard: Shard,
    outputs: Outputs,
    out: Vec<u8>,
}

impl Machine {
    fn new() -> Self {
        let (segment_bytes, block_bytes) = (SEGMENT_BYTES_DEFAULT, 4096);
        let config = ShardConfig {
            shard: ShardId(0),
            shards: 1,
            databases: 16,
            string_bytes_max: 512 << 20,
            memory_bytes_max: 0,
            warm_bytes_max: 0,
            segment_bytes,
            checkpoint_growth_percent: u32::MAX,
            entropy: 1,
            script: ScriptLimits::default(),
            script_time_limit_ms: 0,
            interrupt: Default::default(),
        };
        let open = OpenConfig {
            identity: LogIdentity { shard: ShardId(0), salt: 1 },
            log: LogConfig { segment_bytes, block_bytes },
            hash_seed: 1,
            large_bytes_min: 16 << 10,
        };
        let opened = open_lone(config, open, &[], &NoSegments).expect("an empty directory opens");
        let mut machine = Machine { shard: opened.shard, outputs: Outputs::default(), out: Vec::new() };
        machine.end_tick();
        assert!(machine.shard.is_serving());
        machine
    }

    fn step(&mut self, input: Input<'_>) {
        let now = Now { unix_ms: 1_700_000_000_000, monotonic_us: 1 };
        self.shard.step(now, input, &NoSegments, &mut self.outputs);
    }

    fn command(&mut self, list: &[&[u8]]) {
        let command = find(list[0]).expect("a command");
        let now = Now { unix_ms: 1_700_000_000_000, monotonic_us: 1 };
        let mut reply = WireReply::new(&mut self.out, Protocol::Resp2);
        let request = Request { command, db: 0, arguments: Arguments::new(list), reply: &mut reply, context: None };
        self.shard.step(now, Input::Request(request), &NoSegments, &mut self.outputs);
    }

    /// Ends the tick and completes what it wrote.
    fn end_tick(&mut self) {
        self.step(Input::EndOfTick);
        loop {
            if let Some(write) = self.outputs.write.take() {
                self.step(Input::Written(write));
            } else if let Some(wanted) = self.outputs.segment_wanted.take() {
                self.step(Input::Segment { segment: wanted.segment, bytes: wanted.bytes });
            } else {
                break;
            }
            self.step(Input::EndOfTick);
        }
        black_box(&self.out);
        self.out.clear();
    }
}

fn names() -> Vec<Vec<u8>> {
    // In an order that no cache foresees.
    (0..KEYS).map(|n| format!("key:{:012}", n * 7919 % KEYS).into_bytes()).collect()
}

fn steps(criterion: &mut Criterion) {
    let names = names();
    let mut group = criterion.benchmark_group("step");
    group.throughput(Throughput::Elements(PER_TICK as u64));
    let mut machine = Machine::new();
    for name in &names {
        machine.command(&[b"set", name, VALUE]);
        machine.end_tick();
    }
    let mut at = 0;
    let mut next = move || {
        at = (at + PER_TICK) % (KEYS - PER_TICK);
        at
    };
    group.bench_function("get", |bencher| {
        bencher.iter(|| {
            let at = next();
            names[at..at + PER_TICK].iter().for_each(|name| machine.command(&[b"get", name]));
            machine.end_tick();
        });
    });
    group.bench_function("set", |bencher| {
        bencher.iter(|| {
            let at = next();
            names[at..at + PER_TICK].iter().for_each(|name| machine.command(&[b"set", name, VALUE]));
            machine.end_tick();
        });
    });
    let mut counters = Machine::new();
    group.bench_function("incr", |bencher| {
        bencher.iter(|| {
            let at = next();
            names[at..at + PER_TICK].iter().for_each(|name| counters.command(&[b"incr", name]));
            counters.end_tick();
        });
    });
    let mut map: HashMap<Vec<u8>, Vec<u8>> = names.iter().map(|name| (name.clone(), VALUE.to_vec())).collect();
    group.bench_function("get/HashMap", |bencher| {
        bencher.iter(|| {
            let at = next();
            names[at..at + PER_TICK].iter().for_each(|name| {
                black_box(map.get(name));
            });
        });
    });
    group.bench_function("set/HashMap", |bencher| {
        bencher.iter(|| {
            let at = next();
            names[at..at + PER_TICK].iter().for_each(|name| {
                black_box(map.insert(name.clone(), VALUE.to_vec()));
            });
        });
    });
    group.finish();
}

criterion_group!(benches, steps);
criterion_main!(benches);
