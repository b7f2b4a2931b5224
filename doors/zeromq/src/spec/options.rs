//! A socket's options, with the door's defaults.

use std::time::Duration;

use posthouse_broker::EndpointRefused;
use posthouse_zmtp::{Options, SocketType};

use super::fields::Fields;

/// LIMIT: the largest message accepted, unless the endpoint says otherwise.
const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// LIMIT: what an endpoint may say.
const MESSAGE_BYTES_CEILING: usize = 1024 * 1024 * 1024;
/// How long a closing endpoint goes on sending.
const LINGER: Duration = Duration::from_secs(1);
/// Half-open connections are found by this.
const HEARTBEAT: Duration = Duration::from_secs(10);
const RECONNECT_MAX: Duration = Duration::from_secs(5);
/// LIMIT: connections that wait to be accepted.
const BACKLOG: u32 = 1024;

pub(super) fn parse(kind: SocketType, fields: &mut Fields) -> Result<Options, EndpointRefused> {
    let defaults = Options::default();
    let marks = 1..=1_000_000_usize;
    let hwm = fields.number("hwm", marks.clone())?;
    let heartbeat = fields.milliseconds("heartbeat_ms")?.unwrap_or(HEARTBEAT);
    let reconnect = fields.milliseconds("reconnect_ms")?;
    let options = Options {
        send_hwm: fields.number("send_hwm", marks.clone())?.or(hwm).unwrap_or(defaults.send_hwm),
        receive_hwm: fields.number("receive_hwm", marks)?.or(hwm).unwrap_or(defaults.receive_hwm),
        linger: Some(fields.milliseconds("linger_ms")?.unwrap_or(LINGER)),
        identity: identity(kind, fields)?,
        heartbeat_interval: heartbeat,
        heartbeat_timeout: fields.milliseconds("heartbeat_timeout_ms")?.unwrap_or(heartbeat),
        message_bytes_max: fields
            .number("message_bytes_max", 1..=MESSAGE_BYTES_CEILING)?
            .unwrap_or(MESSAGE_BYTES_MAX),
        reconnect_interval: reconnect.or(defaults.reconnect_interval),
        reconnect_interval_max: fields.milliseconds("reconnect_max_ms")?.unwrap_or(RECONNECT_MAX),
        backlog: BACKLOG,
        ..defaults
    };
    Ok(options)
}

/// The routing id that peers know the socket by, where they look at it.
fn identity(kind: SocketType, fields: &mut Fields) -> Result<bytes::Bytes, EndpointRefused> {
    if !matches!(kind, SocketType::Req | SocketType::Dealer | SocketType::Router) {
        return Ok(bytes::Bytes::new());
    }
    let Some(text) = fields.name("identity")? else { return Ok(bytes::Bytes::new()) };
    if text.len() > 255 || text.starts_with('\0') {
        let reason = "is no routing id: it has at most 255 bytes, and the first is not zero";
        return Err(fields.refused("identity", &text, reason));
    }
    Ok(text.into())
}
