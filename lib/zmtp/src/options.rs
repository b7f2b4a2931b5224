//! What a program can choose about a socket, with the meaning and the defaults of libzmq.
//!
//! Where a default differs from libzmq's, its field says so.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::mechanism::{Authenticator, Security};

/// LIMIT: a routing id, by the specification.
const IDENTITY_BYTES_MAX: usize = 255;

/// A socket's options. They are read when the socket is made.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many messages wait for each peer before a PUSH, DEALER, REQ or PAIR blocks and a PUB, XPUB
    /// or ROUTER drops. 0 is no limit.
    pub send_hwm: usize,
    /// How many messages of each peer wait to be received before nothing more is read from it. 0 is no
    /// limit.
    pub receive_hwm: usize,
    /// How long [`Socket::close`](crate::Socket::close) goes on sending what waits; `None` until it is
    /// sent.
    pub linger: Option<Duration>,
    /// The routing id that ROUTER peers know this socket by; empty lets them invent one. It must not
    /// begin with a zero byte.
    pub identity: Bytes,
    /// How peers prove who they are.
    pub security: Security,
    /// Asked about every peer that the server of [`Options::security`] has let in, where that takes
    /// time. libzmq's ZAP is the like of it.
    pub authenticator: Option<Arc<dyn Authenticator>>,
    /// The first wait before a lost connection is tried again; `None` never tries again.
    pub reconnect_interval: Option<Duration>,
    /// Each failure doubles the wait up to this; zero keeps it as it is.
    pub reconnect_interval_max: Duration,
    /// How long one attempt to connect may take; `None` leaves it to the system.
    pub connect_timeout: Option<Duration>,
    /// How long a peer may take to introduce itself; `None` for ever.
    pub handshake_timeout: Option<Duration>,
    /// A PING is sent so often to peers of ZMTP 3.1; zero sends none.
    pub heartbeat_interval: Duration,
    /// A peer not heard for so long after a PING is given up; zero means the interval.
    pub heartbeat_timeout: Duration,
    /// What peers are told: give us up when you hear nothing for so long. Zero promises nothing.
    pub heartbeat_ttl: Duration,
    /// Messages wait only for peers that are connected, not for those that may come.
    pub immediate: bool,
    /// The largest message that is accepted, all its frames together. libzmq has no limit; this is
    /// 1 GiB, so that no peer can make a program that did not choose take all memory.
    pub message_bytes_max: usize,
    /// Only the last message is kept, in each direction. Messages must have one frame. For PUB, SUB,
    /// PUSH, PULL and DEALER.
    pub conflate: bool,
    /// A REQ may send again before it has the reply, which is then thrown away.
    pub req_relaxed: bool,
    /// A REQ numbers its requests and takes only the reply to the last.
    pub req_correlate: bool,
    /// The program tells its peers apart, as with a ROUTER, and is told of them: for REP, REQ, DEALER,
    /// ROUTER and PAIR. Every message begins with an address, which is the connection's and used once.
    /// A message of an address alone says that the peer has come; a second one, that it has gone.
    /// Sending waits for the one peer's room, and fails when it is not connected.
    pub addressed: bool,
    /// A ROUTER says that a peer is not connected or is full instead of dropping the message.
    pub router_mandatory: bool,
    /// An XPUB receives every subscription, not only those that nobody had before.
    pub xpub_verbose: bool,
    /// TCP keep-alive; `None` leaves it to the system.
    pub tcp_keepalive: Option<TcpKeepalive>,
    /// The size of the kernel's send buffer; `None` leaves it to the system.
    pub send_buffer_bytes: Option<usize>,
    /// The size of the kernel's receive buffer; `None` leaves it to the system.
    pub receive_buffer_bytes: Option<usize>,
    /// How many connections may wait to be accepted.
    pub backlog: u32,
}

/// When the kernel asks a silent peer whether it is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TcpKeepalive {
    /// Silence before the first question.
    pub idle: Option<Duration>,
    /// Between questions.
    pub interval: Option<Duration>,
    /// Unanswered questions before the connection is given up.
    pub count: Option<u32>,
}

/// Options that contradict each other or the specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// A routing id that no peer could use.
    #[error("a routing id has at most 255 bytes, and the first is not zero")]
    Identity,
    /// A socket type that cannot do without its other messages.
    #[error("only PUB, SUB, PUSH, PULL and DEALER sockets can keep the last message only")]
    Conflate,
    /// A socket type whose peers need no telling apart.
    #[error("only REP, REQ, DEALER, ROUTER and PAIR sockets address their peers")]
    Addressed,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            send_hwm: 1000,
            receive_hwm: 1000,
            linger: None,
            identity: Bytes::new(),
            security: Security::Null,
            authenticator: None,
            reconnect_interval: Some(Duration::from_millis(100)),
            reconnect_interval_max: Duration::ZERO,
            connect_timeout: None,
            handshake_timeout: Some(Duration::from_secs(30)),
            heartbeat_interval: Duration::ZERO,
            heartbeat_timeout: Duration::ZERO,
            heartbeat_ttl: Duration::ZERO,
            immediate: false,
            message_bytes_max: 1024 * 1024 * 1024,
            conflate: false,
            req_relaxed: false,
            req_correlate: false,
            addressed: false,
            router_mandatory: false,
            xpub_verbose: false,
            tcp_keepalive: None,
            send_buffer_bytes: None,
            receive_buffer_bytes: None,
            backlog: 100,
        }
    }
}

impl Options {
    pub(crate) fn check(&self, kind: crate::SocketType) -> Result<(), OptionsError> {
        use crate::SocketType::{Dealer, Pair, Pub, Pull, Push, Rep, Req, Router, Sub};
        if self.identity.len() > IDENTITY_BYTES_MAX || self.identity.first() == Some(&0) {
            return Err(OptionsError::Identity);
        }
        if self.conflate && !matches!(kind, Pub | Sub | Push | Pull | Dealer) {
            return Err(OptionsError::Conflate);
        }
        if self.addressed && (self.conflate || !matches!(kind, Rep | Req | Dealer | Router | Pair))
        {
            return Err(OptionsError::Addressed);
        }
        Ok(())
    }
}
