//! What happens on a socket's connections, for those who watch.
//!
//! # Invariants
//! - A monitor that does not keep up loses events, never the socket its time; [`Monitor::missed`] counts.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::endpoint::Endpoint;
use crate::session::Peer;

/// LIMIT: events that wait for a monitor.
const EVENTS_MAX: usize = 1024;

/// Something that happened on a connection, or on the way to one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The socket is bound.
    Listening {
        /// Where, with the port that was free.
        endpoint: Endpoint,
    },
    /// A peer has connected.
    Accepted {
        /// Where the socket is bound.
        endpoint: Endpoint,
        /// Where the peer is.
        from: String,
    },
    /// A connection could not be accepted, for want of file descriptors perhaps.
    AcceptFailed {
        /// Where the socket is bound.
        endpoint: Endpoint,
        /// What the system says.
        reason: String,
    },
    /// The socket has connected.
    Connected {
        /// To where.
        endpoint: Endpoint,
    },
    /// The socket is not connected and will try again.
    Retrying {
        /// To where.
        endpoint: Endpoint,
        /// After this time.
        after: Duration,
        /// Why the last attempt failed, or the last connection ended.
        reason: String,
    },
    /// A peer has introduced itself and been let in.
    HandshakeSucceeded {
        /// Where the socket is bound or connected to.
        endpoint: Endpoint,
        /// Who it is.
        peer: Peer,
    },
    /// A peer was not understood, or did not prove who it is.
    HandshakeFailed {
        /// Where the socket is bound or connected to.
        endpoint: Endpoint,
        /// Why.
        reason: String,
    },
    /// This socket has refused a peer and told it why.
    PeerRefused {
        /// Where the socket is bound or connected to.
        endpoint: Endpoint,
        /// What the peer was told.
        reason: String,
    },
    /// A peer has refused this socket, which does not try again.
    Refused {
        /// To where.
        endpoint: Endpoint,
        /// What the peer said.
        reason: String,
    },
    /// A connection has ended.
    Disconnected {
        /// Where the socket is bound or connected to.
        endpoint: Endpoint,
        /// Why.
        reason: String,
    },
    /// The socket is no longer bound.
    Closed {
        /// Where it was.
        endpoint: Endpoint,
    },
}

/// A stream of a socket's events, from the moment it was asked for.
#[derive(Debug)]
pub struct Monitor {
    events: mpsc::Receiver<Event>,
    missed: Arc<AtomicU64>,
}

impl Monitor {
    /// The next event; `None` once the socket and its connections are gone.
    pub async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// How many events were lost because nobody took them.
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }
}

impl Stream for Monitor {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        self.events.poll_recv(context)
    }
}

/// Everyone who watches a socket.
#[derive(Debug, Default)]
pub(crate) struct Monitors {
    senders: Mutex<Vec<(mpsc::Sender<Event>, Arc<AtomicU64>)>>,
}

impl Monitors {
    pub(crate) fn add(&self) -> Monitor {
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        let missed = Arc::new(AtomicU64::new(0));
        self.senders.lock().push((sender, missed.clone()));
        Monitor { events, missed }
    }

    pub(crate) fn tell(&self, event: &Event) {
        tracing::debug!(?event, "socket event");
        self.senders.lock().retain(|(sender, missed)| match sender.try_send(event.clone()) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                missed.fetch_add(1, Ordering::Relaxed);
                true
            }
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_monitor_loses_events_and_says_how_many() {
        let monitors = Monitors::default();
        let mut monitor = monitors.add();
        let event = Event::Listening { endpoint: Endpoint::Inproc("a".into()) };
        (0..EVENTS_MAX + 5).for_each(|_| monitors.tell(&event));
        assert_eq!(monitor.missed(), 5);
        assert_eq!(monitor.events.try_recv(), Ok(event));
    }
}
