//! Calls of commands on one core: how many, how long, how many failed.
//!
//! Counts are exact. Times are as exact as a clock that is read seldom allows: reading it for every GET would cost more than a
//! hundredth of it. A command that can be slow (its row is not FAST, it runs elsewhere, its reply is large) gets readings of its own,
//! good to tens of nanoseconds. Quick commands share one reading with all quick commands of the same bytes received from a
//! connection: each gets an equal part of that time, in which decoding and the bookkeeping of the socket are too. They are not in the
//! slow log, unless `slowlog-log-slower-than` is below a millisecond: then every command gets readings of its own.
//! What waits for other shards has the time that these worked for it; what asks the whole node, the time until its answer. A
//! transaction's commands get readings of their own, quick or not.

use crate::observe::laps::Laps;
use hdrhistogram::Histogram;
use ringkeep_shards::command::{CallCount, Command, Run, error_code, flag};
use ringkeep_shards::limits::ERROR_CODES_MAX;
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::time::Instant;

/// The longest time that the histograms tell apart, in nanoseconds.
pub(super) const HISTOGRAM_NS_MAX: u64 = 1_000_000_000;
/// Replies from this size on are timed on their own, in bytes.
pub const LARGE_REPLY_BYTES_MIN: usize = 16 << 10;
const SLOTS: usize = 1024;
const NONE: u16 = u16::MAX;

/// How a command ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum CallEnd {
    /// With a reply.
    #[default]
    Done,
    /// With an error.
    Failed,
    /// With an error before it ran.
    Rejected,
    /// With an error for want of memory: before it ran, or, if it is a script, in what it called.
    Denied,
}

impl CallEnd {
    /// What that means for a command.
    pub fn of(self, command: &Command) -> Self {
        match self {
            CallEnd::Denied if matches!(command.run, Run::Script) => CallEnd::Failed,
            CallEnd::Denied => CallEnd::Rejected,
            end => end,
        }
    }
}

/// What is known of one command's calls.
#[derive(Clone, Debug)]
pub struct CallStats {
    /// The command's name.
    pub name: &'static str,
    /// Times that it ran.
    pub calls: u64,
    /// Time that these took, in nanoseconds.
    pub ns: u64,
    /// Times that it was refused before it ran.
    pub rejected: u64,
    /// Times that it ran and answered with an error.
    pub failed: u64,
    /// Times in nanoseconds; none while it was never timed.
    pub histogram: Option<Box<Histogram<u64>>>,
}

impl CallStats {
    /// Calls that scripts made: their time is the script's.
    pub(super) fn of_script(count: &CallCount) -> Self {
        let CallCount { command, calls, failed, refused } = *count;
        CallStats { name: command.name, calls, ns: 0, rejected: refused, failed, histogram: None }
    }
}

/// A row of the book.
struct Row {
    command: &'static Command,
    is_quick: bool,
    stats: CallStats,
}

/// A row, in the book that gave it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RowId(u16);

/// The calls of one core.
pub struct CallBook {
    origin: Instant,
    slots: Box<[u16; SLOTS]>,
    rows: Vec<Row>,
    last: u16,
    /// The last reading, in nanoseconds since the origin.
    at_ns: u64,
    /// Whether something that is no command's happened since the last reading.
    stale: bool,
    /// Quick calls since the last reading.
    pending: SmallVec<[(u16, u32); 4]>,
    pending_count: u32,
    errors: BTreeMap<String, u64>,
    error_count: u64,
}

impl CallBook {
    /// An empty book; readings are of a clock that began at `origin`.
    pub fn new(origin: Instant) -> Self {
        CallBook {
            origin,
            slots: Box::new([NONE; SLOTS]),
            rows: Vec::new(),
            last: 0,
            at_ns: 0,
            stale: true,
            pending: SmallVec::new(),
            pending_count: 0,
            errors: BTreeMap::new(),
            error_count: 0,
        }
    }

    /// Forgets everything (CONFIG RESETSTAT).
    pub fn reset(&mut self) {
        *self = CallBook { at_ns: self.at_ns, ..CallBook::new(self.origin) };
    }

    /// The row of a command.
    #[inline]
    pub fn row(&mut self, command: &'static Command) -> RowId {
        match self.rows.get(usize::from(self.last)) {
            Some(row) if std::ptr::eq(row.command, command) => {}
            _ => self.last = self.find(command),
        }
        RowId(self.last)
    }

    fn find(&mut self, command: &'static Command) -> u16 {
        let mut slot = (std::ptr::from_ref(command).addr() >> 3).wrapping_mul(0x9e37_79b9) >> 7 & (SLOTS - 1);
        loop {
            match self.slots[slot] {
                NONE => break,
                place if std::ptr::eq(self.rows[usize::from(place)].command, command) => return place,
                _ => slot = (slot + 1) & (SLOTS - 1),
            }
        }
        let place = self.rows.len() as u16;
        assert!(usize::from(place) < SLOTS / 2, "there are fewer commands than that");
        self.slots[slot] = place;
        let stats = CallStats { name: command.name, calls: 0, ns: 0, rejected: 0, failed: 0, histogram: None };
        self.rows.push(Row { command, is_quick: is_quick(command), stats });
        place
    }

    /// Whether calls of this row share readings.
    #[inline]
    pub fn is_quick(&self, row: RowId) -> bool {
        self.rows[usize::from(row.0)].is_quick
    }

    /// The clock was read for another reason, in nanoseconds since the origin.
    #[inline]
    pub fn read_elsewhere(&mut self, now_ns: u64) {
        debug_assert!(self.pending_count == 0, "a batch ends with a reading");
        self.at_ns = self.at_ns.max(now_ns);
        self.stale = false;
    }

    /// Something happened that is no command's.
    #[inline]
    pub fn interrupted(&mut self) {
        self.stale = true;
    }

    /// Commands of some bytes of one connection follow.
    #[inline]
    pub fn begin_batch(&mut self) {
        if self.stale {
            self.lap();
        }
    }

    /// They are done.
    #[inline]
    pub fn end_batch(&mut self) {
        if self.pending_count > 0 {
            self.lap();
        }
    }

    /// A quick call is done.
    #[inline]
    pub fn quick(&mut self, row: RowId, end: CallEnd) {
        if self.count(row, end) {
            match self.pending.last_mut() {
                Some((last, count)) if *last == row.0 => *count += 1,
                _ => self.pending.push((row.0, 1)),
            }
            self.pending_count += 1;
        }
    }

    /// A call that gets readings of its own follows, or work for another core.
    #[inline]
    pub fn begin(&mut self) {
        if self.pending_count > 0 || self.stale {
            self.lap();
        }
    }

    /// It is done: how long it took, in nanoseconds.
    pub fn end(&mut self) -> u64 {
        self.lap()
    }

    /// When the last reading was, in nanoseconds since the origin.
    pub fn at_ns(&self) -> u64 {
        self.at_ns
    }

    /// The times of calls that begin at the last reading, after others that took `ns`.
    pub fn laps(&self, ns: Vec<u64>) -> Laps {
        Laps::new(self.origin, self.at_ns, ns)
    }

    /// Notes a call that took so long.
    pub fn timed(&mut self, row: RowId, end: CallEnd, ns: u64) {
        if self.count(row, end) {
            self.took(row.0, ns, 1);
        }
    }

    #[inline]
    fn count(&mut self, row: RowId, end: CallEnd) -> bool {
        let Row { command, stats, .. } = &mut self.rows[usize::from(row.0)];
        let end = end.of(command);
        match end {
            CallEnd::Done => stats.calls += 1,
            CallEnd::Failed => {
                stats.calls += 1;
                stats.failed += 1;
            }
            CallEnd::Rejected | CallEnd::Denied => stats.rejected += 1,
        }
        end != CallEnd::Rejected
    }

    fn took(&mut self, place: u16, ns_each: u64, count: u32) {
        let stats = &mut self.rows[usize::from(place)].stats;
        stats.ns += ns_each * u64::from(count);
        let histogram = stats.histogram.get_or_insert_with(|| {
            Box::new(Histogram::new_with_bounds(1, HISTOGRAM_NS_MAX, 2).expect("bounds that a histogram can have"))
        });
        let ns = ns_each.clamp(1, HISTOGRAM_NS_MAX);
        histogram.saturating_record_n(ns, u64::from(count));
    }

    /// Reads the clock; the quick calls since the last reading share the time since then.
    fn lap(&mut self) -> u64 {
        let now_ns = self.origin.elapsed().as_nanos() as u64;
        let ns = now_ns.saturating_sub(self.at_ns);
        self.at_ns = now_ns;
        self.stale = false;
        if self.pending_count > 0 {
            let each = ns / u64::from(self.pending_count);
            for (place, count) in std::mem::take(&mut self.pending) {
                self.took(place, each, count);
            }
            self.pending_count = 0;
        }
        ns
    }

    /// An error reply was written: how its command ended. Errors are counted by their first word.
    pub fn error(&mut self, reply: &[u8]) -> CallEnd {
        let line = reply.strip_prefix(b"-").unwrap_or(reply);
        let word = String::from_utf8_lossy(error_code(line));
        self.error_count += 1;
        if let Some(count) = self.errors.get_mut(&*word) {
            *count += 1;
        } else if self.errors.len() < ERROR_CODES_MAX {
            self.errors.insert(word.to_string(), 1);
        }
        match &*word {
            "OOM" => CallEnd::Denied,
            "MOVED" | "CROSSSLOT" | "CLUSTERDOWN" | "NOAUTH" => CallEnd::Rejected,
            _ => CallEnd::Failed,
        }
    }

    /// What is known of every command that was called.
    pub fn stats(&self) -> Vec<CallStats> {
        self.rows.iter().map(|row| row.stats.clone()).collect()
    }

    /// Errors by their first word.
    pub fn errors(&self) -> &BTreeMap<String, u64> {
        &self.errors
    }

    /// All errors.
    pub fn error_count(&self) -> u64 {
        self.error_count
    }

    /// Calls of all commands.
    pub fn calls(&self) -> u64 {
        self.rows.iter().map(|row| row.stats.calls).sum()
    }
}

/// Whether a command is done in well below a microsecond unless its arguments or its reply are large.
pub fn is_quick(command: &Command) -> bool {
    matches!(command.run, Run::Shard(_) | Run::PerKey(..) | Run::Connection)
        && (command.is(flag::FAST) || command.name == "set")
}

/// Calls of several cores, by the command's name.
pub fn merge(cores: impl IntoIterator<Item = CallStats>) -> Vec<CallStats> {
    let mut merged: BTreeMap<&'static str, CallStats> = BTreeMap::new();
    for stats in cores {
        let Some(known) = merged.get_mut(stats.name) else {
            merged.insert(stats.name, stats);
            continue;
        };
        known.calls += stats.calls;
        known.ns += stats.ns;
        known.rejected += stats.rejected;
        known.failed += stats.failed;
        match (&mut known.histogram, stats.histogram) {
            (Some(histogram), Some(other)) => histogram.add(&*other).expect("all have the same bounds"),
            (histogram @ None, other) => *histogram = other,
            (Some(_), None) => {}
        }
    }
    merged.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringkeep_shards::command::find;

    #[test]
    fn counts_are_exact_and_times_are_shared_out() {
        let (get, keys) = (find(b"get").unwrap(), find(b"keys").unwrap());
        let mut book = CallBook::new(Instant::now());
        let (get, keys) = (book.row(get), book.row(keys));
        assert!(book.is_quick(get) && !book.is_quick(keys));
        book.begin_batch();
        for _ in 0..10 {
            book.quick(get, CallEnd::Done);
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
        book.begin();
        std::thread::sleep(std::time::Duration::from_millis(3));
        let ns = book.end();
        book.timed(keys, CallEnd::Failed, ns);
        book.quick(get, CallEnd::Rejected);
        book.end_batch();
        let stats = book.stats();
        assert_eq!((stats[0].calls, stats[0].rejected, stats[0].failed), (10, 1, 0));
        assert!(stats[0].ns >= 2_000_000 && stats[0].histogram.as_ref().unwrap().len() == 10);
        assert!(stats[0].histogram.as_ref().unwrap().max() < 2_000_000, "each has a tenth");
        assert_eq!((stats[1].calls, stats[1].failed), (1, 1));
        assert!(stats[1].ns >= 3_000_000);
        assert_eq!(book.calls(), 11);
        let merged = merge(book.stats().into_iter().chain(book.stats()));
        assert_eq!((merged[0].name, merged[0].calls), ("get", 20));
        assert_eq!(merged[0].histogram.as_ref().unwrap().len(), 20);
        book.reset();
        assert_eq!(book.calls(), 0);
    }

    #[test]
    fn a_script_that_memory_was_denied_to_was_not_rejected() {
        let mut book = CallBook::new(Instant::now());
        for name in [&b"set"[..], b"eval"] {
            let row = book.row(find(name).unwrap());
            let end = book.error(b"-OOM no\r\n");
            book.timed(row, end, 1);
        }
        let counts: Vec<_> = book.stats().iter().map(|stats| (stats.calls, stats.failed, stats.rejected)).collect();
        assert_eq!(counts, [(0, 0, 1), (1, 1, 0)]);
    }

    #[test]
    fn errors_are_counted_by_their_first_word() {
        let mut book = CallBook::new(Instant::now());
        assert_eq!(book.error(b"-ERR no such key\r\n"), CallEnd::Failed);
        assert_eq!(book.error(b"-ERR\r\n"), CallEnd::Failed);
        assert_eq!(book.error(b"-MOVED 5 a:1\r\n"), CallEnd::Rejected);
        assert_eq!((book.errors()["ERR"], book.errors()["MOVED"], book.error_count()), (2, 1, 3));
        for number in 0..1000 {
            book.error(format!("-E{number} x\r\n").as_bytes());
        }
        assert_eq!(book.errors().len(), ERROR_CODES_MAX);
    }
}
