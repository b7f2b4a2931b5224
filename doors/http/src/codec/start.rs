//! Where a reader begins, in words: `beginning`, `end`, an offset, or a time.

use posthouse_types::{Offset, Timestamp};

/// A place to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// The first record that can be read.
    Beginning,
    /// After the last one.
    End,
    /// This offset, in every partition read.
    Offset(Offset),
    /// The first record at or after this time.
    Time(Timestamp),
}

/// Reads `beginning`, `end`, a number, or an RFC 3339 time.
///
/// # Errors
/// A fragment for a person, without the value.
pub(crate) fn parse(text: &str) -> Result<Start, &'static str> {
    const SHAPE: &str = "is not beginning, end, an offset, or a time such as 2013-07-01T12:00:00Z";
    match text.trim() {
        "beginning" | "earliest" => Ok(Start::Beginning),
        "end" | "latest" => Ok(Start::End),
        number if number.bytes().all(|byte| byte.is_ascii_digit()) => {
            number.parse().ok().and_then(Offset::new).map(Start::Offset).ok_or(SHAPE)
        }
        // A `+` of a zone arrives as a space from those who did not encode it.
        time => time
            .replace(' ', "+")
            .parse::<jiff::Timestamp>()
            .map(|time| Start::Time(Timestamp::from_ms(time.as_millisecond())))
            .map_err(|_| SHAPE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_spelling_is_understood() {
        assert_eq!(parse("beginning"), Ok(Start::Beginning));
        assert_eq!(parse("latest"), Ok(Start::End));
        assert_eq!(parse("17"), Ok(Start::Offset(Offset::new(17).unwrap())));
        let noon = Ok(Start::Time(Timestamp::from_ms(1_372_680_000_000)));
        assert_eq!(parse("2013-07-01T12:00:00Z"), noon);
        assert_eq!(parse("2013-07-01T14:00:00 02:00"), noon);
        for text in ["", "-1", "yesterday", "99999999999999999999"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
