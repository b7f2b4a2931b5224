//! What a socket's handles and its connections share: the pattern, the pipes, and who waits.
//!
//! # Invariants
//! - The lock is held for one step of the pattern, never across an await.
//! - Whoever waits has registered before it looked, so no wake-up is lost.

mod link;
mod table;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::error::{RecvError, SendError, SubscribeError};
use crate::events::Monitors;
use crate::message::Message;
use crate::metrics::Metrics;
use crate::options::Options;
use crate::patterns::{Pattern, PipeId, Refusal, Unreceived, Unsent, pattern};
use crate::pipe::Capacity;
use crate::session::{HeartbeatConfig, Peer, SessionConfig};
use crate::socket_type::SocketType;
pub(crate) use link::{Inlet, Link};
use table::Table;

/// A call that never has to wait lets others run after so many messages, or a publisher would keep the
/// connections of its thread from sending anything.
const MESSAGES_PER_TURN: u32 = 512;

/// A socket without its public face.
pub(crate) struct Core {
    pub(crate) kind: SocketType,
    pub(crate) options: Options,
    pub(crate) session: Arc<SessionConfig>,
    pub(crate) monitors: Monitors,
    pub(crate) metrics: Metrics,
    /// Listeners, connectors and connections.
    pub(crate) tasks: TaskTracker,
    /// Nothing new is begun; what waits is still sent.
    pub(crate) stopping: CancellationToken,
    /// The time to linger is over.
    pub(crate) aborting: CancellationToken,
    state: Mutex<State>,
    readable: Notify,
    writable: Notify,
    turn: AtomicU32,
}

struct State {
    pattern: Box<dyn Pattern>,
    pipes: Table,
    closed: bool,
    /// Listeners and connectors that may still bring a peer.
    sources: usize,
    refused: Option<String>,
}

impl Core {
    pub(crate) fn new(kind: SocketType, options: Options) -> Arc<Core> {
        let heartbeat = HeartbeatConfig {
            interval: options.heartbeat_interval,
            timeout: options.heartbeat_timeout,
            ttl: options.heartbeat_ttl,
        };
        let session = SessionConfig {
            socket_type: kind,
            identity: options.identity.clone(),
            security: options.security.clone(),
            message_bytes_max: options.message_bytes_max,
            handshake_timeout: options.handshake_timeout,
            heartbeat: Some(heartbeat),
        };
        let state = State {
            pattern: pattern(kind, &options),
            pipes: Table::default(),
            closed: false,
            sources: 0,
            refused: None,
        };
        Arc::new(Core {
            kind,
            session: Arc::new(session),
            monitors: Monitors::default(),
            metrics: Metrics::new(kind),
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
            aborting: CancellationToken::new(),
            state: Mutex::new(state),
            readable: Notify::new(),
            writable: Notify::new(),
            turn: AtomicU32::new(0),
            options,
        })
    }

    /// Whether an endpoint that is connected to has a pipe before there is a connection, and keeps it
    /// when the connection is lost. Who addresses peers sends to connections, not to endpoints.
    pub(crate) fn queues_while_disconnected(&self) -> bool {
        let Options { immediate, addressed, .. } = self.options;
        self.kind.queues_while_disconnected() && !immediate && !addressed
    }

    /// Sends, or says why not now.
    pub(crate) fn try_send(&self, message: Message) -> Result<(), SendError> {
        if message.is_empty() {
            return Err(SendError::Empty);
        }
        if self.options.conflate && message.frame_count() > 1 {
            return Err(SendError::Multipart);
        }
        let mut state = self.state.lock();
        if state.closed {
            return Err(SendError::Closed);
        }
        let State { pattern, pipes, .. } = &mut *state;
        let sent = pattern.send(message, pipes);
        self.count_dropped(&mut state);
        match sent {
            Ok(()) => Ok(()),
            Err(Unsent::Full(message)) => Err(match state.refusal() {
                Some(reason) => SendError::Refused(reason),
                None => SendError::Full(message),
            }),
            Err(Unsent::Unroutable(message)) => Err(SendError::Unroutable(message)),
            Err(Unsent::NotNow(reason)) => Err(SendError::NotNow(reason)),
        }
    }

    /// Sends, and waits for room.
    pub(crate) async fn send(&self, message: Message) -> Result<(), SendError> {
        self.take_turn().await;
        let mut message = match self.try_send(message) {
            Err(SendError::Full(message)) => message,
            sent => return sent,
        };
        loop {
            let mut writable = std::pin::pin!(self.writable.notified());
            writable.as_mut().enable();
            match self.try_send(message) {
                Err(SendError::Full(back)) => message = back,
                sent => return sent,
            }
            writable.await;
        }
    }

    /// Receives, or says why not now.
    pub(crate) fn try_recv(&self) -> Result<Message, RecvError> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(RecvError::Closed);
        }
        let State { pattern, pipes, .. } = &mut *state;
        let received = pattern.recv(pipes);
        for pipe in pipes.drained() {
            pattern.forget(pipe);
        }
        self.count_dropped(&mut state);
        match received {
            Ok(message) => Ok(message),
            Err(Unreceived::NotNow(reason)) => Err(RecvError::NotNow(reason)),
            Err(Unreceived::Empty) => {
                Err(state.refusal().map_or(RecvError::Empty, RecvError::Refused))
            }
        }
    }

    /// Receives, and waits for a message.
    pub(crate) async fn recv(&self) -> Result<Message, RecvError> {
        self.take_turn().await;
        match self.try_recv() {
            Err(RecvError::Empty) => {}
            received => return received,
        }
        loop {
            let mut readable = std::pin::pin!(self.readable.notified());
            readable.as_mut().enable();
            match self.try_recv() {
                Err(RecvError::Empty) => {}
                received => return received,
            }
            readable.await;
        }
    }

    /// Lets other tasks run now and then, before anything is taken or given, so that a call which is
    /// cancelled here has done nothing.
    async fn take_turn(&self) {
        if self.turn.fetch_add(1, Ordering::Relaxed) % MESSAGES_PER_TURN == MESSAGES_PER_TURN - 1 {
            tokio::task::yield_now().await;
        }
    }

    /// Subscribes, or takes one subscription back.
    pub(crate) fn subscribe(&self, wanted: bool, prefix: &Bytes) -> Result<(), SubscribeError> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(SubscribeError::Closed);
        }
        let State { pattern, pipes, .. } = &mut *state;
        pattern.subscribe(wanted, prefix, pipes).map_err(SubscribeError::NotNow)
    }

    /// A pipe for a peer that has yet to come.
    pub(crate) fn attach(self: &Arc<Core>) -> Result<Link, Refusal> {
        self.welcome(None)
    }

    /// A pipe for a peer that has introduced itself.
    pub(crate) fn admit(self: &Arc<Core>, peer: &Peer) -> Result<Link, Refusal> {
        self.welcome(Some(peer))
    }

    fn welcome(self: &Arc<Core>, peer: Option<&Peer>) -> Result<Link, Refusal> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(Refusal("the socket is closed"));
        }
        let (send, receive) = if self.options.conflate {
            (Capacity::Conflate, Capacity::Conflate)
        } else {
            (Capacity::Mark(self.options.send_hwm), Capacity::Mark(self.options.receive_hwm))
        };
        let State { pattern, pipes, .. } = &mut *state;
        let (pipe, outbound, inbound) = pipes.add(send, receive);
        let admitted = pattern.attach(pipe).and_then(|()| match peer {
            Some(peer) => pattern.identify(pipe, peer, pipes),
            None => Ok(()),
        });
        if let Err(refusal) = admitted {
            pattern.detach(pipe);
            pipes.remove(pipe);
            return Err(refusal);
        }
        let receives = pattern.receives();
        drop(state);
        self.writable.notify_waiters();
        if self.options.addressed {
            // That a peer has come is something to receive.
            self.readable.notify_waiters();
        }
        Ok(Link { core: self.clone(), pipe, outbound, inbound, receives })
    }

    fn identify(&self, pipe: PipeId, peer: &Peer) -> Result<(), Refusal> {
        let mut state = self.state.lock();
        let State { pattern, pipes, .. } = &mut *state;
        pattern.identify(pipe, peer, pipes)
    }

    fn detach(&self, pipe: PipeId) {
        let mut state = self.state.lock();
        let State { pattern, pipes, .. } = &mut *state;
        let last_words = pattern.detach(pipe);
        self.metrics.messages_lost.increment(pipes.detach(pipe, last_words));
        if pattern.receives() {
            // Reading it to its end is what frees it.
            pattern.readable(pipe);
        } else {
            pipes.remove(pipe);
            pattern.forget(pipe);
        }
        drop(state);
        self.readable.notify_waiters();
    }

    fn readable(&self, pipe: PipeId) {
        self.state.lock().pattern.readable(pipe);
        self.readable.notify_waiters();
    }

    fn writable(&self, pipe: PipeId) {
        self.state.lock().pattern.writable(pipe);
        self.writable.notify_waiters();
    }

    fn subscription(&self, pipe: PipeId, wanted: bool, prefix: &Bytes) -> Option<Message> {
        self.state.lock().pattern.subscription(pipe, wanted, prefix)
    }

    /// A listener or a connector begins; false once the socket is closed.
    pub(crate) fn source_begins(&self) -> bool {
        let mut state = self.state.lock();
        state.sources += usize::from(!state.closed);
        !state.closed
    }

    /// A listener or a connector has ended, because the peer refused us when there is a reason.
    pub(crate) fn source_ends(&self, refused: Option<String>) {
        let mut state = self.state.lock();
        state.sources -= 1;
        if refused.is_some() {
            state.refused = refused;
        }
        drop(state);
        self.readable.notify_waiters();
        self.writable.notify_waiters();
    }

    /// Ends all calls, stops listening, and lets connections send what waits.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        state.pipes.close();
        drop(state);
        self.stopping.cancel();
        self.tasks.close();
        self.readable.notify_waiters();
        self.writable.notify_waiters();
    }

    fn count_dropped(&self, state: &mut State) {
        let dropped = state.pipes.take_dropped();
        if dropped > 0 {
            self.metrics.messages_dropped.increment(dropped);
        }
    }
}

impl State {
    /// Why nothing can ever come or go, if that is so.
    fn refusal(&self) -> Option<String> {
        if self.sources == 0 { self.refused.clone() } else { None }
    }
}
