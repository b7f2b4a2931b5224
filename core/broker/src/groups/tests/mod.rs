//! Tests of the whole machine: a harness that drives it as the broker does, and scripts of the
//! well-known flows.

mod harness;
mod scripts;
