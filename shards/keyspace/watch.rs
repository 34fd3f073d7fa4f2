//! WATCH: keys whose changes somebody wants to know of.

use crate::keyspace::database::Watched;
use crate::keyspace::effect::DatabaseIndex;
use crate::keyspace::keyspace::Keyspace;
use crate::keyspace::uncommitted::Uncommitted;

impl Keyspace {
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
}
