//! A radix trie: values by byte prefix, found by walking along a text once.
//!
//! # Invariants
//! - Every node but the root has a value or at least two children, so the trie is never larger
//!   than what it holds.
//! - Children are sorted by their first byte, which no two share.
//! - No prefix is longer than [`PREFIX_BYTES_MAX`], which bounds the depth and so the recursion.

/// LIMIT: bytes of a prefix; nodes may be as deep as that, and are removed by recursion.
pub(super) const PREFIX_BYTES_MAX: usize = 256;

/// Values by prefix.
#[derive(Debug)]
pub(super) struct Trie<V> {
    root: Node<V>,
}

#[derive(Debug)]
struct Node<V> {
    /// The bytes between the parent and this node.
    label: Box<[u8]>,
    value: Option<V>,
    children: Vec<Node<V>>,
}

impl<V> Default for Trie<V> {
    fn default() -> Trie<V> {
        Trie { root: Node::leaf(&[], None) }
    }
}

impl<V: Default> Trie<V> {
    /// The value at exactly `prefix`, made if there is none.
    pub(super) fn entry(&mut self, prefix: &[u8]) -> &mut V {
        assert!(prefix.len() <= PREFIX_BYTES_MAX, "the caller cuts prefixes");
        self.root.descend(prefix).value.get_or_insert_default()
    }
}

impl<V> Trie<V> {
    /// The value at exactly `prefix`.
    #[cfg(test)]
    pub(super) fn get(&self, prefix: &[u8]) -> Option<&V> {
        let mut found = None;
        self.walk(prefix, |len, value| {
            if len == prefix.len() {
                found = Some(value);
            }
        });
        found
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.root.value.is_none() && self.root.children.is_empty()
    }

    /// Changes the value at exactly `prefix`; it is removed when `change` answers true.
    pub(super) fn change(&mut self, prefix: &[u8], change: impl FnOnce(&mut V) -> bool) {
        self.root.change(prefix, change);
    }

    /// Gives every value, in no particular order.
    pub(super) fn visit(&self, visit: &mut impl FnMut(&V)) {
        let mut waiting = vec![&self.root];
        while let Some(node) = waiting.pop() {
            node.value.iter().for_each(&mut *visit);
            waiting.extend(&node.children);
        }
    }

    /// Gives every value whose prefix `text` begins with, shortest first, with the prefix's length.
    pub(super) fn walk<'a>(&'a self, text: &[u8], mut visit: impl FnMut(usize, &'a V)) {
        let (mut node, mut at) = (&self.root, 0);
        loop {
            if let Some(value) = &node.value {
                visit(at, value);
            }
            let Some(&next) = text.get(at) else { return };
            let Ok(index) = node.child(next) else { return };
            node = &node.children[index];
            if !text[at..].starts_with(&node.label) {
                return;
            }
            at += node.label.len();
        }
    }
}

impl<V> Node<V> {
    fn leaf(label: &[u8], value: Option<V>) -> Node<V> {
        Node { label: label.into(), value, children: Vec::new() }
    }

    fn child(&self, first: u8) -> Result<usize, usize> {
        self.children.binary_search_by_key(&first, |child| child.label[0])
    }

    /// The node at `rest` below this one, made if need be.
    fn descend(&mut self, rest: &[u8]) -> &mut Node<V> {
        let mut node = self;
        let mut rest = rest;
        while let Some(&first) = rest.first() {
            match node.child(first) {
                Err(place) => {
                    node.children.insert(place, Node::leaf(rest, None));
                    return &mut node.children[place];
                }
                Ok(index) => {
                    let child = &mut node.children[index];
                    let shared = common(&child.label, rest);
                    if shared < child.label.len() {
                        child.split(shared);
                    }
                    rest = &rest[shared..];
                    node = &mut node.children[index];
                }
            }
        }
        node
    }

    /// Puts a node without a value at `at` bytes of the label, above what this one was.
    fn split(&mut self, at: usize) {
        let lower = Node {
            label: self.label[at..].into(),
            value: self.value.take(),
            children: std::mem::take(&mut self.children),
        };
        self.label = self.label[..at].into();
        self.children.push(lower);
    }

    fn change(&mut self, prefix: &[u8], change: impl FnOnce(&mut V) -> bool) {
        let Some(&first) = prefix.first() else {
            if self.value.as_mut().is_some_and(change) {
                self.value = None;
            }
            return;
        };
        let Ok(index) = self.child(first) else { return };
        let child = &mut self.children[index];
        if !prefix.starts_with(&child.label) {
            return;
        }
        let depth = child.label.len();
        child.change(&prefix[depth..], change);
        if child.value.is_some() {
            return;
        }
        match child.children.len() {
            0 => {
                self.children.remove(index);
            }
            1 => child.merge(),
            _ => {}
        }
    }

    /// Becomes one with its only child.
    fn merge(&mut self) {
        let Some(lower) = self.children.pop() else { return };
        self.label = [&self.label[..], &lower.label[..]].concat().into();
        self.value = lower.value;
        self.children = lower.children;
    }
}

fn common(left: &[u8], right: &[u8]) -> usize {
    left.iter().zip(right).take_while(|(left, right)| left == right).count()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    impl<V> Node<V> {
        fn check(&self, is_root: bool) {
            assert!(is_root || self.value.is_some() || self.children.len() > 1);
            assert!(self.children.is_sorted_by_key(|child| child.label[0]));
            self.children.iter().for_each(|child| child.check(false));
        }
    }

    proptest! {
        #[test]
        fn a_walk_finds_what_a_scan_finds(
            steps in prop::collection::vec((any::<bool>(), "[ab]{0,5}"), 0..60),
            text in "[ab]{0,7}",
        ) {
            let mut trie: Trie<usize> = Trie::default();
            let mut naive: BTreeMap<String, usize> = BTreeMap::new();
            for (insert, prefix) in steps {
                if insert {
                    *trie.entry(prefix.as_bytes()) += 1;
                    *naive.entry(prefix).or_default() += 1;
                } else {
                    trie.change(prefix.as_bytes(), |_| true);
                    naive.remove(&prefix);
                }
                trie.root.check(true);
            }
            let mut found = Vec::new();
            trie.walk(text.as_bytes(), |len, value| found.push((len, *value)));
            let mut expected: Vec<_> = naive
                .iter()
                .filter(|(prefix, _)| text.starts_with(prefix.as_str()))
                .map(|(prefix, value)| (prefix.len(), *value))
                .collect();
            expected.sort_unstable();
            prop_assert_eq!(found, expected);
            prop_assert_eq!(trie.get(text.as_bytes()), naive.get(&text));
        }
    }
}
