//! Streams as keys: a key may hold a stream, whose entries are elsewhere.
//!
//! Owns which key holds which stream, so that a stream is listed, expires, is renamed and is flushed
//! as every key is. Does not hold entries: those are in the stream's topic, which the owner of this
//! state machine makes before a key holds it, and deletes after none does.
//!
//! # Invariants
//! - A stream that no key holds any more is doomed until it is buried, through restarts, so that no
//!   topic stays behind because of a crash.

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;

use crate::database::Database;
use crate::effect::Change;
use crate::error::KeyError;
use crate::keyspace::{DatabaseIndex, Keyspace};
use crate::value::Value;

/// A stream, by the id of its topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamTopic(pub [u8; 16]);

/// Which streams keys hold, and which they held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StreamTopics {
    /// By how many keys: two for a moment, while a snapshot is taken and a key gets another name.
    held: HashMap<StreamTopic, usize>,
    doomed: BTreeSet<StreamTopic>,
    /// Counts every time that a key holds another stream than before.
    pub(crate) bindings: u64,
}

impl StreamTopics {
    /// Whether there is nothing to keep count of.
    pub(crate) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// A key holds it.
    pub(crate) fn hold(&mut self, topic: StreamTopic) {
        self.bindings += 1;
        *self.held.entry(topic).or_default() += 1;
        self.doomed.remove(&topic);
    }

    /// A key no longer holds it.
    pub(crate) fn release(&mut self, topic: StreamTopic) {
        let Some(count) = self.held.get_mut(&topic) else { return };
        self.bindings += 1;
        *count -= 1;
        if *count == 0 {
            self.held.remove(&topic);
            self.doomed.insert(topic);
        }
    }

    /// No key holds it, as far as is known.
    pub(crate) fn doom(&mut self, topic: StreamTopic) {
        if !self.held.contains_key(&topic) {
            self.doomed.insert(topic);
        }
    }

    /// It is no more.
    pub(crate) fn bury(&mut self, topic: StreamTopic) {
        self.doomed.remove(&topic);
    }

    /// Those that no key holds any more.
    pub(crate) fn doomed(&self) -> impl Iterator<Item = StreamTopic> {
        self.doomed.iter().copied()
    }
}

impl Database<'_> {
    /// The stream that a key holds.
    pub fn stream(&mut self, key: &[u8]) -> Result<Option<StreamTopic>, KeyError> {
        match self.entry(key).map(|entry| &entry.value) {
            None => Ok(None),
            Some(Value::Stream(topic)) => Ok(Some(*topic)),
            Some(_) => Err(KeyError::WrongType),
        }
    }

    /// Makes a key hold a stream; one that holds anything keeps it.
    pub fn set_stream(&mut self, key: &[u8], topic: StreamTopic) -> Result<(), KeyError> {
        if self.entry(key).is_some() {
            return Err(KeyError::KeyExists);
        }
        self.commit(Change::SetStream { key: Self::own(key), topic });
        Ok(())
    }
}

impl Keyspace {
    /// Streams that no key holds any more, and that are still to be buried.
    pub fn doomed_streams(&self) -> Vec<StreamTopic> {
        self.streams.doomed().collect()
    }

    /// Whether there is any such.
    pub fn has_doomed_streams(&self) -> bool {
        self.streams.doomed().next().is_some()
    }

    /// Counts every time that a key holds another stream than before, or none any more.
    pub fn stream_bindings(&self) -> u64 {
        self.streams.bindings
    }

    /// Whether a key holds this stream, or one did and it is not buried yet.
    pub fn knows_stream(&self, topic: StreamTopic) -> bool {
        self.streams.held.contains_key(&topic) || self.streams.doomed.contains(&topic)
    }

    /// Whether a key holds this stream.
    pub fn holds_stream(&self, topic: StreamTopic) -> bool {
        self.streams.held.contains_key(&topic)
    }

    /// Every stream that a key holds.
    pub fn held_streams(&self) -> Vec<StreamTopic> {
        self.streams.held.keys().copied().collect()
    }

    /// Every stream that a key holds, with the key. Looks at every key.
    pub fn streams(&self) -> Vec<(DatabaseIndex, Bytes, StreamTopic)> {
        let mut all = Vec::with_capacity(self.streams.held.len());
        for index in DatabaseIndex::all() {
            for (key, entry) in self.table(index).keys.iter() {
                if let Value::Stream(topic) = entry.value {
                    all.push((index, key.clone(), topic));
                }
            }
        }
        all
    }

    /// A doomed stream is gone.
    pub fn bury_stream(&mut self, topic: StreamTopic) {
        if self.streams.doomed.contains(&topic) {
            self.commit(DatabaseIndex::default(), Change::BuryStream { topic });
        }
    }

    /// Tells those who watch a key that the stream it holds has other entries.
    pub fn stream_changed(&mut self, index: DatabaseIndex, key: &[u8]) {
        self.watches.touch(index, key);
    }

    /// The stream that a key holds, expired or not.
    pub(crate) fn stream_at(&self, index: usize, key: &[u8]) -> Option<StreamTopic> {
        match self.tables[index].keys.get(key)?.value {
            Value::Stream(topic) => Some(topic),
            _ => None,
        }
    }
}
