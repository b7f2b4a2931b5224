//! Several sorted sets, or sets, made one.

use std::collections::HashMap;

use bytes::Bytes;

use crate::database::Database;
use crate::error::KeyError;
use crate::sets::Combine;
use crate::value::{SortedSet, Value};

/// What becomes of scores that several sets have for a member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Aggregate {
    /// Their sum.
    #[default]
    Sum,
    /// The lowest.
    Min,
    /// The highest.
    Max,
}

/// A set and what its scores are multiplied with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WeightedKey<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The factor.
    pub weight: f64,
}

impl Aggregate {
    fn of(self, left: f64, right: f64) -> f64 {
        match self {
            // Infinities of both signs cancel out.
            Aggregate::Sum if (left + right).is_nan() => 0.0,
            Aggregate::Sum => left + right,
            Aggregate::Min => left.min(right),
            Aggregate::Max => left.max(right),
        }
    }
}

impl Database<'_> {
    /// What several sorted sets become, in order; the members of a plain set have score 1 (`ZUNION`,
    /// `ZINTER`, `ZDIFF`).
    pub fn combine_scores(
        &mut self,
        how: Combine,
        keys: &[WeightedKey<'_>],
        aggregate: Aggregate,
    ) -> Result<Vec<(Bytes, f64)>, KeyError> {
        let mut sources = Vec::with_capacity(keys.len());
        for key in keys {
            sources.push(self.weighted_scores(key)?);
        }
        let mut sorted = SortedSet::default();
        for (member, score) in combined(how, sources, aggregate) {
            sorted.set(member, score);
        }
        Ok(sorted.order.up_from_rank(0).map(|(member, score)| (member.clone(), score)).collect())
    }

    /// Stores what several sorted sets become; says how many members that has (`ZUNIONSTORE` …).
    pub fn store_combined_scores(
        &mut self,
        to: &[u8],
        how: Combine,
        keys: &[WeightedKey<'_>],
        aggregate: Aggregate,
    ) -> Result<usize, KeyError> {
        let members = self.combine_scores(how, keys, aggregate)?;
        Ok(self.store_scores(to, members))
    }

    /// How many members all have; counting ends at the limit, if there is one (`ZINTERCARD`).
    pub fn shared_scores(&mut self, keys: &[&[u8]], limit: usize) -> Result<usize, KeyError> {
        let mut sources = Vec::with_capacity(keys.len());
        for key in keys {
            sources.push(self.weighted_scores(&WeightedKey { key, weight: 1.0 })?);
        }
        sources.sort_by_key(HashMap::len);
        let Some((smallest, others)) = sources.split_first() else { return Ok(0) };
        let shared =
            smallest.keys().filter(|member| others.iter().all(|other| other.contains_key(*member)));
        Ok(shared.take(if limit == 0 { usize::MAX } else { limit }).count())
    }

    fn weighted_scores(&mut self, key: &WeightedKey<'_>) -> Result<HashMap<Bytes, f64>, KeyError> {
        let weighted = |score: f64| {
            let product = score * key.weight;
            if product.is_nan() { 0.0 } else { product }
        };
        match self.entry(key.key).map(|entry| &entry.value) {
            None => Ok(HashMap::new()),
            Some(Value::SortedSet(sorted)) => {
                let scores = sorted.scores.iter();
                Ok(scores.map(|(member, score)| (member.clone(), weighted(*score))).collect())
            }
            Some(Value::Set(set)) => {
                let members = set.members.iter();
                Ok(members.map(|(member, ())| (member.clone(), weighted(1.0))).collect())
            }
            Some(_) => Err(KeyError::WrongType),
        }
    }
}

fn combined(
    how: Combine,
    sources: Vec<HashMap<Bytes, f64>>,
    aggregate: Aggregate,
) -> HashMap<Bytes, f64> {
    let mut sources = sources.into_iter();
    let Some(mut result) = sources.next() else { return HashMap::new() };
    for source in sources {
        match how {
            Combine::Union => {
                for (member, score) in source {
                    result
                        .entry(member)
                        .and_modify(|present| *present = aggregate.of(*present, score))
                        .or_insert(score);
                }
            }
            Combine::Intersection => result.retain(|member, present| {
                let other = source.get(member);
                if let Some(score) = other {
                    *present = aggregate.of(*present, *score);
                }
                other.is_some()
            }),
            Combine::Difference => result.retain(|member, _| !source.contains_key(member)),
        }
    }
    result
}
