//! One queue over logs that are lists of offsets, with every command kept.

use std::time::Duration;

use bytes::Bytes;
use posthouse_types::{Offset, PartitionIndex, Timestamp, TopicId, TopicName};
use uuid::Uuid;

use crate::queues::machine::{Delivery, Found, QueueKey, QueueNumber, Queues, QueuesCommand};
use crate::queues::types::{
    Held, Outcome, Pending, PendingQuery, QueueConfig, RecordId, Transfer, after,
};
use crate::state::StateMachine;

pub(super) const PARTITIONS: u32 = 2;
pub(super) const LOCK: Duration = Duration::from_millis(100);
pub(super) const NUMBER: QueueNumber = QueueNumber(0);

/// A queue with its history.
pub(super) struct Scene {
    pub(super) queues: Queues,
    pub(super) history: Vec<Vec<u8>>,
    pub(super) now: Timestamp,
    /// The end of each partition's log, in which every fifth offset is a gap.
    pub(super) ends: [u64; PARTITIONS as usize],
}

/// A record as it was given to an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) id: RecordId,
    pub(super) delivery: u32,
}

impl Given {
    pub(super) fn held(self) -> Held {
        Held { id: self.id, delivery: Some(self.delivery), owner: None }
    }
}

pub(super) fn config() -> QueueConfig {
    QueueConfig {
        lock_timeout: Some(LOCK),
        deliveries_max: Some(3),
        window_max: 4,
        dead_letter: Some(TopicName::new("dead").unwrap()),
    }
}

pub(super) fn key() -> QueueKey {
    QueueKey { topic: TopicId(Uuid::from_u128(7)), group: Bytes::from_static(b"workers") }
}

pub(super) fn id(partition: u32, offset: u64) -> RecordId {
    RecordId { partition: PartitionIndex::new(partition), offset: Offset::ZERO.plus(offset) }
}

pub(super) fn is_gap(offset: u64) -> bool {
    offset % 5 == 2
}

pub(super) fn name(owner: &str) -> Bytes {
    Bytes::copy_from_slice(owner.as_bytes())
}

impl Scene {
    pub(super) fn new(config: QueueConfig) -> Scene {
        let mut scene = Scene {
            queues: Queues::default(),
            history: Vec::new(),
            now: Timestamp::from_ms(1_000),
            ends: [0; PARTITIONS as usize],
        };
        scene.apply(QueuesCommand::Created { number: NUMBER, key: key(), config, next: vec![] });
        scene
    }

    /// Applies a command as it would be after a restart: read back from its bytes.
    pub(super) fn apply(&mut self, command: QueuesCommand) {
        let mut bytes = Vec::new();
        Queues::encode(&command, &mut bytes);
        assert_eq!(Queues::decode(&bytes).unwrap(), command);
        self.queues.apply(command);
        self.history.push(bytes);
    }

    pub(super) fn advance(&mut self, by: Duration) {
        self.now = after(self.now, by);
    }

    pub(super) fn lock_end(&self) -> Option<Timestamp> {
        self.queues.queue(NUMBER).unwrap().config.lock_timeout.map(|lock| after(self.now, lock))
    }

    /// Takes up to `max` records of one partition.
    pub(super) fn acquire(&mut self, owner: &str, partition: u32, max: usize) -> Vec<Given> {
        self.take(owner, partition, max, false)
    }

    pub(super) fn take(
        &mut self,
        owner: &str,
        partition: u32,
        max: usize,
        settled: bool,
    ) -> Vec<Given> {
        let index = PartitionIndex::new(partition);
        let offer = self.queues.offer(NUMBER, index, max).unwrap();
        let mut found = Found { from: offer.next, next: offer.next, ..Found::default() };
        found.again = offer.again;
        let end = Offset::ZERO.plus(self.ends[partition as usize]);
        let room = (max - found.again.len()).min(offer.room);
        while found.next < end && found.fresh.len() < room {
            let taken = offer.taken.contains(&found.next);
            if !taken && !is_gap(found.next.since(Offset::ZERO)) {
                found.fresh.push(found.next);
            }
            found.next = found.next.plus(1);
        }
        let delivery = Delivery {
            number: NUMBER,
            partition: index,
            owner: name(owner),
            at: self.now,
            until: self.lock_end(),
            settled,
        };
        let Some((command, records)) = self.queues.deliver(delivery, found) else {
            return Vec::new();
        };
        self.apply(command);
        let given =
            |(offset, delivery)| Given { id: RecordId { partition: index, offset }, delivery };
        records.into_iter().map(given).collect()
    }

    pub(super) fn accept(&mut self, held: &[Held]) -> Vec<Outcome> {
        let (outcomes, ids) = self.queues.pending_of(NUMBER, held);
        self.apply(QueuesCommand::Settled { number: NUMBER, ids });
        outcomes
    }

    pub(super) fn release(&mut self, held: &[Held]) -> Vec<Outcome> {
        let (outcomes, ids) = self.queues.held_of(NUMBER, held);
        self.apply(QueuesCommand::Released { number: NUMBER, ids });
        outcomes
    }

    pub(super) fn reject(&mut self, held: &[Held]) -> Vec<Outcome> {
        let (outcomes, ids) = self.queues.held_of(NUMBER, held);
        let reason = "no good".to_owned();
        self.apply(QueuesCommand::Rejected { number: NUMBER, ids, reason });
        outcomes
    }

    pub(super) fn extend(&mut self, held: &[Held]) -> Vec<Outcome> {
        let (outcomes, ids) = self.queues.held_of(NUMBER, held);
        let until = self.lock_end();
        self.apply(QueuesCommand::Extended { number: NUMBER, ids, until });
        outcomes
    }

    pub(super) fn transfer(&mut self, transfer: &Transfer) -> Vec<Given> {
        let until = self.lock_end();
        let command = self.queues.transfer(NUMBER, transfer, self.now, until).unwrap();
        let QueuesCommand::Transferred { entries, .. } = &command else { panic!("{command:?}") };
        let given = |&(id, delivery)| Given { id, delivery };
        let moved = entries.iter().map(given).collect();
        self.apply(command);
        moved
    }

    /// Ends the locks that are over; gives their records.
    pub(super) fn expire(&mut self) -> Vec<RecordId> {
        let mut all = Vec::new();
        for command in self.queues.expired(self.now, usize::MAX) {
            let QueuesCommand::Released { ids, .. } = &command else { panic!("{command:?}") };
            all.extend(ids);
            self.apply(command);
        }
        all
    }

    /// Settles what is to be dead-lettered, as if it had been written; gives those records.
    pub(super) fn bury(&mut self) -> Vec<RecordId> {
        let ids: Vec<_> = self.queues.rejected(usize::MAX).into_iter().map(|(_, id)| id).collect();
        self.apply(QueuesCommand::Settled { number: NUMBER, ids: ids.clone() });
        ids
    }

    pub(super) fn pending(&self) -> Vec<Pending> {
        self.queues.pending(NUMBER, &PendingQuery::default(), self.now)
    }

    /// What a restart gives: the whole history, or a snapshot and what came after it.
    pub(super) fn recovered(snapshot: Option<&[u8]>, suffix: &[Vec<u8>]) -> Queues {
        let mut queues =
            snapshot.map_or_else(Queues::default, |bytes| Queues::restore(bytes).unwrap());
        suffix.iter().for_each(|bytes| queues.apply(Queues::decode(bytes).unwrap()));
        queues
    }

    pub(super) fn snapshot(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.queues.snapshot(&mut bytes);
        bytes
    }
}
