//! Random events, in any order and from clients of any manners, against what must always hold.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::super::group::Phase;
use super::super::*;
use super::harness::{Answer, GROUP, Harness, consumer, follower, leader};
use crate::{GroupError, JoinError};

const CLIENTS: usize = 4;

/// What a client, or the world, does. Clients are numbered; the last two have instance ids.
#[derive(Clone, Debug)]
enum Event {
    /// Joins, with the id it knows or as if it had just started.
    Join {
        client: usize,
        anew: bool,
        protocols: usize,
        id_first: bool,
        skips: bool,
    },
    /// Syncs with the generation it knows, or one near it.
    Sync {
        client: usize,
        off_by: i32,
    },
    Heartbeat {
        client: usize,
    },
    Commit {
        client: usize,
        off_by: i32,
    },
    Leave {
        client: usize,
        by_instance: bool,
    },
    Advance {
        seconds: u64,
    },
    HoldWrites(bool),
    FinishWrite(bool),
    Restart,
}

fn event() -> impl Strategy<Value = Event> {
    let client = || 0..CLIENTS;
    prop_oneof![
        8 => (client(), any::<bool>(), 0..4_usize, any::<bool>(), any::<bool>()).prop_map(
            |(client, anew, protocols, id_first, skips)| Event::Join {
                client, anew, protocols, id_first, skips
            }
        ),
        8 => (client(), prop_oneof![9 => Just(0), 1 => -1..=1])
            .prop_map(|(client, off_by)| Event::Sync { client, off_by }),
        3 => client().prop_map(|client| Event::Heartbeat { client }),
        2 => (client(), prop_oneof![4 => Just(0), 1 => -1..=1])
            .prop_map(|(client, off_by)| Event::Commit { client, off_by }),
        1 => (client(), any::<bool>())
            .prop_map(|(client, by_instance)| Event::Leave { client, by_instance }),
        4 => (0..20_u64).prop_map(|seconds| Event::Advance { seconds }),
        1 => any::<bool>().prop_map(Event::HoldWrites),
        2 => prop::bool::weighted(0.8).prop_map(Event::FinishWrite),
        1 => Just(Event::Restart),
    ]
}

/// What a client knows of itself.
#[derive(Clone, Debug, Default)]
struct Client {
    member_id: String,
    generation: i32,
    members: Vec<String>,
}

/// What everyone was told of one generation.
#[derive(Debug, PartialEq)]
struct Generation {
    leader: String,
    protocol: String,
}

struct World {
    harness: Harness,
    clients: Vec<Client>,
    /// Requests without an answer, with the client that made them and the member id it used.
    waiting: BTreeMap<ReplyId, (usize, String)>,
    generations: BTreeMap<i32, Generation>,
    last_generation: i32,
    /// A write has failed since the last that succeeded, so memory is ahead of the log.
    log_is_behind: bool,
}

impl World {
    fn new() -> World {
        World {
            harness: Harness::new(),
            clients: vec![Client::default(); CLIENTS],
            waiting: BTreeMap::new(),
            generations: BTreeMap::new(),
            last_generation: 0,
            log_is_behind: false,
        }
    }

    fn step(&mut self, event: &Event) {
        let before = self.member_ids();
        let clients_before = self.clients.clone();
        match event {
            Event::Join { client, anew, protocols, id_first, skips } => {
                self.join(*client, *anew, *protocols, *id_first, *skips);
            }
            Event::Sync { client, off_by } => self.sync(*client, *off_by),
            Event::Heartbeat { client } => {
                let Client { member_id, generation, .. } = self.clients[*client].clone();
                let _ = self.harness.heartbeat(generation, &member_id);
            }
            Event::Commit { client, off_by } => self.commit(*client, *off_by),
            Event::Leave { client, by_instance } => self.leave(*client, *by_instance),
            Event::Advance { seconds } => self.harness.advance(Duration::from_secs(*seconds)),
            Event::HoldWrites(hold) => self.hold(*hold),
            Event::FinishWrite(durable) => self.finish_write(*durable),
            Event::Restart => self.restart(),
        }
        self.take_answers();
        self.check_removals(event, &before, &clients_before);
        self.check_group();
        self.check_restored();
    }

    fn join(&mut self, client: usize, anew: bool, protocols: usize, id_first: bool, skips: bool) {
        let offers: [&[&str]; 4] =
            [&["range"], &["range", "sticky"], &["sticky", "range"], &["other"]];
        let metadata = Bytes::from(format!("client {client}"));
        let offered = offers[protocols].iter();
        let known = &self.clients[client].member_id;
        let join = Join {
            member_id: if anew { String::new() } else { known.clone() },
            instance_id: instance(client),
            member_id_required: id_first,
            supports_skipping_assignment: skips,
            protocols: offered.map(|name| ((*name).to_owned(), metadata.clone())).collect(),
            ..consumer(&format!("c{client}"))
        };
        let member_id = join.member_id.clone();
        let reply = self.harness.join(join);
        self.waiting.insert(reply, (client, member_id));
    }

    fn sync(&mut self, client: usize, off_by: i32) {
        let Client { member_id, generation, members } = self.clients[client].clone();
        let pairs: Vec<_> = members.iter().map(|id| (id.as_str(), id.as_str())).collect();
        let sync = if members.is_empty() {
            follower(generation + off_by, &member_id)
        } else {
            leader(generation + off_by, &member_id, &pairs)
        };
        let reply = self.harness.sync(Sync { instance_id: instance(client), ..sync });
        self.waiting.insert(reply, (client, member_id));
    }

    fn commit(&mut self, client: usize, off_by: i32) {
        let Client { member_id, generation, .. } = self.clients[client].clone();
        let current = self.harness.machine.group(GROUP).map(|group| group.generation);
        let result = self.harness.commit(generation + off_by, &member_id);
        if result.is_ok() && generation + off_by >= 0 {
            assert_eq!(current, Some(generation + off_by), "only the current generation commits");
            assert!(self.member_ids().contains(&member_id), "only members commit");
        }
    }

    fn leave(&mut self, client: usize, by_instance: bool) {
        let member_id =
            if by_instance { String::new() } else { self.clients[client].member_id.clone() };
        let leave = Leave { member_id, instance_id: instance(client), reason: None };
        let _ = self.harness.leave(vec![leave]);
    }

    fn hold(&mut self, hold: bool) {
        self.harness.holds_writes = hold;
        if !hold {
            while !self.harness.in_flight.is_empty() {
                self.finish_write(true);
            }
        }
    }

    fn finish_write(&mut self, durable: bool) {
        if !self.harness.in_flight.is_empty() {
            self.log_is_behind = !durable;
            let how = if durable { Persisted::Durable } else { Persisted::Failed };
            self.harness.finish_write(how);
        }
    }

    fn restart(&mut self) {
        self.harness.restart();
        self.waiting.clear();
        self.generations.clear();
        self.last_generation = 0;
        self.log_is_behind = false;
    }

    /// Every answer is to a request that waits; what it says agrees with what others were told.
    fn take_answers(&mut self) {
        while let Some((reply, answer)) = self.harness.answers.pop_front() {
            let (client, member_id) =
                self.waiting.remove(&reply).expect("a request is answered once");
            let known = &mut self.clients[client];
            match answer {
                Answer::Joined(Ok(joined)) => {
                    known.member_id = joined.member_id.clone();
                    known.generation = joined.generation;
                    known.members = joined.members.iter().map(|(id, ..)| id.clone()).collect();
                    self.check_joined(&joined);
                }
                Answer::Joined(Err(JoinError::MemberIdRequired(id))) => known.member_id = id,
                Answer::Joined(Err(_)) => {}
                Answer::Synced(Ok(synced)) => check_synced(&member_id, &synced),
                Answer::Synced(Err(_)) => {}
            }
        }
    }

    fn check_joined(&mut self, joined: &Joined) {
        assert!(joined.generation >= self.last_generation, "a generation never goes back");
        self.last_generation = joined.generation;
        let told = Generation { leader: place(&joined.leader), protocol: joined.protocol.clone() };
        let first = self.generations.entry(joined.generation).or_insert_with(|| Generation {
            leader: told.leader.clone(),
            protocol: told.protocol.clone(),
        });
        assert_eq!(*first, told, "a generation has one leader and one protocol");
        if !joined.members.is_empty() {
            assert_eq!(joined.leader, joined.member_id, "only the leader is told the members");
            assert!(joined.members.iter().any(|(id, ..)| *id == joined.member_id));
        }
    }

    /// A member goes only by leaving, by silence, or because its instance id is taken over.
    fn check_removals(&self, event: &Event, before: &BTreeSet<String>, clients: &[Client]) {
        let after = self.member_ids();
        for id in before.difference(&after) {
            let is_explained = match event {
                Event::Leave { client, .. } => place(id) == place_of(*client, id),
                Event::Join { client, anew, .. } => {
                    let is_anew = *anew || clients[*client].member_id.is_empty();
                    is_anew && instance(*client).is_some() && place(id) == place_of(*client, id)
                }
                Event::Advance { .. } | Event::Restart => true,
                _ => false,
            };
            assert!(is_explained, "{id} is gone after {event:?}");
        }
    }

    fn check_group(&self) {
        let (counted, again) = self.harness.machine.sizes();
        assert_eq!(counted, again);
        let Some(group) = self.harness.machine.group(GROUP) else { return };
        group.members.assert_counts();
        let ids = self.member_ids();
        assert_eq!(group.leader.is_some(), !ids.is_empty());
        assert!(group.leader.iter().all(|leader| ids.contains(leader)));
        match &group.phase {
            Phase::Empty => assert!(ids.is_empty()),
            Phase::Preparing(_) => {}
            Phase::Completing(syncing) | Phase::Stable(syncing) => {
                assert!(!ids.is_empty());
                assert!(syncing.unsynced.is_subset(&ids));
                assert!(group.members.select_protocol().is_some());
            }
        }
        let waiting = group.members.iter().filter(|member| member.is_waiting()).count();
        let is_new = |member: &&super::super::members::Member| member.is_new;
        let parked = group.members.iter().filter(is_new).count();
        assert_eq!(self.waiting.len(), waiting + parked, "whoever waits is known to the group");
        // When everyone waits for a write, the write wakes them.
        let all_wait = group.members.iter().all(super::super::members::Member::is_waiting);
        assert!(all_wait || group.wake_at.is_some(), "silence is always noticed");
    }

    /// What is in the log describes the group as it is, whenever it is at rest.
    fn check_restored(&self) {
        let live = self.harness.machine.describe(GROUP);
        let is_at_rest = self.harness.in_flight.is_empty() && !self.log_is_behind;
        if live.state == GroupState::Stable && is_at_rest {
            let mut restored = GroupCoordinator::new(self.harness.config.clone());
            let record = GroupRecord::decode(&self.harness.stored[GROUP]).unwrap();
            restored.restore(self.harness.at(), record);
            assert_eq!(restored.describe(GROUP), live);
        }
    }

    fn member_ids(&self) -> BTreeSet<String> {
        let group = self.harness.machine.group(GROUP);
        let ids = group.into_iter().flat_map(|group| group.members.iter());
        ids.map(|member| member.id.clone()).collect()
    }

    /// Everyone who is there does what a good client does, until nobody has anything to do.
    fn settle(&mut self) {
        self.hold(false);
        self.harness.advance(Duration::from_secs(3600));
        self.take_answers();
        assert!(self.waiting.is_empty(), "nobody waits for ever");
        assert!(matches!(self.harness.state(), GroupState::Empty | GroupState::Dead));

        for client in 0..CLIENTS {
            self.join(client, true, 1, false, true);
        }
        self.harness.advance(Duration::from_secs(6));
        self.take_answers();
        for client in 0..CLIENTS {
            self.sync(client, 0);
        }
        self.take_answers();
        assert_eq!(self.harness.state(), GroupState::Stable);
        let generation = self.clients[0].generation;
        for Client { member_id, generation: told, .. } in self.clients.clone() {
            assert_eq!(told, generation);
            assert_eq!(self.harness.heartbeat(generation, &member_id), Ok::<(), GroupError>(()));
        }
        self.check_group();
        self.check_restored();
    }
}

/// The leader assigns each member the id that it knew it by.
fn check_synced(member_id: &str, synced: &Synced) {
    if !synced.assignment.is_empty() {
        let id = String::from_utf8(synced.assignment.to_vec()).unwrap();
        assert_eq!(place(&id), place(member_id), "nobody else's");
    }
}

/// The last two clients are static members.
fn instance(client: usize) -> Option<String> {
    (client >= CLIENTS - 2).then(|| format!("i{client}"))
}

/// Who a member is: a static member by its instance, whichever process; another by its id.
fn place(id: &str) -> String {
    let prefix = id.split_once('-').map_or(id, |(prefix, _)| prefix);
    if prefix.starts_with('i') { prefix.to_owned() } else { id.to_owned() }
}

fn place_of(client: usize, id: &str) -> String {
    instance(client).unwrap_or_else(|| id.to_owned())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn any_events_keep_the_promises(events in prop::collection::vec(event(), 1..150)) {
        let mut world = World::new();
        for event in &events {
            world.step(event);
        }
        world.settle();
    }
}
