//! The door itself: what all its connections share, and the life of one of them.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use datafusion::common::DataFusionError;
use posthouse_broker::{Knock, Login};
use posthouse_listener::{Connection, ConnectionLimits, Listener, Opening, Stream};
use posthouse_query::{QueryEngine, QuerySession};
use posthouse_types::Principal;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error};

use crate::PostgresConfig;
use crate::authentication::{Assurance, authenticate};
use crate::cancel::{Registration, Sessions};
use crate::catalog::SystemCatalog;
use crate::commands::Exchange;
use crate::errors::Fatal;
use crate::functions::Identity;
use crate::metrics::DoorMetrics;
use crate::roles::Roles;
use crate::session::{Limits, Session};
use crate::startup::{Request, greet, negotiate, request};
use crate::wire::Wire;

/// Sockets beyond `connections_max` that may be open: those being told that they are too many, and
/// those that carry a `CancelRequest`, which must get through when every place is taken.
const SOCKETS_SPARE: usize = 64;

/// How long a client may take to read why it was closed.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(2);

/// What all connections share.
pub(crate) struct Door {
    pub(crate) engine: Arc<QueryEngine>,
    pub(crate) config: PostgresConfig,
    pub(crate) catalog: SystemCatalog,
    pub(crate) metrics: DoorMetrics,
    sessions: Arc<Sessions>,
    places: Arc<Semaphore>,
}

/// Serves Postgres clients until `shutdown`, then returns when every connection has ended.
pub async fn serve(
    listener: Listener,
    engine: Arc<QueryEngine>,
    config: PostgresConfig,
    shutdown: CancellationToken,
) {
    let limits = ConnectionLimits {
        connections_max: config.connections.connections_max.saturating_add(SOCKETS_SPARE),
        ..config.connections
    };
    let door = match Door::new(engine, config) {
        Ok(door) => Arc::new(door),
        Err(error) => {
            // The tables are compiled in; a door without them would answer wrongly, so it stays shut.
            error!(%error, "the postgres door stays closed: its system catalog cannot be read");
            return;
        }
    };
    listener
        .serve(limits, shutdown, move |connection| {
            let door = Arc::clone(&door);
            async move { connected(&door, connection).await }
        })
        .await;
}

impl Door {
    fn new(engine: Arc<QueryEngine>, config: PostgresConfig) -> Result<Door, DataFusionError> {
        Ok(Door {
            engine,
            catalog: SystemCatalog::new(&config.database)?,
            metrics: DoorMetrics::new(),
            sessions: Arc::new(Sessions::default()),
            places: Arc::new(Semaphore::new(config.connections.connections_max)),
            config,
        })
    }

    /// How long a client may take from connecting to being ready.
    fn startup_timeout(&self) -> Duration {
        let login_timeout = self.engine.broker().login_timeout();
        login_timeout.into_iter().fold(self.config.startup_timeout, Duration::min)
    }
}

async fn connected(door: &Arc<Door>, connection: Connection) {
    let Connection { stream, peer, opening, shutdown, .. } = connection;
    let mut wire = Wire::new(stream, door.config.message_bytes_max);
    let knock = Knock { door: "postgres", address: peer.ip() };
    let opening_session = open(door, &mut wire, knock, opening.as_ref());
    let opened = tokio::select! {
        opened = timeout(door.startup_timeout(), opening_session) => {
            opened.unwrap_or(Err(Fatal::StartupTimeout))
        }
        () = shutdown.cancelled() => Err(Fatal::ShuttingDown),
        () = crowded_out(opening.as_ref()) => Err(Fatal::CrowdedOut),
    };
    drop(opening);
    match opened {
        Ok(Some(opened)) => {
            let _place = opened.place;
            let mut exchange = Exchange::new(
                Arc::clone(door),
                wire,
                opened.session,
                opened.query,
                opened.registration,
            );
            // Whatever runs is dropped with the login; what is written so far are whole messages.
            let ended = tokio::select! {
                ended = exchange.converse(&shutdown) => ended,
                () = login_ended(door, opened.login) => Fatal::LoginEnded,
            };
            debug!(%peer, reason = %ended, "postgres connection ended");
            say_goodbye(exchange.into_wire(), &ended).await;
        }
        Ok(None) => wire.close().await,
        Err(fatal) => {
            debug!(%peer, reason = %fatal, "postgres connection not opened");
            say_goodbye(wire, &fatal).await;
        }
    }
}

struct Opened {
    session: Session,
    query: QuerySession,
    registration: Registration,
    place: OwnedSemaphorePermit,
    login: Option<Login>,
}

/// Never, when the listener keeps no places for connections that are being opened.
async fn crowded_out(opening: Option<&Opening>) {
    match opening {
        Some(opening) => opening.crowded_out().await,
        None => pending().await,
    }
}

async fn open(
    door: &Arc<Door>,
    wire: &mut Wire<Stream>,
    knock: Knock,
    opening: Option<&Opening>,
) -> Result<Option<Opened>, Fatal> {
    let encryption = door.config.encryption;
    let Some(request) = request(wire, &door.sessions, opening, encryption).await? else {
        return Ok(None);
    };
    if let Some(opening) = opening {
        opening.note_greeting();
    }
    negotiate(wire, &request)?;
    let (broker, user) = (door.engine.broker(), &request.user);
    let assurance = wire.tls().map(Assurance::from).unwrap_or_default();
    let login = authenticate(wire, broker, knock, user, assurance).await?;
    // Taken last, so that whoever only knocks keeps nobody out.
    let place = Arc::clone(&door.places).try_acquire_owned().map_err(|_| Fatal::TooManyClients)?;
    let principal =
        login.as_ref().map_or_else(Principal::anonymous, |login| login.principal.clone());
    let (session, query) = session(door, &request, principal)?;
    let registration = door.sessions.register();
    let identity = Identity {
        user: request.user.clone(),
        process: registration.process,
        settings: session.shared_settings(),
    };
    let roles =
        Roles { broker: Arc::clone(door.engine.broker()), principal: query.principal().clone() };
    door.catalog
        .install(query.context(), identity, roles)
        .map_err(|error| Fatal::Session { message: error.to_string() })?;
    greet(wire, &session.settings(), &registration)?;
    Ok(Some(Opened { session, query, registration, place, login }))
}

fn session(
    door: &Door,
    request: &Request,
    principal: Principal,
) -> Result<(Session, QuerySession), Fatal> {
    let broker = door.engine.broker();
    let is_superuser = broker.authentication_required() && broker.is_superuser(&principal);
    let settings = request.settings(&door.config, is_superuser)?;
    Ok((Session::new(settings, Limits::from(&door.config)), door.engine.session(principal)))
}

/// Returns when the session must not go on; never where nobody logged in.
async fn login_ended(door: &Door, login: Option<Login>) {
    match login {
        Some(login) => door.engine.broker().watch_login(login).ended().await,
        None => pending().await,
    }
}

async fn say_goodbye<S: AsyncRead + AsyncWrite + Unpin>(mut wire: Wire<S>, fatal: &Fatal) {
    if let Some(message) = fatal.message()
        && wire.push(&message).is_ok()
    {
        // One that does not read must not hold up a drain.
        let _ = timeout(GOODBYE_TIMEOUT, wire.close()).await;
    }
}
