//! The wire room: requests decoded beside `redis-protocol`'s decoder, replies encoded, a large value received.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ringkeep::resp::{Arguments, Decoded, Decoder, WireReply};
use ringkeep_shards::ids::{Batch, ShardId};
use ringkeep_shards::port;
use ringkeep_shards::reply::{Protocol, ReplySink};
use std::hint::black_box;

fn request(arguments: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut reply = WireReply::new(&mut out, Protocol::Resp2);
    reply.array(arguments.len());
    arguments.iter().for_each(|argument| reply.bulk(argument));
    out
}

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    let value = [b'v'; 64];
    let set = request(&[b"SET", b"key:000012345678", &value]);
    let get = request(&[b"GET", b"key:000012345678"]);
    for (name, bytes) in [("set", &set), ("get", &get), ("inline", &b"GET key:000012345678\r\n".to_vec())] {
        group.bench_function(format!("{name}/spans"), |bencher| {
            let mut decoder = Decoder::default();
            bencher.iter(|| assert_eq!(decoder.next(black_box(bytes)), Decoded::Request { consumed: bytes.len() }));
        });
        group.bench_function(format!("{name}/arguments"), |bencher| {
            let mut decoder = Decoder::default();
            bencher.iter(|| {
                let input = black_box(&bytes[..]);
                assert_eq!(decoder.next(input), Decoded::Request { consumed: bytes.len() });
                let mut arguments = Arguments::new();
                decoder.arguments(input, &mut arguments);
                black_box(&arguments);
            });
        });
    }
    for (name, bytes) in [("set", &set), ("get", &get)] {
        group.bench_function(format!("{name}/redis-protocol"), |bencher| {
            bencher.iter(|| redis_protocol::resp2::decode::decode_range(black_box(bytes)).unwrap().unwrap());
        });
    }
    let pipeline = set.repeat(16);
    group.throughput(Throughput::Elements(16));
    group.bench_function("pipeline of 16 sets", |bencher| {
        let mut decoder = Decoder::default();
        bencher.iter(|| {
            let mut input = black_box(&pipeline[..]);
            while let Decoded::Request { consumed } = decoder.next(input) {
                let mut arguments = Arguments::new();
                decoder.arguments(input, &mut arguments);
                black_box(&arguments);
                input = &input[consumed..];
            }
            assert!(input.is_empty());
        });
    });
    group.finish();
}

fn receive_large(criterion: &mut Criterion) {
    // Unoptimized, it is only run to see that it still works.
    const VALUE_BYTES: usize = if cfg!(debug_assertions) { 4 } else { 256 } * 1024 * 1024;
    let mut group = criterion.benchmark_group("receive 256 MiB");
    group.sample_size(10).throughput(Throughput::Bytes(VALUE_BYTES as u64));
    let head = format!("*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n${VALUE_BYTES}\r\n");
    let chunk = vec![b'v'; 64 * 1024];
    group.bench_function("in chunks of 64 KiB", |bencher| {
        bencher.iter_batched(
            Decoder::default,
            |mut decoder| {
                let mut decoded = decoder.next(head.as_bytes());
                while let Decoded::Large { remaining, .. } = decoded {
                    decoded = decoder.next(&chunk[..remaining.min(chunk.len())]);
                }
                assert!(matches!(decoded, Decoded::Incomplete { need: 2 }));
                assert_eq!(decoder.take_large(2).map(|value| value.len()), Some(VALUE_BYTES));
            },
            BatchSize::PerIteration,
        );
    });
    group.bench_function("one memcpy of it", |bencher| {
        let value = vec![b'v'; VALUE_BYTES];
        bencher.iter_with_large_drop(|| black_box(&value).clone());
    });
    group.finish();
}

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode");
    let value = [b'v'; 64];
    let mut bench = |name: &str, write: &dyn Fn(&mut WireReply<'_>)| {
        group.bench_function(name, |bencher| {
            let mut out = Vec::with_capacity(64 * 1024);
            bencher.iter(|| {
                out.clear();
                write(&mut WireReply::new(black_box(&mut out), Protocol::Resp2));
            });
        });
    };
    bench("bulk of 64 bytes", &|reply| reply.bulk(black_box(&value)));
    bench("small integer", &|reply| reply.integer(black_box(1)));
    bench("large integer", &|reply| reply.integer(black_box(1234567890123)));
    bench("ok", &|reply| reply.ok());
    bench("whole double", &|reply| reply.double(black_box(42.0)));
    bench("double", &|reply| reply.double(black_box(2.71953)));
    group.bench_function("bulk of 64 bytes/redis-protocol", |bencher| {
        let frame = redis_protocol::resp2::types::OwnedFrame::BulkString(value.to_vec());
        let mut out = vec![0; 64 * 1024];
        bencher.iter(|| redis_protocol::resp2::encode::encode(black_box(&mut out), &frame, false).unwrap());
    });
    group.finish();
}

fn gates(criterion: &mut Criterion) {
    use ringkeep::route::{Gate, OutputQueue};
    criterion.bench_function("gates/16 replies behind one gate", |bencher| {
        let mut queue = OutputQueue::default();
        let mut batch = 0;
        bencher.iter(|| {
            batch += 1;
            let until = port::Gate { batch: Batch(batch), fence: 0 };
            let gate = Gate { shard: ShardId(0), until, alone: true };
            for reply in 1..=16 {
                queue.mark(reply * 5, Some(gate));
            }
            assert_eq!(queue.releasable(&|_| port::Gate { batch: Batch(batch - 1), fence: 0 }), 0);
            let open = queue.releasable(&|_| until);
            queue.released(black_box(open));
        });
    });
}

criterion_group!(benches, decode, receive_large, encode, gates);
criterion_main!(benches);
