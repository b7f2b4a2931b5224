//! Reading arguments.

use bytes::Bytes;

use crate::codec::parse_integer;
use crate::errors::CommandError;

/// Whether an argument is this word, in any case.
pub(crate) fn is(argument: &[u8], word: &str) -> bool {
    argument.eq_ignore_ascii_case(word.as_bytes())
}

/// A whole number.
pub(crate) fn integer(argument: &[u8]) -> Result<i64, CommandError> {
    parse_integer(argument).ok_or(CommandError::NotInteger)
}

/// An argument for people to read.
pub(crate) fn text(argument: &Bytes) -> String {
    String::from_utf8_lossy(argument).into_owned()
}
