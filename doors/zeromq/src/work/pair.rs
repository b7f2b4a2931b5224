//! PAIR: the socket's one peer has one of the two seats of a pair, for as long as it is connected.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use posthouse_broker::{PairError, PairEvent, Peer};
use posthouse_zmtp::{SendError, Socket};

use crate::context::Context;
use crate::errors::WorkError;
use crate::frames;
use crate::metrics::Dropped;

pub(super) async fn run(context: &Context, socket: &Socket, name: &Bytes) -> Result<(), WorkError> {
    context.progress.running();
    // What is received here is always that a peer has come: `stay` receives the rest, to its going.
    while let Some(came) = context.receive(socket).await? {
        let Some(address) = came.first() else { continue };
        let Some(seat) = sit_down(context, name).await? else { return Ok(()) };
        stay(context, socket, address, &seat).await?;
    }
    Ok(())
}

/// Takes a seat, however long others have both; `None` when it was time to end first.
async fn sit_down(context: &Context, name: &Bytes) -> Result<Option<Peer>, WorkError> {
    while !context.until.is_cancelled() {
        match context.broker.pair(&context.principal, name.clone()) {
            Ok(seat) => {
                context.progress.running();
                return Ok(Some(seat));
            }
            Err(error @ PairError::Taken { .. }) => context.failing(&error),
            Err(error) => return Err(error.into()),
        }
        context.pause().await;
    }
    Ok(None)
}

/// Carries messages both ways until the peer has gone.
async fn stay(
    context: &Context,
    socket: &Socket,
    address: &Bytes,
    seat: &Peer,
) -> Result<(), WorkError> {
    let in_hand = AtomicU64::new(0);
    let stayed = tokio::select! {
        heard = hear(context, socket, seat, &in_hand) => heard,
        told = tell(context, socket, address, seat, &in_hand) => told,
    };
    let lost = in_hand.load(Ordering::Relaxed);
    if lost > 0 {
        context.progress.dropped(Dropped::Unroutable, lost);
    }
    stayed
}

/// From the socket's peer to the pair's other one, who is waited for.
async fn hear(
    context: &Context,
    socket: &Socket,
    seat: &Peer,
    in_hand: &AtomicU64,
) -> Result<(), WorkError> {
    loop {
        let Some(mut message) = context.receive(socket).await? else { return Ok(()) };
        message.pop_front();
        if message.is_empty() {
            return Ok(());
        }
        context.progress.received(1);
        tokio::select! {
            () = seat.send(context.live(message)) => {}
            () = context.until.cancelled() => {
                in_hand.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
        }
    }
}

/// From the pair's other one to the socket's peer, while it is there.
async fn tell(
    context: &Context,
    socket: &Socket,
    address: &Bytes,
    seat: &Peer,
    in_hand: &AtomicU64,
) -> Result<(), WorkError> {
    loop {
        let PairEvent::Message(message) = seat.next().await else { continue };
        in_hand.fetch_add(1, Ordering::Relaxed);
        let mut message = frames::of_live(&message);
        message.push_front(address.clone());
        match socket.send(message).await {
            Ok(()) => {
                in_hand.fetch_sub(1, Ordering::Relaxed);
                context.progress.sent(1);
            }
            // Its going is about to be received.
            Err(SendError::Unroutable(_)) => return std::future::pending().await,
            Err(error) => return Err(error.into()),
        }
    }
}
