//! Services as callers see them: the machine behind one lock, and the waiting around it.

use std::collections::HashMap;
use std::sync::Weak;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use posthouse_types::Principal;
use tokio::sync::{mpsc, oneshot};

use super::machine::{Effect, Machine, RequestId, WorkerId};
use crate::live::LiveMessage;
use crate::{Broker, Denied, Operation, RequestError, Resource, metrics};

type Answer = oneshot::Sender<Result<LiveMessage, RequestError>>;

/// All services of this node.
#[derive(Default)]
pub(crate) struct Services(Mutex<State>);

#[derive(Default)]
struct State {
    machine: Machine<Answer>,
    /// What each worker is given; as many at a time as it declared.
    inboxes: HashMap<WorkerId, mpsc::UnboundedSender<(RequestId, LiveMessage)>>,
}

/// What becomes of a request for which there is no worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// It fails at once.
    Fail,
    /// It waits for one until its deadline.
    Wait,
}

/// How long a request waits, and for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestOptions {
    /// From now to the answer.
    pub deadline: Duration,
    /// When there is no worker.
    pub absent: Absent,
}

/// What a worker declares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerConfig {
    /// Requests that it takes at a time, at least 1.
    pub concurrency_max: usize,
    /// Its work may be done twice: what it had when it died is given to another worker.
    pub idempotent: bool,
}

/// One worker of a service. Dropping it fails what it has, or gives it to others.
pub struct Worker {
    broker: Weak<Broker>,
    id: WorkerId,
    requests: mpsc::UnboundedReceiver<(RequestId, LiveMessage)>,
}

/// A request in a worker's hands. Dropping it without an answer counts as the worker's death.
#[derive(Debug)]
pub struct Request {
    broker: Weak<Broker>,
    worker: WorkerId,
    id: RequestId,
    /// What is asked.
    pub message: LiveMessage,
    answered: bool,
}

impl Broker {
    /// Asks a service, and waits for its answer.
    ///
    /// # Errors
    /// [`RequestError`]. Only after [`RequestError::NoWorker`], [`RequestError::Busy`] and
    /// [`RequestError::Denied`] is it certain that no worker has seen the request.
    ///
    /// # Cancellation
    /// Safe to drop: the request is taken back, or its answer goes to nobody.
    pub async fn request(
        &self,
        principal: &Principal,
        service: Bytes,
        message: LiveMessage,
        options: RequestOptions,
    ) -> Result<LiveMessage, RequestError> {
        self.authorize(principal, Operation::Write, Resource::Service(&service))?;
        let answer = self.ask(service, message, options).await;
        metrics::service_answered(match &answer {
            Ok(_) => "answered",
            Err(error) => error.class(),
        });
        answer
    }

    async fn ask(
        &self,
        service: Bytes,
        message: LiveMessage,
        options: RequestOptions,
    ) -> Result<LiveMessage, RequestError> {
        let (to, answer) = oneshot::channel();
        let patient = options.absent == Absent::Wait;
        let id = self
            .services()
            .run(|machine, effects| machine.request(service, message, patient, to, effects))?;
        let _withdrawn = Withdrawal { services: self.services(), id };
        match tokio::time::timeout(options.deadline, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(RequestError::WorkerLost { attempts: 0 }),
            Err(_) => Err(RequestError::Deadline { after: options.deadline }),
        }
    }

    /// Becomes a worker of a service.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn serve(
        &self,
        principal: &Principal,
        service: Bytes,
        config: WorkerConfig,
    ) -> Result<Worker, Denied> {
        self.authorize(principal, Operation::Read, Resource::Service(&service))?;
        let (sender, requests) = mpsc::unbounded_channel();
        let mut state = self.services().0.lock();
        let mut effects = Vec::new();
        let WorkerConfig { concurrency_max, idempotent } = config;
        let id = state.machine.add_worker(service, concurrency_max, idempotent, &mut effects);
        state.inboxes.insert(id, sender);
        state.carry_out(effects);
        metrics::service_workers(1.0);
        Ok(Worker { broker: self.this().clone(), id, requests })
    }
}

impl Services {
    fn run<T>(&self, call: impl FnOnce(&mut Machine<Answer>, &mut Vec<Effect<Answer>>) -> T) -> T {
        let mut state = self.0.lock();
        let mut effects = Vec::new();
        let outcome = call(&mut state.machine, &mut effects);
        state.carry_out(effects);
        outcome
    }
}

impl State {
    fn carry_out(&mut self, effects: Vec<Effect<Answer>>) {
        for effect in effects {
            match effect {
                Effect::Dispatch { worker, request, message } => {
                    if let Some(inbox) = self.inboxes.get(&worker) {
                        // A worker whose receiver is gone is about to be removed.
                        let _ = inbox.send((request, message));
                    }
                }
                Effect::Answer { to, answer } => {
                    // Whoever asked may have gone.
                    let _ = to.send(answer);
                }
                Effect::Retried => metrics::service_retried(),
            }
        }
    }
}

/// Takes a request back when nobody waits for it any more.
struct Withdrawal<'a> {
    services: &'a Services,
    id: RequestId,
}

impl Drop for Withdrawal<'_> {
    fn drop(&mut self) {
        self.services.run(|machine, _| machine.cancel(self.id));
    }
}

impl Worker {
    /// The next request; `None` when the node stops.
    ///
    /// # Cancellation
    /// Safe to drop; nothing is lost.
    pub async fn next(&mut self) -> Option<Request> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    /// The next request, or have the task woken when there is one.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Request>> {
        self.requests.poll_recv(context).map(|request| {
            let (id, message) = request?;
            let broker = self.broker.clone();
            Some(Request { broker, worker: self.id, id, message, answered: false })
        })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        metrics::service_workers(-1.0);
        let Some(broker) = self.broker.upgrade() else { return };
        let mut state = broker.services().0.lock();
        state.inboxes.remove(&self.id);
        let mut effects = Vec::new();
        state.machine.remove_worker(self.id, &mut effects);
        state.carry_out(effects);
    }
}

impl Request {
    /// Answers; false when nobody waits for it any more.
    pub fn reply(self, message: LiveMessage) -> bool {
        self.answer(Ok(message))
    }

    /// Answers that it cannot be done, and why; false when nobody waits for it any more.
    pub fn fail(self, reason: impl Into<String>) -> bool {
        self.answer(Err(RequestError::Failed { reason: reason.into() }))
    }

    fn answer(mut self, answer: Result<LiveMessage, RequestError>) -> bool {
        self.answered = true;
        let Some(broker) = self.broker.upgrade() else { return false };
        broker
            .services()
            .run(|machine, effects| machine.answer(self.worker, self.id, answer, effects))
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if !self.answered
            && let Some(broker) = self.broker.upgrade()
        {
            broker
                .services()
                .run(|machine, effects| machine.abandon(self.worker, self.id, effects));
        }
    }
}
