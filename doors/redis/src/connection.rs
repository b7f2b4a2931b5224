//! The one loop that drives a connection: reads, runs what there is, writes once.
//!
//! Owns the socket. Every request that has arrived is run before anything is written, so a pipeline
//! costs one read and one write.
//!
//! # Invariants
//! - Answers leave in the order of their requests. One that waits for the disk holds back those
//!   after it, not their commands.
//! - At most one command is being waited for; nothing else of the client begins meanwhile.
//! - A client that does not read is disconnected at a limit; it is never waited for, because it may
//!   be waiting for us to read.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use posthouse_listener::{Connection as Accepted, Stream};
use tokio::io::AsyncWrite;
use tokio::time::{Sleep, sleep_until};
use tokio_util::io::poll_read_buf;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::access::{LoggingIn, Recheck, log_in_by_certificate, shows_message};
use crate::client::Client;
use crate::codec::{ProtocolError, Reply, RequestLimits, Requests};
use crate::commands;
use crate::execution::Execution;
use crate::keys::Keys;
use crate::output::{GATHER_MAX, Output};
use crate::registry::{Member, Unblock};
use crate::server::Server;
use crate::subscriptions::UNWRITTEN_BYTES_MAX;
use crate::table::{self, Blocked, Call, Entry, Flags, Handler, Outcome, Wait};

/// LIMIT: answers of one connection that wait for the disk.
const WAITING_MAX: usize = 4096;

/// What a client is told that another one has woken.
const UNBLOCKED: &str = "UNBLOCKED client unblocked via CLIENT UNBLOCK";

/// Bytes of answers that are written before more requests are run.
const WRITE_BYTES: usize = 256 * 1024;

/// Why a connection ended before its client closed it.
#[derive(Debug, thiserror::Error)]
enum ConnectionError {
    #[error("killed by another client")]
    Killed,
    #[error("the login has ended")]
    LoginEnded,
    #[error("nobody has logged in in time")]
    LoginLate,
    #[error("{0} bytes of replies were not read")]
    Unread(usize),
    #[error("{0} bytes of messages were not read")]
    SlowSubscriber(usize),
    #[error("the socket failed")]
    Socket(#[from] io::Error),
}

/// Serves one client until it goes away, breaks the protocol, or the node drains.
pub(crate) async fn run(accepted: Accepted, server: Arc<Server>) {
    let Accepted { stream, peer, tls, shutdown, .. } = accepted;
    let local = stream.local_addr().unwrap_or(server.address);
    let member = server.clients.join(peer, local);
    let mut connection = Connection::new(stream, &member, server);
    if let Some(certificate) = tls.and_then(|tls| tls.certificate) {
        let Connection { server, client, .. } = &mut connection;
        log_in_by_certificate(server, client, &certificate.subject).await;
    }
    match connection.drive(&shutdown).await {
        Ok(()) => debug!(%peer, "connection closed"),
        Err(ConnectionError::Unread(bytes)) => {
            connection.server.metrics.unread_disconnects.increment(1);
            connection.server.statistics.disconnected.fetch_add(1, Ordering::Relaxed);
            warn!(%peer, bytes, "client disconnected: it does not read its replies");
        }
        Err(ConnectionError::SlowSubscriber(bytes)) => {
            connection.server.metrics.subscriber_disconnects.increment(1);
            connection.server.statistics.disconnected.fetch_add(1, Ordering::Relaxed);
            warn!(%peer, bytes, "subscriber disconnected: it does not read its messages");
        }
        Err(error) => debug!(%peer, %error, "connection lost"),
    }
    connection.leave();
    connection.stream.farewell().await;
    drop(member);
}

struct Connection {
    stream: Stream,
    /// Nothing written lies in the stream.
    is_flushed: bool,
    server: Arc<Server>,
    client: Client,
    requests: Requests,
    output: Output,
    /// Answers that are not ready, and those after them.
    waiting: VecDeque<Answer>,
    running: Option<Running>,
    /// The place in the table of the command that is being waited for.
    running_index: Option<usize>,
    /// Whether the client may still wait for what it waits for.
    recheck: Option<Recheck>,
    /// When a client that has not logged in is closed.
    login_late: Option<Pin<Box<Sleep>>>,
    /// A request that has to wait before it begins.
    held: Option<Vec<Bytes>>,
    /// The end of another client's script, which the held request waits for.
    script: Option<BoxFuture<'static, ()>>,
    /// Whether the request that is next is counted already, and until when it waits for that.
    is_counted: bool,
    rate_wait: Option<Pin<Box<Sleep>>>,
    /// Until when requests are held back by `CLIENT PAUSE`.
    paused: Option<Pin<Box<Sleep>>>,
    /// Since when the client is above the soft limit of subscribers.
    slow_since: Option<Instant>,
    look: Option<Pin<Box<Sleep>>>,
    /// No more requests are read.
    input_ended: bool,
}

/// An answer in its place.
enum Answer {
    Ready(Reply),
    Accepted(BoxFuture<'static, Reply>),
}

/// What is being waited for before the next command begins.
enum Running {
    Later(BoxFuture<'static, Reply>),
    Executing(Execution),
    LoggingIn(LoggingIn),
    Blocked { blocked: Blocked, until: Option<Pin<Box<Sleep>>> },
}

impl Connection {
    fn new(stream: Stream, member: &Member, server: Arc<Server>) -> Connection {
        let client = Client::new(Arc::clone(&member.handle));
        Connection {
            stream,
            is_flushed: true,
            requests: Requests::new(request_limits(&server, &client)),
            client,
            server,
            output: Output::default(),
            waiting: VecDeque::new(),
            running: None,
            running_index: None,
            recheck: None,
            login_late: None,
            held: None,
            script: None,
            is_counted: false,
            rate_wait: None,
            paused: None,
            slow_since: None,
            look: None,
            input_ended: false,
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
            self.client.handle.register(cx.waker());
            match self.poll_identity(cx) {
                Some(over) => Poll::Ready(Err(over)),
                None => match self.poll(cx) {
                    // It has logged in or out just now.
                    Poll::Pending if !self.client.identity.is_watched() => {
                        self.poll_identity(cx).map_or(Poll::Pending, |over| Poll::Ready(Err(over)))
                    }
                    polled => polled,
                },
            }
        })
        .await
    }

    /// Why the connection is over by who its client is: the login has ended, or there was none for
    /// too long. `RESET` logs out, and that time begins anew.
    fn poll_identity(&mut self, cx: &mut Context<'_>) -> Option<ConnectionError> {
        if self.client.identity.poll_ended(cx).is_ready() {
            return Some(ConnectionError::LoginEnded);
        }
        if !self.server.guarded || self.client.identity.is_known() {
            self.login_late = None;
            return None;
        }
        let timeout = self.server.broker.login_timeout()?;
        let wait = || Box::pin(tokio::time::sleep(timeout));
        let late = self.login_late.get_or_insert_with(wait).as_mut().poll(cx);
        late.is_ready().then_some(ConnectionError::LoginLate)
    }

    /// Does everything that can be done now; ready when the connection is over.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectionError>> {
        loop {
            if self.client.handle.is_killed() {
                return Poll::Ready(Err(ConnectionError::Killed));
            }
            let mut moved = self.poll_running(cx);
            moved |= self.poll_waiting(cx);
            moved |= self.begin_requests(cx);
            moved |= self.poll_messages(cx)?;
            moved |= self.poll_write(cx)?;
            // After the answers, so that the publisher goes on while its receivers are written to.
            self.client.wake_receivers();
            self.check_output()?;
            moved |= self.poll_read(cx)?;
            if self.is_finished() {
                return Poll::Ready(Ok(()));
            }
            if !moved {
                return Poll::Pending;
            }
        }
    }

    /// Gives back what others keep for this client.
    fn leave(&mut self) {
        if matches!(self.running, Some(Running::Blocked { .. })) {
            self.server.keys.stop_waiting(self.client.handle.id);
            self.running = None;
        }
        if !self.client.watched.is_empty() {
            let mut keys = self.server.keys.lock();
            self.client.unwatch(keys.keyspace());
            keys.release();
        }
    }

    fn is_finished(&self) -> bool {
        let idle = self.running.is_none() && self.waiting.is_empty() && self.held.is_none();
        let nothing_to_come = self.client.quits || (self.input_ended && idle);
        nothing_to_come && self.waiting.is_empty() && self.output.is_empty() && self.is_flushed
    }

    fn check_output(&self) -> Result<(), ConnectionError> {
        let unwritten = self.output.len();
        let handle = &self.client.handle;
        handle.unwritten.store(unwritten, Ordering::Relaxed);
        handle.buffered.store(self.requests.buffered(), Ordering::Relaxed);
        // Requests that come while replies are not read have to be kept, too.
        let held_up = if unwritten < WRITE_BYTES { 0 } else { self.requests.buffered() };
        let unread = unwritten + held_up;
        if unread > self.server.parameters.unread_bytes_max.load(Ordering::Relaxed) {
            return Err(ConnectionError::Unread(unread));
        }
        Ok(())
    }

    /// Runs requests that have arrived, until one has to be waited for.
    fn begin_requests(&mut self, cx: &mut Context<'_>) -> bool {
        let mut moved = false;
        let mut now = self.server.broker.clock().now();
        if self.server.guarded {
            self.requests.set_limits(request_limits(&self.server, &self.client));
        }
        while self.running.is_none()
            && !self.client.quits
            && self.output.len() < WRITE_BYTES
            && self.waiting.len() < WAITING_MAX
        {
            let request = match self.held.take() {
                Some(request) => request,
                None => match self.requests.next() {
                    Ok(Some(request)) => request,
                    Ok(None) => break,
                    Err(error) => {
                        self.refuse(&error);
                        return true;
                    }
                },
            };
            if !self.begin(request, &mut now, cx) {
                break;
            }
            moved = true;
        }
        moved
    }

    /// Runs one request; `false` when it has to wait before it begins.
    fn begin(&mut self, request: Vec<Bytes>, now: &mut Instant, cx: &mut Context<'_>) -> bool {
        if self.server.guarded && self.is_above_rate(cx) {
            self.held = Some(request);
            return false;
        }
        let entry = table::find(&request[0]);
        if let Some(entry) = entry {
            let after = matches!(entry.spec.run, Handler::After(_)) || entry.spec.name == "exec";
            if (after && !self.waiting.is_empty())
                || self.is_behind_script(entry, &request, *now, cx)
                || self.is_paused(entry, *now, cx)
            {
                self.held = Some(request);
                return false;
            }
        }
        self.is_counted = false;
        self.recheck = Recheck::of(&self.server, entry, &request);
        let outcome = {
            let (server, client) = (&self.server, &mut self.client);
            let mut call = Call::new(server, client, *now);
            let outcome = commands::dispatch(&mut call, entry, request);
            *now = call.now;
            outcome
        };
        self.running_index = entry.map(|entry| entry.index);
        self.proceed(outcome);
        true
    }

    fn proceed(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Reply(reply) => self.answer(Answer::Ready(reply)),
            Outcome::Replies(replies) => {
                for reply in replies {
                    self.answer(Answer::Ready(reply));
                }
            }
            Outcome::Silent => {}
            Outcome::Accepted(future) => self.answer(Answer::Accepted(future)),
            Outcome::Later(future) => self.running = Some(Running::Later(future)),
            Outcome::Blocked(blocked) => {
                self.client.handle.set_blocked(true);
                let until = blocked.timeout.map(|timeout| Box::pin(tokio::time::sleep(timeout)));
                self.running = Some(Running::Blocked { blocked, until });
            }
            Outcome::Executing(execution) => self.running = Some(Running::Executing(execution)),
            Outcome::LoggingIn(login) => self.running = Some(Running::LoggingIn(login)),
            // Dispatch has run it.
            Outcome::Execute(_) => self.answer(Answer::Ready(Reply::Null)),
        }
    }

    fn answer(&mut self, answer: Answer) {
        // A push is not the answer that `CLIENT REPLY OFF` is about.
        let is_push = matches!(answer, Answer::Ready(Reply::Push(_)));
        if !is_push && !self.client.wants_reply() {
            // The change is made; nobody waits to hear of it.
            return;
        }
        match answer {
            Answer::Ready(reply) if self.waiting.is_empty() => {
                reply.write(self.client.protocol, &mut self.output);
            }
            answer => self.waiting.push_back(answer),
        }
    }

    fn refuse(&mut self, error: &ProtocolError) {
        self.server.metrics.protocol_errors.increment(1);
        debug!(peer = %self.client.handle.peer, %error, "connection ended by what its client sent");
        self.answer(Answer::Ready(Reply::Error(format!("ERR {error}"))));
        self.client.quits = true;
    }

    /// Whether a script holds the keys. Waiting for it as a task, not for the lock as a thread, leaves
    /// the threads to those who have nothing to do with keys, and to whoever kills the script.
    fn is_behind_script(
        &mut self,
        entry: Entry,
        request: &[Bytes],
        now: Instant,
        cx: &mut Context<'_>,
    ) -> bool {
        self.script = self.server.running_script.wait(now);
        let Some(wait) = &mut self.script else { return false };
        !commands::during_a_script(entry.spec, request) && wait.poll_unpin(cx).is_pending()
    }

    /// Whether the client asks more than its user may.
    fn is_above_rate(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.is_counted {
            self.is_counted = true;
            let wait = self.server.broker.request_wait(self.client.identity.principal());
            self.rate_wait = (!wait.is_zero()).then(|| Box::pin(tokio::time::sleep(wait)));
        }
        let waits = self.rate_wait.as_mut().is_some_and(|wait| wait.as_mut().poll(cx).is_pending());
        if !waits {
            self.rate_wait = None;
        }
        waits
    }

    fn is_paused(&mut self, entry: Entry, now: Instant, cx: &mut Context<'_>) -> bool {
        let Some(pause) = self.server.clients.pause(now) else {
            self.paused = None;
            return false;
        };
        let flags = entry.spec.flags;
        let writes = flags.has(Flags::WRITE) || entry.spec.name == "exec";
        if entry.spec.name == "client" || (pause.writes_only && !writes) {
            return false;
        }
        let mut until = Box::pin(sleep_until(pause.until.into()));
        let waits = until.as_mut().poll(cx).is_pending();
        self.paused = Some(until);
        waits
    }

    fn poll_running(&mut self, cx: &mut Context<'_>) -> bool {
        let done = match &mut self.running {
            None => return false,
            Some(Running::Later(future)) => future.poll_unpin(cx),
            Some(Running::Executing(execution)) => {
                let (server, client) = (&self.server, &mut self.client);
                let now = server.broker.clock().now();
                let mut call = Call { in_transaction: true, ..Call::new(server, client, now) };
                execution.poll(&mut call, cx)
            }
            Some(Running::LoggingIn(login)) => login.poll(&self.server, &mut self.client, cx),
            Some(Running::Blocked { blocked, until }) => {
                let woken = self.client.handle.take_unblock().map(|how| match how {
                    Unblock::Error => Reply::Error(UNBLOCKED.to_owned()),
                    Unblock::Timeout => blocked.on_timeout.clone(),
                });
                let (server, client) = (&self.server, &mut self.client);
                let waiter = (&*server.keys, client.handle.id);
                let refused = self.recheck.as_mut().and_then(|recheck| {
                    let now = server.broker.clock().now();
                    recheck.poll(&mut Call::new(server, client, now), cx)
                });
                poll_blocked(blocked, until.as_mut(), woken.or(refused), waiter, cx)
            }
        };
        let Poll::Ready(reply) = done else { return false };
        (self.running, self.recheck) = (None, None);
        self.client.handle.set_blocked(false);
        if let Reply::Error(text) = &reply {
            self.server.metrics.errors.increment(1);
            self.server.statistics.failed(self.running_index, text);
        }
        self.answer(Answer::Ready(reply));
        true
    }

    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> bool {
        let mut moved = false;
        while let Some(first) = self.waiting.front_mut() {
            if let Answer::Accepted(future) = first {
                let Poll::Ready(reply) = future.poll_unpin(cx) else { break };
                *first = Answer::Ready(reply);
            }
            if let Some(Answer::Ready(reply)) = self.waiting.pop_front() {
                reply.write(self.client.protocol, &mut self.output);
            }
            moved = true;
        }
        moved
    }

    fn poll_messages(&mut self, cx: &mut Context<'_>) -> Result<bool, ConnectionError> {
        let (server, client) = (&self.server, &mut self.client);
        let queued = client.subscriptions.queued_bytes();
        let shows = |channel: &[u8], payload: &[u8]| {
            !server.guarded || shows_message(server, client.identity.principal(), channel, payload)
        };
        let count = client
            .subscriptions
            .poll_messages(cx, client.protocol, shows, &mut self.output)
            .map_err(|_| ConnectionError::SlowSubscriber(queued))?;
        self.poll_slow(cx)?;
        self.server.metrics.delivered.increment(u64::try_from(count).unwrap_or(u64::MAX));
        Ok(count > 0)
    }

    /// Ends a subscriber that has been above the soft limit for too long. While the socket takes
    /// nothing, nothing else wakes the connection, so it looks from time to time.
    fn poll_slow(&mut self, cx: &mut Context<'_>) -> Result<(), ConnectionError> {
        const LOOK_INTERVAL: Duration = Duration::from_secs(1);
        if self.client.subscriptions.is_empty() || self.output.len() < UNWRITTEN_BYTES_MAX {
            (self.slow_since, self.look) = (None, None);
            return Ok(());
        }
        let parameters = &self.server.parameters;
        let seconds = parameters.subscriber_seconds_max.load(Ordering::Relaxed);
        let soft = parameters.subscriber_bytes_soft.load(Ordering::Relaxed);
        let queued = self.client.subscriptions.queued_bytes();
        // A limit that was lowered since it subscribed.
        if queued > parameters.subscriber_bytes_max.load(Ordering::Relaxed) {
            return Err(ConnectionError::SlowSubscriber(queued));
        }
        if queued > soft {
            let now = self.server.broker.clock().now();
            let since = *self.slow_since.get_or_insert(now);
            if seconds > 0 && now.saturating_duration_since(since).as_secs() >= seconds {
                return Err(ConnectionError::SlowSubscriber(queued));
            }
        } else {
            self.slow_since = None;
        }
        let wait = || Box::pin(tokio::time::sleep(LOOK_INTERVAL));
        while self.look.get_or_insert_with(wait).as_mut().poll(cx).is_ready() {
            self.look = None;
        }
        Ok(())
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Result<bool, ConnectionError> {
        let full = self.held.is_some() || self.running.is_some();
        let limit = request_limits(&self.server, &self.client).request_bytes_max;
        // Answers that wait for the disk come without the client, so it may wait for them.
        let disk_behind = self.waiting.len() >= WAITING_MAX;
        if self.input_ended
            || self.client.quits
            || (full && self.requests.buffered() >= limit)
            || (disk_behind && self.requests.buffered() >= WRITE_BYTES)
        {
            return Ok(false);
        }
        // A read that leaves room has emptied the socket, and it is not asked again until it has more.
        match poll_read_buf(Pin::new(&mut self.stream), cx, self.requests.spare()) {
            Poll::Pending => Ok(false),
            Poll::Ready(Ok(0)) => {
                self.on_input_end();
                Ok(true)
            }
            Poll::Ready(Ok(count)) => {
                let count = u64::try_from(count).unwrap_or(u64::MAX);
                self.server.statistics.bytes_in.fetch_add(count, Ordering::Relaxed);
                Ok(true)
            }
            Poll::Ready(Err(error)) => Err(error.into()),
        }
    }

    /// The client has gone, or has no more to say: nobody waits for what only others can bring.
    fn on_input_end(&mut self) {
        self.input_ended = true;
        if matches!(self.running, Some(Running::Blocked { .. })) {
            self.leave();
            self.client.quits = true;
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Result<bool, ConnectionError> {
        let mut moved = false;
        while !self.output.is_empty() {
            let Poll::Ready(written) = self.poll_write_once(cx) else { break };
            let written = written?;
            self.output.advance(written);
            self.is_flushed = false;
            let count = u64::try_from(written).unwrap_or(u64::MAX);
            self.server.statistics.bytes_out.fetch_add(count, Ordering::Relaxed);
            moved = true;
        }
        if !self.is_flushed && self.output.is_empty() {
            self.is_flushed = Pin::new(&mut self.stream).poll_flush(cx)?.is_ready();
        }
        Ok(moved)
    }

    fn poll_write_once(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut slices = [IoSlice::new(&[]); GATHER_MAX];
        let count = self.output.gather(&mut slices);
        match Pin::new(&mut self.stream).poll_write_vectored(cx, &slices[..count]) {
            Poll::Ready(Ok(0)) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            written => written,
        }
    }

    /// The node stops: what has begun is finished, unless it waits for other clients.
    fn drain(&mut self) {
        self.input_ended = true;
        self.held = None;
        if matches!(self.running, Some(Running::Blocked { .. })) {
            self.leave();
        }
        if self.running.is_none() {
            self.client.quits = true;
        }
    }
}

/// What requests may be: those of a client that has not logged in need not be large.
fn request_limits(server: &Server, client: &Client) -> RequestLimits {
    if server.guarded && !client.identity.is_known() {
        return RequestLimits::BEFORE_LOGIN;
    }
    let parameters = &server.parameters;
    RequestLimits {
        argument_bytes_max: parameters.argument_bytes_max.load(Ordering::Relaxed),
        request_bytes_max: parameters.request_bytes_max.load(Ordering::Relaxed),
    }
}

/// Ready with what was waited for, or when it is not waited for any more: its time is over, or
/// somebody has `woken` the client with something to say.
fn poll_blocked(
    blocked: &mut Blocked,
    until: Option<&mut Pin<Box<Sleep>>>,
    woken: Option<Reply>,
    (keys, client): (&Keys, u64),
    cx: &mut Context<'_>,
) -> Poll<Reply> {
    let answered = match &mut blocked.wait {
        // Whoever would have answered is gone with what it guarded.
        Wait::Answer(receiver) => {
            receiver.poll_unpin(cx).map(|sent| sent.unwrap_or(blocked.on_timeout.clone()))
        }
        Wait::Future(future) => future.poll_unpin(cx),
    };
    if answered.is_ready() {
        return answered;
    }
    let late = until.is_some_and(|until| until.as_mut().poll(cx).is_ready());
    if !late && woken.is_none() {
        return Poll::Pending;
    }
    // An answer may have been sent since it was looked for; what it took must not be lost.
    if let Wait::Answer(receiver) = &mut blocked.wait {
        keys.stop_waiting(client);
        if let Ok(reply) = receiver.try_recv() {
            return Poll::Ready(reply);
        }
    }
    Poll::Ready(woken.unwrap_or_else(|| blocked.on_timeout.clone()))
}
