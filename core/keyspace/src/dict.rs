//! A hash table that can be walked in steps while it changes.
//!
//! Owns the table behind keys, hashes, sets and sorted sets. Entries lie densely in one vector (so a
//! random one is found at once) and are chained from a power of two of buckets.
//!
//! # Invariants
//! - A walk by [`Dict::scan`] meets every entry that is there from its start to its end, however the
//!   table grows or shrinks meanwhile. The cursor counts buckets with the bits reversed, as Redis's
//!   does: a bucket of a smaller table is then a run of buckets of a larger one.
//! - Where an entry lies depends on a secret of the process, so that a peer cannot choose keys that
//!   collide. Nothing that is stored depends on it; only the order of a walk does.

use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;

use bytes::Bytes;

const NONE: u32 = u32::MAX;
const BUCKETS_MIN: usize = 4;

/// A table from bytes to `V`.
#[derive(Clone, Debug)]
pub(crate) struct Dict<V> {
    buckets: Vec<u32>,
    slots: Vec<Slot<V>>,
}

#[derive(Clone, Debug)]
struct Slot<V> {
    hash: u64,
    next: u32,
    key: Bytes,
    value: V,
}

impl<V> Default for Dict<V> {
    fn default() -> Dict<V> {
        Dict { buckets: Vec::new(), slots: Vec::new() }
    }
}

impl<V> Dict<V> {
    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The value at a key.
    pub(crate) fn get(&self, key: &[u8]) -> Option<&V> {
        self.find(hash(key), key).map(|at| &self.slots[at].value)
    }

    /// The key as it is stored, and its value.
    pub(crate) fn get_key_value(&self, key: &[u8]) -> Option<(&Bytes, &V)> {
        self.find(hash(key), key).map(|at| (&self.slots[at].key, &self.slots[at].value))
    }

    /// Whether a key is there.
    pub(crate) fn contains(&self, key: &[u8]) -> bool {
        self.find(hash(key), key).is_some()
    }

    /// The entry at a position below `len`; positions change when entries are removed.
    pub(crate) fn at(&self, position: usize) -> Option<(&Bytes, &V)> {
        self.slots.get(position).map(|slot| (&slot.key, &slot.value))
    }

    /// The value at a position below `len`, to change.
    pub(crate) fn at_mut(&mut self, position: usize) -> Option<&mut V> {
        self.slots.get_mut(position).map(|slot| &mut slot.value)
    }

    /// Where a key lies.
    pub(crate) fn position(&self, key: &[u8]) -> Option<usize> {
        self.find(hash(key), key)
    }

    /// All entries, in no particular order.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (&Bytes, &V)> {
        self.slots.iter().map(|slot| (&slot.key, &slot.value))
    }

    /// Puts a value at a key, and gives back the one that was there.
    pub(crate) fn insert(&mut self, key: Bytes, value: V) -> Option<V> {
        let hash = hash(&key);
        if let Some(at) = self.find(hash, &key) {
            return Some(std::mem::replace(&mut self.slots[at].value, value));
        }
        if self.slots.len() >= self.buckets.len() {
            self.resize((self.buckets.len() * 2).max(BUCKETS_MIN));
        }
        let at = u32::try_from(self.slots.len()).expect("a table has fewer than 2^32 entries");
        assert!(at != NONE, "a table has fewer than 2^32 - 1 entries");
        let bucket = self.bucket_of(hash);
        let next = std::mem::replace(&mut self.buckets[bucket], at);
        self.slots.push(Slot { hash, next, key, value });
        None
    }

    /// Takes an entry out.
    pub(crate) fn remove(&mut self, key: &[u8]) -> Option<(Bytes, V)> {
        let hash = hash(key);
        let at = self.find(hash, key)?;
        let next = self.slots[at].next;
        self.relink(hash, at, next);
        let last = self.slots.len() - 1;
        if at != last {
            // The last entry takes the free place; whatever points at it has to follow.
            let place = u32::try_from(at).expect("positions fit 32 bits");
            self.relink(self.slots[last].hash, last, place);
        }
        let slot = self.slots.swap_remove(at);
        if self.buckets.len() > BUCKETS_MIN && self.slots.len() < self.buckets.len() / 8 {
            self.resize(self.buckets.len() / 2);
        }
        Some((slot.key, slot.value))
    }

    /// Takes one step of a walk: shows some entries and says where to go on; zero is the end.
    pub(crate) fn scan(&self, cursor: u64, mut show: impl FnMut(&Bytes, &V)) -> u64 {
        if self.buckets.is_empty() {
            return 0;
        }
        let mask = self.buckets.len() as u64 - 1;
        let bucket = usize::try_from(cursor & mask).expect("a bucket's number fits");
        let mut at = self.buckets[bucket];
        while at != NONE {
            let slot = &self.slots[at as usize];
            show(&slot.key, &slot.value);
            at = slot.next;
        }
        (cursor | !mask).reverse_bits().wrapping_add(1).reverse_bits()
    }

    /// Bytes that the table itself takes, without what keys and values point at.
    pub(crate) fn table_bytes(&self) -> usize {
        self.buckets.len() * size_of::<u32>() + self.slots.len() * size_of::<Slot<V>>()
    }

    fn find(&self, hash: u64, key: &[u8]) -> Option<usize> {
        if self.buckets.is_empty() {
            return None;
        }
        let mut at = self.buckets[self.bucket_of(hash)];
        while at != NONE {
            let slot = &self.slots[at as usize];
            if slot.hash == hash && slot.key == key {
                return Some(at as usize);
            }
            at = slot.next;
        }
        None
    }

    /// Makes whatever points at `from` point at `to`.
    fn relink(&mut self, hash: u64, from: usize, to: u32) {
        let bucket = self.bucket_of(hash);
        let mut at = self.buckets[bucket];
        if at as usize == from {
            self.buckets[bucket] = to;
            return;
        }
        while self.slots[at as usize].next as usize != from {
            at = self.slots[at as usize].next;
        }
        self.slots[at as usize].next = to;
    }

    fn bucket_of(&self, hash: u64) -> usize {
        let mask = self.buckets.len() as u64 - 1;
        usize::try_from(hash & mask).expect("a bucket's number fits")
    }

    /// LIMIT: done at once, a few nanoseconds an entry; keys are not hashed again.
    fn resize(&mut self, buckets: usize) {
        self.buckets.clear();
        self.buckets.resize(buckets, NONE);
        self.buckets.shrink_to_fit();
        for at in 0..self.slots.len() {
            let bucket = self.bucket_of(self.slots[at].hash);
            let place = u32::try_from(at).expect("positions fit 32 bits");
            self.slots[at].next = std::mem::replace(&mut self.buckets[bucket], place);
        }
    }
}

fn hash(key: &[u8]) -> u64 {
    static SECRET: OnceLock<RandomState> = OnceLock::new();
    SECRET.get_or_init(RandomState::new).hash_one(key)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    fn key(number: u16) -> Bytes {
        Bytes::from(number.to_string())
    }

    proptest! {
        #[test]
        fn it_holds_what_a_map_holds(steps in prop::collection::vec((any::<bool>(), 0_u16..300), 0..900)) {
            let mut dict = Dict::default();
            let mut model = BTreeMap::new();
            for (step, (insert, number)) in steps.into_iter().enumerate() {
                if insert {
                    prop_assert_eq!(dict.insert(key(number), step), model.insert(key(number), step));
                } else {
                    let removed = dict.remove(&key(number)).map(|(_, value)| value);
                    prop_assert_eq!(removed, model.remove(&key(number)));
                }
                prop_assert_eq!(dict.len(), model.len());
            }
            for (key, value) in &model {
                prop_assert_eq!(dict.get(key), Some(value));
            }
            let entries: BTreeMap<_, _> = dict.iter().map(|(key, value)| (key.clone(), *value)).collect();
            prop_assert_eq!(entries, model);
        }

        #[test]
        fn a_walk_meets_everything_that_stays(
            stay in prop::collection::btree_set(0_u16..500, 0..200),
            meanwhile in prop::collection::vec((any::<bool>(), 500_u16..2000), 0..800),
        ) {
            let mut dict = Dict::default();
            for number in &stay {
                dict.insert(key(*number), ());
            }
            let mut met = BTreeSet::new();
            let mut meanwhile = meanwhile.into_iter();
            let mut cursor = 0;
            loop {
                cursor = dict.scan(cursor, |key, ()| { met.insert(key.clone()); });
                if cursor == 0 {
                    break;
                }
                for (insert, number) in meanwhile.by_ref().take(40) {
                    if insert { dict.insert(key(number), ()); } else { dict.remove(&key(number)); }
                }
            }
            for number in stay {
                prop_assert!(met.contains(&key(number)));
            }
        }
    }
}
