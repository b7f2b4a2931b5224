//! Who watches which key, for transactions that run only if nothing changed.

use std::collections::HashMap;

use bytes::Bytes;
use posthouse_types::Timestamp;

use crate::keyspace::{DATABASES, DatabaseIndex, Keyspace};
use crate::table::Table;

/// A key as it was when somebody began to watch it. Give it back to [`Keyspace::unwatch`].
#[derive(Debug, PartialEq, Eq)]
pub struct Watch {
    database: DatabaseIndex,
    key: Bytes,
    version: u64,
}

impl Watch {
    /// Whether it watches this key.
    pub fn is_of(&self, database: DatabaseIndex, key: &[u8]) -> bool {
        self.database == database && self.key == key
    }
}

/// The keys that are watched, by database. A key that nobody watches has no version.
#[derive(Debug)]
pub(crate) struct Watches(Vec<HashMap<Bytes, Watched>>);

#[derive(Debug)]
struct Watched {
    watchers: usize,
    version: u64,
}

impl Default for Watches {
    fn default() -> Watches {
        Watches((0..DATABASES).map(|_| HashMap::new()).collect())
    }
}

impl Watches {
    /// Notes that a key changes.
    pub(crate) fn touch(&mut self, index: DatabaseIndex, key: &[u8]) {
        let watched = &mut self.0[usize::from(index.get())];
        if !watched.is_empty()
            && let Some(watched) = watched.get_mut(key)
        {
            watched.version += 1;
        }
    }

    /// Notes that every key that is there goes.
    pub(crate) fn touch_existing(&mut self, index: DatabaseIndex, tables: &[Table]) {
        let place = usize::from(index.get());
        for (key, watched) in &mut self.0[place] {
            if tables[place].keys.contains(key) {
                watched.version += 1;
            }
        }
    }

    /// Notes that two databases change places: a key changes if it is in either.
    pub(crate) fn touch_swapped(
        &mut self,
        left: DatabaseIndex,
        right: DatabaseIndex,
        tables: &[Table],
    ) {
        let (left, right) = (usize::from(left.get()), usize::from(right.get()));
        for place in [left, right] {
            for (key, watched) in &mut self.0[place] {
                if tables[left].keys.contains(key) || tables[right].keys.contains(key) {
                    watched.version += 1;
                }
            }
        }
    }
}

impl Keyspace {
    /// Begins to watch a key.
    pub fn watch(&mut self, database: DatabaseIndex, key: &[u8], now: Timestamp) -> Watch {
        // A key that has expired already is gone now and does not go later.
        self.database(database, now).remove_if_expired(database, key);
        let key = Bytes::copy_from_slice(key);
        let watched = self.watches.0[usize::from(database.get())]
            .entry(key.clone())
            .or_insert(Watched { watchers: 0, version: 0 });
        watched.watchers += 1;
        Watch { database, key, version: watched.version }
    }

    /// Whether a watched key changed, or has expired.
    pub fn is_changed(&self, watch: &Watch, now: Timestamp) -> bool {
        let place = usize::from(watch.database.get());
        let version = self.watches.0[place].get(&watch.key).map(|watched| watched.version);
        let entry = self.tables[place].keys.get(&watch.key);
        let expired = entry.and_then(|entry| entry.expires).is_some_and(|at| at <= now.as_ms());
        version != Some(watch.version) || expired
    }

    /// Watches a key no longer.
    pub fn unwatch(&mut self, watch: Watch) {
        let watched = &mut self.watches.0[usize::from(watch.database.get())];
        if let Some(entry) = watched.get_mut(&watch.key) {
            entry.watchers -= 1;
            if entry.watchers == 0 {
                watched.remove(&watch.key);
            }
        }
    }
}
