//! Consumer groups of streams: the broker's queues, whose owners are named consumers and whose locks
//! never end by themselves.
//!
//! How many entries a group has read is counted while the node runs; see `streams/progress.rs`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use posthouse_broker::{
    Acquire, DeliveryCount, Held, OwnerRemoval, Pending, PendingQuery, PendingState, QueueChange,
    QueueConfig, QueueError, QueuePosition, QueueRef, QueueStart, RecordId, Transfer,
};
use posthouse_keyspace::DatabaseIndex;
use posthouse_types::{Offset, PartitionIndex, Timestamp};

use crate::codec::Reply;
use crate::commands::{integer, is, text};
use crate::errors::CommandError;
use crate::notifications::Class;
use crate::server::Server;
use crate::streams::{Bound, Entry, Stream, StreamId};
use crate::table::{Blocked, Call, CommandSpec, Flags, Handler, Outcome, Wait};

use super::stream_arguments::Reading;
use super::stream_full::count_or_null;
use super::streams::{by_stream, entries, later, moved, turn};

const GROUP: &str = "stream";

/// LIMIT: entries given to one call.
const ENTRIES_MAX: usize = 10_000;

/// LIMIT: deliveries that wait for an acknowledgement, of one group.
const WINDOW_MAX: u32 = 1_000_000;

pub(crate) const COMMANDS: &[CommandSpec] = &[
    CommandSpec::new("xgroup", -2, GROUP, Handler::After(xgroup))
        .flag(Flags::WRITE)
        .keys(2, 2, 1)
        .about("5.0.0", "A container for consumer groups commands."),
    CommandSpec::new("xreadgroup", -7, GROUP, Handler::After(xreadgroup))
        .flag(Flags::WRITE)
        .flag(Flags::BLOCKING)
        .keys_found(Reading::keys)
        .about("5.0.0", "Returns new or historical messages from a stream for a consumer in a group."),
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

/// A stream and one of its groups.
struct Place {
    server: Arc<Server>,
    stream: Arc<Stream>,
    queue: QueueRef,
}

impl Place {
    /// Finds the stream; whether it has the group shows when it is used.
    async fn find(
        server: &Arc<Server>,
        db: DatabaseIndex,
        key: &Bytes,
        group: &Bytes,
    ) -> Result<Place, CommandError> {
        let stream = server.followed(db, key).await?.ok_or_else(|| no_group(key, group))?;
        let queue = QueueRef::new(stream.topic.clone(), Bytes::copy_from_slice(group));
        Ok(Place { server: Arc::clone(server), stream, queue })
    }

    async fn pending(&self, query: PendingQuery) -> Result<Vec<(StreamId, Pending)>, QueueError> {
        let found =
            self.server.broker.queue_pending(&self.server.principal, &self.queue, &query).await?;
        let name = |pending: Pending| (self.stream.id_of(pending.id.offset), pending);
        Ok(found.into_iter().map(name).collect())
    }
}

fn no_group(key: &Bytes, group: &Bytes) -> CommandError {
    CommandError::Said(format!(
        "NOGROUP No such key '{}' or consumer group '{}'",
        text(key),
        text(group)
    ))
}

/// A queue's error about this stream and group.
fn refused(key: &Bytes, group: &Bytes) -> impl Fn(QueueError) -> CommandError {
    let missing = no_group(key, group);
    move |error| match error {
        QueueError::NotFound { .. } => missing.clone(),
        error => error.into(),
    }
}

fn record(offset: Offset) -> RecordId {
    RecordId { partition: PartitionIndex::ZERO, offset }
}

fn xgroup(call: &mut Call<'_>, arguments: &[Bytes]) -> Result<Outcome, CommandError> {
    let subcommand = text(&arguments[1]).to_ascii_lowercase();
    let (server, db) = (Arc::clone(call.server), call.client.db);
    let rest = arguments[2..].to_vec();
    match (subcommand.as_str(), rest.len()) {
        ("create", 3..) => {
            let options = group_options(&rest[3..])?;
            Ok(later(async move { create(&server, db, &rest, options).await }))
        }
        ("setid", 3..) => {
            let (_, read) = group_options(&rest[3..])?;
            Ok(later(async move { set_id(&server, db, &rest, read).await }))
        }
        ("destroy", 2) => Ok(later(async move {
            let place = Place::find(&server, db, &rest[0], &rest[1]).await.map_err(|_| no_key())?;
            match server.broker.queue_delete(&server.principal, &place.queue).await {
                Ok(()) => {
                    place.stream.set_progress(&rest[1], None);
                    server.streams.regroup();
                    server.stream_event(db, &rest[0], "xgroup-destroy");
                    Ok(Reply::Integer(1))
                }
                Err(QueueError::NotFound { .. }) => Ok(Reply::Integer(0)),
                Err(error) => Err(error.into()),
            }
        })),
        ("createconsumer", 3) => Ok(later(async move {
            let place = Place::find(&server, db, &rest[0], &rest[1]).await.map_err(|_| no_key())?;
            let broker = &server.broker;
            let made = broker.queue_owner_create(&server.principal, &place.queue, &rest[2]).await;
            let made = made.map_err(no_such_group(&rest[0], &rest[1]))?;
            if made {
                server.stream_event(db, &rest[0], "xgroup-createconsumer");
            }
            Ok(Reply::Integer(made.into()))
        })),
        ("delconsumer", 3) => Ok(later(async move {
            let place = Place::find(&server, db, &rest[0], &rest[1]).await.map_err(|_| no_key())?;
            let discard = OwnerRemoval::Discard;
            let broker = &server.broker;
            match broker
                .queue_owner_delete(&server.principal, &place.queue, &rest[2], discard)
                .await
            {
                Ok(held) => {
                    server.stream_event(db, &rest[0], "xgroup-delconsumer");
                    Ok(Reply::count(held))
                }
                Err(QueueError::UnknownOwner { .. }) => Ok(Reply::Integer(0)),
                Err(error) => Err(no_such_group(&rest[0], &rest[1])(error)),
            }
        })),
        ("help", 0) => Ok(Outcome::Reply(Reply::Array(vec![
            Reply::Simple("XGROUP <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"),
            Reply::Simple("CREATE, CREATECONSUMER, DELCONSUMER, DESTROY, SETID, HELP"),
        ]))),
        ("create" | "setid" | "destroy" | "createconsumer" | "delconsumer", _) => {
            Err(CommandError::Arity(format!("xgroup|{subcommand}")))
        }
        _ => Err(CommandError::UnknownSubcommand {
            command: "XGROUP",
            subcommand: text(&arguments[1]),
        }),
    }
}

fn no_key() -> CommandError {
    CommandError::said(
        "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically.",
    )
}

fn no_such_group(key: &Bytes, group: &Bytes) -> impl Fn(QueueError) -> CommandError {
    let text =
        format!("NOGROUP No such consumer group '{}' for key name '{}'", text(group), text(key));
    move |error| match error {
        QueueError::NotFound { .. } => CommandError::Said(text.clone()),
        error => error.into(),
    }
}

/// `MKSTREAM`, and `ENTRIESREAD n`, where -1 is not known.
fn group_options(mut rest: &[Bytes]) -> Result<(bool, Option<u64>), CommandError> {
    let (mut make, mut read) = (false, None);
    loop {
        rest = match rest {
            [] => return Ok((make, read)),
            [word, rest @ ..] if is(word, "mkstream") => {
                make = true;
                rest
            }
            [word, count, rest @ ..] if is(word, "entriesread") => {
                let count = integer(count)?;
                read = u64::try_from(count).ok();
                if count < -1 {
                    return Err(CommandError::said(
                        "ERR value for ENTRIESREAD must be positive or -1",
                    ));
                }
                rest
            }
            _ => return Err(CommandError::Syntax),
        };
    }
}

fn beginning(stream: &Stream, id: &[u8]) -> Result<QueueStart, CommandError> {
    if id == b"$" {
        return Ok(QueueStart::Offset(stream.offset_after(stream.summary().last)));
    }
    match StreamId::parse(id, 0)? {
        StreamId::MIN => Ok(QueueStart::Earliest),
        id => Ok(QueueStart::Offset(stream.offset_after(id))),
    }
}

async fn create(
    server: &Arc<Server>,
    db: DatabaseIndex,
    rest: &[Bytes],
    (make, read): (bool, Option<u64>),
) -> Result<Reply, CommandError> {
    let (key, group) = (&rest[0], &rest[1]);
    let stream = if make {
        server.stream_or_create(db, key).await?
    } else {
        server.followed(db, key).await?.ok_or_else(no_key)?
    };
    let start = beginning(&stream, &rest[2])?;
    let queue = QueueRef::new(stream.topic.clone(), Bytes::copy_from_slice(group));
    let config = QueueConfig {
        lock_timeout: None,
        deliveries_max: None,
        window_max: WINDOW_MAX,
        dead_letter: None,
    };
    match server.broker.queue_create(&server.principal, &queue, start, config).await {
        Ok(()) => {
            stream.set_progress(group, read);
            server.stream_event(db, key, "xgroup-create");
            Ok(Reply::OK)
        }
        Err(QueueError::Exists { .. }) => {
            Err(CommandError::said("BUSYGROUP Consumer Group name already exists"))
        }
        Err(error) => Err(error.into()),
    }
}

async fn set_id(
    server: &Arc<Server>,
    db: DatabaseIndex,
    rest: &[Bytes],
    read: Option<u64>,
) -> Result<Reply, CommandError> {
    let place = Place::find(server, db, &rest[0], &rest[1]).await.map_err(|_| no_key())?;
    let start = beginning(&place.stream, &rest[2])?;
    let position = Some(QueuePosition { partition: None, start });
    let change = QueueChange { config: None, position };
    let set = server.broker.queue_set(&server.principal, &place.queue, change).await;
    set.map_err(no_such_group(&rest[0], &rest[1]))?;
    place.stream.set_progress(&rest[1], read);
    server.stream_event(db, &rest[0], "xgroup-setid");
    Ok(Reply::OK)
}

fn xreadgroup(call: &mut Call<'_>, arguments: &[Bytes]) -> Result<Outcome, CommandError> {
    let reading = Reading::parse(arguments, true)?;
    let (server, db) = (Arc::clone(call.server), call.client.db);
    let waits = reading.block.filter(|_| !call.in_transaction);
    let work = async move {
        let (group, consumer) = reading.group.clone().unwrap_or_default();
        let mut bindings = server.keys.stream_bindings();
        let mut groups = server.streams.regrouped();
        let mut waited = false;
        loop {
            let turn = turn(&server, waits.is_none()).await;
            bindings.mark_unchanged();
            groups.mark_unchanged();
            let mut answer = Vec::new();
            let mut streams = Vec::new();
            for (key, id) in &reading.streams {
                let missing = || {
                    CommandError::Said(format!(
                        "NOGROUP No such key '{}' or consumer group '{}' in XREADGROUP with GROUP option",
                        text(key),
                        text(&group)
                    ))
                };
                let place = match Place::find(&server, db, key, &group).await {
                    Ok(place) => place,
                    Err(_) if waited => return Err(no_longer("stream key")),
                    Err(CommandError::WrongType) => return Err(CommandError::WrongType),
                    Err(_) => return Err(missing()),
                };
                note_consumer(&place, (db, key), &consumer).await;
                let read = if &id[..] == b">" {
                    newest(&place, &consumer, &reading).await
                } else {
                    history(&place, &consumer, StreamId::parse(id, 0)?, reading.count).await
                };
                let read = read.map_err(|error| match error {
                    CommandError::NoGroup if waited => CommandError::said(
                        "NOGROUP the consumer group this client was blocked on no longer exists",
                    ),
                    CommandError::NoGroup => missing(),
                    other => other,
                })?;
                if !read.is_empty() || &id[..] != b">" {
                    answer.push((Reply::Bulk(key.clone()), entries(read)));
                }
                streams.push(Some(place.stream));
            }
            if !answer.is_empty() {
                return Ok(by_stream(answer));
            }
            if waits.is_none() {
                return Ok(Reply::NullArray);
            }
            drop(turn);
            waited = true;
            tokio::select! {
                () = moved(&streams, &mut bindings) => {}
                _ = groups.changed() => {}
            }
        }
    };
    match waits {
        Some(timeout) => {
            let answer =
                work.map(|answer: Result<_, CommandError>| answer.unwrap_or_else(Reply::from));
            let wait = Wait::Future(Box::pin(answer));
            Ok(Outcome::Blocked(Blocked { wait, timeout, on_timeout: Reply::NullArray }))
        }
        None => Ok(later(work)),
    }
}

/// What a client that waits is told when what it waits for is gone.
fn no_longer(what: &str) -> CommandError {
    CommandError::Said(format!("UNBLOCKED the {what} no longer exists"))
}

/// Makes a consumer that is new known before it reads, where somebody is told of it.
async fn note_consumer(place: &Place, (db, key): (DatabaseIndex, &Bytes), consumer: &Bytes) {
    let server = &place.server;
    if !server.keys.notifications.want(Class::STREAM) {
        return;
    }
    let made = server.broker.queue_owner_create(&server.principal, &place.queue, consumer).await;
    if matches!(made, Ok(true)) {
        server.stream_event(db, key, "xgroup-createconsumer");
    }
}

/// Entries that nobody in the group has been given.
async fn newest(
    place: &Place,
    consumer: &Bytes,
    reading: &Reading,
) -> Result<Vec<Entry>, CommandError> {
    let stream = Arc::clone(&place.stream);
    let mut acquire =
        Acquire::new(Bytes::copy_from_slice(consumer), reading.count.min(ENTRIES_MAX));
    acquire.settled = reading.no_ack;
    acquire.filter = Some(Arc::new(move |_, record| stream.is_entry(record)));
    let server = &place.server;
    let acquired = server.broker.queue_acquire(&server.principal, &place.queue, acquire).await?;
    place.stream.follow().await?;
    let entry = |acquired: &posthouse_broker::Acquired| place.stream.entry(&acquired.record);
    let read: Vec<Entry> = acquired.iter().filter_map(entry).collect();
    place.stream.advance(&place.queue.group, read.iter().map(|entry| entry.id));
    Ok(read)
}

/// Entries that the consumer was given and has not acknowledged.
async fn history(
    place: &Place,
    consumer: &Bytes,
    after: StreamId,
    count: usize,
) -> Result<Vec<Entry>, CommandError> {
    let server = &place.server;
    server.broker.queue_owner_create(&server.principal, &place.queue, consumer).await?;
    let query = PendingQuery { owner: Some(consumer.clone()), ..PendingQuery::default() };
    let ids = place.pending(query).await?.into_iter().map(|(id, _)| id);
    let ids: Vec<StreamId> = ids.filter(|id| *id > after).take(count).collect();
    place.stream.read(&ids).await
}

fn xack(call: &mut Call<'_>, arguments: &[Bytes]) -> Result<Outcome, CommandError> {
    let ids = parse_ids(&arguments[3..])?;
    let (server, db) = (Arc::clone(call.server), call.client.db);
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
    let (server, db) = (Arc::clone(call.server), call.client.db);
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
    server: &Arc<Server>,
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
    let (server, db) = (Arc::clone(call.server), call.client.db);
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
    let (server, db) = (Arc::clone(call.server), call.client.db);
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

/// `XINFO GROUPS`.
pub(super) fn groups(call: &Call<'_>, key: Bytes) -> Outcome {
    let (server, db) = (Arc::clone(call.server), call.client.db);
    later(async move {
        let stream = server.followed(db, &key).await?.ok_or(CommandError::NoSuchKey)?;
        let list = server.broker.queue_list(&server.principal, Some(&stream.topic)).await?;
        let mut groups = Vec::new();
        for group in list {
            let queue = QueueRef::new(stream.topic.clone(), group.group.clone());
            let described = server.broker.queue_describe(&server.principal, &queue).await?;
            let next = described.partitions.first().map_or(Offset::ZERO, |first| first.next);
            let last = stream.last_below(next);
            let (read, lag) = stream.progress(&queue.group, last);
            groups.push(Reply::Map(vec![
                (Reply::text("name"), Reply::Bulk(group.group)),
                (Reply::text("consumers"), Reply::count(group.owners)),
                (Reply::text("pending"), Reply::count(group.pending)),
                (Reply::text("last-delivered-id"), Reply::bulk(last.to_string())),
                (Reply::text("entries-read"), count_or_null(read)),
                (Reply::text("lag"), count_or_null(lag)),
            ]));
        }
        Ok(Reply::Array(groups))
    })
}

/// `XINFO CONSUMERS`.
pub(super) fn consumers(call: &Call<'_>, key: Bytes, group: Bytes) -> Outcome {
    let (server, db) = (Arc::clone(call.server), call.client.db);
    later(async move {
        let place = match Place::find(&server, db, &key, &group).await {
            Ok(place) => place,
            Err(_) => return Err(CommandError::NoSuchKey),
        };
        let owners = server.broker.queue_owners(&server.principal, &place.queue).await;
        let owners = owners.map_err(no_such_group(&key, &group))?;
        let now = server.broker.clock().wall();
        let line = |owner: posthouse_broker::QueueOwner| {
            let idle = now.as_ms().saturating_sub(owner.seen.as_ms()).max(0);
            Reply::Map(vec![
                (Reply::text("name"), Reply::Bulk(owner.owner)),
                (Reply::text("pending"), Reply::count(owner.pending)),
                (Reply::text("idle"), Reply::Integer(idle)),
            ])
        };
        Ok(Reply::Array(owners.into_iter().map(line).collect()))
    })
}
