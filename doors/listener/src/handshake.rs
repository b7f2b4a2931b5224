//! One TLS handshake, bounded in time and crowded out by newer ones.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpStream;

use crate::addresses::Counted;
use crate::opening::Opening;
use crate::{HandshakeError, Stream, TlsPeer};

/// A connection before its handshake.
#[derive(Debug)]
pub(crate) struct Handshake {
    pub(crate) socket: TcpStream,
    pub(crate) peer: SocketAddr,
    pub(crate) listener: Arc<str>,
    pub(crate) counted: Counted,
    pub(crate) opening: Opening,
}

/// A connection after it.
#[derive(Debug)]
pub(crate) struct Shaken {
    pub(crate) result: Result<(Stream, TlsPeer), HandshakeError>,
    pub(crate) peer: SocketAddr,
    pub(crate) listener: Arc<str>,
    pub(crate) counted: Counted,
}

impl Handshake {
    pub(crate) async fn run(self) -> Shaken {
        let Handshake { socket, peer, listener, counted, opening } = self;
        let mut stream = Stream::plain(socket);
        let result = tokio::select! {
            done = opening.upgrade(&mut stream) => done.map(|tls| (stream, tls)),
            () = opening.crowded_out() => Err(HandshakeError::Crowded),
        };
        Shaken { result, peer, listener, counted }
    }
}
