//! Sets.

use bytes::Bytes;

use crate::database::Database;
use crate::effect::Change;
use crate::error::KeyError;
use crate::glob::glob_matches;
use crate::keys::{ScanFilter, Scanned, walk};
use crate::value::{Set, Value};

/// How sets become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Combine {
    /// What is in any.
    Union,
    /// What is in all.
    Intersection,
    /// What is in the first and in no other.
    Difference,
}

impl Database<'_> {
    /// Adds members; says how many are new (`SADD`).
    pub fn add_members(&mut self, key: &[u8], members: &[&[u8]]) -> Result<usize, KeyError> {
        let set = self.set_at(key)?;
        let is_new = |member: &&&[u8]| set.is_none_or(|set| !set.members.contains(member));
        let mut new: Vec<&[u8]> = members.iter().filter(is_new).copied().collect();
        if new.len() > 1 {
            let mut seen = std::collections::HashSet::new();
            new.retain(|member| seen.insert(*member));
        }
        let added = new.len();
        if added > 0 {
            self.commit(Change::AddMembers { key: Self::own(key), members: Self::own_all(&new) });
        }
        Ok(added)
    }

    /// Removes members; says how many there were (`SREM`).
    pub fn remove_members(&mut self, key: &[u8], members: &[&[u8]]) -> Result<usize, KeyError> {
        let Some(set) = self.set_at(key)? else { return Ok(0) };
        let present = members.iter().filter_map(|member| set.members.get_key_value(member));
        let mut present: Vec<Bytes> = present.map(|(member, ())| member.clone()).collect();
        present.sort_unstable();
        present.dedup();
        let removed = present.len();
        if removed > 0 {
            self.commit(Change::RemoveMembers { key: Self::own(key), members: present });
        }
        Ok(removed)
    }

    /// All members (`SMEMBERS`).
    pub fn members(&mut self, key: &[u8]) -> Result<Vec<Bytes>, KeyError> {
        let Some(set) = self.set_at(key)? else { return Ok(Vec::new()) };
        Ok(set.members.iter().map(|(member, ())| member.clone()).collect())
    }

    /// Whether each is a member (`SISMEMBER`, `SMISMEMBER`).
    pub fn are_members(&mut self, key: &[u8], members: &[&[u8]]) -> Result<Vec<bool>, KeyError> {
        let set = self.set_at(key)?;
        let is_member = |member: &&[u8]| set.is_some_and(|set| set.members.contains(member));
        Ok(members.iter().map(is_member).collect())
    }

    /// How many members there are (`SCARD`).
    pub fn set_len(&mut self, key: &[u8]) -> Result<usize, KeyError> {
        Ok(self.set_at(key)?.map_or(0, |set| set.members.len()))
    }

    /// Takes random members out (`SPOP`).
    pub fn pop_members(&mut self, key: &[u8], count: usize) -> Result<Vec<Bytes>, KeyError> {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let members = self.random_members(key, count)?;
        if !members.is_empty() {
            let (key, taken) = (Self::own(key), members.clone());
            self.commit(Change::RemoveMembers { key, members: taken });
        }
        Ok(members)
    }

    /// Random members: different ones, or, when the count is negative, so many draws
    /// (`SRANDMEMBER`).
    pub fn random_members(&mut self, key: &[u8], count: i64) -> Result<Vec<Bytes>, KeyError> {
        let len = self.set_len(key)?;
        let positions = self.draw(count, len);
        let Some(set) = self.set_at(key)? else { return Ok(Vec::new()) };
        let entries = positions.into_iter().filter_map(|position| set.members.at(position));
        Ok(entries.map(|(member, ())| member.clone()).collect())
    }

    /// Moves a member to another set; says whether it was there (`SMOVE`).
    pub fn move_member(&mut self, from: &[u8], to: &[u8], member: &[u8]) -> Result<bool, KeyError> {
        if self.set_len(from)? == 0 {
            return Ok(false);
        }
        self.set_len(to)?;
        if from == to {
            return Ok(self.are_members(from, &[member])?.contains(&true));
        }
        if self.remove_members(from, &[member])? == 0 {
            return Ok(false);
        }
        self.add_members(to, &[member])?;
        Ok(true)
    }

    /// What several sets become (`SUNION`, `SINTER`, `SDIFF`).
    pub fn combine_sets(&mut self, how: Combine, keys: &[&[u8]]) -> Result<Vec<Bytes>, KeyError> {
        for key in keys {
            self.set_at(key)?;
        }
        let set = |key: &&[u8]| match self.keys().get(key).map(|entry| &entry.value) {
            Some(Value::Set(set)) => Some(set),
            _ => None,
        };
        let sets: Vec<Option<&Set>> = keys.iter().map(set).collect();
        Ok(combined(how, &sets))
    }

    /// How many members several sets share, counted up to `limit`; 0 is no limit (`SINTERCARD`).
    pub fn shared_members(&mut self, keys: &[&[u8]], limit: usize) -> Result<usize, KeyError> {
        let shared = self.combine_sets(Combine::Intersection, keys)?.len();
        Ok(if limit == 0 { shared } else { shared.min(limit) })
    }

    /// Stores what several sets become; says how many members that has (`SUNIONSTORE` …).
    pub fn store_combined_sets(
        &mut self,
        to: &[u8],
        how: Combine,
        keys: &[&[u8]],
    ) -> Result<usize, KeyError> {
        let members = self.combine_sets(how, keys)?;
        let count = members.len();
        let mut set = Set::default();
        members.into_iter().for_each(|member| set.add(member));
        self.store(to, &Value::Set(set));
        Ok(count)
    }

    /// A step of a walk over members (`SSCAN`).
    pub fn scan_members(
        &mut self,
        key: &[u8],
        cursor: u64,
        filter: ScanFilter<'_>,
    ) -> Result<Scanned<Bytes>, KeyError> {
        let Some(set) = self.set_at(key)? else { return Ok(Scanned { cursor: 0, items: vec![] }) };
        Ok(walk(
            |cursor, show| set.members.scan(cursor, |member, nothing| show(member, nothing)),
            cursor,
            filter.count,
            |member, (): &()| {
                let shown = filter.pattern.is_none_or(|pattern| glob_matches(pattern, member));
                shown.then(|| member.clone())
            },
        ))
    }
}

fn combined(how: Combine, sets: &[Option<&Set>]) -> Vec<Bytes> {
    let members = |set: &Set| set.members.iter().map(|(member, ())| member.clone()).collect();
    match how {
        Combine::Union => {
            let mut union = Set::default();
            for set in sets.iter().flatten() {
                set.members.iter().for_each(|(member, ())| union.add(member.clone()));
            }
            members(&union)
        }
        Combine::Intersection => {
            let Some(mut sets) = sets.iter().copied().collect::<Option<Vec<&Set>>>() else {
                return Vec::new();
            };
            sets.sort_by_key(|set| set.members.len());
            let Some((smallest, others)) = sets.split_first() else { return Vec::new() };
            let mut shared: Vec<Bytes> = members(smallest);
            shared.retain(|member| others.iter().all(|set| set.members.contains(member)));
            shared
        }
        Combine::Difference => {
            let Some((Some(first), others)) = sets.split_first() else { return Vec::new() };
            let mut left: Vec<Bytes> = members(first);
            left.retain(|member| !others.iter().flatten().any(|set| set.members.contains(member)));
            left
        }
    }
}
