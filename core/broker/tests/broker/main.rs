//! The broker as its callers see it, over an engine that behaves like an object store.

mod fetching;
mod groups;
mod harness;
mod memory;
mod offsets;
mod producers;
mod restarts;
mod topics;
