//! Kafka record batches v2: build, check, patch in place, iterate lazily. Pure: no I/O, no async.
//!
//! A record batch is the one format of messages on the wire, on disk and in the object store. Its
//! life has two types: [`UnplacedBatch`] came from a producer (or a [`BatchBuilder`]), owns its
//! bytes alone and has no offsets yet; [`Batch`] has its place in a log and is shared.
//!
//! # Invariants
//! - Nothing is decompressed unless [`Batch::records`], [`UnplacedBatch::records`] or
//!   [`Batch::rebuild`] is called, and then never beyond the limit the caller gives.
//! - No count or length read from a batch decides how much memory is taken, unless that many bytes
//!   are there.
//! - A batch written by [`BatchBuilder`] or [`Batch::rebuild`] passes every check in this crate.
//!
//! # Source
//! Kafka message format, magic 2. The older formats (magic 0 and 1) are refused.

mod batch;
mod builder;
mod compression;
mod errors;
mod header;
mod reader;
mod rebuild;
mod records;
mod unplaced;
mod varint;

pub use batch::Batch;
pub use builder::BatchBuilder;
pub use compression::Compression;
pub use errors::BatchError;
pub use header::{BATCH_HEADER_BYTES, BatchHeader};
pub use records::{Header, HeaderViews, RECORD_HEADERS_MAX, Record, RecordView, Records};
pub use unplaced::UnplacedBatch;
