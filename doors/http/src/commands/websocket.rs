//! Opening a WebSocket.

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;

use super::input::Parameters;
use crate::errors::Problem;
use crate::routes::Door;
use crate::websocket::converse;

/// What a connection sets aside for reading: it is kept for as long as that lives, and most of them
/// are subscribers, which say little. Larger frames take what they need.
const READ_BUFFER_BYTES: usize = 8 * 1024;

/// How to speak.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct SocketParameters {
    /// Send messages in binary frames, their values byte for byte.
    binary: Option<bool>,
}

/// Open a WebSocket: subscribe, publish, ask services and answer for them, and join pairs.
///
/// A text frame is a JSON object with an `op`; `docs/doors/http.md` lists them.
#[utoipa::path(
    get, path = "/ws", tag = "channels",
    params(SocketParameters),
    responses((status = 101, description = "A WebSocket"), (status = "default", body = Problem))
)]
pub(crate) async fn open(
    door: Door,
    Parameters(parameters): Parameters<SocketParameters>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = upgrade.map_err(|rejection| {
        Problem::new(StatusCode::UPGRADE_REQUIRED, "websocket_only", rejection.body_text())
            .help("open it with a WebSocket client, over HTTP/1.1")
    })?;
    let permit = std::sync::Arc::clone(&door.websockets).try_acquire_owned().map_err(|_| {
        let detail =
            format!("{} websockets are open already", door.config.connections.connections_max);
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_connections", detail)
    })?;
    let as_binary = parameters.binary.unwrap_or(false);
    let bytes_max = door.config.body_bytes_max.as_usize();
    let tasks = door.tasks.clone();
    let upgrade = upgrade
        .read_buffer_size(READ_BUFFER_BYTES)
        .max_message_size(bytes_max)
        .max_frame_size(bytes_max);
    Ok(upgrade.on_upgrade(move |socket| {
        let conversation = tasks.track_future(converse(socket, door, as_binary));
        async move {
            conversation.await;
            drop(permit);
        }
    }))
}
