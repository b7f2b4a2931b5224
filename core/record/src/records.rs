//! The records of a batch, one at a time.
//!
//! Owns the layout of a record. Everything about it is checked before it is given out; nothing is
//! copied, and nothing is allocated but the list of headers of [`Record`].
//!
//! # Invariants
//! - Offsets rise strictly and stay within the batch.
//! - There are exactly as many records as the header says, and no bytes after them.
//! - After an error there is nothing more.
//!
//! # Source
//! Kafka message format, Record. A record's own attributes are unused there and ignored here.

use std::ops::Range;

use bytes::Bytes;
use posthouse_types::{Offset, Timestamp};

use crate::reader::{Reader, Reason};
use crate::{BatchError, BatchHeader};

/// LIMIT: headers of one [`Record`], which takes 64 bytes of memory for every two of input.
/// [`Records::next_view`] has no limit, because it keeps no list.
pub const RECORD_HEADERS_MAX: usize = 65_536;

/// A record header takes at least its two lengths.
const RECORD_HEADER_BYTES_MIN: usize = 2;

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its place in the log.
    pub offset: Offset,
    /// When it was made, or appended, as its topic chooses.
    pub timestamp: Timestamp,
    /// The key, if it has one.
    pub key: Option<Bytes>,
    /// The value; a record without one is a tombstone in a compacted topic.
    pub value: Option<Bytes>,
    /// Headers in their order; a name may come more than once.
    pub headers: Vec<Header>,
}

/// A record header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// UTF-8 by convention; not checked.
    pub name: Bytes,
    /// Any bytes, or none.
    pub value: Option<Bytes>,
}

/// A record where it lies in its batch.
#[derive(Clone, Copy, Debug)]
pub struct RecordView<'a> {
    /// Its place in the log.
    pub offset: Offset,
    /// When it was made, or appended, as its topic chooses.
    pub timestamp: Timestamp,
    /// The key, if it has one.
    pub key: Option<&'a [u8]>,
    /// The value; a record without one is a tombstone in a compacted topic.
    pub value: Option<&'a [u8]>,
    headers: &'a [u8],
    /// The record as it is stored, from its length on.
    pub(crate) stored: &'a [u8],
    /// The parts of `stored` that a change of base timestamp leaves alone.
    pub(crate) after_timestamp: &'a [u8],
}

impl<'a> RecordView<'a> {
    /// Its headers, in order.
    pub fn headers(&self) -> HeaderViews<'a> {
        HeaderViews { rest: Reader::new(self.headers) }
    }
}

/// Iterates over the headers of a [`RecordView`]: name and value.
pub struct HeaderViews<'a> {
    rest: Reader<'a>,
}

impl<'a> Iterator for HeaderViews<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.remaining() == 0 {
            return None;
        }
        // The record was walked before it was given out, so this reads what is known to be there.
        read_header(&mut self.rest).ok()
    }
}

/// Iterates over the records of a batch.
#[derive(Debug)]
pub struct Records {
    data: Bytes,
    position: usize,
    batch: BatchHeader,
    index: usize,
    count: usize,
    offset_delta_min: u32,
    failed: bool,
}

impl Records {
    /// Over `data`, which is what `batch` holds, decompressed.
    pub(crate) fn new(data: Bytes, batch: BatchHeader) -> Records {
        let count = usize::try_from(batch.record_count).unwrap_or(usize::MAX);
        Records { data, position: 0, batch, index: 0, count, offset_delta_min: 0, failed: false }
    }

    /// The next record, borrowed; for work that keeps nothing of most records.
    pub fn next_view(&mut self) -> Option<Result<RecordView<'_>, BatchError>> {
        let parsed = match self.advance()? {
            Ok(parsed) => parsed,
            Err(error) => return Some(Err(error)),
        };
        let data = &self.data;
        Some(Ok(RecordView {
            offset: parsed.offset,
            timestamp: parsed.timestamp,
            key: parsed.key.map(|range| &data[range]),
            value: parsed.value.map(|range| &data[range]),
            headers: &data[parsed.headers],
            stored: &data[parsed.stored.clone()],
            after_timestamp: &data[parsed.after_timestamp..parsed.stored.end],
        }))
    }

    /// Bytes of all records, decompressed.
    pub fn size(&self) -> usize {
        self.data.len()
    }

    fn advance(&mut self) -> Option<Result<Parsed, BatchError>> {
        if self.failed {
            return None;
        }
        let step = if self.index < self.count {
            self.parse().map(Some)
        } else if self.position < self.data.len() {
            Err("bytes follow the last record")
        } else {
            Ok(None)
        };
        match step {
            Ok(Some(parsed)) => {
                self.index += 1;
                self.position = parsed.stored.end;
                Some(Ok(parsed))
            }
            Ok(None) => None,
            Err(reason) => {
                self.failed = true;
                Some(Err(BatchError::Record { index: self.index, reason }))
            }
        }
    }

    fn parse(&mut self) -> Result<Parsed, Reason> {
        let start = self.position;
        let mut outer = Reader::new(&self.data[start..]);
        let len = outer.length()?;
        let body_start = start + outer.position();
        let mut body = Reader::new(outer.take(len)?);
        body.take(1)?;
        let timestamp_delta = body.varlong()?;
        let after_timestamp = body_start + body.position();
        let offset_delta = body.varint()?;
        let key = read_range(&mut body, body_start)?;
        let value = read_range(&mut body, body_start)?;
        let header_count = body.length()?;
        if header_count > body.remaining() / RECORD_HEADER_BYTES_MIN {
            return Err("it claims more headers than it has bytes for");
        }
        let headers_start = body_start + body.position();
        for _ in 0..header_count {
            read_header(&mut body)?;
        }
        if body.remaining() > 0 {
            return Err("bytes follow its last header");
        }
        let end = body_start + len;
        Ok(Parsed {
            offset: self.place(offset_delta)?,
            timestamp: self.timestamp(timestamp_delta),
            key,
            value,
            header_count,
            headers: headers_start..end,
            stored: start..end,
            after_timestamp,
        })
    }

    fn place(&mut self, offset_delta: i32) -> Result<Offset, Reason> {
        let delta = u32::try_from(offset_delta).map_err(|_| "its offset delta is negative")?;
        if delta < self.offset_delta_min {
            return Err("its offset is not above the one before");
        }
        if delta > self.batch.last_offset_delta {
            return Err("its offset is above the last of the batch");
        }
        self.offset_delta_min = delta + 1;
        Ok(self.batch.base_offset.plus(u64::from(delta)))
    }

    /// Wraps as the clients' arithmetic does, so that every timestamp they can write reads back.
    fn timestamp(&self, delta: i64) -> Timestamp {
        if self.batch.log_append_time {
            return self.batch.max_timestamp;
        }
        Timestamp::from_ms(self.batch.base_timestamp.as_ms().wrapping_add(delta))
    }

    fn own(&mut self, parsed: Parsed) -> Result<Record, BatchError> {
        if parsed.header_count > RECORD_HEADERS_MAX {
            self.failed = true;
            let index = self.index - 1;
            return Err(BatchError::Record { index, reason: "it has more than 65536 headers" });
        }
        let headers = HeaderViews { rest: Reader::new(&self.data[parsed.headers]) };
        Ok(Record {
            offset: parsed.offset,
            timestamp: parsed.timestamp,
            key: parsed.key.map(|range| self.data.slice(range)),
            value: parsed.value.map(|range| self.data.slice(range)),
            headers: headers
                .map(|(name, value)| Header {
                    name: self.data.slice_ref(name),
                    value: value.map(|value| self.data.slice_ref(value)),
                })
                .collect(),
        })
    }
}

impl Iterator for Records {
    type Item = Result<Record, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.advance()? {
            Ok(parsed) => Some(self.own(parsed)),
            Err(error) => Some(Err(error)),
        }
    }
}

impl std::iter::FusedIterator for Records {}

/// Where the parts of a record are within the batch's decompressed bytes.
struct Parsed {
    offset: Offset,
    timestamp: Timestamp,
    key: Option<Range<usize>>,
    value: Option<Range<usize>>,
    header_count: usize,
    headers: Range<usize>,
    stored: Range<usize>,
    after_timestamp: usize,
}

fn read_range(body: &mut Reader<'_>, body_start: usize) -> Result<Option<Range<usize>>, Reason> {
    let bytes = body.nullable_bytes()?;
    let end = body_start + body.position();
    Ok(bytes.map(|bytes| end - bytes.len()..end))
}

fn read_header<'a>(body: &mut Reader<'a>) -> Result<(&'a [u8], Option<&'a [u8]>), Reason> {
    let name_len = body.length()?;
    let name = body.take(name_len)?;
    Ok((name, body.nullable_bytes()?))
}
