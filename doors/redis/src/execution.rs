//! `EXEC`: the commands of a transaction, begun one after the other without a pause.
//!
//! Every command makes its changes when it is begun, and all are begun before anything is awaited;
//! then those whose answers have to be read or made durable are awaited in order.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;

use crate::codec::Reply;
use crate::commands;
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
    /// Begins every command, in a call that keeps what the first of them takes until the last.
    pub(crate) fn begin(queued: &[Queued], call: &mut Call<'_>) -> Execution {
        call.in_transaction = true;
        let begin = |command: &Queued| match commands::run(call, command.spec, &command.arguments) {
            Outcome::Reply(reply) => Begun::Answered(reply),
            Outcome::Replies(replies) => Begun::Answered(Reply::Array(replies)),
            Outcome::Accepted(future) | Outcome::Later(future) => Begun::Awaited(future),
            Outcome::Blocked(blocked) => Begun::Answered(blocked.on_timeout),
            Outcome::Silent | Outcome::Execute(_) => Begun::Answered(Reply::Null),
        };
        let begun = queued.iter().map(begin).collect();
        Execution { begun, answers: Vec::new() }
    }

    /// The answers in order, when all are there.
    pub(crate) async fn finish(mut self) -> Reply {
        poll_fn(|cx| self.poll(cx)).await
    }

    /// The answers, once all are there.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Reply> {
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
