//! The header of every request.
//!
//! # Source
//! Kafka `RequestHeader.json`: version 1, and version 2 which adds tagged fields. The client id is
//! a nullable string with a 16-bit length in both.

use bytes::{Buf, Bytes, BytesMut};

use super::api::Api;
use super::reader::{DecodeError, Reader};

/// A request that may be served: its header is read, its body is not.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) api: Api,
    pub(crate) version: i16,
    pub(crate) correlation_id: i32,
    /// UTF-8; empty when the client gave none.
    pub(crate) client_id: Bytes,
    pub(crate) body: BytesMut,
    /// Bytes of the whole frame.
    pub(crate) size: usize,
}

/// What a frame turned out to be.
#[derive(Debug)]
pub(crate) enum Incoming {
    Request(Request),
    /// ApiVersions in a version from the future, which has an answer of its own.
    UnsupportedApiVersions {
        correlation_id: i32,
    },
    /// A message of a SASL mechanism, without any header: after version 0 of SaslHandshake.
    Token(BytesMut),
}

/// Why a request has no answer but the end of the connection, which is what Kafka does too.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HeaderError {
    #[error("request with key {key}, version {version} is not served")]
    UnknownApi { key: i16, version: i16 },
    #[error("{} version {version} is not served, versions {} to {} are", api.name(), api.versions().start(), api.versions().end())]
    UnsupportedVersion { api: Api, version: i16 },
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

/// Reads the header off a frame.
pub(crate) fn decode(mut frame: BytesMut) -> Result<Incoming, HeaderError> {
    let size = frame.len();
    let mut reader = Reader::new(&frame);
    let (key, version, correlation_id) = (reader.i16()?, reader.i16()?, reader.i32()?);
    let api = Api::from_key(key).ok_or(HeaderError::UnknownApi { key, version })?;
    if !api.versions().contains(&version) {
        return match api {
            Api::ApiVersions => Ok(Incoming::UnsupportedApiVersions { correlation_id }),
            _ => Err(HeaderError::UnsupportedVersion { api, version }),
        };
    }
    let client_id = reader.nullable_text("client id", false)?.unwrap_or_default();
    let client_id = Bytes::copy_from_slice(client_id.as_bytes());
    reader.skip_tagged_fields(api.is_flexible(version))?;
    let used = size - reader.remaining();
    frame.advance(used);
    Ok(Incoming::Request(Request { api, version, correlation_id, client_id, body: frame, size }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(key: i16, version: i16, rest: &[u8]) -> BytesMut {
        let mut frame = BytesMut::new();
        frame.extend_from_slice(&key.to_be_bytes());
        frame.extend_from_slice(&version.to_be_bytes());
        frame.extend_from_slice(&9i32.to_be_bytes());
        frame.extend_from_slice(rest);
        frame
    }

    #[test]
    fn both_header_versions_are_read() {
        let Ok(Incoming::Request(request)) = decode(frame(3, 8, b"\0\x02idrest")) else { panic!() };
        assert_eq!((&request.client_id[..], &request.body[..]), (&b"id"[..], &b"rest"[..]));
        let tagged = b"\0\x02id\x01\x05\x03xyzrest";
        let Ok(Incoming::Request(request)) = decode(frame(3, 9, tagged)) else { panic!() };
        assert_eq!((&request.client_id[..], &request.body[..]), (&b"id"[..], &b"rest"[..]));
        let Ok(Incoming::Request(request)) = decode(frame(3, 8, b"\xff\xffrest")) else { panic!() };
        assert_eq!((&request.client_id[..], &request.body[..]), (&b""[..], &b"rest"[..]));
    }

    #[test]
    fn future_api_versions_are_told_apart_from_other_unsupported_versions() {
        let future = decode(frame(18, 99, b"anything"));
        assert!(matches!(future, Ok(Incoming::UnsupportedApiVersions { correlation_id: 9 })));
        let refused = decode(frame(0, 2, b"\xff\xff")).unwrap_err();
        assert_eq!(refused.to_string(), "Produce version 2 is not served, versions 3 to 13 are");
        let unknown = decode(frame(26, 3, b"\xff\xff")).unwrap_err();
        assert_eq!(unknown, HeaderError::UnknownApi { key: 26, version: 3 });
    }

    #[test]
    fn every_truncation_is_refused() {
        let whole = frame(3, 9, b"\0\x02id\x01\x05\x03xyz");
        for len in 0..whole.len() {
            assert!(decode(BytesMut::from(&whole[..len])).is_err(), "{len}");
        }
        assert!(decode(whole).is_ok());
    }
}
