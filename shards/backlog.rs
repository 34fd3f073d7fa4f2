//! Committed entries on their way into the keyspace, in order. One that this member did not compute may have to wait: it changes a
//! large value in place whose bytes must first be brought in from disk. What follows waits behind it.

use crate::group::{Entry, EntryType};
use crate::ids::{Batch, LogIndex, Term};
use crate::keyspace::{ColdRange, Effect, Effects, Keyspace, Segments};
use crate::log::LogPosition;
use std::collections::{BTreeMap, VecDeque};

/// The entries that are committed and not applied.
#[derive(Default)]
pub(crate) struct Backlog {
    entries: VecDeque<Entry>,
    /// How far the first one's effects are applied, in bytes of its body.
    applied_bytes: usize,
    /// Where the bodies of entries with large values lie on this member's disk, until they are applied.
    places: BTreeMap<LogIndex, (Term, LogPosition)>,
}

impl Backlog {
    /// Entries were committed.
    pub(crate) fn extend(&mut self, entries: impl Iterator<Item = Entry>) {
        self.entries.extend(entries);
    }

    /// The entry that is next.
    pub(crate) fn first(&self) -> Option<&Entry> {
        self.entries.front()
    }

    /// The next entry is dealt with.
    pub(crate) fn pop(&mut self) -> Option<Entry> {
        let entry = self.entries.pop_front()?;
        self.applied_bytes = 0;
        if !self.places.is_empty() {
            self.places = self.places.split_off(&LogIndex(entry.index + 1));
        }
        Some(entry)
    }

    /// A snapshot stands for everything that was written: no place counts any more.
    pub(crate) fn forget_places(&mut self) {
        self.places.clear();
    }

    /// The body of an entry is on disk there. Another entry that had its index is forgotten.
    pub(crate) fn written(&mut self, index: LogIndex, term: Term, position: LogPosition) {
        self.places.insert(index, (term, position));
    }

    /// Applies the effects of the next entry, which is a batch of its own then.
    ///
    /// # Errors
    /// A range that must be brought in first. What was applied stays so; the rest follows with the next call.
    ///
    /// # Panics
    /// If there is none, or it holds no effects.
    pub(crate) fn apply_first(&mut self, keyspace: &mut Keyspace, segments: &dyn Segments) -> Result<Batch, ColdRange> {
        let entry = self.entries.front().expect("the caller looked");
        assert_eq!(entry.get_entry_type(), EntryType::EntryNormal);
        let place = self.places.get(&LogIndex(entry.index)).filter(|(term, _)| term.0 == entry.term);
        let place = place.map(|&(_, position)| position);
        apply_effects(keyspace, &entry.data, &mut self.applied_bytes, place, segments)?;
        Ok(keyspace.applied())
    }
}

/// Applies the effects of an entry from the position `applied_bytes` in its body on; 0 is its start. `place` is where the entry's
/// body lies.
///
/// # Errors
/// A range that must be brought in first; `applied_bytes` says how far it came.
///
/// # Panics
/// If the body is no body: its record's checksum was right, so this is a broken invariant.
pub(crate) fn apply_effects(
    keyspace: &mut Keyspace,
    body: &[u8],
    applied_bytes: &mut usize,
    place: Option<LogPosition>,
    segments: &dyn Segments,
) -> Result<(), ColdRange> {
    let (timestamp, mut effects) = Effects::of_body(body).expect("an entry's body begins with its timestamp");
    match *applied_bytes {
        0 => keyspace.begin_entry(timestamp),
        applied => effects.go_on_at(applied),
    }
    while let Some(effect) = effects.next() {
        let effect = effect.expect("an entry's body holds effects");
        if let Effect::Append { db, key, .. } | Effect::Splice { db, key, .. } = effect {
            keyspace.make_writable(db, key, segments)?;
        }
        let value_place = match (&effect, place) {
            (Effect::Put { value, .. }, Some(place)) => {
                Some((place.segment, place.offset + (effects.position() - value.len()) as u64))
            }
            _ => None,
        };
        keyspace.apply(effect, value_place, segments);
        *applied_bytes = effects.position();
    }
    Ok(())
}
