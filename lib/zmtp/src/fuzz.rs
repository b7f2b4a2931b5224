//! Entry points for fuzz targets: arbitrary bytes in, and out whether they could be read.
//!
//! Whatever the bytes, these return, without a panic and without memory out of proportion. A session
//! that is fed a byte at a time must see what one sees that is fed all at once.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use crate::codec::command::{Command, Metadata};
use crate::mechanism::{CurveKeys, CurveServer, PlainServer, Security};
use crate::session::{Event, Role, Session, SessionConfig};
use crate::socket_type::SocketType;

/// LIMIT: a fuzzed message.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// A command's body: what could be read must be written as it was.
pub fn command(input: &[u8]) -> bool {
    let _ = Metadata::read(input);
    let body = Bytes::copy_from_slice(input);
    let Ok(command) = Command::read(&body) else { return false };
    let is_exact = !matches!(command, Command::Unknown | Command::Error(_));
    assert!(!is_exact || command.to_body() == body, "{command:?} is written otherwise");
    true
}

/// A connection from its first byte on. The first byte of the input chooses who is spoken to.
pub fn connection(input: &[u8]) -> bool {
    let Some((&choice, bytes)) = input.split_first() else { return false };
    let whole = feed(choice, bytes, bytes.len().max(1));
    let single = feed(choice, bytes, 1);
    assert_eq!(whole, single, "what is read depends on how the bytes are cut");
    !whole.0.is_empty()
}

/// The events, and whether the peer was still understood at the end.
fn feed(choice: u8, bytes: &[u8], step: usize) -> (Vec<Event>, bool) {
    let now = Instant::now();
    let mut session = Session::new(Arc::new(config(choice)), Role::Accepted, now);
    let mut events = Vec::new();
    for part in bytes.chunks(step) {
        session.input().extend_from_slice(part);
        loop {
            let event = match session.poll(now) {
                Ok(Some(event)) => event,
                Ok(None) => break,
                Err(_) => return (events, false),
            };
            if matches!(event, Event::Arrived(_)) && session.admit(now).is_err() {
                return (events, false);
            }
            events.push(event);
        }
    }
    (events, true)
}

fn config(choice: u8) -> SessionConfig {
    let kinds = SocketType::ALL;
    let security = match choice / 16 {
        0 => Security::Null,
        1 => Security::PlainServer(PlainServer::single("admin", "secret")),
        _ => Security::CurveServer(CurveServer::anyone(CurveKeys::from_secret_bytes([7; 32]))),
    };
    SessionConfig {
        socket_type: kinds[usize::from(choice % 16) % kinds.len()],
        identity: Bytes::new(),
        security,
        message_bytes_max: MESSAGE_BYTES_MAX,
        handshake_timeout: None,
        heartbeat: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_and_a_command_are_read() {
        assert!(command(b"\x09SUBSCRIBEabc"));
        let mut input = vec![7];
        input.extend_from_slice(b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\x01NULL");
        input.resize(65, 0);
        input.extend_from_slice(b"\x04\x1a\x05READY\x0bSocket-Type\0\0\0\x04PUSH\0\x05hello");
        assert!(connection(&input));
    }
}
