//! A bounds-checked cursor over bytes from the wire.
//!
//! # Invariants
//! - Nothing is read past the end, and nothing is allocated.
//! - A length or count is compared with what remains before it is used.

use uuid::Uuid;

/// Why bytes are not the message they should be. Ends the connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecodeError {
    #[error("message is cut short: {needed} more bytes needed, {remaining} remain")]
    Truncated { needed: usize, remaining: usize },
    #[error("{field} has length {len}, which cannot be")]
    Length { field: &'static str, len: i64 },
    #[error("{field} has {count} elements, the bytes that remain hold at most {max}")]
    Count { field: &'static str, count: i64, max: usize },
    #[error("message has more than {max} elements")]
    Elements { max: usize },
    #[error("variable-length integer is longer than five bytes")]
    Varint,
    #[error("{field} is not UTF-8")]
    Utf8 { field: &'static str },
    #[error("{0} bytes follow the message")]
    Trailing(usize),
    #[error("{message} does not decode: {reason}")]
    Message { message: &'static str, reason: String },
}

/// A position in a byte slice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    pub(crate) fn remaining(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let remaining = self.rest.len();
        let (taken, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or(DecodeError::Truncated { needed: len - remaining.min(len), remaining })?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let mut array = [0; N];
        array.copy_from_slice(self.bytes(N)?);
        Ok(array)
    }

    pub(crate) fn i8(&mut self) -> Result<i8, DecodeError> {
        Ok(i8::from_be_bytes(self.array()?))
    }

    pub(crate) fn i16(&mut self) -> Result<i16, DecodeError> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    pub(crate) fn i32(&mut self) -> Result<i32, DecodeError> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    pub(crate) fn i64(&mut self) -> Result<i64, DecodeError> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    pub(crate) fn uuid(&mut self) -> Result<Uuid, DecodeError> {
        Ok(Uuid::from_bytes(self.array()?))
    }

    /// An unsigned LEB128 of at most 32 bits.
    pub(crate) fn varint(&mut self) -> Result<u32, DecodeError> {
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array()?;
            let bits = u32::from(byte & 0x7f);
            if shift == 28 && bits > 0x0f {
                return Err(DecodeError::Varint);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::Varint)
    }

    /// The length of a string: `None` is null.
    pub(crate) fn text_len(
        &mut self,
        field: &'static str,
        flexible: bool,
    ) -> Result<Option<usize>, DecodeError> {
        let len = if flexible { self.compact_len()? } else { i64::from(self.i16()?) };
        checked_len(field, len)
    }

    /// The length of a byte field: `None` is null.
    pub(crate) fn blob_len(
        &mut self,
        field: &'static str,
        flexible: bool,
    ) -> Result<Option<usize>, DecodeError> {
        let len = if flexible { self.compact_len()? } else { i64::from(self.i32()?) };
        checked_len(field, len)
    }

    /// The count of an array whose elements take at least `element_bytes_min` each; `None` is null.
    pub(crate) fn count(
        &mut self,
        field: &'static str,
        flexible: bool,
        element_bytes_min: usize,
    ) -> Result<Option<usize>, DecodeError> {
        let count = if flexible { self.compact_len()? } else { i64::from(self.i32()?) };
        checked_count(field, count, self.remaining() / element_bytes_min.max(1))
    }

    /// A string that is not null.
    pub(crate) fn text(
        &mut self,
        field: &'static str,
        flexible: bool,
    ) -> Result<&'a str, DecodeError> {
        self.nullable_text(field, flexible)?.ok_or(DecodeError::Length { field, len: -1 })
    }

    pub(crate) fn nullable_text(
        &mut self,
        field: &'static str,
        flexible: bool,
    ) -> Result<Option<&'a str>, DecodeError> {
        let Some(len) = self.text_len(field, flexible)? else { return Ok(None) };
        let bytes = self.bytes(len)?;
        std::str::from_utf8(bytes).map(Some).map_err(|_| DecodeError::Utf8 { field })
    }

    /// Skips the tagged fields at the end of a flexible struct; gives how many there were.
    pub(crate) fn skip_tagged_fields(&mut self, flexible: bool) -> Result<usize, DecodeError> {
        if !flexible {
            return Ok(0);
        }
        // A tagged field takes at least a tag and a size.
        let max = self.remaining().saturating_sub(1) / 2;
        let declared = i64::from(self.varint()?);
        let count = checked_count("tagged fields", declared, max)?.unwrap_or(0);
        for _ in 0..count {
            self.varint()?;
            let len = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
            self.bytes(len)?;
        }
        Ok(count)
    }

    /// A compact length is one more than it says; 0 is null.
    fn compact_len(&mut self) -> Result<i64, DecodeError> {
        Ok(i64::from(self.varint()?) - 1)
    }
}

pub(crate) fn checked_len(field: &'static str, len: i64) -> Result<Option<usize>, DecodeError> {
    if len == -1 {
        return Ok(None);
    }
    usize::try_from(len).map(Some).map_err(|_| DecodeError::Length { field, len })
}

pub(crate) fn checked_count(
    field: &'static str,
    count: i64,
    max: usize,
) -> Result<Option<usize>, DecodeError> {
    match checked_len(field, count)? {
        Some(len) if len > max => Err(DecodeError::Count { field, count, max }),
        len => Ok(len),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_varint_of_six_bytes_is_refused() {
        assert_eq!(Reader::new(&[0xff; 6]).varint(), Err(DecodeError::Varint));
    }

    #[test]
    fn a_varint_above_32_bits_is_refused() {
        assert_eq!(Reader::new(&[0xff, 0xff, 0xff, 0xff, 0x1f]).varint(), Err(DecodeError::Varint));
        assert_eq!(Reader::new(&[0xff, 0xff, 0xff, 0xff, 0x0f]).varint(), Ok(u32::MAX));
    }

    #[test]
    fn a_count_beyond_the_remaining_bytes_is_refused() {
        let mut reader = Reader::new(&[0x7f, 0xff, 0xff, 0xff, 1, 2, 3]);
        let refused = reader.count("topics", false, 1);
        assert_eq!(
            refused,
            Err(DecodeError::Count { field: "topics", count: 0x7fff_ffff, max: 3 })
        );
    }

    #[test]
    fn a_length_below_minus_one_is_refused() {
        let refused = Reader::new(&[0xff, 0xfe]).text_len("name", false);
        assert_eq!(refused, Err(DecodeError::Length { field: "name", len: -2 }));
    }

    #[test]
    fn null_and_empty_differ() {
        assert_eq!(Reader::new(&[0]).nullable_text("name", true), Ok(None));
        assert_eq!(Reader::new(&[1]).nullable_text("name", true), Ok(Some("")));
        assert_eq!(Reader::new(&[0xff, 0xff]).nullable_text("name", false), Ok(None));
        assert_eq!(Reader::new(&[0, 0]).nullable_text("name", false), Ok(Some("")));
    }
}
