//! A client's answers to an authentication request.
//!
//! They share one type byte, so that only the exchange knows which of them it waits for.

use std::fmt;

use bytes::Bytes;

use super::DecodeError;
use super::reader::Reader;

/// An answer that has not been read yet. It may hold a proof or a password, and shows neither.
#[derive(PartialEq, Eq)]
pub(crate) struct Answer(Bytes);

/// `SASLInitialResponse`: the mechanism that a client has chosen, and its first message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SaslInitial {
    pub(crate) mechanism: String,
    /// `None` when the client wants to be asked for it.
    pub(crate) response: Option<Bytes>,
}

impl Answer {
    pub(crate) fn new(body: Bytes) -> Answer {
        Answer(body)
    }

    /// As the first answer of a SASL exchange.
    ///
    /// # Errors
    /// [`DecodeError`] when its length and its fields disagree.
    pub(crate) fn into_initial(self) -> Result<SaslInitial, DecodeError> {
        let mut reader = Reader::new(self.0);
        let mechanism = reader.text("SASL mechanism")?;
        let len = reader.i32("SASL response length")?;
        let response = match usize::try_from(len) {
            Ok(len) => Some(reader.bytes("SASL response", len)?),
            Err(_) if len == -1 => None,
            Err(_) => return Err(DecodeError::Length { len }),
        };
        reader.finish()?;
        Ok(SaslInitial { mechanism, response })
    }

    /// As a later one, which is all of its bytes.
    pub(crate) fn into_response(self) -> Bytes {
        self.0
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Answer({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn initial(body: &'static [u8]) -> Result<SaslInitial, DecodeError> {
        Answer::new(Bytes::from_static(body)).into_initial()
    }

    #[test]
    fn the_first_answer_names_a_mechanism_and_may_bring_a_message() {
        let expected = SaslInitial {
            mechanism: "SCRAM-SHA-256".into(),
            response: Some(Bytes::from_static(b"n,,")),
        };
        assert_eq!(initial(b"SCRAM-SHA-256\0\0\0\0\x03n,,"), Ok(expected));
        let asked = SaslInitial { mechanism: "X".into(), response: None };
        assert_eq!(initial(b"X\0\xff\xff\xff\xff"), Ok(asked));
    }

    #[test]
    fn a_first_answer_that_is_cut_short_or_goes_on_is_refused() {
        let whole = b"SCRAM-SHA-256\0\0\0\0\x03n,,";
        for len in 0..whole.len() {
            let cut = Answer::new(Bytes::from_static(&whole[..len])).into_initial();
            assert!(cut.is_err(), "{len}: {cut:?}");
        }
        assert_eq!(initial(b"X\0\0\0\0\x01ab"), Err(DecodeError::LeftOver { count: 1 }));
        assert_eq!(initial(b"X\0\xff\xff\xff\xfe"), Err(DecodeError::Length { len: -2 }));
        assert!(initial(b"X\0\x7f\xff\xff\xffab").is_err());
    }

    #[test]
    fn an_answer_does_not_show_what_it_holds() {
        let answer = Answer::new(Bytes::from_static(b"hunter2\0"));
        assert_eq!(format!("{answer:?}"), "Answer(8 bytes)");
    }
}
