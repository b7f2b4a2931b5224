//! What a connection holds of services and pairs: the work that it took and has not answered.

use std::collections::HashMap;
use std::task::{Context, Poll};

use bytes::Bytes;
use posthouse_broker::{PairEvent, Peer, Request, Worker};

/// LIMIT: services that one connection works for, and pairs that it sits in.
pub(super) const HELD_MAX: usize = 64;
/// LIMIT: requests that one connection may have in hand of one service.
pub(super) const CONCURRENCY_MAX: usize = 1000;

/// Services worked for, pairs sat in, and requests in hand.
#[derive(Default)]
pub(super) struct Held {
    pub(super) workers: HashMap<Bytes, Worker>,
    pub(super) peers: HashMap<Bytes, Peer>,
    requests: HashMap<u64, Request>,
    request_next: u64,
}

/// Something that happened to what is held.
pub(super) enum Happened {
    Requested { service: Bytes, number: u64 },
    Paired { name: Bytes, event: PairEvent },
}

impl Held {
    /// What happens next, or have the task woken when something does.
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Happened> {
        for (service, worker) in &mut self.workers {
            if let Poll::Ready(Some(request)) = worker.poll_next(context) {
                self.request_next += 1;
                self.requests.insert(self.request_next, request);
                let service = service.clone();
                return Poll::Ready(Happened::Requested { service, number: self.request_next });
            }
        }
        for (name, peer) in &self.peers {
            if let Poll::Ready(event) = peer.poll_next(context) {
                return Poll::Ready(Happened::Paired { name: name.clone(), event });
            }
        }
        Poll::Pending
    }

    /// A request in hand.
    pub(super) fn request(&self, number: u64) -> Option<&Request> {
        self.requests.get(&number)
    }

    /// Takes a request out of hand, to be answered.
    pub(super) fn take_request(&mut self, number: u64) -> Option<Request> {
        self.requests.remove(&number)
    }
}
