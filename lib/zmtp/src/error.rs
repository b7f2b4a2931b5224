//! Why a call on a socket failed: one type for each call that fails differently.

use std::io;

use crate::endpoint::{Endpoint, EndpointError};
use crate::message::Message;

/// A socket could not be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The text is no endpoint.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// Another socket of this process has the name.
    #[error("{0} is bound already")]
    InUse(Endpoint),
    /// The system refused.
    #[error("cannot bind {endpoint}")]
    Io {
        /// What was to be bound.
        endpoint: Endpoint,
        /// Why it was not.
        #[source]
        source: io::Error,
    },
    /// The socket has been closed.
    #[error("the socket is closed")]
    Closed,
}

/// A socket cannot connect. That nobody is there yet is no error: the socket goes on trying.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The text is no endpoint.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// A wildcard names no peer.
    #[error("{0} cannot be connected to: it names no peer")]
    Wildcard(Endpoint),
    /// There is no room for another peer.
    #[error("cannot connect to {endpoint}: {reason}")]
    NoRoom {
        /// What was to be connected to.
        endpoint: Endpoint,
        /// Why it was not.
        reason: &'static str,
    },
    /// The socket has been closed.
    #[error("the socket is closed")]
    Closed,
}

/// A message was not sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// A message has at least one frame.
    #[error("a message without frames cannot be sent")]
    Empty,
    /// A socket that keeps the last message only takes messages of one frame.
    #[error("a socket with `conflate` sends messages of one frame only")]
    Multipart,
    /// Only from `try_send`: no peer has room now.
    #[error("no peer has room for the message now")]
    Full(Message),
    /// A ROUTER with `router_mandatory`: the peer is not connected.
    #[error("the peer that the message is for is not connected")]
    Unroutable(Message),
    /// Not in this state, or not with this type of socket.
    #[error("{0}")]
    NotNow(&'static str),
    /// Every peer that this socket connected to has refused it.
    #[error("the peer refused the connection: {0}")]
    Refused(String),
    /// The socket has been closed.
    #[error("the socket is closed")]
    Closed,
}

/// No message was received.
#[derive(Debug, thiserror::Error)]
pub enum RecvError {
    /// Only from `try_recv`: there is no message now.
    #[error("there is no message now")]
    Empty,
    /// Not in this state, or not with this type of socket.
    #[error("{0}")]
    NotNow(&'static str),
    /// Every peer that this socket connected to has refused it.
    #[error("the peer refused the connection: {0}")]
    Refused(String),
    /// The socket has been closed.
    #[error("the socket is closed")]
    Closed,
}

/// A subscription was not changed.
#[derive(Debug, thiserror::Error)]
pub enum SubscribeError {
    /// Not with this type of socket.
    #[error("{0}")]
    NotNow(&'static str),
    /// The socket has been closed.
    #[error("the socket is closed")]
    Closed,
}
