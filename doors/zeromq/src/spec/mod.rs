//! What an endpoint is declared as, checked: settings go in, and come out as sockets and work.
//!
//! # Invariants
//! - A setting that would do nothing is refused, so that nobody relies on it.
//! - What is shown has no secrets in it.

mod fields;
mod options;
mod security;
mod socket;
mod target;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use posthouse_broker::{
    EndpointRefused, EndpointSettings, Overflow, QueueRef, RequestOptions, TopicRef,
};
use posthouse_types::{Principal, TopicName};
use posthouse_zmtp::{Endpoint, Options, SocketType};

use crate::gatekeeper::Gatekeeper;
use fields::Fields;
pub(crate) use target::{gives, takes};

/// An endpoint: its socket, and what it is for.
#[derive(Clone, Debug)]
pub struct EndpointSpec {
    /// Its name, among all endpoints of the node.
    pub name: String,
    pub(crate) socket: SocketSpec,
    pub(crate) work: Work,
    /// For whom it acts, where the node asks who its clients are, and who its peers must be.
    pub(crate) gatekeeper: Option<Arc<Gatekeeper>>,
    /// As it was declared, without secrets.
    pub(crate) shown: EndpointSettings,
}

/// One socket.
#[derive(Clone, Debug)]
pub(crate) struct SocketSpec {
    pub(crate) kind: SocketType,
    pub(crate) bind: Vec<Endpoint>,
    pub(crate) connect: Vec<Endpoint>,
    /// SUB and XSUB: what they subscribe to.
    pub(crate) subscribe: Vec<Bytes>,
    pub(crate) options: Options,
}

/// What is done between the socket and the node.
#[derive(Clone, Debug)]
pub(crate) enum Work {
    /// What arrives goes there: PULL, SUB, XSUB.
    Take(Place),
    /// What comes from there goes to everyone who has subscribed: PUB, XPUB.
    Publish { from: Place, overflow: Overflow },
    /// What comes on a channel goes to one of the peers: PUSH.
    Hand { channel: Bytes, overflow: Overflow },
    /// What a queue gives goes to one of the peers, and is then settled: PUSH.
    HandQueue(Queue),
    /// What a peer asks is answered: REP, ROUTER.
    Answer(Answering),
    /// Peers do the work: REQ, DEALER, ROUTER.
    Workers(Working),
    /// The one peer has a seat of a pair: PAIR.
    Pair(Bytes),
    /// Messages go through to another socket, unseen.
    Device(Box<SocketSpec>),
}

/// A topic or a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Topic(TopicName),
    Channel(Bytes),
}

/// A queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Queue {
    pub(crate) topic: TopicName,
    pub(crate) group: Bytes,
    /// It is the endpoint's alone, and made without time limits and dead letters.
    pub(crate) own: bool,
}

impl Queue {
    pub(crate) fn reference(&self) -> QueueRef {
        QueueRef::new(TopicRef::Name(self.topic.clone()), self.group.clone())
    }
}

/// How requests are answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answering {
    pub(crate) by: Answerer,
    /// Failures are answered too; otherwise whoever asked hears nothing.
    pub(crate) tells_errors: bool,
    /// Requests that are being answered at a time; above it, nothing more is received.
    pub(crate) requests_max: usize,
}

/// Who answers requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answerer {
    /// The workers of a service.
    Service { name: Bytes, options: RequestOptions },
    /// The node: the request is kept or published, and the answer is that it was.
    Node(Place),
}

/// How workers are given work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Working {
    pub(crate) jobs: Jobs,
    /// Jobs that one worker has at a time.
    pub(crate) concurrency: usize,
    /// A worker's first message says that it is ready, and it has one job at a time.
    pub(crate) asks: bool,
}

/// Where work comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Jobs {
    Service { name: Bytes, idempotent: bool },
    Queue(Queue),
}

/// What the node allows of endpoints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Addresses that other machines reach may be bound although nobody is asked who they are.
    pub allow_unauthenticated: bool,
    /// How long a peer may take to say who it is, where the node asks its clients: every endpoint then
    /// acts for a user.
    pub login_timeout: Option<Duration>,
}

impl Policy {
    /// What takes a declaration if any node's policy does, to check it where no policy is known.
    pub fn lenient(settings: &EndpointSettings) -> Policy {
        let names_a_user = settings.iter().any(|(name, _)| name == "user");
        Policy {
            allow_unauthenticated: true,
            login_timeout: names_a_user.then_some(Duration::ZERO),
        }
    }
}

impl EndpointSpec {
    /// Checks a declaration.
    ///
    /// # Errors
    /// [`EndpointRefused`] names the setting, its value and the way out.
    pub fn parse(
        name: &str,
        settings: &EndpointSettings,
        policy: Policy,
    ) -> Result<EndpointSpec, EndpointRefused> {
        fields::check_names(settings)?;
        let mut fields = Fields::new(settings);
        let mut back = fields.split_off(fields::BACK);
        let kind = socket::kind(&mut fields)?;
        let back_kind = if back.is_empty() { None } else { Some(socket::kind(&mut back)?) };
        let work = target::work(name, kind, &mut fields, back_kind.is_some())?;
        let gatekeeper = security::gatekeeper(&mut fields, policy)?;
        let mut socket = SocketSpec::parse(kind, &mut fields, policy, gatekeeper.as_ref())?;
        let for_what = format!(
            "on a {kind} endpoint {}",
            work.as_ref().map_or("with two sockets".to_owned(), ToString::to_string)
        );
        fields.finish(&for_what)?;
        let work = match (work, back_kind) {
            (Some(work), _) => {
                target::adapt(&work, &mut socket.options);
                work
            }
            (None, back_kind) => {
                let back_kind = back_kind.expect("without a target there is a second socket");
                target::check_device(kind, back_kind)?;
                let back_socket =
                    SocketSpec::parse(back_kind, &mut back, policy, gatekeeper.as_ref())?;
                back.finish("of the second socket")?;
                Work::Device(Box::new(back_socket))
            }
        };
        let shown = security::masked(settings);
        Ok(EndpointSpec { name: name.to_owned(), socket, work, gatekeeper, shown })
    }
}

impl EndpointSpec {
    /// Settings as they may be shown: without secrets.
    pub fn masked(settings: &EndpointSettings) -> EndpointSettings {
        security::masked(settings)
    }

    /// As whom it acts.
    pub(crate) fn principal(&self) -> Principal {
        let gatekeeper = self.gatekeeper.as_ref();
        gatekeeper.map_or_else(Principal::anonymous, |one| one.user().principal())
    }

    /// Where its sockets are to be bound and connected, as declared.
    pub(crate) fn addresses(&self) -> Vec<String> {
        let mut addresses = self.socket.addresses();
        if let Work::Device(back) = &self.work {
            addresses.extend(back.addresses());
        }
        addresses
    }
}
