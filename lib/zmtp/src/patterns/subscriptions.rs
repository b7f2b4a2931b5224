//! Who wants which prefixes.
//!
//! Prefixes are found by their length: a message is looked up once for each length that occurs, and
//! programs use a handful of them, however many subscriptions they have. No prefix makes it recurse.
//!
//! # Invariants
//! - A subscriber is in a prefix's list at most once, and so are its prefixes in its own.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::Hash;

use bytes::Bytes;

/// Prefixes and their subscribers.
#[derive(Debug)]
pub(super) struct Subscriptions<K> {
    prefixes: HashMap<Bytes, Vec<K>>,
    /// How many prefixes of each length there are.
    lens: BTreeMap<usize, usize>,
    subscribers: HashMap<K, HashSet<Bytes>>,
}

impl<K> Default for Subscriptions<K> {
    fn default() -> Subscriptions<K> {
        Subscriptions {
            prefixes: HashMap::new(),
            lens: BTreeMap::new(),
            subscribers: HashMap::new(),
        }
    }
}

impl<K: Copy + Eq + Ord + Hash> Subscriptions<K> {
    /// Adds a subscription; true when it is the first for this prefix.
    pub(super) fn add(&mut self, subscriber: K, prefix: &Bytes) -> bool {
        // A prefix taken out of a connection's buffer would keep that buffer alive.
        let own = Bytes::copy_from_slice(prefix);
        if !self.subscribers.entry(subscriber).or_default().insert(own.clone()) {
            return false;
        }
        let list = self.prefixes.entry(own).or_default();
        list.push(subscriber);
        let is_first = list.len() == 1;
        if is_first {
            *self.lens.entry(prefix.len()).or_default() += 1;
        }
        is_first
    }

    /// Takes a subscription back; true when it was the last for this prefix.
    pub(super) fn remove(&mut self, subscriber: K, prefix: &Bytes) -> bool {
        let Some(prefixes) = self.subscribers.get_mut(&subscriber) else { return false };
        if !prefixes.remove(prefix) {
            return false;
        }
        if prefixes.is_empty() {
            self.subscribers.remove(&subscriber);
        }
        self.unlist(subscriber, prefix)
    }

    /// Takes back all that a subscriber has; the prefixes that nobody wants any more.
    pub(super) fn remove_all(&mut self, subscriber: K) -> Vec<Bytes> {
        let prefixes = self.subscribers.remove(&subscriber).unwrap_or_default();
        prefixes.into_iter().filter(|prefix| self.unlist(subscriber, prefix)).collect()
    }

    fn unlist(&mut self, subscriber: K, prefix: &Bytes) -> bool {
        let Some(list) = self.prefixes.get_mut(prefix) else { return false };
        list.retain(|other| *other != subscriber);
        if !list.is_empty() {
            return false;
        }
        self.prefixes.remove(prefix);
        if let Some(count) = self.lens.get_mut(&prefix.len()) {
            *count -= 1;
            if *count == 0 {
                self.lens.remove(&prefix.len());
            }
        }
        true
    }

    /// Puts everyone who wants a message that begins with `first` into the empty `found`, once each.
    pub(super) fn matching(&self, first: &[u8], found: &mut Vec<K>) {
        let mut lists = 0;
        for len in self.lens.range(..=first.len()).map(|(len, _)| *len) {
            if let Some(list) = self.prefixes.get(&first[..len]) {
                found.extend_from_slice(list);
                lists += 1;
            }
        }
        if lists > 1 {
            found.sort_unstable();
            found.dedup();
        }
    }

    /// Whether anyone wants a message that begins with `first`.
    pub(super) fn is_wanted(&self, first: &[u8]) -> bool {
        let mut lens = self.lens.range(..=first.len());
        lens.any(|(len, _)| self.prefixes.contains_key(&first[..*len]))
    }

    /// Every prefix that anyone wants.
    pub(super) fn prefixes(&self) -> impl Iterator<Item = &Bytes> {
        self.prefixes.keys()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_finds_whom_a_search_of_everything_finds(
            changes in prop::collection::vec((0_u8..5, "[ab]{0,4}", prop::bool::weighted(0.7)), 0..60),
            messages in prop::collection::vec("[ab]{0,6}", 1..10), leaves: Option<u8>,
        ) {
            let mut subscriptions = Subscriptions::default();
            let mut model: HashSet<(u8, String)> = HashSet::new();
            for (who, prefix, wanted) in changes {
                let bytes = Bytes::from(prefix.clone());
                let others = model.iter().any(|(other, own)| *other != who && *own == prefix);
                if wanted {
                    let is_new = model.insert((who, prefix));
                    prop_assert_eq!(subscriptions.add(who, &bytes), is_new && !others);
                } else {
                    let was_there = model.remove(&(who, prefix));
                    prop_assert_eq!(subscriptions.remove(who, &bytes), was_there && !others);
                }
            }
            if let Some(who) = leaves {
                subscriptions.remove_all(who);
                model.retain(|(other, _)| *other != who);
            }
            for message in messages {
                let mut found = Vec::new();
                subscriptions.matching(message.as_bytes(), &mut found);
                found.sort_unstable();
                let mut expected: Vec<u8> = model.iter()
                    .filter(|(_, prefix)| message.starts_with(prefix)).map(|(who, _)| *who).collect();
                expected.sort_unstable();
                expected.dedup();
                prop_assert_eq!(subscriptions.is_wanted(message.as_bytes()), !expected.is_empty());
                prop_assert_eq!(found, expected);
            }
        }
    }

    #[test]
    fn nothing_is_left_of_one_who_has_left() {
        let mut subscriptions = Subscriptions::default();
        for number in 0..1000_u32 {
            subscriptions.add(1, &Bytes::from(number.to_string()));
        }
        assert_eq!(subscriptions.remove_all(1).len(), 1000);
        assert!(subscriptions.prefixes.is_empty() && subscriptions.lens.is_empty());
    }
}
