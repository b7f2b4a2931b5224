//! Is the node alive, does it take work, and what has it counted.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use posthouse_broker::{Operation, Resource};

use crate::errors::Problem;
use crate::routes::Door;
use crate::{metrics, process};

/// Prometheus' text format.
const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Is the process alive? Always `ok` while it answers.
#[utoipa::path(get, path = "/healthz", tag = "node", responses((status = 200, body = String)))]
pub(crate) async fn alive() -> &'static str {
    "ok\n"
}

/// Does the node take work? `503` while it drains.
#[utoipa::path(get, path = "/readyz", tag = "node",
    responses((status = 200, body = String), (status = 503, body = Problem)))]
pub(crate) async fn ready(door: Door) -> Result<&'static str, Problem> {
    if door.shutdown.is_cancelled() {
        return Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "draining",
            "the node is draining and takes no new work",
        ));
    }
    Ok("ready\n")
}

/// What the node has counted, for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "node",
    responses((status = 200, body = String, content_type = "text/plain"),
        (status = "default", body = Problem)))]
pub(crate) async fn metrics(door: Door) -> Result<Response, Problem> {
    // They name topics, queues and webhooks.
    door.broker.authorize(&door.principal, Operation::Describe, Resource::Cluster)?;
    let counted = metrics::recorder().map(|recorder| recorder.render()).unwrap_or_default();
    let body = counted + &process::metrics();
    Ok(([(header::CONTENT_TYPE, EXPOSITION)], body).into_response())
}
