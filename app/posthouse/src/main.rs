//! Parses the arguments, starts telemetry, loads the settings, runs, and maps the result to an exit
//! code. Nothing else.

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
