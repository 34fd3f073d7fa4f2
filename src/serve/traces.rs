//! Connections that left this core for another, as long as a question to all cores could miss them.
//!
//! ```text
//!  this core   ... question q ... connection leaves | trace .................... question r | trace gone
//!  the other   .......................... question r ..... connection arrives
//! ```
//!
//! Cores are asked one by one. A question that the other core was put before the connection arrived must find it here: the
//! other core says, when the connection arrives, how many questions of each core it was put until then, and the trace stays
//! until this core was put as many. What is found twice has one number, and counts once. Until its trace is gone a
//! connection does not move on, so it never has two.

use ringkeep_shards::ids::{ClientId, CoreId};

/// What is left of a connection here.
pub struct Trace {
    /// Its number.
    pub id: ClientId,
    /// Where it went.
    pub to: CoreId,
    /// Where it came from, as CLIENT LIST shows it.
    pub peer: String,
    /// Where it arrived, as CLIENT LIST shows it.
    pub local: String,
    /// Its line of CLIENT LIST when it left.
    pub line: Vec<u8>,
    /// Whether it was killed after it left.
    pub killed: bool,
    /// The questions of each core that the other core was put before the connection arrived there, once that is known.
    put_there: Option<Vec<u64>>,
}

impl Trace {
    /// The trace of a connection that leaves now.
    pub fn new(id: ClientId, to: CoreId, peer: String, local: String, line: Vec<u8>) -> Self {
        Trace { id, to, peer, local, line, killed: false, put_there: None }
    }
}

/// The traces on one core, and the questions it was put.
#[derive(Default)]
pub struct Traces {
    traces: Vec<Trace>,
    /// How many questions of each core were put here.
    put: Vec<u64>,
}

impl Traces {
    /// A question was put, one that is put to every core.
    pub fn question_put(&mut self, asker: CoreId) {
        let asker = usize::from(asker.0);
        if asker >= self.put.len() {
            self.put.resize(asker + 1, 0);
        }
        self.put[asker] += 1;
    }

    /// How many questions of each core were put so far; none for those beyond the end.
    pub fn put(&self) -> &[u64] {
        &self.put
    }

    /// A connection has left.
    pub fn leave(&mut self, trace: Trace) {
        assert!(
            self.traces.iter().all(|other| other.id != trace.id),
            "a connection leaves once its last trace is gone"
        );
        self.traces.push(trace);
    }

    /// A connection that left has arrived where so many questions had been put.
    pub fn arrived(&mut self, id: ClientId, put_there: Vec<u64>) {
        let trace = self.traces.iter_mut().find(|trace| trace.id == id).expect("a trace stays until the arrival");
        trace.put_there = Some(put_there);
    }

    /// Removes the traces that no question can need any more: whose they were, and where those are.
    pub fn settle(&mut self) -> Vec<(CoreId, ClientId)> {
        let mut settled = Vec::new();
        let put = &self.put;
        let caught_up = |there: &[u64]| {
            let here = |asker: usize| put.get(asker).copied().unwrap_or(0);
            there.iter().enumerate().all(|(asker, &questions)| here(asker) >= questions)
        };
        self.traces.retain(|trace| {
            let gone = trace.put_there.as_deref().is_some_and(caught_up);
            if gone {
                settled.push((trace.to, trace.id));
            }
            !gone
        });
        settled
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.traces.is_empty()
    }

    /// All of them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Trace> {
        self.traces.iter_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace() -> Trace {
        Trace::new(ClientId(9), CoreId(1), String::new(), String::new(), Vec::new())
    }

    #[test]
    fn a_trace_stays_until_this_core_was_put_what_the_other_was() {
        let mut traces = Traces::default();
        traces.question_put(CoreId(2));
        traces.leave(trace());
        assert!(traces.settle().is_empty(), "it has not arrived");
        traces.arrived(ClientId(9), vec![0, 0, 2]);
        assert!(traces.settle().is_empty(), "the other core was asked before it came, this one was not yet");
        traces.question_put(CoreId(0));
        assert!(traces.settle().is_empty());
        traces.question_put(CoreId(2));
        assert_eq!(traces.settle(), [(CoreId(1), ClientId(9))]);
        assert!(traces.is_empty());
    }

    #[test]
    fn where_nobody_asks_a_trace_goes_at_once() {
        let mut traces = Traces::default();
        traces.leave(trace());
        traces.arrived(ClientId(9), Vec::new());
        assert_eq!(traces.settle().len(), 1);
    }

    #[test]
    #[should_panic(expected = "its last trace is gone")]
    fn a_connection_never_has_two() {
        let mut traces = Traces::default();
        traces.leave(trace());
        traces.leave(trace());
    }
}
