//! Handshakes.

use std::io;

use rustls::ProtocolVersion;
use rustls::server::ServerConnection;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::identity::{Alpn, Tls};
use super::peer::{ClientCertificate, TlsPeer};

/// Does the handshakes of one listener with the certificate in force. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Acceptor {
    tls: Tls,
    alpn: Alpn,
}

/// Why a handshake came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// It took too long.
    #[error("the handshake was not finished in time")]
    Late,
    /// Newer ones needed its place; see [`crate::ConnectionLimits::handshakes_max`].
    #[error(
        "too many handshakes were unfinished, and this was the oldest of where most of them come from"
    )]
    Crowded,
    /// The client went away.
    #[error("the client went away")]
    Gone(#[source] io::Error),
    /// The two could not agree, or the client's certificate was refused.
    #[error("the handshake failed")]
    Tls(#[source] io::Error),
    /// The client's certificate is valid and says something that cannot be read.
    #[error("the client's certificate cannot be read")]
    Certificate,
    /// There is nothing to do it with.
    #[error("the listener has no certificate")]
    NoCertificate,
    /// The stream is encrypted already, or an earlier handshake failed.
    #[error("the connection is not in the clear")]
    NotPlain,
}

impl Acceptor {
    pub(super) fn new(tls: Tls, alpn: Alpn) -> Acceptor {
        Acceptor { tls, alpn }
    }

    /// Does the server's part of a handshake; `on_hello` is called when the client has said the whole
    /// of its first message. Waits as long as the client takes; the caller bounds that.
    pub(crate) async fn accept<IO: AsyncRead + AsyncWrite + Unpin>(
        &self,
        socket: IO,
        on_hello: impl FnOnce(),
    ) -> Result<(TlsStream<IO>, TlsPeer), HandshakeError> {
        let hello = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), socket).await?;
        on_hello();
        let current = self.tls.current();
        let session = hello.into_stream(current.config(self.alpn)).await?;
        let peer = peer(session.get_ref().1, current.endpoint_binding.clone())?;
        Ok((session, peer))
    }
}

fn peer(
    session: &ServerConnection,
    endpoint_binding: Option<bytes::Bytes>,
) -> Result<TlsPeer, HandshakeError> {
    let leaf = session.peer_certificates().and_then(|chain| chain.first());
    let certificate = leaf.map(ClientCertificate::read).transpose()?;
    let version = match session.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => "1.2",
        _ => "1.3",
    };
    let alpn = session.alpn_protocol().map(bytes::Bytes::copy_from_slice);
    Ok(TlsPeer { certificate, endpoint_binding, version, alpn })
}

impl From<io::Error> for HandshakeError {
    fn from(error: io::Error) -> HandshakeError {
        match error.kind() {
            // What the library makes of a refused handshake.
            io::ErrorKind::InvalidData => HandshakeError::Tls(error),
            _ => HandshakeError::Gone(error),
        }
    }
}

impl HandshakeError {
    /// For a label: one of a fixed set.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            HandshakeError::Late => "late",
            HandshakeError::Crowded => "crowded",
            HandshakeError::Gone(_) => "gone",
            HandshakeError::Tls(_) => "refused",
            HandshakeError::Certificate => "certificate",
            HandshakeError::NoCertificate => "no_certificate",
            HandshakeError::NotPlain => "not_plain",
        }
    }
}
