//! One client's byte stream as messages.
//!
//! Owns the two buffers between the socket and the codec, and their bounds. Does not know what a
//! message means.
//!
//! # Invariants
//! - Input is read only when no whole message is buffered, so it holds at most one message and what
//!   came with it in the same read.
//! - Output grows to [`OUTPUT_BYTES`] and one message; then the caller must flush, and waits for the
//!   client there.
//! - Dropping any future here loses nothing: bytes read stay in `input`, bytes not sent in `output`.

use std::future::pending;

use bytes::{Buf, BytesMut};
use pgwire::error::PgWireError;
use pgwire::messages::PgWireBackendMessage;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use posthouse_listener::{Opening as Handshake, Stream, TlsPeer};

use crate::codec::{DecodeError, Frontend, Opening, decode, decode_opening};
use crate::errors::{Failure, Fatal, unencodable};

/// LIMIT: output that waits for a flush.
const OUTPUT_BYTES: usize = 64 * 1024;

/// Bytes asked of the socket at a time.
const INPUT_BYTES: usize = 8 * 1024;

pub(crate) struct Wire<S> {
    stream: S,
    /// What the handshake told of the client.
    tls: Option<TlsPeer>,
    input: BytesMut,
    output: BytesMut,
    message_bytes_max: usize,
    /// A message that came while a statement was running.
    ahead: Option<Result<Frontend, DecodeError>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(crate) fn new(stream: S, message_bytes_max: usize) -> Wire<S> {
        let (input, output) = (BytesMut::new(), BytesMut::new());
        Wire { stream, tls: None, input, output, message_bytes_max, ahead: None }
    }

    /// The next opening packet; `None` when the client closed before one.
    pub(crate) async fn opening(&mut self) -> Result<Option<Opening>, Fatal> {
        loop {
            if let Some(opening) = decode_opening(&mut self.input)? {
                return Ok(Some(opening));
            }
            if self.fill().await? == 0 {
                return Ok(None);
            }
        }
    }

    /// The next message.
    ///
    /// # Errors
    /// [`Fatal::Gone`] when the client has closed, [`Fatal::Decode`] when it cannot be understood.
    pub(crate) async fn read(&mut self) -> Result<Frontend, Fatal> {
        if let Some(ahead) = self.ahead.take() {
            return Ok(ahead?);
        }
        loop {
            if let Some(message) = decode(&mut self.input, self.message_bytes_max)? {
                return Ok(message);
            }
            if self.fill().await? == 0 {
                return Err(Fatal::Gone);
            }
        }
    }

    /// Resolves when the client has gone, or has said that it goes. Reads at most one message ahead
    /// to find out.
    pub(crate) async fn gone(&mut self) {
        while self.ahead.is_none() {
            match decode(&mut self.input, self.message_bytes_max).transpose() {
                Some(message) => self.ahead = Some(message),
                None => match self.fill().await {
                    Ok(0) | Err(_) => return,
                    Ok(_) => {}
                },
            }
        }
        if !matches!(self.ahead, Some(Ok(Frontend::Terminate))) {
            pending().await
        }
    }

    /// Puts a message into the output.
    pub(crate) fn push(&mut self, message: &PgWireBackendMessage) -> Result<(), Failure> {
        let len = self.output.len();
        message.encode(&mut self.output).map_err(|error: PgWireError| {
            self.output.truncate(len);
            unencodable(error)
        })
    }

    /// Whether the output should be flushed before more is put into it.
    pub(crate) fn is_full(&self) -> bool {
        self.output.len() >= OUTPUT_BYTES
    }

    /// Sends the output.
    pub(crate) async fn flush(&mut self) -> Result<(), Fatal> {
        while self.output.has_remaining() {
            if self.stream.write_buf(&mut self.output).await? == 0 {
                return Err(Fatal::Gone);
            }
        }
        self.stream.flush().await?;
        // One huge row must not be remembered for the life of the connection.
        if self.output.capacity() > 4 * OUTPUT_BYTES {
            self.output = BytesMut::new();
        }
        Ok(())
    }

    /// Sends the output and says good-bye.
    pub(crate) async fn close(mut self) {
        // A client that is gone cannot be told so.
        if self.flush().await.is_ok() {
            let _ = self.stream.shutdown().await;
        }
    }

    /// What the handshake told of the client; `None` in the clear.
    pub(crate) fn tls(&self) -> Option<&TlsPeer> {
        self.tls.as_ref()
    }

    /// Whether bytes were read that no message was made of yet.
    pub(crate) fn has_input(&self) -> bool {
        !self.input.is_empty()
    }

    async fn fill(&mut self) -> Result<usize, Fatal> {
        if self.input.is_empty() && self.input.capacity() > 4 * OUTPUT_BYTES {
            self.input = BytesMut::new();
        }
        self.input.reserve(INPUT_BYTES);
        Ok(self.stream.read_buf(&mut self.input).await?)
    }
}

impl Wire<Stream> {
    /// The stream that this is made of.
    pub(crate) fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Encrypts everything from here on. Nothing that was read may be left, or it would be taken for
    /// something said under encryption.
    ///
    /// # Errors
    /// [`Fatal::Gone`] when the handshake comes to nothing, which its counters tell of.
    pub(crate) async fn encrypt(&mut self, handshake: &Handshake) -> Result<(), Fatal> {
        let peer = handshake.upgrade(&mut self.stream).await.map_err(|_| Fatal::Gone)?;
        self.tls = Some(peer);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use tokio::io::duplex;

    use super::*;

    #[tokio::test]
    async fn a_message_fed_byte_by_byte_is_read_whole() {
        let (mut client, server) = duplex(64);
        let mut wire = Wire::new(server, 1 << 20);
        for byte in b"Q\0\0\0\x0dSELECT 1\0" {
            assert!(wire.read().now_or_never().is_none());
            client.write_all(&[*byte]).await.unwrap();
        }
        assert_eq!(wire.read().await.unwrap(), Frontend::Query("SELECT 1".into()));
    }

    #[tokio::test]
    async fn looking_whether_the_client_is_gone_keeps_what_it_sent() {
        let (mut client, server) = duplex(64);
        let mut wire = Wire::new(server, 1 << 20);
        client.write_all(b"S\0\0\0\x04H\0\0\0\x04").await.unwrap();
        assert!(wire.gone().now_or_never().is_none());
        assert_eq!(wire.read().await.unwrap(), Frontend::Sync);
        assert!(wire.gone().now_or_never().is_none());
        client.write_all(b"X\0\0\0\x04").await.unwrap();
        assert_eq!(wire.read().await.unwrap(), Frontend::Flush);
        assert_eq!(wire.gone().now_or_never(), Some(()));
        assert_eq!(wire.read().await.unwrap(), Frontend::Terminate);
        drop(client);
        assert_eq!(wire.gone().now_or_never(), Some(()));
        assert!(matches!(wire.read().await, Err(Fatal::Gone)));
    }
}
