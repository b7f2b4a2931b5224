//! Members in order of score, then of bytes, with their ranks in O(log n).
//!
//! A counted B+ tree. A node keeps scores beside each other and apart from members, so that a search
//! reads few cache lines of each node, and looks at a member only where scores are equal.
//!
//! # Invariants
//! - All leaves are equally deep, and none is empty but a root.
//! - No node holds more than [`NODE_MAX`] entries or children.
//! - A branch knows the first entry of each child, and how many entries the child has.

use bytes::Bytes;

/// LIMIT: entries of a leaf, and children of a branch.
const NODE_MAX: usize = 64;

/// Neighbours that hold so few together become one.
const MERGED_MAX: usize = NODE_MAX / 2;

/// Members with scores, ordered.
#[derive(Clone, Debug, Default)]
pub(crate) struct ScoreTree {
    root: Node,
    len: usize,
}

#[derive(Clone, Debug)]
enum Node {
    Leaf(Entries),
    Branch(Branch),
}

/// Entries of a leaf, or the first entry of each child of a branch.
#[derive(Clone, Debug, Default)]
struct Entries {
    scores: Vec<f64>,
    members: Vec<Bytes>,
}

#[derive(Clone, Debug, Default)]
struct Branch {
    firsts: Entries,
    /// How many entries each child has.
    counts: Vec<usize>,
    children: Vec<Node>,
}

impl ScoreTree {
    /// Adds a member that is not there yet.
    pub(crate) fn insert(&mut self, score: f64, member: Bytes) {
        if let Some(right) = self.root.insert(score, member) {
            let left = std::mem::take(&mut self.root);
            let mut root = Branch::default();
            root.place(0, left);
            root.place(1, right);
            self.root = Node::Branch(root);
        }
        self.len += 1;
    }

    /// Takes a member out; says whether it was there.
    pub(crate) fn remove(&mut self, score: f64, member: &[u8]) -> bool {
        if !self.root.remove(score, member) {
            return false;
        }
        self.len -= 1;
        while let Node::Branch(root) = &mut self.root
            && root.children.len() <= 1
        {
            self.root = root.children.pop().unwrap_or_default();
        }
        true
    }

    /// How many members come before the first for which `is_before` no longer holds.
    pub(crate) fn partition_point(&self, is_before: impl Fn(f64, &Bytes) -> bool) -> usize {
        let (mut node, mut before) = (&self.root, 0);
        loop {
            match node {
                Node::Leaf(entries) => return before + entries.partition_point(is_before),
                Node::Branch(branch) => {
                    let at = branch.firsts.partition_point(&is_before).saturating_sub(1);
                    before += branch.counts[..at].iter().sum::<usize>();
                    node = &branch.children[at];
                }
            }
        }
    }

    /// Members from a rank on, upwards.
    pub(crate) fn up_from_rank(&self, rank: usize) -> impl Iterator<Item = (&Bytes, f64)> {
        let (mut place, mut rank) = (self.place_of(rank), rank);
        std::iter::from_fn(move || {
            let (leaf, at) = place?;
            rank += 1;
            place = if at + 1 < leaf.len() { Some((leaf, at + 1)) } else { self.place_of(rank) };
            Some((&leaf.members[at], leaf.scores[at]))
        })
    }

    /// Members from a rank on, downwards.
    pub(crate) fn down_from_rank(&self, rank: usize) -> impl Iterator<Item = (&Bytes, f64)> {
        let (mut place, mut rank) = (self.place_of(rank), Some(rank));
        std::iter::from_fn(move || {
            let (leaf, at) = place?;
            rank = rank.and_then(|rank| rank.checked_sub(1));
            place = match at.checked_sub(1) {
                Some(next) => Some((leaf, next)),
                None => rank.and_then(|rank| self.place_of(rank)),
            };
            Some((&leaf.members[at], leaf.scores[at]))
        })
    }

    /// Bytes that the tree itself takes, without what members point at.
    pub(crate) fn tree_bytes(&self) -> usize {
        // Nodes are two thirds full on average.
        self.len * (size_of::<f64>() + size_of::<Bytes>()) * 3 / 2
    }

    /// The leaf that holds a rank, and where in it.
    fn place_of(&self, mut rank: usize) -> Option<(&Entries, usize)> {
        if rank >= self.len {
            return None;
        }
        let mut node = &self.root;
        loop {
            match node {
                Node::Leaf(entries) => return Some((entries, rank)),
                Node::Branch(branch) => {
                    let mut at = 0;
                    while rank >= branch.counts[at] {
                        rank -= branch.counts[at];
                        at += 1;
                    }
                    node = &branch.children[at];
                }
            }
        }
    }
}

impl Default for Node {
    fn default() -> Node {
        Node::Leaf(Entries::default())
    }
}

impl Node {
    /// Adds an entry; gives what follows the node now, where it was full.
    fn insert(&mut self, score: f64, member: Bytes) -> Option<Node> {
        match self {
            Node::Leaf(entries) => {
                let at = entries.partition_point(|s, m| is_less(s, m, score, &member));
                entries.insert(at, score, member);
                (entries.len() > NODE_MAX).then(|| Node::Leaf(entries.split_off(NODE_MAX / 2)))
            }
            Node::Branch(branch) => branch.insert(score, member).map(Node::Branch),
        }
    }

    fn remove(&mut self, score: f64, member: &[u8]) -> bool {
        match self {
            Node::Leaf(entries) => {
                let at = entries.partition_point(|s, m| is_less(s, m, score, member));
                let found = entries.is_at(at, score, member);
                if found {
                    entries.remove(at);
                }
                found
            }
            Node::Branch(branch) => branch.remove(score, member),
        }
    }

    /// How much of [`NODE_MAX`] is used.
    fn width(&self) -> usize {
        match self {
            Node::Leaf(entries) => entries.len(),
            Node::Branch(branch) => branch.children.len(),
        }
    }

    /// How many entries there are below it.
    fn count(&self) -> usize {
        match self {
            Node::Leaf(entries) => entries.len(),
            Node::Branch(branch) => branch.counts.iter().sum(),
        }
    }

    fn first(&self) -> (f64, Bytes) {
        let entries = match self {
            Node::Leaf(entries) => entries,
            Node::Branch(branch) => &branch.firsts,
        };
        (entries.scores[0], entries.members[0].clone())
    }

    /// Takes over what the node's right neighbour holds.
    fn append(&mut self, right: Node) {
        match (self, right) {
            (Node::Leaf(entries), Node::Leaf(more)) => entries.append(more),
            (Node::Branch(branch), Node::Branch(mut more)) => {
                branch.firsts.append(more.firsts);
                branch.counts.append(&mut more.counts);
                branch.children.append(&mut more.children);
            }
            _ => unreachable!("all leaves are equally deep"),
        }
    }
}

impl Branch {
    fn insert(&mut self, score: f64, member: Bytes) -> Option<Branch> {
        let at = self.child_for(score, &member);
        if is_less(score, &member, self.firsts.scores[at], &self.firsts.members[at]) {
            // Only before the first entry of all.
            self.firsts.set(at, (score, member.clone()));
        }
        self.counts[at] += 1;
        if let Some(right) = self.children[at].insert(score, member) {
            self.counts[at] -= right.count();
            self.place(at + 1, right);
        }
        (self.children.len() > NODE_MAX).then(|| self.split_off(NODE_MAX / 2))
    }

    fn remove(&mut self, score: f64, member: &[u8]) -> bool {
        let at = self.child_for(score, member);
        if !self.children[at].remove(score, member) {
            return false;
        }
        self.counts[at] -= 1;
        if self.counts[at] == 0 {
            self.take(at);
            return true;
        }
        if self.firsts.is_at(at, score, member) {
            self.firsts.set(at, self.children[at].first());
        }
        self.merge_around(at);
        true
    }

    /// The child whose entries an entry belongs among.
    fn child_for(&self, score: f64, member: &[u8]) -> usize {
        let up_to = |s: f64, m: &Bytes| !is_less(score, member, s, m);
        self.firsts.partition_point(up_to).saturating_sub(1)
    }

    /// Joins a child that has become small with a neighbour that is small as well.
    fn merge_around(&mut self, at: usize) {
        let width = self.children[at].width();
        if width > MERGED_MAX / 2 {
            return;
        }
        let fits = |other: usize| {
            self.children.get(other).is_some_and(|other| other.width() + width <= MERGED_MAX)
        };
        let left = if fits(at + 1) {
            at
        } else if at > 0 && fits(at - 1) {
            at - 1
        } else {
            return;
        };
        self.counts[left] += self.counts[left + 1];
        let right = self.take(left + 1);
        self.children[left].append(right);
    }

    fn place(&mut self, at: usize, child: Node) {
        let (score, member) = child.first();
        self.firsts.insert(at, score, member);
        self.counts.insert(at, child.count());
        self.children.insert(at, child);
    }

    fn take(&mut self, at: usize) -> Node {
        self.firsts.remove(at);
        self.counts.remove(at);
        self.children.remove(at)
    }

    fn split_off(&mut self, at: usize) -> Branch {
        Branch {
            firsts: self.firsts.split_off(at),
            counts: self.counts.split_off(at),
            children: self.children.split_off(at),
        }
    }
}

impl Entries {
    fn len(&self) -> usize {
        self.scores.len()
    }

    fn partition_point(&self, is_before: impl Fn(f64, &Bytes) -> bool) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            if is_before(self.scores[middle], &self.members[middle]) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    fn is_at(&self, at: usize, score: f64, member: &[u8]) -> bool {
        self.scores.get(at) == Some(&score) && self.members[at] == member
    }

    fn insert(&mut self, at: usize, score: f64, member: Bytes) {
        self.scores.insert(at, score);
        self.members.insert(at, member);
    }

    fn set(&mut self, at: usize, (score, member): (f64, Bytes)) {
        self.scores[at] = score;
        self.members[at] = member;
    }

    fn remove(&mut self, at: usize) {
        self.scores.remove(at);
        self.members.remove(at);
    }

    fn split_off(&mut self, at: usize) -> Entries {
        Entries { scores: self.scores.split_off(at), members: self.members.split_off(at) }
    }

    fn append(&mut self, mut more: Entries) {
        self.scores.append(&mut more.scores);
        self.members.append(&mut more.members);
    }
}

fn is_less(left: f64, left_member: &[u8], right: f64, right_member: &[u8]) -> bool {
    left < right || (left == right && left_member < right_member)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Checks the invariants below a node; gives its depth.
    fn depth(node: &Node, is_root: bool) -> usize {
        assert!(node.width() <= NODE_MAX);
        match node {
            Node::Leaf(entries) => {
                assert!(is_root || entries.len() > 0);
                assert_eq!(entries.scores.len(), entries.members.len());
                0
            }
            Node::Branch(branch) => {
                assert!(!is_root || branch.children.len() > 1);
                for (at, child) in branch.children.iter().enumerate() {
                    assert_eq!(child.count(), branch.counts[at]);
                    let (score, member) = child.first();
                    assert!(branch.firsts.is_at(at, score, &member));
                }
                let depths = branch.children.iter().map(|child| depth(child, false));
                let depths: std::collections::BTreeSet<usize> = depths.collect();
                assert_eq!(depths.len(), 1, "leaves are equally deep");
                depths.first().expect("a branch has children") + 1
            }
        }
    }

    /// Checks a tree against the entries in their order.
    fn check(tree: &ScoreTree, model: &[(u16, Bytes)]) {
        depth(&tree.root, true);
        assert_eq!(tree.len, model.len());
        let up: Vec<_> = tree.up_from_rank(0).map(|(member, _)| member).collect();
        assert!(up.iter().eq(&model.iter().map(|(_, member)| member).collect::<Vec<_>>()));
        for rank in (0..model.len()).step_by(model.len() / 16 + 1) {
            let (score, member) = &model[rank];
            let before = tree.partition_point(|s, m| is_less(s, m, f64::from(*score), member));
            assert_eq!(before, rank);
            let up = tree.up_from_rank(rank).take(70).map(|(member, _)| member);
            assert!(up.eq(model[rank..].iter().take(70).map(|(_, member)| member)));
            let down = tree.down_from_rank(rank).take(70).map(|(member, _)| member);
            assert!(down.eq(model[..=rank].iter().rev().take(70).map(|(_, member)| member)));
        }
        assert!(tree.up_from_rank(model.len()).next().is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Grows for a while and then shrinks, so that nodes split and merge on several levels.
        #[test]
        fn it_is_ordered_and_knows_ranks(
            phases in prop::collection::vec((0_u8..=100, 0_usize..3000), 1..5),
            scores in 1_u16..2000,
            seed in any::<u64>(),
        ) {
            let mut random = crate::random::Random::new(seed);
            let mut draw = |below: u64| u16::try_from(random.next() % below).unwrap();
            let mut tree = ScoreTree::default();
            let mut model: Vec<(u16, Bytes)> = Vec::new();
            for (adding, steps) in phases {
                for _ in 0..steps {
                    let entry = (draw(scores.into()), Bytes::from(format!("m{}", draw(40))));
                    let there = model.binary_search(&entry);
                    if draw(100) < adding.into() {
                        if let Err(at) = there {
                            model.insert(at, entry.clone());
                            tree.insert(f64::from(entry.0), entry.1);
                        }
                    } else {
                        // What is there, more often than not.
                        let entry = match model.len() {
                            0 => entry,
                            len => model[usize::from(draw(1 << 15)) % len].clone(),
                        };
                        let there = model.binary_search(&entry);
                        prop_assert_eq!(tree.remove(f64::from(entry.0), &entry.1), there.is_ok());
                        if let Ok(at) = there { model.remove(at); }
                    }
                }
                check(&tree, &model);
            }
        }
    }

    #[test]
    fn nothing_is_left_of_what_was_taken_out() {
        for from_the_end in [false, true] {
            let mut tree = ScoreTree::default();
            let member = |at: u32| Bytes::from(format!("m{at:06}"));
            (0..10_000).for_each(|at| tree.insert(f64::from(at), member(at)));
            assert!(depth(&tree.root, true) >= 2);
            for step in 0..10_000 {
                let at = if from_the_end { 9_999 - step } else { step };
                assert!(tree.remove(f64::from(at), &member(at)));
                assert!(!tree.remove(f64::from(at), &member(at)));
            }
            assert_eq!(depth(&tree.root, true), 0);
            assert_eq!((tree.len, tree.root.count()), (0, 0));
        }
    }
}
