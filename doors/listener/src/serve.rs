//! The accept loop: one for every door.
//!
//! # Invariants
//! - A connection's future is owned by the loop, which joins or aborts it before it returns.
//! - Running out of file descriptors slows accepting down; it never ends the loop.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::metrics::DoorMetrics;
use crate::{ConnectionLimits, Listener, Stream};

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
    /// The socket, with `TCP_NODELAY` and `SO_KEEPALIVE` set.
    pub stream: Stream,
    /// The other end.
    pub peer: SocketAddr,
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
        let metrics = DoorMetrics::new(self.door);
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                Some(ended) = connections.join_next() => {
                    report(self.door, ended);
                    metrics.open.set(count(&connections));
                }
                accepted = self.socket.accept() => match accepted {
                    Ok((stream, peer)) if connections.len() >= limits.connections_max => {
                        drop(stream);
                        metrics.refused.increment(1);
                        debug!(door = self.door, %peer, max = limits.connections_max, "connection refused: too many");
                    }
                    Ok((stream, peer)) => {
                        set_options(&stream, self.door, peer);
                        let stream = Stream::plain(stream);
                        let connection = Connection { stream, peer, shutdown: shutdown.clone() };
                        connections.spawn(handle(connection));
                        metrics.accepted.increment(1);
                        metrics.open.set(count(&connections));
                    }
                    Err(error) => pause_after(&error, self.door).await,
                },
            }
        }
        drop(self.socket);
        drain(self.door, &mut connections, limits.drain_timeout).await;
        metrics.open.set(0.0);
    }
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

/// A peer that went away before it was accepted is not worth a pause; anything else is.
async fn pause_after(error: &io::Error, door: &'static str) {
    if error.kind() != io::ErrorKind::ConnectionAborted {
        warn!(door, %error, "cannot accept a connection");
        sleep(ACCEPT_PAUSE).await;
    }
}

async fn drain(door: &'static str, connections: &mut JoinSet<()>, within: Duration) {
    if connections.is_empty() {
        return;
    }
    info!(door, connections = connections.len(), "draining connections");
    let drained = timeout(within, async {
        while let Some(ended) = connections.join_next().await {
            report(door, ended);
        }
    });
    if drained.await.is_err() {
        warn!(door, connections = connections.len(), "connections dropped after the grace period");
        connections.shutdown().await;
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
fn count(connections: &JoinSet<()>) -> f64 {
    connections.len() as f64
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn door() -> (Listener, SocketAddr) {
        let listener = Listener::bind("test", "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_address();
        (listener, address)
    }

    #[tokio::test]
    async fn draining_lets_a_connection_finish_what_it_began() {
        let (listener, address) = door().await;
        let shutdown = CancellationToken::new();
        let server = tokio::spawn(listener.serve(
            ConnectionLimits::default(),
            shutdown.clone(),
            |mut connection| async move {
                connection.stream.write_all(b"hello").await.unwrap();
                connection.shutdown.cancelled().await;
                connection.stream.write_all(b"bye").await.unwrap();
            },
        ));
        let mut client = TcpStream::connect(address).await.unwrap();
        client.read_exact(&mut [0; 5]).await.unwrap();
        shutdown.cancel();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, b"bye");
        server.await.unwrap();
    }

    #[tokio::test]
    async fn a_connection_above_the_limit_is_closed() {
        let (listener, address) = door().await;
        let shutdown = CancellationToken::new();
        let limits = ConnectionLimits { connections_max: 1, ..ConnectionLimits::default() };
        let server =
            tokio::spawn(listener.serve(limits, shutdown.clone(), |connection| async move {
                connection.shutdown.cancelled().await;
            }));
        let _first = TcpStream::connect(address).await.unwrap();
        let mut second = TcpStream::connect(address).await.unwrap();
        assert_eq!(second.read(&mut [0; 1]).await.unwrap(), 0);
        shutdown.cancel();
        server.await.unwrap();
    }

    #[tokio::test]
    async fn a_connection_that_panics_leaves_the_door_open() {
        let (listener, address) = door().await;
        let shutdown = CancellationToken::new();
        let server = tokio::spawn(listener.serve(
            ConnectionLimits::default(),
            shutdown.clone(),
            |mut connection| async move {
                let mut first = [0; 1];
                connection.stream.read_exact(&mut first).await.unwrap();
                assert_ne!(&first, b"!", "told to panic");
                connection.stream.write_all(b"ok").await.unwrap();
            },
        ));
        TcpStream::connect(address).await.unwrap().write_all(b"!").await.unwrap();
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b".").await.unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, b"ok");
        shutdown.cancel();
        server.await.unwrap();
    }
}
