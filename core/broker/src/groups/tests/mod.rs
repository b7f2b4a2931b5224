//! Tests of the whole machine: a harness that drives it as the broker does, scripts of the
//! well-known flows, tables of single transitions, and random events checked against invariants.

mod harness;
mod invariants;
mod scripts;
mod transitions;
