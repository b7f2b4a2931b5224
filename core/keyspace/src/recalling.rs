//! A hash table that looks first at the entry it found last.
//!
//! One command asks for its key several times (whether it has expired, what type it is, what it
//! holds), and only the first time costs a hash.

use std::cell::Cell;
use std::ops::Deref;

use bytes::Bytes;

use crate::dict::Dict;

/// A [`Dict`] that remembers what was found last.
#[derive(Clone, Debug)]
pub(crate) struct Recalling<V> {
    dict: Dict<V>,
    /// Where that lay. Another entry may lie there by now, or none.
    recent: Cell<usize>,
}

impl<V> Default for Recalling<V> {
    fn default() -> Recalling<V> {
        Recalling { dict: Dict::default(), recent: Cell::new(usize::MAX) }
    }
}

impl<V> Deref for Recalling<V> {
    type Target = Dict<V>;

    fn deref(&self) -> &Dict<V> {
        &self.dict
    }
}

impl<V> Recalling<V> {
    /// The value at a key.
    pub(crate) fn get(&self, key: &[u8]) -> Option<&V> {
        self.get_key_value(key).map(|(_, value)| value)
    }

    /// The value at a key, to change.
    pub(crate) fn get_mut(&mut self, key: &[u8]) -> Option<&mut V> {
        self.find(key).and_then(|position| self.dict.at_mut(position))
    }

    /// The key as it is stored, and its value.
    pub(crate) fn get_key_value(&self, key: &[u8]) -> Option<(&Bytes, &V)> {
        self.find(key).and_then(|position| self.dict.at(position))
    }

    /// Whether a key is there.
    pub(crate) fn contains(&self, key: &[u8]) -> bool {
        self.find(key).is_some()
    }

    /// Puts a value at a key, and gives back the one that was there.
    pub(crate) fn insert(&mut self, key: Bytes, value: V) -> Option<V> {
        self.dict.insert(key, value)
    }

    /// Takes an entry out.
    pub(crate) fn remove(&mut self, key: &[u8]) -> Option<(Bytes, V)> {
        self.dict.remove(key)
    }

    fn find(&self, key: &[u8]) -> Option<usize> {
        let recent = self.recent.get();
        if self.dict.at(recent).is_some_and(|(name, _)| name == key) {
            return Some(recent);
        }
        let found = self.dict.position(key)?;
        self.recent.set(found);
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever was found before, and wherever entries have moved since.
        #[test]
        fn it_finds_what_a_map_finds(
            steps in prop::collection::vec((0_u8..4, 0_u8..12), 0..400),
        ) {
            let mut recalling = Recalling::default();
            let mut model = BTreeMap::new();
            for (step, (what, name)) in steps.into_iter().enumerate() {
                let key = Bytes::from(vec![name]);
                match what {
                    0 => prop_assert_eq!(
                        recalling.insert(key.clone(), step),
                        model.insert(key, step),
                    ),
                    1 => prop_assert_eq!(
                        recalling.remove(&key).map(|(_, value)| value),
                        model.remove(&key),
                    ),
                    2 => prop_assert_eq!(recalling.get_mut(&key), model.get_mut(&key)),
                    _ => prop_assert_eq!(recalling.get_key_value(&key), model.get_key_value(&key)),
                }
                prop_assert_eq!(recalling.contains(&[name]), model.contains_key(&[name][..]));
            }
        }
    }
}
