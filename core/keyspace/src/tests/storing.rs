//! What is stored: replaying it gives the same keys, a snapshot among changes too.

use proptest::prelude::*;

use super::{NOW, at};
use crate::{
    AddScores, Change, DATABASES, DatabaseIndex, Effect, End, Existing, ExpireCondition, Keyspace,
    Lifetime, Snapshot, SnapshotStep, StreamTopic,
};

/// One random operation: what, on which key, with which number, in which database.
type Step = (u8, u8, u8, u8);

fn step(keyspace: &mut Keyspace, (what, key, number, database): Step) {
    let now = at(NOW + i64::from(number) * 10);
    let index = DatabaseIndex::new(i64::from(database % 3)).unwrap();
    let key = [b'k', key % 12];
    let text = number.to_string();
    let item = text.as_bytes();
    if what == 255 {
        return keyspace.swap(index, DatabaseIndex::default());
    }
    let mut db = keyspace.database(index, now);
    let end = if number % 2 == 0 { End::Left } else { End::Right };
    // Operations on another type are refused, which is as good a step as any.
    match what % 24 {
        0 => drop(db.set(&key, item, Existing::Any, Lifetime::Until(NOW + 1500))),
        1 => drop(db.set(&key, item, Existing::Any, Lifetime::Forever)),
        2 => drop(db.append(&key, item)),
        3 => drop(db.set_bit(&key, u64::from(number), true)),
        4 => drop(db.increment(&key, 3)),
        5 | 6 => drop(db.push(&key, end, &[item, b"x", item], false)),
        7 => drop(db.pop(&key, end, usize::from(number % 4))),
        8 => drop(db.remove_items(&key, i64::from(number % 5) - 2, b"x")),
        9 => drop(db.trim(&key, i64::from(number % 3), -2)),
        10 => drop(db.insert_item(&key, crate::Beside::After, b"x", item)),
        11 => drop(db.set_item(&key, i64::from(number % 4), item)),
        12 | 13 => drop(db.set_fields(&key, &[(item, b"v"), (b"f", item)])),
        14 => drop(db.delete_fields(&key, &[item, b"f"])),
        15 | 16 => drop(db.add_members(&key, &[item, b"m"])),
        17 => drop(db.pop_members(&key, usize::from(number % 3))),
        18 | 19 => {
            let members: [(&[u8], f64); 2] = [(item, f64::from(number)), (b"m", 0.5)];
            let _ = db.add_scores(&key, &members, AddScores::default());
        }
        20 => drop(db.pop_scores(&key, number % 2 == 0, 2)),
        21 => drop(db.rename(&key, &[b'k', number % 12], false)),
        22 => {
            db.expire(&key, NOW + i64::from(number) * 20, ExpireCondition::default());
        }
        _ => {
            db.delete(&key);
        }
    }
}

/// Of each key its database, name, time of expiry and contents.
type Contents = Vec<(u8, Vec<u8>, Option<i64>, Vec<String>)>;

/// Everything that is there, in an order that does not depend on how it came.
fn contents(keyspace: &mut Keyspace) -> Contents {
    let mut all = Vec::new();
    for (place, table) in keyspace.tables.iter().enumerate() {
        for (key, entry) in table.keys.iter() {
            let mut parts: Vec<String> =
                crate::snapshot::replace(key, &entry.value).iter().flat_map(parts).collect();
            if !matches!(entry.value, crate::value::Value::List(_)) {
                parts.sort();
            }
            all.push((u8::try_from(place).unwrap(), key.to_vec(), entry.expires, parts));
        }
    }
    all.sort();
    all
}

fn parts(change: &Change) -> Vec<String> {
    match change {
        Change::SetFields { fields, .. } => fields.iter().map(|part| format!("{part:?}")).collect(),
        Change::AddMembers { members, .. } => {
            members.iter().map(|part| format!("{part:?}")).collect()
        }
        Change::SetScores { members, .. } => {
            members.iter().map(|part| format!("{part:?}")).collect()
        }
        other => vec![format!("{other:?}")],
    }
}

fn check_sums(keyspace: &Keyspace) {
    for table in &keyspace.tables {
        let memory: usize = table.keys.iter().map(|(key, entry)| entry.memory(key)).sum();
        assert_eq!(table.memory, memory);
        let expiring = table.keys.iter().filter(|(_, entry)| entry.expires.is_some()).count();
        assert_eq!(table.expiries.len(), expiring);
        assert!(table.keys.iter().all(|(_, entry)| !entry.value.is_empty_collection()));
    }
}

fn stored(keyspace: &mut Keyspace, log: &mut Vec<u8>) {
    keyspace.take_effects(log);
}

fn replayed(log: &[u8]) -> Keyspace {
    let mut keyspace = Keyspace::new(99);
    for effect in Effect::decode_all(log).unwrap() {
        keyspace.replay(effect);
    }
    keyspace
}

proptest! {
    #[test]
    fn replaying_what_was_stored_gives_the_same_keys(steps in prop::collection::vec(any::<Step>(), 0..300)) {
        let mut live = Keyspace::new(7);
        let mut log = Vec::new();
        for one in steps {
            step(&mut live, one);
            stored(&mut live, &mut log);
        }
        check_sums(&live);
        let mut again = replayed(&log);
        check_sums(&again);
        prop_assert_eq!(contents(&mut again), contents(&mut live));
    }

    #[test]
    fn a_snapshot_and_the_changes_around_it_give_the_same_keys(
        steps in prop::collection::vec(any::<Step>(), 0..400),
        begin in 0_usize..200,
        pace in 1_usize..20,
    ) {
        let mut live = Keyspace::new(7);
        let mut log = Vec::new();
        let mut snapshot: Option<Snapshot> = None;
        let mut complete = false;
        for (number, one) in steps.into_iter().enumerate() {
            step(&mut live, one);
            stored(&mut live, &mut log);
            if number == begin {
                snapshot = Some(live.begin_snapshot());
                // What was before is in the snapshot.
                log.clear();
            }
            if number % pace == 0 && let Some(running) = &mut snapshot {
                match live.snapshot_step(running, 1) {
                    SnapshotStep::More(effects) => effects.iter().for_each(|effect| effect.encode(&mut log)),
                    SnapshotStep::Last(effects) => {
                        effects.iter().for_each(|effect| effect.encode(&mut log));
                        (snapshot, complete) = (None, true);
                    }
                    SnapshotStep::Void => {
                        snapshot = Some(live.begin_snapshot());
                        log.clear();
                    }
                }
            }
        }
        prop_assert_eq!(live.snapshots, usize::from(snapshot.is_some()));
        if complete {
            prop_assert_eq!(contents(&mut replayed(&log)), contents(&mut live));
        }
    }

    #[test]
    fn stored_bytes_read_back_or_are_damage(steps in prop::collection::vec(any::<Step>(), 0..60), cut: prop::sample::Index) {
        let mut live = Keyspace::new(7);
        for one in steps {
            step(&mut live, one);
        }
        let mut log = Vec::new();
        live.take_effects(&mut log);
        let mut again = Vec::new();
        Effect::decode_all(&log).unwrap().iter().for_each(|effect| effect.encode(&mut again));
        prop_assert_eq!(&again, &log);
        if !log.is_empty() {
            // Cut anywhere, it is refused or it is a whole number of effects.
            let cut = cut.index(log.len());
            if let Ok(fewer) = Effect::decode_all(&log[..cut]) {
                let mut again = Vec::new();
                fewer.iter().for_each(|effect| effect.encode(&mut again));
                prop_assert_eq!(&again[..], &log[..cut]);
            }
        }
    }
}

#[test]
fn a_large_value_is_stored_in_pieces() {
    let mut live = Keyspace::new(7);
    let index = DatabaseIndex::new(i64::try_from(DATABASES).unwrap() - 1).unwrap();
    let mut db = live.database(index, at(NOW));
    db.set(b"s", &vec![b'x'; 1_000_000], Existing::Any, Lifetime::Until(NOW + 1)).unwrap();
    for _ in 0..5 {
        db.push(b"l", End::Right, &[&b"y"[..]; 700], false).unwrap();
    }
    let mut snapshot = live.begin_snapshot();
    let SnapshotStep::Last(effects) = live.snapshot_step(&mut snapshot, usize::MAX) else {
        panic!("one step is enough");
    };
    assert!(effects.len() > 8);
    let mut log = Vec::new();
    for effect in &effects {
        let before = log.len();
        effect.encode(&mut log);
        assert!(log.len() - before < 300 * 1024);
    }
    assert_eq!(contents(&mut replayed(&log)).len(), 2);
    assert_eq!(replayed(&log).memory(), live.memory());
}

/// A key may hold one of a few streams, each held by one key at most.
fn step_with_streams(keyspace: &mut Keyspace, next: &mut u8, one: Step) {
    let (what, key, number, database) = one;
    if what % 4 != 0 {
        return step(keyspace, one);
    }
    let index = DatabaseIndex::new(i64::from(database % 3)).unwrap();
    let mut db = keyspace.database(index, at(NOW + i64::from(number) * 10));
    if db.set_stream(&[b'k', key % 12], StreamTopic([*next; 16])).is_ok() {
        *next = next.wrapping_add(1);
    }
    let doomed = keyspace.doomed_streams();
    if number % 3 == 0
        && let Some(topic) = doomed.first()
    {
        keyspace.bury_stream(*topic);
    }
}

fn check_streams(keyspace: &Keyspace, made: u8) {
    let held: Vec<StreamTopic> =
        keyspace.streams().into_iter().map(|(_, _, topic)| topic).collect();
    let doomed = keyspace.doomed_streams();
    for number in 0..made {
        let topic = StreamTopic([number; 16]);
        assert!(held.iter().filter(|other| **other == topic).count() <= 1);
        assert_eq!(keyspace.holds_stream(topic), held.contains(&topic));
        assert!(!(held.contains(&topic) && doomed.contains(&topic)));
    }
}

proptest! {
    #[test]
    fn a_stream_is_held_by_a_key_or_doomed_until_it_is_buried(
        steps in prop::collection::vec(any::<Step>(), 0..200),
        begin in 0_usize..100,
    ) {
        let mut live = Keyspace::new(7);
        let (mut log, mut made) = (Vec::new(), 0);
        let mut snapshot: Option<Snapshot> = None;
        let mut from = 0;
        for (number, one) in steps.into_iter().enumerate() {
            step_with_streams(&mut live, &mut made, one);
            stored(&mut live, &mut log);
            check_streams(&live, made);
            if number == begin {
                from = log.len();
                snapshot = Some(live.begin_snapshot());
            }
            if let Some(under_way) = &mut snapshot {
                match live.snapshot_step(under_way, 100) {
                    SnapshotStep::More(effects) => {
                        effects.iter().for_each(|effect| effect.encode(&mut log));
                    }
                    SnapshotStep::Last(effects) => {
                        effects.iter().for_each(|effect| effect.encode(&mut log));
                        snapshot = None;
                        let mut again = replayed(&log[from..]);
                        prop_assert_eq!(contents(&mut again), contents(&mut live));
                        prop_assert_eq!(again.doomed_streams(), live.doomed_streams());
                    }
                    SnapshotStep::Void => {
                        snapshot = None;
                    }
                }
            }
        }
        // As the keys are read back when no snapshot is complete: all but its first effect.
        let mut again = Keyspace::new(99);
        for effect in Effect::decode_all(&log).unwrap() {
            if effect.change != Change::Begin {
                again.replay(effect);
            }
        }
        prop_assert_eq!(again.doomed_streams(), live.doomed_streams());
        prop_assert_eq!(again.streams().len(), live.streams().len());
    }
}
