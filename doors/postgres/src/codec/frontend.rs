//! The messages of an open session.

use bytes::{Buf, Bytes, BytesMut};
use pgwire::messages::extendedquery::Bind;

use super::reader::Reader;
use super::sasl::Answer;
use super::{DecodeError, SMALL_BYTES_MAX};

/// A message from a client. Names are empty for the unnamed statement or portal.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frontend {
    Query(String),
    Parse {
        name: String,
        sql: String,
        parameter_types: Vec<u32>,
    },
    Bind(Bind),
    Describe(Target),
    Execute {
        portal: String,
        rows_max: usize,
    },
    Close(Target),
    Flush,
    Sync,
    CopyData(Bytes),
    CopyDone,
    CopyFail(String),
    /// An answer to an authentication request.
    Answer(Answer),
    Terminate,
}

/// What Describe and Close are about.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Statement(String),
    Portal(String),
}

/// Takes one message from `input`; `None` when more bytes are needed. `max` bounds large messages.
///
/// # Errors
/// [`DecodeError`]: the connection cannot be used further.
pub(crate) fn decode(input: &mut BytesMut, max: usize) -> Result<Option<Frontend>, DecodeError> {
    let Some([kind, header @ ..]) = input.first_chunk::<5>() else {
        return input.first().map_or(Ok(None), |kind| limit(*kind, max).map(|_| None));
    };
    let (kind, len) = (*kind, i32::from_be_bytes(*header));
    let max = limit(kind, max)?;
    let size = usize::try_from(len).map_err(|_| DecodeError::Length { len })?;
    if size < 4 {
        return Err(DecodeError::Length { len });
    }
    if size > max {
        return Err(DecodeError::TooLarge { len: size, max });
    }
    if input.len() <= size {
        return Ok(None);
    }
    let mut message = input.split_to(size + 1);
    message.advance(5);
    body(kind, Reader::new(message.freeze())).map(Some)
}

/// The largest message of this type, or that there is none.
fn limit(kind: u8, max: usize) -> Result<usize, DecodeError> {
    match kind {
        b'Q' | b'P' | b'B' | b'd' => Ok(max),
        b'D' | b'E' | b'C' | b'H' | b'S' | b'c' | b'f' | b'p' | b'X' => {
            Ok(SMALL_BYTES_MAX.min(max))
        }
        kind => Err(DecodeError::Kind { kind }),
    }
}

fn body(kind: u8, mut reader: Reader) -> Result<Frontend, DecodeError> {
    let message = match kind {
        b'Q' => Frontend::Query(reader.text("query")?),
        b'P' => Frontend::Parse {
            name: reader.text("statement name")?,
            sql: reader.text("query")?,
            parameter_types: reader.list("parameter types", 4, Buf::get_u32)?,
        },
        b'B' => Frontend::Bind(bind(&mut reader)?),
        b'D' => Frontend::Describe(target(&mut reader)?),
        b'E' => Frontend::Execute {
            portal: reader.text("portal name")?,
            // A count below one means all, as it does for PostgreSQL.
            rows_max: usize::try_from(reader.i32("row count")?).unwrap_or(0),
        },
        b'C' => Frontend::Close(target(&mut reader)?),
        b'H' => Frontend::Flush,
        b'S' => Frontend::Sync,
        b'd' => Frontend::CopyData(reader.rest()),
        b'c' => Frontend::CopyDone,
        b'f' => Frontend::CopyFail(reader.text("reason")?),
        b'p' => Frontend::Answer(Answer::new(reader.rest())),
        b'X' => Frontend::Terminate,
        kind => return Err(DecodeError::Kind { kind }),
    };
    reader.finish().map(|()| message)
}

fn bind(reader: &mut Reader) -> Result<Bind, DecodeError> {
    let portal = reader.text("portal name")?;
    let statement = reader.text("statement name")?;
    let parameter_formats = reader.list("parameter formats", 2, Buf::get_i16)?;
    let count = reader.u16("parameter count")?;
    let mut parameters = Vec::new();
    for _ in 0..count {
        let len = reader.i32("parameter length")?;
        parameters.push(match usize::try_from(len) {
            Ok(len) => Some(reader.bytes("parameter value", len)?),
            Err(_) if len == -1 => None,
            Err(_) => return Err(DecodeError::Length { len }),
        });
    }
    let result_formats = reader.list("result formats", 2, Buf::get_i16)?;
    Ok(Bind::new(Some(portal), Some(statement), parameter_formats, parameters, result_formats))
}

fn target(reader: &mut Reader) -> Result<Target, DecodeError> {
    match reader.u8("subtype")? {
        b'S' => Ok(Target::Statement(reader.text("statement name")?)),
        b'P' => Ok(Target::Portal(reader.text("portal name")?)),
        subtype => Err(DecodeError::Subtype { subtype }),
    }
}

#[cfg(test)]
#[path = "frontend_tests.rs"]
mod tests;
