//! Kafka record batches v2: build, check, patch in place, iterate lazily. Pure: no I/O, no async.

mod batch;
mod errors;

pub use batch::{
    BATCH_HEADER_BYTES, Batch, BatchBuilder, BatchHeader, Compression, Header, Record, Records,
    UnplacedBatch,
};
pub use errors::BatchError;
