//! Reads slices of partitions and turns them into batches, a little at a time.
//!
//! Owns the order of the work: ask the log for some stored bytes, skip what cannot matter without
//! unpacking it, unpack one stored batch, decode its records until an Arrow batch is full.
//!
//! # Invariants
//! - At most one read of `read_bytes` (or one larger stored batch), one unpacked batch and one Arrow
//!   batch are held.
//! - The disk is read on a blocking thread.
//! - Records at or above a slice's end are never returned, though a stored batch may hold them.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::arrow::array::RecordBatch;
use datafusion::common::DataFusionError;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::physical_plan::metrics::{
    BaselineMetrics, Count, ExecutionPlanMetricsSet, MetricBuilder,
};
use futures::{Stream, stream};
use posthouse_log::{Chunk, ReadError, ReadLimit};
use posthouse_record::{Batch, BatchHeader, RecordView, Records};
use posthouse_types::{Offset, Timestamp};

use super::pushdown::{Interval, RecordPlace};
use super::scan::{ScanPlan, Slice};
use crate::QueryError;
use crate::decode::BatchDecoder;
use crate::error::sqlstate;
use crate::metrics;

/// LIMIT: bytes of keys and values in one Arrow batch, give or take one record.
const ARROW_BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Reads one part of a scan.
pub(super) struct Reader {
    plan: Arc<ScanPlan>,
    slices: VecDeque<Slice>,
    /// The slice being read, and where in it.
    current: Option<Position>,
    chunks: VecDeque<Chunk>,
    chunk: Bytes,
    records: Option<Records>,
    decoder: BatchDecoder,
    batch_rows: usize,
    remaining: Option<usize>,
    memory: MemoryReservation,
    metrics: ReadMetrics,
}

struct Position {
    slice: Slice,
    next: Offset,
    /// Times, in milliseconds, outside which no record passes.
    times: Interval,
}

/// What EXPLAIN ANALYZE shows of one part.
pub(super) struct ReadMetrics {
    baseline: BaselineMetrics,
    reads: Count,
    bytes_read: Count,
    batches_skipped: Count,
}

impl ReadMetrics {
    pub(super) fn new(set: &ExecutionPlanMetricsSet, part: usize) -> ReadMetrics {
        ReadMetrics {
            baseline: BaselineMetrics::new(set, part),
            reads: MetricBuilder::new(set).counter("reads", part),
            bytes_read: MetricBuilder::new(set).counter("bytes_read", part),
            batches_skipped: MetricBuilder::new(set).counter("batches_skipped", part),
        }
    }
}

impl Reader {
    pub(super) fn new(
        plan: Arc<ScanPlan>,
        slices: Vec<Slice>,
        limit: Option<usize>,
        batch_rows: usize,
        memory: MemoryReservation,
        metrics: ReadMetrics,
    ) -> Reader {
        Reader {
            decoder: BatchDecoder::new(Arc::clone(&plan.decode)),
            plan,
            slices: slices.into(),
            current: None,
            chunks: VecDeque::new(),
            chunk: Bytes::new(),
            records: None,
            batch_rows,
            remaining: limit,
            memory,
            metrics,
        }
    }

    /// The batches, in the order of the slices and of offsets within each.
    pub(super) fn batches(self) -> impl Stream<Item = Result<RecordBatch, DataFusionError>> {
        stream::try_unfold(self, async |mut reader| {
            let batch = reader.next_batch().await?;
            Ok(batch.map(|batch| (batch, reader)))
        })
    }

    async fn next_batch(&mut self) -> Result<Option<RecordBatch>, DataFusionError> {
        if self.remaining == Some(0) {
            return Ok(None);
        }
        loop {
            let (full, waiting) = {
                let compute = self.metrics.baseline.elapsed_compute().clone();
                let _timer = compute.timer();
                let full = self.decode_some()?;
                (full, self.chunk.is_empty())
            };
            let over = self.remaining == Some(self.decoder.rows());
            if full || over || (waiting && !self.load_more().await?) {
                break;
            }
        }
        let rows = self.decoder.rows();
        if rows == 0 {
            return Ok(None);
        }
        if let Some(remaining) = &mut self.remaining {
            *remaining -= rows;
        }
        self.metrics.baseline.record_output(rows);
        metrics::records_read(rows);
        self.memory.try_resize(self.chunk.len() + self.decoder.bytes())?;
        Ok(Some(self.decoder.finish()?))
    }

    /// Decodes from the chunk in hand until it is used up or the Arrow batch is full (`true`).
    fn decode_some(&mut self) -> Result<bool, QueryError> {
        loop {
            if self.decode_records()? {
                return Ok(true);
            }
            let Some(position) = &mut self.current else { return Ok(false) };
            let Some(batch) = Batch::next(&mut self.chunk).map_err(damaged)? else {
                return Ok(false);
            };
            let header = *batch.header();
            let wanted = position.wants(&header);
            position.next = position.next.max(header.last_offset().plus(1));
            if !wanted {
                self.metrics.batches_skipped.add(1);
            } else if self.plan.only_counts_all_of(position, &header) {
                let rows = usize::try_from(header.record_count).unwrap_or(usize::MAX);
                self.decoder.count(
                    self.remaining.map_or(rows, |left| rows.min(left - self.decoder.rows())),
                );
                if self.is_full() {
                    return Ok(true);
                }
            } else {
                let bytes_max = self.plan.expanded_batch_bytes_max.as_usize();
                self.records = Some(batch.records(bytes_max).map_err(damaged)?);
            }
        }
    }

    /// Decodes from the stored batch in hand; `true` when the Arrow batch is full.
    fn decode_records(&mut self) -> Result<bool, QueryError> {
        let (Some(records), Some(position)) = (&mut self.records, &self.current) else {
            return Ok(self.is_full());
        };
        let partition = position.slice.partition;
        while let Some(record) = records.next_view() {
            let record = record.map_err(damaged)?;
            if !self.plan.passes(&position.slice, &record) {
                continue;
            }
            self.decoder.push(partition, &record)?;
            if self.decoder.rows() >= self.batch_rows
                || self.decoder.bytes() >= ARROW_BATCH_BYTES_MAX
                || self.remaining == Some(self.decoder.rows())
            {
                return Ok(true);
            }
        }
        self.records = None;
        Ok(false)
    }

    fn is_full(&self) -> bool {
        self.decoder.rows() >= self.batch_rows || self.remaining == Some(self.decoder.rows())
    }

    /// Takes the next chunk in hand; `false` at the end of the last slice.
    async fn load_more(&mut self) -> Result<bool, DataFusionError> {
        loop {
            if let Some(chunk) = self.chunks.pop_front() {
                self.memory.try_resize(chunk.len() + self.decoder.bytes())?;
                self.metrics.bytes_read.add(chunk.len());
                metrics::bytes_read(chunk.len());
                self.chunk = load(chunk).await?;
                return Ok(true);
            }
            if !self.read().await? {
                return Ok(false);
            }
        }
    }

    /// Asks the log for chunks; `false` when there are no more slices.
    async fn read(&mut self) -> Result<bool, QueryError> {
        // It may have been taken back since the query began.
        self.plan.permission.check()?;
        let over = self.current.as_ref().is_none_or(Position::is_over);
        if over {
            let Some(slice) = self.slices.pop_front() else { return Ok(false) };
            let times = match &self.plan.predicate {
                Some(predicate) => predicate.timestamps(slice.partition),
                None => Interval::ALL,
            };
            self.current = Some(Position { next: slice.from, times, slice });
        }
        let position = self.current.as_mut().expect("a slice is being read");
        if position.is_over() {
            return Ok(true);
        }
        let limit =
            ReadLimit { bytes: self.plan.read_bytes.as_usize(), until: position.slice.until };
        self.metrics.reads.add(1);
        match position.slice.log.read(position.next, limit).await {
            Ok(chunks) if chunks.is_empty() => position.next = position.slice.until,
            Ok(chunks) => self.chunks = chunks.into(),
            // Retention passed the reader: what it deleted is not there to be selected.
            Err(ReadError::OutOfRange { log_start, offset, .. }) if offset < log_start => {
                position.next = log_start;
            }
            Err(error) => return Err(read_failed(&error, &self.plan.decode.topic)),
        }
        Ok(true)
    }
}

impl Position {
    fn is_over(&self) -> bool {
        self.next >= self.slice.until
    }

    /// Whether any record of a stored batch can be in the slice and pass.
    fn wants(&self, header: &BatchHeader) -> bool {
        !header.control
            && header.last_offset() >= self.slice.from
            && header.base_offset < self.slice.until
            && i128::from(header.max_timestamp.as_ms()) >= self.times.low
    }
}

impl ScanPlan {
    fn passes(&self, slice: &Slice, record: &RecordView<'_>) -> bool {
        let place = RecordPlace {
            partition: slice.partition,
            offset: record.offset,
            timestamp: record.timestamp,
        };
        record.offset >= slice.from
            && record.offset < slice.until
            && self.predicate.as_ref().is_none_or(|predicate| predicate.allows(place))
    }

    /// Whether the rows of a stored batch need only be counted, and all of them.
    fn only_counts_all_of(&self, position: &Position, header: &BatchHeader) -> bool {
        self.decode.counts_only()
            && self.predicate.is_none()
            && header.base_offset >= position.slice.from
            && header.last_offset() < position.slice.until
    }
}

async fn load(chunk: Chunk) -> Result<Bytes, QueryError> {
    let loaded = match chunk {
        Chunk::Memory(bytes) => return Ok(bytes),
        file => tokio::task::spawn_blocking(move || file.load()).await,
    };
    match loaded {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => {
            Err(QueryError::new(sqlstate::IO_ERROR, format!("cannot read a segment: {error}")))
        }
        Err(_) => Err(QueryError::cancelled()),
    }
}

fn damaged(error: posthouse_record::BatchError) -> QueryError {
    QueryError::new(sqlstate::DATA_CORRUPTED, format!("a stored batch is damaged: {error}"))
}

fn read_failed(error: &ReadError, topic: &str) -> QueryError {
    let state = match error {
        ReadError::OutOfRange { .. } | ReadError::Closed => {
            sqlstate::OBJECT_NOT_IN_PREREQUISITE_STATE
        }
        ReadError::Storage(_) => sqlstate::IO_ERROR,
        ReadError::Damaged { .. } => sqlstate::DATA_CORRUPTED,
    };
    QueryError::new(state, format!("cannot read topic {topic}: {error}"))
}

/// The earliest time of an interval that a log can be asked for; `None` when it bounds nothing.
pub(super) fn earliest(times: Interval) -> Option<Timestamp> {
    let bounded = times.low > 0;
    bounded.then(|| Timestamp::from_ms(i64::try_from(times.low).unwrap_or(i64::MAX)))
}
