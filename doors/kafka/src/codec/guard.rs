//! Checks every length and count of a request before anything decodes it.
//!
//! The `kafka-protocol` crate reserves memory for as many elements as a request announces: eight
//! bytes can ask for gigabytes. So a request is walked first, field by field, with no allocation:
//! every length must fit the bytes that remain, every count must fit them at the least size that an
//! element can have, and the elements of the whole request are limited, because one byte on the wire
//! can become a struct of two hundred in memory. What passes costs the crate at most
//! [`ELEMENTS_MAX`] times its largest struct, and strings are slices of the frame.
//!
//! # Invariants
//! - The crate is given exactly the bytes that were walked.
//! - The walk recurses only as deep as the schema, which is four.

use super::api::Api;
use super::reader::{DecodeError, Reader};
use super::schema::{self, Field, Kind};

/// LIMIT: array elements and tagged fields of one request. A consumer of every partition of a
/// 10,000-partition cluster stays far below it.
pub(crate) const ELEMENTS_MAX: usize = 200_000;

/// Walks a request's body; gives how many bytes it takes.
///
/// # Errors
/// [`DecodeError`] for anything that does not fit; the connection ends.
pub(crate) fn check(api: Api, version: i16, body: &[u8]) -> Result<usize, DecodeError> {
    let Some(fields) = schema::request(api) else { return Ok(body.len()) };
    let mut walk = Walk {
        reader: Reader::new(body),
        version,
        flexible: api.is_flexible(version),
        elements: 0,
    };
    walk.fields(fields)?;
    Ok(body.len() - walk.reader.remaining())
}

struct Walk<'a> {
    reader: Reader<'a>,
    version: i16,
    flexible: bool,
    elements: usize,
}

impl Walk<'_> {
    /// A struct: its fields and, at its end, its tagged fields.
    fn fields(&mut self, fields: &[Field]) -> Result<(), DecodeError> {
        for field in fields {
            if is_present(field, self.version) {
                self.value(field.kind)?;
            }
        }
        let tagged = self.reader.skip_tagged_fields(self.flexible)?;
        self.spend(tagged)
    }

    fn value(&mut self, kind: Kind) -> Result<(), DecodeError> {
        match kind {
            Kind::Fixed(size) => self.skip(Some(size)),
            Kind::Text => {
                let len = self.reader.text_len("string", self.flexible)?;
                self.skip(len)
            }
            Kind::Blob => {
                let len = self.reader.blob_len("bytes", self.flexible)?;
                self.skip(len)
            }
            Kind::Values(kind) => {
                for _ in 0..self.count(self.size_min(*kind))? {
                    self.value(*kind)?;
                }
                Ok(())
            }
            Kind::Structs(fields) => {
                for _ in 0..self.count(self.struct_size_min(fields))? {
                    self.fields(fields)?;
                }
                Ok(())
            }
            Kind::Nullable(fields) => match self.reader.i8()? {
                ..0 => Ok(()),
                0.. => self.fields(fields),
            },
        }
    }

    /// An array's count, which the bytes that remain must be able to hold.
    fn count(&mut self, element_bytes_min: usize) -> Result<usize, DecodeError> {
        let count = self.reader.count("array", self.flexible, element_bytes_min)?.unwrap_or(0);
        self.spend(count)?;
        Ok(count)
    }

    fn spend(&mut self, elements: usize) -> Result<(), DecodeError> {
        self.elements += elements;
        if self.elements > ELEMENTS_MAX {
            return Err(DecodeError::Elements { max: ELEMENTS_MAX });
        }
        Ok(())
    }

    fn skip(&mut self, len: Option<usize>) -> Result<(), DecodeError> {
        self.reader.bytes(len.unwrap_or(0)).map(drop)
    }

    fn struct_size_min(&self, fields: &[Field]) -> usize {
        let present = fields.iter().filter(|field| is_present(field, self.version));
        present.map(|field| self.size_min(field.kind)).sum::<usize>() + usize::from(self.flexible)
    }

    /// The fewest bytes a value can take.
    fn size_min(&self, kind: Kind) -> usize {
        match (kind, self.flexible) {
            (Kind::Fixed(size), _) => size,
            (Kind::Nullable(_), _)
            | (Kind::Text | Kind::Blob | Kind::Values(_) | Kind::Structs(_), true) => 1,
            (Kind::Text, false) => 2,
            (Kind::Blob | Kind::Values(_) | Kind::Structs(_), false) => 4,
        }
    }
}

fn is_present(field: &Field, version: i16) -> bool {
    (field.from..=field.until).contains(&version)
}

#[cfg(test)]
mod tests;
