//! The keyspace of one shard: the tip that commands run against, and the batch of effects that this tick gathers.

use crate::ids::{Batch, SegmentId, Timestamp};
use crate::keyspace::database::Database;
use crate::keyspace::effect::{DatabaseIndex, Effect, NewValue};
use crate::keyspace::entry::Entry;
use crate::keyspace::garbage::Garbage;
use crate::keyspace::large::LargeString;
use crate::keyspace::libraries::Libraries;
use crate::keyspace::pins::WalkPosition;
use crate::keyspace::reads::Reads;
use crate::keyspace::text::Text;
use crate::keyspace::uncommitted::Uncommitted;
use crate::keyspace::undo::Undo;
use crate::keyspace::value::Value;
use crate::keyspace::versions::Pins;
use crate::keyspace::view::View;
use crate::limits::DATABASES_MAX;
use crate::log::SegmentTable;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};

/// Keys of a script that are brought nearer before it runs: what one core has outstanding at once.
const PREFETCHED_KEYS_MAX: usize = 16;

/// The keyspace of one shard.
pub struct Keyspace {
    pub(super) databases: Vec<Database>,
    pub(super) libraries: Libraries,
    pub(super) uncommitted: Uncommitted,
    pub(super) now_ms: u64,
    /// The newest batch that anything read since [`Keyspace::take_gate`] depends on.
    pub(super) gate: Cell<Batch>,
    /// Reads that found their key, and those that did not.
    pub(super) lookups: Cell<(u64, u64)>,
    /// Expired keys that a read met; their removal is logged by [`Keyspace::remove_met_expired`].
    pub(super) met_expired: RefCell<Vec<(DatabaseIndex, u64, Text)>>,
    pub(super) batch: Batch,
    /// The last batch that closed and was not taken back; 0 is none.
    pub(super) closed: Batch,
    pub(super) batch_timestamp: Timestamp,
    pub(super) body: Vec<u8>,
    pub(super) large: Vec<(Rc<LargeString>, usize)>,
    pub(super) undo: Vec<Undo>,
    pub(super) kept: VecDeque<(Batch, Vec<Undo>)>,
    pub(super) spare_undo: Vec<Vec<Undo>>,
    pub(super) pins: Pins,
    /// Where a sweep of the versions has come to, if one is under way.
    pub(super) sweep: Option<WalkPosition>,
    /// Versions kept since the last sweep began, and what that one left.
    pub(super) kept_versions: usize,
    pub(super) swept_versions: usize,
    /// What a context sees and has written, while it has its slice.
    pub(super) view: Option<Box<View>>,
    /// What the views of those hold that have no slice now, in bytes.
    pub(super) views_bytes: usize,
    /// What was read since [`Keyspace::begin_reads`], if that is being noted.
    pub(super) reads: RefCell<Reads>,
    /// Whether reads and writes need a second look: a context has its slice, or what is read is being noted.
    pub(super) is_looked_over: bool,
    pub(super) garbage: Garbage,
    pub(super) changes: u64,
    pub(super) watches: usize,
    pub(super) memory_bytes: usize,
    pub(super) large_bytes_min: usize,
    /// What the old versions hold, in bytes.
    pub(super) versions_bytes: usize,
    /// The segments that large strings lie in.
    pub(super) segments: SegmentTable,
    pub(super) expired_keys: u64,
    /// Large strings that have a copy in memory, oldest first, as they became durable.
    pub(super) warm: VecDeque<(Weak<LargeString>, usize)>,
    pub(super) warm_bytes: usize,
}

impl Keyspace {
    /// An empty keyspace. Keys are hashed with `seed`; strings of `large_bytes_min` bytes or more live in the log.
    pub fn new(seed: u64, large_bytes_min: usize) -> Self {
        Keyspace {
            databases: (0..DATABASES_MAX).map(|_| Database::new(seed)).collect(),
            libraries: Libraries::default(),
            uncommitted: Uncommitted::new(),
            now_ms: 0,
            gate: Cell::new(Batch(0)),
            lookups: Cell::default(),
            met_expired: RefCell::default(),
            batch: Batch(1),
            closed: Batch(0),
            batch_timestamp: Timestamp(0),
            body: Vec::new(),
            large: Vec::new(),
            undo: Vec::new(),
            kept: VecDeque::new(),
            spare_undo: Vec::new(),
            pins: Pins::new(),
            sweep: None,
            kept_versions: 0,
            swept_versions: 0,
            view: None,
            views_bytes: 0,
            reads: RefCell::default(),
            is_looked_over: false,
            garbage: Garbage::default(),
            changes: 0,
            watches: 0,
            memory_bytes: 0,
            large_bytes_min,
            versions_bytes: 0,
            segments: SegmentTable::new(0, SegmentId(1)),
            expired_keys: 0,
            warm: VecDeque::new(),
            warm_bytes: 0,
        }
    }

    /// Sets the time that expiry compares with, in Unix milliseconds.
    pub fn set_now(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
    }

    /// The time that expiry compares with, in Unix milliseconds.
    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    pub(super) fn now_s(&self) -> u32 {
        u32::try_from(self.now_ms / 1000).unwrap_or(u32::MAX)
    }

    // Reading.

    /// The entry of a key that has not expired. What it depends on is added to the gate.
    #[inline]
    pub fn read(&self, db: DatabaseIndex, key: &[u8]) -> Option<&Entry> {
        let entry = self.look(db, key)?;
        entry.accessed_s.set(self.now_s());
        Some(entry)
    }

    /// [`Keyspace::peek`] for a command that answers with what it finds: it counts as a hit or a miss.
    #[inline]
    pub fn look(&self, db: DatabaseIndex, key: &[u8]) -> Option<&Entry> {
        let found = self.peek(db, key);
        let (hits, misses) = self.lookups.get();
        self.lookups.set(if found.is_some() { (hits + 1, misses) } else { (hits, misses + 1) });
        found
    }

    /// Hits and misses so far.
    #[inline]
    pub fn lookups(&self) -> (u64, u64) {
        self.lookups.get()
    }

    /// Takes hits and misses back: of commands whose reads do not count, of runs that are repeated.
    #[inline]
    pub fn set_lookups(&self, lookups: (u64, u64)) {
        self.lookups.set(lookups);
    }

    /// [`Keyspace::read`] without touching the key's access time.
    #[inline]
    pub fn peek(&self, db: DatabaseIndex, key: &[u8]) -> Option<&Entry> {
        let database = &self.databases[usize::from(db)];
        let hash = database.table.hash(key);
        if self.is_looked_over
            && let Some(found) = self.peek_looked_over(db, hash, key)
        {
            return found;
        }
        self.depend_on(self.uncommitted.newest(db, Uncommitted::place(db, hash)));
        let entry = database.table.find(hash, key)?;
        if entry.expired(self.now_ms) {
            self.met_expired.borrow_mut().push((db, hash, entry.key.clone()));
            // Its removal is an effect of the batch that gathers now.
            self.depend_on(self.batch);
            return None;
        }
        Some(entry)
    }

    /// Says that keys will be read soon. The processor brings their places nearer meanwhile, all at once.
    pub fn prefetch_places(&self, db: DatabaseIndex, keys: &[&[u8]]) {
        let table = &self.databases[usize::from(db)].table;
        keys.iter().take(PREFETCHED_KEYS_MAX).for_each(|key| table.prefetch_place(table.hash(key)));
    }

    /// Says that keys will be read very soon, a while after [`Keyspace::prefetch_places`]: their entries come.
    pub fn prefetch_entries(&self, db: DatabaseIndex, keys: &[&[u8]]) {
        let table = &self.databases[usize::from(db)].table;
        keys.iter().take(PREFETCHED_KEYS_MAX).for_each(|key| table.prefetch_entry(table.hash(key)));
    }

    #[inline]
    pub(super) fn depend_on(&self, batch: Batch) {
        if batch > self.gate.get() {
            self.gate.set(batch);
        }
    }

    /// Adds what a read of the whole database depends on to the gate.
    pub fn depend_on_database(&self, db: DatabaseIndex) {
        if self.is_looked_over {
            self.reads.borrow_mut().database(db);
            if self.view.is_some() {
                return;
            }
        }
        self.depend_on(self.uncommitted.newest_of_database(db));
    }

    /// The newest batch that what was read or written since the last call depends on; 0 is none.
    #[inline]
    pub fn take_gate(&mut self) -> Batch {
        self.gate.replace(Batch(0))
    }

    /// How many keys a database has, expired ones that nobody met yet included (as in Redis).
    pub fn len(&self, db: DatabaseIndex) -> usize {
        if let Some(view) = &self.view {
            return self.len_in_view(view, db);
        }
        self.databases[usize::from(db)].table.len()
    }

    /// Whether no database has a key.
    pub fn is_empty(&self) -> bool {
        self.databases.iter().all(|database| database.table.is_empty())
    }

    /// How many keys of a database have an expiry.
    pub fn expiring(&self, db: DatabaseIndex) -> usize {
        self.databases[usize::from(db)].expiring
    }

    /// Keys that expired and were removed since the start.
    pub fn expired_keys(&self) -> u64 {
        self.expired_keys
    }

    /// Visits entries from a scan position on, expired ones left out; the position to go on from (see [`super::Table::scan`]).
    pub fn scan(&self, db: DatabaseIndex, position: u64, count: usize, visit: &mut dyn FnMut(&Entry)) -> Option<u64> {
        self.depend_on_database(db);
        if let Some(view) = &self.view {
            return self.scan_in_view(view, db, position, count, visit);
        }
        self.databases[usize::from(db)].table.scan(position, count, &mut |entry| {
            if !self.meets_expired(db, entry) {
                visit(entry);
            }
        })
    }

    /// Every entry of a database that has not expired, in no order.
    pub fn entries(&self, db: DatabaseIndex) -> impl Iterator<Item = &Entry> {
        self.depend_on_database(db);
        let viewed = self.view.as_deref().map(|view| self.entries_in_view(view, db));
        let table = self.view.is_none().then(|| self.databases[usize::from(db)].table.iter());
        let tip = table.into_iter().flatten().filter(move |entry| !self.meets_expired(db, entry));
        viewed.into_iter().flatten().chain(tip)
    }

    /// Every entry of a database, expired or not, in no order. Nothing waits for what it depends on: it is for a look from outside,
    /// not for requests.
    pub fn tip(&self, db: DatabaseIndex) -> impl Iterator<Item = &Entry> {
        self.databases[usize::from(db)].table.iter()
    }

    /// Some entry that has not expired, chosen by `entropy`; none if the database is empty or nearly all expired.
    pub fn random(&self, db: DatabaseIndex, entropy: u64) -> Option<&Entry> {
        self.depend_on_database(db);
        if let Some(view) = &self.view {
            return self.random_in_view(view, db, entropy);
        }
        let table = &self.databases[usize::from(db)].table;
        (0..100)
            .filter_map(|turn: u64| table.random(entropy.wrapping_add(turn.wrapping_mul(0x9e37_79b9_7f4a_7c15))))
            .find(|entry| !self.meets_expired(db, entry))
    }

    /// Whether a walk meets an expired key. It then sees the key gone, so that its removal is logged.
    fn meets_expired(&self, db: DatabaseIndex, entry: &Entry) -> bool {
        let expired = entry.expired(self.now_ms);
        if expired {
            let hash = self.databases[usize::from(db)].table.hash(entry.key());
            self.met_expired.borrow_mut().push((db, hash, entry.key.clone()));
            self.depend_on(self.batch);
        }
        expired
    }

    // Writing. Each of these is one effect: encoded, applied to the tip, and its inverse kept.

    /// The key holds this value and expiry (0: none), whatever it held.
    #[inline]
    pub fn put(&mut self, db: DatabaseIndex, key: &[u8], value: NewValue<'_>, expires_ms: u64) {
        if self.view.is_some() {
            return self.put_in_view(db, key, value, expires_ms);
        }
        let mut digits = itoa::Buffer::new();
        let bytes: &[u8] = match &value {
            NewValue::Bytes(bytes) | NewValue::Text(bytes) => bytes,
            NewValue::Int(number) => digits.format(*number).as_bytes(),
            NewValue::Owned(bytes) => bytes,
        };
        self.open_batch();
        let at = Effect::Put { db, key, value: bytes, expires_ms }.encode(&mut self.body);
        let value = value.into_value(self.large_bytes_min);
        if let Value::Large(string) = &value {
            self.large.push((string.clone(), at));
        }
        self.store(db, key, value, expires_ms);
    }

    /// Removes a key; whether it was there (an expired one was not).
    pub fn remove(&mut self, db: DatabaseIndex, key: &[u8]) -> bool {
        if self.view.is_some() {
            return self.remove_in_view(db, key);
        }
        let hash = self.databases[usize::from(db)].table.hash(key);
        if self.is_looked_over {
            self.note_key(db, hash);
        }
        let Some(expires_ms) = self.databases[usize::from(db)].table.find(hash, key).map(Entry::expires_ms) else {
            self.depend_on(self.uncommitted.newest(db, Uncommitted::place(db, hash)));
            return false;
        };
        self.log(Effect::Remove { db, key });
        self.take(db, hash, key, false);
        expires_ms == 0 || expires_ms > self.now_ms
    }

    /// Gives a key that exists another expiry (0: none).
    pub fn set_expiry(&mut self, db: DatabaseIndex, key: &[u8], expires_ms: u64) {
        if self.view.is_some() {
            return self.set_expiry_in_view(db, key, expires_ms);
        }
        self.log(Effect::Expire { db, key, expires_ms });
        self.expire(db, key, expires_ms);
    }

    /// Adds a tail to a string that exists.
    pub fn append(&mut self, db: DatabaseIndex, key: &[u8], tail: &[u8]) {
        let effect = Effect::Append { db, key, tail };
        if self.view.is_some() {
            return self.write_in_view(effect, db, key, None, tail);
        }
        self.log(effect);
        let offset = self.entry(db, key).value.len();
        self.write_into(db, key, offset, tail);
    }

    /// Writes bytes into a string that exists, which grows with zeros where it was shorter.
    pub fn splice(&mut self, db: DatabaseIndex, key: &[u8], offset: usize, bytes: &[u8]) {
        let effect = Effect::Splice { db, key, offset: offset as u64, bytes };
        if self.view.is_some() {
            return self.write_in_view(effect, db, key, Some(offset), bytes);
        }
        self.log(effect);
        self.write_into(db, key, offset, bytes);
    }

    /// Moves a key that exists, with its expiry, to another name or database of the shard, replacing what that held.
    pub fn rename(&mut self, db: DatabaseIndex, key: &[u8], to_db: DatabaseIndex, to: &[u8]) {
        if self.view.is_some() {
            return self.rename_in_view(db, key, to_db, to);
        }
        self.log(Effect::Rename { db, key, to_db, to });
        self.apply_rename(db, key, to_db, to);
    }

    /// Copies a key that exists, with its expiry, to another name or database of the shard, replacing what that held.
    pub fn copy(&mut self, db: DatabaseIndex, key: &[u8], to_db: DatabaseIndex, to: &[u8]) {
        if self.view.is_some() {
            return self.copy_in_view(db, key, to_db, to);
        }
        self.log(Effect::Copy { db, key, to_db, to });
        let entry = self.entry(db, key);
        let (value, expires_ms) = (entry.value.clone(), entry.expires_ms);
        self.store(to_db, to, value, expires_ms);
    }

    /// Empties a database. The old root is freed in slices, once nothing needs it.
    pub fn flush(&mut self, db: DatabaseIndex) {
        if self.view.is_some() {
            return self.flush_in_view(db);
        }
        self.log(Effect::Flush { db });
        self.apply_flush(db);
    }

    /// Logs the removal of the expired keys that reads have met since the last call. They survive an undo.
    pub fn remove_met_expired(&mut self) {
        if self.met_expired.get_mut().is_empty() {
            return;
        }
        let met = self.met_expired.take();
        for (db, hash, key) in &met {
            self.remove_expired(*db, *hash, key.as_bytes());
        }
        let mut met = met;
        met.clear();
        *self.met_expired.get_mut() = met;
    }

    /// Logs the removal of keys that expired, at most `removals_max` of them; whether more are due.
    pub fn expire_due(&mut self, removals_max: usize) -> bool {
        let mut looks = removals_max;
        for db in 0..DATABASES_MAX {
            while let Some((hash, key)) = self.databases[usize::from(db)].next_expired(self.now_ms, &mut looks) {
                self.remove_expired(db, hash, key.as_bytes());
            }
        }
        looks == 0
    }

    /// The next second (Unix) at which some key may expire.
    pub fn next_expiry_s(&self) -> Option<u32> {
        self.databases.iter().filter_map(|database| database.schedule.next_s()).min()
    }

    pub(super) fn remove_expired(&mut self, db: DatabaseIndex, hash: u64, key: &[u8]) {
        let expired = self.databases[usize::from(db)].table.find(hash, key).is_some_and(|e| e.expired(self.now_ms));
        if expired {
            self.log(Effect::Remove { db, key });
            self.take(db, hash, key, true);
            self.expired_keys += 1;
        }
    }

    #[inline]
    pub(super) fn open_batch(&mut self) {
        if self.body.is_empty() {
            let now = Timestamp::from_unix_ms(self.now_ms);
            self.batch_timestamp = now.max(Timestamp(self.batch_timestamp.0 + 1));
            self.body.extend_from_slice(&self.batch_timestamp.0.to_le_bytes());
        }
    }

    #[inline]
    pub(super) fn log(&mut self, effect: Effect<'_>) {
        self.open_batch();
        effect.encode(&mut self.body);
    }

    pub(super) fn entry(&self, db: DatabaseIndex, key: &[u8]) -> &Entry {
        let table = &self.databases[usize::from(db)].table;
        table.find(table.hash(key), key).expect("the effect names a key that exists")
    }
}
