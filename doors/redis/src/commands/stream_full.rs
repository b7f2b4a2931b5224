//! `XINFO STREAM … FULL`: a stream with its groups, and what they are owed.

use bytes::Bytes;
use posthouse_broker::{Pending, PendingQuery, PendingState, QueueRef};
use posthouse_types::Offset;

use crate::access::Asker;
use crate::codec::Reply;
use crate::commands::{integer, is};
use crate::errors::CommandError;
use crate::streams::{Stream, StreamId};
use crate::table::{Call, Outcome};

use super::streams::{entries, later};

/// LIMIT: entries shown, unless told.
const COUNT: usize = 10;

/// Reads `FULL [COUNT n]` and answers; 0 shows everything.
pub(super) fn full(
    call: &Call<'_>,
    key: Bytes,
    options: &[Bytes],
) -> Result<Outcome, CommandError> {
    let count = match options {
        [full] if is(full, "full") => COUNT,
        [full, word, count] if is(full, "full") && is(word, "count") => {
            match usize::try_from(integer(count)?) {
                Ok(0) => usize::MAX,
                Ok(count) => count,
                Err(_) => COUNT,
            }
        }
        _ => return Err(CommandError::Syntax),
    };
    let (server, db) = (call.asker(), call.client.db);
    Ok(later(async move {
        let stream = server.followed(db, &key).await?.ok_or(CommandError::NoSuchKey)?;
        describe(&server, &stream, count).await
    }))
}

/// A name with a value, as maps have it.
pub(super) fn pair(name: &'static str, value: Reply) -> (Reply, Reply) {
    (Reply::text(name), value)
}

/// What every answer about a stream begins with.
pub(super) fn heading(stream: &Stream) -> Vec<(Reply, Reply)> {
    /// Entries in one of Redis's nodes.
    const NODE_ENTRIES: usize = 100;
    let summary = stream.summary();
    let id = |id: StreamId| Reply::bulk(id.to_string());
    let nodes = summary.len.div_ceil(NODE_ENTRIES);
    vec![
        pair("length", Reply::count(summary.len)),
        pair("radix-tree-keys", Reply::count(nodes)),
        pair("radix-tree-nodes", Reply::count(nodes + 1)),
        pair("last-generated-id", id(summary.last)),
        pair("max-deleted-entry-id", id(summary.deleted)),
        pair("entries-added", Reply::Integer(i64::try_from(summary.added).unwrap_or(i64::MAX))),
        pair("recorded-first-entry-id", id(summary.first.unwrap_or_default())),
    ]
}

/// Entries read, and entries not read, of a group, as far as they are known.
pub(super) fn progress(stream: &Stream, group: &Bytes, last: StreamId) -> [(Reply, Reply); 2] {
    let (read, lag) = stream.progress(group, last);
    let read = read.map(|read| Reply::Integer(i64::try_from(read).unwrap_or(i64::MAX)));
    [
        pair("entries-read", read.unwrap_or(Reply::Null)),
        pair("lag", lag.map_or(Reply::Null, Reply::Integer)),
    ]
}

async fn describe(server: &Asker, stream: &Stream, count: usize) -> Result<Reply, CommandError> {
    let mut parts = heading(stream);
    let ids = stream.ids(StreamId::MIN..=StreamId::MAX, count, false);
    parts.push(pair("entries", entries(stream.read(&ids).await?)));
    let mut groups = Vec::new();
    for summary in server.broker.queue_list(&server.principal, Some(&stream.topic)).await? {
        groups.push(group(server, stream, summary.group, count).await?);
    }
    parts.push(pair("groups", Reply::Array(groups)));
    Ok(Reply::Map(parts))
}

async fn group(
    server: &Asker,
    stream: &Stream,
    name: Bytes,
    count: usize,
) -> Result<Reply, CommandError> {
    let (broker, principal) = (&server.broker, &server.principal);
    let queue = QueueRef::new(stream.topic.clone(), name.clone());
    let described = broker.queue_describe(principal, &queue).await?;
    let next = described.partitions.first().map_or(Offset::ZERO, |first| first.next);
    let last = stream.last_below(next);
    let [read, lag] = progress(stream, &name, last);
    let mut owed = broker.queue_pending(principal, &queue, &PendingQuery::default()).await?;
    owed.retain(|pending| matches!(pending.state, PendingState::Acquired { .. }));
    let now = broker.clock().wall().as_ms();
    let line = |pending: &Pending, with_owner: bool| {
        let idle = i64::try_from(pending.idle.as_millis()).unwrap_or(i64::MAX);
        let mut parts = vec![Reply::bulk(stream.id_of(pending.id.offset).to_string())];
        if with_owner {
            parts.push(Reply::Bulk(owner(pending)));
        }
        parts.push(Reply::Integer(now.saturating_sub(idle)));
        parts.push(Reply::Integer(pending.delivery_count.into()));
        Reply::Array(parts)
    };
    let mut consumers = Vec::new();
    for consumer in broker.queue_owners(principal, &queue).await? {
        let own: Vec<&Pending> =
            owed.iter().filter(|pending| owner(pending) == consumer.owner).collect();
        let shown = own.iter().take(count).map(|pending| line(pending, false));
        consumers.push(Reply::Map(vec![
            pair("name", Reply::Bulk(consumer.owner)),
            pair("seen-time", Reply::Integer(consumer.seen.as_ms())),
            pair("pel-count", Reply::count(own.len())),
            pair("pending", Reply::Array(shown.collect())),
        ]));
    }
    let shown = owed.iter().take(count).map(|pending| line(pending, true));
    Ok(Reply::Map(vec![
        pair("name", Reply::Bulk(name)),
        pair("last-delivered-id", Reply::bulk(last.to_string())),
        read,
        lag,
        pair("pel-count", Reply::count(owed.len())),
        pair("pending", Reply::Array(shown.collect())),
        pair("consumers", Reply::Array(consumers)),
    ]))
}

fn owner(pending: &Pending) -> Bytes {
    match &pending.state {
        PendingState::Acquired { owner, .. } => owner.clone(),
        PendingState::Available | PendingState::Rejected => Bytes::new(),
    }
}
