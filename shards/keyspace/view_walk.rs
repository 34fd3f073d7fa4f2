//! Walks over everything that a context sees.

use crate::keyspace::effect::DatabaseIndex;
use crate::keyspace::entry::Entry;
use crate::keyspace::keyspace::Keyspace;
use crate::keyspace::table::{Keyed, SCAN_POSITIONS, SCAN_SHIFT};
use crate::keyspace::view::View;

impl Keyspace {
    /// The entries that a view has from one scan position on, with their positions, sorted by them: at least those of one table segment.
    /// Where to go on; none at the end. Expired ones are left out.
    fn stretch<'a>(&'a self, view: &'a View, db: DatabaseIndex, from: u64) -> (Vec<(u64, &'a Entry)>, Option<u64>) {
        let database = &view.databases[usize::from(db)];
        let (table, versions) = self.databases[usize::from(db)].state_at(view.start);
        let end = if database.is_flushed { SCAN_POSITIONS } else { table.segment_end(from) };
        let mut found: Vec<(u64, &Entry)> = Vec::new();
        let is_written = |hash: u64, key: &[u8]| database.find(hash, key).is_some();
        if !database.is_flushed {
            table.visit(from, end, &mut |entry| {
                let hash = table.hash(entry.key());
                let held = match versions.find(hash, entry.key()).and_then(|chain| chain.at(view.start)) {
                    Some((_, version)) => version.as_ref(),
                    None => Some(entry),
                };
                if let Some(held) = held.filter(|held| !is_written(hash, held.key())) {
                    found.push((hash >> SCAN_SHIFT, held));
                }
            });
            versions.visit(from, end, &mut |chain| {
                let hash = table.hash(chain.key());
                if let Some((_, Some(held))) = chain.at(view.start)
                    && table.find(hash, chain.key()).is_none()
                    && !is_written(hash, chain.key())
                {
                    found.push((hash >> SCAN_SHIFT, held));
                }
            });
        }
        for written in &database.written {
            let position = written.hash >> SCAN_SHIFT;
            if let Some(entry) = &written.entry
                && (from..end).contains(&position)
            {
                found.push((position, entry));
            }
        }
        found.retain(|(_, entry)| {
            let expired = entry.expired(self.now_ms);
            if expired {
                self.meet_expired_in_view(db, table.hash(entry.key()), entry);
            }
            !expired
        });
        found.sort_unstable_by(|one, other| one.0.cmp(&other.0).then_with(|| one.1.key().cmp(other.1.key())));
        (found, (end < SCAN_POSITIONS).then_some(end))
    }

    /// [`Keyspace::scan`] in a view.
    pub(super) fn scan_in_view(
        &self,
        view: &View,
        db: DatabaseIndex,
        position: u64,
        count: usize,
        visit: &mut dyn FnMut(&Entry),
    ) -> Option<u64> {
        let mut from = position;
        let mut seen = 0;
        while from < SCAN_POSITIONS {
            let (found, next) = self.stretch(view, db, from);
            let mut rest = found.iter().peekable();
            while let Some(&(position, entry)) = rest.next() {
                visit(entry);
                seen += 1;
                if seen >= count && rest.peek().is_some_and(|&&(next, _)| next != position) {
                    return Some(position + 1);
                }
            }
            from = next?;
            if seen >= count {
                return Some(from);
            }
        }
        None
    }

    /// [`Keyspace::entries`] in a view.
    pub(super) fn entries_in_view<'a>(
        &'a self,
        view: &'a View,
        db: DatabaseIndex,
    ) -> impl Iterator<Item = &'a Entry> + 'a {
        let mut next = Some(0);
        std::iter::from_fn(move || {
            let (found, after) = self.stretch(view, db, next?);
            next = after;
            Some(found.into_iter().map(|(_, entry)| entry))
        })
        .flatten()
    }

    /// How many keys a view has, expired ones that nobody met included.
    pub(super) fn len_in_view(&self, view: &View, db: DatabaseIndex) -> usize {
        let database = &view.databases[usize::from(db)];
        let written = || database.written.iter();
        let present = written().filter(|written| written.entry.is_some()).count();
        if database.is_flushed {
            return present;
        }
        let (table, versions) = self.databases[usize::from(db)].state_at(view.start);
        let mut len = table.len();
        for chain in versions.iter() {
            let Some((_, version)) = chain.at(view.start) else { continue };
            let is_there = table.find(table.hash(chain.key()), chain.key()).is_some();
            len = len + usize::from(version.is_some()) - usize::from(is_there);
        }
        let displaced = written().filter(|written| self.at(db, written.key.as_bytes(), view.start).is_some()).count();
        len + present - displaced
    }

    /// [`Keyspace::random`] in a view: some key of a random stretch.
    pub(super) fn random_in_view<'a>(&'a self, view: &'a View, db: DatabaseIndex, entropy: u64) -> Option<&'a Entry> {
        let start = entropy >> SCAN_SHIFT;
        let mut from = start;
        let mut has_wrapped = false;
        loop {
            let (found, next) = self.stretch(view, db, from);
            if !found.is_empty() {
                return Some(found[(entropy as usize) % found.len()].1);
            }
            from = match next {
                Some(next) if has_wrapped && next > start => return None,
                Some(next) => next,
                None if has_wrapped => return None,
                None => {
                    has_wrapped = true;
                    0
                }
            };
        }
    }
}
