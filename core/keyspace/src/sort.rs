//! Elements of a list, a set or a sorted set in another order (`SORT`).
//!
//! # Source
//! Redis 7.0 `sort.c`. Text is compared by its bytes, as Redis does in the C locale.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use bytes::Bytes;

use crate::database::Database;
use crate::effect::{Change, End};
use crate::error::KeyError;
use crate::number::parse_float;
use crate::value::Value;

/// How elements are sorted, and what is given of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SortQuery<'a> {
    /// The keys to sort by, with `*` for the element; without `*`, elements stay as they are.
    pub by: Option<&'a [u8]>,
    /// What is given for each element: `#` for itself, or keys with `*` for it.
    pub get: Vec<&'a [u8]>,
    /// How many are left out at the beginning, and how many are given at most.
    pub limit: Option<(i64, i64)>,
    /// The highest first.
    pub descending: bool,
    /// As text; otherwise as numbers.
    pub alpha: bool,
}

/// An element with what it is sorted by.
struct Sorted {
    element: Bytes,
    number: f64,
    text: Option<Bytes>,
}

impl Database<'_> {
    /// Elements in order, or what was asked for of each; `None` for what is not there (`SORT`).
    pub fn sort(
        &mut self,
        key: &[u8],
        query: &SortQuery<'_>,
        stores: bool,
    ) -> Result<Vec<Option<Bytes>>, KeyError> {
        let elements = self.sorted_elements(key, query, stores)?;
        if query.get.is_empty() {
            return Ok(elements.into_iter().map(Some).collect());
        }
        let mut given = Vec::with_capacity(elements.len() * query.get.len());
        for element in &elements {
            for pattern in &query.get {
                given.push(self.looked_up(pattern, element));
            }
        }
        Ok(given)
    }

    /// The other keys that a sort would look at: those that its patterns come to.
    pub fn sort_keys(
        &mut self,
        key: &[u8],
        query: &SortQuery<'_>,
    ) -> Result<BTreeSet<Vec<u8>>, KeyError> {
        let patterns =
            || query.by.iter().chain(&query.get).filter(|pattern| pattern.contains(&b'*'));
        if patterns().next().is_none() {
            return Ok(BTreeSet::new());
        }
        let (elements, _) = self.elements_to_sort(key, false)?;
        let named = |pattern: &&[u8], element| named(pattern, element).map(|(key, _)| key);
        let keys = elements
            .iter()
            .flat_map(|element| patterns().filter_map(move |pattern| named(pattern, element)));
        Ok(keys.collect())
    }

    /// Stores elements in order as a list; says how many (`SORT … STORE`).
    pub fn sort_store(
        &mut self,
        key: &[u8],
        to: &[u8],
        query: &SortQuery<'_>,
    ) -> Result<usize, KeyError> {
        let items: Vec<Bytes> =
            self.sort(key, query, true)?.into_iter().map(Option::unwrap_or_default).collect();
        let count = items.len();
        self.delete(to);
        if !items.is_empty() {
            self.commit(Change::Push { key: Self::own(to), end: End::Right, items });
        }
        Ok(count)
    }

    fn sorted_elements(
        &mut self,
        key: &[u8],
        query: &SortQuery<'_>,
        stores: bool,
    ) -> Result<Vec<Bytes>, KeyError> {
        let (mut elements, is_set) = self.elements_to_sort(key, query.descending)?;
        let unsorted = query.by.is_some_and(|by| !by.contains(&b'*'));
        // A set has no order of its own to keep; what is stored must not depend on chance.
        let forced = unsorted && is_set && stores;
        if !unsorted || forced {
            let by = query.by.filter(|_| !forced);
            elements = self.in_order(elements, by, query.alpha || forced, query.descending)?;
        }
        let Some((offset, count)) = query.limit else { return Ok(elements) };
        let offset = usize::try_from(offset.max(0)).unwrap_or(usize::MAX);
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        Ok(elements.into_iter().skip(offset).take(count).collect())
    }

    /// The elements as they come, and whether they have no order.
    fn elements_to_sort(
        &mut self,
        key: &[u8],
        descending: bool,
    ) -> Result<(Vec<Bytes>, bool), KeyError> {
        match self.entry(key).map(|entry| &entry.value) {
            None => Ok((Vec::new(), false)),
            Some(Value::List(list)) => Ok((list.items.iter().cloned().collect(), false)),
            Some(Value::Set(set)) => {
                Ok((set.members.iter().map(|(member, ())| member.clone()).collect(), true))
            }
            Some(Value::SortedSet(sorted)) => {
                let members = sorted.order.up_from_rank(0).map(|(member, _)| member.clone());
                let mut members: Vec<Bytes> = members.collect();
                if descending {
                    members.reverse();
                }
                Ok((members, false))
            }
            Some(_) => Err(KeyError::WrongType),
        }
    }

    fn in_order(
        &mut self,
        elements: Vec<Bytes>,
        by: Option<&[u8]>,
        alpha: bool,
        descending: bool,
    ) -> Result<Vec<Bytes>, KeyError> {
        let mut sorted = Vec::with_capacity(elements.len());
        for element in elements {
            let weight = match by {
                Some(pattern) => self.looked_up(pattern, &element),
                None => Some(element.clone()),
            };
            let (number, text) = match (alpha, weight) {
                (true, text) => (0.0, text),
                (false, None) => (0.0, None),
                (false, Some(text)) => (parse_float(&text).ok_or(KeyError::NotSortable)?, None),
            };
            sorted.push(Sorted { element, number, text });
        }
        sorted.sort_by(|left, right| {
            let order = if alpha { left.text.cmp(&right.text) } else { by_number(left, right) };
            if descending { order.reverse() } else { order }
        });
        Ok(sorted.into_iter().map(|sorted| sorted.element).collect())
    }

    /// What a pattern means for an element: itself, a string, or a field of a hash.
    fn looked_up(&mut self, pattern: &[u8], element: &Bytes) -> Option<Bytes> {
        if pattern == b"#" {
            return Some(element.clone());
        }
        match named(pattern, element)? {
            (key, Some(field)) => self.get_field(&key, field).ok().flatten(),
            (key, None) => self.get(&key).ok().flatten(),
        }
    }
}

/// The key that a pattern comes to for an element, and the field of it.
fn named<'a>(pattern: &'a [u8], element: &[u8]) -> Option<(Vec<u8>, Option<&'a [u8]>)> {
    let star = pattern.iter().position(|byte| *byte == b'*')?;
    let after = &pattern[star + 1..];
    let arrow = after.windows(2).position(|pair| pair == b"->");
    let field = arrow.map(|at| (&after[..at], &after[at + 2..])).filter(|(_, f)| !f.is_empty());
    let (after, field) = field.map_or((after, None), |(after, field)| (after, Some(field)));
    Some(([&pattern[..star], element, after].concat(), field))
}

/// Elements of the same weight are told apart by their bytes, so that the order is always the same.
fn by_number(left: &Sorted, right: &Sorted) -> Ordering {
    left.number.total_cmp(&right.number).then_with(|| left.element.cmp(&right.element))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::first;
    use crate::{Existing, Keyspace, Lifetime};

    fn items(db: &mut Database<'_>, query: &SortQuery<'_>) -> Vec<String> {
        let given = db.sort(b"l", query, false).unwrap().into_iter();
        given
            .map(|item| item.map_or("-".into(), |item| String::from_utf8_lossy(&item).into_owned()))
            .collect()
    }

    #[test]
    fn the_keys_that_a_sort_looks_at_are_known_before() {
        let mut keyspace = Keyspace::new(1);
        let mut db = first(&mut keyspace);
        db.push(b"l", crate::End::Right, &[b"1", b"2", b"1"], false).unwrap();
        let query = SortQuery {
            by: Some(b"w_*"),
            get: vec![b"#", b"h_*->name", b"plain"],
            ..SortQuery::default()
        };
        let keys = db.sort_keys(b"l", &query).unwrap();
        let expected: BTreeSet<Vec<u8>> =
            [b"w_1", b"w_2", b"h_1", b"h_2"].map(|key| key.to_vec()).into();
        assert_eq!(keys, expected);
        assert!(db.sort_keys(b"nothing", &query).unwrap().is_empty());
        let plain = SortQuery { by: Some(b"nosort"), ..SortQuery::default() };
        assert!(db.sort_keys(b"l", &plain).unwrap().is_empty());
    }

    #[test]
    fn elements_are_sorted_by_what_other_keys_say() {
        let mut keyspace = Keyspace::new(1);
        let mut db = first(&mut keyspace);
        db.push(b"l", End::Right, &[b"2", b"10", b"1"], false).unwrap();
        for (key, value) in [("w_1", "30"), ("w_2", "20"), ("w_10", "10"), ("t_1", "one")] {
            let (key, value) = (key.as_bytes(), value.as_bytes());
            db.set(key, value, Existing::Any, Lifetime::Forever).unwrap();
        }
        db.set_fields(b"h_2", &[(b"f", b"two")]).unwrap();
        let plain = SortQuery::default();
        assert_eq!(items(&mut db, &plain), ["1", "2", "10"]);
        assert_eq!(items(&mut db, &SortQuery { alpha: true, ..plain.clone() }), ["1", "10", "2"]);
        let by = SortQuery { by: Some(b"w_*"), ..plain.clone() };
        assert_eq!(items(&mut db, &by), ["10", "2", "1"]);
        let limited = SortQuery { limit: Some((1, 1)), descending: true, ..by };
        assert_eq!(items(&mut db, &limited), ["2"]);
        let get = SortQuery { get: vec![b"#", b"t_*", b"h_*->f"], ..plain.clone() };
        let expected = ["1", "one", "-", "2", "-", "two", "10", "-", "-"];
        assert_eq!(items(&mut db, &get), expected);
        let stays = SortQuery { by: Some(b"nosort"), ..plain };
        assert_eq!(items(&mut db, &stays), ["2", "10", "1"]);
    }

    #[test]
    fn text_is_no_number_and_a_set_is_stored_in_order() {
        let mut keyspace = Keyspace::new(1);
        let mut db = first(&mut keyspace);
        db.add_members(b"s", &[b"b", b"c", b"a"]).unwrap();
        assert_eq!(db.sort(b"s", &SortQuery::default(), false), Err(KeyError::NotSortable));
        let query = SortQuery { by: Some(b"nosort"), ..SortQuery::default() };
        assert_eq!(db.sort_store(b"s", b"to", &query), Ok(3));
        assert_eq!(db.items(b"to", 0, -1).unwrap(), ["a", "b", "c"]);
        assert_eq!(db.sort_store(b"none", b"to", &query), Ok(0));
        assert!(!db.exists(b"to"));
    }
}
