//! The log without a disk: laying out writes, and reading a log back.

use ringkeep_shards::limits::SEGMENT_BYTES_DEFAULT;
use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ringkeep_shards::ids::{LogIndex, SegmentId, ShardId, Term, Timestamp};
use ringkeep_shards::log::{
    LogConfig, LogEvent, LogIdentity, LogStart, LogWriter, PendingRecord, RecordKind, ResumePoint, recover,
};

const IDENTITY: LogIdentity = LogIdentity { shard: ShardId(0), salt: 1 };
const BODY_BYTES: usize = 100;
const RECOVERED_RECORDS: u64 = 100_000;

/// A log of one segment that is used again and again: what it holds does not matter to the writer.
struct Log {
    writer: LogWriter,
    segment: u64,
    index: u64,
}

impl Log {
    fn new() -> Self {
        let config = LogConfig { segment_bytes: SEGMENT_BYTES_DEFAULT, block_bytes: 4096 };
        let writer = LogWriter::new(IDENTITY, config, ResumePoint::empty(&LogStart::empty(SegmentId(1))));
        Self { writer, segment: 0, index: 0 }
    }

    fn records(&mut self, count: usize, body: &Bytes) -> Vec<PendingRecord> {
        let record = |index| PendingRecord {
            kind: RecordKind::Entry,
            flags: 0,
            term: Term(1),
            index: LogIndex(index),
            commit_ts: Timestamp(index),
            body: body.clone(),
        };
        let first = self.index + 1;
        self.index += count as u64;
        (first..=self.index).map(record).collect()
    }

    /// Plans and completes one write, and lets a look at it before.
    fn append(&mut self, records: &[PendingRecord], look: impl FnOnce(&[u8], u64)) {
        let write = loop {
            match self.writer.plan(records) {
                Ok(write) => break write,
                Err(missing) => {
                    self.segment += 1;
                    self.writer.add_segment(SegmentId(self.segment), missing.bytes_needed);
                }
            }
        };
        look(&write.buffer, write.offset);
        self.writer.completed(write);
    }
}

fn append(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("log/append");
    for (count, bytes) in [(1, BODY_BYTES), (1, 200), (50, BODY_BYTES), (800, BODY_BYTES)] {
        let mut log = Log::new();
        let body = Bytes::from(vec![7; bytes]);
        // The same indexes again and again: as Raft's overwriting of a suffix, which costs the writer nothing extra.
        let records = log.records(count, &body);
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(BenchmarkId::new(format!("{count} records"), format!("{bytes} bytes")), |bencher| {
            bencher.iter(|| log.append(black_box(&records), |buffer, _| _ = black_box(buffer.as_ptr())));
        });
    }
    group.finish();
}

fn recovery(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("log/recovery");
    group.measurement_time(Duration::from_secs(5)).sample_size(20);
    for per_write in [1, 100] {
        let mut log = Log::new();
        let body = Bytes::from(vec![7; BODY_BYTES]);
        let mut segments: Vec<Vec<u8>> = Vec::new();
        for _ in 0..RECOVERED_RECORDS / per_write {
            let records = log.records(per_write as usize, &body);
            log.append(&records, |buffer, offset| {
                if offset == 0 {
                    segments.push(vec![0; SEGMENT_BYTES_DEFAULT as usize]);
                }
                let segment = segments.last_mut().expect("the first write starts one");
                segment[offset as usize..][..buffer.len()].copy_from_slice(buffer);
            });
        }
        let slices: Vec<(SegmentId, &[u8])> =
            segments.iter().zip(1..).map(|(bytes, id)| (SegmentId(id), bytes.as_slice())).collect();
        group.throughput(Throughput::Elements(RECOVERED_RECORDS));
        group.bench_function(BenchmarkId::new("records in writes of", per_write), |bencher| {
            bencher.iter(|| {
                let mut bytes = 0;
                let recovered = recover::<()>(IDENTITY, &slices, &LogStart::empty(SegmentId(1)), &mut |event| {
                    if let LogEvent::Entry(view) = event {
                        bytes += view.body.len();
                    }
                    Ok(())
                });
                assert_eq!(recovered.expect("a good log").last_index, LogIndex(RECOVERED_RECORDS));
                assert_eq!(bytes, RECOVERED_RECORDS as usize * BODY_BYTES);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, append, recovery);
criterion_main!(benches);
