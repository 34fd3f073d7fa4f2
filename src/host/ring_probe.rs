//! Whether this kernel gives us the rings that the runtime needs. Nothing of the probe outlives it.

use std::io;

use io_uring::IoUring;

/// What the kernel refused, and how.
#[derive(Debug)]
pub(super) enum RingProblem {
    /// Any ring at all.
    Ring(io::Error),
    /// `SINGLE_ISSUER | DEFER_TASKRUN`.
    Flags(io::Error),
    /// A ring of provided buffers.
    BufferRing(io::Error),
}

/// The memory of a small ring of provided buffers, which must start on a page.
#[repr(C, align(4096))]
struct Page([u8; 4_096]);

/// 16 bytes an entry: far less than a page.
const BUFFER_RING_ENTRIES: u16 = 8;

/// Makes a ring like the runtime's and lets it go again.
pub(super) fn probe() -> Result<(), RingProblem> {
    IoUring::new(8).map_err(RingProblem::Ring)?;
    let ring: IoUring =
        IoUring::builder().setup_single_issuer().setup_defer_taskrun().build(8).map_err(RingProblem::Flags)?;
    let page = Box::new(Page([0; 4_096]));
    let submitter = ring.submitter();
    // SAFETY: the page is aligned, large enough for the entries, and freed only after the group is taken back and the ring is
    // closed; no receive is ever submitted, so that the kernel hands out no buffer of it.
    unsafe { submitter.register_buf_ring_with_flags(page.0.as_ptr() as u64, BUFFER_RING_ENTRIES, 0, 0) }
        .map_err(RingProblem::BufferRing)?;
    submitter.unregister_buf_ring(0).map_err(RingProblem::BufferRing)?;
    drop(ring);
    Ok(())
}
