//! Work for the disk that nobody waits for, limited in bytes per second: segments are made here, ahead of their use.

use crate::runtime::doorbell::Doorbell;
use crate::runtime::files::{NewSegment, make_segment};
use crate::runtime::segment_files::SegmentFiles;
use crossbeam::channel::{Receiver, Sender, unbounded};
use ringkeep_shards::ids::SegmentId;
use std::time::{Duration, Instant};

/// A segment that a shard wants.
pub struct SegmentRequest {
    /// The shard's place on its core.
    pub place: usize,
    /// Where it is to be.
    pub files: SegmentFiles,
    /// The number.
    pub segment: SegmentId,
    /// The size in bytes.
    pub bytes: u64,
    /// Whether the log stands still until it is there: then it is made as fast as the disk can.
    pub urgent: bool,
}

/// A segment that was made, or why not.
pub struct SegmentReply {
    /// The shard's place on its core.
    pub place: usize,
    /// The segment.
    pub result: std::io::Result<NewSegment>,
}

/// Starts a core's background thread, which writes no more than `bytes_per_second`; it ends when its requests' sender is
/// gone.
pub fn start(doorbell: Doorbell, bytes_per_second: u64) -> (Sender<SegmentRequest>, Receiver<SegmentReply>) {
    let (requests, inbox) = unbounded::<SegmentRequest>();
    let (outbox, replies) = unbounded();
    std::thread::Builder::new()
        .name("background".to_owned())
        .spawn(move || {
            for request in inbox {
                let mut pace = Pace::new(if request.urgent { u64::MAX } else { bytes_per_second });
                let SegmentRequest { files, segment, bytes, .. } = &request;
                let result = make_segment(files, *segment, *bytes, &mut |written| pace.wrote(written));
                if outbox.send(SegmentReply { place: request.place, result }).is_err() {
                    break;
                }
                doorbell.ring();
            }
        })
        .expect("a thread can be started");
    (requests, replies)
}

/// Holds a writer to a rate by sleeping.
struct Pace {
    since: Instant,
    bytes: u64,
    bytes_per_second: u64,
}

impl Pace {
    fn new(bytes_per_second: u64) -> Self {
        Pace { since: Instant::now(), bytes: 0, bytes_per_second: bytes_per_second.max(1) }
    }

    fn wrote(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        let due = Duration::from_secs_f64(self.bytes as f64 / self.bytes_per_second as f64);
        if let Some(early) = due.checked_sub(self.since.elapsed()) {
            std::thread::sleep(early);
        }
    }
}
