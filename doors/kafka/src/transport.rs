//! A connection's bytes on their way: straight to the socket, or through TLS.
//!
//! Owns how file ranges leave. On a plain socket the kernel sends them; under TLS they are read into
//! one buffer and encrypted. Either way the disk is waited for on the blocking pool, so that a cold
//! one holds up nobody else.
//!
//! # Invariants
//! - At most one piece of a file is under way, and it is the front of what is unsent.
//! - Memory for files under TLS is [`FILE_BUFFER_BYTES`] a connection, and none while it sends no file.

use std::io::{self, IoSlice, IoSliceMut};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::FutureExt;
use posthouse_listener::Stream;
use posthouse_log::FileRange;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::sendfile;

/// LIMIT: bytes of a file that are in memory on their way through TLS. Twice what the TLS session
/// takes at once, so that it never waits for a piece that the disk has.
const FILE_BUFFER_BYTES: usize = 128 * 1024;

/// See the module.
#[derive(Debug)]
pub(crate) enum Transport {
    Plain {
        /// Shared with the blocking pool while a file is sent.
        socket: Arc<TcpStream>,
        sending: Option<JoinHandle<io::Result<usize>>>,
    },
    Tls {
        stream: Box<Stream>,
        file: FilePiece,
    },
}

/// The front of an unsent file range, being read or read.
#[derive(Debug, Default)]
pub(crate) struct FilePiece {
    reading: Option<JoinHandle<io::Result<Vec<u8>>>>,
    bytes: Vec<u8>,
    written: usize,
}

impl Transport {
    pub(crate) fn new(stream: Stream) -> Transport {
        match stream.into_plain() {
            Ok(socket) => Transport::Plain { socket: Arc::new(socket), sending: None },
            Err(stream) => Transport::Tls { stream: Box::new(stream), file: FilePiece::default() },
        }
    }

    /// Whether the kernel sends files to the socket by itself.
    pub(crate) fn has_sendfile(&self) -> bool {
        matches!(self, Transport::Plain { .. })
    }

    /// Reads into the first of `slices` that have room; 0 when the client sends no more.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        slices: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        match self {
            Transport::Plain { socket, .. } => loop {
                ready!(socket.poll_read_ready(cx))?;
                match socket.try_read_vectored(slices) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    read => return Poll::Ready(read),
                }
            },
            Transport::Tls { stream, .. } => {
                let Some(slice) = slices.iter_mut().find(|slice| !slice.is_empty()) else {
                    return Poll::Ready(Err(io::ErrorKind::InvalidInput.into()));
                };
                let mut buffer = ReadBuf::new(slice);
                ready!(Pin::new(stream).poll_read(cx, &mut buffer))?;
                Poll::Ready(Ok(buffer.filled().len()))
            }
        }
    }

    /// Writes some of `slices`.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = match self {
            Transport::Plain { socket, .. } => loop {
                ready!(socket.poll_write_ready(cx))?;
                match socket.try_write_vectored(slices) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    written => break written?,
                }
            },
            Transport::Tls { stream, .. } => {
                ready!(Pin::new(stream).poll_write_vectored(cx, slices))?
            }
        };
        if written == 0 {
            Poll::Ready(Err(io::ErrorKind::WriteZero.into()))
        } else {
            Poll::Ready(Ok(written))
        }
    }

    /// Sends some of `range`, which must stay the same but for what was sent of it until it is gone.
    pub(crate) fn poll_send_file(
        &mut self,
        cx: &mut Context<'_>,
        range: &FileRange,
    ) -> Poll<io::Result<usize>> {
        match self {
            Transport::Plain { socket, sending } => {
                let task = match sending {
                    Some(task) => task,
                    None => {
                        ready!(socket.poll_write_ready(cx))?;
                        let (socket, range) = (Arc::clone(socket), range.clone());
                        sending.insert(spawn_blocking(move || sendfile::send(&socket, &range)))
                    }
                };
                let sent = ready!(task.poll_unpin(cx));
                *sending = None;
                Poll::Ready(sent.map_err(io::Error::other)?)
            }
            Transport::Tls { stream, file } => {
                ready!(file.poll_fill(cx, range))?;
                let written = ready!(Pin::new(stream).poll_write(cx, file.unwritten()))?;
                file.written += written;
                Poll::Ready(Ok(written))
            }
        }
    }

    /// Sends what TLS holds back; to be called until it is ready once everything is written.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Transport::Plain { .. } => Poll::Ready(Ok(())),
            Transport::Tls { stream, file } => {
                file.bytes = Vec::new();
                file.written = 0;
                Pin::new(stream).poll_flush(cx)
            }
        }
    }

    /// See [`Stream::farewell`].
    pub(crate) async fn farewell(&mut self) {
        if let Transport::Tls { stream, .. } = self {
            stream.farewell().await;
        }
    }
}

impl FilePiece {
    /// Ready when there are bytes of the front of `range` to be written.
    fn poll_fill(&mut self, cx: &mut Context<'_>, range: &FileRange) -> Poll<io::Result<()>> {
        if !self.unwritten().is_empty() {
            return Poll::Ready(Ok(()));
        }
        let reading = self.reading.get_or_insert_with(|| {
            let (range, buffer) = (range.clone(), std::mem::take(&mut self.bytes));
            self.written = 0;
            spawn_blocking(move || read(&range, buffer))
        });
        let read = ready!(reading.poll_unpin(cx));
        self.reading = None;
        self.bytes = read.map_err(io::Error::other)??;
        Poll::Ready(Ok(()))
    }

    fn unwritten(&self) -> &[u8] {
        &self.bytes[self.written..]
    }
}

/// Fills `buffer` from the front of `range`, as far as the limit allows.
///
/// # Errors
/// The disk's; `UnexpectedEof` when the file is shorter than the range, which leaves the response
/// unfinished, so the connection must end.
fn read(range: &FileRange, mut buffer: Vec<u8>) -> io::Result<Vec<u8>> {
    use std::os::unix::fs::FileExt;

    buffer.resize(range.len.min(FILE_BUFFER_BYTES), 0);
    range.file.read_exact_at(&mut buffer, range.position)?;
    Ok(buffer)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn range(content: &[u8], position: u64, len: usize) -> FileRange {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        FileRange { file: Arc::new(file), position, len }
    }

    #[test]
    fn a_piece_of_a_file_is_no_longer_than_its_range_and_the_limit() {
        let content: Vec<u8> = (0..FILE_BUFFER_BYTES + 10).map(|at| (at % 251) as u8).collect();
        let whole = read(&range(&content, 3, 5), Vec::new()).unwrap();
        assert_eq!(whole, content[3..8]);
        let first = read(&range(&content, 2, FILE_BUFFER_BYTES + 8), vec![9; 7]).unwrap();
        assert_eq!(first, content[2..FILE_BUFFER_BYTES + 2]);
    }

    #[tokio::test]
    async fn a_range_is_given_out_piece_by_piece_however_little_is_written_at_a_time() {
        let content: Vec<u8> = (0..FILE_BUFFER_BYTES * 3).map(|at| (at % 251) as u8).collect();
        let mut range = range(&content, 7, FILE_BUFFER_BYTES * 2 + 99);
        let (mut piece, mut given) = (FilePiece::default(), Vec::new());
        while range.len > 0 {
            std::future::poll_fn(|cx| piece.poll_fill(cx, &range)).await.unwrap();
            let count = piece.unwritten().len().min(50_000);
            given.extend_from_slice(&piece.unwritten()[..count]);
            piece.written += count;
            range.position += count as u64;
            range.len -= count;
        }
        assert!(given == content[7..FILE_BUFFER_BYTES * 2 + 106]);
    }

    #[test]
    fn a_file_shorter_than_its_range_is_an_error() {
        let error = read(&range(b"abc", 1, 3), Vec::new()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
