//! What a client asks, carried out, and what is due to it.
//!
//! # Invariants
//! - What is published on one connection is published in the order in which it came.
//! - What is asked with an `id` is answered with it, once; what is asked without one is answered
//!   only when it fails.

use std::pin::pin;
use std::task::{Context, Poll};

use axum::extract::ws::{Message as SocketMessage, Utf8Bytes};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use posthouse_broker::{
    Delivery, LiveMessage, PairEvent, PairSendError, Publisher, Subscriber, SubscriberEnded,
    WorkerConfig,
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::held::{CONCURRENCY_MAX, HELD_MAX, Happened, Held};
use crate::codec::event::{self, Value};
use crate::codec::frame::{self, ClientFrame, Command, FrameError};
use crate::commands::channels::{LIVE_READER, resolve};
use crate::commands::services::options;
use crate::errors::Problem;
use crate::metrics;
use crate::routes::Door;

/// LIMIT: answers that one connection waits for.
const PENDING_MAX: usize = 1000;
/// LIMIT: deliveries written at a time.
const DELIVERIES_MAX: usize = 256;

/// A frame to be written.
pub(super) enum Output {
    Text(Bytes),
    Binary(Bytes),
    Ping,
}

impl Output {
    pub(super) fn into_message(self) -> SocketMessage {
        match self {
            Output::Text(json) => {
                let text = Utf8Bytes::try_from(json).expect("JSON is UTF-8");
                SocketMessage::Text(text)
            }
            Output::Binary(bytes) => SocketMessage::Binary(bytes),
            Output::Ping => SocketMessage::Ping(Bytes::new()),
        }
    }

    fn json(value: &serde_json::Value) -> Output {
        Output::Text(Bytes::from(value.to_string()))
    }
}

/// One connection's state.
pub(super) struct Session {
    door: Door,
    /// The client asked for messages in binary frames.
    as_binary: bool,
    publisher: Publisher,
    subscriber: Subscriber,
    overflown: CancellationToken,
    held: Held,
    pending: FuturesUnordered<BoxFuture<'static, Option<Output>>>,
    taken: Vec<Delivery>,
}

impl Session {
    pub(super) fn new(door: Door, as_binary: bool) -> Session {
        let publisher = door.broker.publisher(&door.principal);
        let subscriber = door.broker.subscriber(&door.principal, LIVE_READER);
        let overflown = CancellationToken::new();
        subscriber.tell_overflow(overflown.clone());
        Session {
            door,
            as_binary,
            publisher,
            subscriber,
            overflown,
            held: Held::default(),
            pending: FuturesUnordered::new(),
            taken: Vec::new(),
        }
    }

    /// Cancelled when what is published comes faster than the client takes it.
    pub(super) fn overflown(&self) -> &CancellationToken {
        &self.overflown
    }

    /// Whether another frame may be taken.
    pub(super) fn has_room(&self) -> bool {
        self.pending.len() < PENDING_MAX
    }

    /// Waits for something to tell the client.
    ///
    /// # Errors
    /// [`SubscriberEnded`] when it fell behind.
    pub(super) fn poll_due(
        &mut self,
        context: &mut Context<'_>,
        output: &mut Vec<Output>,
    ) -> Poll<Result<(), SubscriberEnded>> {
        while let Poll::Ready(Some(answer)) = self.pending.poll_next_unpin(context) {
            output.extend(answer);
        }
        while output.len() < DELIVERIES_MAX
            && let Poll::Ready(happened) = self.held.poll_next(context)
        {
            let told = self.tell(happened);
            output.extend(told);
        }
        let taken = self.subscriber.poll_many(context, DELIVERIES_MAX, &mut self.taken);
        if let Poll::Ready(taken) = taken {
            taken?;
            for delivery in self.taken.drain(..) {
                metrics::live_out();
                output.push(delivered(&delivery, self.as_binary));
            }
        }
        if output.is_empty() { Poll::Pending } else { Poll::Ready(Ok(())) }
    }

    /// Carries out one frame. Waits only for memory, and for subscribers that block.
    pub(super) async fn carry_out(&mut self, frame: ClientFrame, output: &mut Vec<Output>) {
        let id = frame.id;
        match pin!(self.run(frame)).await {
            Ok(Some(answer)) => output.push(answer),
            Ok(None) => {}
            Err(problem) => output.push(refused(id, &problem)),
        }
    }

    /// What a client is told whose frame makes no sense.
    pub(super) fn not_understood(error: &FrameError) -> Output {
        refused(None, &Problem::frame(error.to_string()))
    }

    async fn run(
        &mut self,
        ClientFrame { id, command }: ClientFrame,
    ) -> Result<Option<Output>, Problem> {
        match command {
            Command::Subscribe { pattern, from } => {
                let from = resolve(&self.door, &pattern, from).await?;
                self.subscriber.subscribe(pattern, from).await?;
            }
            Command::Unsubscribe { pattern } => {
                self.subscriber.unsubscribe(&pattern);
            }
            Command::Publish { channel, message } => {
                return self.publish(id, channel, message).await;
            }
            Command::Request { service, message, deadline_ms, wait } => {
                self.request(id, service, message, options(deadline_ms, wait));
                return Ok(None);
            }
            Command::Serve { service, concurrency, idempotent } => {
                self.serve(service, concurrency, idempotent)?;
            }
            Command::Retire { service } => {
                self.held.workers.remove(&service);
            }
            Command::Reply { request, message } => {
                let message = message.at(self.now());
                let held = self.held.take_request(request);
                held.ok_or_else(|| Problem::no_request(request))?.reply(message);
            }
            Command::Fail { request, reason } => {
                let held = self.held.take_request(request);
                held.ok_or_else(|| Problem::no_request(request))?.fail(reason);
            }
            Command::Pair { name } => self.pair(name)?,
            Command::Send { name, message } => self.send(&name, message)?,
            Command::Leave { name } => {
                self.held.peers.remove(&name);
            }
        }
        Ok(id.map(|id| Output::json(&json!({"op": "ok", "id": id}))))
    }

    async fn publish(
        &mut self,
        id: Option<u64>,
        channel: Bytes,
        message: frame::Message,
    ) -> Result<Option<Output>, Problem> {
        let message = message.at(self.now());
        let publishing = self.publisher.start(channel, message).await?;
        metrics::live_in();
        self.pending.push(Box::pin(async move {
            let published = match publishing.finish().await {
                Ok(published) => published,
                Err(error) => return Some(refused(id, &error.into())),
            };
            let mut answer =
                json!({"op": "published", "id": id?, "receivers": published.receivers});
            if let Some((partition, offset)) = published.at {
                answer["partition"] = partition.value().into();
                answer["offset"] = offset.value().into();
            }
            Some(Output::json(&answer))
        }));
        Ok(None)
    }

    fn request(
        &mut self,
        id: Option<u64>,
        service: Bytes,
        message: frame::Message,
        options: posthouse_broker::RequestOptions,
    ) {
        let message = message.at(self.now());
        let (door, as_binary) = (self.door.clone(), self.as_binary);
        self.pending.push(Box::pin(async move {
            match door.broker.request(&door.principal, service, message, options).await {
                Ok(answer) => {
                    let head = format!("\"op\":\"reply\",\"id\":{},", id?);
                    Some(carried(&head, &answer, as_binary))
                }
                Err(error) => Some(refused(id, &error.into())),
            }
        }));
    }

    fn serve(
        &mut self,
        service: Bytes,
        concurrency: usize,
        idempotent: bool,
    ) -> Result<(), Problem> {
        if self.held.workers.contains_key(&service) {
            return Err(Problem::held_already("service", &service));
        }
        if self.held.workers.len() >= HELD_MAX {
            return Err(Problem::held_too_many("services", HELD_MAX));
        }
        let concurrency_max = concurrency.clamp(1, CONCURRENCY_MAX);
        let config = WorkerConfig { concurrency_max, idempotent };
        let worker = self.door.broker.serve(&self.door.principal, service.clone(), config);
        self.held.workers.insert(service, worker.map_err(Problem::from)?);
        Ok(())
    }

    fn pair(&mut self, name: Bytes) -> Result<(), Problem> {
        if self.held.peers.contains_key(&name) {
            return Err(Problem::held_already("pair", &name));
        }
        if self.held.peers.len() >= HELD_MAX {
            return Err(Problem::held_too_many("pairs", HELD_MAX));
        }
        let peer = self.door.broker.pair(&self.door.principal, name.clone())?;
        self.held.peers.insert(name, peer);
        Ok(())
    }

    fn send(&self, name: &Bytes, message: frame::Message) -> Result<(), Problem> {
        let peer = self.held.peers.get(name).ok_or_else(|| Problem::no_pair(name))?;
        let sent = peer.try_send(message.at(self.now()));
        sent.map_err(|error: PairSendError| error.into())
    }

    fn tell(&self, happened: Happened) -> Option<Output> {
        match happened {
            Happened::Requested { service, number } => {
                let request = self.held.request(number)?;
                let service = json!(String::from_utf8_lossy(&service));
                let head =
                    format!("\"op\":\"request\",\"request\":{number},\"service\":{service},");
                Some(carried(&head, &request.message, self.as_binary))
            }
            Happened::Paired { name, event } => {
                let name = json!(String::from_utf8_lossy(&name));
                Some(match event {
                    PairEvent::Joined => Output::json(&json!({"op": "joined", "pair": name})),
                    PairEvent::Left => Output::json(&json!({"op": "left", "pair": name})),
                    PairEvent::Message(message) => {
                        let head = format!("\"op\":\"received\",\"pair\":{name},");
                        carried(&head, &message, self.as_binary)
                    }
                })
            }
        }
    }

    fn now(&self) -> posthouse_types::Timestamp {
        self.door.broker.clock().wall()
    }
}

fn delivered(delivery: &Delivery, as_binary: bool) -> Output {
    let value = delivery.message().value.as_deref();
    if as_binary && value.is_some() {
        let json = event::delivery(delivery, Value::Beside);
        return Output::Binary(frame::beside(&json, value));
    }
    Output::Text(event::delivery(delivery, Value::Inside))
}

fn carried(head: &str, message: &LiveMessage, as_binary: bool) -> Output {
    let value = message.value.as_deref();
    if as_binary && value.is_some() {
        let json = frame::carrying(head, message, Value::Beside);
        return Output::Binary(frame::beside(&json, value));
    }
    Output::Text(frame::carrying(head, message, Value::Inside))
}

/// The problem that HTTP would answer with, in a frame.
fn refused(id: Option<u64>, problem: &Problem) -> Output {
    let mut answer = serde_json::to_value(problem).unwrap_or_default();
    answer["op"] = "error".into();
    if let Some(id) = id {
        answer["id"] = id.into();
    }
    Output::json(&answer)
}
