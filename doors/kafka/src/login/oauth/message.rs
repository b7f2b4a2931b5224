//! OAUTHBEARER's first message.
//!
//! # Source
//! RFC 7628, section 3.1: a GS2 header, then pairs of key and value, with `%x01` between all.

/// LIMIT: longest message; tokens of a few kilobytes are common.
const MESSAGE_BYTES_MAX: usize = 32 * 1024;

const SEPARATOR: char = '\u{1}';

/// A token, and on whose behalf it is used, if the client says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct BearerMessage<'a> {
    pub(crate) identity: Option<&'a str>,
    pub(crate) token: &'a str,
}

/// Why a message cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MessageError {
    #[error("an OAUTHBEARER message of {size} bytes is too long; {max} are allowed", max = MESSAGE_BYTES_MAX)]
    TooLong { size: usize },
    #[error("malformed OAUTHBEARER message: {0}")]
    Malformed(&'static str),
}

impl<'a> BearerMessage<'a> {
    /// Reads a message. Pairs other than `auth` (SASL extensions, KIP-342) are not used.
    pub(crate) fn parse(message: &'a [u8]) -> Result<BearerMessage<'a>, MessageError> {
        use MessageError::Malformed;
        if message.len() > MESSAGE_BYTES_MAX {
            return Err(MessageError::TooLong { size: message.len() });
        }
        let text = std::str::from_utf8(message).map_err(|_| Malformed("it is not UTF-8"))?;
        let (header, pairs) = text.split_once(SEPARATOR).ok_or(Malformed("no pairs"))?;
        let identity = match header.strip_prefix("n,").and_then(|rest| rest.strip_suffix(',')) {
            Some("") => None,
            Some(rest) => Some(rest.strip_prefix("a=").ok_or(Malformed("no GS2 header"))?),
            None => return Err(Malformed("no GS2 header")),
        };
        let pairs = pairs.strip_suffix(SEPARATOR).ok_or(Malformed("no end"))?;
        let mut values = pairs.split(SEPARATOR).filter_map(|pair| pair.strip_prefix("auth="));
        let value = values.next().ok_or(Malformed("no auth"))?;
        if values.next().is_some() {
            return Err(Malformed("auth is there twice"));
        }
        let (scheme, token) = value.split_once(' ').ok_or(Malformed("no token"))?;
        let token = token.trim();
        if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
            return Err(Malformed("no bearer token"));
        }
        Ok(BearerMessage { identity, token })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_clients_send_it() {
        let message = BearerMessage::parse(b"n,,\x01auth=Bearer a.b.c\x01\x01").unwrap();
        assert_eq!((message.identity, message.token), (None, "a.b.c"));
        let message = b"n,a=alice,\x01host=h\x01auth=bearer  a.b.c\x01traceId=7\x01\x01";
        let message = BearerMessage::parse(message).unwrap();
        assert_eq!((message.identity, message.token), (Some("alice"), "a.b.c"));
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for message in [
            &b""[..],
            b"\x01",
            b"n,,",
            b"n,,\x01\x01",
            b"n,,\x01auth=Bearer a\x01auth=Bearer b\x01\x01",
            b"n,,\x01auth=Basic a\x01\x01",
            b"n,,\x01auth=Bearer \x01\x01",
            b"n,,\x01auth=Bearer",
            b"y,,\x01auth=Bearer a\x01\x01",
            b"n,b=x,\x01auth=Bearer a\x01\x01",
            b"n,,\x01auth=Bearer \xff\x01\x01",
        ] {
            assert!(BearerMessage::parse(message).is_err(), "{message:?}");
        }
        let long = vec![b'x'; MESSAGE_BYTES_MAX + 1];
        assert!(matches!(BearerMessage::parse(&long), Err(MessageError::TooLong { .. })));
    }
}
