//! The door's decoders, each to be fed anything. For `fuzz/targets`.
//!
//! Each tells whether its input could be read, and panics when a promise is broken.

use bytes::{Bytes, BytesMut};
use posthouse_access::scram::{ChannelBinding, ClientFirst};

use crate::codec::{Answer, Opening, decode, decode_opening};
use crate::commands::copy_rows;
use crate::sql::{CopyFormat, CopyOptions, own_statement, pieces};

const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// A connection's bytes from the first on.
///
/// # Panics
/// When reading them in two parts gives other messages than reading them whole.
pub fn stream(input: &[u8]) -> bool {
    let whole = messages(&[input]);
    let (front, back) = input.split_at(input.len() / 2);
    assert_eq!(messages(&[front, back]), whole, "the same bytes are read otherwise in two parts");
    !whole.is_empty()
}

/// The first answer of a SASL exchange, and the SCRAM message in it, with and without a channel to
/// bind to.
pub fn sasl(input: &[u8]) -> bool {
    let Ok(initial) = Answer::new(Bytes::copy_from_slice(input)).into_initial() else {
        return false;
    };
    let Some(message) = initial.response else { return false };
    let binding = ChannelBinding::Chosen(vec![7; 32]);
    let bound = ClientFirst::parse(&message, &binding).is_ok();
    let unbound = ClientFirst::parse(&message, &ChannelBinding::Unavailable).is_ok();
    assert!(!(bound && unbound), "a message is both bound and not bound");
    bound || unbound
}

/// A script: where its statements end, and which are the door's own.
///
/// # Panics
/// When a statement is not where it is said to be.
pub fn script(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else { return false };
    let mut is_read = false;
    for piece in pieces(text) {
        let rest: String = text.chars().skip(piece.characters_before).collect();
        assert!(rest.starts_with(piece.sql), "a statement is not at its place");
        is_read |= own_statement(&piece).is_ok_and(|own| own.is_some());
    }
    is_read
}

/// Lines copied in, as text and as CSV.
///
/// # Panics
/// When reading them in two parts gives other rows than reading them whole.
pub fn copy(input: &[u8]) -> bool {
    let mut is_read = false;
    for (format, delimiter, null) in [(CopyFormat::Text, b'\t', "\\N"), (CopyFormat::Csv, b',', "")]
    {
        let options = CopyOptions {
            format,
            delimiter,
            null: null.to_owned(),
            header: false,
            quote: b'"',
            escape: b'"',
            force_quote: false,
        };
        let whole = copy_rows(&[input], &options);
        let (front, back) = input.split_at(input.len() / 2);
        assert_eq!(
            copy_rows(&[front, back], &options),
            whole,
            "rows differ when read in two parts"
        );
        is_read |= whole.is_some_and(|rows| rows > 0);
    }
    is_read
}

/// What the messages in `parts` read as, up to the first that cannot be read.
fn messages(parts: &[&[u8]]) -> Vec<String> {
    let mut input = BytesMut::new();
    let (mut read, mut is_open) = (Vec::new(), false);
    for part in parts {
        input.extend_from_slice(part);
        loop {
            let message = if is_open {
                decode(&mut input, MESSAGE_BYTES_MAX)
                    .map(|message| message.map(|message| format!("{message:?}")))
            } else {
                decode_opening(&mut input).map(|opening| {
                    is_open = matches!(opening, Some(Opening::Start { .. }));
                    opening.map(|opening| format!("{opening:?}"))
                })
            };
            match message {
                Ok(Some(message)) => read.push(message),
                Ok(None) => break,
                Err(_) => return read,
            }
        }
    }
    read
}
