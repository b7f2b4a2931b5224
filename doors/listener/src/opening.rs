//! Connections that have not finished their handshake: bounded apart from those that have.
//!
//! Whoever connects and then says nothing takes a place here and nowhere else. When places run out,
//! whoever takes the most of them gives: connections are alike that come from one address and have got
//! equally far, and the oldest of the largest such group goes. So a flood crowds out itself: not who
//! comes from elsewhere, nor, unless it takes the trouble to greet, who has greeted. Among its like a
//! client that means it is done long before as many others have come after it.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::Stream;
use crate::addresses::network;
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
    places: HashMap<u64, Place>,
    /// The numbers of their places, which are by age. None is empty.
    groups: HashMap<Group, BTreeSet<u64>>,
}

#[derive(Debug)]
struct Place {
    group: Group,
    crowded_out: CancellationToken,
}

/// What is alike in connections that nothing else is known of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Group {
    network: IpAddr,
    has_greeted: bool,
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

    /// Takes a place for a connection from `address`, another one's if there is no other.
    pub(crate) fn begin(
        self: &Arc<Openings>,
        acceptor: Option<Acceptor>,
        address: IpAddr,
    ) -> Opening {
        let crowded_out = CancellationToken::new();
        let group = Group { network: network(address), has_greeted: false };
        let mut unfinished = self.unfinished.lock();
        while unfinished.places.len() >= self.max.max(1) {
            unfinished.drop_one(self.door);
        }
        let number = unfinished.next;
        unfinished.next += 1;
        unfinished.enter(number, Place { group, crowded_out: crowded_out.clone() });
        drop(unfinished);
        Opening { acceptor, number, crowded_out, openings: Arc::clone(self) }
    }

    /// Takes one's place away, because what it holds is needed.
    pub(crate) fn drop_one(&self) {
        self.unfinished.lock().drop_one(self.door);
    }

    pub(crate) fn count(&self) -> usize {
        self.unfinished.lock().places.len()
    }
}

impl Unfinished {
    fn enter(&mut self, number: u64, place: Place) {
        self.groups.entry(place.group).or_default().insert(number);
        self.places.insert(number, place);
    }

    /// `None` when it was crowded out.
    fn leave(&mut self, number: u64) -> Option<Place> {
        let place = self.places.remove(&number)?;
        if let Some(numbers) = self.groups.get_mut(&place.group) {
            numbers.remove(&number);
            if numbers.is_empty() {
                self.groups.remove(&place.group);
            }
        }
        Some(place)
    }

    /// The oldest of the largest group; of groups that are equally large, the one that has the oldest.
    fn drop_one(&mut self, door: &'static str) {
        let largest =
            self.groups.values().max_by_key(|numbers| (numbers.len(), Reverse(numbers.first())));
        let oldest = largest.and_then(|numbers| numbers.first().copied());
        if let Some(dropped) = oldest.and_then(|number| self.leave(number)) {
            dropped.crowded_out.cancel();
            count_failure(door, &HandshakeError::Crowded);
        }
    }
}

impl Opening {
    /// Encrypts a stream from here on: does the server's part of a handshake. What the client sent in the
    /// clear must have been read and used before, or it would be taken for something said under
    /// encryption. Bounded in time, and counted when it fails.
    ///
    /// # Cancellation
    /// A stream whose handshake was dropped is of no use.
    ///
    /// # Errors
    /// [`HandshakeError`]; the stream is then of no use.
    pub async fn upgrade(&self, stream: &mut Stream) -> Result<TlsPeer, HandshakeError> {
        let Some(acceptor) = &self.acceptor else { return Err(HandshakeError::NoCertificate) };
        let shaken = stream.upgrade(acceptor, || self.note_greeting());
        let result =
            timeout(self.openings.timeout, shaken).await.unwrap_or(Err(HandshakeError::Late));
        if let Err(error) = &result {
            count_failure(self.openings.door, error);
        }
        result
    }

    /// The client has said a whole first message: nothing that does not greet crowds it out now.
    pub fn note_greeting(&self) {
        let mut unfinished = self.openings.unfinished.lock();
        if let Some(mut place) = unfinished.leave(self.number) {
            place.group.has_greeted = true;
            unfinished.enter(self.number, place);
        }
    }

    /// Resolves when newer connections need the place: this one is to be closed.
    pub async fn crowded_out(&self) {
        self.crowded_out.cancelled().await;
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        self.openings.unfinished.lock().leave(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn openings(max: usize) -> Arc<Openings> {
        Openings::new("test", max, Duration::from_secs(10))
    }

    fn begin(openings: &Arc<Openings>, address: &str) -> Opening {
        openings.begin(None, address.parse().unwrap())
    }

    fn begin_many(openings: &Arc<Openings>, address: &str, count: usize) -> Vec<Opening> {
        (0..count).map(|_| begin(openings, address)).collect()
    }

    fn is_crowded_out(opening: &Opening) -> bool {
        opening.crowded_out.is_cancelled()
    }

    #[test]
    fn the_oldest_of_its_like_goes_when_there_are_too_many() {
        let openings = self::openings(2);
        let [first, second, third] = [(); 3].map(|()| begin(&openings, "192.0.2.1"));
        assert_eq!([&first, &second, &third].map(is_crowded_out), [true, false, false]);
        drop(first);
        assert_eq!(openings.count(), 2, "its place was gone already");
    }

    #[test]
    fn a_finished_one_makes_room() {
        let openings = self::openings(2);
        let first = begin(&openings, "192.0.2.1");
        drop(begin(&openings, "192.0.2.1"));
        let third = begin(&openings, "192.0.2.1");
        assert_eq!([&first, &third].map(is_crowded_out), [false; 2]);
        assert_eq!(openings.count(), 2);
    }

    #[test]
    fn a_flood_drops_only_what_came_before_it() {
        let openings = self::openings(100);
        let flood = begin_many(&openings, "192.0.2.1", 2000);
        let good = begin(&openings, "192.0.2.1");
        let more = begin_many(&openings, "192.0.2.1", 99);
        assert!(!is_crowded_out(&good));
        assert!(flood.iter().all(is_crowded_out));
        assert!(!more.iter().any(is_crowded_out));
        assert_eq!(openings.count(), 100);
    }

    #[test]
    fn a_flood_crowds_out_nobody_from_elsewhere() {
        let openings = self::openings(100);
        let good = [begin(&openings, "192.0.2.2"), begin(&openings, "2001:db8::2")];
        good[0].note_greeting();
        let greeted = begin_many(&openings, "192.0.2.1", 2000);
        let silent = begin_many(&openings, "2001:db8:1::1", 2000);
        greeted.iter().for_each(Opening::note_greeting);
        let more = begin_many(&openings, "2001:db8:1::2", 2000);
        assert!(!good.iter().any(is_crowded_out));
        assert_eq!(
            [greeted, silent, more].iter().flatten().filter(|one| !is_crowded_out(one)).count(),
            98
        );
    }

    #[test]
    fn who_has_greeted_is_not_crowded_out_by_those_who_have_not() {
        let openings = self::openings(100);
        let good = begin(&openings, "192.0.2.1");
        good.note_greeting();
        let flood = begin_many(&openings, "192.0.2.1", 2000);
        assert!(!is_crowded_out(&good));
        assert_eq!(flood.iter().filter(|one| !is_crowded_out(one)).count(), 99);
        drop((good, flood));
        assert!(openings.unfinished.lock().groups.is_empty());
    }

    #[test]
    fn who_was_crowded_out_cannot_come_back_by_greeting() {
        let openings = self::openings(1);
        let first = begin(&openings, "192.0.2.1");
        let second = begin(&openings, "192.0.2.1");
        first.note_greeting();
        assert_eq!([&first, &second].map(is_crowded_out), [true, false]);
        assert_eq!(openings.count(), 1);
    }
}
