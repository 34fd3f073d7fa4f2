//! Requests that a shard has set aside, and who of them goes on when.
//!
//! ```text
//!            fast run outlives its slice            validated, committed
//! request ──────────────────────────────► Ready ◄──────────┐    ▲
//!    │ its keys are a longer one's         │  slice, slice ─┘    │
//!    ├──────────────────► Keys ────────────┤                     │
//!    │ every VM is held   Vm   ────────────┤  changed: again ────┘
//!    │ a key is locked    Unlocking ───────┤  (waits for Keys; after some reruns for Locks)
//!    └ a value is cold    Cold ────────────┘
//! ```
//!
//! Each key that a context declares has a queue. A script that is known to be long, and one that runs again, waits until it is at the
//! head of the queues of all its keys; all are joined at once, so that no two wait for each other. A short script never queues.
//! One context at a time may hold locks: it has run in vain too often. While it runs, writes to its keys wait.

use crate::ids::ContextId;
use crate::keyspace::KeyHash;
use crate::limits::{CONTEXT_RERUNS_BEFORE_KEY_LOCKS, CONTEXT_RERUNS_BEFORE_SHARD_LOCK};
use crate::sabotage::{Sabotage, is_planted};
use crate::transaction::context::{Context, ContextInfo, StopReason, Waits};
use hashbrown::{HashTable, hash_table};
use std::collections::{BTreeMap, VecDeque};

/// What the context that holds locks has locked.
enum Locked {
    Keys(HashTable<KeyHash>),
    Shard,
}

/// The requests that a shard has set aside.
#[derive(Default)]
pub(crate) struct Contexts {
    list: BTreeMap<ContextId, Context>,
    last: u64,
    /// Those whose turn it is and that take no slice, in order; some may have gone.
    urgent: VecDeque<ContextId>,
    /// Those whose turn it is for a slice, likewise.
    ready: VecDeque<ContextId>,
    queues: BTreeMap<KeyHash, VecDeque<ContextId>>,
    locks: Option<(ContextId, Locked)>,
    lockers: VecDeque<ContextId>,
    for_vm: VecDeque<ContextId>,
    unlocking: VecDeque<ContextId>,
}

impl Contexts {
    /// Whether there are none.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    /// Adds a script or an EXEC with these keys; it is in their queues now, and its turn comes next.
    pub(crate) fn add(&mut self, keys: Vec<KeyHash>, waits: Waits) -> ContextId {
        self.insert(Context::new(keys, false), waits)
    }

    /// Adds a plain command that waits for locks to end.
    pub(crate) fn add_plain(&mut self) -> ContextId {
        self.insert(Context::new(Vec::new(), true), Waits::Unlocking)
    }

    fn insert(&mut self, mut context: Context, waits: Waits) -> ContextId {
        self.last += 1;
        let id = ContextId(self.last);
        context.keys.sort_unstable();
        context.keys.dedup();
        for &key in &context.keys {
            self.queues.entry(key).or_default().push_back(id);
        }
        self.list.insert(id, context);
        self.wait(id, waits);
        id
    }

    /// Takes a context out to work with it; [`Contexts::put_back`] or [`Contexts::ended`] follows.
    pub(crate) fn take(&mut self, id: ContextId) -> Option<Context> {
        self.list.remove(&id)
    }

    /// The context goes on later.
    pub(crate) fn put_back(&mut self, id: ContextId, context: Context, waits: Waits) {
        self.list.insert(id, context);
        self.wait(id, waits);
    }

    /// Lets a context wait for something, or for its turn if that is there already.
    pub(crate) fn wait(&mut self, id: ContextId, waits: Waits) {
        let is_stopped = self.list.get(&id).is_some_and(|context| context.stop.is_some());
        let waits = match waits {
            _ if is_stopped => Waits::Turn,
            Waits::Keys if self.is_first(id) => Waits::Turn,
            Waits::Unlocking if self.locks.is_none() => Waits::Turn,
            waits => waits,
        };
        let Some(context) = self.list.get_mut(&id) else { return };
        context.waits = waits;
        match waits {
            Waits::Turn => {
                if !context.is_queued {
                    context.is_queued = true;
                    let is_urgent = context.is_plain || context.stop.is_some();
                    if is_urgent { &mut self.urgent } else { &mut self.ready }.push_back(id);
                }
            }
            Waits::Vm => self.for_vm.push_back(id),
            Waits::Locks => {
                if self.locks.as_ref().is_some_and(|(holder, _)| *holder == id) {
                    // It has touched more than it had locked.
                    return self.lock(id);
                }
                self.lockers.push_back(id);
            }
            Waits::Unlocking => self.unlocking.push_back(id),
            Waits::Keys | Waits::Cold => {}
        }
    }

    /// The context has ended: who waited for it goes on. `freed_vm` says that it held a VM.
    pub(crate) fn ended(&mut self, id: ContextId, keys: &[KeyHash], freed_vm: bool) {
        for key in keys {
            let Some(queue) = self.queues.get_mut(key) else { continue };
            queue.retain(|&other| other != id);
            match queue.front().copied() {
                None => {
                    self.queues.remove(key);
                }
                Some(first) => self.look_again(first),
            }
        }
        self.unlock(id);
        if freed_vm {
            self.vm_freed();
        }
    }

    /// A VM is free: the next one that waits for one may have it.
    pub(crate) fn vm_freed(&mut self) {
        while let Some(id) = self.for_vm.pop_front() {
            if self.list.get(&id).is_some_and(|context| context.waits == Waits::Vm) {
                return self.wait(id, Waits::Turn);
            }
        }
    }

    fn look_again(&mut self, id: ContextId) {
        if self.list.get(&id).is_some_and(|context| context.waits == Waits::Keys) {
            self.wait(id, Waits::Keys);
        }
    }

    /// Whether it is at the head of the queues of all its keys.
    fn is_first(&self, id: ContextId) -> bool {
        let Some(context) = self.list.get(&id) else { return false };
        context.keys.iter().all(|key| self.queues.get(key).is_none_or(|queue| queue.front() == Some(&id)))
    }

    /// Whether some context wants one of these keys.
    pub(crate) fn overlaps(&self, keys: &[KeyHash]) -> bool {
        !self.queues.is_empty() && keys.iter().any(|key| self.queues.contains_key(key))
    }

    /// What a context that ran in vain waits for before it runs again.
    pub(crate) fn after_run_in_vain(context: &Context) -> Waits {
        if context.info.reruns > CONTEXT_RERUNS_BEFORE_KEY_LOCKS { Waits::Locks } else { Waits::Keys }
    }

    // Locks.

    /// Whether any lock is held.
    #[inline]
    pub(crate) fn has_locks(&self) -> bool {
        self.locks.is_some()
    }

    /// Whether a write to these keys must wait for somebody else's locks. A write to no key in particular waits for all.
    pub(crate) fn keeps_out(
        &self,
        who: Option<ContextId>,
        mut keys: impl Iterator<Item = KeyHash>,
        every: bool,
    ) -> bool {
        if is_planted(Sabotage::LocksIgnored) {
            return false;
        }
        match &self.locks {
            None => false,
            Some((holder, _)) if Some(*holder) == who => false,
            Some((_, Locked::Shard)) => true,
            Some((_, Locked::Keys(locked))) => {
                every || keys.any(|key| locked.find(key.0, |&other| other == key).is_some())
            }
        }
    }

    fn give_locks(&mut self) {
        while self.locks.is_none()
            && let Some(id) = self.lockers.pop_front()
        {
            if self.list.get(&id).is_some_and(|context| context.waits == Waits::Locks) {
                self.lock(id);
            }
        }
    }

    /// Locks what the context has touched, at last the shard; its turn comes.
    fn lock(&mut self, id: ContextId) {
        if let Some(context) = self.list.get(&id) {
            let whole = context.info.reruns > CONTEXT_RERUNS_BEFORE_SHARD_LOCK || context.touched.has_databases();
            let locked = if whole {
                Locked::Shard
            } else {
                let mut table = HashTable::new();
                for &key in context.touched.keys() {
                    if let hash_table::Entry::Vacant(place) =
                        table.entry(key.0, |&other: &KeyHash| other == key, |other: &KeyHash| other.0)
                    {
                        place.insert(key);
                    }
                }
                Locked::Keys(table)
            };
            self.locks = Some((id, locked));
            self.wait(id, Waits::Turn);
        }
    }

    /// Gives up what the context has locked, if it has.
    fn unlock(&mut self, id: ContextId) {
        if self.locks.as_ref().is_none_or(|(holder, _)| *holder != id) {
            return;
        }
        self.locks = None;
        for waiting in std::mem::take(&mut self.unlocking) {
            if self.list.get(&waiting).is_some_and(|context| context.waits == Waits::Unlocking) {
                self.wait(waiting, Waits::Turn);
            }
        }
    }

    // Turns.

    /// Whose turn it is, and whether that takes a slice.
    pub(crate) fn next(&mut self) -> Option<(ContextId, bool)> {
        if let Some(id) = self.first_of(|contexts| &mut contexts.urgent) {
            return Some((id, false));
        }
        // Who has waited for the end of the last locks has had its turn before there are new ones.
        self.give_locks();
        self.first_of(|contexts| &mut contexts.ready).map(|id| (id, true))
    }

    /// The first of a queue whose turn it is; those before it that have gone, or wait for something else, are dropped.
    fn first_of(&mut self, queue: impl Fn(&mut Self) -> &mut VecDeque<ContextId>) -> Option<ContextId> {
        loop {
            let id = *queue(self).front()?;
            if self.list.get(&id).is_some_and(|context| context.waits == Waits::Turn) {
                return Some(id);
            }
            queue(self).pop_front();
            if let Some(context) = self.list.get_mut(&id) {
                context.is_queued = false;
            }
        }
    }

    /// The one whose turn it is has it now.
    pub(crate) fn begin_turn(&mut self, id: ContextId) {
        if self.urgent.front() == Some(&id) {
            self.urgent.pop_front();
        } else if self.ready.front() == Some(&id) {
            self.ready.pop_front();
        } else {
            self.urgent.retain(|&other| other != id);
            self.ready.retain(|&other| other != id);
        }
        if let Some(context) = self.list.get_mut(&id) {
            context.is_queued = false;
        }
    }

    /// Takes a context down at its next turn, which comes at once. Whether it was there.
    pub(crate) fn stop(&mut self, id: ContextId, reason: StopReason) -> bool {
        let Some(context) = self.list.get_mut(&id) else { return false };
        context.stop = Some(reason);
        self.begin_turn(id);
        if let Some(context) = self.list.get_mut(&id) {
            context.waits = Waits::Turn;
            context.is_queued = true;
        }
        self.urgent.push_front(id);
        true
    }

    /// What a context has been through.
    pub(crate) fn info(&self, id: ContextId) -> Option<&ContextInfo> {
        self.list.get(&id).map(|context| &context.info)
    }

    /// Every context, to be changed.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (ContextId, &mut Context)> {
        self.list.iter_mut().map(|(&id, context)| (id, context))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: KeyHash = (7, 0);
    const OTHER: KeyHash = (8, 0);

    /// Whose turn is next; it has it.
    fn turn(contexts: &mut Contexts) -> Option<(ContextId, bool)> {
        let next = contexts.next();
        if let Some((id, _)) = next {
            contexts.begin_turn(id);
        }
        next
    }

    fn end(contexts: &mut Contexts, id: ContextId) {
        let context = contexts.take(id).expect("it is there");
        contexts.ended(id, &context.keys, true);
    }

    #[test]
    fn who_wants_the_same_keys_waits_in_order_and_others_do_not() {
        let mut contexts = Contexts::default();
        let first = contexts.add(vec![KEY], Waits::Turn);
        assert!(contexts.overlaps(&[KEY]) && !contexts.overlaps(&[OTHER]));
        let second = contexts.add(vec![KEY, OTHER], Waits::Keys);
        let third = contexts.add(vec![OTHER], Waits::Keys);
        let free = contexts.add(vec![(9, 0)], Waits::Keys);
        assert_eq!(turn(&mut contexts), Some((first, true)));
        assert_eq!(turn(&mut contexts), Some((free, true)));
        assert_eq!(turn(&mut contexts), None);
        end(&mut contexts, first);
        assert_eq!(turn(&mut contexts), Some((second, true)));
        assert_eq!(turn(&mut contexts), None, "the third waits for the second's other key");
        end(&mut contexts, second);
        assert_eq!(turn(&mut contexts), Some((third, true)));
        end(&mut contexts, third);
        end(&mut contexts, free);
        assert!(contexts.is_empty() && contexts.queues.is_empty());
    }

    fn in_vain(contexts: &mut Contexts, id: ContextId, reruns: u32) {
        let mut context = contexts.take(id).expect("it is there");
        context.touched.key(KEY.1, KEY.0);
        context.info.reruns = reruns;
        let waits = Contexts::after_run_in_vain(&context);
        contexts.put_back(id, context, waits);
    }

    #[test]
    fn locks_go_around_and_writers_get_in_between() {
        let mut contexts = Contexts::default();
        let (one, two) = (contexts.add(vec![], Waits::Turn), contexts.add(vec![], Waits::Turn));
        assert_eq!((turn(&mut contexts), turn(&mut contexts)), (Some((one, true)), Some((two, true))));
        in_vain(&mut contexts, one, CONTEXT_RERUNS_BEFORE_KEY_LOCKS + 1);
        in_vain(&mut contexts, two, CONTEXT_RERUNS_BEFORE_KEY_LOCKS + 1);
        assert_eq!(turn(&mut contexts), Some((one, true)));
        assert_eq!(turn(&mut contexts), None, "one holds the locks");
        assert!(
            contexts.keeps_out(None, [KEY].into_iter(), false) && !contexts.keeps_out(None, [OTHER].into_iter(), false)
        );
        assert!(
            contexts.keeps_out(None, [].into_iter(), true) && !contexts.keeps_out(Some(one), [KEY].into_iter(), false)
        );
        let writer = contexts.add_plain();
        assert_eq!(turn(&mut contexts), None);
        end(&mut contexts, one);
        assert_eq!(turn(&mut contexts), Some((writer, false)), "before the next one that locks");
        assert!(!contexts.keeps_out(None, [KEY].into_iter(), false));
        end(&mut contexts, writer);
        assert_eq!(turn(&mut contexts), Some((two, true)));
        in_vain(&mut contexts, two, CONTEXT_RERUNS_BEFORE_SHARD_LOCK + 1);
        assert!(contexts.keeps_out(None, [OTHER].into_iter(), false), "the whole shard is locked");
        assert_eq!(turn(&mut contexts), Some((two, true)), "it keeps its locks while it runs again");
        end(&mut contexts, two);
        assert!(!contexts.has_locks());
    }

    #[test]
    fn who_is_stopped_has_its_turn_at_once() {
        let mut contexts = Contexts::default();
        let first = contexts.add(vec![KEY], Waits::Turn);
        let second = contexts.add(vec![KEY], Waits::Keys);
        let third = contexts.add(vec![], Waits::Vm);
        assert!(contexts.stop(third, StopReason::Gone) && contexts.stop(second, StopReason::Gone));
        assert_eq!(turn(&mut contexts), Some((second, false)));
        assert_eq!(turn(&mut contexts), Some((third, false)));
        assert_eq!(turn(&mut contexts), Some((first, true)));
        assert!(!contexts.stop(ContextId(99), StopReason::Gone));
    }
}
