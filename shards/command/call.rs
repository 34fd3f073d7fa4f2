//! What a handler sees while it runs: its arguments, its database, the time.

use crate::command::failure::Failure;
use crate::ids::ShardId;
use crate::keyspace::{DatabaseIndex, Entry, Keyspace, NewValue, Segments, StringBytes};
use bytes::Bytes;
use std::ops::Deref;

/// The arguments of a command, its name first.
#[derive(Clone, Copy)]
pub struct Arguments<'a> {
    list: &'a [&'a [u8]],
    /// Arguments that are owned already, because they are large, with their positions.
    owned: &'a [(usize, Bytes)],
}

impl<'a> Arguments<'a> {
    /// Arguments that are all borrowed.
    pub fn new(list: &'a [&'a [u8]]) -> Self {
        Arguments { list, owned: &[] }
    }

    /// Arguments of which some are owned; `list` has their bytes too.
    pub fn with_owned(list: &'a [&'a [u8]], owned: &'a [(usize, Bytes)]) -> Self {
        Arguments { list, owned }
    }

    /// All of them.
    pub fn list(&self) -> &'a [&'a [u8]] {
        self.list
    }

    /// The owned ones, with their positions.
    pub fn owned(&self) -> &'a [(usize, Bytes)] {
        self.owned
    }

    /// One argument as a value to be kept: taken over without a copy if it is owned.
    pub fn value(&self, position: usize) -> NewValue<'a> {
        match self.owned.iter().find(|&&(owned, _)| owned == position) {
            Some((_, bytes)) => NewValue::Owned(bytes.clone()),
            None => NewValue::Bytes(self.list[position]),
        }
    }
}

impl<'a> Deref for Arguments<'a> {
    type Target = [&'a [u8]];

    fn deref(&self) -> &Self::Target {
        self.list
    }
}

/// One run of one command in its shard.
pub struct Call<'a> {
    /// The shard's keys. Handlers read and write through the methods below where there is one.
    pub keyspace: &'a mut Keyspace,
    /// The database that the connection selected.
    pub db: DatabaseIndex,
    /// The shard's segments, for large strings.
    pub segments: &'a dyn Segments,
    /// The shard that the call runs in.
    pub shard: ShardId,
    /// How many shards there are.
    pub shards: u16,
    /// How many databases there are.
    pub databases: u8,
    /// The longest string, in bytes (`proto-max-bulk-len`).
    pub string_bytes_max: usize,
    /// The shard's random numbers.
    pub entropy: &'a mut Entropy,
}

/// Random numbers from a seed that the shell gave (splitmix64; Steele, Lea and Flood, 2014).
#[derive(Clone, Debug)]
pub struct Entropy(u64);

impl Entropy {
    /// Numbers that follow from `seed`.
    pub fn new(seed: u64) -> Self {
        Entropy(seed)
    }

    /// The next one.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

impl Call<'_> {
    /// The time of the request, in Unix milliseconds; frozen while a script or EXEC runs.
    pub fn now_ms(&self) -> u64 {
        self.keyspace.now_ms()
    }

    /// The entry of a key, if it is there and has not expired.
    #[inline]
    pub fn read(&self, key: &[u8]) -> Option<&Entry> {
        self.keyspace.read(self.db, key)
    }

    /// The string at a key.
    ///
    /// # Errors
    /// [`Failure::Cold`] if its bytes must be brought in first.
    #[inline]
    pub fn string(&self, key: &[u8]) -> Result<Option<StringBytes<'_>>, Failure> {
        match self.keyspace.read(self.db, key) {
            Some(entry) => Ok(Some(entry.value().bytes(self.segments)?)),
            None => Ok(None),
        }
    }

    /// The key holds this now, and expires then (Unix milliseconds; 0: never).
    #[inline]
    pub fn put(&mut self, key: &[u8], value: NewValue<'_>, expires_ms: u64) {
        self.keyspace.put(self.db, key, value, expires_ms);
    }

    /// The key holds this now and keeps its expiry, if it is there.
    pub fn put_keeping_expiry(&mut self, key: &[u8], value: NewValue<'_>) {
        let expires_ms = self.keyspace.peek(self.db, key).map_or(0, Entry::expires_ms);
        self.keyspace.put(self.db, key, value, expires_ms);
    }

    /// Removes a key; whether it was there.
    pub fn remove(&mut self, key: &[u8]) -> bool {
        self.keyspace.remove(self.db, key)
    }

    /// Adds a tail to a string that exists.
    ///
    /// # Errors
    /// [`Failure::Cold`] if its bytes must be brought in first.
    pub fn append(&mut self, key: &[u8], tail: &[u8]) -> Result<(), Failure> {
        self.keyspace.make_writable(self.db, key, self.segments)?;
        self.keyspace.append(self.db, key, tail);
        Ok(())
    }

    /// Writes bytes into a string that exists; it grows with zeros where it was shorter.
    ///
    /// # Errors
    /// [`Failure::Cold`] if its bytes must be brought in first.
    pub fn splice(&mut self, key: &[u8], offset: usize, bytes: &[u8]) -> Result<(), Failure> {
        self.keyspace.make_writable(self.db, key, self.segments)?;
        self.keyspace.splice(self.db, key, offset, bytes);
        Ok(())
    }
}
