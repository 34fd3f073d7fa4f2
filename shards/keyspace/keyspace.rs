//! The keyspace of one shard: the tip that commands run against, and the batch of effects that this tick gathers.

use crate::ids::{Batch, SegmentId, Timestamp};
use crate::keyspace::database::{Database, Watched};
use crate::keyspace::effect::{DATABASES_MAX, DatabaseIndex, Effect, NewValue};
use crate::keyspace::entry::{ENTRY_BYTES, Entry};
use crate::keyspace::large::{LargeString, Place, SegmentBytes};
use crate::keyspace::table::Table;
use crate::keyspace::text::Text;
use crate::keyspace::uncommitted::Uncommitted;
use crate::keyspace::undo::{Inverse, Root, Undo};
use crate::keyspace::value::{ColdRange, Segments, Value};
use crate::keyspace::versions::{Chain, Version};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

/// Room that is kept in an empty body for the next batch, in bytes; more is given back.
const BODY_KEEP_BYTES_MAX: usize = 1 << 20;

/// What a batch becomes: the body of one Raft entry.
pub struct ClosedBatch {
    /// Its number.
    pub batch: Batch,
    /// Its timestamp.
    pub timestamp: Timestamp,
    /// Its timestamp (8 bytes, little endian), then its effects, encoded.
    pub body: Vec<u8>,
    /// The large strings in it, and where their bytes start in the body.
    pub large: Vec<(Rc<LargeString>, usize)>,
}

/// A place in the gathering batch that can be gone back to.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    undo: usize,
    body: usize,
    large: usize,
}

/// The keyspace of one shard.
pub struct Keyspace {
    pub(super) databases: Vec<Database>,
    uncommitted: Uncommitted,
    now_ms: u64,
    /// The newest batch that anything read since [`Keyspace::take_gate`] depends on.
    gate: Cell<Batch>,
    /// Reads that found their key, and those that did not.
    lookups: Cell<(u64, u64)>,
    /// Expired keys that a read met; their removal is logged by [`Keyspace::remove_met_expired`].
    met_expired: RefCell<Vec<(DatabaseIndex, u64, Text)>>,
    batch: Batch,
    /// The last batch that closed and was not taken back; 0 is none.
    closed: Batch,
    batch_timestamp: Timestamp,
    body: Vec<u8>,
    large: Vec<(Rc<LargeString>, usize)>,
    undo: Vec<Undo>,
    kept: VecDeque<(Batch, Vec<Undo>)>,
    spare_undo: Vec<Vec<Undo>>,
    pub(super) pins: BTreeMap<Timestamp, usize>,
    garbage: Vec<Table<Entry>>,
    changes: u64,
    watches: usize,
    memory_bytes: usize,
    large_bytes_min: usize,
    segments: BTreeMap<SegmentId, Rc<SegmentBytes>>,
    expired_keys: u64,
    /// Large strings that have a copy in memory, oldest first, as they became durable.
    pub(super) warm: VecDeque<Rc<LargeString>>,
    pub(super) warm_bytes: usize,
}

impl Keyspace {
    /// An empty keyspace. Keys are hashed with `seed`; strings of `large_bytes_min` bytes or more live in the log.
    pub fn new(seed: u64, large_bytes_min: usize) -> Self {
        Keyspace {
            databases: (0..DATABASES_MAX).map(|_| Database::new(seed)).collect(),
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
            pins: BTreeMap::new(),
            garbage: Vec::new(),
            changes: 0,
            watches: 0,
            memory_bytes: 0,
            large_bytes_min,
            segments: BTreeMap::new(),
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

    fn now_s(&self) -> u32 {
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

    #[inline]
    fn depend_on(&self, batch: Batch) {
        if batch > self.gate.get() {
            self.gate.set(batch);
        }
    }

    /// Adds what a read of the whole database depends on to the gate.
    pub fn depend_on_database(&self, db: DatabaseIndex) {
        self.depend_on(self.uncommitted.newest_of_database(db));
    }

    /// The newest batch that what was read or written since the last call depends on; 0 is none.
    #[inline]
    pub fn take_gate(&mut self) -> Batch {
        self.gate.replace(Batch(0))
    }

    /// How many keys a database has, expired ones that nobody met yet included (as in Redis).
    pub fn len(&self, db: DatabaseIndex) -> usize {
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

    /// Visits entries from a scan position on, expired ones left out; the position to go on from (see [`Table::scan`]).
    pub fn scan(&self, db: DatabaseIndex, position: u64, count: usize, visit: &mut dyn FnMut(&Entry)) -> Option<u64> {
        self.depend_on_database(db);
        let now_ms = self.now_ms;
        self.databases[usize::from(db)].table.scan(position, count, &mut |entry| {
            if !entry.expired(now_ms) {
                visit(entry);
            }
        })
    }

    /// Every entry of a database that has not expired, in no order.
    pub fn entries(&self, db: DatabaseIndex) -> impl Iterator<Item = &Entry> {
        self.depend_on_database(db);
        let now_ms = self.now_ms;
        self.databases[usize::from(db)].table.iter().filter(move |entry| !entry.expired(now_ms))
    }

    /// Some entry that has not expired, chosen by `entropy`; none if the database is empty or nearly all expired.
    pub fn random(&self, db: DatabaseIndex, entropy: u64) -> Option<&Entry> {
        self.depend_on_database(db);
        let table = &self.databases[usize::from(db)].table;
        (0..100)
            .filter_map(|turn: u64| table.random(entropy.wrapping_add(turn.wrapping_mul(0x9e37_79b9_7f4a_7c15))))
            .find(|entry| !entry.expired(self.now_ms))
    }

    // Writing. Each of these is one effect: encoded, applied to the tip, and its inverse kept.

    /// The key holds this value and expiry (0: none), whatever it held.
    #[inline]
    pub fn put(&mut self, db: DatabaseIndex, key: &[u8], value: NewValue<'_>, expires_ms: u64) {
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
        let hash = self.databases[usize::from(db)].table.hash(key);
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
        self.log(Effect::Expire { db, key, expires_ms });
        self.expire(db, key, expires_ms);
    }

    /// Adds a tail to a string that exists.
    pub fn append(&mut self, db: DatabaseIndex, key: &[u8], tail: &[u8]) {
        self.log(Effect::Append { db, key, tail });
        let offset = self.entry(db, key).value.len();
        self.write_into(db, key, offset, tail);
    }

    /// Writes bytes into a string that exists, which grows with zeros where it was shorter.
    pub fn splice(&mut self, db: DatabaseIndex, key: &[u8], offset: usize, bytes: &[u8]) {
        self.log(Effect::Splice { db, key, offset: offset as u64, bytes });
        self.write_into(db, key, offset, bytes);
    }

    /// Moves a key that exists, with its expiry, to another name or database of the shard, replacing what that held.
    pub fn rename(&mut self, db: DatabaseIndex, key: &[u8], to_db: DatabaseIndex, to: &[u8]) {
        self.log(Effect::Rename { db, key, to_db, to });
        self.apply_rename(db, key, to_db, to);
    }

    /// Copies a key that exists, with its expiry, to another name or database of the shard, replacing what that held.
    pub fn copy(&mut self, db: DatabaseIndex, key: &[u8], to_db: DatabaseIndex, to: &[u8]) {
        self.log(Effect::Copy { db, key, to_db, to });
        let entry = self.entry(db, key);
        let (value, expires_ms) = (entry.value.clone(), entry.expires_ms);
        self.store(to_db, to, value, expires_ms);
    }

    /// Empties a database. The old root is freed in slices, once nothing needs it.
    pub fn flush(&mut self, db: DatabaseIndex) {
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

    fn remove_expired(&mut self, db: DatabaseIndex, hash: u64, key: &[u8]) {
        let expired = self.databases[usize::from(db)].table.find(hash, key).is_some_and(|e| e.expired(self.now_ms));
        if expired {
            self.log(Effect::Remove { db, key });
            self.take(db, hash, key, true);
            self.expired_keys += 1;
        }
    }

    #[inline]
    fn open_batch(&mut self) {
        if self.body.is_empty() {
            let now = Timestamp::from_unix_ms(self.now_ms);
            self.batch_timestamp = now.max(Timestamp(self.batch_timestamp.0 + 1));
            self.body.extend_from_slice(&self.batch_timestamp.0.to_le_bytes());
        }
    }

    #[inline]
    fn log(&mut self, effect: Effect<'_>) {
        self.open_batch();
        effect.encode(&mut self.body);
    }

    fn entry(&self, db: DatabaseIndex, key: &[u8]) -> &Entry {
        let table = &self.databases[usize::from(db)].table;
        table.find(table.hash(key), key).expect("the effect names a key that exists")
    }

    // Applying: the tip, the versions that pins want, the marks and the inverses.

    /// Marks the key as touched by the gathering batch, tells its watchers, keeps the version that a pin wants.
    #[inline]
    fn touch(&mut self, db: DatabaseIndex, hash: u64, key: &[u8]) -> (crate::keyspace::uncommitted::Place, Batch) {
        let place = Uncommitted::place(db, hash);
        let previous = self.uncommitted.mark(db, place, self.batch);
        self.depend_on(self.batch);
        self.changes += 1;
        if self.watches != 0 {
            let changes = self.changes;
            if let Some(watched) = self.databases[usize::from(db)].watched.find_mut(hash, key) {
                watched.changed = changes;
            }
        }
        if let Some((&newest, _)) = self.pins.last_key_value() {
            self.keep_version(newest, db, hash, key);
        }
        (place, previous)
    }

    fn keep_version(&mut self, newest_pin: Timestamp, db: DatabaseIndex, hash: u64, key: &[u8]) {
        let displaced = self.batch_timestamp;
        let database = &mut self.databases[usize::from(db)];
        if database.versions.find(hash, key).is_some_and(|chain| !chain.wants(newest_pin)) {
            return;
        }
        let held: Version = database.table.find(hash, key).map(|entry| (entry.value.clone(), entry.expires_ms));
        match database.versions.find_mut(hash, key) {
            Some(chain) => chain.push(displaced, held),
            None => {
                let mut chain = Chain::new(key);
                chain.push(displaced, held);
                database.versions.insert(hash, Box::new(chain));
            }
        }
    }

    #[inline]
    fn store(&mut self, db: DatabaseIndex, key: &[u8], value: Value, expires_ms: u64) {
        let now_s = self.now_s();
        let hash = self.databases[usize::from(db)].table.hash(key);
        let mark = Some(self.touch(db, hash, key));
        let new_bytes = value.heap_bytes();
        let displaced = self.databases[usize::from(db)].store(hash, key, value, expires_ms, now_s);
        let inverse = match displaced {
            None => {
                let key = Text::new(key);
                self.account(db, (ENTRY_BYTES + key.heap_bytes() + new_bytes) as isize);
                Inverse::Absent { key }
            }
            Some((value, expires_ms)) => {
                self.account(db, new_bytes as isize - value.heap_bytes() as isize);
                Inverse::Held { key: Text::new(key), value, expires_ms }
            }
        };
        self.undo.push(Undo { db, survives: false, mark, inverse });
    }

    fn take(&mut self, db: DatabaseIndex, hash: u64, key: &[u8], survives: bool) {
        let mark = Some(self.touch(db, hash, key));
        let entry = self.databases[usize::from(db)].take(hash, key).expect("the key was just seen");
        self.account(db, -(entry.memory_bytes() as isize));
        self.undo.push(Undo { db, survives, mark, inverse: Inverse::PutBack { entry } });
    }

    fn expire(&mut self, db: DatabaseIndex, key: &[u8], expires_ms: u64) {
        let hash = self.databases[usize::from(db)].table.hash(key);
        let mark = Some(self.touch(db, hash, key));
        let old = self.databases[usize::from(db)].set_expiry(hash, key, expires_ms);
        self.undo.push(Undo {
            db,
            survives: false,
            mark,
            inverse: Inverse::Expired { key: Text::new(key), expires_ms: old },
        });
    }

    /// The string's bytes as a buffer that can be written to. A large string must be in memory: commands see to that before they
    /// log an effect, recovery reads it from the log.
    fn write_into(&mut self, db: DatabaseIndex, key: &[u8], offset: usize, bytes: &[u8]) {
        let now_s = self.now_s();
        let hash = self.databases[usize::from(db)].table.hash(key);
        let mark = Some(self.touch(db, hash, key));
        let entry = self.databases[usize::from(db)].table.find_mut(hash, key).expect("the string exists");
        entry.accessed_s.set(now_s);
        let before = entry.value.heap_bytes();
        let end = offset + bytes.len();
        let inverse = match &mut entry.value {
            Value::Buffer(buffer) => {
                let (len, capacity) = (buffer.len(), buffer.capacity());
                let old: Box<[u8]> = buffer.get(offset..end.min(len)).unwrap_or_default().into();
                if end > len {
                    buffer.resize(end, 0);
                }
                buffer[offset..end].copy_from_slice(bytes);
                let spliced = Inverse::Spliced { key: Text::new(key), offset, bytes: old };
                if end <= len {
                    spliced
                } else {
                    // Taken back in this order: what was overwritten, then the length.
                    let grown = Inverse::Grown { key: Text::new(key), len, capacity };
                    if offset < len {
                        self.undo.push(Undo { db, survives: false, mark, inverse: grown });
                        spliced
                    } else {
                        grown
                    }
                }
            }
            other => {
                // The first write in place replaces the value by a buffer; the old one is the inverse.
                let no_segments = NoSegments;
                let mut buffer = match other.bytes(&no_segments) {
                    Ok(old) => {
                        let mut buffer = Vec::with_capacity(old.len().max(offset + bytes.len()));
                        buffer.extend_from_slice(&old);
                        buffer
                    }
                    Err(range) => panic!("a large string is brought into memory before it is written to: {range:?}"),
                };
                if end > buffer.len() {
                    buffer.resize(end, 0);
                }
                buffer[offset..end].copy_from_slice(bytes);
                let value = std::mem::replace(other, Value::Buffer(Box::new(buffer)));
                Inverse::Held { key: Text::new(key), value, expires_ms: entry.expires_ms }
            }
        };
        let grown = entry.value.heap_bytes() as isize - before as isize;
        self.account(db, grown);
        self.undo.push(Undo { db, survives: false, mark, inverse });
    }

    #[inline]
    fn account(&mut self, db: DatabaseIndex, delta: isize) {
        let database = &mut self.databases[usize::from(db)];
        database.memory_bytes = database.memory_bytes.checked_add_signed(delta).expect("memory is given back once");
        self.memory_bytes = self.memory_bytes.checked_add_signed(delta).expect("memory is given back once");
    }

    fn apply_rename(&mut self, db: DatabaseIndex, key: &[u8], to_db: DatabaseIndex, to: &[u8]) {
        let hash = self.databases[usize::from(db)].table.hash(key);
        let entry = self.entry(db, key);
        let (value, expires_ms) = (entry.value.clone(), entry.expires_ms);
        self.take(db, hash, key, false);
        self.store(to_db, to, value, expires_ms);
    }

    fn apply_flush(&mut self, db: DatabaseIndex) {
        let flushed = self.uncommitted.mark_flushed(db, self.batch);
        self.depend_on(self.batch);
        self.changes += 1;
        let changes = self.changes;
        let pinned = !self.pins.is_empty();
        let database = &mut self.databases[usize::from(db)];
        if self.watches != 0 {
            database.tell_all_watchers(changes);
        }
        let seed = database.table.seed();
        let table = Rc::new(std::mem::replace(&mut database.table, Table::new(seed)));
        let memory_bytes = std::mem::take(&mut database.memory_bytes);
        self.memory_bytes -= memory_bytes;
        if pinned {
            database.roots.push((self.batch_timestamp, table.clone()));
        }
        let root = Root {
            table,
            expiring: std::mem::take(&mut database.expiring),
            schedule: std::mem::take(&mut database.schedule),
            memory_bytes,
        };
        self.undo.push(Undo {
            db,
            survives: false,
            mark: None,
            inverse: Inverse::Root { root: Box::new(root), flushed },
        });
    }

    // The life of a batch.

    /// The number of the batch that gathers now.
    pub fn batch(&self) -> Batch {
        self.batch
    }

    /// Bytes of effects that the gathering batch holds.
    pub fn body_bytes(&self) -> usize {
        self.body.len()
    }

    /// The place in the gathering batch that [`Keyspace::undo_to`] goes back to.
    pub fn mark(&self) -> Mark {
        Mark { undo: self.undo.len(), body: self.body.len(), large: self.large.len() }
    }

    /// Whether anything was written since the mark.
    pub fn wrote_since(&self, mark: Mark) -> bool {
        self.body.len() != mark.body
    }

    /// Takes back everything written since the mark. Keys that had expired at the mark and were removed since are removed anew: their
    /// removal survives. (What was given a time in the past since the mark was not expired there, and comes back as it was.)
    pub fn undo_to(&mut self, mark: Mark) {
        let mut expired = Vec::new();
        while self.undo.len() > mark.undo {
            let undo = self.undo.pop().expect("its length was just looked at");
            if let (true, Inverse::PutBack { entry }) = (undo.survives, &undo.inverse) {
                expired.push((undo.db, entry.key.clone()));
                self.expired_keys -= 1;
            }
            self.invert(undo);
        }
        self.body.truncate(mark.body);
        self.large.truncate(mark.large);
        for (db, key) in expired.into_iter().rev() {
            let hash = self.databases[usize::from(db)].table.hash(key.as_bytes());
            self.remove_expired(db, hash, key.as_bytes());
        }
        self.remove_met_expired();
        if self.body.is_empty() {
            // Nothing is left of the batch, which may never close then: nothing may wait for it.
            self.gate.set(self.gate.get().min(self.closed));
            self.uncommitted.unmark_databases(self.closed);
        }
    }

    /// Ends the gathering batch and begins the next; none if it holds nothing.
    pub fn close_batch(&mut self) -> Option<ClosedBatch> {
        if self.body.is_empty() {
            assert!(self.undo.is_empty(), "what can be undone is in the body");
            return None;
        }
        let spare = self.spare_undo.pop().unwrap_or_default();
        self.kept.push_back((self.batch, std::mem::replace(&mut self.undo, spare)));
        let capacity = self.body.len().min(BODY_KEEP_BYTES_MAX);
        let closed = ClosedBatch {
            batch: self.batch,
            timestamp: self.batch_timestamp,
            body: std::mem::replace(&mut self.body, Vec::with_capacity(capacity)),
            large: std::mem::take(&mut self.large),
        };
        self.closed = self.batch;
        self.batch = Batch(self.batch.0 + 1);
        Some(closed)
    }

    /// The batches up to this one cannot be undone any more: their inverses go.
    pub fn delivered(&mut self, batch: Batch) {
        while self.kept.front().is_some_and(|&(kept, _)| kept <= batch) {
            let (_, mut undo) = self.kept.pop_front().expect("its front was just looked at");
            for undo in undo.drain(..) {
                if let Inverse::Root { root, .. } = undo.inverse
                    && let Ok(table) = Rc::try_unwrap(root.table)
                {
                    self.garbage.push(table);
                }
            }
            if self.spare_undo.len() < 4 {
                self.spare_undo.push(undo);
            }
        }
    }

    /// Leadership is lost: takes back every batch that was not delivered, newest first, the gathering one included. Pins and
    /// watches die with the term.
    pub fn undo_undelivered(&mut self) {
        self.met_expired.get_mut().clear();
        for undo in std::mem::take(&mut self.undo).into_iter().rev() {
            self.invert(undo);
        }
        self.body.clear();
        self.large.clear();
        while let Some((_, undo)) = self.kept.pop_back() {
            for undo in undo.into_iter().rev() {
                self.invert(undo);
            }
        }
        self.batch = Batch(self.batch.0 + 1);
        // What is left is committed: nothing waits for the batches that are gone.
        self.closed = Batch(0);
        self.gate.set(Batch(0));
        self.uncommitted = Uncommitted::new();
        self.pins.clear();
        self.drop_versions();
        self.watches = 0;
        for database in &mut self.databases {
            database.watched = Table::new(database.table.seed());
        }
    }

    fn invert(&mut self, undo: Undo) {
        let db = undo.db;
        let now_s = self.now_s();
        if let Some((place, previous)) = undo.mark {
            self.uncommitted.unmark(place, previous);
        }
        let database = &mut self.databases[usize::from(db)];
        match undo.inverse {
            Inverse::Absent { key } => {
                let hash = database.table.hash(key.as_bytes());
                let entry = database.take(hash, key.as_bytes()).expect("an undone key is there");
                self.account(db, -(entry.memory_bytes() as isize));
            }
            Inverse::Held { key, value, expires_ms } => {
                let hash = database.table.hash(key.as_bytes());
                let back = value.heap_bytes() as isize;
                let (gone, _) =
                    database.store(hash, key.as_bytes(), value, expires_ms, now_s).expect("an undone key is there");
                self.account(db, back - gone.heap_bytes() as isize);
            }
            Inverse::PutBack { entry } => {
                let hash = database.table.hash(entry.key());
                let bytes = entry.memory_bytes() as isize;
                database.put_back(hash, entry);
                self.account(db, bytes);
            }
            Inverse::Expired { key, expires_ms } => {
                let hash = database.table.hash(key.as_bytes());
                database.set_expiry(hash, key.as_bytes(), expires_ms);
            }
            Inverse::Spliced { key, offset, bytes } => {
                let hash = database.table.hash(key.as_bytes());
                let entry = database.table.find_mut(hash, key.as_bytes()).expect("an undone key is there");
                if !bytes.is_empty() {
                    entry.value.buffer()[offset..][..bytes.len()].copy_from_slice(&bytes);
                }
            }
            Inverse::Grown { key, len, capacity } => {
                let hash = database.table.hash(key.as_bytes());
                let entry = database.table.find_mut(hash, key.as_bytes()).expect("an undone key is there");
                let before = entry.value.heap_bytes();
                let buffer = entry.value.buffer();
                buffer.truncate(len);
                buffer.shrink_to(capacity);
                let delta = entry.value.heap_bytes() as isize - before as isize;
                self.account(db, delta);
            }
            Inverse::Root { root, flushed } => {
                self.uncommitted.unmark_flushed(db, flushed);
                if database.roots.last().is_some_and(|(_, table)| Rc::ptr_eq(table, &root.table)) {
                    database.roots.pop();
                }
                let table = Rc::try_unwrap(root.table).ok().expect("a pin's root was just taken back");
                self.memory_bytes = self.memory_bytes - database.memory_bytes + root.memory_bytes;
                database.memory_bytes = root.memory_bytes;
                self.garbage.push(std::mem::replace(&mut database.table, table));
                database.expiring = root.expiring;
                database.schedule = root.schedule;
            }
        }
    }

    /// Frees a slice of what flushes left behind; whether there is more.
    pub fn free_garbage(&mut self) -> bool {
        const SEGMENTS_PER_SLICE: usize = 8;
        if let Some(table) = self.garbage.last_mut()
            && !table.free_some(SEGMENTS_PER_SLICE)
        {
            self.garbage.pop();
        }
        !self.garbage.is_empty()
    }

    // Watching.

    /// Watches a key; the number that [`Keyspace::changed_since`] compares with.
    pub fn watch(&mut self, db: DatabaseIndex, key: &[u8]) -> u64 {
        // An expired key is gone for the watcher: its removal is no change.
        let _ = self.peek(db, key);
        self.remove_met_expired();
        let database = &mut self.databases[usize::from(db)];
        let hash = database.watched.hash(key);
        if database.watched.find(hash, key).is_none() {
            database.watched.insert(hash, Box::new(Watched::new(key)));
        }
        let watched = database.watched.find_mut(hash, key).expect("it was just put there");
        watched.watches += 1;
        self.watches += 1;
        self.changes
    }

    /// Stops a watch.
    pub fn unwatch(&mut self, db: DatabaseIndex, key: &[u8]) {
        let database = &mut self.databases[usize::from(db)];
        let hash = database.watched.hash(key);
        let Some(watched) = database.watched.find_mut(hash, key) else { return };
        watched.watches -= 1;
        self.watches -= 1;
        if watched.watches == 0 {
            database.watched.remove(hash, key);
        }
    }

    /// Whether a watched key was changed, or has expired, after its watch began.
    pub fn changed_since(&self, db: DatabaseIndex, key: &[u8], since: u64) -> bool {
        let database = &self.databases[usize::from(db)];
        let hash = database.table.hash(key);
        // What EXEC answers depends on the keys that it looked at.
        self.depend_on(self.uncommitted.newest(db, Uncommitted::place(db, hash)));
        let expired = database.table.find(hash, key).is_some_and(|entry| entry.expired(self.now_ms));
        expired || database.watched.find(hash, key).is_none_or(|watched| watched.changed > since)
    }

    // Memory.

    /// What the keys hold in memory, in bytes: entries, tables, strings that are not in the log alone.
    pub fn memory_bytes(&self) -> usize {
        self.memory_bytes + self.warm_bytes
    }

    /// The tables' own share, in bytes (slow: looks at every table).
    pub fn overhead_bytes(&self) -> usize {
        self.databases.iter().map(|database| database.table.overhead_bytes()).sum()
    }

    /// A large string's bytes are on disk at this place: its copy in memory may go from now on.
    pub fn placed(&mut self, string: &Rc<LargeString>, segment: SegmentId, offset: u64) {
        let segment = self.segment_bytes(segment);
        string.put_at(Place { segment, offset });
        if Rc::strong_count(string) > 1 {
            self.warm_bytes += string.len();
            self.warm.push_back(string.clone());
        }
    }

    /// Lets copies in memory go, oldest first, until they hold no more than `bytes_max`.
    pub fn cool_to(&mut self, bytes_max: usize) {
        while self.warm_bytes > bytes_max {
            let Some(string) = self.warm.pop_front() else { break };
            self.warm_bytes -= string.len();
            string.cool();
        }
    }

    /// The counter of a segment's live bytes.
    pub fn segment_bytes(&mut self, segment: SegmentId) -> Rc<SegmentBytes> {
        self.segments.entry(segment).or_insert_with(|| SegmentBytes::new(segment)).clone()
    }

    /// How many bytes of large strings live in a segment.
    pub fn live_bytes(&self, segment: SegmentId) -> u64 {
        self.segments.get(&segment).map_or(0, |counter| counter.live_bytes())
    }

    /// A segment is gone; nothing refers to it.
    pub fn segment_removed(&mut self, segment: SegmentId) {
        if let Some(counter) = self.segments.remove(&segment) {
            assert_eq!(counter.live_bytes(), 0, "segment {segment} was removed while values lived in it");
        }
    }

    // Applying what the log holds.

    /// Applies an effect of an entry that is committed (recovery, followers). `place` is where the bytes of a `Put`'s value lie
    /// on disk, if they may be referred to there.
    pub fn apply(&mut self, effect: Effect<'_>, place: Option<(SegmentId, u64)>, segments: &dyn Segments) {
        match effect {
            Effect::Put { db, key, value, expires_ms } => {
                let value = match place {
                    Some((segment, offset)) if value.len() >= self.large_bytes_min => {
                        let segment = self.segment_bytes(segment);
                        Value::Large(LargeString::on_disk(Place { segment, offset }, value.len()))
                    }
                    _ => NewValue::Bytes(value).into_value(self.large_bytes_min),
                };
                self.store(db, key, value, expires_ms);
            }
            Effect::PutReference { db, key, expires_ms, segment, offset, len } => {
                let segment = self.segment_bytes(SegmentId(segment));
                let value = Value::Large(LargeString::on_disk(Place { segment, offset }, len as usize));
                self.store(db, key, value, expires_ms);
            }
            Effect::Remove { db, key } => {
                let hash = self.databases[usize::from(db)].table.hash(key);
                if self.databases[usize::from(db)].table.find(hash, key).is_some() {
                    self.take(db, hash, key, false);
                }
            }
            Effect::Expire { db, key, expires_ms } => self.expire(db, key, expires_ms),
            Effect::Append { db, key, tail } => {
                self.warm_up(db, key, segments);
                let offset = self.entry(db, key).value.len();
                self.write_into(db, key, offset, tail);
            }
            Effect::Splice { db, key, offset, bytes } => {
                self.warm_up(db, key, segments);
                self.write_into(db, key, offset as usize, bytes);
            }
            Effect::Rename { db, key, to_db, to } => self.apply_rename(db, key, to_db, to),
            Effect::Copy { db, key, to_db, to } => {
                let entry = self.entry(db, key);
                let (value, expires_ms) = (entry.value.clone(), entry.expires_ms);
                self.store(to_db, to, value, expires_ms);
            }
            Effect::Flush { db } => self.apply_flush(db),
        }
    }

    /// What [`Keyspace::apply`] did since the last call becomes a batch of its own, which is committed: its number.
    pub fn applied(&mut self) -> Batch {
        assert!(self.body.is_empty(), "entries are applied between batches");
        let undo = std::mem::take(&mut self.undo);
        let applied = self.batch;
        self.kept.push_back((applied, undo));
        self.delivered(applied);
        self.gate.set(Batch(0));
        self.closed = applied;
        self.batch = Batch(applied.0 + 1);
        applied
    }

    /// The timestamps of batches stay above this one.
    pub fn advance_timestamp(&mut self, timestamp: Timestamp) {
        self.batch_timestamp = self.batch_timestamp.max(timestamp);
    }

    /// Makes a large string writable: its bytes are copied into a buffer (no effect; the value stays the same).
    /// The range that must be brought in first, if its bytes are cold.
    pub fn make_writable(&mut self, db: DatabaseIndex, key: &[u8], segments: &dyn Segments) -> Result<(), ColdRange> {
        let hash = self.databases[usize::from(db)].table.hash(key);
        let Some(entry) = self.databases[usize::from(db)].table.find_mut(hash, key) else { return Ok(()) };
        let Value::Large(_) = &entry.value else { return Ok(()) };
        let bytes = entry.value.bytes(segments)?.to_vec();
        let before = entry.value.heap_bytes() as isize;
        entry.value = Value::Buffer(Box::new(bytes));
        let delta = entry.value.heap_bytes() as isize - before;
        self.account(db, delta);
        Ok(())
    }

    fn warm_up(&mut self, db: DatabaseIndex, key: &[u8], segments: &dyn Segments) {
        if let Err(range) = self.make_writable(db, key, segments) {
            panic!("recovery reads every range of the log, {range:?} too");
        }
    }

    // Pins.

    /// Pins the state after the last closed batch; the timestamp to read it by. The gathering batch must be empty: a timestamp
    /// never splits an entry.
    pub fn pin(&mut self) -> Timestamp {
        assert!(self.body.is_empty(), "a pin closes the tick's entry first");
        *self.pins.entry(self.batch_timestamp).or_insert(0) += 1;
        self.batch_timestamp
    }

    /// What a key held at a pin: the oldest version that was displaced after it, or the tip.
    pub fn at(&self, db: DatabaseIndex, key: &[u8], start: Timestamp) -> Version {
        let database = &self.databases[usize::from(db)];
        let hash = database.table.hash(key);
        let chain = database.versions.find(hash, key).and_then(|chain| chain.at(start));
        let root = database.roots.iter().find(|(displaced, _)| *displaced > start);
        let held = |table: &Table<Entry>| table.find(hash, key).map(|entry| (entry.value.clone(), entry.expires_ms));
        match (chain, root) {
            (Some((displaced, version)), Some((flushed, _))) if displaced <= flushed => version.clone(),
            (_, Some((_, table))) => held(table),
            (Some((_, version)), None) => version.clone(),
            (None, None) => held(&database.table),
        }
    }

    /// Ends a pin; the versions that only it needed go.
    pub fn unpin(&mut self, pin: Timestamp) {
        let Some(count) = self.pins.get_mut(&pin) else { return };
        *count -= 1;
        if *count == 0 {
            self.pins.remove(&pin);
        }
        if self.pins.is_empty() {
            self.drop_versions();
        }
    }

    fn drop_versions(&mut self) {
        for database in &mut self.databases {
            if !database.versions.is_empty() {
                database.versions = Table::new(database.table.seed());
            }
            for (_, root) in std::mem::take(&mut database.roots) {
                if let Ok(table) = Rc::try_unwrap(root) {
                    self.garbage.push(table);
                }
            }
        }
    }
}

/// Where no segment can be read: values that are in memory need none.
struct NoSegments;

impl Segments for NoSegments {
    fn resident(&self, _: ColdRange) -> Option<&[u8]> {
        None
    }
}
