//! A piece of work in a worker's hands, and where the next one comes from.
//!
//! # Invariants
//! - A job ends in one of three ways: it was answered, it failed, or its worker is gone; then it goes
//!   back to where it came from.

use bytes::Bytes;
use posthouse_broker::{Acquire, Acquired, Held, Request, Worker, WorkerConfig};
use posthouse_zmtp::Message;
use tokio::task::JoinSet;

use super::lease;
use crate::context::Context;
use crate::errors::{WorkError, of_worker};
use crate::frames;
use crate::metrics::Dropped;
use crate::spec::{Jobs, Queue, Working};

/// What a worker's error says so that its job is not given to anyone else.
const REJECT: &[u8] = b"reject";

/// Where one worker's jobs come from.
pub(super) enum Source {
    Service(Worker),
    Queue { queue: Queue, owner: Bytes },
}

/// One job.
pub(super) enum Job {
    Request(Request),
    Record { queue: Queue, acquired: Box<Acquired> },
}

impl Source {
    /// A source for a worker that has come.
    pub(super) fn open(
        context: &Context,
        working: &Working,
        owner: &Bytes,
    ) -> Result<Source, WorkError> {
        Ok(match &working.jobs {
            Jobs::Service { name, idempotent } => {
                let config =
                    WorkerConfig { concurrency_max: working.concurrency, idempotent: *idempotent };
                let Context { broker, principal, .. } = context;
                Source::Service(broker.serve(principal, name.clone(), config)?)
            }
            Jobs::Queue(queue) => Source::Queue { queue: queue.clone(), owner: owner.clone() },
        })
    }

    /// The next job; `None` when there is none yet, or there will be none.
    ///
    /// # Cancellation
    /// Safe to drop; nothing is taken.
    pub(super) async fn next(&mut self, context: &Context) -> Result<Option<Job>, WorkError> {
        match self {
            Source::Service(worker) => match worker.next().await {
                Some(request) => Ok(Some(Job::Request(request))),
                // The node is stopping, and the endpoint is told, too.
                None => std::future::pending().await,
            },
            Source::Queue { queue, owner } => {
                let acquire = Acquire::new(owner.clone(), 1).waiting(lease::WAIT);
                let Context { broker, principal, .. } = context;
                let acquired = broker.queue_acquire(principal, &queue.reference(), acquire).await?;
                let record =
                    |acquired| Job::Record { queue: queue.clone(), acquired: Box::new(acquired) };
                Ok(acquired.into_iter().next().map(record))
            }
        }
    }
}

impl Job {
    /// What the worker is given.
    pub(super) fn message(&self) -> Message {
        match self {
            Job::Request(request) => frames::of_live(&request.message),
            Job::Record { acquired, .. } => frames::of_record(&acquired.record),
        }
    }

    /// The worker has answered. What must become durable does so on a task of its own.
    pub(super) fn answered(self, context: &Context, answer: Message, settling: &mut JoinSet<()>) {
        let failure = of_worker(&answer).map(|(code, text)| (code == REJECT, text));
        match (self, failure) {
            (Job::Request(request), None) => {
                if !request.reply(context.live(answer)) {
                    context.progress.dropped(Dropped::Late, 1);
                }
            }
            (Job::Request(request), Some((_, text))) => {
                if !request.fail(text) {
                    context.progress.dropped(Dropped::Late, 1);
                }
            }
            (Job::Record { queue, acquired }, failure) => {
                let (context, held) = (context.clone(), vec![Held::from(&*acquired)]);
                settling.spawn(async move {
                    match failure {
                        None => lease::settle(context, queue, held).await,
                        Some((true, text)) => lease::reject(&context, &queue, &held, &text).await,
                        Some((false, _)) => lease::give_back(&context, &queue, &held).await,
                    }
                });
            }
        }
    }

    /// The worker is gone.
    pub(super) async fn lost(self, context: &Context) {
        match self {
            // Dropping it tells the service that its worker died.
            Job::Request(request) => drop(request),
            Job::Record { queue, acquired } => {
                lease::give_back(context, &queue, &[Held::from(&*acquired)]).await;
            }
        }
    }
}
