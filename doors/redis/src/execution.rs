//! `EXEC`: the commands of a transaction, in order, with nothing of their client's between them.
//!
//! Commands on keys run with the keys held from the first to the last of a row, so that other clients
//! see all of the row or nothing. A command on a stream, whose entries are in a log, runs when what
//! was begun before it is done; the keys are let go meanwhile. Clients that wait for entries of
//! streams look again only when the whole transaction is over.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{self, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::OwnedRwLockWriteGuard;

use crate::access::{Context, check};
use crate::codec::Reply;
use crate::commands;
use crate::errors::CommandError;
use crate::keys::{KeysGuard, Settled};
use crate::table::{Call, CommandSpec, Handler, Outcome, Queued};

/// A transaction that is being run.
pub(crate) struct Execution {
    queued: VecDeque<Queued>,
    begun: VecDeque<Begun>,
    answers: Vec<Reply>,
    /// While commands on streams run: nobody who waited looks at them meanwhile.
    turn: Turn,
}

enum Turn {
    NotNeeded,
    Awaited(BoxFuture<'static, OwnedRwLockWriteGuard<()>>),
    Taken { _guard: OwnedRwLockWriteGuard<()> },
}

enum Begun {
    Answered(Reply),
    /// The change is made, and the answer waits for the disk.
    Accepted(BoxFuture<'static, Reply>),
    Awaited(BoxFuture<'static, Reply>),
    /// No answer of a command: what was seen of the keys has to be durable before anyone is told.
    Settling(Settled),
}

impl Execution {
    /// A transaction of which nothing has been done.
    pub(crate) fn new(queued: Vec<Queued>, call: &Call<'_>) -> Execution {
        let streams = queued.iter().any(|command| is_of_streams(command.entry.spec));
        let turn = if streams {
            Turn::Awaited(Arc::clone(&call.server.streams.turns).write_owned().boxed())
        } else {
            Turn::NotNeeded
        };
        Execution { queued: queued.into(), begun: VecDeque::new(), answers: Vec::new(), turn }
    }

    /// Goes on as far as it can; gives the answers when all are there.
    pub(crate) fn poll(&mut self, call: &mut Call<'_>, cx: &mut task::Context<'_>) -> Poll<Reply> {
        call.in_transaction = true;
        if let Turn::Awaited(turn) = &mut self.turn {
            let Poll::Ready(guard) = turn.poll_unpin(cx) else { return Poll::Pending };
            self.turn = Turn::Taken { _guard: guard };
        }
        loop {
            self.begin_some(call);
            match self.poll_begun(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => {
                    self.queued.clear();
                    return Poll::Ready(error.into());
                }
                Poll::Ready(Ok(())) if self.queued.is_empty() => {
                    return Poll::Ready(Reply::Array(std::mem::take(&mut self.answers)));
                }
                Poll::Ready(Ok(())) => {}
            }
        }
    }

    /// Begins commands until one has to be waited for.
    fn begin_some(&mut self, call: &mut Call<'_>) {
        while let Some(next) = self.queued.front() {
            if !self.may_begin(next.entry.spec) {
                break;
            }
            if is_of_streams(next.entry.spec) {
                self.let_go(call);
            }
            let Some(command) = self.queued.pop_front() else { break };
            let begun = match begin(call, &command) {
                Outcome::Reply(reply) => Begun::Answered(reply),
                Outcome::Replies(replies) => Begun::Answered(Reply::Array(replies)),
                Outcome::Accepted(future) => Begun::Accepted(future),
                Outcome::Later(future) => Begun::Awaited(future),
                Outcome::Blocked(blocked) => Begun::Answered(blocked.on_timeout),
                // Refused inside of `MULTI`.
                Outcome::Silent
                | Outcome::Execute(_)
                | Outcome::Executing(_)
                | Outcome::LoggingIn(_) => Begun::Answered(Reply::Null),
            };
            self.begun.push_back(begun);
        }
        self.let_go(call);
    }

    /// Whether a command may begin before everything before it is answered.
    fn may_begin(&self, spec: &CommandSpec) -> bool {
        let waits = |begun: &Begun| !matches!(begun, Begun::Answered(_) | Begun::Settling(_));
        if !self.begun.iter().any(waits) {
            return true;
        }
        // Entries are added one behind the other without waiting for the disk in between.
        let accepted = |begun: &Begun| !matches!(begun, Begun::Awaited(_));
        is_of_streams(spec)
            && matches!(spec.run, Handler::Begin(_))
            && self.begun.iter().all(accepted)
    }

    fn let_go(&mut self, call: &mut Call<'_>) {
        if let Some(settled) = call.held.take().and_then(KeysGuard::release) {
            self.begun.push_back(Begun::Settling(settled));
        }
    }

    /// Ready when everything that was begun is done.
    fn poll_begun(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<(), CommandError>> {
        while let Some(first) = self.begun.front_mut() {
            let answer = match first {
                Begun::Answered(reply) => Some(std::mem::replace(reply, Reply::Null)),
                Begun::Accepted(future) | Begun::Awaited(future) => {
                    let Poll::Ready(reply) = future.poll_unpin(cx) else { return Poll::Pending };
                    Some(reply)
                }
                Begun::Settling(future) => match future.poll_unpin(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                    Poll::Ready(Ok(())) => None,
                },
            };
            self.answers.extend(answer);
            self.begun.pop_front();
        }
        Poll::Ready(Ok(()))
    }
}

/// Runs a command, if it is still allowed.
fn begin(call: &mut Call<'_>, command: &Queued) -> Outcome {
    let Queued { entry, arguments } = command;
    if call.server.guarded
        && let Err(refusal) = check(call, *entry, arguments, Context::Transaction)
    {
        return Outcome::Reply(refusal.at_exec().into());
    }
    commands::run(call, *entry, arguments)
}

/// Whether a command works on entries of streams, or may have to read them.
fn is_of_streams(spec: &CommandSpec) -> bool {
    spec.group == "stream" || spec.name == "copy"
}
