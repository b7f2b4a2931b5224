//! A bound endpoint: accepts connections and runs each.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::connection::Connection;
use super::inproc;
use super::stream::Listener;
use crate::core::Core;
use crate::endpoint::Endpoint;
use crate::error::BindError;
use crate::events::Event;
use crate::session::Role;

/// How long to wait before accepting again, when the process has too many files open.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Binds, and listens until `until` or the socket's end.
pub(crate) async fn bind(
    core: &Arc<Core>,
    endpoint: Endpoint,
    until: CancellationToken,
) -> Result<Endpoint, BindError> {
    if let Endpoint::Inproc(name) = &endpoint {
        let bound = inproc::bind(core, name).ok_or_else(|| BindError::InUse(endpoint.clone()))?;
        if !core.source_begins() {
            return Err(BindError::Closed);
        }
        core.monitors.tell(&Event::Listening { endpoint: endpoint.clone() });
        let (core_of_task, at) = (core.clone(), endpoint.clone());
        core.tasks.spawn(async move {
            core_of_task.stopping.run_until_cancelled(until.cancelled()).await;
            drop(bound);
            core_of_task.source_ends(None);
            core_of_task.monitors.tell(&Event::Closed { endpoint: at });
        });
        return Ok(endpoint);
    }
    let (listener, endpoint) = Listener::bind(&endpoint, &core.options)
        .await
        .map_err(|source| BindError::Io { endpoint, source })?;
    if !core.source_begins() {
        return Err(BindError::Closed);
    }
    core.monitors.tell(&Event::Listening { endpoint: endpoint.clone() });
    core.tasks.spawn(listen(core.clone(), listener, endpoint.clone(), until));
    Ok(endpoint)
}

async fn listen(core: Arc<Core>, listener: Listener, endpoint: Endpoint, until: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = core.stopping.cancelled() => break,
            () = until.cancelled() => break,
            accepted = listener.accept(&core.options) => accepted,
        };
        match accepted {
            Ok((stream, from)) => {
                core.monitors.tell(&Event::Accepted { endpoint: endpoint.clone(), from });
                let aborting = core.aborting.clone();
                let connection =
                    Connection::new(core.clone(), endpoint.clone(), stream, Role::Accepted, None);
                core.tasks.spawn(async move {
                    aborting.run_until_cancelled(connection.run()).await;
                });
            }
            Err(error) => {
                let reason = error.to_string();
                tracing::warn!(%endpoint, reason, "cannot accept");
                core.monitors.tell(&Event::AcceptFailed { endpoint: endpoint.clone(), reason });
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    if let Endpoint::Ipc(path) = &endpoint {
        // It may have been removed by someone else, which is as good.
        let _ = std::fs::remove_file(path);
    }
    core.source_ends(None);
    core.monitors.tell(&Event::Closed { endpoint });
}
