//! Sorted sets: members in order of score, then of bytes.

mod combine;
mod range;

use bytes::Bytes;

pub use combine::{Aggregate, WeightedKey};
pub use range::{Bound, LexBound, RangeBy, RangeQuery};

use crate::database::Database;
use crate::effect::Change;
use crate::error::KeyError;
use crate::glob::glob_matches;
use crate::keys::{ScanFilter, Scanned, walk};
use crate::strings::Existing;

/// Which scores are set (`ZADD`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AddScores {
    /// Whether members have to be there.
    pub existing: Existing,
    /// A member that is there only gets a higher score (`GT`).
    pub greater: bool,
    /// A member that is there only gets a lower score (`LT`).
    pub less: bool,
}

/// What setting scores did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Added {
    /// New members.
    pub added: usize,
    /// Members with another score than before.
    pub updated: usize,
}

impl AddScores {
    /// Whether a member gets a score.
    fn allows(self, present: Option<f64>, score: f64) -> bool {
        match (self.existing, present) {
            (Existing::Absent, Some(_)) | (Existing::Present, None) => false,
            (_, None) => true,
            (_, Some(present)) => {
                (!self.greater || score > present) && (!self.less || score < present)
            }
        }
    }
}

impl Database<'_> {
    /// Gives members scores (`ZADD`).
    pub fn add_scores(
        &mut self,
        key: &[u8],
        members: &[(&[u8], f64)],
        options: AddScores,
    ) -> Result<Added, KeyError> {
        let sorted = self.sorted_set(key)?;
        let mut outcome = Added::default();
        // A member that comes twice is judged the second time by what the first made of it.
        let mut changed: Vec<(Bytes, f64)> = Vec::new();
        let mut pending = std::collections::HashMap::new();
        for (member, score) in members {
            let stored = sorted.and_then(|sorted| sorted.scores.get(member)).copied();
            let present = pending.get(member).copied().or(stored);
            if !options.allows(present, *score) || present == Some(*score) {
                continue;
            }
            outcome.added += usize::from(present.is_none());
            outcome.updated += usize::from(present.is_some());
            if members.len() > 1 {
                pending.insert(*member, *score);
            }
            changed.push((Self::own(member), *score));
        }
        if !changed.is_empty() {
            self.commit(Change::SetScores { key: Self::own(key), members: changed });
        }
        Ok(outcome)
    }

    /// Adds to a member's score; gives the score, or `None` where the options forbid it (`ZINCRBY`,
    /// `ZADD … INCR`).
    pub fn increment_score(
        &mut self,
        key: &[u8],
        member: &[u8],
        by: f64,
        options: AddScores,
    ) -> Result<Option<f64>, KeyError> {
        let present = self.score(key, member)?;
        let score = present.unwrap_or(0.0) + by;
        if score.is_nan() {
            return Err(KeyError::ScoreNotANumber);
        }
        if !options.allows(present, score) {
            return Ok(None);
        }
        self.add_scores(key, &[(member, score)], AddScores::default())?;
        Ok(Some(score))
    }

    /// Removes members; says how many there were (`ZREM`).
    pub fn remove_scores(&mut self, key: &[u8], members: &[&[u8]]) -> Result<usize, KeyError> {
        let Some(sorted) = self.sorted_set(key)? else { return Ok(0) };
        let present = members.iter().filter_map(|member| sorted.scores.get_key_value(member));
        let mut present: Vec<Bytes> = present.map(|(member, _)| member.clone()).collect();
        present.sort_unstable();
        present.dedup();
        let removed = present.len();
        if removed > 0 {
            self.commit(Change::RemoveScores { key: Self::own(key), members: present });
        }
        Ok(removed)
    }

    /// A member's score (`ZSCORE`).
    pub fn score(&mut self, key: &[u8], member: &[u8]) -> Result<Option<f64>, KeyError> {
        Ok(self.sorted_set(key)?.and_then(|sorted| sorted.scores.get(member)).copied())
    }

    /// Members' scores (`ZMSCORE`).
    pub fn scores(&mut self, key: &[u8], members: &[&[u8]]) -> Result<Vec<Option<f64>>, KeyError> {
        let sorted = self.sorted_set(key)?;
        let score = |member: &&[u8]| sorted.and_then(|sorted| sorted.scores.get(member)).copied();
        Ok(members.iter().map(score).collect())
    }

    /// How many members there are (`ZCARD`).
    pub fn sorted_set_len(&mut self, key: &[u8]) -> Result<usize, KeyError> {
        Ok(self.sorted_set(key)?.map_or(0, |sorted| sorted.scores.len()))
    }

    /// Where a member comes, from the lowest score up or from the highest down (`ZRANK`, `ZREVRANK`).
    pub fn rank(
        &mut self,
        key: &[u8],
        member: &[u8],
        down: bool,
    ) -> Result<Option<usize>, KeyError> {
        let Some(sorted) = self.sorted_set(key)? else { return Ok(None) };
        let last = sorted.scores.len().saturating_sub(1);
        Ok(sorted.rank(member).map(|rank| if down { last - rank } else { rank }))
    }

    /// Takes out the members with the lowest scores, or the highest (`ZPOPMIN`, `ZPOPMAX`).
    pub fn pop_scores(
        &mut self,
        key: &[u8],
        highest: bool,
        count: usize,
    ) -> Result<Vec<(Bytes, f64)>, KeyError> {
        let Some(sorted) = self.sorted_set(key)? else { return Ok(Vec::new()) };
        let entry = |(member, score): (&Bytes, f64)| (member.clone(), score);
        let members: Vec<(Bytes, f64)> = if highest {
            let last = sorted.scores.len().saturating_sub(1);
            sorted.order.down_from_rank(last).take(count).map(entry).collect()
        } else {
            sorted.order.up_from_rank(0).take(count).map(entry).collect()
        };
        if !members.is_empty() {
            let taken = members.iter().map(|(member, _)| member.clone()).collect();
            self.commit(Change::RemoveScores { key: Self::own(key), members: taken });
            self.keyspace.note_popped_scores(highest);
        }
        Ok(members)
    }

    /// Random members with scores: different ones, or, when the count is negative, so many draws
    /// (`ZRANDMEMBER`).
    pub fn random_scores(&mut self, key: &[u8], count: i64) -> Result<Vec<(Bytes, f64)>, KeyError> {
        let len = self.sorted_set_len(key)?;
        let positions = self.draw(count, len);
        let Some(sorted) = self.sorted_set(key)? else { return Ok(Vec::new()) };
        let entries = positions.into_iter().filter_map(|position| sorted.scores.at(position));
        Ok(entries.map(|(member, score)| (member.clone(), *score)).collect())
    }

    /// A step of a walk over members and scores (`ZSCAN`).
    pub fn scan_scores(
        &mut self,
        key: &[u8],
        cursor: u64,
        filter: ScanFilter<'_>,
    ) -> Result<Scanned<(Bytes, f64)>, KeyError> {
        let Some(sorted) = self.sorted_set(key)? else {
            return Ok(Scanned { cursor: 0, items: vec![] });
        };
        Ok(walk(
            |cursor, show| sorted.scores.scan(cursor, |member, score| show(member, score)),
            cursor,
            filter.count,
            |member, score: &f64| {
                let shown = filter.pattern.is_none_or(|pattern| glob_matches(pattern, member));
                shown.then(|| (member.clone(), *score))
            },
        ))
    }
}
