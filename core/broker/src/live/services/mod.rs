//! Services: names that answer requests, with any number of workers behind each.
//!
//! # Invariants
//! - A request is answered once: by a reply, or by the reason why there is none.
//! - A request that a worker has seen goes to another one only if that worker had declared that its
//!   work may be done twice.

mod calls;
mod machine;

pub(crate) use calls::Services;
pub use calls::{Absent, Request, RequestOptions, Worker, WorkerConfig};
pub use machine::{ATTEMPTS_MAX, PENDING_BYTES_MAX, PENDING_MAX};
