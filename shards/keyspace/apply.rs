//! Applying what the log holds: recovery, followers, checkpoints.

use crate::ids::{Batch, SegmentId, Timestamp};
use crate::keyspace::effect::{DatabaseIndex, Effect, Effects, NewValue};
use crate::keyspace::keyspace::Keyspace;
use crate::keyspace::large::LargeString;
use crate::keyspace::value::{ColdRange, Segments, Value};
use crate::log::LogPosition;

impl Keyspace {
    /// Applies an effect of an entry that is committed (recovery, followers). `place` is where the bytes of a `Put`'s value lie
    /// on disk, if they may be referred to there.
    pub fn apply(&mut self, effect: Effect<'_>, place: Option<(SegmentId, u64)>, segments: &dyn Segments) {
        match effect {
            Effect::Put { db, key, value, expires_ms } => {
                let value = match place {
                    Some((segment, offset)) if value.len() >= self.large_bytes_min => {
                        let position = LogPosition { segment, offset, bytes: value.len() as u64 };
                        let place =
                            self.segments.value(position).expect("the log was read from segments that are there");
                        Value::Large(LargeString::on_disk(place))
                    }
                    _ => NewValue::Bytes(value).into_value(self.large_bytes_min),
                };
                self.store(db, key, value, expires_ms);
            }
            Effect::PutReference { .. } => panic!("only checkpoints hold references"),
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
            Effect::LibraryPut { name, code } => self.store_library(name, code.into()),
            Effect::LibraryRemove { name } => self.take_library(name),
            Effect::LibrariesFlush => self.set_libraries(Default::default()),
        }
    }

    /// Takes in one item of a checkpoint, whose bytes begin at `place`. The large string's segment and bytes, if it is one.
    ///
    /// # Errors
    /// What is wrong with the item, in words.
    pub fn load(&mut self, item: &[u8], place: LogPosition) -> Result<Option<(SegmentId, u64)>, String> {
        let mut effects = Effects::new(item);
        let effect = effects.next().and_then(Result::ok).ok_or("an item of a checkpoint is no effect")?;
        let (db, key, expires_ms, position) = match effect {
            Effect::Put { db, key, value, expires_ms } => {
                let bytes = value.len() as u64;
                if value.len() < self.large_bytes_min {
                    self.store(db, key, Value::string(value), expires_ms);
                    return Ok(None);
                }
                let offset = place.offset + effects.position() as u64 - bytes;
                (db, key, expires_ms, LogPosition { segment: place.segment, offset, bytes })
            }
            Effect::PutReference { db, key, expires_ms, segment, offset, len } => {
                (db, key, expires_ms, LogPosition { segment: SegmentId(segment), offset, bytes: len })
            }
            Effect::LibraryPut { name, code } => {
                self.store_library(name, code.into());
                return Ok(None);
            }
            other => return Err(format!("an item of a checkpoint is {other:?}")),
        };
        let place = self.segments.value(position).ok_or_else(|| {
            format!("the checkpoint refers to {position}, which is in no file: a segment is missing or cut short")
        })?;
        self.store(db, key, Value::Large(LargeString::on_disk(place)), expires_ms);
        Ok(Some((position.segment, position.bytes)))
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

    /// The effects of an entry follow. A member that led has timestamps from batches that its term took along: what another leader wrote may be
    /// older than these, and is after a pin all the same.
    pub fn begin_entry(&mut self, timestamp: Timestamp) {
        self.batch_timestamp = timestamp.max(Timestamp(self.batch_timestamp.0 + 1));
    }

    /// The timestamps of batches stay above this one.
    pub fn advance_timestamp(&mut self, timestamp: Timestamp) {
        self.batch_timestamp = self.batch_timestamp.max(timestamp);
    }

    /// Makes a large string writable: its bytes are copied into a buffer (no effect; the value stays the same).
    /// The range that must be brought in first, if its bytes are cold.
    pub fn make_writable(&mut self, db: DatabaseIndex, key: &[u8], segments: &dyn Segments) -> Result<(), ColdRange> {
        if self.view.is_some() {
            return self.make_writable_in_view(db, key, segments);
        }
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

    pub(super) fn warm_up(&mut self, db: DatabaseIndex, key: &[u8], segments: &dyn Segments) {
        if let Err(range) = self.make_writable(db, key, segments) {
            panic!("recovery reads every range of the log, {range:?} too");
        }
    }
}
