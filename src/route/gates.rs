//! When a connection's replies may leave.

use std::collections::VecDeque;
use std::ops::Range;

use ringkeep_shards::ids::ShardId;
use ringkeep_shards::lost::{Fate, Lost};
use ringkeep_shards::port;

/// Bytes behind this may leave once the shard has committed a batch and confirmed a fence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gate {
    /// The shard that commits.
    pub shard: ShardId,
    /// Its batch and its fence; every earlier one is committed, or confirmed, before it.
    pub until: port::Gate,
    /// Whether the bytes are replies that each came of one run in this shard. Of others, what was lost here is not the whole truth.
    pub alone: bool,
}

impl Gate {
    /// What becomes of a reply behind the gate when `lost` was lost.
    pub fn fate(&self, lost: &Lost) -> Fate {
        match lost.fate(self.until) {
            Fate::Stands => Fate::Stands,
            fate if self.alone => fate,
            _ => Fate::Unknown,
        }
    }
}

/// Bytes that wait for one gate, counted from the connection's first byte ever.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Gated {
    start: u64,
    end: u64,
    gate: Gate,
}

/// Which of one connection's reply bytes wait for what.
///
/// The bytes themselves are the connection's: it appends replies to a buffer and says here, with [`OutputQueue::mark`], what
/// the bytes since the last mark wait for. Bytes leave in order, so a closed gate holds everything behind it. Bytes that
/// wait for nothing cost nothing here, and neighbours behind the same gate cost as much as one: a pipeline's worth of
/// replies is one entry, kept without an allocation.
///
/// Offsets are relative to the oldest byte that has not left.
#[derive(Debug, Default)]
pub struct OutputQueue {
    /// All but the newest, ordered by start. Bytes with several gates are here several times.
    older: VecDeque<Gated>,
    newest: Option<Gated>,
    /// Bytes that have left.
    left: u64,
    /// Bytes that were marked.
    marked: u64,
}

impl OutputQueue {
    /// Says that the bytes from the last mark up to offset `end` wait for `gate`, or for nothing of their own.
    #[inline]
    pub fn mark(&mut self, end: usize, gate: Option<Gate>) {
        self.mark_all(end, gate.as_slice());
    }

    /// Says that the bytes from the last mark up to offset `end` wait for all of `gates`: the reply of a request that
    /// several shards had a part in.
    #[inline]
    pub fn mark_all(&mut self, end: usize, gates: &[Gate]) {
        let start = self.marked;
        let end = self.left + end as u64;
        assert!(start <= end, "a mark lies before the one before it");
        self.marked = end;
        if start == end {
            return;
        }
        for &gate in gates {
            self.push(Gated { start, end, gate });
        }
    }

    #[inline]
    fn push(&mut self, gated: Gated) {
        match &mut self.newest {
            Some(newest) if newest.gate == gated.gate && newest.end == gated.start => newest.end = gated.end,
            Some(newest) => self.older.push_back(std::mem::replace(newest, gated)),
            none => *none = Some(gated),
        }
    }

    /// How many leading bytes may leave now, where `open` tells up to where each shard's gates are open. Opened gates are
    /// forgotten, so each is asked for once; a closed one ends the search.
    #[inline]
    pub fn releasable(&mut self, open: &impl Fn(ShardId) -> port::Gate) -> usize {
        while let Some(oldest) = self.oldest() {
            if !oldest.gate.until.is_open(open(oldest.gate.shard)) {
                // Of bytes with several gates the first may be open and forgotten: the others start where it did.
                return (oldest.start.max(self.left) - self.left) as usize;
            }
            if self.older.pop_front().is_none() {
                self.newest = None;
            }
        }
        (self.marked - self.left) as usize
    }

    /// Says that the oldest `bytes` have left, or were handed to a send: offsets now count from the byte behind them.
    #[inline]
    pub fn released(&mut self, bytes: usize) {
        self.left += bytes as u64;
        assert!(self.left <= self.marked, "bytes left before they were marked");
        debug_assert!(self.oldest().is_none_or(|oldest| oldest.start >= self.left), "bytes left through a closed gate");
    }

    /// The gate that holds the connection's oldest held bytes: nothing more leaves before it opens.
    #[inline]
    pub fn waits_for(&self) -> Option<Gate> {
        self.oldest().map(|oldest| oldest.gate)
    }

    /// How many bytes are marked and have not left.
    pub fn pending_bytes(&self) -> usize {
        (self.marked - self.left) as usize
    }

    /// How many gates are waited for (`reply_gates_waiting`), neighbours behind the same one counted once.
    pub fn gates_waiting(&self) -> usize {
        self.older.len() + usize::from(self.newest.is_some())
    }

    /// The bytes that must not leave as they are when `shard` has lost something, in order and without overlap, and what becomes
    /// of the replies in them.
    pub fn lost(&self, shard: ShardId, lost: &Lost) -> Vec<(Range<usize>, Fate)> {
        let mut ranges: Vec<(Range<usize>, Fate)> = Vec::new();
        for gated in self.all().filter(|gated| gated.gate.shard == shard) {
            let fate = gated.gate.fate(lost);
            if fate == Fate::Stands {
                continue;
            }
            let (start, end) = ((gated.start - self.left) as usize, (gated.end - self.left) as usize);
            match ranges.last_mut() {
                // A reply that waits for several batches of a shard was several runs.
                Some((last, fates)) if start < last.end => {
                    last.end = last.end.max(end);
                    *fates = Fate::Unknown;
                }
                Some((last, fates)) if start == last.end && *fates == fate => last.end = end,
                _ => ranges.push((start..end, fate)),
            }
        }
        ranges
    }

    /// Says that the connection put `bytes` new bytes in the place of `range`, which wait for `gate` alone. What follows
    /// moves along. For the replies that a lost term takes back; not made to be fast.
    pub fn replace(&mut self, range: Range<usize>, bytes: usize, gate: Option<Gate>) {
        let (start, end) = (self.left + range.start as u64, self.left + range.end as u64);
        assert!(start <= end && end <= self.marked, "replaced bytes are pending");
        let moved = |offset: u64| offset - (end - start) + bytes as u64;
        let mut all: Vec<Gated> = Vec::with_capacity(self.gates_waiting() + 2);
        for gated in self.all() {
            if gated.start < start {
                all.push(Gated { end: gated.end.min(start), ..gated });
            }
            if gated.end > end {
                all.push(Gated { start: moved(gated.start.max(end)), end: moved(gated.end), ..gated });
            }
        }
        if let Some(gate) = gate
            && bytes > 0
        {
            all.push(Gated { start, end: start + bytes as u64, gate });
        }
        all.sort_by_key(|gated| gated.start);
        self.marked = moved(self.marked);
        self.newest = None;
        self.older.clear();
        all.into_iter().for_each(|gated| self.push(gated));
    }

    #[inline]
    fn oldest(&self) -> Option<Gated> {
        self.older.front().copied().or(self.newest)
    }

    fn all(&self) -> impl Iterator<Item = Gated> + '_ {
        self.older.iter().copied().chain(self.newest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use ringkeep_shards::ids::Batch;

    fn gate(shard: u16, batch: u64) -> Gate {
        Gate { shard: ShardId(shard), until: port::Gate { batch: Batch(batch), fence: 0 }, alone: true }
    }

    fn committed(batches: &[u64]) -> impl Fn(ShardId) -> port::Gate {
        let batches = batches.to_vec();
        move |shard| port::Gate { batch: Batch(batches[usize::from(shard.0)]), fence: 0 }
    }

    /// The batches of a term from `first` on were proposed, and are lost.
    fn lost_from(first: u64) -> Lost {
        let last = port::Gate { batch: Batch(u64::MAX), fence: u64::MAX };
        Lost { kept: port::Gate { batch: Batch(first - 1), fence: 0 }, proposed: last.batch, last }
    }

    #[test]
    fn ungated_bytes_leave_at_once_and_cost_nothing() {
        let mut queue = OutputQueue::default();
        queue.mark(10, None);
        queue.mark(20, None);
        assert_eq!((queue.releasable(&committed(&[0])), queue.gates_waiting()), (20, 0));
        queue.released(20);
        assert_eq!((queue.pending_bytes(), queue.older.capacity()), (0, 0));
    }

    #[test]
    fn a_pipeline_behind_one_gate_is_one_entry_without_an_allocation() {
        let mut queue = OutputQueue::default();
        queue.mark(3, None);
        for end in 4..100 {
            queue.mark(end, Some(gate(0, 7)));
        }
        assert_eq!((queue.gates_waiting(), queue.older.capacity()), (1, 0));
        assert_eq!(queue.releasable(&committed(&[6])), 3);
        assert_eq!(queue.waits_for(), Some(gate(0, 7)));
        assert_eq!(queue.releasable(&committed(&[7])), 99);
        assert_eq!(queue.waits_for(), None);
    }

    #[test]
    fn a_closed_gate_holds_what_is_behind_it() {
        let mut queue = OutputQueue::default();
        queue.mark(5, Some(gate(0, 1)));
        queue.mark(8, Some(gate(1, 9)));
        queue.mark(12, None);
        assert_eq!(queue.releasable(&committed(&[0, 9])), 0);
        assert_eq!(queue.releasable(&committed(&[1, 8])), 5);
        queue.released(5);
        assert_eq!(queue.releasable(&committed(&[1, 8])), 0);
        assert_eq!(queue.releasable(&committed(&[1, 9])), 7);
    }

    #[test]
    fn bytes_with_several_gates_wait_for_all() {
        let mut queue = OutputQueue::default();
        queue.mark(4, None);
        queue.mark_all(9, &[gate(0, 3), gate(1, 5)]);
        for (batches, wanted) in [([0, 5], 4), ([3, 4], 4), ([3, 5], 9)] {
            assert_eq!(queue.releasable(&committed(&batches)), wanted);
        }
    }

    #[test]
    fn a_lost_term_names_its_bytes_and_they_are_replaced() {
        let mut queue = OutputQueue::default();
        queue.mark(10, Some(gate(0, 1)));
        queue.mark(20, Some(gate(0, 2)));
        queue.mark(25, None);
        queue.mark_all(30, &[gate(1, 1), gate(0, 3)]);
        queue.mark(40, Some(gate(1, 2)));
        assert_eq!(queue.releasable(&committed(&[1, 0])), 10);
        queue.released(10);
        assert_eq!(queue.lost(ShardId(0), &lost_from(2)), [(0..10, Fate::Unknown), (15..20, Fate::Unknown)]);
        assert_eq!(queue.lost(ShardId(1), &lost_from(3)), []);
        // From the back, so that the ranges before stay right.
        queue.replace(15..20, 2, None);
        queue.replace(0..10, 1, Some(gate(0, 4)));
        assert_eq!(queue.pending_bytes(), 18);
        assert_eq!(queue.releasable(&committed(&[3, 0])), 0);
        assert_eq!(queue.releasable(&committed(&[4, 0])), 8);
        assert_eq!(queue.releasable(&committed(&[4, 2])), 18);
    }

    #[test]
    fn a_read_waits_for_its_fence_too() {
        let mut queue = OutputQueue::default();
        let open = |batch, fence| move |_: ShardId| port::Gate { batch: Batch(batch), fence };
        let read = Gate { until: port::Gate { batch: Batch(3), fence: 2 }, ..gate(0, 3) };
        queue.mark(5, Some(read));
        for (batch, fence, wanted) in [(3, 1, 0), (2, 2, 0), (3, 2, 5)] {
            assert_eq!(queue.releasable(&open(batch, fence)), wanted);
        }
    }

    #[test]
    fn replies_that_are_lost_are_told_apart() {
        let mut queue = OutputQueue::default();
        let read = Gate { until: port::Gate { batch: Batch(2), fence: 9 }, ..gate(0, 2) };
        queue.mark(10, Some(gate(0, 2)));
        queue.mark(20, Some(read));
        queue.mark(30, Some(gate(0, 3)));
        queue.mark(40, Some(Gate { alone: false, ..gate(0, 3) }));
        queue.mark_all(50, &[Gate { alone: false, ..gate(1, 1) }, Gate { alone: false, ..read }]);
        let lost = Lost { proposed: Batch(2), ..lost_from(2) };
        let wanted = [(0..10, Fate::Unknown), (10..20, Fate::Again), (20..30, Fate::Refused), (30..50, Fate::Unknown)];
        assert_eq!(queue.lost(ShardId(0), &lost), wanted);
    }

    #[test]
    #[should_panic(expected = "before they were marked")]
    fn unmarked_bytes_do_not_leave() {
        let mut queue = OutputQueue::default();
        queue.mark(1, None);
        queue.released(2);
    }

    /// One byte of the model: what it waits for.
    type Byte = Vec<Gate>;

    fn model_releasable(bytes: &[Byte], batches: &[u64]) -> usize {
        let open = |gate: &Gate| batches[usize::from(gate.shard.0)] >= gate.until.batch.0;
        bytes.iter().take_while(|gates| gates.iter().all(open)).count()
    }

    #[derive(Clone, Debug)]
    enum Event {
        Reply(usize, Vec<(u16, u64)>),
        Commit(u16, u64),
        Release(usize),
        LoseTerm(u16, u64, usize, Option<(u16, u64)>),
    }

    fn event() -> impl Strategy<Value = Event> {
        let gate = || (0..3u16, 0..12u64);
        prop_oneof![
            4 => (0..6usize, proptest::collection::vec(gate(), 0..3)).prop_map(|(bytes, gates)| Event::Reply(bytes, gates)),
            2 => gate().prop_map(|(shard, batch)| Event::Commit(shard, batch)),
            2 => (0..8usize).prop_map(Event::Release),
            1 => (gate(), 0..4usize, proptest::option::of(gate())).prop_map(|((shard, batch), bytes, new)| Event::LoseTerm(shard, batch, bytes, new)),
        ]
    }

    proptest! {
        #[test]
        fn agrees_with_a_byte_by_byte_model(events in proptest::collection::vec(event(), 0..60)) {
            let (mut queue, mut bytes, mut batches) = (OutputQueue::default(), Vec::<Byte>::new(), [0u64; 3]);
            for event in events {
                match event {
                    Event::Reply(count, gates) => {
                        let gates: Vec<Gate> = gates.into_iter().map(|(shard, batch)| gate(shard, batch)).collect();
                        bytes.extend(std::iter::repeat_n(gates.clone(), count));
                        queue.mark_all(bytes.len(), &gates);
                    }
                    Event::Commit(shard, batch) => {
                        let held = &mut batches[usize::from(shard)];
                        *held = batch.max(*held);
                    }
                    Event::Release(most) => {
                        let count = queue.releasable(&committed(&batches)).min(most);
                        bytes.drain(..count);
                        queue.released(count);
                    }
                    Event::LoseTerm(shard, batch, count, new) => {
                        // Of a lost term only what is not committed is asked for.
                        let first = batch.max(batches[usize::from(shard)] + 1);
                        let hit = |byte: &Byte| byte.iter().any(|gate| gate.shard.0 == shard && gate.until.batch.0 >= first);
                        let ranges = queue.lost(ShardId(shard), &lost_from(first));
                        let ranges: Vec<Range<usize>> = ranges.into_iter().map(|(range, _)| range).collect();
                        for (at, byte) in bytes.iter().enumerate() {
                            prop_assert_eq!(hit(byte), ranges.iter().any(|range| range.contains(&at)));
                        }
                        let new = new.map(|(shard, batch)| gate(shard, batch));
                        for range in ranges.into_iter().rev() {
                            queue.replace(range.clone(), count, new);
                            bytes.splice(range, std::iter::repeat_n(Vec::from_iter(new), count));
                        }
                    }
                }
                prop_assert_eq!(queue.pending_bytes(), bytes.len());
                prop_assert_eq!(queue.releasable(&committed(&batches)), model_releasable(&bytes, &batches));
            }
        }
    }
}
