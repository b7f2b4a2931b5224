//! What a key holds.
//!
//! Owns the six types (of a stream only which one it is), what they take in memory, and which encoding Redis would have given them.
//!
//! # Invariants
//! - `payload` is the sum of the lengths of everything a collection holds, so that the size of a key
//!   is known without walking it.
//! - A collection's encoding only ever grows, as in Redis.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::dict::Dict;
use crate::number::parse_integer;
use crate::score_tree::ScoreTree;
use crate::streams::StreamTopic;

/// Redis 7's thresholds of the compact encodings.
const HASH_COMPACT_ENTRIES_MAX: usize = 512;
const SORTED_SET_COMPACT_ENTRIES_MAX: usize = 128;
const INTEGER_SET_ENTRIES_MAX: usize = 512;
const COMPACT_ELEMENT_BYTES_MAX: usize = 64;
const EMBEDDED_STRING_BYTES_MAX: usize = 44;

/// The type of what a key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A string of bytes.
    String,
    /// A list.
    List,
    /// A hash of fields.
    Hash,
    /// A set.
    Set,
    /// A sorted set.
    SortedSet,
    /// A stream.
    Stream,
}

impl Kind {
    /// The name by which `TYPE` and `SCAN` know it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::String => "string",
            Kind::List => "list",
            Kind::Hash => "hash",
            Kind::Set => "set",
            Kind::SortedSet => "zset",
            Kind::Stream => "stream",
        }
    }
}

/// What a key holds.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    String(Bytes),
    List(List),
    Hash(Hash),
    Set(Set),
    SortedSet(SortedSet),
    /// The entries are in its topic.
    Stream(StreamTopic),
}

/// Bytes up to which an answer is a copy.
const COPIED_BYTES_MAX: usize = 1024;

/// What an answer says of a string. A short one is copied: sharing it would take a count beside it that
/// stays, and that every reader has to fetch and to change.
pub(crate) fn answer_of(string: &Bytes) -> Bytes {
    if string.len() <= COPIED_BYTES_MAX { Bytes::copy_from_slice(string) } else { string.clone() }
}

impl Value {
    /// Its type.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Value::String(_) => Kind::String,
            Value::List(_) => Kind::List,
            Value::Hash(_) => Kind::Hash,
            Value::Set(_) => Kind::Set,
            Value::SortedSet(_) => Kind::SortedSet,
            Value::Stream(_) => Kind::Stream,
        }
    }

    /// Bytes it takes in memory, but for what the allocator adds.
    pub(crate) fn memory(&self) -> usize {
        match self {
            Value::String(bytes) => bytes.len(),
            Value::List(list) => list.payload + list.items.capacity() * size_of::<Bytes>(),
            Value::Hash(hash) => hash.payload + hash.fields.table_bytes(),
            Value::Set(set) => set.payload + set.members.table_bytes(),
            Value::SortedSet(sorted) => {
                sorted.payload + sorted.scores.table_bytes() + sorted.order.tree_bytes()
            }
            Value::Stream(_) => 0,
        }
    }

    /// Whether it is a collection with nothing in it, which is no key at all.
    pub(crate) fn is_empty_collection(&self) -> bool {
        match self {
            Value::String(_) | Value::Stream(_) => false,
            Value::List(list) => list.items.is_empty(),
            Value::Hash(hash) => hash.fields.is_empty(),
            Value::Set(set) => set.members.is_empty(),
            Value::SortedSet(sorted) => sorted.scores.is_empty(),
        }
    }

    /// How many elements there are; one for a string.
    pub(crate) fn elements(&self) -> usize {
        match self {
            Value::String(_) | Value::Stream(_) => 1,
            Value::List(list) => list.items.len(),
            Value::Hash(hash) => hash.fields.len(),
            Value::Set(set) => set.members.len(),
            Value::SortedSet(sorted) => sorted.scores.len(),
        }
    }

    /// The encoding that Redis 7.0 would answer with.
    pub(crate) fn encoding(&self) -> &'static str {
        match self {
            Value::String(bytes) if parse_integer(bytes).is_some() => "int",
            Value::String(bytes) if bytes.len() <= EMBEDDED_STRING_BYTES_MAX => "embstr",
            Value::String(_) => "raw",
            Value::List(_) => "quicklist",
            Value::Hash(hash) if hash.large => "hashtable",
            Value::Hash(_) => "listpack",
            Value::Set(set) if set.large => "hashtable",
            Value::Set(_) => "intset",
            Value::SortedSet(sorted) if sorted.large => "skiplist",
            Value::SortedSet(_) => "listpack",
            Value::Stream(_) => "stream",
        }
    }
}

/// A list.
#[derive(Clone, Debug, Default)]
pub(crate) struct List {
    pub(crate) items: VecDeque<Bytes>,
    payload: usize,
}

impl List {
    /// Adds at the front.
    pub(crate) fn push_front(&mut self, item: Bytes) {
        self.payload += item.len();
        self.items.push_front(item);
    }

    /// Adds at the back.
    pub(crate) fn push_back(&mut self, item: Bytes) {
        self.payload += item.len();
        self.items.push_back(item);
    }

    /// Puts an item before the one at `index`.
    pub(crate) fn insert(&mut self, index: usize, item: Bytes) {
        self.payload += item.len();
        self.items.insert(index.min(self.items.len()), item);
    }

    /// Replaces the item at `index`.
    pub(crate) fn replace(&mut self, index: usize, item: Bytes) {
        if let Some(old) = self.items.get_mut(index) {
            self.payload = self.payload + item.len() - old.len();
            *old = item;
        }
    }

    /// Takes items out, those at the ascending `indexes`.
    pub(crate) fn remove(&mut self, indexes: &[usize]) {
        let mut indexes = indexes.iter().copied().peekable();
        let (mut at, mut removed) = (0, 0);
        self.items.retain(|item| {
            let keep = indexes.next_if_eq(&at).is_none();
            at += 1;
            removed += if keep { 0 } else { item.len() };
            keep
        });
        self.payload -= removed;
    }

    /// Keeps `len` items from `start` on.
    pub(crate) fn trim(&mut self, start: usize, len: usize) {
        let start = start.min(self.items.len());
        let end = start.saturating_add(len).min(self.items.len());
        self.items.truncate(end);
        self.items.drain(..start);
        self.payload = self.items.iter().map(Bytes::len).sum();
        self.shrink();
    }

    /// Takes `count` items from the front, or from the back.
    pub(crate) fn pop(&mut self, front: bool, count: usize) {
        for _ in 0..count.min(self.items.len()) {
            let item = if front { self.items.pop_front() } else { self.items.pop_back() };
            self.payload -= item.map_or(0, |item| item.len());
        }
        self.shrink();
    }

    fn shrink(&mut self) {
        if self.items.capacity() > 64 && self.items.len() < self.items.capacity() / 4 {
            self.items.shrink_to(self.items.len() * 2);
        }
    }
}

/// A hash.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hash {
    pub(crate) fields: Dict<Bytes>,
    payload: usize,
    large: bool,
}

impl Hash {
    /// Puts a value into a field.
    pub(crate) fn set(&mut self, field: Bytes, value: Bytes) {
        let (name, len) = (field.len(), value.len());
        match self.fields.insert(field, value) {
            Some(old) => self.payload = self.payload + len - old.len(),
            None => self.payload += name + len,
        }
        self.large |= name.max(len) > COMPACT_ELEMENT_BYTES_MAX
            || self.fields.len() > HASH_COMPACT_ENTRIES_MAX;
    }

    /// Takes a field out.
    pub(crate) fn remove(&mut self, field: &[u8]) {
        if let Some((field, value)) = self.fields.remove(field) {
            self.payload -= field.len() + value.len();
        }
    }
}

/// A set.
#[derive(Clone, Debug, Default)]
pub(crate) struct Set {
    pub(crate) members: Dict<()>,
    payload: usize,
    large: bool,
}

impl Set {
    /// Adds a member.
    pub(crate) fn add(&mut self, member: Bytes) {
        let len = member.len();
        self.large |= parse_integer(&member).is_none();
        if self.members.insert(member, ()).is_none() {
            self.payload += len;
        }
        self.large |= self.members.len() > INTEGER_SET_ENTRIES_MAX;
    }

    /// Takes a member out.
    pub(crate) fn remove(&mut self, member: &[u8]) {
        if let Some((member, ())) = self.members.remove(member) {
            self.payload -= member.len();
        }
    }
}

/// A sorted set.
#[derive(Clone, Debug, Default)]
pub(crate) struct SortedSet {
    pub(crate) scores: Dict<f64>,
    pub(crate) order: ScoreTree,
    payload: usize,
    large: bool,
}

impl SortedSet {
    /// Gives a member a score.
    pub(crate) fn set(&mut self, member: Bytes, score: f64) {
        let len = member.len();
        match self.scores.insert(member.clone(), score) {
            Some(old) => {
                self.order.remove(old, &member);
            }
            None => self.payload += len,
        }
        self.order.insert(score, member);
        self.large |=
            len > COMPACT_ELEMENT_BYTES_MAX || self.scores.len() > SORTED_SET_COMPACT_ENTRIES_MAX;
    }

    /// Takes a member out.
    pub(crate) fn remove(&mut self, member: &[u8]) {
        if let Some((member, score)) = self.scores.remove(member) {
            self.payload -= member.len();
            self.order.remove(score, &member);
        }
    }

    /// Where a member comes, from the lowest score up.
    pub(crate) fn rank(&self, member: &[u8]) -> Option<usize> {
        let score = *self.scores.get(member)?;
        let before =
            |other: f64, name: &Bytes| other < score || (other == score && name[..] < *member);
        Some(self.order.partition_point(before))
    }
}
