//! SIGTERM and SIGINT: the first drains, the second exits at once.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::exit::{Code, Failure};

/// Cancels `shutdown` at the first signal and ends the process at the second.
pub(crate) fn cancel_on_signal(shutdown: CancellationToken) -> Result<(), Failure> {
    let listen = |kind| {
        signal(kind).map_err(|error| {
            Failure::new(Code::Failed, format!("cannot listen for signals: {error}"))
        })
    };
    let (mut terminate, mut interrupt) =
        (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    tokio::spawn(async move {
        let name = next(&mut terminate, &mut interrupt).await;
        info!(signal = name, "draining; a second signal exits at once");
        shutdown.cancel();
        let name = next(&mut terminate, &mut interrupt).await;
        warn!(signal = name, "exiting without draining");
        std::process::exit(i32::from(Code::Interrupted as u8));
    });
    Ok(())
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}
