//! Endpoints: sockets in front of topics, channels, queues, services and pairs, declared and dropped
//! while the node runs.

use axum::Json;
use axum::body::Body;
use axum::http::StatusCode;
use posthouse_broker::{EndpointDescription, EndpointSettings};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::input::{NamePath, json_or_default};
use crate::errors::Problem;
use crate::routes::Door;

/// An endpoint, and how it does.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EndpointBody {
    /// Its name.
    name: String,
    /// What kind of socket it is: `PULL`.
    socket: String,
    /// What it is for: `into topic orders`.
    target: String,
    /// Whether it is from the node's configuration; such a one cannot be deleted here.
    configured: bool,
    /// `starting`, `running` or `failing`.
    state: String,
    /// Why it is failing. It is tried again all the time.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Where it is bound, with ports that were free, and where it connects to.
    addresses: Vec<String>,
    /// Peers connected.
    peers: u64,
    /// Messages received from peers.
    received: u64,
    /// Messages handed to the socket for peers.
    sent: u64,
    /// Messages that could not be used or delivered; what a socket drops at its high-water mark is
    /// in the metrics.
    dropped: u64,
    /// As it was declared, without its secrets.
    #[schema(value_type = Object)]
    settings: Map<String, Value>,
}

/// An endpoint to be made. Beside the name there are any of the settings that `docs/doors/zeromq.md`
/// lists; the ones every endpoint has are here.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes an object whose other members are free")]
pub(crate) struct NewEndpoint {
    /// Its name: 1 to 249 of `A-Z a-z 0-9 . _ -`.
    name: String,
    /// What kind of socket to be: `PULL`, `PUSH`, `PUB`, `SUB`, `XPUB`, `XSUB`, `REQ`, `REP`, `DEALER`,
    /// `ROUTER` or `PAIR`.
    socket: String,
    /// Where to bind: `tcp://127.0.0.1:5555`, `ipc:///run/posthouse/jobs`.
    bind: Option<Vec<String>>,
    /// Where to connect.
    connect: Option<Vec<String>>,
    /// The topic that it is for; or `channel`, `queue` with `group`, `service`, `pair`, or a second
    /// socket in `back`.
    topic: Option<String>,
}

/// List the endpoints.
#[utoipa::path(get, path = "/endpoints", tag = "endpoints",
    responses((status = 200, body = Vec<EndpointBody>), (status = "default", body = Problem)))]
pub(crate) async fn list(door: Door) -> Result<Json<Vec<EndpointBody>>, Problem> {
    let endpoints = door.broker.endpoints(&door.principal).await?;
    Ok(Json(endpoints.into_iter().map(EndpointBody::from).collect()))
}

/// Make an endpoint. It is kept, and opened again whenever the node starts. One that cannot be opened
/// now is made all the same: its `state` and `reason` say so.
#[utoipa::path(post, path = "/endpoints", tag = "endpoints", request_body = NewEndpoint,
    responses((status = 201, body = EndpointBody), (status = "default", body = Problem)))]
pub(crate) async fn create(
    door: Door,
    body: Body,
) -> Result<(StatusCode, Json<EndpointBody>), Problem> {
    let mut object: Map<String, Value> = json_or_default(body, &door.config).await?;
    let name = match object.remove("name") {
        Some(Value::String(name)) => name,
        Some(other) => {
            return Err(Problem::parameter("name", &other.to_string(), "is not a text"));
        }
        None => return Err(Problem::parameter("name", "", "is missing")),
    };
    let settings = EndpointSettings::from_json(&object)?;
    let made = door.broker.create_endpoint(&door.principal, &name, settings).await?;
    Ok((StatusCode::CREATED, Json(made.into())))
}

/// Describe an endpoint.
#[utoipa::path(get, path = "/endpoints/{name}", tag = "endpoints",
    params(("name" = String, Path, description = "The endpoint")),
    responses((status = 200, body = EndpointBody), (status = "default", body = Problem)))]
pub(crate) async fn describe(
    door: Door,
    NamePath(name): NamePath,
) -> Result<Json<EndpointBody>, Problem> {
    Ok(Json(door.broker.endpoint(&door.principal, &name).await?.into()))
}

/// Delete an endpoint. Its sockets are closed and its ports are free when this answers.
#[utoipa::path(delete, path = "/endpoints/{name}", tag = "endpoints",
    params(("name" = String, Path, description = "The endpoint")),
    responses((status = 204), (status = "default", body = Problem)))]
pub(crate) async fn delete(door: Door, NamePath(name): NamePath) -> Result<StatusCode, Problem> {
    door.broker.drop_endpoint(&door.principal, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<EndpointDescription> for EndpointBody {
    fn from(endpoint: EndpointDescription) -> EndpointBody {
        EndpointBody {
            state: endpoint.state.word().to_owned(),
            reason: endpoint.state.reason().map(str::to_owned),
            name: endpoint.name,
            socket: endpoint.socket,
            target: endpoint.target,
            configured: endpoint.configured,
            addresses: endpoint.addresses,
            peers: endpoint.peers,
            received: endpoint.received,
            sent: endpoint.sent,
            dropped: endpoint.dropped,
            settings: endpoint.settings.to_json(),
        }
    }
}
