//! What every kind of work has: the broker, the endpoint, and when to end.

use std::sync::Arc;
use std::time::Duration;

use posthouse_broker::{Broker, LiveMessage};
use posthouse_types::Principal;
use posthouse_zmtp::{Message, RecvError, SendError, Socket};
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;

use crate::errors::{WorkError, chain};
use crate::frames;
use crate::progress::Progress;
use crate::spec::EndpointSpec;

/// How long to wait before trying again what did not work.
pub(crate) const RETRY: Duration = Duration::from_millis(500);

/// One endpoint's surroundings. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) broker: Arc<Broker>,
    pub(crate) principal: Principal,
    pub(crate) spec: Arc<EndpointSpec>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) until: CancellationToken,
}

impl Context {
    /// The next message; `None` when it is time to end. A peer that refused us is no end: it is
    /// asked again.
    pub(crate) async fn receive(&self, socket: &Socket) -> Result<Option<Message>, WorkError> {
        loop {
            let received = tokio::select! {
                biased;
                () = self.until.cancelled() => return Ok(None),
                received = socket.recv() => received,
            };
            match received {
                Ok(message) => return Ok(Some(message)),
                Err(RecvError::Refused(_)) => self.pause().await,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Sends, however long that takes; false when it was time to end first, and it was not sent.
    pub(crate) async fn send(&self, socket: &Socket, message: Message) -> Result<bool, WorkError> {
        loop {
            let sent = tokio::select! {
                biased;
                () = self.until.cancelled() => return Ok(false),
                sent = socket.send(message.clone()) => sent,
            };
            match sent {
                Ok(()) => {
                    self.progress.sent(1);
                    return Ok(true);
                }
                Err(SendError::Refused(_)) => self.pause().await,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// A while, or until it is time to end.
    pub(crate) async fn pause(&self) {
        tokio::select! {
            () = self.until.cancelled() => {}
            () = tokio::time::sleep(RETRY) => {}
        }
    }

    /// Says that the endpoint does not work now, and why.
    pub(crate) fn failing(&self, error: &dyn std::error::Error) {
        let reason = chain(error);
        if self.progress.failing(&reason) {
            tracing::warn!(endpoint = self.spec.name, reason, "endpoint does not work");
        }
    }

    /// A received message as the node's other doors see it.
    pub(crate) fn live(&self, message: Message) -> LiveMessage {
        frames::to_live(message, self.broker.clock().wall())
    }
}

/// A task that panicked is a defect, which ends the door and with it the node.
pub(crate) fn rethrow(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}
