//! What consumers of a stream's group hold: acknowledging it, listing it, handing it to others.

use std::time::Duration;

use bytes::Bytes;
use posthouse_broker::{
    DeliveryCount, Held, Pending, PendingQuery, PendingState, QueueError, Transfer,
};
use posthouse_keyspace::DatabaseIndex;
use posthouse_types::Timestamp;

use crate::access::Asker;
use crate::codec::Reply;
use crate::commands::{integer, is, text};
use crate::errors::CommandError;
use crate::streams::{Bound, StreamId};
use crate::table::{Call, CommandSpec, Flags, Handler, Outcome};

use super::stream_groups::{Place, note_consumer, record, refused};
use super::streams::{entries, later};

const GROUP: &str = "stream";

pub(crate) const COMMANDS: &[CommandSpec] = &[
    CommandSpec::new("xack", -4, GROUP, Handler::After(xack))
        .flag(Flags::WRITE)
        .flag(Flags::FAST)
        .keys(1, 1, 1)
        .about("5.0.0", "Returns the number of messages that were successfully acknowledged."),
    CommandSpec::new("xpending", -3, GROUP, Handler::After(xpending))
        .flag(Flags::READONLY)
        .keys(1, 1, 1)
        .about("5.0.0", "Returns the entries from a stream consumer group's pending entries list."),
    CommandSpec::new("xclaim", -6, GROUP, Handler::After(xclaim))
        .flag(Flags::WRITE)
        .flag(Flags::FAST)
        .keys(1, 1, 1)
        .about("5.0.0", "Changes, or acquires, ownership of a message in a consumer group."),
    CommandSpec::new("xautoclaim", -6, GROUP, Handler::After(xautoclaim))
        .flag(Flags::WRITE)
        .flag(Flags::FAST)
        .keys(1, 1, 1)
        .about("6.2.0", "Changes, or acquires, ownership of messages in a consumer group, as if they were delivered."),
];

fn xack(call: &mut Call<'_>, arguments: &[Bytes]) -> Result<Outcome, CommandError> {
    let ids = parse_ids(&arguments[3..])?;
    let (server, db) = (call.asker(), call.client.db);
    let (key, group) = (arguments[1].clone(), arguments[2].clone());
    Ok(later(async move {
        let Ok(place) = Place::find(&server, db, &key, &group).await else {
            return Ok(Reply::Integer(0));
        };
        let offsets = ids.iter().filter_map(|id| place.stream.offset(*id));
        let held: Vec<Held> = offsets.map(|offset| Held::by_anyone(record(offset))).collect();
        match server.broker.queue_accept(&server.principal, &place.queue, &held).await {
            Ok(outcomes) => {
                let done = |outcome: &&posthouse_broker::Outcome| {
                    **outcome == posthouse_broker::Outcome::Done
                };
                Ok(Reply::count(outcomes.iter().filter(done).count()))
            }
            Err(QueueError::NotFound { .. }) => Ok(Reply::Integer(0)),
            Err(error) => Err(error.into()),
        }
    }))
}

fn parse_ids(ids: &[Bytes]) -> Result<Vec<StreamId>, CommandError> {
    ids.iter().map(|id| StreamId::parse(id, 0)).collect()
}

fn xpending(call: &mut Call<'_>, arguments: &[Bytes]) -> Result<Outcome, CommandError> {
    let (server, db) = (call.asker(), call.client.db);
    let (key, group) = (arguments[1].clone(), arguments[2].clone());
    if arguments.len() == 3 {
        return Ok(later(async move { pending_summary(&server, db, &key, &group).await }));
    }
    let (idle, rest) = match &arguments[3..] {
        [word, ms, rest @ ..] if is(word, "idle") => (milliseconds(ms)?, rest),
        rest => (Duration::ZERO, rest),
    };
    let (range, count, owner) = match rest {
        [start, end, count, owner @ ..] if owner.len() < 2 => {
            (Bound::start(start)?..=Bound::end(end)?, integer(count)?, owner.first().cloned())
        }
        _ => return Err(CommandError::Syntax),
    };
    Ok(later(async move {
        let place = Place::find(&server, db, &key, &group).await?;
        let query = PendingQuery { owner, min_idle: idle, ..PendingQuery::default() };
        let found = place.pending(query).await.map_err(refused(&key, &group))?;
        let found = found.into_iter().filter(|(id, _)| range.contains(id));
        let count = usize::try_from(count).unwrap_or(0);
        Ok(Reply::Array(
            found.take(count).map(|(id, pending)| pending_line(id, &pending)).collect(),
        ))
    }))
}

fn pending_line(id: StreamId, pending: &Pending) -> Reply {
    let idle = i64::try_from(pending.idle.as_millis()).unwrap_or(i64::MAX);
    Reply::Array(vec![
        Reply::bulk(id.to_string()),
        Reply::Bulk(owner_of(pending).unwrap_or_default()),
        Reply::Integer(idle),
        Reply::Integer(pending.delivery_count.into()),
    ])
}

fn owner_of(pending: &Pending) -> Option<Bytes> {
    match &pending.state {
        PendingState::Acquired { owner, .. } => Some(owner.clone()),
        PendingState::Available | PendingState::Rejected => None,
    }
}

async fn pending_summary(
    server: &Asker,
    db: DatabaseIndex,
    key: &Bytes,
    group: &Bytes,
) -> Result<Reply, CommandError> {
    let place = Place::find(server, db, key, group).await?;
    let found = place.pending(PendingQuery::default()).await.map_err(refused(key, group))?;
    let ids = || found.iter().map(|(id, _)| *id);
    let (Some(first), Some(last)) = (ids().min(), ids().max()) else {
        return Ok(Reply::Array(vec![
            Reply::Integer(0),
            Reply::Null,
            Reply::Null,
            Reply::NullArray,
        ]));
    };
    let mut owners = std::collections::BTreeMap::<Bytes, usize>::new();
    for owner in found.iter().filter_map(|(_, pending)| owner_of(pending)) {
        *owners.entry(owner).or_default() += 1;
    }
    let line = |(owner, count): (Bytes, usize)| {
        Reply::Array(vec![Reply::Bulk(owner), Reply::bulk(count.to_string())])
    };
    Ok(Reply::Array(vec![
        Reply::count(found.len()),
        Reply::bulk(first.to_string()),
        Reply::bulk(last.to_string()),
        Reply::Array(owners.into_iter().map(line).collect()),
    ]))
}

fn milliseconds(ms: &[u8]) -> Result<Duration, CommandError> {
    Ok(Duration::from_millis(u64::try_from(integer(ms)?.max(0)).unwrap_or(0)))
}

fn xclaim(call: &mut Call<'_>, arguments: &[Bytes]) -> Result<Outcome, CommandError> {
    let min_idle = milliseconds(&arguments[4])
        .map_err(|_| CommandError::said("ERR Invalid min-idle-time argument for XCLAIM"))?;
    let given = arguments[5..].iter().take_while(|id| StreamId::parse(id, 0).is_ok()).count();
    let ids = parse_ids(&arguments[5..5 + given.max(1)])?;
    let mut transfer = Transfer::new(Vec::new(), Bytes::copy_from_slice(&arguments[3]));
    transfer.min_idle = min_idle;
    let now = call.server.broker.clock().wall();
    let mut ids_only = false;
    let mut rest = &arguments[5 + given..];
    while let Some((option, values)) = rest.split_first() {
        rest = match values {
            [ms, rest @ ..] if is(option, "idle") => {
                let idle = i64::try_from(milliseconds(ms)?.as_millis()).unwrap_or(i64::MAX);
                transfer.delivered_at = Some(Timestamp::from_ms(now.as_ms().saturating_sub(idle)));
                rest
            }
            [ms, rest @ ..] if is(option, "time") => {
                transfer.delivered_at = Some(Timestamp::from_ms(integer(ms)?.min(now.as_ms())));
                rest
            }
            [count, rest @ ..] if is(option, "retrycount") => {
                let count = u32::try_from(integer(count)?).map_err(|_| CommandError::NotInteger)?;
                transfer.deliveries = DeliveryCount::Set(count);
                rest
            }
            [_, rest @ ..] if is(option, "lastid") => rest,
            rest if is(option, "force") => {
                transfer.force = true;
                rest
            }
            rest if is(option, "justid") => {
                ids_only = true;
                rest
            }
            _ => {
                let option = text(option);
                return Err(CommandError::Said(format!(
                    "ERR Unrecognized XCLAIM option '{option}'"
                )));
            }
        };
    }
    if ids_only && transfer.deliveries == DeliveryCount::Next {
        transfer.deliveries = DeliveryCount::Same;
    }
    let (server, db) = (call.asker(), call.client.db);
    let (key, group) = (arguments[1].clone(), arguments[2].clone());
    Ok(later(async move {
        let place = Place::find(&server, db, &key, &group).await?;
        note_consumer(&place, (db, &key), &transfer.to).await;
        let there = ids.iter().filter_map(|id| place.stream.offset(*id)).map(record);
        transfer.ids = there.collect();
        let (claimed, _) = claim(&place, &transfer).await.map_err(refused(&key, &group))?;
        answer_claimed(&place, claimed, ids_only).await
    }))
}

/// Hands entries over; gives those that are still there, and the ids of those that are not, which
/// nobody can process any more and are settled.
async fn claim(
    place: &Place,
    transfer: &Transfer,
) -> Result<(Vec<StreamId>, Vec<StreamId>), QueueError> {
    let server = &place.server;
    let moved = server.broker.queue_transfer(&server.principal, &place.queue, transfer).await?;
    let (mut claimed, mut gone, mut settle) = (Vec::new(), Vec::new(), Vec::new());
    for id in moved {
        match place.stream.id_at(id.offset) {
            Some(entry) => claimed.push(entry),
            None => {
                gone.push(place.stream.id_of(id.offset));
                settle.push(Held::by_anyone(id));
            }
        }
    }
    if !settle.is_empty() {
        server.broker.queue_accept(&server.principal, &place.queue, &settle).await?;
    }
    Ok((claimed, gone))
}

async fn answer_claimed(
    place: &Place,
    claimed: Vec<StreamId>,
    ids_only: bool,
) -> Result<Reply, CommandError> {
    if ids_only {
        return Ok(Reply::Array(claimed.iter().map(|id| Reply::bulk(id.to_string())).collect()));
    }
    Ok(entries(place.stream.read(&claimed).await?))
}

fn xautoclaim(call: &mut Call<'_>, arguments: &[Bytes]) -> Result<Outcome, CommandError> {
    let min_idle = milliseconds(&arguments[4])
        .map_err(|_| CommandError::said("ERR Invalid min-idle-time argument for XAUTOCLAIM"))?;
    let start = Bound::start(&arguments[5])?;
    let (mut count, mut ids_only) = (100, false);
    let mut rest = &arguments[6..];
    while let Some((option, values)) = rest.split_first() {
        rest = match values {
            [given, rest @ ..] if is(option, "count") => {
                count = usize::try_from(integer(given)?)
                    .ok()
                    .filter(|count| (1..=1_000_000).contains(count))
                    .ok_or(CommandError::said("ERR COUNT must be > 0"))?;
                rest
            }
            rest if is(option, "justid") => {
                ids_only = true;
                rest
            }
            _ => return Err(CommandError::Syntax),
        };
    }
    let consumer = Bytes::copy_from_slice(&arguments[3]);
    let (server, db) = (call.asker(), call.client.db);
    let (key, group) = (arguments[1].clone(), arguments[2].clone());
    Ok(later(async move {
        let place = Place::find(&server, db, &key, &group).await?;
        let found = place.pending(PendingQuery::default()).await.map_err(refused(&key, &group))?;
        let mut found = found.into_iter().filter(|(id, _)| *id >= start);
        note_consumer(&place, (db, &key), &consumer).await;
        let mut transfer = Transfer::new(Vec::new(), consumer);
        transfer.min_idle = min_idle;
        if ids_only {
            transfer.deliveries = DeliveryCount::Same;
        }
        transfer.ids = found
            .by_ref()
            .filter(|(_, pending)| pending.idle >= min_idle)
            .take(count)
            .map(|(_, pending)| pending.id)
            .collect();
        let next = found.next().map_or(StreamId::MIN, |(id, _)| id);
        let (claimed, gone) = claim(&place, &transfer).await.map_err(refused(&key, &group))?;
        let gone = gone.iter().map(|id| Reply::bulk(id.to_string())).collect();
        Ok(Reply::Array(vec![
            Reply::bulk(next.to_string()),
            answer_claimed(&place, claimed, ids_only).await?,
            Reply::Array(gone),
        ]))
    }))
}
