//! The one loop that drives a connection: reads, begins requests, waits for them, writes.
//!
//! Requests run inside the connection's own task, so a request costs no task. How bytes get to the
//! client is [`crate::transport`]'s.
//!
//! # Invariants
//! - At most one request runs; beside it, accepted produce requests wait for their disk, and of
//!   those only the first is polled, because answers leave in order.
//! - A client above its rate is answered at once; its next request begins when it may.
//! - Nothing waits for the socket but the socket: a client that does not read stops being read.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use posthouse_listener::Connection as Accepted;
use posthouse_types::chain;
use tokio::time::{Sleep, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::codec::header::Incoming;
use crate::codec::response::Response;
use crate::commands::{self, CommandError, Outcome, Running};
use crate::grant::Grant;
use crate::login::{Admitted, Guest, LoginStep, Over, UnexpectedRequest};
use crate::node::{Call, Endpoint, Node};
use crate::output::GATHER_MAX;
use crate::session::{RequestId, Session, SessionError, SessionLimits};
use crate::transport::Transport;

/// How long a refused login's connection stays open once its answer is sent, as Kafka's
/// `connection.failed.authentication.delay.ms` has it: some clients see a close before the answer.
const REFUSAL_DELAY: Duration = Duration::from_millis(100);

/// Why a connection ended before its client closed it.
#[derive(Debug, thiserror::Error)]
enum ConnectionError {
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error(transparent)]
    Command(#[from] CommandError),
    #[error(transparent)]
    Unexpected(#[from] UnexpectedRequest),
    #[error(transparent)]
    Over(Over),
    #[error("a large request did not arrive in time")]
    Late,
    #[error("the socket failed")]
    Socket(#[from] io::Error),
}

/// Serves one client until it goes away, breaks the protocol, or the node drains.
pub(crate) async fn run(accepted: Accepted, node: Arc<Node>) {
    let shutdown = accepted.shutdown.clone();
    let peer = accepted.peer;
    let mut connection = Connection::new(accepted, node);
    let ended = connection.drive(&shutdown).await;
    if connection.is_refused {
        sleep(REFUSAL_DELAY).await;
    }
    connection.transport.farewell().await;
    connection.node.metrics.in_flight.decrement(count(connection.session.in_flight()));
    match ended {
        Ok(()) => debug!(%peer, "connection closed"),
        Err(ConnectionError::Socket(error)) => debug!(%peer, %error, "connection lost"),
        Err(ConnectionError::Over(over)) => {
            let principal = connection.guest.principal();
            info!(%peer, %principal, reason = %over, "connection ended with its login");
        }
        Err(error) => {
            connection.node.metrics.protocol_errors.increment(1);
            warn!(%peer, error = %chain(&error), "connection ended by what its client sent");
        }
    }
}

struct Connection {
    transport: Transport,
    /// Nothing written lies in the transport.
    is_flushed: bool,
    session: Session,
    node: Arc<Node>,
    guest: Guest,
    peer: SocketAddr,
    /// Its login was refused, and nothing more is read.
    is_refused: bool,
    client_host: Arc<str>,
    endpoint: Arc<Endpoint>,
    /// The request that runs, and whether it may wait for other clients.
    running: Option<(RequestId, bool, Running)>,
    /// The request that waits until its client's certificate is looked at.
    deferred: Option<(RequestId, Incoming)>,
    /// Produce requests that have their offsets and wait for the disk, in order.
    accepted: VecDeque<(RequestId, BoxFuture<'static, Response>)>,
    /// Until when no further request begins: the client is above its rate, and was told (KIP-219).
    pause: Option<Pin<Box<Sleep>>>,
    grant: Grant,
    /// The client closed its side.
    input_ended: bool,
}

impl Connection {
    fn new(accepted: Accepted, node: Arc<Node>) -> Connection {
        let guest = Guest::new(&node, &accepted);
        let endpoint = Arc::new(node.endpoint(&accepted.listener));
        let Accepted { stream, peer, .. } = accepted;
        let config = &node.config;
        let limits = SessionLimits {
            request_bytes_max: config.request_bytes_max.as_usize(),
            connection_bytes_max: config.connection_bytes_max.as_usize(),
            unsent_bytes_max: config.unsent_bytes_max.as_usize(),
            requests_in_flight_max: config.requests_in_flight_max,
        };
        Connection {
            transport: Transport::new(stream),
            is_flushed: true,
            session: Session::new(limits, guest.entrance()),
            guest,
            peer,
            is_refused: false,
            client_host: Arc::from(format!("/{}", peer.ip())),
            endpoint,
            running: None,
            deferred: None,
            accepted: VecDeque::new(),
            pause: None,
            grant: Grant::new(Arc::clone(&node.request_memory)),
            input_ended: false,
            node,
        }
    }

    async fn drive(&mut self, shutdown: &CancellationToken) -> Result<(), ConnectionError> {
        let mut drain = pin!(shutdown.cancelled());
        let mut draining = false;
        poll_fn(|cx| {
            if !draining && drain.as_mut().poll(cx).is_ready() {
                draining = true;
                self.drain();
            }
            self.poll(cx)
        })
        .await
    }

    /// Does everything that can be done now; ready when the connection is over.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectionError>> {
        loop {
            let mut moved = self.poll_running(cx)?;
            moved |= self.poll_accepted(cx);
            moved |= self.begin_requests(cx)?;
            moved |= self.poll_grant(cx)?;
            if self.running.is_some() && moved {
                // What has just begun is usually done at once; its answer joins the next write.
                continue;
            }
            moved |= self.poll_write(cx)?;
            moved |= self.poll_read(cx)?;
            if self.session.is_finished() && self.is_flushed {
                return Poll::Ready(Ok(()));
            }
            if !moved {
                // Looked at last: what has just moved may have been a login.
                return self.guest.poll_over(cx).map(|over| Err(ConnectionError::Over(over)));
            }
        }
    }

    fn begin_requests(&mut self, cx: &mut Context<'_>) -> Result<bool, ConnectionError> {
        if self.running.is_some() || self.is_paused(cx) {
            return Ok(false);
        }
        let (id, incoming) = match self.deferred.take() {
            Some(deferred) => deferred,
            None => {
                let Some(next) = self.session.poll_request()? else { return Ok(false) };
                self.node.metrics.in_flight.increment(1.0);
                next
            }
        };
        if let Some(look) = self.guest.look_at_certificate(&self.node, &incoming) {
            self.running = Some((id, false, look));
            self.deferred = Some((id, incoming));
            return Ok(true);
        }
        let (version, client_id, waits) = match &incoming {
            Incoming::Request(request) => (
                request.version,
                request.client_id.clone(),
                commands::waits_for_others(request.api),
            ),
            Incoming::Token(_) | Incoming::UnsupportedApiVersions { .. } => {
                (0, Bytes::new(), false)
            }
        };
        let admitted = self.guest.admit(&incoming)?;
        let call = Call {
            node: Arc::clone(&self.node),
            principal: self.guest.principal(),
            client_id,
            client_host: Arc::clone(&self.client_host),
            endpoint: Arc::clone(&self.endpoint),
            version,
        };
        let running = match admitted {
            Admitted::Request => {
                let wait = self.node.broker.request_wait(&call.principal);
                after(wait, commands::begin(call, incoming))
            }
            Admitted::Login => self.guest.begin(call, incoming),
        };
        self.running = Some((id, waits, running));
        Ok(true)
    }

    fn is_paused(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(pause) = &mut self.pause else { return false };
        let goes_on = pause.as_mut().poll(cx).is_ready();
        if goes_on {
            self.pause = None;
        }
        !goes_on
    }

    /// Follows the session's need of shared memory. Costs nothing while requests are small.
    fn poll_grant(&mut self, cx: &mut Context<'_>) -> Result<bool, ConnectionError> {
        self.grant.keep(self.session.granted_bytes());
        if !self.session.is_receiving_large() {
            self.grant.on_arrival();
        }
        if self.grant.poll_late(cx).is_ready() {
            return Err(ConnectionError::Late);
        }
        let Some(size) = self.session.awaits_grant() else { return Ok(false) };
        let granted = self.grant.poll_take(cx, size).is_ready();
        if granted {
            self.session.on_grant();
        }
        Ok(granted)
    }

    fn poll_running(&mut self, cx: &mut Context<'_>) -> Result<bool, ConnectionError> {
        let Some((id, waits, running)) = &mut self.running else { return Ok(false) };
        let (id, waits) = (*id, *waits);
        let Poll::Ready(outcome) = running.poll_unpin(cx) else {
            if waits && self.input_ended {
                self.abandon_running();
                return Ok(true);
            }
            return Ok(false);
        };
        self.running = None;
        self.on_outcome(id, outcome?);
        Ok(true)
    }

    fn on_outcome(&mut self, id: RequestId, outcome: Outcome) {
        match outcome {
            Outcome::Response(response) => self.answer(id, Some(response)),
            Outcome::NoResponse => self.answer(id, None),
            Outcome::Accepted(durable) => {
                self.session.on_accepted(id);
                self.accepted.push_back((id, durable));
            }
            Outcome::Login(step) => self.on_login_step(id, *step),
            Outcome::Known(login) => {
                self.guest.on_known(&self.node.broker, login);
                self.session.set_entrance(self.guest.entrance());
            }
            Outcome::Paused(pause, outcome) => {
                self.pause = Some(Box::pin(sleep(pause)));
                self.on_outcome(id, *outcome);
            }
        }
    }

    fn on_login_step(&mut self, id: RequestId, step: LoginStep) {
        let (response, goes_on) = self.guest.on_step(&self.node.broker, step);
        self.session.set_entrance(self.guest.entrance());
        if !goes_on {
            info!(peer = %self.peer, "login refused");
            self.is_refused = true;
            self.session.refuse_rest();
        }
        self.answer(id, response);
    }

    fn poll_accepted(&mut self, cx: &mut Context<'_>) -> bool {
        let mut moved = false;
        while let Some((id, durable)) = self.accepted.front_mut() {
            let Poll::Ready(response) = durable.poll_unpin(cx) else { break };
            let id = *id;
            self.accepted.pop_front();
            self.answer(id, Some(response));
            moved = true;
        }
        moved
    }

    fn answer(&mut self, id: RequestId, response: Option<Response>) {
        let before = self.session.in_flight();
        self.session.on_answer(id, response);
        self.node.metrics.in_flight.decrement(count(before - self.session.in_flight()));
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Result<bool, ConnectionError> {
        if self.input_ended || !self.session.wants_bytes() {
            return Ok(false);
        }
        match self.transport.poll_read(cx, &mut self.session.spare()) {
            Poll::Pending => return Ok(false),
            Poll::Ready(Ok(0)) => {
                self.input_ended = true;
                self.session.on_end();
            }
            Poll::Ready(Ok(count)) => self.session.on_bytes(count),
            Poll::Ready(Err(error)) => return Err(error.into()),
        }
        Ok(true)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Result<bool, ConnectionError> {
        let mut moved = false;
        while !self.session.output().is_empty() {
            let Poll::Ready(sent) = self.poll_write_front(cx) else { break };
            self.session.on_sent(sent?);
            self.is_flushed = false;
            moved = true;
        }
        if !self.is_flushed && self.session.output().is_empty() {
            self.is_flushed = self.transport.poll_flush(cx)?.is_ready();
        }
        Ok(moved)
    }

    /// Writes some of what is first in the output: memory, or a file.
    fn poll_write_front(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let output = self.session.output();
        let Some(range) = output.front_file() else {
            let mut slices = [IoSlice::new(&[]); GATHER_MAX];
            let count = output.gather(&mut slices);
            return self.transport.poll_write(cx, &slices[..count]);
        };
        let sent = self.transport.poll_send_file(cx, range);
        if let Poll::Ready(Ok(count)) = sent
            && self.transport.has_sendfile()
        {
            let bytes = u64::try_from(count).unwrap_or(u64::MAX);
            self.node.metrics.sendfile_bytes.increment(bytes);
        }
        sent
    }

    /// The node stops: what has begun is finished, unless it waits for other clients.
    fn drain(&mut self) {
        self.session.refuse_rest();
        if matches!(self.running, Some((_, true, _))) {
            self.abandon_running();
        }
    }

    /// Forgets a request whose answer nobody will read. Dropping it changes nothing in the broker.
    fn abandon_running(&mut self) {
        if let Some((id, _, _)) = self.running.take() {
            self.session.refuse_rest();
            self.answer(id, None);
        }
    }
}

/// A client that asks more than it may waits; nothing else of it begins meanwhile.
fn after(wait: Duration, running: Running) -> Running {
    if wait.is_zero() {
        return running;
    }
    async move {
        sleep(wait).await;
        running.await
    }
    .boxed()
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float; requests in flight are few")]
fn count(requests: usize) -> f64 {
    requests as f64
}
