//! The one loop of a connection: what comes in, what is due to go out, and when to give up.
//!
//! # Invariants
//! - While as much as is allowed waits for answers, nothing more is read.
//! - A peer that does not take what is written to it, or is silent for three heartbeats, is gone.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tracing::debug;

use super::session::{Output, Session};
use crate::auth::watched;
use crate::codec::frame;
use crate::metrics;
use crate::routes::Door;

/// LIMIT: how long a peer may take to accept what is written to it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// Silent heartbeats after which a peer is taken for dead; it answers each with a pong.
const SILENT_HEARTBEATS_MAX: u32 = 3;

/// Why a connection ends, as it is told to the peer.
struct Ending {
    code: u16,
    reason: &'static str,
}

impl Ending {
    const GONE: Ending = Ending { code: close_code::NORMAL, reason: "" };
    const STOPPING: Ending = Ending { code: close_code::AWAY, reason: "the node is stopping" };
    const LOGGED_OUT: Ending = Ending { code: close_code::POLICY, reason: "the login has ended" };
    const SILENT: Ending = Ending { code: close_code::POLICY, reason: "nothing came for too long" };
    const BEHIND: Ending = Ending {
        code: close_code::POLICY,
        reason: "what was published came faster than it was read",
    };
}

/// Serves one peer until it or the node leaves.
pub(crate) async fn converse(socket: WebSocket, door: Door, as_binary: bool) {
    metrics::websockets(1.0);
    let (sink, stream) = socket.split();
    let heartbeat = door.config.event_heartbeat;
    let shutdown = door.shutdown.clone();
    let (broker, login) = (Arc::clone(&door.broker), door.login.clone());
    let mut connection =
        Connection { sink, stream, session: Session::new(door, as_binary), heard: Instant::now() };
    let ending = tokio::select! {
        ending = connection.run(heartbeat) => ending,
        () = shutdown.cancelled() => Ending::STOPPING,
        () = watched(&broker, login) => Ending::LOGGED_OUT,
    };
    let frame = CloseFrame { code: ending.code, reason: ending.reason.into() };
    // Whoever is gone already does not miss the farewell.
    let _ =
        timeout(Duration::from_secs(1), connection.sink.send(Message::Close(Some(frame)))).await;
    metrics::websockets(-1.0);
}

struct Connection {
    sink: SplitSink<WebSocket, Message>,
    stream: SplitStream<WebSocket>,
    session: Session,
    heard: Instant,
}

impl Connection {
    async fn run(&mut self, heartbeat: Duration) -> Ending {
        let mut ticks = interval(heartbeat);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.reset();
        let mut output = Vec::new();
        loop {
            let may_read = self.session.has_room();
            tokio::select! {
                incoming = self.stream.next(), if may_read => match incoming {
                    Some(Ok(message)) => {
                        self.heard = Instant::now();
                        if !self.take(message, &mut output).await {
                            return Ending::GONE;
                        }
                    }
                    Some(Err(error)) => {
                        debug!(%error, "websocket ended early");
                        return Ending::GONE;
                    }
                    None => return Ending::GONE,
                },
                due = poll_fn(|context| self.session.poll_due(context, &mut output)) => {
                    if due.is_err() {
                        return Ending::BEHIND;
                    }
                }
                _ = ticks.tick() => {
                    if may_read && self.heard.elapsed() > heartbeat * SILENT_HEARTBEATS_MAX {
                        return Ending::SILENT;
                    }
                    output.push(Output::Ping);
                }
            }
            let written = tokio::select! {
                biased;
                written = timeout(WRITE_TIMEOUT, write(&mut self.sink, &mut output)) => written,
                // What is queued is lost already, so nothing is gained by waiting for the peer.
                () = self.session.overflown().cancelled() => return Ending::BEHIND,
            };
            match written {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    debug!(%error, "websocket ended early");
                    return Ending::GONE;
                }
                Err(_) => return Ending::SILENT,
            }
        }
    }

    /// Carries out one frame; false when it was the last.
    async fn take(&mut self, message: Message, output: &mut Vec<Output>) -> bool {
        let frame = match &message {
            Message::Text(text) => frame::text(text.as_bytes()),
            Message::Binary(bytes) => frame::binary(bytes),
            // The library answers pings by itself.
            Message::Ping(_) | Message::Pong(_) => return true,
            Message::Close(_) => return false,
        };
        match frame {
            Ok(frame) => self.session.carry_out(frame, output).await,
            Err(error) => output.push(Session::not_understood(&error)),
        }
        true
    }
}

/// Writes all of it with one flush.
async fn write(
    sink: &mut SplitSink<WebSocket, Message>,
    output: &mut Vec<Output>,
) -> Result<(), axum::Error> {
    if output.is_empty() {
        return Ok(());
    }
    for one in output.drain(..) {
        sink.feed(one.into_message()).await?;
    }
    sink.flush().await
}
