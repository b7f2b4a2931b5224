//! The public face of a socket.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::core::Core;
use crate::endpoint::Endpoint;
use crate::engine;
use crate::error::{BindError, ConnectError, RecvError, SendError, SubscribeError};
use crate::events::Monitor;
use crate::message::Message;
use crate::options::{Options, OptionsError};
use crate::socket_type::SocketType;

/// A ZeroMQ socket.
///
/// A socket is cheap to clone, and its clones may be used from several tasks at once. It needs a Tokio
/// runtime with time and I/O from the first [`bind`](Socket::bind) or [`connect`](Socket::connect) on.
///
/// Dropping the last clone closes the socket: what waits is sent in the background for as long as the
/// runtime lives and [`Options::linger`] allows. [`close`](Socket::close) waits for that.
#[derive(Clone)]
pub struct Socket {
    handle: Arc<SocketHandle>,
}

struct SocketHandle {
    core: Arc<Core>,
    /// Ends each listener and connector by itself.
    endpoints: Mutex<HashMap<(Endpoint, Side), Vec<CancellationToken>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Side {
    Bound,
    Connected,
}

impl Socket {
    /// A socket that is neither bound nor connected.
    ///
    /// # Panics
    /// The options contradict each other; [`Socket::try_new`] says so instead.
    pub fn new(kind: SocketType, options: Options) -> Socket {
        match Socket::try_new(kind, options) {
            Ok(socket) => socket,
            Err(error) => panic!("{error}"),
        }
    }

    /// A socket that is neither bound nor connected.
    ///
    /// # Errors
    /// The options contradict each other.
    pub fn try_new(kind: SocketType, options: Options) -> Result<Socket, OptionsError> {
        options.check(kind)?;
        let core = Core::new(kind, options);
        Ok(Socket { handle: Arc::new(SocketHandle { core, endpoints: Mutex::default() }) })
    }

    /// What kind of socket it is.
    pub fn kind(&self) -> SocketType {
        self.handle.core.kind
    }

    /// Binds to `endpoint`, and gives back where: with the port that was free when it asked for any.
    /// A socket may be bound and connected as often as one likes.
    ///
    /// # Errors
    /// The text is no endpoint, or it cannot be bound.
    pub async fn bind(&self, endpoint: &str) -> Result<Endpoint, BindError> {
        let token = CancellationToken::new();
        let bound = engine::bind(&self.handle.core, endpoint.parse()?, token.clone()).await?;
        self.remember(bound.clone(), Side::Bound, token);
        Ok(bound)
    }

    /// Connects to `endpoint` in the background, for as long as the socket lives.
    ///
    /// # Errors
    /// The text is no endpoint that can be connected to. That nobody is there is no error.
    pub async fn connect(&self, endpoint: &str) -> Result<Endpoint, ConnectError> {
        let token = CancellationToken::new();
        let endpoint: Endpoint = endpoint.parse()?;
        engine::connect(&self.handle.core, endpoint.clone(), token.clone())?;
        self.remember(endpoint.clone(), Side::Connected, token);
        Ok(endpoint)
    }

    /// Stops listening; connections that stand remain. False when the socket is not bound there.
    pub fn unbind(&self, endpoint: &Endpoint) -> bool {
        self.forget(endpoint, Side::Bound)
    }

    /// Ends the connection to `endpoint`; what waits for it is lost. False when there is none.
    pub fn disconnect(&self, endpoint: &Endpoint) -> bool {
        self.forget(endpoint, Side::Connected)
    }

    /// Sends a message, and waits while the pattern says so: see the table in the crate's
    /// documentation.
    ///
    /// # Errors
    /// The message can never be sent, or not in this state.
    ///
    /// # Cancellation
    /// Safe: a call that is dropped has sent nothing.
    pub async fn send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.handle.core.send(message.into()).await
    }

    /// Sends a message if there is room for it now.
    ///
    /// # Errors
    /// [`SendError::Full`] gives the message back.
    pub fn try_send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.handle.core.try_send(message.into())
    }

    /// Receives the next message.
    ///
    /// # Errors
    /// There will never be one, or not in this state.
    ///
    /// # Cancellation
    /// Safe: a call that is dropped has received nothing.
    pub async fn recv(&self) -> Result<Message, RecvError> {
        self.handle.core.recv().await
    }

    /// Receives a message if there is one now.
    ///
    /// # Errors
    /// [`RecvError::Empty`] when there is none.
    pub fn try_recv(&self) -> Result<Message, RecvError> {
        self.handle.core.try_recv()
    }

    /// Subscribes to messages whose first frame begins with `prefix`; to all with an empty one.
    /// What is subscribed to twice has to be cancelled twice.
    ///
    /// # Errors
    /// This is no SUB socket.
    pub fn subscribe(&self, prefix: impl AsRef<[u8]>) -> Result<(), SubscribeError> {
        self.handle.core.subscribe(true, &Bytes::copy_from_slice(prefix.as_ref()))
    }

    /// Takes one subscription back.
    ///
    /// # Errors
    /// This is no SUB socket.
    pub fn unsubscribe(&self, prefix: impl AsRef<[u8]>) -> Result<(), SubscribeError> {
        self.handle.core.subscribe(false, &Bytes::copy_from_slice(prefix.as_ref()))
    }

    /// What happens on the socket's connections from now on.
    pub fn monitor(&self) -> Monitor {
        self.handle.core.monitors.add()
    }

    /// Closes the socket and all its clones: stops listening, ends all calls, sends what waits for as
    /// long as [`Options::linger`] allows, and ends all connections. When it is done, every port can
    /// be bound again.
    pub async fn close(&self) {
        let core = &self.handle.core;
        core.close();
        linger(core).await;
    }

    fn remember(&self, endpoint: Endpoint, side: Side, token: CancellationToken) {
        self.handle.endpoints.lock().entry((endpoint, side)).or_default().push(token);
    }

    fn forget(&self, endpoint: &Endpoint, side: Side) -> bool {
        let key = (endpoint.clone(), side);
        let mut endpoints = self.handle.endpoints.lock();
        let Some(tokens) = endpoints.get_mut(&key) else { return false };
        if let Some(token) = tokens.pop() {
            token.cancel();
        }
        if tokens.is_empty() {
            endpoints.remove(&key);
        }
        true
    }
}

impl std::fmt::Debug for Socket {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Socket").field("kind", &self.kind()).finish_non_exhaustive()
    }
}

impl Drop for SocketHandle {
    fn drop(&mut self) {
        self.core.close();
        // Without a runtime there is nobody left who could send anything.
        if let Ok(runtime) = Handle::try_current() {
            let core = self.core.clone();
            runtime.spawn(async move { linger(&core).await });
        }
    }
}

/// Waits until what waits has been sent, and no longer than the option says.
async fn linger(core: &Core) {
    let limit = core.options.linger.unwrap_or(Duration::MAX);
    if tokio::time::timeout(limit, core.tasks.wait()).await.is_err() {
        core.aborting.cancel();
        core.tasks.wait().await;
    }
}
