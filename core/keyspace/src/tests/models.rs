//! Each type against a naive model of it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use proptest::prelude::*;

use super::first;
use crate::{
    AddScores, Aggregate, Combine, DatabaseIndex, End, Existing, Keyspace, Lifetime, RangeBy,
    RangeQuery, ScanFilter, WeightedKey,
};

fn name(number: u8) -> Bytes {
    Bytes::from(format!("n{number}"))
}

proptest! {
    #[test]
    fn a_list_is_a_vector(steps in prop::collection::vec((0_u8..9, any::<u8>(), -6_i64..6, -6_i64..6), 0..120)) {
        let mut keyspace = Keyspace::new(1);
        let mut db = first(&mut keyspace);
        let mut model: Vec<Bytes> = Vec::new();
        for (what, number, start, stop) in steps {
            let item = name(number % 4);
            match what {
                0 | 1 => {
                    db.push(b"l", End::Right, &[&item], false).unwrap();
                    model.push(item);
                }
                2 => {
                    db.push(b"l", End::Left, &[&item, b"x"], false).unwrap();
                    model.splice(0..0, ["x".into(), item]);
                }
                3 => {
                    let popped = db.pop(b"l", End::Left, 1).unwrap().unwrap_or_default();
                    let expected: Vec<Bytes> = model.drain(..model.len().min(1)).collect();
                    prop_assert_eq!(popped, expected);
                }
                4 => {
                    let popped = db.pop(b"l", End::Right, 2).unwrap().unwrap_or_default();
                    let mut expected = model.split_off(model.len().saturating_sub(2));
                    expected.reverse();
                    prop_assert_eq!(popped, expected);
                }
                5 => {
                    let moved = db.move_item(b"l", End::Right, b"l", End::Left).unwrap();
                    prop_assert_eq!(moved.as_ref(), model.last());
                    if !model.is_empty() { model.rotate_right(1); }
                }
                6 => {
                    let removed = db.remove_items(b"l", start.signum() * 2, &item).unwrap();
                    let mut at: Vec<usize> = (0..model.len()).filter(|at| model[*at] == item).collect();
                    if start < 0 { at.reverse(); }
                    if start != 0 { at.truncate(2); }
                    prop_assert_eq!(removed, at.len());
                    at.sort_unstable_by(|left, right| right.cmp(left));
                    at.into_iter().for_each(|at| { model.remove(at); });
                }
                7 => {
                    db.trim(b"l", start, stop).unwrap();
                    model = slice(&model, start, stop);
                }
                _ => {
                    prop_assert_eq!(db.items(b"l", start, stop).unwrap(), slice(&model, start, stop));
                    prop_assert_eq!(db.item(b"l", start).unwrap(), slice(&model, start, start).first().cloned());
                }
            }
            prop_assert_eq!(db.list_len(b"l").unwrap(), model.len());
        }
        prop_assert_eq!(db.items(b"l", 0, -1).unwrap(), model);
    }

    #[test]
    fn a_hash_is_a_map(steps in prop::collection::vec((any::<bool>(), 0_u8..40, any::<u8>()), 0..200)) {
        let mut keyspace = Keyspace::new(1);
        let mut db = first(&mut keyspace);
        let mut model = BTreeMap::new();
        for (set, field, value) in steps {
            if set {
                let new = db.set_fields(b"h", &[(&name(field), &name(value))]).unwrap();
                prop_assert_eq!(new == 1, model.insert(name(field), name(value)).is_none());
            } else {
                let removed = db.delete_fields(b"h", &[&name(field)]).unwrap();
                prop_assert_eq!(removed == 1, model.remove(&name(field)).is_some());
            }
        }
        let fields: BTreeMap<_, _> = db.all_fields(b"h").unwrap().into_iter().collect();
        prop_assert_eq!(db.exists(b"h"), !model.is_empty());
        prop_assert_eq!(fields, model);
    }

    #[test]
    fn sets_combine_as_sets_do(left: BTreeSet<u8>, right: BTreeSet<u8>) {
        let mut keyspace = Keyspace::new(1);
        let mut db = first(&mut keyspace);
        for (key, members) in [(b"l", &left), (b"r", &right)] {
            let names: Vec<Bytes> = members.iter().map(|number| name(*number)).collect();
            let names: Vec<&[u8]> = names.iter().map(|name| &name[..]).collect();
            prop_assert_eq!(db.add_members(key, &names).unwrap(), members.len());
        }
        let keys: [&[u8]; 2] = [b"l", b"r"];
        let weighted = keys.map(|key| WeightedKey { key, weight: 2.0 });
        for (how, expected) in [
            (Combine::Union, left.union(&right).copied().collect::<BTreeSet<u8>>()),
            (Combine::Intersection, left.intersection(&right).copied().collect()),
            (Combine::Difference, left.difference(&right).copied().collect()),
        ] {
            let names: BTreeSet<Bytes> = expected.iter().map(|number| name(*number)).collect();
            let combined: BTreeSet<_> = db.combine_sets(how, &keys).unwrap().into_iter().collect();
            prop_assert_eq!(&combined, &names);
            let scores = db.combine_scores(how, &weighted, Aggregate::Sum).unwrap();
            let doubled = scores.iter().all(|(member, score)| {
                let sets = [&left, &right];
                let in_both = how != Combine::Difference
                    && sets.iter().all(|set| set.iter().any(|number| name(*number) == *member));
                *score == if in_both { 4.0 } else { 2.0 }
            });
            prop_assert!(doubled);
            prop_assert_eq!(scores.into_iter().map(|(member, _)| member).collect::<BTreeSet<_>>(), names);
            prop_assert_eq!(db.store_combined_sets(b"to", how, &keys).unwrap(), expected.len());
            prop_assert_eq!(db.exists(b"to"), !expected.is_empty());
        }
    }

    #[test]
    fn a_sorted_set_is_ordered_pairs(
        steps in prop::collection::vec((0_u8..4, 0_u8..30, -4_i32..4), 0..200),
        start in -8_i64..8, stop in -8_i64..8,
    ) {
        let mut keyspace = Keyspace::new(1);
        let mut db = first(&mut keyspace);
        let mut model: BTreeMap<Bytes, i32> = BTreeMap::new();
        for (what, number, score) in steps {
            let member = name(number);
            match what {
                0 | 1 => {
                    let added = db.add_scores(b"z", &[(&member, score.into())], AddScores::default()).unwrap();
                    prop_assert_eq!(added.added == 1, model.insert(member, score).is_none());
                }
                2 => {
                    let removed = db.remove_scores(b"z", &[&member]).unwrap();
                    prop_assert_eq!(removed == 1, model.remove(&member).is_some());
                }
                _ => {
                    let popped = db.pop_scores(b"z", true, 1).unwrap();
                    let highest = model.iter().map(|(member, score)| (*score, member.clone())).max();
                    prop_assert_eq!(popped.first().map(|(member, _)| member), highest.as_ref().map(|(_, member)| member));
                    if let Some((_, member)) = highest { model.remove(&member); }
                }
            }
        }
        let mut ordered: Vec<(i32, Bytes)> = model.into_iter().map(|(member, score)| (score, member)).collect();
        ordered.sort();
        let names: Vec<Bytes> = ordered.iter().map(|(_, member)| member.clone()).collect();
        for (rank, member) in names.iter().enumerate() {
            prop_assert_eq!(db.rank(b"z", member, false).unwrap(), Some(rank));
            prop_assert_eq!(db.rank(b"z", member, true).unwrap(), Some(names.len() - 1 - rank));
        }
        for reverse in [false, true] {
            let query = RangeQuery { by: RangeBy::Rank { start, stop }, reverse, skip: 0, limit: usize::MAX };
            let range: Vec<Bytes> = db.range(b"z", query).unwrap().into_iter().map(|(member, _)| member).collect();
            let mut expected = names.clone();
            if reverse { expected.reverse(); }
            prop_assert_eq!(range, slice(&expected, start, stop));
        }
    }

    #[test]
    fn a_scan_shows_what_is_there_all_the_while(stay: BTreeSet<u8>, go in prop::collection::vec(any::<u8>(), 0..200), count in 1_usize..20) {
        let mut keyspace = Keyspace::new(1);
        let mut db = first(&mut keyspace);
        let key = |kind: &str, number: u8| format!("{kind}{number}").into_bytes();
        for number in &stay {
            db.set(&key("stay", *number), b"v", Existing::Any, Lifetime::Forever).unwrap();
        }
        let mut shown = BTreeSet::new();
        let mut cursor = 0;
        let mut go = go.into_iter();
        loop {
            let scanned = db.scan(cursor, ScanFilter { count, ..ScanFilter::default() });
            shown.extend(scanned.items.iter().map(|key| key.to_vec()));
            cursor = scanned.cursor;
            if cursor == 0 { break; }
            for number in go.by_ref().take(25) {
                if !db.delete(&key("go", number)) {
                    db.set(&key("go", number), b"v", Existing::Any, Lifetime::Forever).unwrap();
                }
            }
        }
        prop_assert!(stay.iter().all(|number| shown.contains(&key("stay", *number))));
    }
}

fn slice(items: &[Bytes], start: i64, stop: i64) -> Vec<Bytes> {
    let len = i64::try_from(items.len()).unwrap();
    let from = |index: i64| if index < 0 { index + len } else { index };
    let inside = |at: i64| at >= from(start) && at <= from(stop);
    let numbered = (0..len).zip(items);
    numbered.filter(|(at, _)| inside(*at)).map(|(_, item)| item.clone()).collect()
}

#[test]
fn keys_of_one_database_are_not_in_another() {
    let mut keyspace = Keyspace::new(1);
    first(&mut keyspace).set(b"k", b"v", Existing::Any, Lifetime::Forever).unwrap();
    let other = DatabaseIndex::new(15).unwrap();
    assert!(!keyspace.database(other, super::at(super::NOW)).exists(b"k"));
    assert!(first(&mut keyspace).move_to(b"k", other).unwrap());
    assert!(keyspace.database(other, super::at(super::NOW)).exists(b"k"));
    assert!(DatabaseIndex::new(16).is_err());
}
