//! Two sessions on one thread, and hand-made bytes of peers of other versions.

use std::io::IoSlice;

use proptest::prelude::*;

use super::*;
use crate::codec::greeting::rest_of_greeting;
use crate::codec::outbox::SLICES_MAX;
use crate::mechanism::{CurveClient, CurveKeys, CurveServer, PlainClient, PlainServer};

fn config(socket_type: SocketType, security: Security) -> SessionConfig {
    SessionConfig {
        socket_type,
        identity: Bytes::from("me"),
        security,
        message_bytes_max: 1000,
        handshake_timeout: Some(Duration::from_secs(30)),
        heartbeat: None,
    }
}

fn session(config: SessionConfig, role: Role, now: Instant) -> Session {
    Session::new(Arc::new(config), role, now)
}

/// Everything that a session has to write.
fn written(session: &mut Session) -> Vec<u8> {
    let mut bytes = Vec::new();
    while !session.output.is_empty() {
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let count = session.output.slices(&mut slices);
        let part: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.to_vec()).collect();
        session.output.advance(part.len());
        bytes.extend(part);
    }
    bytes
}

/// Two peers whose bytes travel `step` at a time.
struct Pair {
    one: Session,
    other: Session,
    now: Instant,
    step: usize,
}

impl Pair {
    fn new(one: SessionConfig, other: SessionConfig) -> Pair {
        let now = Instant::now();
        let one = session(one, Role::Accepted, now);
        Pair { one, other: session(other, Role::Connected, now), now, step: usize::MAX }
    }

    fn feed(
        session: &mut Session,
        now: Instant,
        bytes: &[u8],
        step: usize,
    ) -> Result<Vec<Event>, SessionError> {
        let mut events = Vec::new();
        for part in bytes.chunks(step) {
            session.input().extend_from_slice(part);
            session.heard(now);
            while let Some(event) = session.poll(now)? {
                if matches!(event, Event::Arrived(_)) {
                    session.admit(now)?;
                }
                events.push(event);
            }
        }
        Ok(events)
    }

    /// Carries bytes to and fro until neither has more to say.
    fn run(&mut self) -> Result<(Vec<Event>, Vec<Event>), SessionError> {
        let (mut at_one, mut at_other) = (Vec::new(), Vec::new());
        loop {
            let (to_other, to_one) = (written(&mut self.one), written(&mut self.other));
            if to_other.is_empty() && to_one.is_empty() {
                return Ok((at_one, at_other));
            }
            at_one.extend(Pair::feed(&mut self.one, self.now, &to_one, self.step)?);
            at_other.extend(Pair::feed(&mut self.other, self.now, &to_other, self.step)?);
        }
    }

    fn started(one: SessionConfig, other: SessionConfig) -> Pair {
        let mut pair = Pair::new(one, other);
        pair.run().unwrap();
        assert!(pair.one.is_in_traffic() && pair.other.is_in_traffic());
        pair
    }
}

fn plain(password: &str) -> (Security, Security) {
    let client = PlainClient::new("admin", password).unwrap();
    let server = PlainServer::single("admin", "secret");
    (Security::PlainServer(server), Security::PlainClient(client))
}

fn curve() -> (Security, Security) {
    let (server, client) = (CurveKeys::generate().unwrap(), CurveKeys::generate().unwrap());
    let config = CurveClient::new(client, server.public());
    (Security::CurveServer(CurveServer::anyone(server)), Security::CurveClient(config))
}

fn message() -> impl Strategy<Value = Message> {
    let frame = prop::collection::vec(any::<u8>(), 0..300).prop_map(Bytes::from);
    prop::collection::vec(frame, 1..4).prop_map(|frames| frames.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn messages_arrive_as_they_were_sent_however_bytes_are_cut(
        messages in prop::collection::vec(message(), 0..12), step in 1_usize..200, kind in 0..3,
    ) {
        let (one, other) = match kind {
            0 => (Security::Null, Security::Null),
            1 => plain("secret"),
            _ => curve(),
        };
        let (one, other) = (config(SocketType::Dealer, one), config(SocketType::Router, other));
        let mut pair = Pair::started(one, other);
        pair.step = step;
        for message in &messages {
            pair.one.send(&Item::Message(message.clone())).unwrap();
        }
        let (_, arrived) = pair.run().unwrap();
        prop_assert_eq!(arrived, messages.into_iter().map(Event::Message).collect::<Vec<_>>());
    }

    #[test]
    fn no_bytes_make_it_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..300), stage in 0..3, step in 1_usize..64,
    ) {
        let mut pair = Pair::new(
            config(SocketType::Xpub, Security::Null), config(SocketType::Sub, Security::Null),
        );
        match stage {
            0 => {}
            1 => {
                let now = pair.now;
                let greeting = [&opening()[..], &rest_of_greeting("NULL", false)].concat();
                Pair::feed(&mut pair.one, now, &greeting, step).unwrap();
            }
            _ => { pair.run().unwrap(); }
        }
        let _ = Pair::feed(&mut pair.one, pair.now, &bytes, step);
    }
}

#[test]
fn peers_learn_who_the_other_is() {
    let (one, other) = (Security::Null, Security::Null);
    let mut pair = Pair::new(config(SocketType::Rep, one), config(SocketType::Req, other));
    let (at_one, _) = pair.run().unwrap();
    let Event::Arrived(peer) = &at_one[0] else { panic!("{at_one:?}") };
    assert_eq!(peer.socket_type, SocketType::Req);
    assert_eq!(peer.identity, "me");
    assert_eq!(peer.version, Version::V3_1);
}

#[test]
fn socket_types_that_do_not_talk_are_told_so() {
    let (one, other) = (Security::Null, Security::Null);
    let mut pair = Pair::new(config(SocketType::Push, one), config(SocketType::Req, other));
    assert!(matches!(pair.run(), Err(SessionError::Incompatible { .. })));
    let goodbye = written(&mut pair.one);
    let words = b"a PUSH socket does not talk to a REQ socket";
    assert!(goodbye.windows(words.len()).any(|window| window == words));
}

#[test]
fn a_refused_pair_hears_the_reason_instead_of_ready() {
    let (one, other) = (Security::Null, Security::Null);
    let mut pair = Pair::new(config(SocketType::Pair, one), config(SocketType::Pair, other));
    for _ in 0..2 {
        let bytes = written(&mut pair.other);
        pair.one.input().extend_from_slice(&bytes);
        if let Some(Event::Arrived(_)) = pair.one.poll(pair.now).unwrap() {
            pair.one.refuse("taken");
        }
        let bytes = written(&mut pair.one);
        pair.other.input().extend_from_slice(&bytes);
        if let Err(error) = pair.other.poll(pair.now) {
            assert_eq!(error.refusal(), Some("taken"));
            return;
        }
    }
    let bytes = written(&mut pair.other);
    pair.one.input().extend_from_slice(&bytes);
    assert!(matches!(pair.one.poll(pair.now), Ok(Some(Event::Arrived(_)))));
    pair.one.refuse("taken");
    let bytes = written(&mut pair.one);
    pair.other.input().extend_from_slice(&bytes);
    assert_eq!(pair.other.poll(pair.now).unwrap_err().refusal(), Some("taken"));
}

#[test]
fn a_wrong_password_is_answered_with_what_libzmq_understands() {
    let (one, other) = plain("wrong");
    let mut pair = Pair::new(config(SocketType::Pull, one), config(SocketType::Push, other));
    assert!(matches!(pair.run(), Err(SessionError::Mechanism(MechanismError::Denied))));
    let bytes = written(&mut pair.one);
    assert_eq!(bytes, b"\x04\x0a\x05ERROR\x03400");
    pair.other.input().extend_from_slice(&bytes);
    let error = pair.other.poll(pair.now).unwrap_err();
    assert!(error.refusal().unwrap().contains("credentials"));
}

#[test]
fn the_misspelt_error_of_libzmqs_plain_is_understood() {
    let (one, other) = plain("wrong");
    let mut pair = Pair::new(config(SocketType::Pull, one), config(SocketType::Push, other));
    assert!(pair.run().is_err());
    pair.other.input().extend_from_slice(b"\x04\x09^RROR\x03400");
    assert!(pair.other.poll(pair.now).unwrap_err().refusal().unwrap().contains("credentials"));
}

#[test]
fn different_mechanisms_do_not_meet() {
    let (one, _) = plain("secret");
    let mut pair =
        Pair::new(config(SocketType::Pull, one), config(SocketType::Push, Security::Null));
    let error = pair.run().unwrap_err();
    assert!(error.to_string().contains("PLAIN"), "{error}");
}

#[test]
fn a_message_above_the_limit_ends_the_connection_before_it_takes_memory() {
    for security in [(Security::Null, Security::Null), curve()] {
        let (one, other) =
            (config(SocketType::Pull, security.0), config(SocketType::Push, security.1));
        let mut pair = Pair::started(one, other);
        let fits = Message::single(vec![7; 1000]);
        pair.other.send(&Item::Message(fits.clone())).unwrap();
        assert_eq!(pair.run().unwrap().0, [Event::Message(fits)]);
        let above: Message = [vec![7; 600], vec![7; 401]].into_iter().map(Bytes::from).collect();
        pair.other.send(&Item::Message(above)).unwrap();
        let error = pair.run().unwrap_err();
        assert!(matches!(error, SessionError::Codec(CodecError::TooLarge { .. })), "{error}");
    }
}

/// A session of `kind` that has met a ZMTP 2.0 peer of `theirs`.
fn with_v2_peer(kind: SocketType, theirs: SocketType) -> (Session, Vec<Event>) {
    let now = Instant::now();
    let mut session = session(config(kind, Security::Null), Role::Accepted, now);
    assert_eq!(written(&mut session), opening());
    let mut hello = opening().to_vec();
    hello[10] = 1;
    hello.push(theirs.code());
    hello.extend_from_slice(b"\x00\x03you");
    let events = Pair::feed(&mut session, now, &hello, 1).unwrap();
    assert_eq!(written(&mut session), [&[kind.code()][..], b"\x00\x02me"].concat());
    (session, events)
}

#[test]
fn a_zmtp_2_peer_is_understood() {
    let (mut session, events) = with_v2_peer(SocketType::Router, SocketType::Dealer);
    let Event::Arrived(peer) = &events[0] else { panic!("{events:?}") };
    assert_eq!((peer.identity.as_ref(), peer.version), (&b"you"[..], Version::V2));
    let events = Pair::feed(&mut session, Instant::now(), b"\x01\x01a\x00\x01b", 1).unwrap();
    assert_eq!(events, [Event::Message(Message::from(["a", "b"]))]);
    session.send(&Item::Message(Message::from("hi"))).unwrap();
    assert_eq!(written(&mut session), b"\x00\x02hi");
}

#[test]
fn an_old_subscriber_subscribes_with_messages() {
    let (mut publisher, _) = with_v2_peer(SocketType::Pub, SocketType::Sub);
    let events = Pair::feed(&mut publisher, Instant::now(), b"\0\x03\x01ab\0\x03\0ab", 1).unwrap();
    assert_eq!(events, [Event::Subscribe("ab".into()), Event::Cancel("ab".into())]);
    let (mut subscriber, _) = with_v2_peer(SocketType::Sub, SocketType::Pub);
    subscriber.send(&Item::Subscribe("ab".into())).unwrap();
    assert_eq!(written(&mut subscriber), b"\0\x03\x01ab");
}

#[test]
fn a_zmtp_2_peer_is_not_let_past_a_mechanism() {
    let now = Instant::now();
    let mut session = session(config(SocketType::Pull, plain("secret").0), Role::Accepted, now);
    let mut hello = opening().to_vec();
    hello[10] = 1;
    assert!(Pair::feed(&mut session, now, &hello, 11).is_err());
}

#[test]
fn a_subscription_is_a_command_to_new_peers_and_either_form_is_understood() {
    let (one, other) = (Security::Null, Security::Null);
    let mut pair = Pair::started(config(SocketType::Xpub, one), config(SocketType::Sub, other));
    pair.other.send(&Item::Subscribe("ab".into())).unwrap();
    pair.other.send(&Item::Message(Message::from("\x01cd"))).unwrap();
    pair.other.send(&Item::Cancel("ab".into())).unwrap();
    let (events, _) = pair.run().unwrap();
    let expected =
        [Event::Subscribe("ab".into()), Event::Subscribe("cd".into()), Event::Cancel("ab".into())];
    assert_eq!(events, expected);
}

#[test]
fn a_peer_that_answers_lives_and_one_that_does_not_is_given_up() {
    let second = Duration::from_secs(1);
    let mut one = config(SocketType::Pull, Security::Null);
    one.heartbeat =
        Some(HeartbeatConfig { interval: second, timeout: second * 3, ttl: Duration::ZERO });
    let mut pair = Pair::started(one, config(SocketType::Push, Security::Null));
    for _ in 0..10 {
        pair.now += second;
        assert_eq!(pair.one.deadline(), Some(pair.now));
        pair.one.on_deadline(pair.now).unwrap();
        pair.run().unwrap();
    }
    for _ in 0..3 {
        pair.now += second;
        pair.one.on_deadline(pair.now).unwrap();
    }
    pair.now += second;
    assert!(matches!(pair.one.on_deadline(pair.now), Err(SessionError::Silent)));
}

#[test]
fn a_peer_that_breaks_its_promise_is_given_up_without_heartbeats_of_our_own() {
    let second = Duration::from_secs(1);
    let mut other = config(SocketType::Push, Security::Null);
    other.heartbeat =
        Some(HeartbeatConfig { interval: second, timeout: Duration::ZERO, ttl: second * 5 });
    let mut pair = Pair::started(config(SocketType::Pull, Security::Null), other);
    assert_eq!(pair.one.deadline(), None);
    pair.now += second;
    pair.other.on_deadline(pair.now).unwrap();
    pair.run().unwrap();
    assert_eq!(pair.one.deadline(), Some(pair.now + second * 5));
    pair.now += second * 5;
    assert!(matches!(pair.one.on_deadline(pair.now), Err(SessionError::Silent)));
}

#[test]
fn a_handshake_has_its_time() {
    let now = Instant::now();
    let mut session = session(config(SocketType::Pull, Security::Null), Role::Accepted, now);
    let deadline = now + Duration::from_secs(30);
    assert_eq!(session.deadline(), Some(deadline));
    assert!(session.on_deadline(now).is_ok());
    assert!(matches!(session.on_deadline(deadline), Err(SessionError::HandshakeTimeout)));
}
