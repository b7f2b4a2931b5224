//! The ids of entries: milliseconds and a sequence number.

use std::fmt;

use crate::errors::CommandError;

/// An entry's id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct StreamId {
    pub(crate) ms: u64,
    pub(crate) seq: u64,
}

impl StreamId {
    /// Below every entry; no entry has it.
    pub(crate) const MIN: StreamId = StreamId { ms: 0, seq: 0 };
    /// The largest.
    pub(crate) const MAX: StreamId = StreamId { ms: u64::MAX, seq: u64::MAX };

    /// Reads `ms-seq`, or `ms` with the sequence number that is missing.
    pub(crate) fn parse(text: &[u8], missing_seq: u64) -> Result<StreamId, CommandError> {
        let invalid =
            || CommandError::said("ERR Invalid stream ID specified as stream command argument");
        let number = |digits: &[u8]| -> Option<u64> {
            if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
                return None;
            }
            std::str::from_utf8(digits).ok()?.parse().ok()
        };
        let (ms, seq) = match text.iter().position(|byte| *byte == b'-') {
            None => (number(text), Some(missing_seq)),
            Some(at) => (number(&text[..at]), number(&text[at + 1..])),
        };
        Ok(StreamId { ms: ms.ok_or_else(invalid)?, seq: seq.ok_or_else(invalid)? })
    }

    /// The id after this one; `None` after the last.
    pub(crate) fn next(self) -> Option<StreamId> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(StreamId { ms: self.ms, seq }),
            None => Some(StreamId { ms: self.ms.checked_add(1)?, seq: 0 }),
        }
    }

    /// The id before this one; `None` before the first.
    pub(crate) fn previous(self) -> Option<StreamId> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(StreamId { ms: self.ms, seq }),
            None => Some(StreamId { ms: self.ms.checked_sub(1)?, seq: u64::MAX }),
        }
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.ms, self.seq)
    }
}

/// An end of a range.
pub(crate) struct Bound;

impl Bound {
    /// The first id of a range: `-`, an id, or `(` before one that is not in it.
    pub(crate) fn start(text: &[u8]) -> Result<StreamId, CommandError> {
        match text {
            b"-" => Ok(StreamId::MIN),
            b"+" => Ok(StreamId::MAX),
            [b'(', id @ ..] => StreamId::parse(id, 0)?
                .next()
                .ok_or_else(|| CommandError::said("ERR invalid start ID for the interval")),
            id => StreamId::parse(id, 0),
        }
    }

    /// The last id of a range: `+`, an id, or `(` before one that is not in it.
    pub(crate) fn end(text: &[u8]) -> Result<StreamId, CommandError> {
        match text {
            b"-" => Ok(StreamId::MIN),
            b"+" => Ok(StreamId::MAX),
            [b'(', id @ ..] => StreamId::parse(id, u64::MAX)?
                .previous()
                .ok_or_else(|| CommandError::said("ERR invalid end ID for the interval")),
            id => StreamId::parse(id, u64::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_redis_reads_them() {
        let id = |ms, seq| Ok(StreamId { ms, seq });
        assert_eq!(StreamId::parse(b"5-3", 0), id(5, 3));
        assert_eq!(StreamId::parse(b"5", 9), id(5, 9));
        for wrong in ["", "-", "5-", "-5", "a-1", "1-b", "+1-1", "18446744073709551616-0"] {
            assert!(StreamId::parse(wrong.as_bytes(), 0).is_err(), "{wrong}");
        }
    }

    #[test]
    fn ranges_without_their_ends_begin_after_and_end_before() {
        assert_eq!(Bound::start(b"(5-3").unwrap(), StreamId { ms: 5, seq: 4 });
        assert_eq!(Bound::end(b"(5-0").unwrap(), StreamId { ms: 4, seq: u64::MAX });
        assert!(Bound::start(b"(18446744073709551615-18446744073709551615").is_err());
        assert!(Bound::end(b"(0-0").is_err());
    }
}
