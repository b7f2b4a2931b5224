//! `MULTI`, `EXEC` and the keys that are watched for it.

use bytes::Bytes;

use crate::codec::Reply;
use crate::errors::CommandError;
use crate::table::{Call, CommandSpec, Flags, Handler, Outcome};

const GROUP: &str = "transactions";

pub(crate) const COMMANDS: &[CommandSpec] = &[
    immediate("multi", 1, Handler::Now(multi))
        .flag(Flags::FAST)
        .about("1.2.0", "Starts a transaction."),
    immediate("exec", 1, Handler::After(exec))
        .about("1.2.0", "Executes all commands in a transaction."),
    immediate("discard", 1, Handler::Now(discard))
        .flag(Flags::FAST)
        .about("2.0.0", "Discards a transaction."),
    immediate("watch", -2, Handler::Now(watch))
        .flag(Flags::FAST)
        .keys(1, -1, 1)
        .about("2.2.0", "Monitors changes to keys to determine the execution of a transaction."),
    CommandSpec::new("unwatch", 1, GROUP, Handler::Now(unwatch))
        .flag(Flags::FAST)
        .flag(Flags::NO_SCRIPT)
        .about("2.2.0", "Forgets about watched keys of a transaction."),
];

/// A command that is run where others would be queued.
const fn immediate(name: &'static str, arity: i32, run: Handler) -> CommandSpec {
    CommandSpec::new(name, arity, GROUP, run).flag(Flags::NOT_QUEUED).flag(Flags::NO_SCRIPT)
}

fn multi(call: &mut Call<'_>, _: &[Bytes]) -> Result<Reply, CommandError> {
    if call.client.transaction.is_some() {
        return Err(CommandError::said("ERR MULTI calls can not be nested"));
    }
    call.client.transaction = Some(Default::default());
    call.client.handle.describe(|shown| shown.queued = 0);
    Ok(Reply::OK)
}

fn exec(call: &mut Call<'_>, _: &[Bytes]) -> Result<Outcome, CommandError> {
    let Some(transaction) = call.client.end_transaction() else {
        return Err(CommandError::said("ERR EXEC without MULTI"));
    };
    let changed = forget_watches(call);
    if transaction.refused {
        return Err(CommandError::said(
            "EXECABORT Transaction discarded because of previous errors.",
        ));
    }
    if changed {
        return Ok(Outcome::Reply(Reply::NullArray));
    }
    for command in &transaction.queued {
        still_allowed(call, command.entry.spec).map_err(|error| abort(call, &error))?;
    }
    Ok(Outcome::Execute(transaction.queued))
}

/// Ends a transaction because of an error; gives the error that says so.
pub(super) fn abort(call: &mut Call<'_>, error: &CommandError) -> CommandError {
    call.client.end_transaction();
    forget_watches(call);
    CommandError::Said(format!("EXECABORT Transaction discarded because of: {error}"))
}

/// What could be queued may be refused by now: there is less memory, or the log has failed.
fn still_allowed(call: &mut Call<'_>, spec: &CommandSpec) -> Result<(), CommandError> {
    if spec.flags.has(Flags::WRITE) && call.server.keys.has_failed() {
        return Err(CommandError::KeysFailed);
    }
    call.server.check_memory(spec)
}

fn discard(call: &mut Call<'_>, _: &[Bytes]) -> Result<Reply, CommandError> {
    if call.client.end_transaction().is_none() {
        return Err(CommandError::said("ERR DISCARD without MULTI"));
    }
    forget_watches(call);
    Ok(Reply::OK)
}

fn watch(call: &mut Call<'_>, args: &[Bytes]) -> Result<Reply, CommandError> {
    if call.client.transaction.is_some() {
        return Err(CommandError::said("ERR WATCH inside MULTI is not allowed"));
    }
    let index = call.client.db;
    for key in &args[1..] {
        if call.client.watched.iter().any(|watch| watch.is_of(index, key)) {
            continue;
        }
        let keys = call.keys();
        let now = keys.now();
        let watch = keys.keyspace().watch(index, key, now);
        call.client.watched.push(watch);
    }
    Ok(Reply::OK)
}

fn unwatch(call: &mut Call<'_>, _: &[Bytes]) -> Result<Reply, CommandError> {
    forget_watches(call);
    Ok(Reply::OK)
}

/// Watches nothing any more; says whether anything that was watched has changed.
fn forget_watches(call: &mut Call<'_>) -> bool {
    let watched = std::mem::take(&mut call.client.watched);
    if watched.is_empty() {
        return false;
    }
    let keys = call.keys();
    let now = keys.now();
    let mut changed = false;
    for watch in watched {
        changed |= keys.keyspace().is_changed(&watch, now);
        keys.keyspace().unwatch(watch);
    }
    changed
}
