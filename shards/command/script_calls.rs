//! What scripts called: counted for INFO, and kept for MONITOR while somebody listens.

use crate::command::command::Command;
use crate::keyspace::DatabaseIndex;
use crate::limits::RECORDED_BYTES_MAX;

/// How often scripts called one command.
#[derive(Clone, Copy, Debug)]
pub struct CallCount {
    /// The command.
    pub command: &'static Command,
    /// Calls.
    pub calls: u64,
    /// Those of them that answered with an error of the command.
    pub failed: u64,
    /// What scripts tried and were not let.
    pub refused: u64,
}

/// How a call ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Done,
    Failed,
    Refused,
}

/// A call as MONITOR shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedCall {
    /// The database.
    pub db: DatabaseIndex,
    /// The name and the arguments.
    pub arguments: Vec<Vec<u8>>,
}

/// The calls of a shard's scripts. A run that is to be repeated is forgotten.
#[derive(Default)]
pub struct ScriptCalls {
    counts: Vec<CallCount>,
    /// Where the command that was called last is among `counts`.
    last: usize,
    /// The calls since [`ScriptCalls::begin`]: place in `counts`, and the end.
    run: Vec<(u16, End)>,
    records: bool,
    recorded: Vec<RecordedCall>,
    recorded_bytes: usize,
    recorded_before_run: usize,
}

impl ScriptCalls {
    /// Whether calls are kept for MONITOR from now on.
    pub fn record(&mut self, records: bool) {
        self.records = records;
        if !records {
            self.take_recorded();
        }
    }

    /// The calls since the last time, in order.
    pub fn take_recorded(&mut self) -> Vec<RecordedCall> {
        self.recorded_bytes = 0;
        self.recorded_before_run = 0;
        std::mem::take(&mut self.recorded)
    }

    /// How often each command was called.
    pub fn counts(&self) -> &[CallCount] {
        &self.counts
    }

    /// CONFIG RESETSTAT.
    pub fn reset(&mut self) {
        self.counts.clear();
        self.last = 0;
    }

    /// A request begins.
    #[inline]
    pub(crate) fn begin(&mut self) {
        self.run.clear();
        self.recorded_before_run = self.recorded.len();
    }

    /// The request, or its slice, is over: its calls count, unless it is going to be repeated. How many there were.
    #[inline]
    pub(crate) fn end(&mut self, counts: bool) -> u64 {
        let calls = self.run.iter().filter(|(_, end)| *end != End::Refused).count() as u64;
        if !counts {
            self.run.clear();
            self.recorded.truncate(self.recorded_before_run);
            return calls;
        }
        for (place, end) in self.run.drain(..) {
            let count = &mut self.counts[usize::from(place)];
            count.calls += u64::from(end != End::Refused);
            count.failed += u64::from(end == End::Failed);
            count.refused += u64::from(end == End::Refused);
        }
        calls
    }

    /// A script calls a command.
    #[inline]
    pub(crate) fn called(&mut self, command: &'static Command, db: DatabaseIndex, arguments: &[&[u8]]) {
        self.note(command, End::Done);
        if self.records && self.recorded_bytes < RECORDED_BYTES_MAX {
            self.recorded_bytes += arguments.iter().map(|argument| argument.len()).sum::<usize>();
            let arguments = arguments.iter().map(|argument| argument.to_vec()).collect();
            self.recorded.push(RecordedCall { db, arguments });
        }
    }

    /// The command that was called last answered with an error.
    pub(crate) fn failed(&mut self) {
        if let Some((_, end)) = self.run.last_mut() {
            *end = End::Failed;
        }
    }

    /// A script may not call a command.
    #[cold]
    pub(crate) fn refused(&mut self, command: &'static Command) {
        self.note(command, End::Refused);
    }

    #[inline]
    fn note(&mut self, command: &'static Command, end: End) {
        let is_it = |count: &CallCount| std::ptr::eq(count.command, command);
        if !self.counts.get(self.last).is_some_and(is_it) {
            self.last = self.counts.iter().position(is_it).unwrap_or_else(|| {
                self.counts.push(CallCount { command, calls: 0, failed: 0, refused: 0 });
                self.counts.len() - 1
            });
        }
        self.run.push((self.last as u16, end));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::table::find;

    #[test]
    fn a_repeated_run_counts_once() {
        let (get, set) = (find(b"get").unwrap(), find(b"set").unwrap());
        let mut calls = ScriptCalls::default();
        calls.record(true);
        for counts in [false, true] {
            calls.begin();
            calls.called(get, 0, &[b"get", b"k"]);
            calls.called(set, 1, &[b"set", b"k"]);
            calls.failed();
            calls.called(get, 1, &[b"get", b"k"]);
            calls.refused(set);
            assert_eq!(calls.end(counts), 3);
        }
        let counts: Vec<_> =
            calls.counts().iter().map(|count| (count.command.name, count.calls, count.failed, count.refused)).collect();
        assert_eq!(counts, [("get", 2, 0, 0), ("set", 1, 1, 1)]);
        assert_eq!(calls.take_recorded().len(), 3);
        assert!(calls.take_recorded().is_empty());
    }
}
