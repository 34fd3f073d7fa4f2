//! Work for the disk that nobody waits for: segments are made here, ahead of their use.

use crate::runtime::doorbell::Doorbell;
use crate::runtime::files::make_segment;
use crate::runtime::reactor::{SegmentReply, SegmentRequest};
use crossbeam::channel::{Receiver, Sender, unbounded};

/// Starts a core's background thread; it ends when its requests' sender is gone.
pub fn start(doorbell: Doorbell) -> (Sender<SegmentRequest>, Receiver<SegmentReply>) {
    let (requests, inbox) = unbounded::<SegmentRequest>();
    let (outbox, replies) = unbounded();
    std::thread::Builder::new()
        .name("background".to_owned())
        .spawn(move || {
            for request in inbox {
                let result = make_segment(&request.directory, request.segment, request.bytes);
                if outbox.send(SegmentReply { place: request.place, result }).is_err() {
                    break;
                }
                doorbell.ring();
            }
        })
        .expect("a thread can be started");
    (requests, replies)
}
