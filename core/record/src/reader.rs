//! Reads the fields of a record from a slice, never beyond its end.

use crate::varint;

/// Why a record is malformed, as a fragment of [`crate::BatchError::Record`].
pub(crate) type Reason = &'static str;

/// A position in the bytes of a record.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes, position: 0 }
    }

    /// Bytes read so far.
    pub(crate) fn position(&self) -> usize {
        self.position
    }

    pub(crate) fn remaining(&self) -> usize {
        self.bytes.len() - self.position
    }

    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], Reason> {
        let rest = &self.bytes[self.position..];
        let taken = rest.get(..len).ok_or("it is cut short")?;
        self.position += len;
        Ok(taken)
    }

    pub(crate) fn varint(&mut self) -> Result<i32, Reason> {
        let (value, used) = varint::read_i32(&self.bytes[self.position..])?;
        self.position += used;
        Ok(value)
    }

    pub(crate) fn varlong(&mut self) -> Result<i64, Reason> {
        let (value, used) = varint::read_i64(&self.bytes[self.position..])?;
        self.position += used;
        Ok(value)
    }

    /// A length or a count, which may not be negative.
    pub(crate) fn length(&mut self) -> Result<usize, Reason> {
        usize::try_from(self.varint()?).map_err(|_| "a length is negative")
    }

    /// Bytes after their length; `None` when the length is -1.
    pub(crate) fn nullable_bytes(&mut self) -> Result<Option<&'a [u8]>, Reason> {
        match self.varint()? {
            -1 => Ok(None),
            len => {
                let len = usize::try_from(len).map_err(|_| "a length is negative")?;
                self.take(len).map(Some)
            }
        }
    }
}
