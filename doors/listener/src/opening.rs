//! Connections that have not finished their handshake: bounded apart from those that have.
//!
//! Whoever connects and then says nothing takes a place here and nowhere else, and when places run
//! out it is the oldest that goes: a client that means it is done long before as many others have
//! come after it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::Stream;
use crate::metrics::count_failure;
use crate::tls::{Acceptor, HandshakeError, TlsPeer};

/// The unfinished handshakes of one door.
#[derive(Debug)]
pub(crate) struct Openings {
    door: &'static str,
    max: usize,
    /// How long a handshake may take.
    timeout: Duration,
    unfinished: Mutex<Unfinished>,
}

#[derive(Debug, Default)]
struct Unfinished {
    next: u64,
    /// By age, the oldest first.
    places: BTreeMap<u64, CancellationToken>,
}

/// A connection's place while its handshake is unfinished; dropping it says that it is finished.
///
/// A door that negotiates TLS by itself gets one with each connection.
#[derive(Debug)]
pub struct Opening {
    /// What does the handshake, when there is a certificate.
    pub acceptor: Option<Acceptor>,
    number: u64,
    crowded_out: CancellationToken,
    openings: Arc<Openings>,
}

impl Openings {
    pub(crate) fn new(door: &'static str, max: usize, timeout: Duration) -> Arc<Openings> {
        Arc::new(Openings { door, max, timeout, unfinished: Mutex::default() })
    }

    /// Takes a place, the oldest one's if there is no other.
    pub(crate) fn begin(self: &Arc<Openings>, acceptor: Option<Acceptor>) -> Opening {
        let crowded_out = CancellationToken::new();
        let mut unfinished = self.unfinished.lock();
        while unfinished.places.len() >= self.max.max(1) {
            unfinished.drop_oldest(self.door);
        }
        let number = unfinished.next;
        unfinished.next += 1;
        unfinished.places.insert(number, crowded_out.clone());
        drop(unfinished);
        Opening { acceptor, number, crowded_out, openings: Arc::clone(self) }
    }

    /// Takes the oldest one's place away, because what it holds is needed.
    pub(crate) fn drop_oldest(&self) {
        self.unfinished.lock().drop_oldest(self.door);
    }

    pub(crate) fn count(&self) -> usize {
        self.unfinished.lock().places.len()
    }
}

impl Unfinished {
    fn drop_oldest(&mut self, door: &'static str) {
        if let Some((_, oldest)) = self.places.pop_first() {
            oldest.cancel();
            count_failure(door, &HandshakeError::Crowded);
        }
    }
}

impl Opening {
    /// Encrypts a stream from here on; see [`Stream::upgrade`]. Bounded in time, and counted when it
    /// fails.
    ///
    /// # Errors
    /// [`HandshakeError`]; the stream is then of no use.
    pub async fn upgrade(&self, stream: &mut Stream) -> Result<TlsPeer, HandshakeError> {
        let Some(acceptor) = &self.acceptor else { return Err(HandshakeError::NoCertificate) };
        let handshake = timeout(self.openings.timeout, stream.upgrade(acceptor));
        let result = handshake.await.unwrap_or(Err(HandshakeError::Late));
        if let Err(error) = &result {
            count_failure(self.openings.door, error);
        }
        result
    }

    /// Resolves when newer connections need the place: this one is to be closed.
    pub async fn crowded_out(&self) {
        self.crowded_out.cancelled().await;
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        self.openings.unfinished.lock().places.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn openings(max: usize) -> Arc<Openings> {
        Openings::new("test", max, Duration::from_secs(10))
    }

    #[test]
    fn the_oldest_goes_when_there_are_too_many() {
        let openings = self::openings(2);
        let first = openings.begin(None);
        let second = openings.begin(None);
        assert!(!first.crowded_out.is_cancelled());
        let third = openings.begin(None);
        assert!(first.crowded_out.is_cancelled());
        assert!(!second.crowded_out.is_cancelled() && !third.crowded_out.is_cancelled());
        drop(first);
        assert_eq!(openings.count(), 2, "its place was gone already");
    }

    #[test]
    fn a_finished_one_makes_room() {
        let openings = self::openings(2);
        let first = openings.begin(None);
        drop(openings.begin(None));
        let third = openings.begin(None);
        assert!(!first.crowded_out.is_cancelled() && !third.crowded_out.is_cancelled());
        assert_eq!(openings.count(), 2);
    }

    #[test]
    fn a_flood_drops_only_what_came_before_it() {
        let openings = self::openings(100);
        let flood: Vec<Opening> = (0..2000).map(|_| openings.begin(None)).collect();
        let good = openings.begin(None);
        let more: Vec<Opening> = (0..99).map(|_| openings.begin(None)).collect();
        assert!(!good.crowded_out.is_cancelled());
        assert!(flood.iter().all(|one| one.crowded_out.is_cancelled()));
        assert!(more.iter().all(|one| !one.crowded_out.is_cancelled()));
        assert_eq!(openings.count(), 100);
    }
}
