//! What each call does, one claim at a time.

use std::time::Duration;

use posthouse_types::{Offset, PartitionIndex, Timestamp};

use super::harness::{Given, LOCK, NUMBER, Scene, config, id, name};
use crate::queues::limits::OWNERS_MAX;
use crate::queues::machine::QueuesCommand;
use crate::queues::types::{
    DeliveryCount, Held, Outcome, PendingQuery, PendingState, QueueConfig, RecordId, Transfer,
};
use crate::state::StateMachine;

const MS: Duration = Duration::from_millis(1);

/// A queue over five records of partition 0: offsets 0, 1, 3, 4 and 5.
fn scene(config: QueueConfig) -> Scene {
    let mut scene = Scene::new(config);
    scene.ends[0] = 6;
    scene
}

fn offsets(given: &[Given]) -> Vec<(u64, u32)> {
    given.iter().map(|given| (given.id.offset.since(Offset::ZERO), given.delivery)).collect()
}

#[test]
fn records_are_given_in_order_and_gaps_are_passed_over() {
    let mut scene = scene(config());
    assert_eq!(offsets(&scene.acquire("ann", 0, 3)), [(0, 1), (1, 1), (3, 1)]);
    assert_eq!(offsets(&scene.acquire("bob", 0, 3)), [(4, 1)], "the window holds four");
}

#[test]
fn a_released_record_comes_before_new_ones_and_counts_again() {
    let mut scene = scene(config());
    let given = scene.acquire("ann", 0, 2);
    assert_eq!(scene.release(&[given[0].held()]), [Outcome::Done]);
    assert_eq!(offsets(&scene.acquire("bob", 0, 2)), [(0, 2), (3, 1)]);
}

#[test]
fn an_ended_lock_gives_the_record_to_someone_else_and_refuses_the_late_one() {
    let mut scene = scene(config());
    let late = scene.acquire("ann", 0, 1);
    scene.advance(LOCK - MS);
    assert!(scene.expire().is_empty());
    scene.advance(MS);
    assert_eq!(scene.expire(), [id(0, 0)]);
    let current = scene.acquire("bob", 0, 1);
    assert_eq!(scene.accept(&[late[0].held()]), [Outcome::NotHeld]);
    assert_eq!(scene.accept(&[current[0].held()]), [Outcome::Done]);
}

#[test]
fn an_extended_lock_ends_later() {
    let mut scene = scene(config());
    let given = scene.acquire("ann", 0, 1);
    scene.advance(LOCK - MS);
    assert_eq!(scene.extend(&[given[0].held()]), [Outcome::Done]);
    scene.advance(LOCK - MS);
    assert!(scene.expire().is_empty());
    scene.advance(MS);
    assert_eq!(scene.expire(), [id(0, 0)]);
}

#[test]
fn without_a_timeout_an_owner_holds_for_ever() {
    let mut scene = scene(QueueConfig { lock_timeout: None, ..config() });
    scene.acquire("ann", 0, 1);
    scene.advance(Duration::from_secs(1_000_000));
    assert_eq!(scene.queues.next_deadline(), None);
    assert!(scene.expire().is_empty());
}

#[test]
fn a_record_delivered_too_often_is_dead_lettered_and_not_given_again() {
    let mut scene = scene(config());
    for delivery in 1..=3 {
        let given = scene.acquire("ann", 0, 1);
        assert_eq!(offsets(&given), [(0, delivery)]);
        scene.release(&[given[0].held()]);
    }
    assert_eq!(offsets(&scene.acquire("ann", 0, 1)), [(1, 1)]);
    assert_eq!(scene.pending()[0].state, PendingState::Rejected);
    assert_eq!(scene.bury(), [id(0, 0)]);
    assert_eq!(scene.pending().len(), 1);
}

#[test]
fn without_a_dead_letter_topic_a_rejected_record_is_settled_at_once() {
    let mut scene = scene(QueueConfig { dead_letter: None, ..config() });
    let given = scene.acquire("ann", 0, 1);
    assert_eq!(scene.reject(&[given[0].held()]), [Outcome::Done]);
    assert!(scene.pending().is_empty());
    assert!(!scene.queues.has_rejected());
}

#[test]
fn a_rejected_record_keeps_its_place_in_the_window_until_it_is_buried() {
    let mut scene = scene(QueueConfig { window_max: 1, ..config() });
    let given = scene.acquire("ann", 0, 1);
    scene.reject(&[given[0].held()]);
    assert!(scene.acquire("ann", 0, 1).is_empty());
    scene.bury();
    assert_eq!(offsets(&scene.acquire("ann", 0, 1)), [(1, 1)]);
}

#[test]
fn one_record_named_twice_is_settled_once() {
    let mut scene = scene(config());
    let held = scene.acquire("ann", 0, 1)[0].held();
    assert_eq!(scene.accept(&[held.clone(), held]), [Outcome::Done, Outcome::NotHeld]);
}

#[test]
fn an_owner_that_is_named_must_be_the_one() {
    let mut scene = scene(config());
    let given = scene.acquire("ann", 0, 1);
    let as_owner = |owner| Held { owner: Some(name(owner)), ..given[0].held() };
    assert_eq!(scene.release(&[as_owner("bob")]), [Outcome::NotHeld]);
    assert_eq!(scene.release(&[as_owner("ann")]), [Outcome::Done]);
}

#[test]
fn anyone_may_accept_what_came_back() {
    let mut scene = scene(config());
    let given = scene.acquire("ann", 0, 1);
    scene.release(&[given[0].held()]);
    assert_eq!(scene.accept(&[given[0].held()]), [Outcome::NotHeld], "that delivery is over");
    assert_eq!(scene.accept(&[Held::by_anyone(given[0].id)]), [Outcome::Done]);
    assert!(scene.pending().is_empty());
}

#[test]
fn a_transfer_takes_only_what_has_been_idle() {
    let mut scene = scene(config());
    scene.acquire("ann", 0, 1);
    scene.advance(10 * MS);
    scene.acquire("ann", 0, 1);
    let mut transfer = Transfer::new(vec![id(0, 0), id(0, 1), id(0, 3)], name("bob"));
    transfer.min_idle = 10 * MS;
    assert_eq!(offsets(&scene.transfer(&transfer)), [(0, 2)]);
    let owners = scene.queues.owners(NUMBER);
    let pending: Vec<_> = owners.iter().map(|owner| owner.pending).collect();
    assert_eq!(pending, [1, 1]);
}

#[test]
fn a_transfer_can_say_the_time_and_the_count() {
    let mut scene = scene(config());
    scene.acquire("ann", 0, 1);
    scene.advance(50 * MS);
    let mut transfer = Transfer::new(vec![id(0, 0)], name("bob"));
    transfer.deliveries = DeliveryCount::Same;
    assert_eq!(offsets(&scene.transfer(&transfer)), [(0, 1)]);
    transfer.deliveries = DeliveryCount::Set(9);
    transfer.delivered_at = Some(Timestamp::from_ms(scene.now.as_ms() - 40));
    assert_eq!(offsets(&scene.transfer(&transfer)), [(0, 9)]);
    assert_eq!(scene.pending()[0].idle, 40 * MS);
}

#[test]
fn a_forced_transfer_takes_what_was_never_delivered_and_it_is_not_delivered_again() {
    let mut scene = scene(config());
    let mut transfer = Transfer::new(vec![id(0, 3)], name("bob"));
    assert!(scene.transfer(&transfer).is_empty());
    transfer.force = true;
    assert_eq!(offsets(&scene.transfer(&transfer)), [(3, 1)]);
    assert_eq!(offsets(&scene.acquire("ann", 0, 9)), [(0, 1), (1, 1), (4, 1)]);
}

#[test]
fn a_forced_transfer_keeps_to_the_window() {
    let mut scene = scene(QueueConfig { window_max: 2, ..config() });
    let mut transfer = Transfer::new(vec![id(0, 0), id(0, 1), id(0, 3)], name("bob"));
    transfer.force = true;
    assert_eq!(offsets(&scene.transfer(&transfer)), [(0, 1), (1, 1)]);
}

#[test]
fn a_position_set_back_delivers_settled_records_again_and_held_ones_not() {
    let mut scene = scene(config());
    let given = scene.acquire("ann", 0, 3);
    scene.accept(&[given[0].held()]);
    let next = vec![(PartitionIndex::ZERO, Offset::ZERO)];
    scene.apply(QueuesCommand::Positioned { number: NUMBER, next });
    assert_eq!(offsets(&scene.acquire("bob", 0, 2)), [(0, 1), (4, 1)]);
}

#[test]
fn a_removed_owner_releases_or_discards() {
    for (discard, left) in [(false, vec![(0, 2), (1, 2)]), (true, vec![(3, 1), (4, 1)])] {
        let mut scene = scene(config());
        scene.acquire("ann", 0, 2);
        scene.apply(QueuesCommand::OwnerRemoved { number: NUMBER, owner: name("ann"), discard });
        assert!(scene.queues.owners(NUMBER).is_empty());
        assert_eq!(offsets(&scene.acquire("bob", 0, 2)), left, "discard: {discard}");
    }
}

#[test]
fn pending_is_asked_by_owner_range_and_idleness() {
    let mut scene = scene(config());
    scene.acquire("ann", 0, 2);
    scene.advance(10 * MS);
    scene.acquire("bob", 0, 2);
    let check = |query: PendingQuery, expected: &[u64]| {
        let found = scene.queues.pending(NUMBER, &query, scene.now);
        let found: Vec<_> = found.iter().map(|one| one.id.offset.since(Offset::ZERO)).collect();
        assert_eq!(found, expected, "{query:?}");
    };
    let all = PendingQuery::default;
    check(all(), &[0, 1, 3, 4]);
    check(PendingQuery { owner: Some(name("bob")), ..all() }, &[3, 4]);
    check(PendingQuery { owner: Some(name("eve")), ..all() }, &[]);
    check(PendingQuery { from: id(0, 1), to: Some(id(0, 3)), ..all() }, &[1, 3]);
    check(PendingQuery { min_idle: MS, ..all() }, &[0, 1]);
    check(PendingQuery { limit: 1, ..all() }, &[0]);
    check(PendingQuery { from: id(1, 0), ..all() }, &[]);
}

#[test]
fn owners_over_the_limit_push_out_the_idlest_that_holds_nothing() {
    let mut scene = scene(config());
    for index in 0..OWNERS_MAX {
        let owner = name(&format!("owner-{index}"));
        let at = Timestamp::from_ms(if index == 5 { 1 } else { 2 });
        scene.queues.apply(QueuesCommand::OwnerSeen { number: NUMBER, owner, at });
    }
    let commands = scene.queues.welcome(NUMBER, &name("new"), scene.now).unwrap();
    let removed =
        QueuesCommand::OwnerRemoved { number: NUMBER, owner: name("owner-5"), discard: false };
    assert_eq!(commands[0], removed);
    commands.into_iter().for_each(|command| scene.queues.apply(command));
    assert_eq!(scene.queues.owners(NUMBER).len(), OWNERS_MAX);
}

#[test]
fn a_topic_that_is_forgotten_takes_its_queues_with_it() {
    let mut scene = scene(config());
    scene.acquire("ann", 0, 2);
    scene.apply(QueuesCommand::TopicForgotten { topic: super::harness::key().topic });
    assert!(scene.queues.find(&super::harness::key()).is_none());
    assert_eq!((scene.queues.entries(), scene.queues.next_deadline()), (0, None));
    assert_eq!(scene.accept(&[Held::by_anyone(RecordId::MIN)]), [Outcome::NotHeld]);
}
