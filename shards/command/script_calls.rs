//! What scripts called: counted for INFO, and kept for MONITOR while somebody listens.

use crate::command::command::Command;
use crate::command::failure::error_code;
use crate::keyspace::DatabaseIndex;
use crate::limits::{ERROR_CODES_MAX, RECORDED_BYTES_MAX};

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
    /// Errors that calls were answered with, by their codes; those since [`ScriptCalls::begin`] apart.
    errors: ErrorCounts,
    run_errors: ErrorCounts,
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

    /// Errors that the calls were answered with and that no client has read as the error of its script, by their codes: the first word.
    pub fn errors(&self) -> impl Iterator<Item = (&str, u64)> {
        self.errors.0.iter().map(|(code, count)| (&**code, *count))
    }

    /// CONFIG RESETSTAT.
    pub fn reset(&mut self) {
        self.counts.clear();
        self.errors.0.clear();
        self.last = 0;
    }

    /// A request begins.
    #[inline]
    pub(crate) fn begin(&mut self) {
        self.run.clear();
        self.run_errors.0.clear();
        self.recorded_before_run = self.recorded.len();
    }

    /// The request, or its slice, is over: its calls count, unless it is going to be repeated. How many there were.
    #[inline]
    pub(crate) fn end(&mut self, counts: bool) -> u64 {
        let calls = self.run.iter().filter(|(_, end)| *end != End::Refused).count() as u64;
        if !counts {
            self.run.clear();
            self.run_errors.0.clear();
            self.recorded.truncate(self.recorded_before_run);
            return calls;
        }
        for (place, end) in self.run.drain(..) {
            let count = &mut self.counts[usize::from(place)];
            count.calls += u64::from(end != End::Refused);
            count.failed += u64::from(end == End::Failed);
            count.refused += u64::from(end == End::Refused);
        }
        for (code, count) in self.run_errors.0.drain(..) {
            self.errors.add(&code, count);
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

    /// The command that was called last answered with an error of this code.
    pub(crate) fn failed(&mut self, code: &[u8]) {
        if let Some((_, end)) = self.run.last_mut() {
            *end = End::Failed;
        }
        self.run_errors.add(&String::from_utf8_lossy(code), 1);
    }

    /// A script may not call a command; the error says why.
    #[cold]
    pub(crate) fn refused(&mut self, command: Option<&'static Command>, error: &str) {
        if let Some(command) = command {
            self.note(command, End::Refused);
        }
        self.run_errors.add(&String::from_utf8_lossy(error_code(error.as_bytes())), 1);
    }

    /// A script ends with an error that a call was answered with: it counts where the client reads it.
    #[cold]
    pub(crate) fn passed_on(&mut self, error: &[u8]) {
        let code = String::from_utf8_lossy(error_code(error));
        if !self.run_errors.take(&code) {
            self.errors.take(&code);
        }
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

/// How many errors there were of each code, in the order in which these came.
#[derive(Default)]
struct ErrorCounts(Vec<(Box<str>, u64)>);

impl ErrorCounts {
    fn add(&mut self, code: &str, count: u64) {
        if let Some((_, known)) = self.0.iter_mut().find(|(known, _)| **known == *code) {
            *known += count;
        } else if self.0.len() < ERROR_CODES_MAX {
            self.0.push((code.into(), count));
        }
    }

    /// One of them does not count; whether there was one.
    fn take(&mut self, code: &str) -> bool {
        let Some(at) = self.0.iter().position(|(known, _)| **known == *code) else { return false };
        self.0[at].1 -= 1;
        if self.0[at].1 == 0 {
            self.0.remove(at);
        }
        true
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
            calls.failed(b"WRONGTYPE");
            calls.called(get, 1, &[b"get", b"k"]);
            calls.refused(Some(set), "OOM no place");
            calls.refused(None, "ERR what");
            assert_eq!(calls.end(counts), 3);
        }
        let counts: Vec<_> =
            calls.counts().iter().map(|count| (count.command.name, count.calls, count.failed, count.refused)).collect();
        assert_eq!(counts, [("get", 2, 0, 0), ("set", 1, 1, 1)]);
        let errors =
            |calls: &ScriptCalls| calls.errors().map(|(code, count)| format!("{code} {count}")).collect::<Vec<_>>();
        assert_eq!(errors(&calls), ["WRONGTYPE 1", "OOM 1", "ERR 1"]);
        calls.passed_on(b"OOM no place script: x, on y");
        assert_eq!(errors(&calls), ["WRONGTYPE 1", "ERR 1"]);
        assert_eq!(calls.take_recorded().len(), 3);
        assert!(calls.take_recorded().is_empty());
    }
}
