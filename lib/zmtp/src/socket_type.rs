//! The eleven socket types, their names on the wire, and who may talk to whom.
//!
//! # Source
//! ZMTP 3.1 (rfc.zeromq.org/spec/37), "Socket-Type"; the one-byte codes are those of ZMTP 2.0 (15/ZMTP).

use std::fmt;
use std::str::FromStr;

/// What a socket does with messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SocketType {
    /// Exactly one peer, both directions.
    Pair,
    /// Sends to every subscriber; drops for those that are too slow.
    Pub,
    /// Receives what it subscribed to.
    Sub,
    /// Sends a request, then receives its reply, in turns.
    Req,
    /// Receives a request, then sends its reply, in turns.
    Rep,
    /// Sends to its peers in turn and receives from all: REQ without turns.
    Dealer,
    /// Sends to the peer that the first frame names: REP without turns.
    Router,
    /// Receives work from all its peers in turn.
    Pull,
    /// Hands work to its peers in turn; waits for those that are slow.
    Push,
    /// PUB that also receives the subscriptions.
    Xpub,
    /// SUB that sends its subscriptions as messages.
    Xsub,
}

impl SocketType {
    /// Every type.
    pub const ALL: [SocketType; 11] = [
        SocketType::Pair,
        SocketType::Pub,
        SocketType::Sub,
        SocketType::Req,
        SocketType::Rep,
        SocketType::Dealer,
        SocketType::Router,
        SocketType::Pull,
        SocketType::Push,
        SocketType::Xpub,
        SocketType::Xsub,
    ];

    /// The name that the wire and people use: `PUSH`.
    pub fn name(self) -> &'static str {
        match self {
            SocketType::Pair => "PAIR",
            SocketType::Pub => "PUB",
            SocketType::Sub => "SUB",
            SocketType::Req => "REQ",
            SocketType::Rep => "REP",
            SocketType::Dealer => "DEALER",
            SocketType::Router => "ROUTER",
            SocketType::Pull => "PULL",
            SocketType::Push => "PUSH",
            SocketType::Xpub => "XPUB",
            SocketType::Xsub => "XSUB",
        }
    }

    /// The type's byte in a ZMTP 2.0 greeting.
    pub(crate) fn code(self) -> u8 {
        match self {
            SocketType::Pair => 0,
            SocketType::Pub => 1,
            SocketType::Sub => 2,
            SocketType::Req => 3,
            SocketType::Rep => 4,
            SocketType::Dealer => 5,
            SocketType::Router => 6,
            SocketType::Pull => 7,
            SocketType::Push => 8,
            SocketType::Xpub => 9,
            SocketType::Xsub => 10,
        }
    }

    pub(crate) fn from_code(code: u8) -> Option<SocketType> {
        SocketType::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// Whether the specification lets the two types talk.
    pub fn may_talk_to(self, peer: SocketType) -> bool {
        use SocketType::{Dealer, Pair, Pub, Pull, Push, Rep, Req, Router, Sub, Xpub, Xsub};
        match self {
            Pair => peer == Pair,
            Pub | Xpub => matches!(peer, Sub | Xsub),
            Sub | Xsub => matches!(peer, Pub | Xpub),
            Req => matches!(peer, Rep | Router),
            Rep => matches!(peer, Req | Dealer),
            Dealer => matches!(peer, Rep | Dealer | Router),
            Router => matches!(peer, Req | Dealer | Router),
            Push => peer == Pull,
            Pull => peer == Push,
        }
    }

    /// Whether the type tells its peers its routing id.
    pub(crate) fn announces_identity(self) -> bool {
        matches!(self, SocketType::Req | SocketType::Dealer | SocketType::Router)
    }

    /// Whether what is sent before a connection stands waits for it, and outlives a lost one.
    /// The others cannot know whom a message is for before the peer has said who it is.
    pub(crate) fn queues_while_disconnected(self) -> bool {
        matches!(self, SocketType::Pair | SocketType::Req | SocketType::Dealer | SocketType::Push)
    }
}

impl fmt::Display for SocketType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// The text names no socket type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a ZeroMQ socket type")]
pub struct UnknownSocketType(String);

impl FromStr for SocketType {
    type Err = UnknownSocketType;

    fn from_str(text: &str) -> Result<SocketType, UnknownSocketType> {
        SocketType::ALL
            .into_iter()
            .find(|kind| kind.name().eq_ignore_ascii_case(text))
            .ok_or_else(|| UnknownSocketType(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn talking_is_mutual() {
        for one in SocketType::ALL {
            for other in SocketType::ALL {
                assert_eq!(one.may_talk_to(other), other.may_talk_to(one), "{one} and {other}");
            }
        }
    }

    #[test]
    fn names_and_codes_read_back() {
        for kind in SocketType::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
            assert_eq!(SocketType::from_code(kind.code()), Some(kind));
        }
        assert!("STREAM".parse::<SocketType>().is_err());
        assert_eq!(SocketType::from_code(11), None);
    }
}
