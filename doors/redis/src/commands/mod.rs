//! Commands, a file for each family, and what is checked before one is run.

pub(crate) mod client;
pub(crate) mod command;
pub(crate) mod config;
pub(crate) mod connection;
pub(crate) mod info;
pub(crate) mod server;

mod arguments;

pub(crate) use arguments::{integer, is, text};

use std::time::Duration;

use bytes::Bytes;

use crate::codec::Reply;
use crate::errors::CommandError;
use crate::table::{self, Call, CommandSpec, Entry, Flags, Handler, Outcome, Queued};

/// Checks a request, and runs it or queues it.
pub(crate) fn dispatch(
    call: &mut Call<'_>,
    entry: Option<Entry>,
    arguments: Vec<Bytes>,
) -> Outcome {
    call.server.metrics.commands.increment(1);
    let entry = match check(call, entry, &arguments) {
        Ok(entry) => entry,
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
        transaction.queued.push(Queued { spec, arguments });
        let queued = i64::try_from(transaction.queued.len()).unwrap_or(i64::MAX);
        call.client.handle.describe(|shown| shown.queued = queued);
        return Outcome::Reply(Reply::Simple("QUEUED"));
    }
    let outcome = run(call, spec, &arguments);
    let took = call.server.broker.clock().now().saturating_duration_since(call.now);
    note(call, entry, &arguments, took);
    if let Outcome::Reply(Reply::Error(text)) = &outcome {
        call.server.metrics.errors.increment(1);
        call.server.statistics.failed(Some(entry.index), text);
    }
    outcome
}

/// Runs a command that has been checked.
pub(crate) fn run(call: &mut Call<'_>, spec: &CommandSpec, arguments: &[Bytes]) -> Outcome {
    let outcome = match spec.run {
        Handler::Now(run) => run(call, arguments).map(Outcome::Reply),
        Handler::Begin(run) | Handler::After(run) => run(call, arguments),
    };
    outcome.unwrap_or_else(|error| Outcome::Reply(error.into()))
}

fn check(
    call: &Call<'_>,
    entry: Option<Entry>,
    arguments: &[Bytes],
) -> Result<Entry, CommandError> {
    let entry = entry.ok_or_else(|| table::unknown(arguments))?;
    let spec = entry.spec;
    if !spec.takes(arguments.len()) {
        return Err(CommandError::Arity(spec.name.to_owned()));
    }
    if call.client.transaction.is_some() && spec.flags.has(Flags::NO_MULTI) {
        return Err(CommandError::said("ERR Command not allowed inside a transaction"));
    }
    Ok(entry)
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
    server.slowlog.note(took, server.broker.clock(), arguments, &call.client.handle);
    call.client.handle.describe(|shown| {
        shown.last_command = entry.spec.name;
        shown.last_seen = call.now;
    });
}
