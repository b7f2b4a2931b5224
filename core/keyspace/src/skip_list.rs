//! Members in order of score, then of bytes, with their ranks in O(log n).
//!
//! A skip list whose links say how many members they pass, kept in one vector and joined by index.
//! Heights come from a generator of its own, so the same operations give the same list.
//!
//! # Invariants
//! - Node 0 is the head and no member; a link to it is the end.
//! - The spans of the links of one level, up to a node, add up to the node's rank plus one.

use bytes::Bytes;

use crate::random::Random;

const LEVELS_MAX: usize = 32;
const HEAD: u32 = 0;

/// Members with scores, ordered.
#[derive(Clone, Debug)]
pub(crate) struct SkipList {
    nodes: Vec<Node>,
    free: Vec<u32>,
    levels: usize,
    len: usize,
    tail: u32,
    random: Random,
}

#[derive(Clone, Debug)]
struct Node {
    member: Bytes,
    score: f64,
    back: u32,
    links: Box<[Link]>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Link {
    next: u32,
    span: usize,
}

/// The last node before a position on each level, and its rank plus one.
struct Path {
    nodes: [u32; LEVELS_MAX],
    ranks: [usize; LEVELS_MAX],
}

impl Default for SkipList {
    fn default() -> SkipList {
        let links = vec![Link::default(); LEVELS_MAX].into_boxed_slice();
        let head = Node { member: Bytes::new(), score: 0.0, back: HEAD, links };
        SkipList {
            nodes: vec![head],
            free: Vec::new(),
            levels: 1,
            len: 0,
            tail: HEAD,
            random: Random::new(0),
        }
    }
}

impl SkipList {
    /// Adds a member that is not there yet.
    pub(crate) fn insert(&mut self, score: f64, member: Bytes) {
        let mut path = self.path(|other, name| is_less(other, name, score, &member));
        let height = self.height();
        while self.levels < height {
            path.nodes[self.levels] = HEAD;
            path.ranks[self.levels] = 0;
            self.nodes[HEAD as usize].links[self.levels] = Link { next: HEAD, span: self.len };
            self.levels += 1;
        }
        let links = vec![Link::default(); height].into_boxed_slice();
        let new = self.place(Node { member, score, back: path.nodes[0], links });
        for level in 0..self.levels {
            let passed = path.ranks[0] - path.ranks[level];
            let before = &mut self.nodes[path.nodes[level] as usize].links[level];
            if level < height {
                let after = Link { next: before.next, span: before.span - passed };
                *before = Link { next: new, span: passed + 1 };
                self.nodes[new as usize].links[level] = after;
            } else {
                before.span += 1;
            }
        }
        match self.nodes[new as usize].links[0].next {
            HEAD => self.tail = new,
            next => self.nodes[next as usize].back = new,
        }
        self.len += 1;
    }

    /// Takes a member out; says whether it was there.
    pub(crate) fn remove(&mut self, score: f64, member: &[u8]) -> bool {
        let path = self.path(|other, name| is_less(other, name, score, member));
        let found = self.nodes[path.nodes[0] as usize].links[0].next;
        let node = &self.nodes[found as usize];
        if found == HEAD || node.score != score || node.member != member {
            return false;
        }
        let links = std::mem::take(&mut self.nodes[found as usize].links);
        for level in 0..self.levels {
            let before = &mut self.nodes[path.nodes[level] as usize].links[level];
            if before.next == found {
                *before =
                    Link { next: links[level].next, span: before.span + links[level].span - 1 };
            } else {
                before.span -= 1;
            }
        }
        match links[0].next {
            HEAD => self.tail = self.nodes[found as usize].back,
            next => self.nodes[next as usize].back = self.nodes[found as usize].back,
        }
        while self.levels > 1 && self.nodes[HEAD as usize].links[self.levels - 1].next == HEAD {
            self.levels -= 1;
        }
        self.nodes[found as usize].member = Bytes::new();
        self.free.push(found);
        self.len -= 1;
        true
    }

    /// How many members come before the first for which `is_before` no longer holds.
    pub(crate) fn partition_point(&self, is_before: impl Fn(f64, &[u8]) -> bool) -> usize {
        self.path(is_before).ranks[0]
    }

    /// Members from a rank on, upwards.
    pub(crate) fn up_from_rank(&self, rank: usize) -> impl Iterator<Item = (&Bytes, f64)> {
        let mut at = self.node_at(rank);
        std::iter::from_fn(move || {
            let node = at.map(|at| &self.nodes[at as usize])?;
            at = Some(node.links[0].next).filter(|next| *next != HEAD);
            Some((&node.member, node.score))
        })
    }

    /// Members from a rank on, downwards.
    pub(crate) fn down_from_rank(&self, rank: usize) -> impl Iterator<Item = (&Bytes, f64)> {
        let mut at = self.node_at(rank);
        std::iter::from_fn(move || {
            let node = at.map(|at| &self.nodes[at as usize])?;
            at = Some(node.back).filter(|back| *back != HEAD);
            Some((&node.member, node.score))
        })
    }

    /// Bytes that the list itself takes, without what members point at.
    pub(crate) fn list_bytes(&self) -> usize {
        // A node has one and a third links on average.
        self.nodes.len() * (size_of::<Node>() + size_of::<Link>() * 4 / 3)
    }

    fn node_at(&self, rank: usize) -> Option<u32> {
        if rank >= self.len {
            return None;
        }
        if rank + 1 == self.len {
            return Some(self.tail);
        }
        let (mut at, mut passed) = (HEAD, 0);
        for level in (0..self.levels).rev() {
            loop {
                let link = self.nodes[at as usize].links[level];
                if link.next == HEAD || passed + link.span > rank + 1 {
                    break;
                }
                passed += link.span;
                at = link.next;
            }
        }
        Some(at)
    }

    fn path(&self, is_before: impl Fn(f64, &[u8]) -> bool) -> Path {
        let mut path = Path { nodes: [HEAD; LEVELS_MAX], ranks: [0; LEVELS_MAX] };
        let (mut at, mut passed) = (HEAD, 0);
        for level in (0..self.levels).rev() {
            loop {
                let link = self.nodes[at as usize].links[level];
                let next = &self.nodes[link.next as usize];
                if link.next == HEAD || !is_before(next.score, &next.member) {
                    break;
                }
                passed += link.span;
                at = link.next;
            }
            path.nodes[level] = at;
            path.ranks[level] = passed;
        }
        path
    }

    fn place(&mut self, node: Node) -> u32 {
        if let Some(at) = self.free.pop() {
            self.nodes[at as usize] = node;
            return at;
        }
        self.nodes.push(node);
        u32::try_from(self.nodes.len() - 1).expect("a list has fewer than 2^32 members")
    }

    /// One more level in one case of four.
    fn height(&mut self) -> usize {
        let zeros = usize::try_from(self.random.next().trailing_zeros()).expect("at most 64");
        (1 + zeros / 2).min(LEVELS_MAX)
    }
}

fn is_less(left: f64, left_member: &[u8], right: f64, right_member: &[u8]) -> bool {
    left < right || (left == right && left_member < right_member)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_ordered_and_knows_ranks(steps in prop::collection::vec((any::<bool>(), 0_u8..60, 0_u8..8), 0..400)) {
            let mut list = SkipList::default();
            let mut model: Vec<(u8, Bytes)> = Vec::new();
            for (insert, name, score) in steps {
                let entry = (score, Bytes::from(format!("m{name}")));
                let there = model.binary_search(&entry);
                match (insert, there) {
                    (true, Err(at)) => {
                        model.insert(at, entry.clone());
                        list.insert(f64::from(score), entry.1);
                    }
                    (false, there) => {
                        prop_assert_eq!(list.remove(f64::from(score), &entry.1), there.is_ok());
                        if let Ok(at) = there { model.remove(at); }
                    }
                    (true, Ok(_)) => {}
                }
            }
            prop_assert_eq!(list.len, model.len());
            for (rank, (score, member)) in model.iter().enumerate() {
                let before = list.partition_point(|s, m| is_less(s, m, f64::from(*score), member));
                prop_assert_eq!(before, rank);
                let up: Vec<_> = list.up_from_rank(rank).map(|(member, _)| member.clone()).collect();
                let expected: Vec<_> = model[rank..].iter().map(|(_, member)| member.clone()).collect();
                prop_assert_eq!(up, expected);
                let down: Vec<_> = list.down_from_rank(rank).map(|(member, _)| member.clone()).collect();
                let expected: Vec<_> = model[..=rank].iter().rev().map(|(_, member)| member.clone()).collect();
                prop_assert_eq!(down, expected);
            }
        }
    }
}
