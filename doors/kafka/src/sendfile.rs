//! Sends a range of a file to a socket inside the kernel. Blocks on the disk, not on the socket.

use std::io;

use posthouse_log::FileRange;
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Sends as much of `range` as the socket takes now; gives how many bytes that was, perhaps none.
///
/// # Errors
/// The disk's or the socket's error; `UnexpectedEof` when the file is shorter than the range, which
/// leaves the response unfinished, so the connection must end.
pub(crate) fn send(stream: &TcpStream, range: &FileRange) -> io::Result<usize> {
    let mut position = range.position;
    let mut left = range.len;
    while left > 0 {
        // Through `try_io`, so that the runtime learns that the socket is full and wakes us later.
        let sent = stream.try_io(Interest::WRITABLE, || {
            rustix::fs::sendfile(stream, &*range.file, Some(&mut position), left)
                .map_err(io::Error::from)
        });
        match sent {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => left -= count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(range.len - left)
}
