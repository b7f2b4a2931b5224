//! REP and ROUTER: what a peer asks is answered, by a service's workers or by the node itself.
//!
//! Requests are answered as their answers come, each to the peer that asked: a slow one holds up
//! nobody else.
//!
//! # Invariants
//! - What the node itself answers as kept is durable.
//! - Requests for the node itself are taken in the order in which they came.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use posthouse_broker::{PublishError, Publisher, RequestOptions};
use posthouse_zmtp::{Message, SendError, Socket, SocketType};
use tokio::task::JoinSet;

use crate::context::{Context, rethrow};
use crate::errors::{self, WorkError};
use crate::frames;
use crate::metrics::Dropped;
use crate::spec::{Answerer, Answering, Place};

/// How long requests under way are waited for when the endpoint ends.
const FINISH: Duration = Duration::from_secs(5);

pub(super) async fn run(
    context: &Context,
    socket: &Socket,
    answering: &Answering,
) -> Result<(), WorkError> {
    context.progress.running();
    let desk = Desk {
        context: context.clone(),
        socket: socket.clone(),
        tells_errors: answering.tells_errors,
        publisher: Arc::new(context.broker.publisher(&context.principal)),
    };
    let mut under_way = JoinSet::new();
    loop {
        let is_full = under_way.len() >= answering.requests_max;
        let message = tokio::select! {
            biased;
            Some(ended) = under_way.join_next(), if !under_way.is_empty() => {
                rethrow(ended);
                continue;
            }
            message = context.receive(socket), if !is_full => message?,
        };
        let Some(message) = message else { break };
        if message.frame_count() == 1 {
            // A peer has come or gone; an answer to one that has gone is dropped when it is sent.
            continue;
        }
        context.progress.received(1);
        match Asked::of(socket.kind(), message) {
            Some(asked) => desk.begin(asked, &answering.by, &mut under_way).await,
            None => context.progress.dropped(Dropped::Malformed, 1),
        }
    }
    let finished = async { while under_way.join_next().await.is_some() {} };
    // Those that take longer are dropped, and whoever asked hears nothing.
    let _ = tokio::time::timeout(FINISH, finished).await;
    Ok(())
}

/// A request, and the way back.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    /// The peer's address and its envelope.
    back: Message,
    request: Message,
}

impl Asked {
    /// SPEC: 28/REQREP; an envelope ends with an empty frame. A DEALER need not send one to a ROUTER:
    /// then all that it sends is the request.
    fn of(kind: SocketType, mut message: Message) -> Option<Asked> {
        let after_address = message.frames().iter().skip(1);
        let delimiter = after_address.clone().position(Bytes::is_empty);
        let end = match delimiter {
            Some(index) if index + 2 < message.frame_count() => index + 2,
            _ if kind == SocketType::Rep => return None,
            _ => 1,
        };
        let back = message.split_front(end);
        Some(Asked { back, request: message })
    }
}

/// What is needed to answer.
struct Desk {
    context: Context,
    socket: Socket,
    tells_errors: bool,
    publisher: Arc<Publisher>,
}

impl Desk {
    async fn begin(&self, asked: Asked, by: &Answerer, under_way: &mut JoinSet<()>) {
        let Asked { back, request } = asked;
        match by {
            Answerer::Service { name, options } => {
                let reply = self.reply_to(back);
                under_way.spawn(ask(self.context.clone(), name.clone(), *options, request, reply));
            }
            Answerer::Node(place) => {
                let reply = self.reply_to(back);
                let live = self.context.live(request);
                match self.keep(place, live).await {
                    Ok(publishing) => {
                        under_way.spawn(async move {
                            match publishing.finish().await {
                                Ok(published) => reply.send(kept(published)),
                                Err(error) => reply.fail(errors::of_publish(&error)),
                            }
                        });
                    }
                    Err(error) => reply.fail(errors::of_publish(&error)),
                }
            }
        }
    }

    async fn keep(
        &self,
        place: &Place,
        live: posthouse_broker::LiveMessage,
    ) -> Result<posthouse_broker::Publishing, PublishError> {
        let channel = match place {
            Place::Channel(channel) => channel.clone(),
            Place::Topic(topic) => {
                let Context { broker, principal, .. } = &self.context;
                broker.topic_or_create(principal, topic).await?;
                Bytes::copy_from_slice(topic.as_bytes())
            }
        };
        self.publisher.start(channel, live).await
    }

    fn reply_to(&self, back: Message) -> Reply {
        let (context, socket) = (self.context.clone(), self.socket.clone());
        Reply { context, socket, back, tells_errors: self.tells_errors }
    }
}

async fn ask(
    context: Context,
    service: Bytes,
    options: RequestOptions,
    request: Message,
    reply: Reply,
) {
    let live = context.live(request);
    match context.broker.request(&context.principal, service, live, options).await {
        Ok(answer) => reply.send(frames::of_live(&answer)),
        Err(error) => reply.fail(errors::of_request(&error)),
    }
}

/// The answer of the node itself: where the message lies, or how many received it.
fn kept(published: posthouse_broker::Published) -> Message {
    let text = match published.at {
        Some((partition, offset)) => {
            serde_json::json!({ "partition": partition.value(), "offset": offset.value() })
        }
        None => serde_json::json!({ "receivers": published.receivers }),
    };
    Message::single(text.to_string())
}

/// The way back to whoever asked.
struct Reply {
    context: Context,
    socket: Socket,
    back: Message,
    tells_errors: bool,
}

impl Reply {
    fn send(self, mut answer: Message) {
        answer.prepend(self.back);
        match self.socket.try_send(answer) {
            Ok(()) => self.context.progress.sent(1),
            // As a ROUTER does to one who has gone, or who does not read.
            Err(SendError::Unroutable(_) | SendError::Full(_)) => {
                self.context.progress.dropped(Dropped::Unroutable, 1);
            }
            Err(error) => self.context.failing(&error),
        }
    }

    fn fail(self, answer: Message) {
        if self.tells_errors {
            self.send(answer);
        } else {
            self.context.progress.dropped(Dropped::Late, 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: SocketType, message: &[&'static str], back: usize) {
        let frames = |frames: &[&'static str]| {
            frames.iter().map(|frame| Bytes::from_static(frame.as_bytes())).collect::<Message>()
        };
        let expected = (back > 0)
            .then(|| Asked { back: frames(&message[..back]), request: frames(&message[back..]) });
        assert_eq!(Asked::of(kind, frames(message)), expected, "{message:?}");
    }

    #[test]
    fn the_way_back_ends_with_the_first_empty_frame() {
        for kind in [SocketType::Rep, SocketType::Router] {
            check(kind, &["address", "", "body"], 2);
            check(kind, &["address", "", "key", "value"], 2);
            check(kind, &["address", "hop", "", "", "body"], 3);
        }
    }

    #[test]
    fn without_an_envelope_all_is_the_request_for_a_router_and_nothing_for_a_rep() {
        check(SocketType::Router, &["address", "body"], 1);
        check(SocketType::Router, &["address", ""], 1);
        check(SocketType::Rep, &["address", "body"], 0);
        check(SocketType::Rep, &["address", ""], 0);
    }
}
