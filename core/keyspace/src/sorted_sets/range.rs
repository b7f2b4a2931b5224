//! Ranges of a sorted set: by rank, by score, or by bytes where all scores are equal.

use bytes::Bytes;

use crate::database::{Database, absolute_range};
use crate::effect::Change;
use crate::error::KeyError;
use crate::value::{SortedSet, Value};

/// An end of a range of scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bound {
    /// The score.
    pub score: f64,
    /// Whether that score itself is outside.
    pub exclusive: bool,
}

/// An end of a range of members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LexBound<'a> {
    /// Before every member (`-`).
    Lowest,
    /// After every member (`+`).
    Highest,
    /// A member that is inside.
    Included(&'a [u8]),
    /// A member that is outside.
    Excluded(&'a [u8]),
}

/// What a range is of. The lower end comes first, whatever the direction it is shown in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RangeBy<'a> {
    /// Ranks, both included, counted from either end.
    Rank {
        /// The first, in the direction it is shown in.
        start: i64,
        /// The last, in the direction it is shown in.
        stop: i64,
    },
    /// Scores.
    Score {
        /// The lower end.
        min: Bound,
        /// The upper end.
        max: Bound,
    },
    /// Members, where all scores are equal.
    Lex {
        /// The lower end.
        min: LexBound<'a>,
        /// The upper end.
        max: LexBound<'a>,
    },
}

/// Which members are shown, and in which direction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RangeQuery<'a> {
    /// Of what.
    pub by: RangeBy<'a>,
    /// From the highest down.
    pub reverse: bool,
    /// How many are passed over first.
    pub skip: usize,
    /// How many are shown at most.
    pub limit: usize,
}

impl Database<'_> {
    /// Members of a range with their scores (`ZRANGE` and its older forms).
    pub fn range(
        &mut self,
        key: &[u8],
        query: RangeQuery<'_>,
    ) -> Result<Vec<(Bytes, f64)>, KeyError> {
        let Some(sorted) = self.sorted_set(key)? else { return Ok(Vec::new()) };
        let (from, to) = span(sorted, query.by, query.reverse);
        let count = to.saturating_sub(from).saturating_sub(query.skip).min(query.limit);
        if count == 0 {
            return Ok(Vec::new());
        }
        let entry = |(member, score): (&Bytes, f64)| (member.clone(), score);
        Ok(if query.reverse {
            sorted.order.down_from_rank(to - 1 - query.skip).take(count).map(entry).collect()
        } else {
            sorted.order.up_from_rank(from + query.skip).take(count).map(entry).collect()
        })
    }

    /// How many members a range has (`ZCOUNT`, `ZLEXCOUNT`).
    pub fn count_range(&mut self, key: &[u8], by: RangeBy<'_>) -> Result<usize, KeyError> {
        let Some(sorted) = self.sorted_set(key)? else { return Ok(0) };
        let (from, to) = span(sorted, by, false);
        Ok(to.saturating_sub(from))
    }

    /// Removes the members of a range; says how many (`ZREMRANGEBYRANK` …).
    pub fn remove_range(&mut self, key: &[u8], by: RangeBy<'_>) -> Result<usize, KeyError> {
        let query = RangeQuery { by, reverse: false, skip: 0, limit: usize::MAX };
        let members = self.range(key, query)?;
        let removed = members.len();
        if removed > 0 {
            let members = members.into_iter().map(|(member, _)| member).collect();
            self.commit(Change::RemoveScores { key: Self::own(key), members });
        }
        Ok(removed)
    }

    /// Stores a range as a sorted set; says how many members it has (`ZRANGESTORE`).
    pub fn store_range(
        &mut self,
        to: &[u8],
        key: &[u8],
        query: RangeQuery<'_>,
    ) -> Result<usize, KeyError> {
        let members = self.range(key, query)?;
        Ok(self.store_scores(to, members))
    }

    /// Makes a key hold these members, or removes it where there are none; says how many.
    pub(crate) fn store_scores(&mut self, to: &[u8], members: Vec<(Bytes, f64)>) -> usize {
        let count = members.len();
        let mut sorted = SortedSet::default();
        members.into_iter().for_each(|(member, score)| sorted.set(member, score));
        self.store(to, &Value::SortedSet(sorted));
        count
    }
}

/// The ranks of a range: the first, and the one after the last.
fn span(sorted: &SortedSet, by: RangeBy<'_>, reverse: bool) -> (usize, usize) {
    match by {
        RangeBy::Rank { start, stop } => {
            let len = sorted.scores.len();
            let (from, count) = absolute_range(start, stop, len);
            if reverse { (len - from - count, len - from) } else { (from, from + count) }
        }
        RangeBy::Score { min, max } => {
            let before_min =
                |score: f64, _: &Bytes| score < min.score || (min.exclusive && score == min.score);
            let up_to_max =
                |score: f64, _: &Bytes| score < max.score || (!max.exclusive && score == max.score);
            (sorted.order.partition_point(before_min), sorted.order.partition_point(up_to_max))
        }
        RangeBy::Lex { min, max } => (below(sorted, min, true), below(sorted, max, false)),
    }
}

/// How many members lie below a bound; one that equals it does if the bound leaves it there.
fn below(sorted: &SortedSet, bound: LexBound<'_>, lower_end: bool) -> usize {
    let up_to = |bound: &[u8], included: bool| {
        let is_before = |_, member: &Bytes| member[..] < *bound || (included && member == bound);
        sorted.order.partition_point(is_before)
    };
    match bound {
        LexBound::Lowest => 0,
        LexBound::Highest => sorted.scores.len(),
        LexBound::Included(bound) => up_to(bound, !lower_end),
        LexBound::Excluded(bound) => up_to(bound, lower_end),
    }
}
