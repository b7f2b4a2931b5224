//! One endpoint's life: opened, at work, and closed when it is dropped or the node stops.
//!
//! # Invariants
//! - Sockets that cannot be opened are tried again until they can, and the state says why not.
//! - The sockets stay open while the work itself cannot go on, so that peers stay connected.

use std::time::Duration;

use futures::StreamExt;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use posthouse_zmtp::{Endpoint, Event, Monitor, Socket};

use crate::context::Context;
use crate::sockets::Sockets;
use crate::work;

/// How long to wait before a port that is in use is tried again.
const REOPEN: Duration = Duration::from_secs(1);
/// How long to wait before a peer that refused us is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// Runs an endpoint until it is time to end, and closes its sockets.
pub(crate) async fn run(context: Context, open: Option<Sockets>) {
    let opened = match open {
        Some(sockets) => Some(sockets),
        None => open_sockets(&context).await,
    };
    let Some(mut sockets) = opened else { return };
    context.progress.opened(sockets.addresses.clone());
    let (name, addresses) = (&context.spec.name, &sockets.addresses);
    tracing::info!(endpoint = name, ?addresses, "endpoint opened");
    let monitors = std::mem::take(&mut sockets.monitors);
    let both = [Some(&sockets.front), sockets.back.as_ref()].into_iter().flatten();
    let watched = both.zip(monitors).map(|(socket, monitor)| watch(socket, monitor, &context));
    tokio::select! {
        () = keep_working(&context, &sockets) => {}
        _ = join_all(watched) => {}
    }
    sockets.close().await;
    tracing::info!(endpoint = context.spec.name, "endpoint closed");
}

/// Opens the sockets, however long that takes; `None` when it was time to end first.
async fn open_sockets(context: &Context) -> Option<Sockets> {
    loop {
        match Sockets::open(&context.spec).await {
            Ok(sockets) => return Some(sockets),
            Err(error) => context.failing(&error),
        }
        tokio::select! {
            () = context.until.cancelled() => return None,
            () = tokio::time::sleep(REOPEN) => {}
        }
    }
}

/// Works, and begins again after what can pass.
async fn keep_working(context: &Context, sockets: &Sockets) {
    while !context.until.is_cancelled() {
        let worked = work::run(context, sockets).await;
        if let Err(error) = worked {
            context.failing(&error);
            context.pause().await;
        }
    }
}

/// Counts peers, and asks those again that refused us.
async fn watch(socket: &Socket, mut monitor: Monitor, context: &Context) {
    let mut refusals = FuturesUnordered::new();
    let mut refused = false;
    loop {
        let event = tokio::select! {
            event = monitor.next() => event,
            Some(endpoint) = refusals.next(), if !refusals.is_empty() => {
                let endpoint: Endpoint = endpoint;
                if let Err(error) = socket.connect(&endpoint.to_string()).await {
                    context.failing(&error);
                }
                continue;
            }
        };
        match event {
            Some(Event::HandshakeSucceeded { .. }) => {
                context.progress.peer_came();
                if std::mem::take(&mut refused) {
                    context.progress.running();
                }
            }
            Some(Event::Disconnected { .. }) => context.progress.peer_went(),
            Some(Event::Refused { endpoint, reason }) => {
                refused = true;
                context.progress.failing(&format!("{endpoint} refused the connection: {reason}"));
                refusals.push(async move {
                    tokio::time::sleep(ASK_AGAIN).await;
                    endpoint
                });
            }
            Some(_) => {}
            None => return std::future::pending().await,
        }
    }
}
