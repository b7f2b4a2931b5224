//! Streams as keys: the same name is never a stream and another type, and the commands that ask
//! about any key, or delete it, know streams as well.
//!
//! Streams are not counted by `DBSIZE`, not listed by `KEYS` and `SCAN`, not emptied by `FLUSHALL`,
//! and do not expire: they are topics, which other doors use too.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;

use crate::codec::Reply;
use crate::commands::run;
use crate::errors::CommandError;
use crate::streams::topic_name;
use crate::table::{Call, CommandSpec, Outcome};

/// Groups whose commands want keys of a type that is not a stream.
const OTHER_TYPES: &[&str] =
    &["string", "bitmap", "hash", "list", "set", "sorted-set", "hyperloglog"];

/// Answers a command as far as streams are concerned; `None` when they are not.
pub(super) fn intercept(
    call: &mut Call<'_>,
    spec: &CommandSpec,
    arguments: &[Bytes],
) -> Option<Outcome> {
    if spec.group == "stream" {
        let mut keys = spec.key_indexes(arguments).into_iter();
        let taken =
            keys.any(|at| arguments.get(at).is_some_and(|key| call.database().kind(key).is_some()));
        return taken.then(|| Outcome::Reply(CommandError::WrongType.into()));
    }
    let by_name = matches!(spec.name, "del" | "unlink" | "exists" | "type");
    if !by_name && !OTHER_TYPES.contains(&spec.group) {
        return None;
    }
    let (streams, others): (Vec<Bytes>, Vec<Bytes>) = spec
        .key_indexes(arguments)
        .into_iter()
        .filter_map(|at| arguments.get(at).cloned())
        .partition(|key| is_stream(call, key));
    if streams.is_empty() {
        return None;
    }
    if !by_name {
        return Some(Outcome::Reply(CommandError::WrongType.into()));
    }
    if spec.name == "type" {
        return Some(Outcome::Reply(Reply::Simple("stream")));
    }
    let mut count = 0;
    if !others.is_empty() {
        let name = arguments.first().cloned().into_iter();
        let rest: Vec<Bytes> = name.chain(others).collect();
        match run(call, spec, &rest) {
            Outcome::Reply(Reply::Integer(others)) => count = others,
            other => return Some(other),
        }
    }
    if spec.name == "exists" {
        let streams = i64::try_from(streams.len()).unwrap_or(i64::MAX);
        return Some(Outcome::Reply(Reply::Integer(count + streams)));
    }
    Some(Outcome::Later(delete(call, streams, count)))
}

fn is_stream(call: &Call<'_>, key: &[u8]) -> bool {
    if call.client.db.get() == 0 {
        return call.server.broker.has_topic(key);
    }
    topic_name(call.client.db, key).is_ok_and(|name| call.server.broker.has_topic(name.as_bytes()))
}

/// Deletes streams with their topics; a name that is given twice is counted once.
fn delete(call: &Call<'_>, streams: Vec<Bytes>, count: i64) -> BoxFuture<'static, Reply> {
    let (server, db) = (Arc::clone(call.server), call.client.db);
    Box::pin(async move {
        let mut count = count;
        for key in streams {
            match server.delete_stream(db, &key).await {
                Ok(deleted) => count += i64::from(deleted),
                Err(error) => return error.into(),
            }
        }
        Reply::Integer(count)
    })
}
