//! PLAIN's one message.
//!
//! # Source
//! RFC 4616: `[authzid] NUL authcid NUL passwd`. Acting as another user than the one who logs in is
//! refused, as Kafka refuses it.

use std::fmt;

/// LIMIT: longest message: a user's name twice and the longest password.
pub(crate) const MESSAGE_BYTES_MAX: usize = 4096;

/// A user and a password, as they were sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct PlainMessage<'a> {
    pub(crate) user: &'a str,
    pub(crate) password: &'a [u8],
}

/// Why a message cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PlainError {
    #[error("a PLAIN message of {size} bytes is too long; {max} are allowed", max = MESSAGE_BYTES_MAX)]
    TooLong { size: usize },
    #[error("a PLAIN message has two zero bytes, not {0}")]
    Parts(usize),
    #[error("a user's name is not UTF-8, or is empty")]
    User,
    #[error("it asks to act as another user")]
    Identity,
}

impl<'a> PlainMessage<'a> {
    /// Reads a message.
    pub(crate) fn parse(message: &'a [u8]) -> Result<PlainMessage<'a>, PlainError> {
        if message.len() > MESSAGE_BYTES_MAX {
            return Err(PlainError::TooLong { size: message.len() });
        }
        let parts: Vec<&[u8]> = message.split(|&byte| byte == 0).collect();
        let &[identity, user, password] = &parts[..] else {
            return Err(PlainError::Parts(parts.len() - 1));
        };
        if user.is_empty() {
            return Err(PlainError::User);
        }
        let name = std::str::from_utf8(user).map_err(|_| PlainError::User)?;
        if !identity.is_empty() && identity != user {
            return Err(PlainError::Identity);
        }
        Ok(PlainMessage { user: name, password })
    }
}

impl fmt::Debug for PlainMessage<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PlainMessage({:?})", self.user)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_user_and_a_password_are_read_with_or_without_an_identity() {
        let expected = PlainMessage { user: "alice", password: b"s3cret" };
        assert_eq!(PlainMessage::parse(b"\0alice\0s3cret"), Ok(expected));
        assert_eq!(PlainMessage::parse(b"alice\0alice\0s3cret"), Ok(expected));
    }

    #[test]
    fn nobody_acts_as_another() {
        assert_eq!(PlainMessage::parse(b"admin\0alice\0s3cret"), Err(PlainError::Identity));
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for (message, error) in [
            (&b""[..], PlainError::Parts(0)),
            (b"alice\0s3cret", PlainError::Parts(1)),
            (b"\0alice\0s3cret\0", PlainError::Parts(3)),
            (b"\0\0s3cret", PlainError::User),
            (b"\0\xff\0s3cret", PlainError::User),
        ] {
            assert_eq!(PlainMessage::parse(message), Err(error), "{message:?}");
        }
        let long = [b"\0a\0", &[b'x'; MESSAGE_BYTES_MAX][..]].concat();
        assert_eq!(PlainMessage::parse(&long), Err(PlainError::TooLong { size: long.len() }));
    }

    #[test]
    fn it_shows_no_password_when_it_is_printed() {
        let message = PlainMessage { user: "alice", password: b"s3cret" };
        assert_eq!(format!("{message:?}"), "PlainMessage(\"alice\")");
    }

    proptest! {
        #[test]
        fn whatever_was_written_is_read_back(user in "[^\0]{1,40}", password in "[^\0]{0,40}") {
            let message = format!("\0{user}\0{password}");
            let expected = PlainMessage { user: &user, password: password.as_bytes() };
            prop_assert_eq!(PlainMessage::parse(message.as_bytes()), Ok(expected));
        }
    }
}
