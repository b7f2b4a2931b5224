//! Takes a frame apart from its front, handing out owned pieces without copying.
//!
//! # Invariants
//! - The pieces do not overlap, so each is the only owner of its bytes and may be changed in place.

use bytes::{Buf, Bytes, BytesMut};
use uuid::Uuid;

use super::reader::{DecodeError, Reader};

/// What is left of a frame.
#[derive(Debug)]
pub(crate) struct Taker {
    rest: BytesMut,
}

impl Taker {
    pub(crate) fn new(frame: BytesMut) -> Taker {
        Taker { rest: frame }
    }

    /// Reads numbers and lengths; what was read is dropped from the front.
    pub(crate) fn read<T>(
        &mut self,
        read: impl FnOnce(&mut Reader<'_>) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        let mut reader = Reader::new(&self.rest);
        let value = read(&mut reader)?;
        let used = self.rest.len() - reader.remaining();
        self.rest.advance(used);
        Ok(value)
    }

    pub(crate) fn i16(&mut self) -> Result<i16, DecodeError> {
        self.read(|reader| reader.i16())
    }

    pub(crate) fn i32(&mut self) -> Result<i32, DecodeError> {
        self.read(|reader| reader.i32())
    }

    pub(crate) fn uuid(&mut self) -> Result<Uuid, DecodeError> {
        self.read(|reader| reader.uuid())
    }

    /// A string's bytes, checked to be UTF-8.
    pub(crate) fn nullable_text(
        &mut self,
        field: &'static str,
        flexible: bool,
    ) -> Result<Option<Bytes>, DecodeError> {
        let Some(len) = self.read(|reader| reader.text_len(field, flexible))? else {
            return Ok(None);
        };
        let text = self.split(len)?.freeze();
        std::str::from_utf8(&text).map_err(|_| DecodeError::Utf8 { field })?;
        Ok(Some(text))
    }

    /// A byte field, to be changed in place.
    pub(crate) fn nullable_blob(
        &mut self,
        field: &'static str,
        flexible: bool,
    ) -> Result<Option<BytesMut>, DecodeError> {
        match self.read(|reader| reader.blob_len(field, flexible))? {
            Some(len) => self.split(len).map(Some),
            None => Ok(None),
        }
    }

    fn split(&mut self, len: usize) -> Result<BytesMut, DecodeError> {
        let remaining = self.rest.len();
        if len > remaining {
            return Err(DecodeError::Truncated { needed: len - remaining, remaining });
        }
        Ok(self.rest.split_to(len))
    }
}
