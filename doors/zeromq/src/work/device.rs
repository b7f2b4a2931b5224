//! Devices: what one socket receives, the other sends, as it is. A forwarder (SUB or XSUB to PUB or
//! XPUB), a queue (ROUTER to DEALER), a streamer (PULL to PUSH), or any two that can talk.
//!
//! Nothing is kept: what a device has in its hands when the node dies is lost, at most the high-water
//! marks of its two sockets.

use posthouse_zmtp::{SendError, Socket, SocketType};

use crate::context::Context;
use crate::errors::WorkError;
use crate::metrics::Dropped;
use crate::sockets::hears_subscriptions;
use crate::spec::{gives, takes};

pub(super) async fn run(context: &Context, front: &Socket, back: &Socket) -> Result<(), WorkError> {
    context.progress.running();
    tokio::select! {
        () = context.until.cancelled() => Ok(()),
        forward = one_way(context, front, back) => forward,
        backward = one_way(context, back, front) => backward,
    }
}

/// Carries from one to the other what it gives, or takes off what nobody is to have.
async fn one_way(context: &Context, from: &Socket, to: &Socket) -> Result<(), WorkError> {
    let subscribes = from.kind() == SocketType::Xpub && hears_subscriptions(from.kind(), to.kind());
    let carries = subscribes || (gives(from.kind()) && takes(to.kind()));
    let is_silent = matches!(from.kind(), SocketType::Pub | SocketType::Push);
    if is_silent {
        return std::future::pending().await;
    }
    while let Some(message) = context.receive(from).await? {
        // What an XPUB hears are subscriptions, which are no messages.
        let counts = u64::from(from.kind() != SocketType::Xpub);
        context.progress.received(counts);
        if !carries {
            context.progress.dropped(Dropped::Unwanted, counts);
            continue;
        }
        match context.send(to, message).await {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(WorkError::Send(SendError::NotNow(_))) => {
                context.progress.dropped(Dropped::Malformed, 1);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
