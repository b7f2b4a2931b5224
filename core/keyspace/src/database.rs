//! A database at a moment: what every operation starts from.

use bytes::Bytes;

use crate::effect::Change;
use crate::error::KeyError;
use crate::keyspace::{DatabaseIndex, Keyspace};
use crate::recalling::Recalling;
use crate::table::Entry;
use crate::value::{Hash, List, Set, SortedSet, Value};

/// A database at a moment. What a Redis command does is one of its methods.
#[derive(Debug)]
pub struct Database<'a> {
    pub(crate) keyspace: &'a mut Keyspace,
    pub(crate) index: DatabaseIndex,
    pub(crate) now: i64,
}

impl Database<'_> {
    /// The moment it is seen at, in milliseconds since 1970.
    pub fn now(&self) -> i64 {
        self.now
    }

    /// What a key holds, unless that has expired.
    pub(crate) fn entry(&mut self, key: &[u8]) -> Option<&Entry> {
        self.remove_if_expired(self.index, key);
        self.keys().get(key)
    }

    /// The keys as they are; some may have expired.
    pub(crate) fn keys(&self) -> &Recalling<Entry> {
        &self.keyspace.table(self.index).keys
    }

    /// Makes a change.
    pub(crate) fn commit(&mut self, change: Change) {
        self.keyspace.commit(self.index, change);
    }

    /// Removes a key of any database whose time has come.
    pub(crate) fn remove_if_expired(&mut self, index: DatabaseIndex, key: &[u8]) {
        let table = self.keyspace.table(index);
        if table.expiries.first().is_none_or(|(first, _)| *first > self.now) {
            return;
        }
        let Some((name, entry)) = table.keys.get_key_value(key) else { return };
        if entry.expires.is_some_and(|at| at <= self.now) {
            let key = name.clone();
            self.keyspace.commit_expired(index, key);
        }
    }

    /// The string at a key.
    pub(crate) fn string(&mut self, key: &[u8]) -> Result<Option<&Bytes>, KeyError> {
        match self.entry(key).map(|entry| &entry.value) {
            None => Ok(None),
            Some(Value::String(string)) => Ok(Some(string)),
            Some(_) => Err(KeyError::WrongType),
        }
    }

    /// The list at a key.
    pub(crate) fn list(&mut self, key: &[u8]) -> Result<Option<&List>, KeyError> {
        match self.entry(key).map(|entry| &entry.value) {
            None => Ok(None),
            Some(Value::List(list)) => Ok(Some(list)),
            Some(_) => Err(KeyError::WrongType),
        }
    }

    /// The hash at a key.
    pub(crate) fn hash(&mut self, key: &[u8]) -> Result<Option<&Hash>, KeyError> {
        match self.entry(key).map(|entry| &entry.value) {
            None => Ok(None),
            Some(Value::Hash(hash)) => Ok(Some(hash)),
            Some(_) => Err(KeyError::WrongType),
        }
    }

    /// The set at a key.
    pub(crate) fn set_at(&mut self, key: &[u8]) -> Result<Option<&Set>, KeyError> {
        match self.entry(key).map(|entry| &entry.value) {
            None => Ok(None),
            Some(Value::Set(set)) => Ok(Some(set)),
            Some(_) => Err(KeyError::WrongType),
        }
    }

    /// The sorted set at a key.
    pub(crate) fn sorted_set(&mut self, key: &[u8]) -> Result<Option<&SortedSet>, KeyError> {
        match self.entry(key).map(|entry| &entry.value) {
            None => Ok(None),
            Some(Value::SortedSet(sorted)) => Ok(Some(sorted)),
            Some(_) => Err(KeyError::WrongType),
        }
    }

    /// A copy of bytes from a peer, so that keeping them does not keep its whole buffer.
    pub(crate) fn own(bytes: &[u8]) -> Bytes {
        Bytes::copy_from_slice(bytes)
    }

    /// Copies of several.
    pub(crate) fn own_all(all: &[&[u8]]) -> Vec<Bytes> {
        all.iter().map(|bytes| Bytes::copy_from_slice(bytes)).collect()
    }
}

/// Where an index counted from either end lies among `len` items, as far as it does.
pub(crate) fn absolute(index: i64, len: usize) -> Option<usize> {
    let len = i64::try_from(len).expect("a length fits");
    let index = if index < 0 { index.checked_add(len)? } else { index };
    if (0..len).contains(&index) { usize::try_from(index).ok() } else { None }
}

/// The range from `start` to `stop`, both included and counted from either end, as start and count.
pub(crate) fn absolute_range(start: i64, stop: i64, len: usize) -> (usize, usize) {
    let len = i64::try_from(len).expect("a length fits");
    let start = if start < 0 { start.saturating_add(len).max(0) } else { start };
    let stop = if stop < 0 { stop.saturating_add(len) } else { stop.min(len - 1) };
    if start > stop || start >= len {
        return (0, 0);
    }
    let count = usize::try_from(stop - start + 1).expect("the range is not empty");
    (usize::try_from(start).expect("the start is not negative"), count)
}
