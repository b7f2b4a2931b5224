//! Commands, a file for each family, and what is checked before one is run.

pub(crate) mod acl;
mod acl_rules;
pub(crate) mod bits;
pub(crate) mod client;
pub(crate) mod command;
pub(crate) mod config;
pub(crate) mod connection;
pub(crate) mod hashes;
pub(crate) mod hyperloglog;
pub(crate) mod info;
pub(crate) mod keys;
pub(crate) mod lcs;
pub(crate) mod lists;
pub(crate) mod lists_blocking;
mod stream_arguments;
mod stream_full;
pub(crate) mod stream_groups;
pub(crate) mod stream_info;
mod stream_keys;
pub(crate) mod stream_pending;
pub(crate) mod streams;

pub(crate) mod pubsub;
pub(crate) mod scripts;
pub(crate) mod server;
pub(crate) mod sets;
pub(crate) mod sort;
pub(crate) mod sorted_sets;
pub(crate) mod sorted_sets_ranges;
pub(crate) mod strings;
pub(crate) mod transactions;

mod arguments;
mod keys_arguments;
mod scripts_engine;
pub(crate) mod scripts_running;
mod scripts_values;

pub(crate) use arguments::{integer, is, text};

use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;

use crate::access::{Context as Access, check as check_access, check_authenticated};
use crate::codec::Reply;
use crate::errors::CommandError;
use crate::execution::Execution;
use crate::keys::KeysGuard;
use crate::notifications::{Class, KeyEvent};
use crate::table::{self, Call, CommandSpec, Entry, Flags, Handler, Outcome, Queued};

/// Checks a request, and runs it or queues it.
pub(crate) fn dispatch(
    call: &mut Call<'_>,
    entry: Option<Entry>,
    arguments: Vec<Bytes>,
) -> Outcome {
    call.server.metrics.commands.increment(1);
    let checked = check(call, entry, &arguments);
    if checked.is_err() || call.client.transaction.is_some() {
        call.let_go();
    }
    let entry = match checked {
        Ok(entry) => entry,
        Err(error) if entry.is_some_and(|entry| entry.spec.name == "exec") => {
            let error = transactions::abort(call, &error);
            return Outcome::Reply(refused(call, entry.map(|entry| entry.index), error));
        }
        Err(error) => {
            if let Some(transaction) = &mut call.client.transaction {
                transaction.refused = true;
            }
            return Outcome::Reply(refused(call, entry.map(|entry| entry.index), error));
        }
    };
    let spec = entry.spec;
    if let Some(transaction) = &mut call.client.transaction
        && !spec.flags.has(Flags::NOT_QUEUED)
    {
        transaction.queued.push(Queued { entry, arguments });
        let queued = i64::try_from(transaction.queued.len()).unwrap_or(i64::MAX);
        call.client.handle.describe(|shown| shown.queued = queued);
        return Outcome::Reply(Reply::Simple("QUEUED"));
    }
    if spec.flags.has(Flags::WRITE) && call.server.keys.has_failed() {
        call.let_go();
        return Outcome::Reply(refused(call, Some(entry.index), CommandError::KeysFailed));
    }
    let mut outcome = run(call, entry, &arguments);
    if let Outcome::Execute(queued) = outcome {
        outcome = execute(queued, call);
    }
    outcome = settle(call, outcome);
    let ended = call.server.broker.clock().now();
    let took = ended.saturating_duration_since(call.now);
    // The client's next command begins here.
    call.now = ended;
    note(call, entry, &arguments, took);
    if let Outcome::Reply(Reply::Error(text)) = &outcome {
        call.server.metrics.errors.increment(1);
        call.server.statistics.failed(Some(entry.index), text);
    }
    outcome
}

/// Runs a transaction as far as it goes without waiting. The keys are held since its watches were
/// looked at.
fn execute(queued: Vec<Queued>, call: &mut Call<'_>) -> Outcome {
    let mut execution = Execution::new(queued, call);
    // The connection polls again at once what is not done.
    match execution.poll(call, &mut Context::from_waker(Waker::noop())) {
        Poll::Ready(reply) => Outcome::Reply(reply),
        Poll::Pending => Outcome::Executing(execution),
    }
}

/// Gives the keys back, and lets the answer wait for the disk where it has to.
fn settle(call: &mut Call<'_>, outcome: Outcome) -> Outcome {
    let Some(settled) = call.held.take().and_then(KeysGuard::release) else { return outcome };
    match outcome {
        Outcome::Reply(reply) => Outcome::Accepted(Box::pin(async move {
            match settled.await {
                Ok(()) => reply,
                Err(error) => CommandError::from(error).into(),
            }
        })),
        Outcome::Later(answer) => Outcome::Later(Box::pin(async move {
            match settled.await {
                Ok(()) => answer.await,
                Err(error) => CommandError::from(error).into(),
            }
        })),
        // A client that waits is answered from what another command changed.
        other => other,
    }
}

/// Runs a command that has been checked.
pub(crate) fn run(call: &mut Call<'_>, entry: Entry, arguments: &[Bytes]) -> Outcome {
    let spec = entry.spec;
    if let Some(outcome) = stream_keys::intercept(call, entry, arguments) {
        return outcome;
    }
    let outcome = run_handler(call, spec, arguments);
    if call.server.keys.notifications.are_wanted() {
        notify(call, spec, arguments);
    }
    outcome
}

/// Tells of what a command did to keys, and of those it did not find.
fn notify(call: &mut Call<'_>, spec: &CommandSpec, arguments: &[Bytes]) {
    let misses =
        spec.flags.has(Flags::READONLY) && call.server.keys.notifications.want(Class::MISS);
    if misses && spec.group != "stream" {
        let db = call.client.db;
        for index in spec.key_indexes(arguments) {
            let Some(key) = arguments.get(index) else { continue };
            if !call.database().exists(key) {
                let key = Bytes::copy_from_slice(key);
                let (class, name) = (Class::MISS, "keymiss");
                call.keys().add_event(KeyEvent { database: db, key, class, name });
            }
        }
    }
    if let Some(keys) = &mut call.held {
        keys.name_events(spec.name, arguments);
    }
}

fn run_handler(call: &mut Call<'_>, spec: &CommandSpec, arguments: &[Bytes]) -> Outcome {
    let outcome = match spec.run {
        Handler::Now(run) => run(call, arguments).map(Outcome::Reply),
        Handler::Begin(run) | Handler::After(run) => run(call, arguments),
    };
    outcome.unwrap_or_else(|error| Outcome::Reply(error.into()))
}

fn check(
    call: &mut Call<'_>,
    entry: Option<Entry>,
    arguments: &[Bytes],
) -> Result<Entry, CommandError> {
    let entry = entry.ok_or_else(|| table::unknown(arguments))?;
    let spec = entry.spec;
    if !spec.takes(arguments.len()) {
        return Err(CommandError::Arity(spec.name.to_owned()));
    }
    if call.server.guarded {
        check_authenticated(call, spec)?;
    }
    // Before anything that wants the keys.
    if call.server.running_script.is_slow(call.now) && !during_a_script(spec, arguments) {
        return Err(CommandError::Busy);
    }
    if call.server.guarded {
        let transaction = call.client.transaction.is_some();
        let context = if transaction { Access::Transaction } else { Access::TopLevel };
        check_access(call, entry, arguments, context)
            .map_err(|refusal| refusal.at_once(spec, arguments))?;
    }
    if call.client.is_restricted() && !spec.flags.has(Flags::SUBSCRIBED) {
        return Err(CommandError::Said(format!(
            "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context",
            spec.name
        )));
    }
    if call.client.transaction.is_some() && spec.flags.has(Flags::NO_MULTI) {
        return Err(CommandError::said("ERR Command not allowed inside a transaction"));
    }
    call.server.check_memory(spec)?;
    Ok(entry)
}

/// Whether a command is run though a script takes long.
pub(crate) fn during_a_script(spec: &CommandSpec, arguments: &[Bytes]) -> bool {
    let kills = || arguments.get(1).is_some_and(|word| is(word, "kill"));
    let about_itself =
        matches!(spec.name, "multi" | "discard" | "unwatch" | "quit" | "reset" | "auth" | "hello");
    about_itself || (spec.name == "script" && kills())
}

fn refused(call: &Call<'_>, index: Option<usize>, error: CommandError) -> Reply {
    let text = error.to_string();
    call.server.metrics.errors.increment(1);
    call.server.statistics.failed(index, &text);
    Reply::Error(text)
}

fn note(call: &Call<'_>, entry: Entry, arguments: &[Bytes], took: Duration) {
    let server = call.server;
    server.statistics.ran(entry.index, took);
    let shown = match entry.spec.name {
        // What follows may be a password.
        "acl" | "auth" | "hello" => &arguments[..1],
        _ => arguments,
    };
    server.slowlog.note(took, server.broker.clock(), shown, &call.client.handle);
    call.client.handle.describe(|shown| {
        shown.last_command = entry.spec.name;
        shown.last_seen = call.now;
    });
}
