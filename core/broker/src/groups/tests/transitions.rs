//! One test a transition: from a state, an event, to a state and an answer.

use std::time::Duration;

use bytes::Bytes;
use posthouse_types::TopicName;

use super::super::subscription::encode_subscription;
use super::super::*;
use super::harness::{GROUP, Harness, consumer, follower, leader};
use crate::{BrokerConfig, DeleteGroupError, GroupError, JoinError};

const STATES: [GroupState; 4] = [
    GroupState::Empty,
    GroupState::PreparingRebalance,
    GroupState::CompletingRebalance,
    GroupState::Stable,
];

/// A group of two in a state, with their ids and the generation they know. In `Preparing` it is the
/// follower that has joined again. An `Empty` group has had them.
fn group_in(state: GroupState) -> (Harness, String, String) {
    let mut harness = Harness::new();
    let (first, second) = (harness.join(consumer("a")), harness.join(consumer("b")));
    harness.advance(Duration::from_secs(6));
    let a = harness.joined(first).unwrap().member_id;
    let b = harness.joined(second).unwrap().member_id;
    if state != GroupState::CompletingRebalance {
        let sync = harness.sync(leader(1, &a, &[(&a, "p0"), (&b, "p1")]));
        harness.synced(sync).unwrap();
        let sync = harness.sync(follower(1, &b));
        harness.synced(sync).unwrap();
    }
    match state {
        GroupState::Empty => {
            harness.leave(vec![leaves(&a), leaves(&b)]).unwrap();
        }
        GroupState::PreparingRebalance => {
            harness.join(changed(&b));
        }
        GroupState::CompletingRebalance | GroupState::Stable | GroupState::Dead => {}
    }
    assert_eq!(harness.state(), state);
    (harness, a, b)
}

fn leaves(member_id: &str) -> Leave {
    Leave { member_id: member_id.to_owned(), instance_id: None, reason: None }
}

fn again(member_id: &str) -> Join {
    Join { member_id: member_id.to_owned(), ..consumer("a") }
}

fn changed(member_id: &str) -> Join {
    let metadata = encode_subscription(1, &["t", "u"]);
    Join { protocols: vec![("range".to_owned(), metadata)], ..again(member_id) }
}

fn unknown(member: &str) -> GroupError {
    GroupError::UnknownMember { group: GROUP.to_owned(), member: member.to_owned() }
}

fn illegal(asked: i32, current: i32) -> GroupError {
    GroupError::IllegalGeneration { group: GROUP.to_owned(), asked, current }
}

fn rebalancing() -> GroupError {
    GroupError::Rebalancing(GROUP.to_owned())
}

#[test]
fn a_heartbeat_is_answered_by_state() {
    let expected = [None, Some(Err(rebalancing())), Some(Ok(())), Some(Ok(()))];
    for (state, expected) in STATES.into_iter().zip(expected) {
        let (mut harness, a, _) = group_in(state);
        let expected = expected.unwrap_or(Err(unknown(&a)));
        assert_eq!(harness.heartbeat(1, &a), expected, "{state:?}");
    }
}

#[test]
fn a_heartbeat_of_another_generation_is_illegal() {
    for state in [GroupState::PreparingRebalance, GroupState::CompletingRebalance] {
        let (mut harness, a, _) = group_in(state);
        assert_eq!(harness.heartbeat(0, &a), Err(illegal(0, 1)), "{state:?}");
        assert_eq!(harness.heartbeat(2, &a), Err(illegal(2, 1)), "{state:?}");
    }
}

#[test]
fn a_heartbeat_of_a_stranger_is_unknown_before_its_generation_is_looked_at() {
    let (mut harness, ..) = group_in(GroupState::Stable);
    assert_eq!(harness.heartbeat(7, "stranger"), Err(unknown("stranger")));
    let at = harness.at();
    let elsewhere = harness.machine.heartbeat(at, "other", 1, "stranger", None);
    assert!(matches!(elsewhere, Err(GroupError::UnknownMember { .. })));
}

#[test]
fn a_commit_is_answered_by_state() {
    let expected = [None, Some(Ok(())), Some(Err(rebalancing())), Some(Ok(()))];
    for (state, expected) in STATES.into_iter().zip(expected) {
        let (mut harness, a, _) = group_in(state);
        assert_eq!(harness.commit(1, &a), expected.unwrap_or(Err(unknown(&a))), "{state:?}");
    }
}

#[test]
fn a_commit_from_outside_the_protocol_needs_an_empty_group() {
    for state in STATES {
        let (mut harness, ..) = group_in(state);
        let expected = if state == GroupState::Empty { Ok(()) } else { Err(unknown("")) };
        assert_eq!(harness.commit(-1, ""), expected, "{state:?}");
    }
    let mut harness = Harness::new();
    assert_eq!(harness.commit(-1, ""), Ok(()), "no group yet");
    assert_eq!(harness.state(), GroupState::Empty);
    assert_eq!(harness.machine.list()[0].protocol_type, "");
}

#[test]
fn a_commit_with_a_generation_to_a_group_that_is_not_there_is_illegal() {
    let mut harness = Harness::new();
    assert_eq!(harness.commit(3, "a"), Err(illegal(3, 0)));
    assert_eq!(harness.machine.len(), 0, "and makes no group");
}

#[test]
fn a_commit_shows_that_the_member_is_alive() {
    let (mut harness, a, b) = group_in(GroupState::Stable);
    for _ in 0..4 {
        harness.advance(Duration::from_secs(6));
        harness.commit(1, &a).unwrap();
        harness.commit(1, &b).unwrap();
    }
    assert_eq!(harness.state(), GroupState::Stable);
}

#[test]
fn a_sync_is_answered_by_state() {
    for state in STATES {
        let (mut harness, _, b) = group_in(state);
        let reply = harness.sync(follower(1, &b));
        match state {
            GroupState::CompletingRebalance => assert!(!harness.is_answered(reply)),
            GroupState::Stable => {
                assert_eq!(harness.synced(reply).unwrap().assignment, Bytes::from("p1"));
            }
            GroupState::PreparingRebalance => {
                assert_eq!(harness.synced(reply), Err(rebalancing()));
            }
            GroupState::Empty | GroupState::Dead => {
                assert_eq!(harness.synced(reply), Err(unknown(&b)));
            }
        }
    }
}

#[test]
fn a_sync_that_names_another_protocol_type_is_inconsistent() {
    let (mut harness, _, b) = group_in(GroupState::Stable);
    let protocol_type = Some("connect".to_owned());
    let reply = harness.sync(Sync { protocol_type, ..follower(1, &b) });
    assert!(matches!(harness.synced(reply), Err(GroupError::InconsistentProtocol { .. })));
}

#[test]
fn a_sync_of_an_old_generation_is_illegal() {
    let (mut harness, _, b) = group_in(GroupState::CompletingRebalance);
    let reply = harness.sync(follower(0, &b));
    assert_eq!(harness.synced(reply), Err(illegal(0, 1)));
}

#[test]
fn an_assignment_to_a_stranger_is_left_out() {
    let (mut harness, a, b) = group_in(GroupState::CompletingRebalance);
    harness.sync(leader(1, &a, &[(&a, "p0"), ("stranger", "p9")]));
    let reply = harness.sync(follower(1, &b));
    assert_eq!(harness.synced(reply).unwrap().assignment, Bytes::new());
    assert_eq!(harness.machine.describe(GROUP).members.len(), 2);
}

#[test]
fn a_member_that_joins_again_is_answered_by_state() {
    for state in STATES {
        let (mut harness, _, b) = group_in(state);
        let reply = harness.join(again(&b));
        match state {
            GroupState::Empty | GroupState::Dead => {
                assert_eq!(harness.joined(reply), Err(unknown(&b).into()));
            }
            GroupState::PreparingRebalance => assert!(!harness.is_answered(reply)),
            GroupState::CompletingRebalance | GroupState::Stable => {
                let joined = harness.joined(reply).unwrap();
                assert_eq!((joined.generation, joined.members.len()), (1, 0));
            }
        }
        assert_eq!(harness.state(), state, "nobody else is disturbed");
    }
}

#[test]
fn a_leader_that_did_not_hear_its_answer_is_told_the_members_again() {
    let (mut harness, a, _) = group_in(GroupState::CompletingRebalance);
    let reply = harness.join(again(&a));
    assert_eq!(harness.joined(reply).unwrap().members.len(), 2);
    assert_eq!(harness.state(), GroupState::CompletingRebalance);
}

#[test]
fn a_member_that_joins_again_changed_begins_a_rebalance() {
    for state in [GroupState::CompletingRebalance, GroupState::Stable] {
        let (mut harness, _, b) = group_in(state);
        let reply = harness.join(changed(&b));
        assert!(!harness.is_answered(reply));
        assert_eq!(harness.state(), GroupState::PreparingRebalance, "from {state:?}");
    }
}

#[test]
fn a_second_join_of_a_member_replaces_the_first() {
    let (mut harness, a, b) = group_in(GroupState::Stable);
    let first = harness.join(changed(&b));
    let second = harness.join(changed(&b));
    assert_eq!(harness.joined(first), Err(rebalancing().into()));
    harness.join(again(&a));
    assert_eq!(harness.joined(second).unwrap().generation, 2);
}

#[test]
fn a_second_sync_of_a_member_replaces_the_first() {
    let (mut harness, a, b) = group_in(GroupState::CompletingRebalance);
    let first = harness.sync(follower(1, &b));
    let second = harness.sync(follower(1, &b));
    assert_eq!(harness.synced(first), Err(rebalancing()));
    harness.sync(leader(1, &a, &[(&b, "p1")]));
    assert_eq!(harness.synced(second).unwrap().assignment, Bytes::from("p1"));
}

#[test]
fn a_leave_begins_a_rebalance_of_those_who_stay() {
    for state in [GroupState::CompletingRebalance, GroupState::Stable] {
        let (mut harness, a, _) = group_in(state);
        let left = harness.leave(vec![leaves(&a), leaves("stranger")]).unwrap();
        assert_eq!(left[0].result, Ok(()));
        assert_eq!(left[1].result, Err(unknown("stranger")));
        assert_eq!(harness.state(), GroupState::PreparingRebalance, "from {state:?}");
    }
}

#[test]
fn the_last_to_be_waited_for_may_leave() {
    let (mut harness, a, b) = group_in(GroupState::Stable);
    let reply = harness.join(changed(&b));
    harness.leave(vec![leaves(&a)]).unwrap();
    let joined = harness.joined(reply).unwrap();
    assert_eq!((joined.generation, joined.leader), (2, b));
}

#[test]
fn a_leave_answers_what_the_member_waits_for() {
    let (mut harness, _, b) = group_in(GroupState::CompletingRebalance);
    let sync = harness.sync(follower(1, &b));
    harness.leave(vec![leaves(&b)]).unwrap();
    assert_eq!(harness.synced(sync), Err(unknown(&b)));
}

#[test]
fn a_leave_from_a_group_that_is_not_there_is_unknown() {
    assert_eq!(Harness::new().leave(vec![leaves("a")]).unwrap_err(), unknown(""));
}

#[test]
fn an_empty_group_keeps_its_generation() {
    let (mut harness, ..) = group_in(GroupState::Empty);
    let reply = harness.join(consumer("c"));
    harness.advance(Duration::from_secs(3));
    assert_eq!(harness.joined(reply).unwrap().generation, 3, "2 was the empty one");
}

#[test]
fn the_first_rebalance_ends_with_the_rebalance_timeout_however_many_join() {
    let mut harness = Harness::new();
    let short = |client| Join { rebalance_timeout: Duration::from_secs(7), ..consumer(client) };
    let first = harness.join(short("a"));
    for _ in 0..6 {
        assert!(!harness.is_answered(first));
        harness.join(short("b"));
        harness.advance(Duration::from_secs(1));
    }
    harness.advance(Duration::from_secs(1));
    assert_eq!(harness.joined(first).unwrap().members.len(), 7);
}

#[test]
fn a_parked_join_of_a_new_member_ends_after_five_minutes() {
    let (mut harness, a, b) = group_in(GroupState::Stable);
    let reply = harness.join(Join { rebalance_timeout: Duration::from_secs(900), ..consumer("c") });
    for _ in 0..299 / 5 {
        harness.advance(Duration::from_secs(5));
        let _ = (harness.heartbeat(1, &a), harness.heartbeat(1, &b));
    }
    assert!(!harness.is_answered(reply));
    harness.advance(Duration::from_secs(5));
    assert!(matches!(
        harness.joined(reply),
        Err(JoinError::Group(GroupError::UnknownMember { .. }))
    ));
}

#[test]
fn most_votes_choose_among_the_protocols_that_all_offer() {
    let offers = |client, names: &[&str]| {
        let protocols = names.iter().map(|name| ((*name).to_owned(), Bytes::new())).collect();
        Join { protocols, ..consumer(client) }
    };
    let cases: [(&[&[&str]], &str); 4] = [
        (&[&["x", "y"], &["y", "x"], &["y", "x"]], "y"),
        (&[&["z", "x", "y"], &["y", "x"], &["x", "y"]], "x"),
        (&[&["x", "y"], &["y", "x"]], "x"),
        (&[&["x", "y"], &["y"]], "y"),
    ];
    for (members, expected) in cases {
        let mut harness = Harness::new();
        let replies: Vec<_> =
            members.iter().map(|names| harness.join(offers("a", names))).collect();
        harness.advance(Duration::from_secs(6));
        for reply in replies {
            assert_eq!(harness.joined(reply).unwrap().protocol, expected, "{members:?}");
        }
    }
}

#[test]
fn a_join_without_protocols_is_inconsistent() {
    for join in [
        Join { protocols: vec![], ..consumer("a") },
        Join { protocol_type: String::new(), ..consumer("a") },
    ] {
        let mut harness = Harness::new();
        let reply = harness.join(join);
        assert!(matches!(
            harness.joined(reply),
            Err(JoinError::Group(GroupError::InconsistentProtocol { .. }))
        ));
        assert_eq!(harness.machine.len(), 0, "and leaves no group behind");
    }
}

#[test]
fn a_join_is_refused_outside_the_session_timeouts() {
    for seconds in [1, 3600] {
        let mut harness = Harness::new();
        let session_timeout = Duration::from_secs(seconds);
        let reply = harness.join(Join { session_timeout, ..consumer("a") });
        assert!(matches!(harness.joined(reply), Err(JoinError::SessionTimeout { .. })));
    }
}

#[test]
fn a_group_has_a_name() {
    let mut harness = Harness::new();
    let reply = harness.join(Join { group: String::new(), ..consumer("a") });
    let invalid = GroupError::InvalidGroup(String::new());
    assert_eq!(harness.joined(reply), Err(invalid.into()));
}

#[test]
fn an_id_that_nobody_gave_out_is_unknown() {
    let mut harness = Harness::new();
    let reply = harness.join(again("made-up"));
    assert_eq!(harness.joined(reply), Err(unknown("made-up").into()));
    assert_eq!(harness.machine.len(), 0);
}

#[test]
fn an_id_that_is_not_used_lapses_with_the_group_it_was_for() {
    let mut harness = Harness::new();
    let reply = harness.join(Join { member_id_required: true, ..consumer("a") });
    let Err(JoinError::MemberIdRequired(id)) = harness.joined(reply) else { panic!("an id") };
    assert_eq!(harness.machine.len(), 1);
    harness.advance(Duration::from_secs(10));
    assert_eq!(harness.machine.len(), 0);
    let reply = harness.join(again(&id));
    assert_eq!(harness.joined(reply), Err(unknown(&id).into()));
}

fn small() -> GroupsConfig {
    GroupsConfig {
        members_max: 2,
        groups_max: 2,
        member_bytes_max: 200,
        group_bytes_max: 500,
        total_bytes_max: 700,
        ..GroupsConfig::from(&BrokerConfig::default())
    }
}

fn of_size(client: &str, size: usize) -> Join {
    Join { protocols: vec![("x".to_owned(), vec![0; size].into())], ..consumer(client) }
}

fn is_limit(result: Result<Joined, JoinError>, expected: &str) -> bool {
    matches!(result, Err(JoinError::Group(GroupError::Limit { what, .. })) if what == expected)
}

#[test]
fn a_full_group_refuses_a_member_more() {
    let mut harness = Harness::with_config(small());
    let replies = [harness.join(of_size("a", 1)), harness.join(of_size("b", 1))];
    let third = harness.join(of_size("c", 1));
    assert!(matches!(harness.joined(third), Err(JoinError::Full { max: 2, .. })));
    harness.advance(Duration::from_secs(6));
    for reply in replies {
        harness.joined(reply).unwrap();
    }
    let third = harness.join(of_size("c", 1));
    assert!(matches!(harness.joined(third), Err(JoinError::Full { .. })), "nor afterwards");
}

#[test]
fn ids_given_out_are_limited_like_members() {
    let mut harness = Harness::with_config(small());
    let id_first = || Join { member_id_required: true, ..of_size("a", 1) };
    for _ in 0..2 {
        let reply = harness.join(id_first());
        assert!(matches!(harness.joined(reply), Err(JoinError::MemberIdRequired(_))));
    }
    let reply = harness.join(id_first());
    assert!(matches!(harness.joined(reply), Err(JoinError::Full { .. })));
}

#[test]
fn members_are_limited_in_bytes_each_and_together() {
    let mut harness = Harness::with_config(GroupsConfig { members_max: 9, ..small() });
    let reply = harness.join(of_size("a", 201));
    let refused = harness.joined(reply);
    assert!(is_limit(refused, "bytes of a member"));
    for client in ["a", "b"] {
        harness.join(of_size(client, 180));
    }
    let reply = harness.join(of_size("c", 180));
    let refused = harness.joined(reply);
    assert!(is_limit(refused, "bytes of members"));
    let reply = harness.join(Join { group: "h".to_owned(), ..of_size("c", 180) });
    assert!(!harness.is_answered(reply), "another group has room");
    let reply = harness.join(Join { group: "h".to_owned(), ..of_size("d", 180) });
    let refused = harness.joined(reply);
    assert!(is_limit(refused, "bytes of members of all groups"));
}

#[test]
fn groups_are_limited() {
    let mut harness = Harness::with_config(small());
    for group in ["g1", "g2", "g3"] {
        let reply = harness.join(Join { group: group.to_owned(), ..of_size("a", 1) });
        assert_eq!(harness.is_answered(reply), group == "g3");
    }
    let at = harness.at();
    let commit = harness.machine.check_commit(at, "g4", -1, "", None);
    assert!(matches!(commit, Err(GroupError::Limit { what: "groups", .. })));
}

#[test]
fn an_assignment_that_is_too_large_is_refused() {
    let mut harness = Harness::with_config(small());
    let reply = harness.join(of_size("a", 1));
    harness.advance(Duration::from_secs(3));
    let a = harness.joined(reply).unwrap().member_id;
    let reply = harness.sync(leader(1, &a, &[(&a, &"x".repeat(500))]));
    assert!(matches!(harness.synced(reply), Err(GroupError::Limit { .. })));
    assert_eq!(harness.writes, 0);
}

#[test]
fn offsets_of_topics_subscribed_to_are_not_deleted() {
    let (harness, ..) = group_in(GroupState::Stable);
    let topics = harness.machine.check_offset_deletion(GROUP).unwrap();
    assert!(topics.includes(&TopicName::new("t").unwrap()));
    assert!(!topics.includes(&TopicName::new("u").unwrap()));
    let (harness, ..) = group_in(GroupState::Empty);
    let topics = harness.machine.check_offset_deletion(GROUP).unwrap();
    assert!(!topics.includes(&TopicName::new("t").unwrap()), "nobody is left");
}

#[test]
fn offsets_of_members_that_are_not_consumers_are_not_deleted() {
    let mut harness = Harness::new();
    harness.join(Join { protocol_type: "connect".to_owned(), ..consumer("a") });
    let refused = harness.machine.check_offset_deletion(GROUP);
    assert!(matches!(refused, Err(DeleteGroupError::NotEmpty(_))));
    let refused = harness.machine.check_offset_deletion("other");
    assert!(matches!(refused, Err(DeleteGroupError::NotFound(_))));
}

#[test]
fn a_subscription_that_cannot_be_read_may_be_to_anything() {
    let mut harness = Harness::new();
    let reply = harness.join(of_size("a", 3));
    harness.advance(Duration::from_secs(3));
    let a = harness.joined(reply).unwrap().member_id;
    harness.sync(leader(1, &a, &[]));
    assert_eq!(harness.state(), GroupState::Stable);
    assert_eq!(harness.machine.check_offset_deletion(GROUP).unwrap(), SubscribedTopics::Unknown);
    assert_eq!(harness.machine.offset_expiry(GROUP), OffsetExpiry::Never);
}

#[test]
fn offsets_expire_by_state() {
    for state in STATES {
        let (harness, ..) = group_in(state);
        let expiry = harness.machine.offset_expiry(GROUP);
        match state {
            GroupState::Empty => assert!(matches!(expiry, OffsetExpiry::AfterEmpty { .. })),
            GroupState::Stable => assert!(matches!(expiry, OffsetExpiry::AfterCommit { .. })),
            _ => assert_eq!(expiry, OffsetExpiry::Never, "{state:?}"),
        }
    }
    let nobody = SubscribedTopics::Known([].into());
    let simple = OffsetExpiry::AfterCommit { except: nobody };
    let mut harness = Harness::new();
    harness.commit(-1, "").unwrap();
    assert_eq!(harness.machine.offset_expiry(GROUP), simple, "of a group of offsets only");
    assert_eq!(harness.machine.offset_expiry("other"), simple, "of no group");
}

#[test]
fn only_a_group_without_members_is_removed() {
    for state in STATES {
        let (mut harness, ..) = group_in(state);
        let removed = harness.machine.remove(GROUP);
        if state == GroupState::Empty {
            let write = removed.unwrap().expect("it was stored");
            let Some(Output::Persist(id, GroupWrite::Delete(group))) =
                harness.machine.poll_output()
            else {
                panic!("a deletion is written");
            };
            assert_eq!((id, group.as_str()), (write, GROUP));
            assert_eq!(harness.state(), GroupState::Dead);
        } else {
            assert!(matches!(removed, Err(DeleteGroupError::NotEmpty(_))), "{state:?}");
        }
    }
    let mut harness = Harness::new();
    assert!(matches!(harness.machine.remove(GROUP), Err(DeleteGroupError::NotFound(_))));
    harness.commit(-1, "").unwrap();
    assert_eq!(harness.machine.remove(GROUP).unwrap(), None, "nothing of it was stored");
}

#[test]
fn the_write_of_a_group_that_was_removed_and_made_again_changes_nothing() {
    let (mut harness, a, b) = group_in(GroupState::CompletingRebalance);
    harness.holds_writes = true;
    harness.sync(leader(1, &a, &[(&b, "old")]));
    harness.leave(vec![leaves(&a), leaves(&b)]).unwrap();
    harness.machine.remove(GROUP).unwrap();
    let reply = harness.join(consumer("c"));
    harness.advance(Duration::from_secs(3));
    let c = harness.joined(reply).unwrap();
    assert_eq!(c.generation, 1, "the same as the old group's");
    let sync = harness.sync(leader(1, &c.member_id, &[(&c.member_id, "new")]));
    harness.finish_write(Persisted::Durable);
    assert!(!harness.is_answered(sync), "that was the old group's assignment");
    while !harness.in_flight.is_empty() {
        harness.finish_write(Persisted::Durable);
    }
    assert_eq!(harness.synced(sync).unwrap().assignment, Bytes::from("new"));
}

#[test]
fn a_static_member_comes_back_with_a_protocol_that_changes_the_vote() {
    let mut harness = Harness::new();
    let offers = |names: &[&str]| {
        let protocols = names.iter().map(|name| ((*name).to_owned(), Bytes::new())).collect();
        Join { protocols, instance_id: Some("i".to_owned()), ..consumer("a") }
    };
    let reply = harness.join(offers(&["x", "y"]));
    harness.advance(Duration::from_secs(3));
    let old = harness.joined(reply).unwrap().member_id;
    let instance_id = Some("i".to_owned());
    harness.sync(Sync { instance_id, ..leader(1, &old, &[]) });
    let reply = harness.join(offers(&["y", "x"]));
    let joined = harness.joined(reply).unwrap();
    assert_eq!((joined.generation, joined.protocol.as_str()), (2, "y"));
}

#[test]
fn a_static_member_that_comes_back_while_the_leader_assigns_begins_a_rebalance() {
    let mut harness = Harness::new();
    let fixed = |client: &str| Join { instance_id: Some(client.to_owned()), ..consumer(client) };
    let (first, second) = (harness.join(fixed("a")), harness.join(fixed("b")));
    harness.advance(Duration::from_secs(6));
    let (a, b) = (harness.joined(first).unwrap(), harness.joined(second).unwrap());
    let waiting = harness.sync(Sync { instance_id: Some("b".into()), ..follower(1, &b.member_id) });
    harness.join(fixed("b"));
    let fenced = GroupError::FencedInstance { instance: "b".to_owned() };
    assert_eq!(harness.synced(waiting), Err(fenced));
    assert_eq!(harness.state(), GroupState::PreparingRebalance);
    let reply =
        harness.sync(Sync { instance_id: Some("a".into()), ..leader(1, &a.member_id, &[]) });
    assert_eq!(harness.synced(reply), Err(rebalancing()));
}

#[test]
fn a_static_member_that_is_silent_during_a_rebalance_keeps_its_place_until_its_session_ends() {
    let mut harness = Harness::new();
    let fixed = Join {
        instance_id: Some("i".to_owned()),
        session_timeout: Duration::from_secs(60),
        rebalance_timeout: Duration::from_secs(10),
        ..consumer("a")
    };
    let other = || Join { rebalance_timeout: Duration::from_secs(10), ..consumer("b") };
    let (first, second) = (harness.join(fixed), harness.join(other()));
    harness.advance(Duration::from_secs(6));
    let a = harness.joined(first).unwrap().member_id;
    let b = harness.joined(second).unwrap().member_id;
    harness.sync(Sync { instance_id: Some("i".to_owned()), ..leader(1, &a, &[]) });
    harness.sync(follower(1, &b));
    assert_eq!(harness.state(), GroupState::Stable);
    let reply = harness.join(Join { rebalance_timeout: Duration::from_secs(10), ..changed(&b) });
    harness.advance(Duration::from_secs(10));
    let joined = harness.joined(reply).unwrap();
    assert_eq!(joined.generation, 2);
    assert_eq!(joined.leader, b, "the leader is one that has joined");
    assert_eq!(joined.members.len(), 2, "the silent one is still a member");
}

#[test]
fn a_group_known_by_its_offsets_alone_is_listed_and_can_be_joined() {
    let mut harness = Harness::new();
    let at = harness.at();
    harness.machine.restore_offsets_only(at, GROUP);
    assert_eq!((harness.state(), harness.machine.len()), (GroupState::Empty, 1));
    let reply = harness.join(consumer("a"));
    harness.advance(Duration::from_secs(3));
    assert_eq!(harness.joined(reply).unwrap().generation, 1);
    harness.machine.restore_offsets_only(at, GROUP);
    assert_eq!(harness.state(), GroupState::CompletingRebalance, "a known group is left alone");
}

#[test]
fn a_heartbeat_costs_no_alarm() {
    let (mut harness, a, b) = group_in(GroupState::Stable);
    let alarm = harness.machine.next_deadline();
    harness.advance(Duration::from_secs(5));
    harness.heartbeat(1, &a).unwrap();
    harness.heartbeat(1, &b).unwrap();
    assert_eq!(harness.machine.next_deadline(), alarm, "it is looked at when it rings");
}

#[test]
fn a_member_does_not_keep_its_request_in_memory() {
    let mut harness = Harness::new();
    let request: Bytes = (0..=255).cycle().take(1 << 20).collect::<Vec<u8>>().into();
    let protocols = vec![("x".to_owned(), request.slice(..8))];
    let reply = harness.join(Join { protocols: protocols.clone(), ..consumer("a") });
    drop(protocols);
    assert!(request.is_unique(), "after the first join");
    harness.advance(Duration::from_secs(3));
    let a = harness.joined(reply).unwrap().member_id;
    harness.join(Join { protocols: vec![("x".to_owned(), request.slice(8..16))], ..again(&a) });
    assert!(request.is_unique(), "after another join");
    let sync = Sync { assignments: vec![(a.clone(), request.slice(..4))], ..follower(2, &a) };
    harness.sync(sync);
    assert_eq!(harness.machine.describe(GROUP).members[0].assignment.len(), 4);
    assert!(request.is_unique(), "after the assignment");
}
