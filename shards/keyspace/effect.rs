//! Effects: what a write is, resolved and deterministic. The log holds them; followers and recovery apply them.
//!
//! ```text
//! body     := timestamp:u64le effect*
//! effect   := code:u8 db:u8 key:bytes ...
//! bytes    := length:varint byte*
//! varint   := LEB128, unsigned
//! ```

use crate::ids::Timestamp;
use crate::keyspace::value::Value;
use crate::limits::DATABASES_MAX;
use bytes::Bytes;

/// One of the databases that SELECT chooses from.
pub type DatabaseIndex = u8;

/// One resolved change of a shard. Times are absolute Unix milliseconds; 0 means that the key does not expire.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Effect<'a> {
    /// The key holds this string and expiry now, whatever it held.
    Put {
        /// The database.
        db: DatabaseIndex,
        /// The key.
        key: &'a [u8],
        /// The string.
        value: &'a [u8],
        /// When it expires.
        expires_ms: u64,
    },
    /// A string whose bytes lie elsewhere on disk; only checkpoints hold this.
    PutReference {
        /// The database.
        db: DatabaseIndex,
        /// The key.
        key: &'a [u8],
        /// When it expires.
        expires_ms: u64,
        /// The segment's number.
        segment: u64,
        /// Bytes from the segment's start.
        offset: u64,
        /// Length in bytes.
        len: u64,
    },
    /// The key is gone.
    Remove {
        /// The database.
        db: DatabaseIndex,
        /// The key.
        key: &'a [u8],
    },
    /// The key, which exists, expires then.
    Expire {
        /// The database.
        db: DatabaseIndex,
        /// The key.
        key: &'a [u8],
        /// When it expires.
        expires_ms: u64,
    },
    /// The string, which exists, grows by a tail.
    Append {
        /// The database.
        db: DatabaseIndex,
        /// The key.
        key: &'a [u8],
        /// What is added.
        tail: &'a [u8],
    },
    /// The string, which exists, has these bytes there; it grows with zeros where it was shorter.
    Splice {
        /// The database.
        db: DatabaseIndex,
        /// The key.
        key: &'a [u8],
        /// Where.
        offset: u64,
        /// What.
        bytes: &'a [u8],
    },
    /// The value and expiry of a key move to another key of the shard, replacing what it held.
    Rename {
        /// The database.
        db: DatabaseIndex,
        /// The key, which exists.
        key: &'a [u8],
        /// The other key's database.
        to_db: DatabaseIndex,
        /// The other key.
        to: &'a [u8],
    },
    /// The value and expiry of a key are copied to another key of the shard, replacing what it held.
    Copy {
        /// The database.
        db: DatabaseIndex,
        /// The key, which exists.
        key: &'a [u8],
        /// The other key's database.
        to_db: DatabaseIndex,
        /// The other key.
        to: &'a [u8],
    },
    /// The database is empty.
    Flush {
        /// The database.
        db: DatabaseIndex,
    },
    /// The library of functions has this text, whether it was there or not.
    LibraryPut {
        /// Its name.
        name: &'a [u8],
        /// Its text.
        code: &'a [u8],
    },
    /// The library is gone.
    LibraryRemove {
        /// Its name.
        name: &'a [u8],
    },
    /// There are no libraries.
    LibrariesFlush,
}

/// The timestamp before the effects of a body.
pub(super) const TIMESTAMP_BYTES: usize = 8;

const PUT: u8 = 1;
const PUT_REFERENCE: u8 = 2;
const REMOVE: u8 = 3;
const EXPIRE: u8 = 4;
const APPEND: u8 = 5;
const SPLICE: u8 = 6;
const RENAME: u8 = 7;
const COPY: u8 = 8;
const FLUSH: u8 = 9;
// Those of libraries are of no database: theirs is 0, the name stands for the key.
const LIBRARY_PUT: u8 = 10;
const LIBRARY_REMOVE: u8 = 11;
const LIBRARIES_FLUSH: u8 = 12;

/// Bytes that are not an effect; the record that held them is corrupt in a way its checksum did not show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadEffect {
    /// Where in the body, in bytes.
    pub offset: usize,
}

impl Effect<'_> {
    /// Appends the effect's bytes. Returns where in `out` a `Put`'s value starts (others: the end).
    #[inline]
    pub fn encode(&self, out: &mut Vec<u8>) -> usize {
        match *self {
            Effect::Put { db, key, value, expires_ms } => {
                head(out, PUT, db, key);
                varint(out, expires_ms);
                bytes(out, value);
                return out.len() - value.len();
            }
            Effect::PutReference { db, key, expires_ms, segment, offset, len } => {
                head(out, PUT_REFERENCE, db, key);
                for number in [expires_ms, segment, offset, len] {
                    varint(out, number);
                }
            }
            Effect::Remove { db, key } => head(out, REMOVE, db, key),
            Effect::Expire { db, key, expires_ms } => {
                head(out, EXPIRE, db, key);
                varint(out, expires_ms);
            }
            Effect::Append { db, key, tail } => {
                head(out, APPEND, db, key);
                bytes(out, tail);
            }
            Effect::Splice { db, key, offset, bytes: spliced } => {
                head(out, SPLICE, db, key);
                varint(out, offset);
                bytes(out, spliced);
            }
            Effect::Rename { db, key, to_db, to } => {
                head(out, RENAME, db, key);
                out.push(to_db);
                bytes(out, to);
            }
            Effect::Copy { db, key, to_db, to } => {
                head(out, COPY, db, key);
                out.push(to_db);
                bytes(out, to);
            }
            Effect::Flush { db } => head(out, FLUSH, db, b""),
            Effect::LibraryPut { name, code } => {
                head(out, LIBRARY_PUT, 0, name);
                bytes(out, code);
            }
            Effect::LibraryRemove { name } => head(out, LIBRARY_REMOVE, 0, name),
            Effect::LibrariesFlush => head(out, LIBRARIES_FLUSH, 0, b""),
        }
        out.len()
    }
}

/// Appends the bytes of a `Put` up to its value, which the caller puts behind them.
pub fn put_head(out: &mut Vec<u8>, db: DatabaseIndex, key: &[u8], expires_ms: u64, value_bytes: usize) {
    head(out, PUT, db, key);
    varint(out, expires_ms);
    varint(out, value_bytes as u64);
}

#[inline]
fn head(out: &mut Vec<u8>, code: u8, db: DatabaseIndex, key: &[u8]) {
    out.reserve(key.len() + 16);
    out.push(code);
    out.push(db);
    bytes(out, key);
}

#[inline]
fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

#[inline]
fn bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Reads effects one after the other out of an entry's body.
pub struct Effects<'a> {
    body: &'a [u8],
    at: usize,
}

impl<'a> Effects<'a> {
    /// The effects of bytes that are nothing else.
    pub fn new(body: &'a [u8]) -> Self {
        Effects { body, at: 0 }
    }

    /// The timestamp and the effects of an entry's body.
    ///
    /// # Errors
    /// [`BadEffect`] if it is too short to have a timestamp.
    pub fn of_body(body: &'a [u8]) -> Result<(Timestamp, Self), BadEffect> {
        let timestamp = body.first_chunk().ok_or(BadEffect { offset: 0 })?;
        Ok((Timestamp(u64::from_le_bytes(*timestamp)), Effects { body, at: TIMESTAMP_BYTES }))
    }

    /// How far it has read, in bytes of the body. After a `Put`, that is where its value ends.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Goes on at a position that [`Effects::position`] gave for the same body.
    pub fn go_on_at(&mut self, position: usize) {
        self.at = position;
    }

    fn byte(&mut self) -> Result<u8, BadEffect> {
        let byte = *self.body.get(self.at).ok_or(BadEffect { offset: self.at })?;
        self.at += 1;
        Ok(byte)
    }

    fn number(&mut self) -> Result<u64, BadEffect> {
        let start = self.at;
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(BadEffect { offset: start })
    }

    fn slice(&mut self) -> Result<&'a [u8], BadEffect> {
        let start = self.at;
        let len = usize::try_from(self.number()?).map_err(|_| BadEffect { offset: start })?;
        let end = self.at.checked_add(len).ok_or(BadEffect { offset: start })?;
        let slice = self.body.get(self.at..end).ok_or(BadEffect { offset: start })?;
        self.at = end;
        Ok(slice)
    }

    fn database(&mut self) -> Result<DatabaseIndex, BadEffect> {
        let db = self.byte()?;
        if db < DATABASES_MAX { Ok(db) } else { Err(BadEffect { offset: self.at - 1 }) }
    }

    fn effect(&mut self) -> Result<Effect<'a>, BadEffect> {
        let start = self.at;
        let code = self.byte()?;
        let db = self.database()?;
        let key = self.slice()?;
        Ok(match code {
            PUT => {
                let expires_ms = self.number()?;
                Effect::Put { db, key, value: self.slice()?, expires_ms }
            }
            PUT_REFERENCE => Effect::PutReference {
                db,
                key,
                expires_ms: self.number()?,
                segment: self.number()?,
                offset: self.number()?,
                len: self.number()?,
            },
            REMOVE => Effect::Remove { db, key },
            EXPIRE => Effect::Expire { db, key, expires_ms: self.number()? },
            APPEND => Effect::Append { db, key, tail: self.slice()? },
            SPLICE => Effect::Splice { db, key, offset: self.number()?, bytes: self.slice()? },
            RENAME => Effect::Rename { db, key, to_db: self.database()?, to: self.slice()? },
            COPY => Effect::Copy { db, key, to_db: self.database()?, to: self.slice()? },
            FLUSH => Effect::Flush { db },
            LIBRARY_PUT => Effect::LibraryPut { name: key, code: self.slice()? },
            LIBRARY_REMOVE => Effect::LibraryRemove { name: key },
            LIBRARIES_FLUSH => Effect::LibrariesFlush,
            _ => return Err(BadEffect { offset: start }),
        })
    }
}

impl<'a> Iterator for Effects<'a> {
    type Item = Result<Effect<'a>, BadEffect>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.body.len() {
            return None;
        }
        let result = self.effect();
        if result.is_err() {
            self.at = self.body.len();
        }
        Some(result)
    }
}

/// What a command gives a key to hold.
pub enum NewValue<'a> {
    /// Bytes to be copied.
    Bytes(&'a [u8]),
    /// Bytes to be copied, which stay text although they may spell an integer. A restart makes it one, as in Redis.
    Text(&'a [u8]),
    /// An integer.
    Int(i64),
    /// Bytes that are already owned and large.
    Owned(Bytes),
}

impl NewValue<'_> {
    /// The value as it is kept: strings of `large_bytes_min` bytes or more go to the log alone once they are cold.
    pub(crate) fn into_value(self, large_bytes_min: usize) -> Value {
        match self {
            NewValue::Bytes(bytes) if bytes.len() >= large_bytes_min => Value::large(Bytes::copy_from_slice(bytes)),
            NewValue::Bytes(bytes) => Value::string(bytes),
            NewValue::Text(bytes) if bytes.len() < large_bytes_min => Value::text(bytes),
            NewValue::Text(bytes) => Value::large(Bytes::copy_from_slice(bytes)),
            NewValue::Int(number) => Value::Int(number),
            NewValue::Owned(bytes) if bytes.len() >= large_bytes_min => Value::large(bytes),
            NewValue::Owned(bytes) => Value::string(&bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn effects_read_back_and_garbage_never_panics() {
        let effects = [
            Effect::Put { db: 0, key: b"k", value: b"v", expires_ms: 0 },
            Effect::Put { db: 15, key: &[b'k'; 300], value: &[0; 5000], expires_ms: u64::MAX },
            Effect::PutReference { db: 1, key: b"k", expires_ms: 9, segment: 1 << 40, offset: 4096, len: 1 << 30 },
            Effect::Remove { db: 2, key: b"" },
            Effect::Expire { db: 3, key: b"k", expires_ms: 1 },
            Effect::Append { db: 4, key: b"k", tail: b"tail" },
            Effect::Splice { db: 5, key: b"k", offset: 1 << 29, bytes: b"x" },
            Effect::Rename { db: 6, key: b"k", to_db: 7, to: b"l" },
            Effect::Copy { db: 6, key: b"k", to_db: 7, to: b"l" },
            Effect::Flush { db: 8 },
            Effect::LibraryPut { name: b"lib", code: &[b'c'; 200] },
            Effect::LibraryRemove { name: b"lib" },
            Effect::LibrariesFlush,
        ];
        let mut body = Vec::new();
        for effect in &effects {
            effect.encode(&mut body);
        }
        let read: Vec<_> = Effects::new(&body).map(Result::unwrap).collect();
        assert_eq!(read, effects);
        for cut in 0..body.len().min(400) {
            for effect in Effects::new(&body[..cut]) {
                let _ = effect;
            }
            let mut flipped = body.clone();
            flipped[cut] ^= 0x55;
            for effect in Effects::new(&flipped) {
                let _ = effect;
            }
        }
    }
}
