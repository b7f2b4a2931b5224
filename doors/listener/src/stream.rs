//! The byte stream of a connection: a socket as it is, or TLS over one.
//!
//! # Invariants
//! - On a plain socket every call goes straight to the socket: nothing is boxed, copied or buffered.
//! - Under TLS, written bytes may still lie in the session until [`AsyncWrite::poll_flush`] is ready.
//!   A plain socket is always flushed.
//! - A peer that closes without saying so in TLS has closed. Every protocol here frames its
//!   messages, so a stream that was cut is seen there.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::tls::{Acceptor, HandshakeError, TlsPeer};

/// A connection's bytes.
#[derive(Debug)]
pub struct Stream(Inner);

#[derive(Debug)]
enum Inner {
    Plain(TcpStream),
    /// A handshake was begun and not finished.
    Lost,
    /// Boxed, because a TLS session is large and most connections may have none.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// A socket as it is.
    pub fn plain(socket: TcpStream) -> Stream {
        Stream(Inner::Plain(socket))
    }

    /// Encrypts everything from here on: does the server's part of a handshake, for as long as the
    /// client takes, and calls `on_hello` when it has greeted.
    ///
    /// What the client sent in the clear must have been read and used before, or it would be taken
    /// for something said under encryption.
    ///
    /// # Errors
    /// [`HandshakeError`]; the stream is then of no use.
    ///
    /// # Cancellation
    /// A stream whose handshake was dropped is of no use either.
    pub(crate) async fn upgrade(
        &mut self,
        acceptor: &Acceptor,
        on_hello: impl FnOnce(),
    ) -> Result<TlsPeer, HandshakeError> {
        let Inner::Plain(socket) = std::mem::replace(&mut self.0, Inner::Lost) else {
            return Err(HandshakeError::NotPlain);
        };
        let (session, peer) = acceptor.accept(socket, on_hello).await?;
        self.0 = Inner::Tls(Box::new(session));
        Ok(peer)
    }

    /// Waits for the first byte, and tells whether it begins a TLS handshake; it stays to be read.
    ///
    /// # Errors
    /// The operating system's.
    pub async fn begins_with_tls(&self) -> io::Result<bool> {
        /// SPEC: RFC 8446, section 5.1: the type of a record that carries a handshake.
        const HANDSHAKE: u8 = 22;
        let mut first = [0; 1];
        match &self.0 {
            Inner::Plain(socket) => {
                Ok(socket.peek(&mut first).await? == 1 && first[0] == HANDSHAKE)
            }
            Inner::Tls(_) | Inner::Lost => Ok(false),
        }
    }

    /// Whether the bytes are encrypted on their way.
    pub fn is_tls(&self) -> bool {
        matches!(self.0, Inner::Tls(_))
    }

    /// The socket, when nothing lies between it and the caller.
    ///
    /// # Errors
    /// The stream itself, when it is TLS.
    pub fn into_plain(self) -> Result<TcpStream, Stream> {
        match self.0 {
            Inner::Plain(socket) => Ok(socket),
            other @ (Inner::Tls(_) | Inner::Lost) => Err(Stream(other)),
        }
    }

    /// This end's address.
    ///
    /// # Errors
    /// The operating system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match &self.0 {
            Inner::Plain(socket) => socket.local_addr(),
            Inner::Tls(session) => session.get_ref().0.local_addr(),
            Inner::Lost => Err(lost()),
        }
    }

    /// Tells a TLS peer that nothing more comes, if the socket takes it now; waits for nobody.
    pub async fn farewell(&mut self) {
        if let Inner::Tls(session) = &mut self.0 {
            std::future::poll_fn(|cx| {
                // A peer that is gone or does not read is not owed a farewell.
                let _ = Pin::new(&mut **session).poll_shutdown(cx);
                Poll::Ready(())
            })
            .await;
        }
    }
}

fn lost() -> io::Error {
    io::ErrorKind::NotConnected.into()
}

impl AsyncRead for Stream {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Inner::Plain(socket) => Pin::new(socket).poll_read(cx, buffer),
            Inner::Tls(session) => match ready!(Pin::new(&mut **session).poll_read(cx, buffer)) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
                read => Poll::Ready(read),
            },
            Inner::Lost => Poll::Ready(Err(lost())),
        }
    }
}

impl AsyncWrite for Stream {
    #[inline]
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().0 {
            Inner::Plain(socket) => Pin::new(socket).poll_write(cx, bytes),
            Inner::Tls(session) => Pin::new(&mut **session).poll_write(cx, bytes),
            Inner::Lost => Poll::Ready(Err(lost())),
        }
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().0 {
            Inner::Plain(socket) => Pin::new(socket).poll_write_vectored(cx, slices),
            Inner::Tls(session) => Pin::new(&mut **session).poll_write_vectored(cx, slices),
            Inner::Lost => Poll::Ready(Err(lost())),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Inner::Plain(_) => Poll::Ready(Ok(())),
            Inner::Tls(session) => Pin::new(&mut **session).poll_flush(cx),
            Inner::Lost => Poll::Ready(Err(lost())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Inner::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Inner::Tls(session) => Pin::new(&mut **session).poll_shutdown(cx),
            Inner::Lost => Poll::Ready(Ok(())),
        }
    }
}
