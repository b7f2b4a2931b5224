//! A function for every decoder, which may be fed anything.
//!
//! A target says whether its input could be read, and panics when a promise is broken: a decoder that
//! panics, or two ways of reading the same bytes that disagree. `tests/replay` feeds each its corpus
//! and mutations of it on stable Rust; the `fuzz` package beside this one feeds it to cargo-fuzz.
//!
//! # Invariants
//! - A target has no state, does no I/O and gives the same outcome for the same input.
//! - A target takes little memory whatever the input says; the replay measures it.

pub mod broker;
#[cfg(feature = "sql")]
pub mod http;
pub mod kafka;
pub mod keyspace;
pub mod listener;
pub mod log;
#[cfg(feature = "sql")]
pub mod postgres;
pub mod record;
pub mod redis;
#[cfg(feature = "sql")]
pub mod sql;
pub mod zeromq;
pub mod zmtp;

/// A decoder under test.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Names its corpus, `fuzz/corpus/<name>`, and its cargo-fuzz binary.
    pub name: &'static str,
    /// Feeds it, and says whether the input could be read.
    pub run: fn(&[u8]) -> bool,
}

/// Every target of this build.
pub fn all() -> Vec<Target> {
    let mut targets = Vec::new();
    targets.extend_from_slice(record::TARGETS);
    targets.extend_from_slice(broker::TARGETS);
    #[cfg(feature = "sql")]
    targets.extend_from_slice(http::TARGETS);
    #[cfg(feature = "sql")]
    targets.extend_from_slice(sql::TARGETS);
    targets.extend_from_slice(kafka::TARGETS);
    targets.extend_from_slice(redis::TARGETS);
    targets.extend_from_slice(keyspace::TARGETS);
    targets.extend_from_slice(listener::TARGETS);
    targets.extend_from_slice(log::TARGETS);
    #[cfg(feature = "sql")]
    targets.extend_from_slice(postgres::TARGETS);
    targets.extend_from_slice(zeromq::TARGETS);
    targets.extend_from_slice(zmtp::TARGETS);
    targets
}
