//! One database: its keys, when they expire, and what they take.
//!
//! # Invariants
//! - A key with an expiry is in `expiries` exactly once, and no other key is.
//! - `memory` is the sum of what the keys take.
//! - No key holds an empty collection.

use std::collections::BTreeSet;

use bytes::{Bytes, BytesMut};

use crate::effect::{Change, End};
use crate::recalling::Recalling;
use crate::value::{Hash, List, Set, SortedSet, Value};

/// What a key takes beside its name and value: the entry, and the name's own buffer.
const KEY_OVERHEAD_BYTES: usize = 56;

/// What a key holds, and until when.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) value: Value,
    pub(crate) expires: Option<i64>,
}

impl Entry {
    /// Bytes it takes together with its key.
    pub(crate) fn memory(&self, key: &[u8]) -> usize {
        KEY_OVERHEAD_BYTES + size_of::<Entry>() + key.len() + self.value.memory()
    }
}

/// The keys of one database.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    pub(crate) keys: Recalling<Entry>,
    pub(crate) expiries: BTreeSet<(i64, Bytes)>,
    pub(crate) memory: usize,
}

impl Table {
    /// Puts an entry at a key, whatever was there.
    pub(crate) fn put(&mut self, key: Bytes, entry: Entry) {
        self.memory += entry.memory(&key);
        if let Some(at) = entry.expires {
            self.expiries.insert((at, key.clone()));
        }
        let Some(present) = self.keys.get_mut(&key) else {
            self.keys.insert(key, entry);
            return;
        };
        // In its place: to take it out and put it in again would move others.
        let (before, expires) = (std::mem::replace(present, entry), present.expires);
        self.memory -= before.memory(&key);
        if let Some(at) = before.expires
            && expires != Some(at)
        {
            self.expiries.remove(&(at, key));
        }
    }

    /// Takes an entry out.
    pub(crate) fn take(&mut self, key: &[u8]) -> Option<Entry> {
        let (key, entry) = self.keys.remove(key)?;
        self.memory -= entry.memory(&key);
        if let Some(at) = entry.expires {
            self.expiries.remove(&(at, key));
        }
        Some(entry)
    }

    /// Makes a change of one key.
    pub(crate) fn apply(&mut self, change: Change) {
        match change {
            Change::Remove { key } => {
                self.take(&key);
            }
            Change::Expire { key, at } => self.expire(&key, at),
            Change::SetString { key, value, expires } => {
                self.put(key, Entry { value: Value::String(value), expires });
            }
            Change::SetStream { key, topic } => {
                self.put(key, Entry { value: Value::Stream(topic), expires: None });
            }
            Change::Splice { key, offset, bytes } => {
                self.modify(&key, new_string, |value| splice(value, offset, &bytes));
            }
            Change::SetFields { .. } | Change::RemoveFields { .. } => self.apply_to_hash(change),
            Change::AddMembers { .. } | Change::RemoveMembers { .. } => self.apply_to_set(change),
            Change::SetScores { .. } | Change::RemoveScores { .. } => {
                self.apply_to_sorted_set(change);
            }
            Change::Push { .. }
            | Change::Pop { .. }
            | Change::SetItem { .. }
            | Change::InsertItem { .. }
            | Change::RemoveItems { .. }
            | Change::Trim { .. } => self.apply_to_list(change),
            Change::Begin
            | Change::Complete
            | Change::Clear
            | Change::Swap { .. }
            | Change::Rename { .. }
            | Change::DoomStream { .. }
            | Change::BuryStream { .. } => unreachable!("concerns more than one key"),
        }
    }

    fn expire(&mut self, key: &Bytes, at: Option<i64>) {
        let Some(entry) = self.keys.get_mut(key) else { return };
        let before = std::mem::replace(&mut entry.expires, at);
        if let Some(before) = before {
            self.expiries.remove(&(before, key.clone()));
        }
        if let Some(at) = at {
            self.expiries.insert((at, key.clone()));
        }
    }

    fn apply_to_hash(&mut self, change: Change) {
        match change {
            Change::SetFields { key, fields } => self.modify(&key, new_hash, |value| {
                let Value::Hash(hash) = value else { return };
                fields.into_iter().for_each(|(field, value)| hash.set(field, value));
            }),
            Change::RemoveFields { key, fields } => self.modify(&key, new_hash, |value| {
                let Value::Hash(hash) = value else { return };
                fields.iter().for_each(|field| hash.remove(field));
            }),
            _ => {}
        }
    }

    fn apply_to_set(&mut self, change: Change) {
        match change {
            Change::AddMembers { key, members } => self.modify(&key, new_set, |value| {
                let Value::Set(set) = value else { return };
                members.into_iter().for_each(|member| set.add(member));
            }),
            Change::RemoveMembers { key, members } => self.modify(&key, new_set, |value| {
                let Value::Set(set) = value else { return };
                members.iter().for_each(|member| set.remove(member));
            }),
            _ => {}
        }
    }

    fn apply_to_sorted_set(&mut self, change: Change) {
        match change {
            Change::SetScores { key, members } => self.modify(&key, new_sorted_set, |value| {
                let Value::SortedSet(sorted) = value else { return };
                members.into_iter().for_each(|(member, score)| sorted.set(member, score));
            }),
            Change::RemoveScores { key, members } => self.modify(&key, new_sorted_set, |value| {
                let Value::SortedSet(sorted) = value else { return };
                members.iter().for_each(|member| sorted.remove(member));
            }),
            _ => {}
        }
    }

    fn apply_to_list(&mut self, change: Change) {
        let Some(key) = change.key().cloned() else { return };
        self.modify(&key, new_list, |value| {
            let Value::List(list) = value else { return };
            match change {
                Change::Push { end: End::Left, items, .. } => {
                    items.into_iter().for_each(|item| list.push_front(item));
                }
                Change::Push { end: End::Right, items, .. } => {
                    items.into_iter().for_each(|item| list.push_back(item));
                }
                Change::Pop { end, count, .. } => list.pop(end == End::Left, position(count)),
                Change::SetItem { index, item, .. } => list.replace(position(index), item),
                Change::InsertItem { index, item, .. } => list.insert(position(index), item),
                Change::RemoveItems { indexes, .. } => {
                    list.remove(&indexes.into_iter().map(position).collect::<Vec<_>>());
                }
                Change::Trim { start, len, .. } => list.trim(position(start), position(len)),
                _ => {}
            }
        });
    }

    /// Changes what a key holds. A stored change finds another type only where a snapshot was taken
    /// while keys changed; the snapshot's own copy follows, so the change is then passed over.
    fn modify(&mut self, key: &Bytes, new: fn() -> Value, change: impl FnOnce(&mut Value)) {
        let Some(entry) = self.keys.get_mut(key) else {
            let mut value = new();
            change(&mut value);
            if !value.is_empty_collection() {
                self.put(key.clone(), Entry { value, expires: None });
            }
            return;
        };
        let before = entry.value.memory();
        change(&mut entry.value);
        let (after, is_empty) = (entry.value.memory(), entry.value.is_empty_collection());
        self.memory = self.memory + after - before;
        if is_empty {
            self.take(key);
        }
    }
}

fn new_string() -> Value {
    Value::String(Bytes::new())
}

fn new_hash() -> Value {
    Value::Hash(Hash::default())
}

fn new_set() -> Value {
    Value::Set(Set::default())
}

fn new_sorted_set() -> Value {
    Value::SortedSet(SortedSet::default())
}

fn new_list() -> Value {
    Value::List(List::default())
}

fn splice(value: &mut Value, offset: u64, bytes: &[u8]) {
    let Value::String(string) = value else { return };
    // In place where nobody else looks at the bytes, which is the rule.
    let mut buffer = std::mem::take(string).try_into_mut().unwrap_or_else(|shared| {
        let mut copy = BytesMut::with_capacity(shared.len() + bytes.len());
        copy.extend_from_slice(&shared);
        copy
    });
    let offset = position(offset);
    let end = offset.saturating_add(bytes.len());
    if buffer.len() < end {
        buffer.resize(end, 0);
    }
    buffer[offset..end].copy_from_slice(bytes);
    *string = buffer.freeze();
}

/// A position that is larger than memory is past the end of everything.
fn position(stored: u64) -> usize {
    usize::try_from(stored).unwrap_or(usize::MAX)
}
