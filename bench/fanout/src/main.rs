//! One publisher and many subscribers of a Redis channel: how many messages a second arrive, and what
//! that costs the server. Speaks just the RESP2 that this takes, to any server that does.
//!
//! Prints one line of JSON. One thread with one buffer does everything, so that on a machine of few
//! cores the server has the rest; `copy` is a server that only copies, which shows the program's own limit.

mod copier;
mod load;
mod process;
mod wire;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Parser;

#[derive(Parser)]
#[command(about = "Fan-out over a Redis channel: one publisher, many subscribers")]
enum Command {
    /// Publish, receive, and say how fast.
    Run(Run),
    /// Be a server that only copies.
    Copy {
        /// Where to listen.
        address: SocketAddr,
        /// Bytes of each payload.
        #[arg(long, default_value_t = 64)]
        payload: usize,
    },
}

#[derive(clap::Args)]
struct Run {
    /// The server.
    address: SocketAddr,
    /// Connections that subscribe.
    #[arg(long, default_value_t = 100)]
    subscribers: usize,
    /// Bytes of each payload, at least 32.
    #[arg(long, default_value_t = 64)]
    payload: usize,
    /// Requests that are sent before their answers are waited for.
    #[arg(long, default_value_t = 16)]
    pipeline: usize,
    /// How many messages the subscribers may be behind, on average.
    #[arg(long, default_value_t = 256)]
    window: u64,
    /// Seconds that are not measured.
    #[arg(long, default_value_t = 1.0)]
    warm_up: f64,
    /// Seconds that are.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// The server's process, whose CPU time is taken.
    #[arg(long)]
    pid: Option<u32>,
}

fn main() -> Result<()> {
    match Command::parse() {
        Command::Run(run) => measure(&run),
        Command::Copy { address, payload } => copier::serve(address, payload),
    }
}

fn measure(run: &Run) -> Result<()> {
    ensure!(run.subscribers > 0 && run.pipeline > 0, "there is nothing to do");
    let outcome = load::run(&load::Settings {
        address: run.address,
        subscribers: run.subscribers,
        payload_bytes: run.payload,
        pipeline: run.pipeline,
        window: run.window,
        warm_up: Duration::try_from_secs_f64(run.warm_up)?,
        measured: Duration::try_from_secs_f64(run.seconds)?,
        server: run.pid,
    })?;
    let rate = |count: u64| count as f64 / outcome.seconds;
    let delay = |share: f64| {
        let index = (outcome.delays.len() as f64 * share) as usize;
        outcome.delays.get(index).copied().unwrap_or(0)
    };
    let server =
        outcome.server_cpu_seconds.map_or("null".to_owned(), |seconds| format!("{seconds:.2}"));
    println!(
        "{{\"delivered_per_second\": {:.0}, \"published_per_second\": {:.0}, \"delivered\": {}, \
         \"server_cpu_seconds\": {server}, \"harness_cpu_seconds\": {:.2}, \"seconds\": {:.3}, \
         \"p50_us\": {}, \"p99_us\": {}}}",
        rate(outcome.delivered),
        rate(outcome.published),
        outcome.delivered,
        outcome.harness_cpu_seconds,
        outcome.seconds,
        delay(0.5),
        delay(0.99),
    );
    Ok(())
}
