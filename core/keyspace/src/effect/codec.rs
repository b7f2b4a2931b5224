//! Variable-length numbers and length-prefixed bytes.
//!
//! Every read is checked against what remains; nothing is allocated for a length before the bytes
//! are known to be there.

use bytes::Bytes;

/// LIMIT: seven bits a byte, so 64 bits take at most ten.
const NUMBER_BYTES_MAX: usize = 10;

/// Stored bytes that are not what was written, or were written by a later version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// They end too early.
    #[error("stored effect is cut short")]
    CutShort,
    /// A number is longer than 64 bits.
    #[error("stored number is longer than 64 bits")]
    LongNumber,
    /// The change is of no known kind.
    #[error("stored effect is of unknown kind {0}")]
    UnknownKind(u8),
    /// A field has a value that it cannot have.
    #[error("stored field has a value that it cannot have")]
    BadField,
}

/// Appends a number, seven bits a byte, low bits first.
pub(super) fn put_number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// Appends a signed number; small ones of either sign are short.
pub(super) fn put_signed(out: &mut Vec<u8>, value: i64) {
    put_number(out, ((value << 1) ^ (value >> 63)).cast_unsigned());
}

/// Appends a number of things that follow.
pub(super) fn put_count(out: &mut Vec<u8>, count: usize) {
    put_number(out, u64::try_from(count).expect("a usize fits 64 bits"));
}

/// Appends a length and the bytes.
pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_count(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// Reads values from a slice.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl Reader<'_> {
    /// Whether all has been read.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One byte.
    pub(super) fn byte(&mut self) -> Result<u8, Damage> {
        let (&first, rest) = self.0.split_first().ok_or(Damage::CutShort)?;
        self.0 = rest;
        Ok(first)
    }

    /// A number.
    pub(super) fn number(&mut self) -> Result<u64, Damage> {
        let mut value = 0_u64;
        for index in 0..NUMBER_BYTES_MAX {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if index == NUMBER_BYTES_MAX - 1 && bits > 1 {
                break;
            }
            value |= bits << (7 * index);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Damage::LongNumber)
    }

    /// A signed number.
    pub(super) fn signed(&mut self) -> Result<i64, Damage> {
        let value = self.number()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    /// A number of things that follow, each of at least one byte.
    pub(super) fn count(&mut self) -> Result<usize, Damage> {
        match usize::try_from(self.number()?) {
            Ok(count) if count <= self.0.len() => Ok(count),
            _ => Err(Damage::CutShort),
        }
    }

    /// A length and that many bytes.
    pub(super) fn bytes(&mut self) -> Result<Bytes, Damage> {
        let count = self.count()?;
        let (bytes, rest) = self.0.split_at(count);
        self.0 = rest;
        Ok(Bytes::copy_from_slice(bytes))
    }

    /// The sixteen bytes of an id.
    pub(super) fn id(&mut self) -> Result<[u8; 16], Damage> {
        let (id, rest) = self.0.split_first_chunk().ok_or(Damage::CutShort)?;
        self.0 = rest;
        Ok(*id)
    }

    /// A float that is a number.
    pub(super) fn score(&mut self) -> Result<f64, Damage> {
        let (bytes, rest) = self.0.split_first_chunk::<8>().ok_or(Damage::CutShort)?;
        self.0 = rest;
        let score = f64::from_le_bytes(*bytes);
        if score.is_nan() { Err(Damage::BadField) } else { Ok(score) }
    }

    /// Several of something.
    pub(super) fn list<T>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Result<T, Damage>,
    ) -> Result<Vec<T>, Damage> {
        // An item takes more memory than the byte it may be read from, so the list grows as it is read.
        let mut list = Vec::new();
        for _ in 0..self.count()? {
            list.push(read(self)?);
        }
        Ok(list)
    }
}
