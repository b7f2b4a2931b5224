//! `EXEC`: the commands of a transaction, begun one after the other without a pause.
//!
//! Every command makes its changes when it is begun, and all are begun before anything is awaited;
//! then those whose answers have to be read or made durable are awaited in order.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;

use crate::client::Client;
use crate::codec::Reply;
use crate::commands;
use crate::server::Server;
use crate::table::{Call, Outcome, Queued};

/// A transaction whose commands have begun.
pub(crate) struct Execution {
    begun: VecDeque<Begun>,
    answers: Vec<Reply>,
}

enum Begun {
    Answered(Reply),
    Awaited(BoxFuture<'static, Reply>),
}

impl Execution {
    /// Begins every command.
    pub(crate) fn begin(
        queued: Vec<Queued>,
        server: &Arc<Server>,
        client: &mut Client,
    ) -> Execution {
        let now = server.broker.clock().now();
        let begun = queued.into_iter().map(|command| {
            let mut call = Call { server, client, now, in_transaction: true };
            match commands::run(&mut call, command.spec, &command.arguments) {
                Outcome::Reply(reply) => Begun::Answered(reply),
                Outcome::Replies(replies) => Begun::Answered(Reply::Array(replies)),
                Outcome::Accepted(future) | Outcome::Later(future) => Begun::Awaited(future),
                Outcome::Blocked(blocked) => Begun::Answered(blocked.on_timeout),
                Outcome::Silent | Outcome::Execute(_) => Begun::Answered(Reply::Null),
            }
        });
        Execution { begun: begun.collect(), answers: Vec::new() }
    }

    /// The answers, once all are there.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Reply> {
        while let Some(first) = self.begun.front_mut() {
            if let Begun::Awaited(future) = first {
                let Poll::Ready(reply) = future.poll_unpin(cx) else { return Poll::Pending };
                *first = Begun::Answered(reply);
            }
            if let Some(Begun::Answered(reply)) = self.begun.pop_front() {
                self.answers.push(reply);
            }
        }
        Poll::Ready(Reply::Array(std::mem::take(&mut self.answers)))
    }
}
