//! Clients that wait.

use super::{NOW, at, first};
use crate::{AddScores, ClientId, DatabaseIndex, End, Existing, KeyError, Keyspace, Lifetime};
use crate::{Served, Wait};

const LEFT: Wait = Wait::PopItems { end: End::Left, count: 1 };

fn wait(keyspace: &mut Keyspace, client: u64, keys: &[&[u8]], wait: Wait) {
    keyspace.wait(ClientId(client), DatabaseIndex::default(), keys, wait);
}

fn items(key: &'static str, items: &[&'static str]) -> Served {
    Served::Items { key: key.into(), items: items.iter().map(|item| (*item).into()).collect() }
}

#[test]
fn who_has_waited_longest_is_served_first() {
    let mut keyspace = Keyspace::new(1);
    wait(&mut keyspace, 1, &[b"a", b"b"], LEFT);
    wait(&mut keyspace, 2, &[b"b"], LEFT);
    wait(&mut keyspace, 3, &[b"b"], LEFT);
    assert!(keyspace.stop_waiting(ClientId(2)));
    first(&mut keyspace).push(b"b", End::Right, &[b"x", b"y", b"z"], false).unwrap();
    let served = keyspace.serve_waiting(at(NOW));
    assert_eq!(served, [(ClientId(1), items("b", &["x"])), (ClientId(3), items("b", &["y"]))]);
    assert_eq!(first(&mut keyspace).items(b"b", 0, -1).unwrap(), ["z"]);
    assert_eq!(keyspace.waiting(), 0);
    first(&mut keyspace).push(b"a", End::Right, &[b"x"], false).unwrap();
    assert!(keyspace.serve_waiting(at(NOW)).is_empty(), "nobody is served twice");
}

#[test]
fn a_served_move_serves_who_waits_for_its_destination() {
    let mut keyspace = Keyspace::new(1);
    wait(&mut keyspace, 1, &[b"b"], LEFT);
    let move_item = Wait::MoveItem { from: End::Right, to: "b".into(), end: End::Left };
    wait(&mut keyspace, 2, &[b"a"], move_item);
    first(&mut keyspace).push(b"a", End::Left, &[b"x"], false).unwrap();
    let served = keyspace.serve_waiting(at(NOW));
    assert_eq!(
        served,
        [(ClientId(2), Served::Moved("x".into())), (ClientId(1), items("b", &["x"]))]
    );
}

#[test]
fn a_key_of_another_type_serves_nobody_and_loses_nobody() {
    let mut keyspace = Keyspace::new(1);
    wait(&mut keyspace, 1, &[b"k"], LEFT);
    wait(&mut keyspace, 2, &[b"k"], Wait::PopScores { highest: true, count: 1 });
    first(&mut keyspace).add_scores(b"k", &[(b"m", 1.0)], AddScores::default()).unwrap();
    let scores = Served::Scores { key: "k".into(), members: vec![("m".into(), 1.0)] };
    assert_eq!(keyspace.serve_waiting(at(NOW)), [(ClientId(2), scores)]);
    first(&mut keyspace).push(b"k", End::Left, &[b"x"], false).unwrap();
    assert_eq!(keyspace.serve_waiting(at(NOW)), [(ClientId(1), items("k", &["x"]))]);
}

#[test]
fn a_move_to_another_type_fails_and_takes_nothing() {
    let mut keyspace = Keyspace::new(1);
    first(&mut keyspace).set(b"b", b"v", Existing::Any, Lifetime::Forever).unwrap();
    let move_item = Wait::MoveItem { from: End::Right, to: "b".into(), end: End::Left };
    wait(&mut keyspace, 1, &[b"a"], move_item);
    first(&mut keyspace).push(b"a", End::Left, &[b"x"], false).unwrap();
    let served = keyspace.serve_waiting(at(NOW));
    assert_eq!(served, [(ClientId(1), Served::Failed(KeyError::WrongType))]);
    assert_eq!(first(&mut keyspace).list_len(b"a"), Ok(1));
}

#[test]
fn a_key_that_came_by_another_way_serves_too() {
    let mut keyspace = Keyspace::new(1);
    wait(&mut keyspace, 1, &[b"k"], LEFT);
    first(&mut keyspace).push(b"other", End::Left, &[b"x"], false).unwrap();
    first(&mut keyspace).rename(b"other", b"k", false).unwrap();
    assert_eq!(keyspace.serve_waiting(at(NOW)), [(ClientId(1), items("k", &["x"]))]);
    wait(&mut keyspace, 1, &[b"k"], LEFT);
    let other = DatabaseIndex::new(3).unwrap();
    keyspace.database(other, at(NOW)).push(b"k", End::Left, &[b"y"], false).unwrap();
    assert!(keyspace.serve_waiting(at(NOW)).is_empty());
    keyspace.swap(DatabaseIndex::default(), other);
    assert_eq!(keyspace.serve_waiting(at(NOW)), [(ClientId(1), items("k", &["y"]))]);
}
