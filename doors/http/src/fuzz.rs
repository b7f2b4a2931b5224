//! Entry points for fuzz targets: arbitrary bytes in, and out whether they could be read.
//!
//! They panic only when a promise is broken: a record that, written, does not read back the same, or
//! a body that reads differently when it is cut differently.

use bytes::Bytes;
use posthouse_record::Record;
use posthouse_types::{Offset, PartitionIndex, Timestamp};

use crate::codec::lines::{LineTooLong, Lines};
use crate::codec::record::{decode_line, encode_line};
use crate::codec::{assignment, frame, lease, positions, start};

/// LIMIT: bytes of a line here.
const LINE_BYTES_MAX: usize = 4 * 1024;

/// A body of records, one JSON object a line, that comes in pieces; the first byte says how large.
pub fn produce_body(input: &[u8]) -> bool {
    let Some((size, body)) = input.split_first() else { return false };
    let cut = lines_of(body, usize::from(*size) + 1);
    // A line that is too long may be found out before its end, so only its neighbours must agree.
    if let (Ok(cut), Ok(whole)) = (&cut, &lines_of(body, body.len().max(1))) {
        assert_eq!(cut, whole);
    }
    cut.is_ok_and(|lines| lines.iter().filter(|line| record(line)).count() > 0)
}

/// Texts in a query string or a body: where to begin, the positions of a reader, a lease.
pub fn parameters(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else { return false };
    let started = start::parse(text).is_ok() || lease::parse(text).is_some();
    let Ok(read) = positions::parse(text) else { return started };
    let written = positions::show(read.iter().copied());
    assert_eq!(positions::parse(&written).expect("it was just written"), read);
    true
}

/// What a member of a consumer group was given to read.
pub fn assignment(input: &[u8]) -> bool {
    assignment::decode(input).is_some()
}

/// A WebSocket frame, read as text and as binary.
pub fn frame(input: &[u8]) -> bool {
    let as_text = frame::text(input).is_ok();
    frame::binary(&Bytes::copy_from_slice(input)).is_ok() || as_text
}

fn lines_of(body: &[u8], piece_bytes: usize) -> Result<Vec<Bytes>, LineTooLong> {
    let mut lines = Lines::new(LINE_BYTES_MAX);
    let mut whole = Vec::new();
    for piece in body.chunks(piece_bytes) {
        lines.push(piece);
        while let Some(line) = lines.next()? {
            whole.push(line);
        }
    }
    whole.extend(lines.rest());
    Ok(whole)
}

fn record(line: &[u8]) -> bool {
    let Ok(read) = decode_line(line) else { return false };
    let partition = read.partition.unwrap_or(PartitionIndex::ZERO);
    let record = Record {
        offset: Offset::ZERO,
        timestamp: read.timestamp.unwrap_or(Timestamp::NONE),
        key: read.key.clone(),
        value: read.value.clone(),
        headers: read.headers.clone(),
    };
    let mut written = Vec::new();
    encode_line(&mut written, partition, &record);
    let again = decode_line(&written).expect("it was just written");
    assert_eq!((again.key, again.value, again.headers), (read.key, read.value, read.headers));
    assert_eq!((again.partition, again.timestamp), (Some(partition), Some(record.timestamp)));
    true
}
