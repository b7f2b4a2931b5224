//! Which request is taken when, on one connection. A state machine without I/O.
//!
//! # Invariants
//! - Once a mechanism is agreed, only its messages are taken until it has succeeded or failed; the
//!   login before it, if there is one, holds meanwhile.
//! - Only a login that ends is renewed, by the same mechanism and for the same principal, at most
//!   once a second (KIP-368).

use std::time::{Duration, Instant};

use posthouse_types::Principal;

use super::SaslMechanism;
use crate::codec::api::Api;
use crate::codec::header::Incoming;

/// LIMIT: a login is not renewed more often, as in Kafka.
const RENEWAL_MIN: Duration = Duration::from_secs(1);

/// The first version of SaslHandshake after which messages travel in SaslAuthenticate. After version
/// 0 they are frames of their own without a header.
const FRAMED_FROM: i16 = 1;

/// See the module.
#[derive(Debug)]
pub(crate) struct LoginState {
    required: bool,
    offered: Vec<SaslMechanism>,
    agreed: Option<Agreed>,
    held: Option<Held>,
}

/// A mechanism whose messages follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Agreed {
    pub(crate) mechanism: SaslMechanism,
    /// Messages are requests, rather than bare frames.
    pub(crate) framed: bool,
}

/// A login in force.
#[derive(Debug)]
struct Held {
    principal: Principal,
    /// How it was proven; none for what TLS has shown.
    mechanism: Option<SaslMechanism>,
    /// It ends by itself unless it is renewed.
    ends: bool,
    since: Instant,
}

/// What is done with what has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admitted {
    /// It is served as any other request.
    Request,
    /// It is about logging in.
    Login,
}

/// A request that has no place here. The connection ends, without an answer, as Kafka ends it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UnexpectedRequest {
    #[error("{} came before login", api.name())]
    BeforeLogin { api: Api },
    #[error("{} came in the middle of a login", api.name())]
    DuringLogin { api: Api },
}

/// What a handshake comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handshaken {
    /// Its messages follow.
    Agreed(Agreed),
    /// It is none of those offered; the connection ends.
    Unsupported,
    /// Nobody is asked to log in here, or not again.
    Illegal,
}

impl LoginState {
    pub(crate) fn new(required: bool, offered: Vec<SaslMechanism>) -> LoginState {
        LoginState { required, offered, agreed: None, held: None }
    }

    /// Whom requests are made for.
    pub(crate) fn principal(&self) -> Principal {
        self.held.as_ref().map_or_else(Principal::anonymous, |held| held.principal.clone())
    }

    /// Who is logged in.
    pub(crate) fn held(&self) -> Option<&Principal> {
        self.held.as_ref().map(|held| &held.principal)
    }

    /// Whether requests are served.
    pub(crate) fn is_open(&self) -> bool {
        !self.required || self.held.is_some()
    }

    /// The mechanism whose messages are expected.
    pub(crate) fn agreed(&self) -> Option<Agreed> {
        self.agreed
    }

    /// The names that a client is told.
    pub(crate) fn offered(&self) -> impl Iterator<Item = &'static str> {
        self.offered.iter().map(|one| one.name())
    }

    /// Decides about what has come.
    pub(crate) fn admit(&self, incoming: &Incoming) -> Result<Admitted, UnexpectedRequest> {
        let api = match incoming {
            Incoming::Request(request) => request.api,
            Incoming::UnsupportedApiVersions { .. } => return Ok(Admitted::Request),
            Incoming::Token(_) => return Ok(Admitted::Login),
        };
        match (api, self.agreed) {
            (Api::SaslAuthenticate, _) => Ok(Admitted::Login),
            (_, Some(_)) => Err(UnexpectedRequest::DuringLogin { api }),
            (Api::SaslHandshake, None) => Ok(Admitted::Login),
            (Api::ApiVersions, None) => Ok(Admitted::Request),
            (_, None) if self.is_open() => Ok(Admitted::Request),
            (_, None) => Err(UnexpectedRequest::BeforeLogin { api }),
        }
    }

    /// A client asks for a mechanism.
    pub(crate) fn on_handshake(&mut self, version: i16, name: &str, now: Instant) -> Handshaken {
        let framed = version >= FRAMED_FROM;
        if !self.required || !self.may_begin(framed, now) {
            return Handshaken::Illegal;
        }
        let renewed = self.held.as_ref().and_then(|held| held.mechanism);
        let found = self.offered.iter().find(|one| one.name() == name);
        match found.filter(|&&one| renewed.is_none_or(|before| before == one)) {
            Some(&mechanism) => {
                let agreed = Agreed { mechanism, framed };
                self.agreed = Some(agreed);
                Handshaken::Agreed(agreed)
            }
            None => Handshaken::Unsupported,
        }
    }

    /// The agreed mechanism has succeeded, or TLS has shown who it is.
    pub(crate) fn on_login(&mut self, principal: Principal, ends: bool, now: Instant) {
        let mechanism = self.agreed.take().map(|agreed| agreed.mechanism);
        self.held = Some(Held { principal, mechanism, ends, since: now });
    }

    /// Whether somebody who has proven to be `principal` may be let in: a renewal is for the same one.
    pub(crate) fn renews(held: Option<&Principal>, principal: &Principal) -> bool {
        held.is_none_or(|held| held == principal)
    }

    fn may_begin(&self, framed: bool, now: Instant) -> bool {
        match &self.held {
            None => true,
            Some(held) => {
                framed && held.ends && now.saturating_duration_since(held.since) >= RENEWAL_MIN
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::{Bytes, BytesMut};
    use proptest::prelude::*;

    use super::*;
    use crate::codec::header::Request;

    fn request(api: Api) -> Incoming {
        Incoming::Request(Request {
            api,
            version: *api.versions().end(),
            correlation_id: 1,
            client_id: Bytes::new(),
            body: BytesMut::new(),
            size: 0,
        })
    }

    fn state(required: bool) -> LoginState {
        LoginState::new(required, vec![SaslMechanism::ScramSha256, SaslMechanism::ScramSha512])
    }

    fn alice() -> Principal {
        Principal::user("alice")
    }

    const SHA_256: &str = "SCRAM-SHA-256";

    #[test]
    fn before_login_only_three_requests_are_taken() {
        let state = state(true);
        for api in Api::all() {
            let admitted = state.admit(&request(api));
            match api {
                Api::ApiVersions => assert_eq!(admitted, Ok(Admitted::Request)),
                Api::SaslHandshake | Api::SaslAuthenticate => {
                    assert_eq!(admitted, Ok(Admitted::Login));
                }
                _ => assert_eq!(admitted, Err(UnexpectedRequest::BeforeLogin { api })),
            }
        }
        assert_eq!(state.principal(), Principal::anonymous());
    }

    #[test]
    fn in_the_middle_of_a_login_only_its_messages_are_taken() {
        let mut state = state(true);
        let now = Instant::now();
        assert!(matches!(state.on_handshake(1, SHA_256, now), Handshaken::Agreed(_)));
        for api in Api::all().filter(|&api| api != Api::SaslAuthenticate) {
            let refused = UnexpectedRequest::DuringLogin { api };
            assert_eq!(state.admit(&request(api)), Err(refused));
        }
        assert_eq!(state.admit(&request(Api::SaslAuthenticate)), Ok(Admitted::Login));
        state.on_login(alice(), false, now);
        assert_eq!(state.admit(&request(Api::Metadata)), Ok(Admitted::Request));
        assert_eq!(state.principal(), alice());
    }

    #[test]
    fn a_mechanism_that_is_not_offered_is_not_agreed() {
        let mut state = state(true);
        for name in ["PLAIN", "GSSAPI", "", "scram-sha-256"] {
            assert_eq!(state.on_handshake(1, name, Instant::now()), Handshaken::Unsupported);
        }
        assert_eq!(state.offered().collect::<Vec<_>>(), ["SCRAM-SHA-256", "SCRAM-SHA-512"]);
    }

    #[test]
    fn version_0_of_the_handshake_is_followed_by_bare_messages() {
        let Handshaken::Agreed(agreed) = state(true).on_handshake(0, SHA_256, Instant::now())
        else {
            panic!("agreed")
        };
        assert!(!agreed.framed);
    }

    #[test]
    fn nobody_logs_in_where_nobody_is_asked() {
        let mut state = state(false);
        assert_eq!(state.on_handshake(1, SHA_256, Instant::now()), Handshaken::Illegal);
        assert_eq!(state.admit(&request(Api::Metadata)), Ok(Admitted::Request));
    }

    #[test]
    fn only_a_login_that_ends_is_renewed_and_not_too_often() {
        let now = Instant::now();
        let later = now + RENEWAL_MIN;
        let logged_in = |ends| {
            let mut state = state(true);
            state.on_handshake(1, SHA_256, now);
            state.on_login(alice(), ends, now);
            state
        };
        assert_eq!(logged_in(false).on_handshake(1, SHA_256, later), Handshaken::Illegal);
        assert_eq!(logged_in(true).on_handshake(1, SHA_256, now), Handshaken::Illegal);
        assert_eq!(logged_in(true).on_handshake(0, SHA_256, later), Handshaken::Illegal);
        let other = logged_in(true).on_handshake(1, "SCRAM-SHA-512", later);
        assert_eq!(other, Handshaken::Unsupported, "the mechanism does not change");
        let mut state = logged_in(true);
        assert!(matches!(state.on_handshake(1, SHA_256, later), Handshaken::Agreed(_)));
        assert_eq!(state.principal(), alice(), "the old login holds meanwhile");
        assert!(LoginState::renews(state.held(), &alice()));
        assert!(!LoginState::renews(state.held(), &Principal::user("bob")));
    }

    #[test]
    fn who_is_known_by_a_certificate_does_not_log_in_again() {
        let mut state = state(true);
        state.on_login(alice(), false, Instant::now());
        assert!(state.is_open());
        assert_eq!(state.on_handshake(1, SHA_256, Instant::now()), Handshaken::Illegal);
    }

    proptest! {
        /// Whatever is sent, nothing is served to somebody who has not logged in.
        #[test]
        fn no_order_of_handshakes_opens_the_door(
            steps in prop::collection::vec((0i16..=1, "SCRAM-SHA-(256|512)|PLAIN"), 0..6),
        ) {
            let mut state = state(true);
            for (version, name) in steps {
                if state.admit(&request(Api::SaslHandshake)).is_ok() {
                    state.on_handshake(version, &name, Instant::now());
                }
                prop_assert!(state.admit(&request(Api::Metadata)).is_err());
                prop_assert!(!state.is_open());
            }
        }
    }
}
