//! What a client asks for, one file for each kind of message or statement.
//!
//! Owns the conversation with one open session: the order of messages, the skipping of what follows
//! an error, and how a running statement is watched for cancellation, time and the client's leaving.
//!
//! # Invariants
//! - After an error in the extended protocol every message up to `Sync` is read and ignored.
//! - Nothing is awaited while a statement runs without watching for its end; see [`Watch`].

mod bind;
mod copy_in;
mod copy_out;
mod copy_text;
mod cursor;
mod describe;
mod execute;
mod own;
mod parse;
mod query;
mod rows;
mod set;

use std::sync::Arc;
use std::time::Duration;

use futures::future::pending;
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::extendedquery::CloseComplete;
use pgwire::messages::response::{CommandComplete, EmptyQueryResponse, ReadyForQuery};
use posthouse_query::QuerySession;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::debug;

pub(crate) use self::copy_text::copy_rows;
use self::cursor::Fetch;
use crate::cancel::Registration;
use crate::codec::{Frontend, Target};
use crate::errors::{Failure, Fatal, Stop};
use crate::server::Door;
use crate::session::{Session, Tag};
use crate::sql::{CopyFrom, CopyOptions};
use crate::values::Rows;
use crate::wire::Wire;

/// A conversation with one client.
pub(crate) struct Exchange<S> {
    door: Arc<Door>,
    wire: Wire<S>,
    session: Session,
    query: QuerySession,
    registration: Registration,
    /// An error was sent; messages are ignored until `Sync`.
    is_skipping: bool,
    /// Messages of the extended protocol have come since the last `Sync`.
    is_in_batch: bool,
}

/// When a running statement must end.
#[derive(Clone)]
pub(crate) struct Watch {
    cancelled: CancellationToken,
    deadline: Option<Instant>,
}

/// What a statement gives.
pub(crate) enum Reply {
    Rows(Box<Rows>, Tag),
    Done(String),
    CopyOut(Box<Rows>, CopyOptions),
    CopyIn(CopyFrom),
    Fetch(Fetch),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Exchange<S> {
    pub(crate) fn new(
        door: Arc<Door>,
        wire: Wire<S>,
        session: Session,
        query: QuerySession,
        registration: Registration,
    ) -> Exchange<S> {
        let (is_skipping, is_in_batch) = (false, false);
        Exchange { door, wire, session, query, registration, is_skipping, is_in_batch }
    }

    /// Answers the client until one of the two ends it.
    pub(crate) async fn converse(&mut self, shutdown: &CancellationToken) -> Fatal {
        match self.answer_all(shutdown).await {
            Ok(never) => match never {},
            Err(fatal) => fatal,
        }
    }

    pub(crate) fn into_wire(self) -> Wire<S> {
        self.wire
    }

    /// Waits where the user asks more than it may; a node that stops waits for nobody.
    async fn keep_to_rate(&mut self, shutdown: &CancellationToken) {
        let wait = self.door.engine.broker().request_wait(self.query.principal());
        if !wait.is_zero() {
            let _stopping = tokio::time::timeout(wait, shutdown.cancelled()).await;
        }
    }

    async fn answer_all(
        &mut self,
        shutdown: &CancellationToken,
    ) -> Result<std::convert::Infallible, Fatal> {
        self.ready().await?;
        loop {
            let message = tokio::select! {
                biased;
                () = shutdown.cancelled(), if !self.is_in_batch => return Err(Fatal::ShuttingDown),
                message = self.wire.read() => message?,
            };
            if message == Frontend::Terminate {
                return Err(Fatal::Gone);
            }
            let is_extended = is_extended(&message);
            self.is_in_batch = is_extended;
            let answered = match message {
                Frontend::Sync => {
                    self.sync().await?;
                    continue;
                }
                _ if self.is_skipping => continue,
                message => {
                    if matches!(message, Frontend::Query(_) | Frontend::Execute { .. }) {
                        self.keep_to_rate(shutdown).await;
                    }
                    self.answer(message).await
                }
            };
            match answered {
                Ok(()) => {}
                Err(Stop::Fatal(fatal)) => return Err(fatal),
                Err(Stop::Failure(failure)) => self.refuse(&failure, is_extended).await?,
            }
        }
    }

    async fn answer(&mut self, message: Frontend) -> Result<(), Stop> {
        match message {
            Frontend::Query(sql) => self.simple_query(&sql).await,
            Frontend::Parse { name, sql, parameter_types } => {
                self.parse(&name, &sql, &parameter_types).await
            }
            Frontend::Bind(bind) => self.bind(&bind),
            Frontend::Describe(target) => self.describe(target),
            Frontend::Execute { portal, rows_max } => self.execute(&portal, rows_max).await,
            Frontend::Close(target) => self.close(&target),
            Frontend::Flush => Ok(self.wire.flush().await?),
            // What is left of a COPY that has failed.
            Frontend::CopyData(_) | Frontend::CopyDone | Frontend::CopyFail(_) => Ok(()),
            Frontend::Answer(_) => Err(Failure::UnexpectedPassword.into()),
            Frontend::Sync | Frontend::Terminate => Ok(()),
        }
    }

    /// Reports an error and does what the protocol has follow it.
    async fn refuse(&mut self, failure: &Failure, is_extended: bool) -> Result<(), Fatal> {
        debug!(sqlstate = failure.sqlstate(), "postgres statement failed");
        self.door.metrics.failed.increment(1);
        if matches!(failure, Failure::Cancelled | Failure::TimedOut) {
            self.door.metrics.cancelled.increment(1);
        }
        self.session.fail();
        self.send(&failure.message()).map_err(as_fatal)?;
        if is_extended {
            self.is_skipping = true;
            return Ok(());
        }
        self.session.end_implicit_transaction();
        self.ready().await
    }

    async fn sync(&mut self) -> Result<(), Fatal> {
        self.is_skipping = false;
        self.is_in_batch = false;
        self.session.end_implicit_transaction();
        self.ready().await
    }

    async fn ready(&mut self) -> Result<(), Fatal> {
        let ready = ReadyForQuery::new(self.session.transaction);
        self.send(&PgWireBackendMessage::ReadyForQuery(ready)).map_err(as_fatal)?;
        self.wire.flush().await
    }

    fn close(&mut self, target: &Target) -> Result<(), Stop> {
        // Closing what is not there is no error, in the protocol.
        let _ = match target {
            Target::Statement(name) => self.session.remove_statement(name),
            Target::Portal(name) => self.session.remove_portal(name),
        };
        self.send(&PgWireBackendMessage::CloseComplete(CloseComplete::new()))?;
        Ok(())
    }

    fn send(&mut self, message: &PgWireBackendMessage) -> Result<(), Failure> {
        self.wire.push(message)
    }

    fn complete(&mut self, tag: String) -> Result<(), Failure> {
        self.send(&PgWireBackendMessage::CommandComplete(CommandComplete::new(tag)))
    }

    fn complete_empty(&mut self) -> Result<(), Failure> {
        self.send(&PgWireBackendMessage::EmptyQueryResponse(EmptyQueryResponse::new()))
    }

    /// A statement begins: from now on it can be cancelled, and its time runs.
    fn watch(&self) -> Watch {
        let timeout = self.session.settings().statement_timeout();
        Watch {
            cancelled: self.registration.running.begin(),
            deadline: timeout.and_then(|timeout: Duration| Instant::now().checked_add(timeout)),
        }
    }
}

impl Watch {
    /// Waits until the statement must end.
    async fn ended(&self) -> Failure {
        let timed_out = async {
            match self.deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = self.cancelled.cancelled() => Failure::Cancelled,
            () = timed_out => Failure::TimedOut,
        }
    }
}

/// Waits for `work`, unless the statement must end. What changes data goes on when the client has
/// left, as it would in PostgreSQL.
async fn watched<T>(watch: &Watch, work: impl Future<Output = T>) -> Result<T, Stop> {
    tokio::select! {
        biased;
        failure = watch.ended() => Err(failure.into()),
        done = work => Ok(done),
    }
}

/// Waits for rows, unless the statement must end or nobody is left to read them.
async fn watched_by_client<S: AsyncRead + AsyncWrite + Unpin, T>(
    wire: &mut Wire<S>,
    watch: &Watch,
    work: impl Future<Output = T>,
) -> Result<T, Stop> {
    tokio::select! {
        biased;
        failure = watch.ended() => Err(failure.into()),
        done = work => Ok(done),
        () = wire.gone() => Err(Fatal::Gone.into()),
    }
}

fn is_extended(message: &Frontend) -> bool {
    match message {
        Frontend::Parse { .. }
        | Frontend::Bind(_)
        | Frontend::Describe(_)
        | Frontend::Execute { .. }
        | Frontend::Close(_)
        | Frontend::Flush
        | Frontend::Sync => true,
        Frontend::Query(_)
        | Frontend::CopyData(_)
        | Frontend::CopyDone
        | Frontend::CopyFail(_)
        | Frontend::Answer(_)
        | Frontend::Terminate => false,
    }
}

/// A message that the door makes itself always fits the protocol.
fn as_fatal(failure: Failure) -> Fatal {
    Fatal::Session { message: failure.to_string() }
}
