//! Taking records, and waiting for them.

use std::sync::Arc;

use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use posthouse_record::Record;
use posthouse_types::{Offset, PartitionIndex, Principal, Timestamp};
use tokio::sync::watch;
use tokio::time::Instant;

use super::place::{Place, check_name};
use crate::partition::OpenPartition;
use crate::queues::limits::{ACQUIRE_RECORDS_MAX, OWNERS_MAX};
use crate::queues::machine::{Delivery, Found, Offer, QueueNumber, QueuesCommand};
use crate::queues::runtime::{Fresh, Line, read_fresh, read_one};
use crate::queues::types::after;
use crate::queues::{Acquire, Acquired, QueueError, QueueRef, RecordId};
use crate::{AppendFailure, Broker, Operation, metrics};

/// How long a caller may wait; it asks again then.
const WAIT_MAX: std::time::Duration = std::time::Duration::from_secs(24 * 60 * 60);

impl Broker {
    /// Takes records that nobody holds, those that came back first; waits for the first one. Who
    /// has waited longest is served first. Empty when the time is up.
    ///
    /// What is taken is not durable when it returns: after a crash of the node it may be delivered
    /// once more.
    ///
    /// # Errors
    /// [`QueueError::NotFound`] when there is no such queue, or it is deleted meanwhile.
    ///
    /// # Cancellation
    /// Safe to drop at any await: nothing is taken unless it returns it.
    pub async fn queue_acquire(
        &self,
        principal: &Principal,
        queue: &QueueRef,
        acquire: Acquire,
    ) -> Result<Vec<Acquired>, QueueError> {
        check_name("the owner's name", &acquire.owner)?;
        let deadline = Instant::now() + acquire.wait_max.min(WAIT_MAX);
        let place = self.queue_place(principal, Operation::Read, queue)?;
        let number = self.welcome_owner(&place, &acquire.owner)?;
        let line = place.shard.line(number);
        if acquire.wait_max.is_zero() {
            return self.take(&place, &line, &acquire).await;
        }
        let Ok(_first) = tokio::time::timeout_at(deadline, line.first.lock()).await else {
            return Ok(Vec::new());
        };
        loop {
            // Looked at before the queue itself, so that no change is missed.
            let mut topics = self.topic_table().watch();
            topics.mark_unchanged();
            let place = self.queue_place(principal, Operation::Read, queue)?;
            let mut moves = moves(&place);
            let taken = self.take(&place, &line, &acquire).await?;
            if !taken.is_empty() || Instant::now() >= deadline {
                return Ok(taken);
            }
            tokio::select! {
                () = line.wake.notified() => {}
                _ = moves.next(), if !moves.is_empty() => {}
                _ = topics.changed() => {}
                () = tokio::time::sleep_until(deadline) => return Ok(Vec::new()),
                () = self.stopping().cancelled() => return Ok(Vec::new()),
            }
        }
    }

    /// Makes the owner known, before it has been given anything.
    fn welcome_owner(
        &self,
        place: &Place<'_>,
        owner: &bytes::Bytes,
    ) -> Result<QueueNumber, QueueError> {
        let welcomed = place.shard.change(|queues, now| {
            let number = place.number(queues)?;
            let commands = queues.welcome(number, owner, now).ok_or_else(|| {
                metrics::queue_owner_refused();
                QueueError::Limit { what: "owners that hold records", max: OWNERS_MAX }
            })?;
            Ok::<_, QueueError>((commands, number))
        });
        let (number, _) = welcomed?;
        place.shard.heard_of(number, owner);
        Ok(number)
    }

    /// Takes what there is now.
    async fn take(
        &self,
        place: &Place<'_>,
        line: &Line,
        acquire: &Acquire,
    ) -> Result<Vec<Acquired>, QueueError> {
        let _gate = line.gate.lock().await;
        loop {
            let search = self.search(place, line, acquire).await?;
            let (acquired, moved) = take_found(place, acquire, search)?;
            // What was found may all have been passed over.
            if !acquired.is_empty() || !moved {
                metrics::queue_records_acquired(acquired.len());
                return Ok(acquired);
            }
        }
    }

    /// Looks up in the logs what the queue has to give; takes nothing yet.
    async fn search(
        &self,
        place: &Place<'_>,
        line: &Line,
        acquire: &Acquire,
    ) -> Result<Search, QueueError> {
        let mut search = Search {
            partitions: Vec::new(),
            records: acquire.max.min(ACQUIRE_RECORDS_MAX),
            bytes: acquire.bytes_max,
            any: false,
        };
        let partitions = place.open.topic.partitions;
        let turn = line.turn(partitions);
        for step in 0..partitions {
            let index = PartitionIndex::new((turn + step) % partitions);
            // One that is opening, or has failed, does not hold up the others.
            let Ok(partition) = place.open.partition(index) else { continue };
            let max = search.records;
            let offer = place.shard.look(|queues, _| {
                let number = place.number(queues)?;
                queues.offer(number, index, max).ok_or_else(|| place.not_found())
            })?;
            search.partition(index, partition, offer, acquire).await?;
            if search.records == 0 || (search.any && search.bytes == 0) {
                break;
            }
        }
        Ok(search)
    }
}

/// What was found in the partitions so far, and how much more may be.
struct Search {
    partitions: Vec<FoundIn>,
    records: usize,
    bytes: usize,
    any: bool,
}

struct FoundIn {
    index: PartitionIndex,
    found: Found,
    records: Vec<Record>,
    /// Came back, and are not in the log any more.
    gone: Vec<RecordId>,
}

impl Search {
    async fn partition(
        &mut self,
        index: PartitionIndex,
        partition: &Arc<OpenPartition>,
        offer: Offer,
        acquire: &Acquire,
    ) -> Result<(), QueueError> {
        let log = partition.log().as_ref();
        let found = Found { from: offer.next, next: offer.next, ..Found::default() };
        let mut here = FoundIn { index, found, records: Vec::new(), gone: Vec::new() };
        for offset in offer.again {
            let id = RecordId { partition: index, offset };
            match read_one(log, offset).await? {
                Some(record) if self.fits(&record) => {
                    here.found.again.push(offset);
                    here.records.push(record);
                }
                Some(_) => break,
                None => here.gone.push(id),
            }
        }
        let full = self.any && self.bytes == 0;
        let max = if full { 0 } else { self.records.min(offer.room) };
        if offer.room == 0 && offer.next < log.ends().last_stable {
            metrics::queue_window_full();
        }
        let filter = acquire.filter.as_ref();
        let wanted = |record: &Record| {
            !offer.taken.contains(&record.offset)
                && filter.is_none_or(|filter| filter(index, record))
        };
        let fresh = read_fresh(log, offer.next, max, wanted, |record| !self.fits(record)).await?;
        let Fresh { records, next } = fresh;
        here.found.fresh = records.iter().map(|record| record.offset).collect();
        here.found.next = next;
        here.records.extend(records);
        self.partitions.push(here);
        Ok(())
    }

    /// Counts a record, if it still fits; the first always does.
    fn fits(&mut self, record: &Record) -> bool {
        let size = size(record);
        if self.records == 0 || (self.any && size > self.bytes) {
            self.bytes = 0;
            return false;
        }
        self.any = true;
        self.records -= 1;
        self.bytes = self.bytes.saturating_sub(size);
        true
    }
}

/// Takes what was found and is still there; also tells whether anything moved at all.
fn take_found(
    place: &Place<'_>,
    acquire: &Acquire,
    search: Search,
) -> Result<(Vec<Acquired>, bool), QueueError> {
    let taken = place.shard.change(|queues, at| {
        let number = place.number(queues)?;
        let config = &queues.queue(number).ok_or_else(|| place.not_found())?.config;
        let lock = acquire.lock.or(config.lock_timeout);
        let until = lock.map(|lock| after(at, lock)).filter(|_| !acquire.settled);
        let mut acquired = Vec::new();
        let mut commands = Vec::new();
        for FoundIn { index, found, records, gone } in search.partitions {
            if !gone.is_empty() {
                metrics::queue_records_gone(gone.len());
                commands.push(QueuesCommand::Settled { number, ids: gone });
            }
            let (owner, settled) = (acquire.owner.clone(), acquire.settled);
            let delivery = Delivery { number, partition: index, owner, at, until, settled };
            if let Some((command, given)) = queues.deliver(delivery, found) {
                commands.push(command);
                acquired.extend(pair(index, until, records, &given));
            }
        }
        let moved = !commands.is_empty();
        Ok::<_, QueueError>((commands, (acquired, moved)))
    });
    taken.map(|(result, _)| result)
}

/// The records that were given, which are some of those that were found, in the same order.
fn pair(
    partition: PartitionIndex,
    locked_until: Option<Timestamp>,
    records: Vec<Record>,
    given: &[(Offset, u32)],
) -> Vec<Acquired> {
    let mut given = given.iter().peekable();
    let acquired = |record: Record| {
        let (_, delivery_count) = given.next_if(|(offset, _)| *offset == record.offset)?;
        Some(Acquired { partition, delivery_count: *delivery_count, locked_until, record })
    };
    records.into_iter().filter_map(acquired).collect()
}

fn size(record: &Record) -> usize {
    let len = |bytes: &Option<bytes::Bytes>| bytes.as_ref().map_or(0, bytes::Bytes::len);
    let headers: usize =
        record.headers.iter().map(|header| header.name.len() + len(&header.value)).sum();
    len(&record.key) + len(&record.value) + headers
}

/// Every move of a partition's end. One whose log is closed does not move any more.
fn moves(place: &Place<'_>) -> FuturesUnordered<futures::future::BoxFuture<'static, ()>> {
    let watch = |partition: &Arc<OpenPartition>| {
        let mut ends: watch::Receiver<_> = partition.log().watch();
        let moved = async move {
            if ends.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        moved.boxed()
    };
    place.open.open_partitions().map(watch).collect()
}

impl From<posthouse_log::AppendError> for QueueError {
    fn from(error: posthouse_log::AppendError) -> QueueError {
        QueueError::Storage(AppendFailure::from(error))
    }
}
