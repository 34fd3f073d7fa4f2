//! Core to core: one bounded queue for each ordered pair of cores, and the doorbells.
//!
//! ```text
//! core a                                                      core b
//! send -> queue a->b (bounded, without locks) -- receive ->
//!         (full: kept here, in order)
//! flush: mailbox of b |= bit a, then b's doorbell if b waits
//! ```

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam::queue::ArrayQueue;
use ringkeep_shards::ids::CoreId;

use super::doorbell::Doorbell;

/// Messages that a queue between two cores holds. What is more waits at its sender.
pub const MESH_QUEUE_MESSAGES: usize = 1024;

const BITS: usize = u64::BITS as usize;

/// One core's end of the mesh.
pub struct Mesh<M> {
    core: CoreId,
    peers: Vec<Peer<M>>,
    mailbox: Arc<Mailbox>,
    /// Cores that got messages since the last flush; each once.
    touched: Vec<u16>,
    counters: MeshCounters,
}

struct Peer<M> {
    outbound: Arc<ArrayQueue<M>>,
    inbound: Arc<ArrayQueue<M>>,
    /// What found its queue full, oldest first. Bounded by what the callers may have outstanding.
    overflow: VecDeque<M>,
    touched: bool,
    mailbox: Arc<Mailbox>,
    doorbell: Doorbell,
}

/// Which cores have sent something since the owner last looked: a bit for each.
struct Mailbox {
    words: Box<[AtomicU64]>,
}

/// What one core's end of the mesh has done.
#[derive(Clone, Copy, Default, Debug)]
pub struct MeshCounters {
    /// Messages sent to other cores.
    pub sent: u64,
    /// Messages taken from other cores.
    pub received: u64,
    /// Doorbells rung because the other core waited: a system call each.
    pub bells: u64,
}

impl<M: Send> Mesh<M> {
    /// The ends of a mesh between as many cores as there are doorbells, in the order of the cores.
    pub fn connect(doorbells: &[Doorbell]) -> Vec<Self> {
        Self::connect_with(doorbells, MESH_QUEUE_MESSAGES)
    }

    fn connect_with(doorbells: &[Doorbell], queue_messages: usize) -> Vec<Self> {
        let count = doorbells.len();
        assert!(
            count <= usize::from(u16::MAX),
            "cores are numbered by 16 bits"
        );
        let words = || {
            (0..count.div_ceil(BITS))
                .map(|_| AtomicU64::new(0))
                .collect()
        };
        let mailboxes: Vec<_> = (0..count)
            .map(|_| Arc::new(Mailbox { words: words() }))
            .collect();
        // A core's queue to itself is never used; it keeps the table square.
        let queue =
            |from, to| Arc::new(ArrayQueue::new(if from == to { 1 } else { queue_messages }));
        let queues: Vec<Vec<_>> = (0..count)
            .map(|from| (0..count).map(|to| queue(from, to)).collect())
            .collect();
        let peer = |core: usize, other: usize| Peer {
            outbound: Arc::clone(&queues[core][other]),
            inbound: Arc::clone(&queues[other][core]),
            overflow: VecDeque::new(),
            touched: false,
            mailbox: Arc::clone(&mailboxes[other]),
            doorbell: doorbells[other].clone(),
        };
        let end = |core: usize| Self {
            core: CoreId(core as u16),
            peers: (0..count).map(|other| peer(core, other)).collect(),
            mailbox: Arc::clone(&mailboxes[core]),
            touched: Vec::with_capacity(count),
            counters: MeshCounters::default(),
        };
        (0..count).map(end).collect()
    }

    /// Whose end this is.
    pub fn core(&self) -> CoreId {
        self.core
    }

    /// How many cores the mesh joins, this one included.
    pub fn cores(&self) -> usize {
        self.peers.len()
    }

    /// What was done so far.
    pub fn counters(&self) -> MeshCounters {
        self.counters
    }

    /// Puts a message on its way; messages to one core arrive in order. Never blocks. The receiver is told at the next
    /// [`Self::flush`].
    ///
    /// # Panics
    /// When the message is to the core itself.
    pub fn send(&mut self, to: CoreId, message: M) {
        assert!(to != self.core, "a core does its own work in place");
        self.counters.sent += 1;
        let peer = &mut self.peers[usize::from(to.0)];
        if peer.overflow.is_empty() {
            if let Err(message) = peer.outbound.push(message) {
                peer.overflow.push_back(message);
            }
        } else {
            peer.overflow.push_back(message);
        }
        if !peer.touched {
            peer.touched = true;
            self.touched.push(to.0);
        }
    }

    /// Tells the receivers of what was sent, and wakes those that wait. Call it at the end of every turn. Returns whether
    /// something is left that its queue had no room for: do not wait then, but flush again after the next turn.
    pub fn flush(&mut self) -> bool {
        let (word, bit) = (
            usize::from(self.core.0) / BITS,
            1 << (usize::from(self.core.0) % BITS),
        );
        let (peers, counters) = (&mut self.peers, &mut self.counters);
        self.touched.retain(|&to| {
            let peer = &mut peers[usize::from(to)];
            while let Some(message) = peer.overflow.pop_front() {
                if let Err(message) = peer.outbound.push(message) {
                    peer.overflow.push_front(message);
                    break;
                }
            }
            // After the messages, and before the look at the doorbell: see `Doorbell`.
            peer.mailbox.words[word].fetch_or(bit, Ordering::SeqCst);
            counters.bells += u64::from(peer.doorbell.ring());
            peer.touched = !peer.overflow.is_empty();
            peer.touched
        });
        !self.touched.is_empty()
    }

    /// Whether another core has sent something that was not received. Ask it before waiting.
    pub fn has_inbound(&self) -> bool {
        self.mailbox
            .words
            .iter()
            .any(|word| word.load(Ordering::SeqCst) != 0)
    }

    /// Takes messages from the other cores, up to a queue's content from each, so that a turn ends. What is left is still
    /// announced by [`Self::has_inbound`].
    pub fn receive(&mut self, mut each: impl FnMut(CoreId, M)) {
        for index in 0..self.mailbox.words.len() {
            let word = &self.mailbox.words[index];
            if word.load(Ordering::Relaxed) == 0 {
                continue;
            }
            // The bits go before the messages do: a message that comes later sets its bit again.
            let mut senders = word.swap(0, Ordering::SeqCst);
            while senders != 0 {
                let bit = senders.trailing_zeros() as usize;
                senders &= senders - 1;
                let from = index * BITS + bit;
                let inbound = &self.peers[from].inbound;
                for _ in 0..inbound.capacity() {
                    let Some(message) = inbound.pop() else { break };
                    self.counters.received += 1;
                    each(CoreId(from as u16), message);
                }
                if !inbound.is_empty() {
                    self.mailbox.words[index].fetch_or(1 << bit, Ordering::SeqCst);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
