//! The bound on batches that are accepted and not yet durable.
//!
//! Each append takes its size from one budget, and its partition gives it back: on the partition's
//! next append, or when someone waits for memory. Nothing runs for an append that goes through.

use std::sync::Arc;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use posthouse_types::ByteSize;
use tokio::sync::{Mutex, Semaphore};

use crate::metrics;
use crate::partition::decision;
use crate::topics::TopicTable;

/// The budget.
pub(crate) struct InFlight {
    budget: Arc<Semaphore>,
    capacity: u32,
    /// Those who wait take turns at collecting what has become free.
    collecting: Mutex<()>,
}

/// Bytes taken from the budget; given back when dropped, unless kept.
pub(crate) struct Reservation<'a> {
    budget: &'a Semaphore,
    permits: u32,
}

impl InFlight {
    /// A budget of `limit`.
    pub(crate) fn new(limit: ByteSize) -> InFlight {
        let capacity = u32::try_from(limit.0).unwrap_or(u32::MAX).max(1);
        let permits = usize::try_from(capacity).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        InFlight { budget: Arc::new(Semaphore::new(permits)), capacity, collecting: Mutex::new(()) }
    }

    /// For the partitions, which give back what they hold.
    pub(crate) fn budget(&self) -> &Arc<Semaphore> {
        &self.budget
    }

    /// Bytes taken.
    pub(crate) fn taken(&self) -> usize {
        (self.capacity as usize).saturating_sub(self.budget.available_permits())
    }

    /// Takes `size` bytes, or the whole budget for a batch larger than it; waits its turn.
    ///
    /// # Cancellation
    /// Safe to drop; the place in the queue is given up.
    pub(crate) async fn reserve(&self, size: usize, topics: &TopicTable) -> Reservation<'_> {
        let permits = u32::try_from(size).unwrap_or(u32::MAX).clamp(1, self.capacity);
        if let Ok(taken) = self.budget.try_acquire_many(permits) {
            taken.forget();
            return Reservation { budget: &self.budget, permits };
        }
        metrics::append_waited();
        let collect = async {
            let _turn = self.collecting.lock().await;
            loop {
                collect(topics).await;
            }
        };
        tokio::select! {
            biased;
            taken = self.budget.acquire_many(permits) => {
                taken.expect("the budget is never closed").forget();
            }
            never = collect => never,
        }
        Reservation { budget: &self.budget, permits }
    }
}

impl Reservation<'_> {
    /// Keeps the bytes taken; whoever calls this gives them back.
    pub(crate) fn keep(self) -> u32 {
        let permits = self.permits;
        std::mem::forget(self);
        permits
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        self.budget.add_permits(self.permits as usize);
    }
}

/// Gives back what is free now, then waits until some partition has more.
async fn collect(topics: &TopicTable) {
    let mut changes = topics.watch();
    let moves = FuturesUnordered::new();
    for topic in topics.all() {
        for partition in topic.open_partitions() {
            partition.settle();
            let Some(until) = partition.held_until() else { continue };
            let log = Arc::clone(partition.log());
            moves.push(async move { decision(log.as_ref(), until).await });
        }
    }
    let moved = async {
        let mut moves = moves;
        if moves.next().await.is_none() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = moved => {}
        _ = changes.changed() => {}
    }
}
