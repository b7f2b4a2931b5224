//! Partition logs: one trait, a local engine over segment files and an in-memory engine that
//! behaves like an object store.

mod chunk;
mod config;
mod engine;
mod errors;
mod ticket;

pub use chunk::{Chunk, FileRange};
pub use config::{CleanupPolicy, Durability, LogConfig, TimestampType};
pub use engine::{
    Appended, Engine, EpochStart, Log, LogEnds, Maintained, ProducerState, ReadLimit,
    TimestampOffset,
};
pub use errors::{
    AppendError, DeleteError, DurabilityError, MaintenanceError, OpenError, ReadError,
    StorageError, TruncateError,
};
pub use ticket::Ticket;
