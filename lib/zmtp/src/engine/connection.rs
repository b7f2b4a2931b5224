//! One connection: reads, writes and lets its session decide, until either side ends it.
//!
//! A future that is polled by hand, because reading, writing, the socket's queue and the clock all make
//! progress in one loop: what has been read is handed on and what is queued is written before anything
//! is waited for, so that many small messages cost one system call.
//!
//! # Invariants
//! - Nothing is read while the socket has no room for what was read before.
//! - What is queued is encoded only as far as [`OUTPUT_BYTES`], so memory is bounded by the high-water
//!   mark and this.

use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::AsyncWrite;
use tokio::time::Sleep;
use tokio_util::io::poll_read_buf;
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::read_room::ReadRoom;
use super::stream::Stream;
use crate::codec::outbox::SLICES_MAX;
use crate::core::{Core, Inlet, Link};
use crate::endpoint::Endpoint;
use crate::events::Event;
use crate::mechanism::{Judgement, Pass};
use crate::session::{self, Item, Role, Session, SessionError};

/// Encoded bytes that wait to be written before the queue is looked at again.
const OUTPUT_BYTES: usize = 128 * 1024;
/// Messages handed on at a time.
const MESSAGES_PER_BATCH: usize = 1024;
/// How long a goodbye may take.
const GOODBYE_TIME: Duration = Duration::from_secs(1);
/// Rounds before other tasks have their turn.
const ROUNDS_PER_POLL: usize = 16;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ending {
    #[error("the peer closed the connection")]
    PeerClosed,
    #[error("the socket was closed")]
    Closed,
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Session(#[from] SessionError),
    /// We refused the peer.
    #[error("{0}")]
    PeerRefused(&'static str),
    /// What it was let in by has ended.
    #[error("the peer's login has ended")]
    PassEnded,
}

/// A connection at work. Its result is why it ended, and the link that it was given.
pub(super) struct Connection {
    core: Arc<Core>,
    endpoint: Endpoint,
    stream: Stream,
    session: Session,
    link: Option<Link>,
    /// Taken from the socket and not yet encoded.
    outgoing: VecDeque<Item>,
    /// Encoded and not yet credited.
    uncredited: usize,
    inlet: Inlet,
    read_room: ReadRoom,
    /// A peer that is being judged.
    judged: Option<(session::Peer, Judgement)>,
    /// How long one that was let in may stay.
    pass: Option<Pass>,
    timer: Option<(Instant, Pin<Box<Sleep>>)>,
    stopping: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Why it will end once the goodbye has been written.
    ending: Option<Ending>,
    established: bool,
}

impl Connection {
    /// A connection over `stream`. With a link, messages already wait for it.
    pub(super) fn new(
        core: Arc<Core>,
        endpoint: Endpoint,
        stream: Stream,
        role: Role,
        link: Option<Link>,
    ) -> Connection {
        let session = Session::new(core.session.clone(), role, Instant::now());
        let stopping = Box::pin(core.stopping.clone().cancelled_owned());
        Connection {
            core,
            endpoint,
            stream,
            session,
            link,
            outgoing: VecDeque::new(),
            uncredited: 0,
            inlet: Inlet::default(),
            read_room: ReadRoom::default(),
            judged: None,
            pass: None,
            timer: None,
            stopping,
            ending: None,
            established: false,
        }
    }

    /// Runs to its end, tells the monitors how that came, and gives back the link for another try.
    pub(super) async fn run(mut self) -> (Ending, Option<Link>) {
        let ending = std::future::poll_fn(|context| self.poll(context)).await;
        if let Some(link) = &self.link {
            self.inlet.finish(link);
            // What was taken and not sent is lost with the connection; its places are free again.
            link.credit(self.uncredited + self.outgoing.len());
        }
        self.core.metrics.messages_lost.increment(self.outgoing.len() as u64);
        self.report(&ending);
        (ending, self.link.take())
    }

    fn report(&self, ending: &Ending) {
        let (endpoint, reason) = (self.endpoint.clone(), ending.to_string());
        if self.established {
            self.core.metrics.connections.decrement(1);
            self.core.monitors.tell(&Event::Disconnected { endpoint, reason });
            return;
        }
        match ending {
            Ending::PeerRefused(_) => {
                tracing::warn!(%endpoint, reason, "peer refused");
                self.core.metrics.peers_refused.increment(1);
                self.core.monitors.tell(&Event::PeerRefused { endpoint, reason });
            }
            Ending::Session(error) if error.refusal().is_some() => {
                tracing::warn!(%endpoint, reason, "refused by the peer");
                self.core.monitors.tell(&Event::Refused { endpoint, reason });
            }
            Ending::Closed => {}
            _ => {
                tracing::debug!(%endpoint, reason, "handshake failed");
                self.core.metrics.handshakes_failed.increment(1);
                self.core.monitors.tell(&Event::HandshakeFailed { endpoint, reason });
            }
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Ending> {
        for _ in 0..ROUNDS_PER_POLL {
            if self.ending.is_some() {
                return self.poll_goodbye(context);
            }
            match self.poll_round(context) {
                Ok(true) => {}
                Ok(false) => match self.poll_timer(context) {
                    Ok(true) => {}
                    Ok(false) => return Poll::Pending,
                    Err(ending) => self.ending = Some(ending),
                },
                Err(ending) => self.ending = Some(ending),
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Does everything that can be done now; whether there was anything.
    fn poll_round(&mut self, context: &mut Context<'_>) -> Result<bool, Ending> {
        let mut progressed = self.poll_judgement(context)?;
        progressed |= self.hand_on(context)?;
        progressed |= self.poll_outgoing(context)?;
        progressed |= self.poll_write(context)?;
        if self.inlet.is_empty() && self.judged.is_none() {
            progressed |= self.poll_read(context)?;
        }
        Ok(progressed)
    }

    /// Lets the session make events of what was read, and hands them on.
    fn hand_on(&mut self, context: &mut Context<'_>) -> Result<bool, Ending> {
        if let Some(link) = &self.link {
            self.inlet.flush(link, context.waker());
        }
        if !self.inlet.is_empty() || self.session.input().is_empty() {
            return Ok(false);
        }
        let now = Instant::now();
        let mut progressed = false;
        while self.inlet.len() < MESSAGES_PER_BATCH {
            let event = match self.session.poll(now) {
                Ok(Some(event)) => event,
                Ok(None) => break,
                Err(error) => {
                    self.flush_inlet(context);
                    return Err(error.into());
                }
            };
            progressed = true;
            match (event, &self.link) {
                (session::Event::Message(message), Some(link)) => self.inlet.message(link, message),
                (session::Event::Subscribe(prefix), Some(link)) => {
                    self.inlet.subscription(link, true, &prefix);
                }
                (session::Event::Cancel(prefix), Some(link)) => {
                    self.inlet.subscription(link, false, &prefix);
                }
                (session::Event::Arrived(peer), _) => self.on_arrived(now, peer)?,
                (_, None) => {}
            }
        }
        self.flush_inlet(context);
        Ok(progressed)
    }

    fn flush_inlet(&mut self, context: &mut Context<'_>) {
        if let Some(link) = &self.link {
            self.inlet.flush(link, context.waker());
        }
    }

    /// Has the peer judged, where somebody asks what it has shown.
    fn on_arrived(&mut self, now: Instant, peer: session::Peer) -> Result<(), Ending> {
        let authenticator = self.core.options.authenticator.as_ref();
        match authenticator.and_then(|judge| Some((judge, self.session.credentials()?))) {
            Some((judge, credentials)) => {
                let judgement = judge.judge(self.stream.peer_address(), credentials);
                self.judged = Some((peer, judgement));
                Ok(())
            }
            None => self.welcome(now, peer),
        }
    }

    /// Lets in a peer that has been judged, and ends the connection of one that must go.
    fn poll_judgement(&mut self, context: &mut Context<'_>) -> Result<bool, Ending> {
        if let Some(pass) = &mut self.pass
            && pass.as_mut().poll(context).is_ready()
        {
            return Err(Ending::PassEnded);
        }
        let Some((peer, mut judgement)) = self.judged.take() else { return Ok(false) };
        match judgement.as_mut().poll(context) {
            Poll::Pending => {
                self.judged = Some((peer, judgement));
                Ok(false)
            }
            Poll::Ready(None) => {
                self.session.deny();
                Err(Ending::PeerRefused("the peer's credentials are not accepted"))
            }
            Poll::Ready(Some(pass)) => {
                self.pass = Some(pass);
                self.welcome(Instant::now(), peer)?;
                Ok(true)
            }
        }
    }

    /// Asks the socket whether the peer is welcome.
    fn welcome(&mut self, now: Instant, peer: session::Peer) -> Result<(), Ending> {
        let admitted = match &self.link {
            Some(link) => link.identify(&peer),
            None => self.core.admit(&peer).map(|link| self.link = Some(link)),
        };
        if let Err(refusal) = admitted {
            self.session.refuse(refusal.0);
            return Err(Ending::PeerRefused(refusal.0));
        }
        self.session.admit(now)?;
        self.established = true;
        self.core.metrics.connections.increment(1);
        let endpoint = self.endpoint.clone();
        self.core.monitors.tell(&Event::HandshakeSucceeded { endpoint, peer });
        Ok(())
    }

    /// Encodes what the socket has to send, as far as there is room.
    fn poll_outgoing(&mut self, context: &mut Context<'_>) -> Result<bool, Ending> {
        if !self.established {
            let stopping = self.stopping.as_mut().poll(context).is_ready();
            let has_something = self.link.as_ref().is_some_and(|link| !link.is_finished());
            return if stopping && !has_something { Err(Ending::Closed) } else { Ok(false) };
        }
        let Some(link) = &self.link else { return Ok(false) };
        let batch = link.credit_batch();
        let mut progressed = false;
        while self.session.output().len() < OUTPUT_BYTES {
            if self.outgoing.is_empty() && !link.take(&mut self.outgoing, context.waker()) {
                if link.is_finished() && self.session.output().is_empty() {
                    return Err(Ending::Closed);
                }
                break;
            }
            while let Some(item) = self.outgoing.pop_front() {
                self.session.send(&item)?;
                self.uncredited += 1;
                if self.uncredited >= batch {
                    link.credit(std::mem::take(&mut self.uncredited));
                }
                if self.session.output().len() >= OUTPUT_BYTES {
                    break;
                }
            }
            progressed = true;
        }
        if self.outgoing.is_empty() {
            link.credit(std::mem::take(&mut self.uncredited));
        }
        Ok(progressed)
    }

    fn poll_write(&mut self, context: &mut Context<'_>) -> Result<bool, Ending> {
        let mut progressed = false;
        while !self.session.output().is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let output = self.session.output();
            let count = output.slices(&mut slices);
            let stream = Pin::new(&mut self.stream);
            let written = match stream.poll_write_vectored(context, &slices[..count]) {
                Poll::Ready(written) => written?,
                Poll::Pending => return Ok(progressed),
            };
            if written == 0 {
                return Err(Ending::Io(io::ErrorKind::WriteZero.into()));
            }
            self.session.output().advance(written);
            progressed = true;
        }
        Ok(progressed)
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Result<bool, Ending> {
        let missing = self.session.missing();
        let input = self.session.input();
        self.read_room.make(input, missing);
        match poll_read_buf(Pin::new(&mut self.stream), context, input) {
            Poll::Pending => Ok(false),
            Poll::Ready(Ok(0)) => Err(Ending::PeerClosed),
            Poll::Ready(Ok(_)) => {
                self.read_room.has_read(input);
                self.session.heard(Instant::now());
                Ok(true)
            }
            Poll::Ready(Err(error)) => Err(error.into()),
        }
    }

    /// Whether time has come for something.
    fn poll_timer(&mut self, context: &mut Context<'_>) -> Result<bool, Ending> {
        let Some(deadline) = self.session.deadline() else {
            self.timer = None;
            return Ok(false);
        };
        let mut fired = false;
        loop {
            let (at, sleep) = self.timer.get_or_insert_with(|| {
                (deadline, Box::pin(tokio::time::sleep_until(deadline.into())))
            });
            if *at != deadline {
                *at = deadline;
                sleep.as_mut().reset(deadline.into());
            }
            if fired || sleep.as_mut().poll(context).is_pending() {
                return Ok(fired);
            }
            self.session.on_deadline(Instant::now())?;
            self.timer = None;
            fired = true;
        }
    }

    /// Writes what is left to say, and closes.
    fn poll_goodbye(&mut self, context: &mut Context<'_>) -> Poll<Ending> {
        let gone = matches!(self.ending, Some(Ending::PeerClosed | Ending::Io(_)));
        if !gone && self.poll_write(context).is_ok() && !self.session.output().is_empty() {
            let deadline = Instant::now() + GOODBYE_TIME;
            let timer = self.timer.take().filter(|(at, _)| *at <= deadline);
            let timer = timer
                .unwrap_or_else(|| (deadline, Box::pin(tokio::time::sleep_until(deadline.into()))));
            ready!(self.timer.insert(timer).1.as_mut().poll(context));
        }
        let _ = Pin::new(&mut self.stream).poll_shutdown(context);
        Poll::Ready(self.ending.take().unwrap_or(Ending::Closed))
    }
}
