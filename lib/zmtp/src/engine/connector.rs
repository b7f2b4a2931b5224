//! A connected endpoint: connects, runs the connection, and tries again when it is lost.
//!
//! # Invariants
//! - A peer that has refused us with an ERROR is not asked again, as libzmq does.
//! - What waits for a peer survives a lost connection, for the socket types that queue without one.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::connection::{Connection, Ending};
use super::inproc;
use super::stream::Stream;
use crate::core::{Core, Link};
use crate::endpoint::Endpoint;
use crate::error::ConnectError;
use crate::events::Event;
use crate::session::Role;

/// Connects in the background until `until` or the socket's end.
pub(crate) fn connect(
    core: &Arc<Core>,
    endpoint: Endpoint,
    until: CancellationToken,
) -> Result<(), ConnectError> {
    if matches!(&endpoint, Endpoint::Tcp { host, port } if host == "*" || *port == 0) {
        return Err(ConnectError::Wildcard(endpoint));
    }
    let mut link = None;
    if core.queues_while_disconnected() {
        link = Some(core.attach().map_err(|refusal| ConnectError::NoRoom {
            endpoint: endpoint.clone(),
            reason: refusal.0,
        })?);
    }
    if !core.source_begins() {
        return Err(ConnectError::Closed);
    }
    let connector = Connector { core: core.clone(), endpoint, link, failures: 0 };
    let core = core.clone();
    core.clone().tasks.spawn(async move {
        let aborting = core.aborting.clone();
        let stop = async {
            tokio::select! {
                () = aborting.cancelled() => {}
                () = until.cancelled() => {}
            }
        };
        let refused = tokio::select! {
            biased;
            () = stop => None,
            refused = connector.run() => refused,
        };
        core.source_ends(refused);
    });
    Ok(())
}

struct Connector {
    core: Arc<Core>,
    endpoint: Endpoint,
    link: Option<Link>,
    failures: u32,
}

impl Connector {
    /// Runs until there is no more reason to; why the peer refused us, if it did.
    async fn run(mut self) -> Option<String> {
        loop {
            let reason = if let Endpoint::Inproc(name) = &self.endpoint {
                let name = name.clone();
                inproc::connect(&self.core, &name, &self.endpoint, &mut self.link).await
            } else {
                self.connect_once().await
            };
            let reason = match reason {
                Ok(Ending::Session(error)) if error.refusal().is_some() => {
                    return error.refusal().map(str::to_owned);
                }
                Ok(Ending::Closed) => return None,
                Ok(ending) => ending.to_string(),
                Err(error) => error.to_string(),
            };
            let after = self.wait()?;
            let endpoint = self.endpoint.clone();
            self.core.monitors.tell(&Event::Retrying { endpoint, after, reason });
            tokio::select! {
                () = self.core.stopping.cancelled(), if !self.has_something() => return None,
                () = tokio::time::sleep(after) => {}
            }
            if self.core.stopping.is_cancelled() && !self.has_something() {
                return None;
            }
        }
    }

    /// Whether messages wait for the peer.
    fn has_something(&self) -> bool {
        self.link.as_ref().is_some_and(|link| !link.is_finished())
    }

    async fn connect_once(&mut self) -> io::Result<Ending> {
        let connecting = Stream::connect(&self.endpoint, &self.core.options);
        let stream = match self.core.options.connect_timeout {
            None => connecting.await?,
            Some(limit) => tokio::time::timeout(limit, connecting)
                .await
                .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??,
        };
        self.core.monitors.tell(&Event::Connected { endpoint: self.endpoint.clone() });
        let persistent = self.link.is_some();
        let (core, endpoint) = (self.core.clone(), self.endpoint.clone());
        let role = Role::Connected;
        let connection = Connection::new(core, endpoint, stream, role, self.link.take());
        let (ending, link) = connection.run().await;
        if persistent {
            self.link = link;
        }
        if !matches!(ending, Ending::PeerRefused(_)) {
            self.failures = 0;
        }
        Ok(ending)
    }

    /// How long to wait before the next try, with some chance in it so that many clients of a server
    /// that has returned do not all come at once. `None` when there is to be none.
    fn wait(&mut self) -> Option<Duration> {
        let first = self.core.options.reconnect_interval?;
        let limit = self.core.options.reconnect_interval_max;
        let doubled = first.saturating_mul(1 << self.failures.min(20));
        let base = if limit > first { doubled.min(limit) } else { first };
        self.failures += 1;
        let chance = f64::from(getrandom::u32().unwrap_or(0)) / f64::from(u32::MAX);
        Some(base.mul_f64(1.0 + chance * 0.1))
    }
}
