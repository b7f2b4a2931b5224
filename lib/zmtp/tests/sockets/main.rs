//! Sockets against sockets, over loopback TCP, Unix domain sockets and within the process.

mod patterns;
mod security;
mod support;
mod trouble;
