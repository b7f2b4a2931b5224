//! PUSH: what comes on a channel, or out of a queue, goes to one of the peers in turn.
//!
//! PUSH has no acknowledgement. A message counts as done once the socket has taken it for a peer;
//! what a peer had not read when it died is lost, at most the high-water mark and what was under way.
//!
//! # Invariants
//! - A record of a queue is settled only after the socket has taken it, so a crash of the node loses
//!   none that no peer's connection had.

use bytes::Bytes;
use posthouse_broker::{Acquire, Held, Overflow};
use posthouse_zmtp::Socket;
use tokio::task::JoinSet;

use super::{lease, publish};
use crate::context::{Context, rethrow};
use crate::errors::WorkError;
use crate::frames;
use crate::metrics::Dropped;
use crate::spec::{Place, Queue};

/// Records taken at once.
const BATCH_MAX: usize = 256;
/// LIMIT: batches that are being settled.
const SETTLING_MAX: usize = 8;

pub(super) async fn from_channel(
    context: &Context,
    socket: &Socket,
    channel: &Bytes,
    overflow: Overflow,
) -> Result<(), WorkError> {
    let from = Place::Channel(channel.clone());
    let subscriber = publish::subscribe(context, &from, overflow).await?;
    context.progress.running();
    loop {
        let delivery = tokio::select! {
            biased;
            () = context.until.cancelled() => return Ok(()),
            delivery = subscriber.next() => delivery?,
        };
        if !context.send(socket, frames::of_live(delivery.message())).await? {
            context.progress.dropped(Dropped::Unroutable, 1);
            return Ok(());
        }
    }
}

pub(super) async fn from_queue(
    context: &Context,
    socket: &Socket,
    queue: &Queue,
) -> Result<(), WorkError> {
    let owner = lease::enter(context, queue).await?;
    context.progress.running();
    let reference = queue.reference();
    let mut settling = JoinSet::new();
    while !context.until.is_cancelled() {
        let acquire = Acquire::new(owner.clone(), BATCH_MAX).waiting(lease::WAIT);
        let acquired = tokio::select! {
            biased;
            () = context.until.cancelled() => break,
            acquired = context.broker.queue_acquire(&context.principal, &reference, acquire) => acquired?,
        };
        let mut held = acquired.iter().map(Held::from).collect::<Vec<_>>();
        let mut handed = 0;
        let mut outcome = Ok(());
        for one in &acquired {
            match context.send(socket, frames::of_record(&one.record)).await {
                Ok(true) => handed += 1,
                Ok(false) => break,
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
        }
        let back = held.split_off(handed);
        if settling.len() >= SETTLING_MAX
            && let Some(ended) = settling.join_next().await
        {
            rethrow(ended);
        }
        settling.spawn(lease::settle(context.clone(), queue.clone(), held));
        lease::give_back(context, queue, &back).await;
        outcome?;
    }
    while let Some(ended) = settling.join_next().await {
        rethrow(ended);
    }
    Ok(())
}
