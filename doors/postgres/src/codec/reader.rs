//! A bounds-checked cursor over one message body.

use bytes::{Buf, Bytes};

use super::DecodeError;

/// Takes fields from the front of a body. Every method fails rather than reads past the end.
pub(super) struct Reader {
    body: Bytes,
}

impl Reader {
    pub(super) fn new(body: Bytes) -> Reader {
        Reader { body }
    }

    pub(super) fn u8(&mut self, what: &'static str) -> Result<u8, DecodeError> {
        self.body.try_get_u8().map_err(|_| DecodeError::Truncated { what })
    }

    pub(super) fn u16(&mut self, what: &'static str) -> Result<u16, DecodeError> {
        self.body.try_get_u16().map_err(|_| DecodeError::Truncated { what })
    }

    pub(super) fn i32(&mut self, what: &'static str) -> Result<i32, DecodeError> {
        self.body.try_get_i32().map_err(|_| DecodeError::Truncated { what })
    }

    /// A run of `count` integers, refused before memory is taken if they cannot be there.
    pub(super) fn list<T>(
        &mut self,
        what: &'static str,
        item_len: usize,
        mut item: impl FnMut(&mut Bytes) -> T,
    ) -> Result<Vec<T>, DecodeError> {
        let count = usize::from(self.u16(what)?);
        if self.body.len() < count * item_len {
            return Err(DecodeError::Truncated { what });
        }
        Ok((0..count).map(|_| item(&mut self.body)).collect())
    }

    /// Text up to and without its terminating zero.
    pub(super) fn text(&mut self, what: &'static str) -> Result<String, DecodeError> {
        let Some(end) = self.body.iter().position(|byte| *byte == 0) else {
            return Err(DecodeError::Truncated { what });
        };
        let text = self.body.split_to(end);
        self.body.advance(1);
        String::from_utf8(text.into()).map_err(|_| DecodeError::NotText { what })
    }

    /// `len` bytes, shared with the body.
    pub(super) fn bytes(&mut self, what: &'static str, len: usize) -> Result<Bytes, DecodeError> {
        if self.body.len() < len {
            return Err(DecodeError::Truncated { what });
        }
        Ok(self.body.split_to(len))
    }

    pub(super) fn rest(&mut self) -> Bytes {
        std::mem::take(&mut self.body)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.body.is_empty()
    }

    /// The body must end here.
    pub(super) fn finish(self) -> Result<(), DecodeError> {
        match self.body.len() {
            0 => Ok(()),
            count => Err(DecodeError::LeftOver { count }),
        }
    }
}
