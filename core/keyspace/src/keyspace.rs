//! All databases, and what lies across them.

use bytes::Bytes;
use posthouse_types::Timestamp;

use crate::blocking::Waiters;
use crate::database::Database;
use crate::effect::{Change, Effect};
use crate::error::KeyError;
use crate::notices::{Notices, Removal};
use crate::random::Random;
use crate::streams::StreamTopics;
use crate::table::Table;
use crate::value::Value;
use crate::watch::Watches;

/// How many databases there are.
pub const DATABASES: usize = 16;

/// The number of a database, which exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DatabaseIndex(u8);

impl DatabaseIndex {
    /// Checks a number.
    pub fn new(number: i64) -> Result<DatabaseIndex, KeyError> {
        match u8::try_from(number) {
            Ok(number) if usize::from(number) < DATABASES => Ok(DatabaseIndex(number)),
            _ => Err(KeyError::NoSuchDatabase),
        }
    }

    /// All of them.
    pub fn all() -> impl Iterator<Item = DatabaseIndex> {
        (0..DATABASES).map(|number| DatabaseIndex(u8::try_from(number).expect("databases are few")))
    }

    /// A number that was stored, and checked when it was read.
    pub(crate) fn of_stored(number: u8) -> DatabaseIndex {
        DatabaseIndex(number)
    }

    /// The number.
    pub fn get(self) -> u8 {
        self.0
    }
}

/// Every key of every database.
#[derive(Debug)]
pub struct Keyspace {
    pub(crate) tables: Vec<Table>,
    pub(crate) watches: Watches,
    pub(crate) waiters: Waiters,
    pub(crate) streams: StreamTopics,
    pub(crate) notices: Notices,
    pub(crate) random: Random,
    /// Snapshots that are being taken.
    pub(crate) snapshots: usize,
    /// How often databases changed places: a snapshot that this happens to is worthless.
    pub(crate) swaps: u64,
    /// Encoded as they are made, so that what they hold can move into the tables.
    effects: Vec<u8>,
    expired: u64,
}

impl Keyspace {
    /// No keys. Random members are drawn from `seed`.
    pub fn new(seed: u64) -> Keyspace {
        Keyspace {
            tables: vec![Table::default(); DATABASES],
            watches: Watches::default(),
            waiters: Waiters::default(),
            streams: StreamTopics::default(),
            notices: Notices::default(),
            random: Random::new(seed),
            snapshots: 0,
            swaps: 0,
            effects: Vec::new(),
            expired: 0,
        }
    }

    /// A database at a moment, to operate on.
    pub fn database(&mut self, index: DatabaseIndex, now: Timestamp) -> Database<'_> {
        Database { keyspace: self, index, now: now.as_ms() }
    }

    /// Moves what changed since the last call to the end of `stored`, encoded: to be stored in this
    /// order, and read back by [`Effect::decode_all`].
    pub fn take_effects(&mut self, stored: &mut Vec<u8>) {
        stored.append(&mut self.effects);
    }

    /// Makes a stored change again. It gives no effect.
    pub fn replay(&mut self, effect: Effect) {
        self.apply(usize::from(effect.database), effect.change);
    }

    /// Empties every database.
    pub fn flush_all(&mut self) {
        for index in DatabaseIndex::all() {
            if !self.table(index).keys.is_empty() {
                self.commit(index, Change::Clear);
            }
        }
    }

    /// Makes two databases change places.
    pub fn swap(&mut self, left: DatabaseIndex, right: DatabaseIndex) {
        if left != right {
            self.commit(left, Change::Swap { with: right.0 });
        }
    }

    /// How many keys a database holds, and how many of them expire.
    pub fn sizes(&self, index: DatabaseIndex) -> (usize, usize) {
        let table = self.table(index);
        (table.keys.len(), table.expiries.len())
    }

    /// Bytes that all keys take, but for what the allocator adds.
    pub fn memory(&self) -> usize {
        self.tables.iter().map(|table| table.memory).sum()
    }

    /// How many keys have been removed because their time came.
    pub fn expired(&self) -> u64 {
        self.expired
    }

    /// When the next key expires, in milliseconds since 1970.
    pub fn next_expiry(&self) -> Option<i64> {
        self.tables.iter().filter_map(|table| Some(table.expiries.first()?.0)).min()
    }

    /// Removes up to `budget` expired keys; says how many.
    pub fn expire_some(&mut self, now: Timestamp, budget: usize) -> usize {
        let mut removed = 0;
        for index in DatabaseIndex::all() {
            while removed < budget
                && let Some((at, key)) = self.table(index).expiries.first()
                && *at <= now.as_ms()
            {
                let key = key.clone();
                self.commit_expired(index, key);
                removed += 1;
            }
        }
        removed
    }

    /// The keys of a database.
    pub(crate) fn table(&self, index: DatabaseIndex) -> &Table {
        &self.tables[usize::from(index.0)]
    }

    /// Makes a change and notes it for storing.
    pub(crate) fn commit(&mut self, index: DatabaseIndex, change: Change) {
        self.touch(index, &change);
        let seen = self.look_before(index, &change);
        let effect = Effect { database: index.0, change };
        effect.encode(&mut self.effects);
        self.replay(effect);
        if let Some(seen) = seen {
            self.note(seen);
        }
    }

    /// Removes a key whose time has come.
    pub(crate) fn commit_expired(&mut self, index: DatabaseIndex, key: Bytes) {
        self.notices.removal = Removal::Expiry;
        self.commit(index, Change::Remove { key });
        self.notices.removal = Removal::Asked;
        self.expired += 1;
    }

    /// Tells those who watch the key, and those who wait for it.
    fn touch(&mut self, index: DatabaseIndex, change: &Change) {
        match change {
            Change::Clear => self.watches.touch_existing(index, &self.tables),
            Change::Swap { with } => {
                let with = DatabaseIndex(*with);
                self.watches.touch_swapped(index, with, &self.tables);
                self.waiters.signal_database(index);
                self.waiters.signal_database(with);
            }
            Change::Rename { key, database, to } => {
                self.watches.touch(index, key);
                self.watches.touch(DatabaseIndex(*database), to);
                self.waiters.signal(DatabaseIndex(*database), to);
            }
            other => {
                if let Some(key) = other.key() {
                    self.watches.touch(index, key);
                    self.waiters.signal(index, key);
                }
            }
        }
    }

    fn apply(&mut self, index: usize, change: Change) {
        match change {
            Change::Begin => {
                self.tables.iter_mut().for_each(|table| *table = Table::default());
                self.streams = StreamTopics::default();
            }
            Change::Complete => {}
            Change::Clear => self.clear(index),
            Change::Swap { with } => {
                self.tables.swap(index, usize::from(with));
                self.swaps += 1;
                self.streams.bindings += 1;
            }
            Change::Rename { key, database, to } => self.rename(index, &key, database, to),
            Change::DoomStream { topic } => self.streams.doom(topic),
            Change::BuryStream { topic } => self.streams.bury(topic),
            Change::SetStream { ref key, topic } => {
                let before = self.stream_at(index, key);
                self.tables[index].apply(change);
                // Held before the old one is let go: it may be the same.
                self.streams.hold(topic);
                before.into_iter().for_each(|topic| self.streams.release(topic));
            }
            change => self.apply_to_key(index, change),
        }
    }

    fn apply_to_key(&mut self, index: usize, change: Change) {
        if self.streams.is_empty() {
            return self.tables[index].apply(change);
        }
        let key = change.key().expect("other changes are handled by the caller").clone();
        let before = self.stream_at(index, &key);
        self.tables[index].apply(change);
        if let Some(topic) = before
            && self.stream_at(index, &key).is_none()
        {
            self.streams.release(topic);
        }
    }

    fn clear(&mut self, index: usize) {
        let table = std::mem::take(&mut self.tables[index]);
        if self.streams.is_empty() {
            return;
        }
        for (_, entry) in table.keys.iter() {
            if let Value::Stream(topic) = entry.value {
                self.streams.release(topic);
            }
        }
    }

    fn rename(&mut self, index: usize, key: &Bytes, database: u8, to: Bytes) {
        if let Some(entry) = self.tables[index].take(key) {
            let replaced = self.stream_at(usize::from(database), &to);
            self.tables[usize::from(database)].put(to, entry);
            self.streams.bindings += 1;
            replaced.into_iter().for_each(|topic| self.streams.release(topic));
        }
    }
}
