//! Partition logs: one trait, a local engine over segment files and an in-memory engine that
//! behaves like an object store.
//!
//! [`Engine`] and [`Log`] are the contract; `testkit` (a feature, for tests) holds the suite that every
//! engine passes. What the engines decide alike is decided in modules without I/O: what may be
//! appended, what producers may send, what retention and compaction remove.

mod admission;
mod appender;
mod chunk;
mod compaction;
mod config;
#[cfg(test)]
mod crashes;
#[cfg(test)]
mod damage;
mod disk;
mod engine;
mod epochs;
mod errors;
#[cfg(test)]
mod faults;
#[doc(hidden)]
#[cfg(feature = "testkit")]
pub mod fuzz;
mod local;
mod memory;
mod metrics;
mod producers;
mod retention;
mod search;
#[cfg(test)]
mod suites;
#[cfg(any(test, feature = "testkit"))]
pub mod testkit;
mod ticket;

pub use chunk::{Chunk, FileRange};
pub use config::{CleanupPolicy, Durability, LogConfig, TimestampType};
pub use disk::{Disk, DiskFile, RealDisk};
pub use engine::{
    Appended, Engine, EpochStart, Log, LogEnds, Maintained, ProducerState, ReadLimit,
    TimestampOffset,
};
pub use errors::{
    AppendError, DeleteError, DurabilityError, MaintenanceError, OpenError, ReadError,
    StorageError, TruncateError,
};
pub use local::{BackupError, BackupSummary, LocalConfig, LocalEngine, backup, restore};
pub use memory::{MemoryConfig, MemoryEngine, MemoryStore};
pub use ticket::Ticket;
