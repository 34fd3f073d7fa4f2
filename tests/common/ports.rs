//! Free ports for servers of tests that run at the same time, in this process and in others.

use std::fs::File;
use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};

/// Ports of one block: a server's own, and one for each of its shards after it.
pub const PORTS_PER_BLOCK: u16 = 16;
/// Below the kernel's range for outgoing connections (32768 and up), so that no client's socket sits on them.
const FIRST_PORT: u16 = 11_008;
const BLOCKS: u32 = 1_280;
const _: () = assert!(FIRST_PORT as u32 + BLOCKS * PORTS_PER_BLOCK as u32 <= 32_768);

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Sixteen neighbouring ports that nobody listens on, reserved against other tests until this is dropped.
#[derive(Debug)]
pub struct PortBlock {
    first: u16,
    _lock: File,
}

impl PortBlock {
    /// Finds a block. A file lock keeps other test processes off it, a trial bind other programs.
    pub fn reserve() -> PortBlock {
        let locks = std::env::temp_dir().join("ringkeep-test-ports");
        std::fs::create_dir_all(&locks).expect("make the directory of port locks");
        let start = std::process::id().wrapping_mul(37);
        for _ in 0..BLOCKS {
            let block = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % BLOCKS;
            let first = FIRST_PORT + block as u16 * PORTS_PER_BLOCK;
            let lock = File::create(locks.join(first.to_string())).expect("open a port lock");
            if lock.try_lock().is_err() {
                continue;
            }
            if (first..first + PORTS_PER_BLOCK).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()) {
                return PortBlock { first, _lock: lock };
            }
        }
        panic!("no block of {PORTS_PER_BLOCK} free ports from {FIRST_PORT} on");
    }

    /// The block's first port: the server's own.
    pub fn first(&self) -> u16 {
        self.first
    }
}
