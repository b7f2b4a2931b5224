//! Batches to append, and what to read them back with.

use posthouse_record::{Batch, BatchBuilder, BatchError, Compression, Record, UnplacedBatch};
use posthouse_types::{Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};

use super::Harness;
use crate::{Appended, Log, ReadError, ReadLimit};

/// Where a batch went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Offset of its first record.
    pub base: i64,
    /// Offset of its last record.
    pub last: i64,
    /// Whether it had been there before.
    pub duplicate: bool,
}

impl From<&Appended> for Written {
    fn from(appended: &Appended) -> Written {
        Written {
            base: appended.base_offset.value(),
            last: appended.last_offset.value(),
            duplicate: appended.duplicate,
        }
    }
}

/// Records without keys.
pub fn values(values: &[&str]) -> UnplacedBatch {
    build(BatchBuilder::new(Compression::None), values.iter().map(|value| (None, Some(*value))))
}

/// Records with keys.
pub fn keyed(records: &[(&str, &str)]) -> UnplacedBatch {
    let records = records.iter().map(|(key, value)| (Some(*key), Some(*value)));
    build(BatchBuilder::new(Compression::Lz4), records)
}

/// A record that deletes its key.
pub fn tombstone(key: &str) -> UnplacedBatch {
    build(BatchBuilder::new(Compression::None), [(Some(key), None)])
}

/// `count` records of an idempotent producer; the timestamp of each is its number.
pub fn numbered(producer: i64, epoch: i16, first: i32, count: usize) -> UnplacedBatch {
    let mut builder = BatchBuilder::new(Compression::None).producer(
        ProducerId(producer),
        ProducerEpoch(epoch),
        Sequence(first),
    );
    for index in 0..count {
        let number = i64::from(first) + i64::try_from(index).unwrap_or(i64::MAX);
        builder.push(Timestamp::from_ms(number), None, Some(b"numbered"), &[]);
    }
    builder.build().expect("a batch of records can be built")
}

/// Records with the given timestamps.
pub fn timed(timestamps_ms: &[i64]) -> UnplacedBatch {
    let mut builder = BatchBuilder::new(Compression::None);
    for &at_ms in timestamps_ms {
        builder.push(Timestamp::from_ms(at_ms), Some(b"key"), Some(b"timed"), &[]);
    }
    builder.build().expect("a batch of records can be built")
}

/// One record whose batch is of `size` bytes, or a few more.
pub fn sized(size: usize) -> UnplacedBatch {
    let value = "x".repeat(size.saturating_sub(70));
    build(BatchBuilder::new(Compression::None), [(Some("key"), Some(value.as_str()))])
}

fn build<'a>(
    mut builder: BatchBuilder,
    records: impl IntoIterator<Item = (Option<&'a str>, Option<&'a str>)>,
) -> UnplacedBatch {
    for (key, value) in records {
        let at = Timestamp::from_ms(0);
        builder.push(at, key.map(str::as_bytes), value.map(str::as_bytes), &[]);
    }
    builder.build().expect("a batch of records can be built")
}

/// Appends, without waiting for anything.
///
/// # Panics
/// When the log refuses.
pub fn append(log: &dyn Log, batch: UnplacedBatch) -> Appended {
    log.append(batch).expect("the batch is accepted")
}

/// Appends and waits until it is durable.
///
/// # Panics
/// When the log refuses, or fails.
pub async fn commit(harness: &dyn Harness, log: &dyn Log, batch: UnplacedBatch) -> Written {
    let appended = append(log, batch);
    let written = Written::from(&appended);
    harness.flush();
    appended.ticket.durable().await.expect("the batch becomes durable");
    written
}

/// Batches from the one that holds `from` to the end of what may be read.
///
/// # Errors
/// Those of [`Log::read`], and a batch that is not what was written.
pub async fn read_batches(log: &dyn Log, from: Offset) -> Result<Vec<Batch>, ReadError> {
    let (mut batches, mut next) = (Vec::<Batch>::new(), from);
    loop {
        let until = log.ends().durable_end;
        let chunks = log.read(next, ReadLimit { bytes: 16 << 10, until }).await?;
        if chunks.is_empty() {
            return Ok(batches);
        }
        for chunk in chunks {
            let mut bytes = chunk.load().expect("a chunk of an open log can be loaded");
            let start = next;
            let damaged = |source| ReadError::Damaged { offset: start, source };
            while let Some(batch) = Batch::next(&mut bytes).map_err(damaged)? {
                batch.verify().map_err(damaged)?;
                if batch.header().last_offset() < next || batch.header().base_offset >= until {
                    let value = batch.header().base_offset.value();
                    return Err(damaged(BatchError::Field { field: "base_offset", value }));
                }
                next = batch.header().last_offset().plus(1);
                batches.push(batch);
            }
        }
    }
}

/// Every record from the log start on.
///
/// # Errors
/// As [`read_batches`].
pub async fn read_records(log: &dyn Log) -> Result<Vec<Record>, ReadError> {
    let log_start = log.ends().log_start;
    let batches = read_batches(log, log_start).await?;
    let mut records = Vec::new();
    for batch in batches {
        let offset = batch.header().base_offset;
        let damaged = |source| ReadError::Damaged { offset, source };
        for record in batch.records(1 << 30).map_err(damaged)? {
            records.push(record.map_err(damaged)?);
        }
    }
    records.retain(|record| record.offset >= log_start);
    Ok(records)
}

/// Offset and value of every record, as text.
///
/// # Panics
/// When the log cannot be read.
pub async fn read_values(log: &dyn Log) -> Vec<(i64, String)> {
    let records = read_records(log).await.expect("the log can be read");
    let text = |record: Record| {
        let value = record.value.as_deref().unwrap_or(b"(null)");
        (record.offset.value(), String::from_utf8_lossy(value).into_owned())
    };
    records.into_iter().map(text).collect()
}
