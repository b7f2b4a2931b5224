//! Record batches, and the four codecs.

use bytes::{Bytes, BytesMut};
use posthouse_record::{
    BATCH_HEADER_BYTES, Batch, BatchBuilder, BatchHeader, Compression, Record, Records,
    UnplacedBatch,
};
use posthouse_types::{LeaderEpoch, Offset, Timestamp};

use crate::Target;

/// LIMIT: what a batch may expand to here; small, so that a decoder that exceeds it stands out.
const EXPANDED_BYTES_MAX: usize = 1024 * 1024;

const LENGTH_AT: usize = 8;
const MAGIC_AT: usize = 16;
const CRC_AT: usize = 17;
const ATTRIBUTES_AT: usize = 21;

/// The targets of this file.
pub const TARGETS: &[Target] = &[
    Target { name: "record_header", run: header },
    Target { name: "record_check", run: check },
    Target { name: "record_records", run: records },
    Target { name: "record_gzip", run: gzip },
    Target { name: "record_snappy", run: snappy },
    Target { name: "record_lz4", run: lz4 },
    Target { name: "record_zstd", run: zstd },
];

/// Stored bytes, as a log or a fetch response hands them to a reader.
pub fn header(input: &[u8]) -> bool {
    let mut chunk = Bytes::copy_from_slice(input);
    let mut read = false;
    while let Ok(Some(batch)) = Batch::next(&mut chunk) {
        let header = BatchHeader::parse(batch.bytes()).expect("it was read a moment ago");
        assert_eq!(&header, batch.header());
        assert_eq!(header.size, batch.bytes().len());
        assert!(header.last_offset() >= header.base_offset);
        read |= batch.verify().is_ok();
    }
    read
}

/// A batch straight from a produce request.
pub fn check(input: &[u8]) -> bool {
    let Ok(batch) = UnplacedBatch::check(BytesMut::from(input)) else { return false };
    let acceptable = batch.check_from_client().is_ok();
    let placed = batch.place(Offset::ZERO, LeaderEpoch(0));
    placed.verify().expect("offset and epoch lie outside the checksum");
    let header = BatchHeader::parse(placed.bytes()).expect("placing keeps a header whole");
    assert_eq!(&header, placed.header());
    acceptable
}

/// The records of a batch whose length and checksum are right, so that the input gets beyond them.
pub fn records(input: &[u8]) -> bool {
    let Some(mut batch) = repaired(input) else { return false };
    let _ = batch.check_keys(EXPANDED_BYTES_MAX);
    batch.set_log_append_time(Timestamp::from_ms(1));
    let Some(batch) = repaired(input) else { return false };
    let base_offset = batch.header().base_offset;
    let batch = batch.place(base_offset, LeaderEpoch(0));
    let Ok(owned) = batch.records(EXPANDED_BYTES_MAX) else { return false };
    let views = batch.records(EXPANDED_BYTES_MAX).expect("it opened a moment ago");
    let whole = agree(owned, views);
    if whole {
        rebuild(&batch, None);
        rebuild(&batch, Some(Timestamp::from_ms(77)));
    }
    whole
}

/// Data that a batch says is gzip.
pub fn gzip(input: &[u8]) -> bool {
    expand(Compression::Gzip, input)
}

/// Data that a batch says is snappy: framed as the Java client does, or one block.
pub fn snappy(input: &[u8]) -> bool {
    expand(Compression::Snappy, input)
}

/// Data that a batch says is lz4.
pub fn lz4(input: &[u8]) -> bool {
    expand(Compression::Lz4, input)
}

/// Data that a batch says is zstd.
pub fn zstd(input: &[u8]) -> bool {
    expand(Compression::Zstd, input)
}

/// The input with its magic, length and checksum made right; `None` when another field is wrong.
fn repaired(input: &[u8]) -> Option<UnplacedBatch> {
    if input.len() < BATCH_HEADER_BYTES {
        return None;
    }
    let mut bytes = BytesMut::from(input);
    let length = i32::try_from(input.len() - LENGTH_AT - 4).ok()?;
    bytes[LENGTH_AT..LENGTH_AT + 4].copy_from_slice(&length.to_be_bytes());
    bytes[MAGIC_AT] = 2;
    let crc = crc32c::crc32c(&bytes[ATTRIBUTES_AT..]);
    bytes[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
    UnplacedBatch::check(bytes).ok()
}

/// Reads records both ways side by side; says whether they could be read to the end.
fn agree(mut owned: Records, mut views: Records) -> bool {
    loop {
        match (owned.next(), views.next_view()) {
            (Some(Ok(record)), Some(Ok(view))) => {
                assert_eq!(record.offset, view.offset);
                assert_eq!(record.timestamp, view.timestamp);
                assert_eq!(record.key.as_deref(), view.key);
                assert_eq!(record.value.as_deref(), view.value);
                let headers = record.headers.iter();
                assert!(headers.map(|h| (h.name.as_ref(), h.value.as_deref())).eq(view.headers()));
            }
            (None, None) => return true,
            // A record with very many headers can only be viewed.
            (Some(Err(_)), _) => return false,
            (owned, view) => panic!("{owned:?} where a view is {view:?}"),
        }
    }
}

/// Drops every other record and holds the rest against what it was.
fn rebuild(batch: &Batch, horizon: Option<Timestamp>) {
    let mut index = 0;
    let mut even = || {
        index += 1;
        index % 2 == 1
    };
    let rebuilt = batch
        .rebuild(EXPANDED_BYTES_MAX, horizon, |_| even())
        .expect("a batch that reads to its end can be rebuilt");
    rebuilt.verify().expect("a rebuilt batch has its checksum");
    assert_eq!(rebuilt.header().last_offset(), batch.header().last_offset());
    assert_eq!(rebuilt.header().producer, batch.header().producer);
    // A delete horizon can lengthen every record by a few bytes.
    let again = rebuilt.records(2 * EXPANDED_BYTES_MAX).expect("it was just written");
    let kept: Vec<Record> = again.map(|record| record.expect("it was just written")).collect();
    let before = batch.records(EXPANDED_BYTES_MAX).expect("it opened a moment ago");
    let expected: Vec<Record> =
        before.step_by(2).map(|record| record.expect("as before")).collect();
    assert_eq!(kept, expected);
}

fn expand(compression: Compression, input: &[u8]) -> bool {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.push(Timestamp::from_ms(0), None, None, &[]);
    let batch = builder.build().expect("it has a record").place(Offset::ZERO, LeaderEpoch(0));
    let mut bytes = batch.bytes()[..BATCH_HEADER_BYTES].to_vec();
    let codec = Compression::ALL.iter().position(|each| *each == compression);
    bytes[ATTRIBUTES_AT + 1] = codec.and_then(|codec| u8::try_from(codec).ok()).expect("it is one");
    bytes.extend_from_slice(input);
    let batch = repaired(&bytes).expect("its header is sound");
    let Ok(records) = batch.records(EXPANDED_BYTES_MAX) else { return false };
    assert!(records.size() <= EXPANDED_BYTES_MAX);
    // How many there are does not matter here; that reading them ends does.
    records.for_each(drop);
    true
}
