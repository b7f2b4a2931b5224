//! What is ours in the protocol: typed values to bytes and back. No async, no I/O.

pub(crate) mod assignment;
pub(crate) mod event;
pub(crate) mod frame;
pub(crate) mod lease;
pub(crate) mod lines;
pub(crate) mod positions;
pub(crate) mod record;
pub(crate) mod rows;
pub(crate) mod start;
