//! Random histories, watched by a model that knows only what callers were told.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;

use super::harness::{Given, NUMBER, PARTITIONS, Scene, config, id, is_gap, name};
use crate::queues::machine::{EntryState, QueuesCommand};
use crate::queues::types::{Outcome, RecordId, Transfer};
use crate::state::StateMachine;

const OWNERS: [&str; 3] = ["ann", "bob", "cid"];

#[derive(Clone, Debug)]
enum Step {
    Produce {
        partition: u32,
        count: u64,
    },
    Acquire {
        owner: usize,
        partition: u32,
        max: usize,
        settled: bool,
    },
    Accept {
        pick: usize,
    },
    Release {
        pick: usize,
    },
    Reject {
        pick: usize,
    },
    Extend {
        pick: usize,
    },
    /// Settling what was given some time ago and may be someone else's by now.
    AcceptOld {
        pick: usize,
    },
    Transfer {
        to: usize,
        pick: usize,
        min_idle_ms: u64,
    },
    RemoveOwner {
        owner: usize,
        discard: bool,
    },
    Advance {
        ms: u64,
    },
    Bury,
    Snapshot,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let owner = || 0..OWNERS.len();
    let partition = || 0..PARTITIONS;
    let pick = || 0..100_usize;
    let step = prop_oneof![
        4 => (partition(), 1..5_u64).prop_map(|(partition, count)| Step::Produce { partition, count }),
        8 => (owner(), partition(), 1..6_usize, prop::bool::weighted(0.1)).prop_map(
            |(owner, partition, max, settled)| Step::Acquire { owner, partition, max, settled }
        ),
        4 => pick().prop_map(|pick| Step::Accept { pick }),
        2 => pick().prop_map(|pick| Step::Release { pick }),
        1 => pick().prop_map(|pick| Step::Reject { pick }),
        1 => pick().prop_map(|pick| Step::Extend { pick }),
        2 => pick().prop_map(|pick| Step::AcceptOld { pick }),
        2 => (owner(), pick(), 0..60_u64).prop_map(|(to, pick, min_idle_ms)| {
            Step::Transfer { to, pick, min_idle_ms }
        }),
        1 => (owner(), any::<bool>()).prop_map(|(owner, discard)| Step::RemoveOwner { owner, discard }),
        4 => (0..80_u64).prop_map(|ms| Step::Advance { ms }),
        1 => Just(Step::Bury),
        1 => Just(Step::Snapshot),
    ];
    prop::collection::vec(step, 0..60)
}

/// What callers were told.
#[derive(Default)]
struct Told {
    /// Who holds what, and which delivery of it that was.
    held: BTreeMap<RecordId, (String, u32)>,
    /// Everything ever given, in order.
    given: Vec<Given>,
    /// Accepted, settled on delivery, dead-lettered or discarded.
    done: BTreeSet<RecordId>,
}

impl Told {
    fn give(&mut self, owner: &str, given: Given) {
        let Given { id, delivery } = given;
        assert!(!self.done.contains(&id), "{id} was delivered after it was settled");
        let holder = self.held.insert(id, (owner.to_owned(), delivery));
        assert_eq!(holder, None, "{id} was held when it was given to {owner}");
        self.given.push(given);
    }

    fn let_go(&mut self, id: RecordId) {
        assert!(self.held.remove(&id).is_some(), "{id} was not held by anyone");
    }

    fn settle(&mut self, id: RecordId) {
        assert!(self.done.insert(id), "{id} was settled twice");
    }

    fn pick(&self, pick: usize) -> Option<Given> {
        let (id, (_, delivery)) = self.held.iter().nth(pick % self.held.len().max(1))?;
        Some(Given { id: *id, delivery: *delivery })
    }
}

struct Run {
    scene: Scene,
    told: Told,
    /// Snapshots, and how much of the history each stands for.
    snapshots: Vec<(Vec<u8>, usize)>,
}

impl Run {
    fn step(&mut self, step: &Step) {
        let Run { scene, told, snapshots } = self;
        match *step {
            Step::Produce { partition, count } => scene.ends[partition as usize] += count,
            Step::Acquire { owner, partition, max, settled } => {
                for given in scene.take(OWNERS[owner], partition, max, settled) {
                    told.give(OWNERS[owner], given);
                    if settled {
                        told.let_go(given.id);
                        told.settle(given.id);
                    }
                }
            }
            Step::Accept { pick } => {
                let Some(given) = told.pick(pick) else { return };
                assert_eq!(scene.accept(&[given.held()]), [Outcome::Done]);
                told.let_go(given.id);
                told.settle(given.id);
            }
            Step::AcceptOld { pick } => self.accept_old(pick),
            Step::Release { pick } => {
                let Some(given) = told.pick(pick) else { return };
                assert_eq!(scene.release(&[given.held()]), [Outcome::Done]);
                told.let_go(given.id);
            }
            Step::Reject { pick } => {
                let Some(given) = told.pick(pick) else { return };
                assert_eq!(scene.reject(&[given.held()]), [Outcome::Done]);
                told.let_go(given.id);
            }
            Step::Extend { pick } => {
                let Some(given) = told.pick(pick) else { return };
                assert_eq!(scene.extend(&[given.held()]), [Outcome::Done]);
            }
            Step::Transfer { to, pick, min_idle_ms } => {
                let Some(given) = told.pick(pick) else { return };
                let mut transfer = Transfer::new(vec![given.id], name(OWNERS[to]));
                transfer.min_idle = Duration::from_millis(min_idle_ms);
                for moved in scene.transfer(&transfer) {
                    told.let_go(moved.id);
                    told.give(OWNERS[to], moved);
                }
            }
            Step::RemoveOwner { owner, discard } => self.remove_owner(OWNERS[owner], discard),
            Step::Advance { ms } => {
                scene.advance(Duration::from_millis(ms));
                scene.expire().into_iter().for_each(|id| told.let_go(id));
            }
            Step::Bury => scene.bury().into_iter().for_each(|id| told.settle(id)),
            Step::Snapshot => snapshots.push((scene.snapshot(), scene.history.len())),
        }
    }

    fn accept_old(&mut self, pick: usize) {
        let Run { scene, told, .. } = self;
        if told.given.is_empty() {
            return;
        }
        let given = told.given[pick % told.given.len()];
        let current = told.held.get(&given.id).is_some_and(|(_, now)| *now == given.delivery);
        let outcome = if current { Outcome::Done } else { Outcome::NotHeld };
        assert_eq!(scene.accept(&[given.held()]), [outcome]);
        if current {
            told.let_go(given.id);
            told.settle(given.id);
        }
    }

    fn remove_owner(&mut self, owner: &str, discard: bool) {
        let removed = QueuesCommand::OwnerRemoved { number: NUMBER, owner: name(owner), discard };
        self.scene.apply(removed);
        for (id, holder) in std::mem::take(&mut self.told.held) {
            if holder.0 != owner {
                self.told.held.insert(id, holder);
            } else if discard {
                self.told.settle(id);
            }
        }
    }

    /// What must hold after every step.
    fn check(&self) {
        let queue = self.scene.queues.queue(NUMBER).unwrap();
        for window in queue.windows.values() {
            assert!(window.entries.len() <= queue.config.window_max as usize, "window");
        }
        let entries: usize = queue.pending();
        assert_eq!(self.scene.queues.entries(), entries);
        let mut held = BTreeMap::new();
        for (partition, window) in &queue.windows {
            for (offset, entry) in &window.entries {
                let id = RecordId { partition: *partition, offset: *offset };
                if let EntryState::Acquired { owner, .. } = &entry.state {
                    let owner = String::from_utf8(owner.to_vec()).unwrap();
                    held.insert(id, (owner, entry.deliveries));
                }
            }
        }
        assert_eq!(held, self.told.held, "who holds what");
        for (owner, known) in &queue.owners {
            let of_owner = held.iter().filter(|(_, (name, _))| name.as_bytes() == owner);
            let of_owner: BTreeSet<_> = of_owner.map(|(id, _)| *id).collect();
            assert_eq!(known.holds, of_owner);
        }
    }

    /// Lets every lock end, and accepts everything that comes, until there is no more.
    fn drain(&mut self) {
        for _ in 0..1_000 {
            self.step(&Step::Advance { ms: 1_000 });
            self.step(&Step::Bury);
            let mut any = false;
            for partition in 0..PARTITIONS {
                self.step(&Step::Acquire { owner: 0, partition, max: 10, settled: false });
                any |= !self.told.held.is_empty();
                while !self.told.held.is_empty() {
                    self.step(&Step::Accept { pick: 0 });
                }
            }
            if !any {
                return;
            }
        }
        panic!("records come back for ever");
    }

    fn everything(&self) -> BTreeSet<RecordId> {
        let of = |partition: u32| {
            let end = self.scene.ends[partition as usize];
            (0..end).filter(|offset| !is_gap(*offset)).map(move |offset| id(partition, offset))
        };
        (0..PARTITIONS).flat_map(of).collect()
    }
}

fn run(steps: &[Step]) -> Run {
    let (scene, told) = (Scene::new(config()), Told::default());
    let mut run = Run { scene, told, snapshots: Vec::new() };
    for step in steps {
        run.step(step);
        run.check();
    }
    run
}

proptest! {
    #[test]
    fn no_record_is_lost_or_held_twice_and_windows_hold(steps in steps()) {
        let mut run = run(&steps);
        run.drain();
        prop_assert_eq!(&run.told.done, &run.everything());
        prop_assert!(run.scene.pending().is_empty());
        prop_assert_eq!(run.scene.queues.next_deadline(), None);
    }

    #[test]
    fn any_snapshot_and_what_follows_it_is_the_live_state(steps in steps()) {
        let run = run(&steps);
        let Run { scene, snapshots, .. } = &run;
        prop_assert_eq!(&Scene::recovered(None, &scene.history), &scene.queues);
        for (snapshot, from) in snapshots {
            let recovered = Scene::recovered(Some(snapshot), &scene.history[*from..]);
            prop_assert_eq!(&recovered, &scene.queues);
        }
        let snapshot = scene.snapshot();
        for len in 0..snapshot.len() {
            prop_assert!(crate::queues::Queues::restore(&snapshot[..len]).is_err());
        }
    }

    #[test]
    fn nothing_is_delivered_more_often_than_it_may_be(steps in steps()) {
        let run = run(&steps);
        let transfers = steps.iter().any(|step| matches!(step, Step::Transfer { .. }));
        let most = run.told.given.iter().map(|given| given.delivery).max().unwrap_or(0);
        prop_assert!(transfers || most <= config().deliveries_max.unwrap());
    }
}
