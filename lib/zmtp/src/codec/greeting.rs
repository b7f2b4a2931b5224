//! The greeting: who speaks which version, and how they will prove who they are.
//!
//! Both sides open with eleven bytes: a signature and the major version. What follows depends on the
//! version that the other side opened with, so the rest is sent only once that has been read.
//!
//! # Source
//! 37/ZMTP "Greeting"; for older peers 15/ZMTP "Backwards interoperability". ZMTP 1.0, which has no
//! signature, is refused.

use super::{CodecError, Decoded};

/// Signature and major version.
pub const OPENING_BYTES: usize = 11;
/// A whole ZMTP 3 greeting.
pub const GREETING_BYTES: usize = 64;
/// A mechanism's name, padded with zeros.
const MECHANISM_BYTES: usize = 20;
/// The flag bytes of the signature, around eight bytes that old peers read as a length.
const SIGNATURE: [u8; 10] = [0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f];
/// What we speak.
const MAJOR: u8 = 3;
const MINOR: u8 = 1;

/// The version that two peers share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// ZMTP 2.0: no mechanisms, no commands.
    V2,
    /// ZMTP 3.0: subscriptions are messages, no heartbeats.
    V3_0,
    /// ZMTP 3.1 and whatever follows it.
    V3_1,
}

impl Version {
    /// The version as people write it.
    pub fn name(self) -> &'static str {
        match self {
            Version::V2 => "2.0",
            Version::V3_0 => "3.0",
            Version::V3_1 => "3.1",
        }
    }

    /// Whether there are PING, PONG, SUBSCRIBE and CANCEL.
    pub(crate) fn has_commands(self) -> bool {
        self >= Version::V3_1
    }
}

/// The generation of the protocol that an opening announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// ZMTP 2.0.
    V2,
    /// ZMTP 3.
    V3,
}

/// What follows a ZMTP 3 opening.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// The minor version.
    pub version: Version,
    /// The mechanism's name.
    pub mechanism: String,
    /// Whether the peer is the server of an asymmetric mechanism.
    pub as_server: bool,
}

/// The bytes that open every connection.
pub fn opening() -> [u8; OPENING_BYTES] {
    let mut bytes = [MAJOR; OPENING_BYTES];
    bytes[..SIGNATURE.len()].copy_from_slice(&SIGNATURE);
    bytes
}

/// Reads the peer's opening.
///
/// # Errors
/// The peer speaks something else, which is known from its first byte on.
pub fn read_opening(input: &[u8]) -> Result<Decoded<Opening>, CodecError> {
    if input.first().is_some_and(|&byte| byte != SIGNATURE[0]) {
        return Err(CodecError::Signature);
    }
    // An old peer's signature ends in a flag byte whose lowest bit says that a version follows.
    if input.get(9).is_some_and(|byte| byte & 1 == 0) {
        return Err(CodecError::Signature);
    }
    match input.get(10) {
        None => Ok(Decoded::Need { at_least: OPENING_BYTES }),
        Some(0) => Err(CodecError::Version(0)),
        Some(1 | 2) => Ok(Decoded::Value { value: Opening::V2, used: OPENING_BYTES }),
        Some(_) => Ok(Decoded::Value { value: Opening::V3, used: OPENING_BYTES }),
    }
}

/// What follows our opening, for a ZMTP 3 peer.
pub fn rest_of_greeting(mechanism: &str, as_server: bool) -> Vec<u8> {
    let mut bytes = vec![0; GREETING_BYTES - OPENING_BYTES];
    bytes[0] = MINOR;
    let name = mechanism.as_bytes();
    bytes[1..=name.len()].copy_from_slice(name);
    bytes[1 + MECHANISM_BYTES] = u8::from(as_server);
    bytes
}

/// Reads what follows a ZMTP 3 opening.
///
/// # Errors
/// The mechanism's name is not text padded with zeros.
pub fn read_rest_of_greeting(input: &[u8]) -> Result<Decoded<Greeting>, CodecError> {
    const REST: usize = GREETING_BYTES - OPENING_BYTES;
    let Some(rest) = input.first_chunk::<REST>() else {
        return Ok(Decoded::Need { at_least: REST });
    };
    let name = &rest[1..=MECHANISM_BYTES];
    let end = name.iter().position(|&byte| byte == 0).unwrap_or(MECHANISM_BYTES);
    let (name, padding) = name.split_at(end);
    let is_name = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    if !is_name || padding.iter().any(|&byte| byte != 0) {
        return Err(CodecError::MechanismName);
    }
    let greeting = Greeting {
        version: if rest[0] == 0 { Version::V3_0 } else { Version::V3_1 },
        mechanism: String::from_utf8_lossy(name).into_owned(),
        as_server: rest[1 + MECHANISM_BYTES] & 1 == 1,
    };
    Ok(Decoded::Value { value: greeting, used: REST })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_opening_reads_back_and_every_prefix_needs_more() {
        let bytes = opening();
        for len in 0..bytes.len() {
            let read = read_opening(&bytes[..len]).unwrap();
            assert_eq!(read, Decoded::Need { at_least: OPENING_BYTES });
        }
        let value = Decoded::Value { value: Opening::V3, used: OPENING_BYTES };
        assert_eq!(read_opening(&bytes), Ok(value));
    }

    #[test]
    fn an_older_peer_is_told_by_its_revision() {
        let mut bytes = opening();
        bytes[10] = 1;
        let value = Decoded::Value { value: Opening::V2, used: OPENING_BYTES };
        assert_eq!(read_opening(&bytes), Ok(value));
        bytes[10] = 0;
        assert_eq!(read_opening(&bytes), Err(CodecError::Version(0)));
    }

    #[test]
    fn a_web_browser_is_known_by_its_first_byte() {
        assert_eq!(read_opening(b"G"), Err(CodecError::Signature));
        assert_eq!(read_opening(&[0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7e]), Err(CodecError::Signature));
    }

    #[test]
    fn the_rest_reads_back_and_every_prefix_needs_more() {
        let bytes = rest_of_greeting("CURVE", true);
        assert_eq!(bytes.len() + OPENING_BYTES, GREETING_BYTES);
        for len in 0..bytes.len() {
            let read = read_rest_of_greeting(&bytes[..len]).unwrap();
            assert_eq!(read, Decoded::Need { at_least: bytes.len() });
        }
        let greeting =
            Greeting { version: Version::V3_1, mechanism: "CURVE".into(), as_server: true };
        let value = Decoded::Value { value: greeting, used: bytes.len() };
        assert_eq!(read_rest_of_greeting(&bytes), Ok(value));
    }

    #[test]
    fn a_mechanism_that_is_no_text_is_refused() {
        for name in [&b""[..], b"NU\0LL", b"N\xffLL"] {
            let mut bytes = rest_of_greeting("NULL", false);
            bytes[1..5].fill(0);
            bytes[1..=name.len()].copy_from_slice(name);
            assert_eq!(read_rest_of_greeting(&bytes), Err(CodecError::MechanismName), "{name:?}");
        }
    }
}
