//! The first packet of a connection, which has no type byte.

use std::collections::BTreeMap;

use bytes::{Buf, Bytes, BytesMut};

use super::reader::Reader;
use super::{DecodeError, OPENING_BYTES_MAX};

/// SPEC: "Message Formats", the magic numbers that stand where a version would.
const SSL_REQUEST: (u16, u16) = (1234, 5679);
const GSS_REQUEST: (u16, u16) = (1234, 5680);
const CANCEL_REQUEST: (u16, u16) = (1234, 5678);

/// LIMIT: SPEC: a secret key of protocol 3.2 is at most 256 bytes; of 3.0, four.
const SECRET_BYTES_MAX: usize = 256;

/// How a client may open a connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    /// Asks for TLS.
    Tls,
    /// Asks for Kerberos encryption.
    Gss,
    /// Asks that another connection's statement be cancelled.
    Cancel { process: i32, secret: Bytes },
    /// Opens a session. `minor` above zero asks for a newer protocol than 3.0.
    Start { minor: u16, parameters: BTreeMap<String, String> },
}

/// Takes one opening packet from `input`; `None` when more bytes are needed.
///
/// # Errors
/// [`DecodeError`]: the connection cannot be used.
pub(crate) fn decode_opening(input: &mut BytesMut) -> Result<Option<Opening>, DecodeError> {
    let Some(header) = input.first_chunk::<4>() else { return Ok(None) };
    let len = i32::from_be_bytes(*header);
    let size = usize::try_from(len).map_err(|_| DecodeError::Length { len })?;
    if size > OPENING_BYTES_MAX {
        return Err(DecodeError::TooLarge { len: size, max: OPENING_BYTES_MAX });
    }
    if size < 8 {
        return Err(DecodeError::Length { len });
    }
    if input.len() < size {
        return Ok(None);
    }
    let mut packet = input.split_to(size);
    packet.advance(4);
    body(Reader::new(packet.freeze())).map(Some)
}

fn body(mut reader: Reader) -> Result<Opening, DecodeError> {
    let (major, minor) = (reader.u16("protocol version")?, reader.u16("protocol version")?);
    match (major, minor) {
        SSL_REQUEST => reader.finish().map(|()| Opening::Tls),
        GSS_REQUEST => reader.finish().map(|()| Opening::Gss),
        CANCEL_REQUEST => {
            let process = reader.i32("process id")?;
            let secret = reader.rest();
            if secret.len() < 4 || secret.len() > SECRET_BYTES_MAX {
                return Err(DecodeError::Truncated { what: "secret key" });
            }
            Ok(Opening::Cancel { process, secret })
        }
        (3, minor) => Ok(Opening::Start { minor, parameters: parameters(reader)? }),
        (major, minor) => Err(DecodeError::Version { major, minor }),
    }
}

/// Pairs of texts, ended by an empty name.
fn parameters(mut reader: Reader) -> Result<BTreeMap<String, String>, DecodeError> {
    let mut parameters = BTreeMap::new();
    while !reader.is_empty() {
        let name = reader.text("parameter name")?;
        if name.is_empty() {
            reader.finish()?;
            return Ok(parameters);
        }
        parameters.insert(name, reader.text("parameter value")?);
    }
    Err(DecodeError::Truncated { what: "end of parameters" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(body: &[u8]) -> BytesMut {
        let mut bytes = BytesMut::new();
        bytes.extend_from_slice(&u32::try_from(body.len() + 4).unwrap().to_be_bytes());
        bytes.extend_from_slice(body);
        bytes
    }

    const START: &[u8] = b"\0\x03\0\0user\0ada\0database\0posthouse\0\0";

    #[test]
    fn a_start_packet_yields_its_parameters() {
        let opening = decode_opening(&mut packet(START)).unwrap().unwrap();
        let Opening::Start { minor: 0, parameters } = opening else { panic!("{opening:?}") };
        assert_eq!(parameters["user"], "ada");
        assert_eq!(parameters["database"], "posthouse");
    }

    #[test]
    fn encryption_requests_are_recognised() {
        let mut bytes = packet(&[0x04, 0xd2, 0x16, 0x2f]);
        assert_eq!(decode_opening(&mut bytes), Ok(Some(Opening::Tls)));
        let mut bytes = packet(&[0x04, 0xd2, 0x16, 0x30]);
        assert_eq!(decode_opening(&mut bytes), Ok(Some(Opening::Gss)));
    }

    #[test]
    fn a_cancel_request_names_its_process_and_secret() {
        let mut bytes = packet(&[0x04, 0xd2, 0x16, 0x2e, 0, 0, 0, 7, 1, 2, 3, 4]);
        let expected = Opening::Cancel { process: 7, secret: Bytes::from_static(&[1, 2, 3, 4]) };
        assert_eq!(decode_opening(&mut bytes), Ok(Some(expected)));
    }

    #[test]
    fn every_prefix_of_a_start_packet_needs_more() {
        let whole = packet(START);
        for len in 0..whole.len() {
            let mut part = BytesMut::from(&whole[..len]);
            assert_eq!(decode_opening(&mut part), Ok(None), "{len} bytes");
        }
    }

    #[test]
    fn every_shortened_body_is_refused() {
        for len in 4..START.len() {
            let mut short = packet(&START[..len]);
            assert!(decode_opening(&mut short).is_err(), "{len} bytes");
        }
    }

    #[test]
    fn a_length_above_the_limit_is_refused_before_its_body_comes() {
        let mut bytes = BytesMut::from(&[0x7f, 0xff, 0xff, 0xff][..]);
        assert!(matches!(decode_opening(&mut bytes), Err(DecodeError::TooLarge { .. })));
        let mut bytes = BytesMut::from(&[0xff, 0xff, 0xff, 0xff][..]);
        assert_eq!(decode_opening(&mut bytes), Err(DecodeError::Length { len: -1 }));
    }

    #[test]
    fn http_and_tls_at_this_door_are_refused() {
        assert!(decode_opening(&mut BytesMut::from("GET / HTTP/1.1\r\n\r\n")).is_err());
        assert!(decode_opening(&mut BytesMut::from(&b"\x16\x03\x01\x02\0\x01\0"[..])).is_err());
    }
}
