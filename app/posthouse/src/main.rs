//! Parses the arguments, starts telemetry, loads the settings, runs, and maps the result to an exit
//! code. Nothing else.
//!
//! The allocator is the system's. Measured with jemalloc 5.3 and mimalloc 2.0 preloaded, over a million
//! records in by HTTP and Kafka, out again, and a large aggregate: CPU time at most 8 % lower, idle memory
//! 3 MB higher, the peak at most 17 % lower; not worth another C library.

use std::process::ExitCode;

use clap::Parser;
use posthouse::cli::Cli;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            failure.code().into()
        }
    }
}
