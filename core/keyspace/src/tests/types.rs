//! What each type does, example by example.

use bytes::Bytes;

use super::{NOW, at, first};
use crate::{
    AddScores, Bound, DatabaseIndex, Effect, End, Existing, ExpireCondition, KeyError, Keyspace,
    Lifetime, PositionQuery, RangeBy, RangeQuery, ScanFilter, TimeToLive,
};

#[test]
fn an_operation_on_another_type_is_refused_and_changes_nothing() {
    let mut keyspace = Keyspace::new(1);
    let mut db = first(&mut keyspace);
    db.push(b"k", End::Right, &[b"a"], false).unwrap();
    assert_eq!(db.get(b"k"), Err(KeyError::WrongType));
    assert_eq!(db.add_members(b"k", &[b"a"]), Err(KeyError::WrongType));
    assert_eq!(db.increment(b"k", 1), Err(KeyError::WrongType));
    assert_eq!(db.set_fields(b"k", &[(b"f", b"v")]), Err(KeyError::WrongType));
    let mut stored = Vec::new();
    keyspace.take_effects(&mut stored);
    assert_eq!(Effect::decode_all(&stored).unwrap().len(), 1);
}

#[test]
fn an_expired_key_is_gone_for_every_read() {
    let mut keyspace = Keyspace::new(1);
    let mut db = first(&mut keyspace);
    db.set(b"k", b"v", Existing::Any, Lifetime::Until(NOW + 10)).unwrap();
    assert_eq!(db.time_to_live(b"k"), TimeToLive::Until(NOW + 10));
    let index = DatabaseIndex::default();
    let mut later = keyspace.database(index, at(NOW + 10));
    assert!(later.keys_matching(b"*").is_empty());
    assert!(later.scan(0, ScanFilter { count: 10, ..ScanFilter::default() }).items.is_empty());
    assert_eq!(later.get(b"k"), Ok(None));
    assert_eq!(later.time_to_live(b"k"), TimeToLive::NoKey);
    assert!(later.is_empty());
}

#[test]
fn expiry_conditions_compare_with_the_present_one() {
    let mut keyspace = Keyspace::new(1);
    let mut db = first(&mut keyspace);
    db.set(b"k", b"v", Existing::Any, Lifetime::Forever).unwrap();
    let later = ExpireCondition { later: true, ..ExpireCondition::default() };
    let earlier = ExpireCondition { earlier: true, ..ExpireCondition::default() };
    let absent = ExpireCondition { absent: true, ..ExpireCondition::default() };
    assert!(!db.expire(b"k", NOW + 50, later), "for ever is later than anything");
    assert!(db.expire(b"k", NOW + 50, earlier));
    assert!(!db.expire(b"k", NOW + 60, earlier));
    assert!(!db.expire(b"k", NOW + 60, absent));
    assert!(db.expire(b"k", NOW + 60, later));
    assert!(db.expire(b"k", NOW, ExpireCondition::default()), "a moment that is over");
    assert!(!db.exists(b"k"));
}

#[test]
fn the_sweep_removes_what_has_expired_up_to_its_budget() {
    let mut keyspace = Keyspace::new(1);
    for number in 0..10 {
        let key = format!("k{number}");
        let until = Lifetime::Until(NOW + number);
        first(&mut keyspace).set(key.as_bytes(), b"v", Existing::Any, until).unwrap();
    }
    assert_eq!(keyspace.next_expiry(), Some(NOW));
    assert_eq!(keyspace.expire_some(at(NOW + 4), 3), 3);
    assert_eq!(keyspace.expire_some(at(NOW + 4), 3), 2);
    assert_eq!(keyspace.sizes(DatabaseIndex::default()), (5, 5));
}

#[test]
fn setting_a_string_forgets_its_expiry_and_counting_keeps_it() {
    let mut keyspace = Keyspace::new(1);
    let mut db = first(&mut keyspace);
    db.set(b"n", b"1", Existing::Any, Lifetime::Until(NOW + 10)).unwrap();
    assert_eq!(db.increment(b"n", 4), Ok(5));
    assert_eq!(db.time_to_live(b"n"), TimeToLive::Until(NOW + 10));
    db.set(b"n", b"1", Existing::Any, Lifetime::Forever).unwrap();
    assert_eq!(db.time_to_live(b"n"), TimeToLive::Forever);
    assert_eq!(db.increment(b"n", i64::MAX), Err(KeyError::Overflow));
}

#[test]
fn ranges_of_a_string_count_from_either_end() {
    let mut keyspace = Keyspace::new(1);
    let mut db = first(&mut keyspace);
    db.set(b"s", b"Hello World", Existing::Any, Lifetime::Forever).unwrap();
    for (start, end, expected) in [
        (0, 3, "Hell"),
        (0, -1, "Hello World"),
        (-4, -1, "orld"),
        (5, 3, ""),
        (5, 5000, " World"),
        (-5000, 10000, "Hello World"),
        (0, -100, "H"),
        (-1, -100, ""),
    ] {
        assert_eq!(db.get_range(b"s", start, end).unwrap(), expected, "{start} {end}");
    }
    assert_eq!(db.set_range(b"s", 6, b"Redis"), Ok(11));
    assert_eq!(db.set_range(b"t", 2, b"x"), Ok(3));
    assert_eq!(db.get(b"t").unwrap().unwrap(), &b"\0\0x"[..]);
}

#[test]
fn bits_are_counted_from_the_highest_of_the_first_byte() {
    let mut keyspace = Keyspace::new(1);
    let mut db = first(&mut keyspace);
    assert_eq!(db.set_bit(b"b", 7, true), Ok(false));
    assert_eq!(db.get(b"b").unwrap().unwrap(), &[1_u8][..]);
    assert_eq!(db.set_bit(b"b", 7, false), Ok(true));
    db.set(b"b", b"foobar", Existing::Any, Lifetime::Forever).unwrap();
    let range = |start, end, bits| Some(crate::BitRange { start, end, bits });
    assert_eq!(db.count_bits(b"b", None), Ok(26));
    assert_eq!(db.count_bits(b"b", range(1, 1, false)), Ok(6));
    assert_eq!(db.count_bits(b"b", range(5, 30, true)), Ok(17));
    assert_eq!(db.count_bits(b"b", range(0, 0, true)), Ok(0));
}

#[test]
fn a_list_loses_the_items_it_is_told_to() {
    let mut keyspace = Keyspace::new(1);
    let mut db = first(&mut keyspace);
    let items: [&[u8]; 6] = [b"a", b"b", b"a", b"c", b"a", b"d"];
    db.push(b"l", End::Right, &items, false).unwrap();
    let query = PositionQuery { rank: -1, count: 2, look_at: 0 };
    assert_eq!(db.positions(b"l", b"a", query), Ok(vec![4, 2]));
    assert_eq!(db.remove_items(b"l", -2, b"a"), Ok(2));
    assert_eq!(db.items(b"l", 0, -1).unwrap(), ["a", "b", "c", "d"]);
    db.trim(b"l", 1, 2).unwrap();
    assert_eq!(db.items(b"l", 0, -1).unwrap(), ["b", "c"]);
    db.trim(b"l", 5, 6).unwrap();
    assert!(!db.exists(b"l"));
}

#[test]
fn turning_a_list_of_one_keeps_it_and_its_expiry() {
    let mut keyspace = Keyspace::new(1);
    let mut db = first(&mut keyspace);
    db.push(b"l", End::Right, &[b"a"], false).unwrap();
    db.expire(b"l", NOW + 10, ExpireCondition::default());
    assert_eq!(db.move_item(b"l", End::Right, b"l", End::Left).unwrap().unwrap(), "a");
    assert_eq!(db.time_to_live(b"l"), TimeToLive::Until(NOW + 10));
}

#[test]
fn a_member_named_twice_counts_once() {
    let mut keyspace = Keyspace::new(1);
    let mut db = first(&mut keyspace);
    assert_eq!(db.add_members(b"s", &[b"a", b"a"]), Ok(1));
    assert_eq!(db.set_fields(b"h", &[(b"f", b"1"), (b"f", b"2")]), Ok(1));
    assert_eq!(db.get_field(b"h", b"f").unwrap().unwrap(), "2");
    let added = db.add_scores(b"z", &[(b"m", 1.0), (b"m", 2.0)], AddScores::default()).unwrap();
    assert_eq!((added.added, added.updated), (1, 1));
    assert_eq!(db.score(b"z", b"m"), Ok(Some(2.0)));
    assert_eq!(db.remove_members(b"s", &[b"a", b"a"]), Ok(1));
}

#[test]
fn a_score_moves_only_as_the_options_allow() {
    let mut keyspace = Keyspace::new(1);
    let mut db = first(&mut keyspace);
    let greater = AddScores { greater: true, ..AddScores::default() };
    db.add_scores(b"z", &[(b"m", 5.0)], greater).unwrap();
    db.add_scores(b"z", &[(b"m", 3.0)], greater).unwrap();
    assert_eq!(db.score(b"z", b"m"), Ok(Some(5.0)));
    assert_eq!(db.increment_score(b"z", b"m", -1.0, greater), Ok(None));
    let present = AddScores { existing: Existing::Present, ..AddScores::default() };
    assert_eq!(db.increment_score(b"z", b"new", 1.0, present), Ok(None));
    db.add_scores(b"z", &[(b"i", f64::INFINITY)], AddScores::default()).unwrap();
    let sum = db.increment_score(b"z", b"i", f64::NEG_INFINITY, AddScores::default());
    assert_eq!(sum, Err(KeyError::ScoreNotANumber));
}

#[test]
fn ranges_by_score_respect_exclusive_ends_and_limits() {
    let mut keyspace = Keyspace::new(1);
    let mut db = first(&mut keyspace);
    let members: Vec<(&[u8], f64)> = vec![(b"a", 1.0), (b"b", 2.0), (b"c", 3.0), (b"d", 4.0)];
    db.add_scores(b"z", &members, AddScores::default()).unwrap();
    let by = RangeBy::Score {
        min: Bound { score: 1.0, exclusive: true },
        max: Bound { score: 4.0, exclusive: false },
    };
    let mut names = |reverse, skip, limit| -> Vec<Bytes> {
        let range = db.range(b"z", RangeQuery { by, reverse, skip, limit }).unwrap();
        range.into_iter().map(|(member, _)| member).collect()
    };
    assert_eq!(names(false, 0, usize::MAX), ["b", "c", "d"]);
    assert_eq!(names(true, 1, 1), ["c"]);
    assert_eq!(names(false, 3, 1), [""; 0]);
    assert_eq!(db.remove_range(b"z", RangeBy::Rank { start: 0, stop: -2 }), Ok(3));
}

#[test]
fn watched_keys_change_when_they_are_written_expire_or_are_swapped() {
    let index = DatabaseIndex::default();
    let other = DatabaseIndex::new(1).unwrap();
    let mut keyspace = Keyspace::new(1);
    first(&mut keyspace).set(b"k", b"v", Existing::Any, Lifetime::Until(NOW + 5)).unwrap();
    let watch = keyspace.watch(index, b"k", at(NOW));
    let absent = keyspace.watch(index, b"none", at(NOW));
    assert!(!keyspace.is_changed(&watch, at(NOW)));
    assert!(keyspace.is_changed(&watch, at(NOW + 5)), "it has expired");
    keyspace.swap(index, other);
    assert!(keyspace.is_changed(&watch, at(NOW)));
    assert!(!keyspace.is_changed(&absent, at(NOW)), "it is in neither database");
    first(&mut keyspace).set(b"none", b"v", Existing::Any, Lifetime::Forever).unwrap();
    first(&mut keyspace).delete(b"none");
    assert!(keyspace.is_changed(&absent, at(NOW)), "it came and went");
    keyspace.unwatch(watch);
    keyspace.unwatch(absent);
}

#[test]
fn a_dumped_value_is_restored() {
    let mut keyspace = Keyspace::new(1);
    let mut db = first(&mut keyspace);
    db.set(b"s", b"foo", Existing::Any, Lifetime::Forever).unwrap();
    assert_eq!(db.dump(b"s").unwrap()[..6], [0, 3, b'f', b'o', b'o', 10]);
    db.set(b"n", b"-300", Existing::Any, Lifetime::Forever).unwrap();
    db.push(b"l", End::Right, &[b"1", &[0; 20_000]], false).unwrap();
    db.set_fields(b"h", &[(b"f", b"v")]).unwrap();
    db.add_members(b"m", &[b"a", b"2"]).unwrap();
    db.add_scores(b"z", &[(b"a", 1.5), (b"b", f64::INFINITY)], AddScores::default()).unwrap();
    for key in [&b"s"[..], b"n", b"l", b"h", b"m", b"z"] {
        let dumped = db.dump(key).unwrap();
        assert_eq!(db.restore(key, &dumped, None, false), Err(KeyError::KeyExists));
        db.restore(b"copy", &dumped, Some(NOW + 9), true).unwrap();
        assert_eq!(db.dump(b"copy").unwrap(), dumped);
        assert_eq!(db.time_to_live(b"copy"), TimeToLive::Until(NOW + 9));
        let mut damaged = dumped.clone();
        damaged[1] ^= 1;
        assert_eq!(db.restore(b"bad", &damaged, None, true), Err(KeyError::BadDump));
    }
}

#[test]
fn elements_are_counted_once_in_any_encoding() {
    let mut keyspace = Keyspace::new(1);
    let mut db = first(&mut keyspace);
    assert_eq!(db.count_elements(b"p", &[]), Ok(true), "it is created");
    assert_eq!(db.count_elements(b"p", &[]), Ok(false));
    assert_eq!(db.count_elements(b"p", &[b"a", b"b", b"c", b"d", b"e", b"f", b"g"]), Ok(true));
    assert_eq!(db.count_elements(b"p", &[b"a", b"g"]), Ok(false));
    assert_eq!(db.estimate_elements(&[b"p"]), Ok(7));
    for number in 0..5_000 {
        db.count_elements(b"q", &[format!("q{number}").as_bytes()]).unwrap();
    }
    assert_eq!(db.string_len(b"q"), Ok(12_304));
    let alone = db.estimate_elements(&[b"q"]).unwrap();
    assert!((4_900..=5_100).contains(&alone), "{alone}");
    let both = db.estimate_elements(&[b"p", b"q"]).unwrap();
    db.merge_elements(b"r", &[b"p", b"q"]).unwrap();
    assert_eq!(db.estimate_elements(&[b"r"]), Ok(both));
    db.set(b"s", b"foo", Existing::Any, Lifetime::Forever).unwrap();
    assert_eq!(db.count_elements(b"s", &[b"a"]), Err(KeyError::NotHyperLogLog));
}
