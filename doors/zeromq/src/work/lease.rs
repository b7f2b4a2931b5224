//! An endpoint as an owner in a queue.
//!
//! # Invariants
//! - An endpoint's owner is the endpoint's alone. What it still held from before a crash goes back
//!   before it takes anything, because none of its peers has it any more.

use std::time::Duration;

use bytes::Bytes;
use posthouse_broker::{Held, Outcome, OwnerRemoval, QueueConfig, QueueError, QueueStart};

use crate::context::Context;
use crate::errors::WorkError;
use crate::metrics::Dropped;
use crate::spec::Queue;

/// How long to wait for a record before asking again.
pub(super) const WAIT: Duration = Duration::from_secs(10);

/// Makes the queue when there is none, and gives back what was held before; the owner's name.
pub(super) async fn enter(context: &Context, queue: &Queue) -> Result<Bytes, WorkError> {
    let Context { broker, principal, .. } = context;
    broker.topic_or_create(principal, &queue.topic).await?;
    let reference = queue.reference();
    let config = if queue.own {
        QueueConfig { lock_timeout: None, deliveries_max: None, ..QueueConfig::default() }
    } else {
        QueueConfig::default()
    };
    match broker.queue_create(principal, &reference, QueueStart::Earliest, config).await {
        Ok(()) | Err(QueueError::Exists { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let owner = Bytes::from(format!("zeromq.{}", context.spec.name));
    let release = OwnerRemoval::Release;
    match broker.queue_owner_delete(principal, &reference, &owner, release).await {
        Ok(0) | Err(QueueError::UnknownOwner { .. }) => {}
        Ok(held) => {
            tracing::info!(endpoint = context.spec.name, held, "records of before given back");
        }
        Err(error) => return Err(error.into()),
    }
    Ok(owner)
}

/// The records are done.
pub(super) async fn settle(context: Context, queue: Queue, held: Vec<Held>) {
    if held.is_empty() {
        return;
    }
    let accepted = context.broker.queue_accept(&context.principal, &queue.reference(), &held).await;
    match accepted {
        Ok(outcomes) => {
            late(&context, &outcomes);
            context.progress.running();
        }
        Err(error) => context.failing(&error),
    }
}

/// The records go to whoever asks next.
pub(super) async fn give_back(context: &Context, queue: &Queue, held: &[Held]) {
    if held.is_empty() {
        return;
    }
    let released = context.broker.queue_release(&context.principal, &queue.reference(), held).await;
    if let Err(error) = released {
        context.failing(&error);
    }
}

/// The records are not to be delivered again.
pub(super) async fn reject(context: &Context, queue: &Queue, held: &[Held], reason: &str) {
    let Context { broker, principal, .. } = context;
    match broker.queue_reject(principal, &queue.reference(), held, reason).await {
        Ok(outcomes) => late(context, &outcomes),
        Err(error) => context.failing(&error),
    }
}

/// Counts those that someone else has by now.
fn late(context: &Context, outcomes: &[Outcome]) {
    let late = outcomes.iter().filter(|outcome| **outcome == Outcome::NotHeld).count();
    if late > 0 {
        context.progress.dropped(Dropped::Late, u64::try_from(late).unwrap_or(u64::MAX));
    }
}
