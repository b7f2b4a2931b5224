//! The accept loop: one for every door.
//!
//! # Invariants
//! - A connection's future is owned by the loop, which joins or aborts it before it returns.
//! - No handshake is done in the loop, and an unfinished one takes no connection's place.
//! - Running out of file descriptors slows accepting down; it never ends the loop.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::io::Errno;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::addresses::{Addresses, Counted};
use crate::bind::Socket;
use crate::handshake::{Handshake, Shaken};
use crate::metrics::DoorMetrics;
use crate::opening::{Opening, Openings};
use crate::trouble::Trouble;
use crate::{ConnectionLimits, Listener, Security, Stream, TlsPeer};

/// Pause after an accept that failed for lack of resources.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long a connection may be silent before the system asks whether its peer's machine is still
/// there, as Redis does by default; after three questions without an answer, a third of that apart,
/// it is over. For protocols without a heartbeat of their own.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(300);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(100);
const KEEPALIVE_QUESTIONS: u32 = 3;

/// One accepted connection.
#[derive(Debug)]
pub struct Connection {
    /// The bytes, over a socket with `TCP_NODELAY` and `SO_KEEPALIVE` set.
    pub stream: Stream,
    /// The other end.
    pub peer: SocketAddr,
    /// What the address is called that it came in by.
    pub listener: Arc<str>,
    /// What the TLS handshake told of the other end; `None` on a plain stream.
    pub tls: Option<TlsPeer>,
    /// For a door that negotiates TLS by itself: to be dropped when that is done.
    pub opening: Option<Opening>,
    /// Cancelled when the node drains: finish what has begun, take nothing new, and return.
    pub shutdown: CancellationToken,
}

impl Listener {
    /// Accepts until `shutdown`, then waits for the connections to finish, but not for ever.
    ///
    /// Each connection runs as a task of its own; one that panics is logged, and the door goes on.
    pub async fn serve<Handler, Work>(
        self,
        limits: ConnectionLimits,
        shutdown: CancellationToken,
        handle: Handler,
    ) where
        Handler: Fn(Connection) -> Work,
        Work: Future<Output = ()> + Send + 'static,
    {
        let mut door = Door::new(self.door, limits, shutdown.clone());
        let mut turn = 0;
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                Some(ended) = door.connections.join_next() => door.on_end(ended),
                Some(shaken) = door.handshakes.join_next() => door.on_shaken(shaken, &handle),
                (index, accepted) = accept(&self.sockets, &mut turn) => match accepted {
                    Ok((socket, peer)) => {
                        door.on_accepted(&self.sockets[index], socket, peer, &handle);
                    }
                    Err(error) => door.pause_after(&error).await,
                },
            }
            door.tell();
        }
        drop(self.sockets);
        door.drain().await;
    }
}

/// What the loop keeps.
struct Door {
    name: &'static str,
    limits: ConnectionLimits,
    metrics: DoorMetrics,
    addresses: Arc<Addresses>,
    openings: Arc<Openings>,
    connections: JoinSet<()>,
    /// Those whose TLS handshake goes on.
    handshakes: JoinSet<Shaken>,
    trouble: Trouble,
    shutdown: CancellationToken,
}

impl Door {
    fn new(name: &'static str, limits: ConnectionLimits, shutdown: CancellationToken) -> Door {
        Door {
            name,
            metrics: DoorMetrics::new(name),
            addresses: Addresses::new(limits.per_address_max),
            openings: Openings::new(name, limits.handshakes_max, limits.handshake_timeout),
            connections: JoinSet::new(),
            handshakes: JoinSet::new(),
            trouble: Trouble::default(),
            limits,
            shutdown,
        }
    }

    fn on_accepted<Work: Future<Output = ()> + Send + 'static>(
        &mut self,
        from: &Socket,
        socket: TcpStream,
        peer: SocketAddr,
        handle: impl Fn(Connection) -> Work,
    ) {
        let is_negotiated = matches!(from.security, Security::Negotiated(_));
        if !is_negotiated && self.is_full() {
            return self.refuse(peer, "too many connections");
        }
        let Some(counted) = self.addresses.enter(peer.ip()) else {
            return self.refuse(peer, "too many connections from its address");
        };
        set_options(&socket, self.name, peer);
        self.metrics.accepted.increment(1);
        let listener = Arc::clone(&from.name);
        let opening = match &from.security {
            Security::Plain => None,
            Security::Negotiated(acceptor) => {
                Some(self.openings.begin(acceptor.clone(), peer.ip()))
            }
            Security::Tls(acceptor) => {
                let opening = self.openings.begin(Some(acceptor.clone()), peer.ip());
                let handshake = Handshake { socket, peer, listener, counted, opening };
                self.handshakes.spawn(handshake.run());
                return;
            }
        };
        let (stream, shutdown) = (Stream::plain(socket), self.shutdown.clone());
        self.begin(
            Connection { stream, peer, listener, tls: None, opening, shutdown },
            counted,
            handle,
        );
    }

    fn on_shaken<Work: Future<Output = ()> + Send + 'static>(
        &mut self,
        shaken: Result<Shaken, JoinError>,
        handle: impl Fn(Connection) -> Work,
    ) {
        let Shaken { result, peer, listener, counted } = match shaken {
            Ok(shaken) => shaken,
            Err(failure) => return report(self.name, Err(failure)),
        };
        match result {
            Err(error) => {
                let error = posthouse_types::chain(&error);
                debug!(door = self.name, %peer, %error, "tls handshake failed");
                if let Some(count) = self.trouble.on_failure(Instant::now()) {
                    warn!(door = self.name, count, %peer, %error, "tls handshakes failed; this is the last");
                }
            }
            Ok(_) if self.is_full() => self.refuse(peer, "too many connections"),
            Ok((stream, tls)) => {
                let (tls, shutdown) = (Some(tls), self.shutdown.clone());
                let connection =
                    Connection { stream, peer, listener, tls, opening: None, shutdown };
                self.begin(connection, counted, handle);
            }
        }
    }

    fn begin<Work: Future<Output = ()> + Send + 'static>(
        &mut self,
        connection: Connection,
        counted: Counted,
        handle: impl Fn(Connection) -> Work,
    ) {
        let work = handle(connection);
        self.connections.spawn(async move {
            work.await;
            drop(counted);
        });
    }

    fn is_full(&self) -> bool {
        self.connections.len() >= self.limits.connections_max
    }

    fn refuse(&self, peer: SocketAddr, reason: &'static str) {
        self.metrics.refused.increment(1);
        debug!(door = self.name, %peer, reason, "connection refused");
    }

    fn on_end(&self, ended: Result<(), JoinError>) {
        report(self.name, ended);
    }

    /// A peer that went away before it was accepted is not worth a pause; anything else is.
    async fn pause_after(&self, error: &io::Error) {
        if error.kind() == io::ErrorKind::ConnectionAborted {
            return;
        }
        warn!(door = self.name, %error, "cannot accept a connection");
        if [Errno::MFILE, Errno::NFILE].contains(&Errno::from_io_error(error).unwrap_or(Errno::IO))
        {
            // Whoever has not even finished a handshake is the first to make room.
            self.openings.drop_one();
        }
        sleep(ACCEPT_PAUSE).await;
    }

    fn tell(&self) {
        self.metrics.open.set(count(self.connections.len()));
        self.metrics.handshakes.set(count(self.openings.count()));
    }

    async fn drain(mut self) {
        self.handshakes.shutdown().await;
        if !self.connections.is_empty() {
            info!(door = self.name, connections = self.connections.len(), "draining connections");
            let drained = timeout(self.limits.drain_timeout, async {
                while let Some(ended) = self.connections.join_next().await {
                    report(self.name, ended);
                }
            });
            if drained.await.is_err() {
                let connections = self.connections.len();
                warn!(door = self.name, connections, "connections dropped after the grace period");
                self.connections.shutdown().await;
            }
        }
        self.tell();
    }
}

/// The next connection of any of `sockets`, and which. They take turns, so that a flood on one keeps
/// nobody out at another.
async fn accept(
    sockets: &[Socket],
    turn: &mut usize,
) -> (usize, io::Result<(TcpStream, SocketAddr)>) {
    poll_fn(|cx: &mut Context<'_>| {
        for step in 0..sockets.len() {
            let index = (*turn + step) % sockets.len();
            if let Poll::Ready(accepted) = sockets[index].socket.poll_accept(cx) {
                *turn = index + 1;
                return Poll::Ready((index, accepted));
            }
        }
        Poll::Pending
    })
    .await
}

/// A socket without these still serves, so a failure is only told.
fn set_options(stream: &TcpStream, door: &'static str, peer: SocketAddr) {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(door, %peer, %error, "cannot set TCP_NODELAY");
    }
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_QUESTIONS);
    if let Err(error) = SockRef::from(stream).set_tcp_keepalive(&keepalive) {
        debug!(door, %peer, %error, "cannot set SO_KEEPALIVE");
    }
}

fn report(door: &'static str, ended: Result<(), JoinError>) {
    if let Err(failure) = ended
        && failure.is_panic()
    {
        error!(door, %failure, "a connection's task panicked");
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float; connections are few")]
fn count(connections: usize) -> f64 {
    connections as f64
}

#[cfg(test)]
mod tests;
