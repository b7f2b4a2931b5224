//! Sockets against sockets, over loopback TCP, Unix domain sockets and within the process.

#![expect(clippy::unwrap_used, reason = "a test that fails says so by a panic")]

mod patterns;
mod security;
mod support;
mod trouble;
