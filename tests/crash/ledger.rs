//! What a client knows about its keys: what was acknowledged, and what may have happened since.

use std::collections::{BTreeMap, VecDeque};

/// A key's value; `None` when it is absent.
pub type State = Option<String>;

/// Keys that change together or not at all, and what they may hold.
#[derive(Default)]
struct Entry {
    /// The state that the last acknowledged change made; before that, absence.
    acknowledged: State,
    /// States that later changes make, in the order that they were sent in. None of them is acknowledged.
    pending: VecDeque<State>,
}

/// One client's keys. Nobody else writes them.
#[derive(Default)]
pub struct Ledger {
    entries: BTreeMap<String, Entry>,
    /// Changes that were acknowledged.
    pub acknowledged: u64,
}

impl Ledger {
    /// What a key holds once all that was sent is done.
    pub fn latest(&self, key: &str) -> State {
        self.entries.get(key).and_then(|entry| entry.pending.back().unwrap_or(&entry.acknowledged).clone())
    }

    /// A change was sent.
    pub fn sent(&mut self, key: &str, state: State) {
        self.entries.entry(key.to_owned()).or_default().pending.push_back(state);
    }

    /// The oldest change of this key that was not acknowledged yet is now.
    pub fn acknowledge(&mut self, key: &str) {
        let entry = self.entries.get_mut(key).expect("a change was sent before");
        entry.acknowledged = entry.pending.pop_front().expect("a change was sent before");
        self.acknowledged += 1;
    }

    /// Compares with what a restarted server holds, and goes on from there: what was not acknowledged has happened or never will.
    ///
    /// # Errors
    /// What the server holds that it must not.
    pub fn settle(&mut self, key: &str, found: State) -> Result<(), String> {
        let entry = self.entries.get_mut(key).expect("a key of this ledger");
        let allowed = entry.acknowledged == found || entry.pending.contains(&found);
        if !allowed {
            let newest = entry.pending.back();
            return Err(format!(
                "{key} holds {found:?}; acknowledged was {:?}, sent after it {} changes up to {newest:?}",
                entry.acknowledged,
                entry.pending.len()
            ));
        }
        entry.acknowledged = found;
        entry.pending.clear();
        Ok(())
    }

    /// All keys that were ever written.
    pub fn keys(&self) -> Vec<String> {
        self.entries.keys().cloned().collect()
    }
}

#[test]
fn a_ledger_allows_what_may_be_and_nothing_else() {
    let state = |text: &str| Some(text.to_owned());
    let ledger = || {
        let mut ledger = Ledger::default();
        ledger.sent("k", state("1"));
        ledger.sent("k", state("2"));
        ledger.sent("k", None);
        ledger.sent("k", state("4"));
        ledger.acknowledge("k");
        ledger.acknowledge("k");
        ledger
    };
    for allowed in [state("2"), None, state("4")] {
        assert!(ledger().settle("k", allowed).is_ok());
    }
    for lost_or_invented in [state("1"), state("3"), state("5")] {
        assert!(ledger().settle("k", lost_or_invented).is_err());
    }
    let mut settled = ledger();
    settled.settle("k", state("2")).expect("allowed");
    assert!(settled.settle("k", state("4")).is_err(), "what did not happen by the restart cannot happen later");
}
