//! One connection: HTTP/1.1 or HTTP/2 over a socket, with its timeouts and its drain.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use posthouse_broker::Broker;
use posthouse_listener::{Connection, Listener};
use posthouse_query::QueryEngine;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::auth::Origin;
use crate::routes::{Door, router};
use crate::{HttpConfig, Outlets, metrics};

/// LIMIT: concurrent requests on one HTTP/2 connection.
const STREAMS_MAX: u32 = 200;
/// LIMIT: bytes of one HTTP/2 request's header fields.
const HEADER_LIST_BYTES_MAX: u32 = 64 * 1024;
/// LIMIT: how long a client that fell behind a live stream, or has not logged in in time, may take for
/// what was written to it already.
const CUT_OFF_GRACE: Duration = Duration::from_secs(5);
/// How often the recorder folds what was measured into its histograms.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Which connection a request came by; the records without a key of one go to one partition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionNumber(pub(crate) u32);

/// Cancelled by a request whose client fell behind: nothing is waited for on its connection any more,
/// not even that it takes what lies in the socket.
#[derive(Clone, Debug, Default)]
pub(crate) struct FallenBehind(pub(crate) CancellationToken);

/// Serves the door until it is drained. Somebody else runs the `outlets`.
pub async fn serve(
    listener: Listener,
    broker: Arc<Broker>,
    query: Arc<QueryEngine>,
    outlets: Arc<Outlets>,
    config: HttpConfig,
    shutdown: CancellationToken,
) {
    let limits = config.connections;
    let server = Arc::new(server(&config));
    let drain_timeout = limits.drain_timeout;
    let login_timeout = broker.login_timeout();
    let door = Door::new(broker, query, outlets, config, shutdown.clone());
    let websockets = door.tasks.clone();
    let router = router(door);
    let connections = AtomicU32::new(0);
    let upkeep = tokio::spawn(keep_up(shutdown.clone()));
    listener
        .serve(limits, shutdown, |connection| {
            let number = ConnectionNumber(connections.fetch_add(1, Ordering::Relaxed));
            converse(connection, number, Arc::clone(&server), router.clone(), login_timeout)
        })
        .await;
    websockets.close();
    // They are told by the same token; whoever does not take its farewell is left behind.
    let _ = timeout(drain_timeout, websockets.wait()).await;
    upkeep.abort();
}

fn server(config: &HttpConfig) -> auto::Builder<TokioExecutor> {
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new()).header_read_timeout(config.header_timeout);
    server
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEADER_LIST_BYTES_MAX)
        .keep_alive_interval(config.header_timeout);
    server
}

async fn converse(
    connection: Connection,
    number: ConnectionNumber,
    server: Arc<auto::Builder<TokioExecutor>>,
    router: Router,
    login_timeout: Option<Duration>,
) {
    let Connection { stream, peer, tls, shutdown, .. } = connection;
    let certificate = tls.and_then(|tls| tls.certificate).map(|certificate| certificate.subject);
    let is_known = Arc::<AtomicBool>::default();
    let nobody_known = nobody_known(login_timeout, Arc::clone(&is_known));
    let origin = Origin { peer, encrypted: stream.is_tls(), certificate, is_known };
    let service = TowerToHyperService::new(router);
    let behind = FallenBehind::default();
    let told = behind.clone();
    let cut_off = async {
        tokio::select! {
            () = behind.0.cancelled() => "its client does not read",
            () = nobody_known => "nobody has logged in in time",
        }
    };
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(number);
        request.extensions_mut().insert(origin.clone());
        request.extensions_mut().insert(told.clone());
        service.call(request)
    });
    let conversation = server.serve_connection_with_upgrades(TokioIo::new(stream), service);
    tokio::pin!(conversation);
    let ended = tokio::select! {
        ended = conversation.as_mut() => ended,
        () = shutdown.cancelled() => {
            conversation.as_mut().graceful_shutdown();
            conversation.await
        }
        reason = cut_off => {
            conversation.as_mut().graceful_shutdown();
            match timeout(CUT_OFF_GRACE, conversation).await {
                Ok(ended) => ended,
                Err(_) => return debug!(%peer, reason, "connection dropped"),
            }
        }
    };
    if let Err(error) = ended {
        debug!(%peer, %error, "connection ended early");
    }
}

/// Returns when nobody who is known has asked in time; where nobody need be known, never.
async fn nobody_known(login_timeout: Option<Duration>, is_known: Arc<AtomicBool>) {
    if let Some(login_timeout) = login_timeout {
        sleep(login_timeout).await;
        if !is_known.load(Ordering::Relaxed) {
            return;
        }
    }
    pending().await
}

async fn keep_up(shutdown: CancellationToken) {
    let Some(recorder) = metrics::recorder() else { return };
    let mut ticks = tokio::time::interval(UPKEEP_INTERVAL);
    loop {
        tokio::select! {
            _ = ticks.tick() => recorder.run_upkeep(),
            () = shutdown.cancelled() => return,
        }
    }
}
