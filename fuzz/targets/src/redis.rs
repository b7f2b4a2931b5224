//! The Redis door: a connection's bytes.

pub use posthouse_redis::fuzz::stream;

use crate::Target;

/// The targets of this file.
pub const TARGETS: &[Target] = &[Target { name: "redis_stream", run: stream }];
