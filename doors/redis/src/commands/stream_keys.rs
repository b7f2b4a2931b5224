//! Topics of other doors, by their names.
//!
//! A stream that was made here is a key like any other. A topic that was not can be used as a stream,
//! too: it exists, it is of type `stream`, and its name cannot be used for a key of another type. But
//! no key holds it, so it is not listed, not counted, does not expire and is not flushed; and what
//! would delete or rename it is refused, because other programs rely on it.

use bytes::Bytes;

use crate::codec::Reply;
use crate::commands::{run_handler, text};
use crate::errors::CommandError;
use crate::table::{Call, Entry, Outcome};

/// Commands that would delete a topic, or let it expire, or give it another name.
const WOULD_CHANGE: &[&str] = &[
    "del",
    "unlink",
    "expire",
    "pexpire",
    "expireat",
    "pexpireat",
    "persist",
    "rename",
    "renamenx",
    "move",
    "restore",
];

/// Answers a command as far as other doors' topics are concerned; `None` when they are not.
pub(super) fn intercept(call: &mut Call<'_>, entry: Entry, arguments: &[Bytes]) -> Option<Outcome> {
    if std::mem::take(&mut call.knows_no_topic) {
        return None;
    }
    let Entry { spec, is_of_keys_alone: by_type, .. } = entry;
    let changes = !by_type && WOULD_CHANGE.contains(&spec.name);
    let asks = !by_type && matches!(spec.name, "exists" | "touch" | "type");
    if !by_type && !changes && !asks {
        return None;
    }
    let indexes = spec.key_indexes(arguments);
    let mut foreign =
        indexes.filter(|at| arguments.get(*at).is_some_and(|key| is_foreign(call, key)));
    let first = foreign.next()?;
    if changes {
        let name = text(&arguments[first]);
        return Some(refuse(&name));
    }
    if by_type {
        return Some(Outcome::Reply(CommandError::WrongType.into()));
    }
    if spec.name == "type" {
        return Some(Outcome::Reply(Reply::Simple("stream")));
    }
    let count = 1 + i64::try_from(foreign.count()).unwrap_or(i64::MAX);
    // No key has the name of such a topic, so those that the command itself finds are others.
    Some(match run_handler(call, spec, arguments) {
        Outcome::Reply(Reply::Integer(others)) => Outcome::Reply(Reply::Integer(others + count)),
        other => other,
    })
}

fn refuse(name: &str) -> Outcome {
    Outcome::Reply(Reply::Error(format!(
        "ERR '{name}' is a topic that was not made by this door, and other programs may use it: see `posthouse topic`"
    )))
}

/// Whether a name is that of a topic, and no key's.
fn is_foreign(call: &mut Call<'_>, key: &[u8]) -> bool {
    if call.database().exists(key) {
        return false;
    }
    let (server, db) = (call.server, call.client.db);
    server.foreign_topic(call.keys().keyspace(), db, key).is_some()
}
