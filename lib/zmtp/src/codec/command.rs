//! Commands and the metadata that some of them carry.
//!
//! # Source
//! 37/ZMTP "Commands", "Metadata", "Connection heartbeating". JOIN and LEAVE belong to the draft
//! RADIO and DISH sockets, which are not here.

use bytes::{Bytes, BytesMut};

use super::CodecError;

/// LIMIT: the longest context that a PING may carry, by the specification.
const PING_CONTEXT_BYTES_MAX: usize = 16;
/// LIMIT: an ERROR's reason, whose length is one byte.
const REASON_BYTES_MAX: usize = 255;

/// The names and values that peers tell each other in a handshake.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    properties: Vec<(String, Bytes)>,
}

impl Metadata {
    /// Adds a property.
    pub fn push(&mut self, name: &str, value: impl Into<Bytes>) {
        self.properties.push((name.to_owned(), value.into()));
    }

    /// A property's value; names differ in more than case.
    pub fn value(&self, name: &str) -> Option<&Bytes> {
        let mut properties = self.properties.iter();
        properties.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Appends the properties as they travel.
    pub fn write(&self, out: &mut Vec<u8>) {
        for (name, value) in &self.properties {
            out.push(u8::try_from(name.len()).expect("our own names are short"));
            out.extend_from_slice(name.as_bytes());
            let len = u32::try_from(value.len()).expect("our own values are short");
            out.extend_from_slice(&len.to_be_bytes());
            out.extend_from_slice(value);
        }
    }

    /// Reads properties until the input ends.
    ///
    /// # Errors
    /// A length that goes beyond the input, or a name that is not text.
    pub fn read(mut input: &[u8]) -> Result<Metadata, CodecError> {
        let malformed = || CodecError::Command("metadata");
        let mut metadata = Metadata::default();
        while let Some((&len, rest)) = input.split_first() {
            let (name, rest) = rest.split_at_checked(usize::from(len)).ok_or_else(malformed)?;
            let (len, rest) = rest.split_first_chunk::<4>().ok_or_else(malformed)?;
            let len = usize::try_from(u32::from_be_bytes(*len)).map_err(|_| malformed())?;
            let (value, rest) = rest.split_at_checked(len).ok_or_else(malformed)?;
            let name = std::str::from_utf8(name).ok().filter(|name| !name.is_empty());
            metadata.push(name.ok_or_else(malformed)?, Bytes::copy_from_slice(value));
            input = rest;
        }
        Ok(metadata)
    }
}

/// A command's name and what follows it.
///
/// # Errors
/// The name goes beyond the body.
pub fn split(body: &[u8]) -> Result<(&[u8], &[u8]), CodecError> {
    let (&len, rest) = body.split_first().ok_or(CodecError::Command("nameless"))?;
    rest.split_at_checked(usize::from(len)).ok_or(CodecError::Command("nameless"))
}

/// A command that travels after the handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// The peer wants messages that begin so.
    Subscribe(Bytes),
    /// The peer no longer does.
    Cancel(Bytes),
    /// The peer wants a PONG with this context, and will be silent for this long at most.
    Ping {
        /// In tenths of a second; 0 promises nothing.
        ttl_ds: u16,
        /// To be sent back.
        context: Bytes,
    },
    /// The answer to a PING.
    Pong(Bytes),
    /// The peer will close, for this reason.
    Error(String),
    /// A command that we do not know, which the specification lets us skip.
    Unknown,
}

impl Command {
    /// Reads the body of a command frame.
    ///
    /// # Errors
    /// A known command that is malformed.
    pub fn read(body: &Bytes) -> Result<Command, CodecError> {
        let (name, rest) = split(body)?;
        Ok(match name {
            b"SUBSCRIBE" => Command::Subscribe(body.slice_ref(rest)),
            b"CANCEL" => Command::Cancel(body.slice_ref(rest)),
            b"PING" => {
                let (ttl, context) =
                    rest.split_first_chunk::<2>().ok_or(CodecError::Command("PING"))?;
                if context.len() > PING_CONTEXT_BYTES_MAX {
                    return Err(CodecError::Command("PING"));
                }
                Command::Ping { ttl_ds: u16::from_be_bytes(*ttl), context: body.slice_ref(context) }
            }
            b"PONG" => Command::Pong(body.slice_ref(rest)),
            b"ERROR" => Command::Error(read_reason(rest)?),
            _ => Command::Unknown,
        })
    }

    /// The body of a command frame.
    pub fn to_body(&self) -> Bytes {
        let mut body = BytesMut::new();
        let (name, parts): (&[u8], [&[u8]; 2]) = match self {
            Command::Subscribe(prefix) => (b"\x09SUBSCRIBE", [prefix, &[]]),
            Command::Cancel(prefix) => (b"\x06CANCEL", [prefix, &[]]),
            Command::Ping { ttl_ds, context } => (b"\x04PING", [&ttl_ds.to_be_bytes(), context]),
            Command::Pong(context) => (b"\x04PONG", [context, &[]]),
            Command::Error(reason) => return error_body(reason).into(),
            Command::Unknown => (b"\x00", [&[], &[]]),
        };
        body.extend_from_slice(name);
        parts.into_iter().for_each(|part| body.extend_from_slice(part));
        body.freeze()
    }
}

/// The body of an ERROR; a long reason is cut at a character.
pub fn error_body(reason: &str) -> Vec<u8> {
    let mut end = reason.len().min(REASON_BYTES_MAX);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let mut body = b"\x05ERROR".to_vec();
    body.push(u8::try_from(end).unwrap_or(u8::MAX));
    body.extend_from_slice(&reason.as_bytes()[..end]);
    body
}

/// Reads what follows an ERROR's name.
///
/// # Errors
/// The reason goes beyond the body.
pub fn read_reason(rest: &[u8]) -> Result<String, CodecError> {
    let (&len, rest) = rest.split_first().ok_or(CodecError::Command("ERROR"))?;
    let reason = rest.get(..usize::from(len)).ok_or(CodecError::Command("ERROR"))?;
    // The reason is shown to people: what is not printable does not reach their terminal.
    let printable = |character: char| if character.is_control() { ' ' } else { character };
    Ok(String::from_utf8_lossy(reason).chars().map(printable).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn command() -> impl Strategy<Value = Command> {
        let bytes = |max| prop::collection::vec(any::<u8>(), 0..=max).prop_map(Bytes::from);
        prop_oneof![
            bytes(300).prop_map(Command::Subscribe),
            bytes(300).prop_map(Command::Cancel),
            (any::<u16>(), bytes(16))
                .prop_map(|(ttl_ds, context)| Command::Ping { ttl_ds, context }),
            bytes(16).prop_map(Command::Pong),
            "[a-zäß ]{0,80}".prop_map(Command::Error),
        ]
    }

    proptest! {
        #[test]
        fn a_command_reads_back(command in command()) {
            prop_assert_eq!(Command::read(&command.to_body()), Ok(command));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = Command::read(&Bytes::from(bytes.clone()));
            let _ = Metadata::read(&bytes);
        }

        #[test]
        fn metadata_reads_back_and_no_part_of_a_property_passes(
            properties in prop::collection::vec(("[A-Za-z-]{1,20}", prop::collection::vec(any::<u8>(), 0..40)), 1..5),
        ) {
            let mut metadata = Metadata::default();
            let mut ends = vec![0];
            let mut bytes = Vec::new();
            for (name, value) in properties {
                metadata.push(&name, value);
                bytes.clear();
                metadata.write(&mut bytes);
                ends.push(bytes.len());
            }
            prop_assert_eq!(Metadata::read(&bytes), Ok(metadata));
            for cut in (0..bytes.len()).filter(|cut| !ends.contains(cut)) {
                prop_assert!(Metadata::read(&bytes[..cut]).is_err(), "cut at {}", cut);
            }
        }
    }

    #[test]
    fn property_names_differ_in_more_than_case() {
        let mut metadata = Metadata::default();
        metadata.push("Socket-Type", "PUB");
        assert_eq!(metadata.value("socket-type"), Some(&Bytes::from("PUB")));
    }

    #[test]
    fn a_long_reason_is_cut_and_an_odd_one_made_printable() {
        let body = Bytes::from(error_body(&"ä".repeat(200)));
        assert_eq!(Command::read(&body), Ok(Command::Error("ä".repeat(127))));
        assert_eq!(read_reason(b"\x03a\x1bb"), Ok("a b".to_owned()));
        assert_eq!(read_reason(b"\x04abc"), Err(CodecError::Command("ERROR")));
    }

    #[test]
    fn a_ping_with_too_much_context_is_refused() {
        let body = Bytes::from([&b"\x04PING\0\x01"[..], &[7; 17]].concat());
        assert_eq!(Command::read(&body), Err(CodecError::Command("PING")));
    }
}
