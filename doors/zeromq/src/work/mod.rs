//! What is done between a socket and the broker: a file for each kind of work.
//!
//! # Invariants
//! - Work ends when it is told to, and has then given back or finished what it had in its hands.
//! - Nothing is received while what was received before has no place to go, so that a peer comes to
//!   its own high-water mark.

mod answer;
mod device;
mod hand;
mod job;
mod lease;
mod pair;
mod publish;
mod take;
mod workers;

use crate::context::Context;
use crate::errors::WorkError;
use crate::sockets::Sockets;
use crate::spec::Work;

/// Works until it is time to end, or until it cannot go on for now.
pub(crate) async fn run(context: &Context, sockets: &Sockets) -> Result<(), WorkError> {
    let socket = &sockets.front;
    match &context.spec.work {
        Work::Take(into) => take::run(context, socket, into).await,
        Work::Publish { from, overflow } => publish::run(context, socket, from, *overflow).await,
        Work::Hand { channel, overflow } => {
            hand::from_channel(context, socket, channel, *overflow).await
        }
        Work::HandQueue(queue) => hand::from_queue(context, socket, queue).await,
        Work::Answer(answering) => answer::run(context, socket, answering).await,
        Work::Workers(working) => workers::run(context, socket, working).await,
        Work::Pair(name) => pair::run(context, socket, name).await,
        Work::Device(_) => match &sockets.back {
            Some(back) => device::run(context, socket, back).await,
            None => Ok(()),
        },
    }
}
