//! Log lines, to standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, NodeConfig};
use crate::exit::{Code, Failure};

/// Starts logging as the settings say.
///
/// # Errors
/// A filter that cannot be read. Telemetry that is already running is left as it is.
pub fn start(config: &NodeConfig) -> Result<(), Failure> {
    let filter = EnvFilter::builder().parse(&config.log_filter).map_err(|error| {
        Failure::new(Code::Usage, format!("log filter {:?} is wrong: {error}", config.log_filter))
            .hint("write error, warn, info, debug or trace, or TARGET=LEVEL pairs with commas")
    })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match config.log_format {
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    // A second node in the same process, as in tests, shares the first one's log.
    drop(started);
    Ok(())
}
