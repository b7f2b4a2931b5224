//! Carries out one webhook: takes messages, sends them, settles them.
//!
//! # Invariants
//! - A message is held in memory only while it is being sent; what waits, waits in the queue.
//! - A message is settled only after its destination accepted it, or its attempts are used up.
//! - Nothing is taken while the destination is paused.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use parking_lot::Mutex;
use posthouse_broker::{
    Acquire, Acquired, Broker, Declaration, DeclarationKind, Held, LookupError, QueueChange,
    QueueError, QueueRef, QueueStart, RecordId, TopicRef,
};
use posthouse_types::{NameError, Principal, Timestamp, TopicId};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

use super::client::{Answer, WebhookClient};
use super::request::Template;
use super::schedule::{Begun, Next, Room, Schedule};
use super::spec::WebhookSpec;
use super::status::{WebhookState, WebhookStatus};
use crate::errors::chain;
use crate::metrics;
use crate::outlets::{Outlet, Trouble};

/// In whose name messages are leased.
const OWNER: &str = "webhook";
/// How long the queue is waited for at a time.
const ACQUIRE_WAIT: Duration = Duration::from_secs(60);
/// LIMIT: bytes of messages taken at a time, but for the first.
const ACQUIRE_BYTES_MAX: usize = 8 << 20;
/// How long attempts may take to end when a webhook is stopped; the rest is sent again.
const STOP_WAIT: Duration = Duration::from_secs(3);

/// Carries out webhooks.
pub(crate) struct Webhooks {
    pub(crate) broker: Arc<Broker>,
    pub(crate) client: Arc<dyn Fn() -> WebhookClient + Send + Sync>,
    /// Told of destinations that want nothing more.
    pub(crate) disabled: mpsc::UnboundedSender<Disabled>,
}

/// A webhook whose destination said that it is gone.
#[derive(Debug)]
pub(crate) struct Disabled {
    /// As it was carried out.
    pub(crate) declaration: Arc<Declaration>,
    /// What the destination said.
    pub(crate) reason: String,
}

impl Outlet for Webhooks {
    type Status = WebhookStatus;
    const KIND: DeclarationKind = DeclarationKind::Webhook;

    async fn run(
        self: Arc<Self>,
        declaration: Arc<Declaration>,
        status: Arc<WebhookStatus>,
        stop: CancellationToken,
    ) {
        let now = || self.broker.clock().wall();
        let spec = match WebhookSpec::decode(&declaration.spec) {
            Ok(spec) if spec.disabled.is_some() => return,
            Ok(spec) => spec,
            Err(error) => return status.trouble(now(), error.to_string()),
        };
        let name = declaration.name.as_str();
        let mut trouble = Trouble::default();
        while !stop.is_cancelled() {
            match Runner::open(&self, &spec, name, &status).await {
                Ok(runner) => match runner.run(&stop, &mut trouble).await {
                    Ok(Ended::Stopped) => return,
                    Ok(Ended::Disabled(reason)) => {
                        tracing::warn!(
                            webhook = name,
                            reason,
                            "webhook disabled by its destination"
                        );
                        let disabled = Disabled { declaration, reason };
                        // Nobody listens once the node stops; the next one asks the destination.
                        let _ = self.disabled.send(disabled);
                        return;
                    }
                    Err(error) => status.trouble(now(), chain(&error)),
                },
                Err(error) => status.trouble(now(), chain(&error)),
            }
            metrics::webhook_trouble();
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(trouble.again()) => {}
            }
        }
    }
}

/// Why a webhook cannot go on for now.
#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error(transparent)]
    Name(#[from] NameError),
    #[error(transparent)]
    Lookup(#[from] LookupError),
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error("what was declared cannot be sent")]
    Unchecked,
}

enum Ended {
    Stopped,
    Disabled(String),
}

/// What an attempt came to.
enum Finished {
    On,
    Disable(String),
}

struct Runner<'a> {
    broker: &'a Arc<Broker>,
    client: WebhookClient,
    principal: Principal,
    spec: &'a WebhookSpec,
    status: &'a WebhookStatus,
    queue: QueueRef,
    topic: TopicId,
    template: Template,
    schedule: Mutex<Schedule>,
    /// What is being sent.
    held: Mutex<HashMap<RecordId, Held>>,
}

impl<'a> Runner<'a> {
    /// Finds the topic and the queue, which is made again for a topic that was.
    async fn open(
        webhooks: &'a Webhooks,
        spec: &'a WebhookSpec,
        name: &str,
        status: &'a WebhookStatus,
    ) -> Result<Runner<'a>, RunError> {
        let broker = &webhooks.broker;
        let principal = Principal::node();
        let topic_name = spec.topic()?;
        let topic = broker.topic(&principal, &TopicRef::Name(topic_name.clone())).await?.id;
        let queue = spec.queue(name)?;
        let config = spec.queue_config()?;
        match broker.queue_describe(&principal, &queue).await {
            Ok(known) if known.config == config => {}
            Ok(_) => {
                let change = QueueChange { config: Some(config), position: None };
                broker.queue_set(&principal, &queue, change).await?;
            }
            Err(QueueError::NotFound { .. }) => {
                // Somebody deleted the queue, and with it what was not delivered; or the topic, in
                // whose place there is another one.
                let deleted = topic == spec.topic_id;
                let start = if deleted { QueueStart::Latest } else { QueueStart::Earliest };
                broker.queue_create(&principal, &queue, start, config).await?;
            }
            Err(error) => return Err(error.into()),
        }
        let template = Template::new(spec, &topic_name).ok_or(RunError::Unchecked)?;
        let schedule = Mutex::new(Schedule::new(spec.policy()));
        let client = (webhooks.client)();
        let held = Mutex::default();
        let runner = Runner {
            broker,
            client,
            principal,
            spec,
            status,
            queue,
            topic,
            template,
            schedule,
            held,
        };
        Ok(runner)
    }

    async fn run(self, stop: &CancellationToken, trouble: &mut Trouble) -> Result<Ended, RunError> {
        let mut flying = FuturesUnordered::new();
        let ended = loop {
            let room = self.schedule.lock().room(self.broker.clock().now());
            self.show(room, flying.len());
            let (count, until) = match room {
                Room::Free(count) => (count, None),
                Room::Full => (0, None),
                Room::Paused { until } => (0, Some(Instant::from_std(until))),
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => break Ok(Ended::Stopped),
                Some(finished) = flying.next(), if !flying.is_empty() => {
                    if let Finished::Disable(reason) = finished {
                        break Ok(Ended::Disabled(reason));
                    }
                }
                () = wait_until(until), if until.is_some() => {}
                acquired = self.acquire(count), if count > 0 => {
                    match acquired {
                        Ok(acquired) => {
                            trouble.over();
                            flying.extend(acquired.into_iter().map(|one| self.attempt(one)));
                        }
                        Err(error) => break Err(error.into()),
                    }
                }
            }
        };
        let deadline = Instant::now() + STOP_WAIT;
        while let Ok(Some(_)) = timeout_at(deadline, flying.next()).await {}
        drop(flying);
        self.give_back().await;
        self.status.in_flight(0);
        ended
    }

    fn show(&self, room: Room, in_flight: usize) {
        let clock = self.broker.clock();
        self.status.in_flight(in_flight);
        self.status.is(match room {
            Room::Paused { until } => {
                let wait = until.saturating_duration_since(clock.now());
                WebhookState::Paused { until: after(clock.wall(), wait) }
            }
            Room::Free(_) | Room::Full => WebhookState::Delivering,
        });
    }

    async fn acquire(&self, count: usize) -> Result<Vec<Acquired>, QueueError> {
        let acquire = Acquire {
            lock: Some(self.spec.lock()),
            bytes_max: ACQUIRE_BYTES_MAX,
            ..Acquire::new(OWNER, count).waiting(ACQUIRE_WAIT)
        };
        self.broker.queue_acquire(&self.principal, &self.queue, acquire).await
    }

    /// Begins at once, so that the next look at the schedule sees it; ends when the message is
    /// settled one way or another.
    fn attempt(&self, acquired: Acquired) -> impl Future<Output = Finished> + Send + use<'_, 'a> {
        let begun = self.schedule.lock().begin();
        let held = Held::from(&acquired);
        self.held.lock().insert(held.id, held.clone());
        async move {
            let now = self.broker.clock().wall();
            let request = self.template.request(self.topic, &acquired, now);
            let started = std::time::Instant::now();
            let answer = self.client.send(request, self.spec.timeout(), now).await;
            metrics::webhook_attempt(&answer.outcome, started.elapsed());
            let finished = self.conclude(begun, &acquired, &held, answer).await;
            self.held.lock().remove(&held.id);
            finished
        }
    }

    async fn conclude(
        &self,
        begun: Begun,
        acquired: &Acquired,
        held: &Held,
        answer: Answer,
    ) -> Finished {
        let (clock, attempt) = (self.broker.clock(), acquired.delivery_count);
        let next = {
            let mut schedule = self.schedule.lock();
            schedule.end(clock.now(), begun, attempt, answer.outcome, random())
        };
        let now = clock.wall();
        if next != Next::Accept {
            self.status.failed(now, answer.error.clone());
        }
        let (principal, queue) = (&self.principal, &self.queue);
        let one = std::slice::from_ref(held);
        let settled = match next {
            Next::Accept => {
                self.status.delivered(now);
                self.broker.queue_accept(principal, queue, one).await
            }
            Next::Retry(wait) => self.broker.queue_extend(principal, queue, one, Some(wait)).await,
            Next::DeadLetter => {
                self.status.dead_lettered();
                metrics::webhook_dead_lettered();
                let reason = format!("attempt {attempt}: {}", answer.error);
                self.broker.queue_reject(principal, queue, one, &reason).await
            }
            Next::Disable => self.broker.queue_release(principal, queue, one).await,
        };
        if let Err(error) = settled {
            // Its lock ends, and it is sent again.
            self.status.trouble(now, chain(&error));
            metrics::webhook_trouble();
        }
        if next == Next::Disable { Finished::Disable(answer.error) } else { Finished::On }
    }

    /// What is still being sent is sent again by whoever comes next.
    async fn give_back(&self) {
        let held: Vec<_> = self.held.lock().drain().map(|(_, held)| held).collect();
        if held.is_empty() {
            return;
        }
        let released = self.broker.queue_release(&self.principal, &self.queue, &held).await;
        if let Err(error) = released {
            self.status.trouble(self.broker.clock().wall(), chain(&error));
        }
    }
}

async fn wait_until(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}

fn after(at: Timestamp, wait: Duration) -> Timestamp {
    let ms = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_ms(at.as_ms().saturating_add(ms))
}

/// Spreads retries; nothing depends on its quality.
fn random() -> u64 {
    getrandom::u64().unwrap_or(0)
}
