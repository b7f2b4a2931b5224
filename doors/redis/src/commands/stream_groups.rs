//! Consumer groups of streams: the broker's queues, whose owners are named consumers and whose locks
//! never end by themselves. Making them, reading from them, describing them; what consumers hold is in
//! `stream_pending.rs`.
//!
//! How many entries a group has read is counted while the node runs; see `streams/progress.rs`.

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use posthouse_broker::{
    Acquire, OwnerRemoval, Pending, PendingQuery, QueueChange, QueueConfig, QueueError,
    QueuePosition, QueueRef, QueueStart, RecordId,
};
use posthouse_keyspace::DatabaseIndex;
use posthouse_types::{Offset, PartitionIndex};

use crate::access::Asker;
use crate::codec::Reply;
use crate::commands::{integer, is, text};
use crate::errors::CommandError;
use crate::notifications::Class;
use crate::streams::{Entry, Stream, StreamId};
use crate::table::{Blocked, Call, CommandSpec, Flags, Handler, Outcome, Wait};

use super::stream_arguments::Reading;
use super::stream_full::progress;
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
        .about(
            "5.0.0",
            "Returns new or historical messages from a stream for a consumer in a group.",
        ),
];

/// A stream and one of its groups.
pub(super) struct Place {
    pub(super) server: Asker,
    pub(super) stream: Arc<Stream>,
    pub(super) queue: QueueRef,
}

impl Place {
    /// Finds the stream; whether it has the group shows when it is used.
    pub(super) async fn find(
        server: &Asker,
        db: DatabaseIndex,
        key: &Bytes,
        group: &Bytes,
    ) -> Result<Place, CommandError> {
        let stream = server.followed(db, key).await?.ok_or_else(|| no_group(key, group))?;
        let queue = QueueRef::new(stream.topic.clone(), Bytes::copy_from_slice(group));
        Ok(Place { server: server.clone(), stream, queue })
    }

    pub(super) async fn pending(
        &self,
        query: PendingQuery,
    ) -> Result<Vec<(StreamId, Pending)>, QueueError> {
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
pub(super) fn refused(key: &Bytes, group: &Bytes) -> impl Fn(QueueError) -> CommandError {
    let missing = no_group(key, group);
    move |error| match error {
        QueueError::NotFound { .. } => missing.clone(),
        error => error.into(),
    }
}

pub(super) fn record(offset: Offset) -> RecordId {
    RecordId { partition: PartitionIndex::ZERO, offset }
}

fn xgroup(call: &mut Call<'_>, arguments: &[Bytes]) -> Result<Outcome, CommandError> {
    let subcommand = text(&arguments[1]).to_ascii_lowercase();
    let (server, db) = (call.asker(), call.client.db);
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
        ("create" | "setid" | "destroy" | "createconsumer" | "delconsumer" | "help", _) => {
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
    server: &Asker,
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
    server: &Asker,
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
    let (server, db) = (call.asker(), call.client.db);
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
pub(super) async fn note_consumer(
    place: &Place,
    (db, key): (DatabaseIndex, &Bytes),
    consumer: &Bytes,
) {
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

/// `XINFO GROUPS`.
pub(super) fn groups(call: &Call<'_>, key: Bytes) -> Outcome {
    let (server, db) = (call.asker(), call.client.db);
    later(async move {
        let stream = server.followed(db, &key).await?.ok_or(CommandError::NoSuchKey)?;
        let list = server.broker.queue_list(&server.principal, Some(&stream.topic)).await?;
        let mut groups = Vec::new();
        for group in list {
            let queue = QueueRef::new(stream.topic.clone(), group.group.clone());
            let described = server.broker.queue_describe(&server.principal, &queue).await?;
            let next = described.partitions.first().map_or(Offset::ZERO, |first| first.next);
            let last = stream.last_below(next);
            let [read, lag] = progress(&stream, &queue.group, last);
            groups.push(Reply::Map(vec![
                (Reply::text("name"), Reply::Bulk(group.group)),
                (Reply::text("consumers"), Reply::count(group.owners)),
                (Reply::text("pending"), Reply::count(group.pending)),
                (Reply::text("last-delivered-id"), Reply::bulk(last.to_string())),
                read,
                lag,
            ]));
        }
        Ok(Reply::Array(groups))
    })
}

/// `XINFO CONSUMERS`.
pub(super) fn consumers(call: &Call<'_>, key: Bytes, group: Bytes) -> Outcome {
    let (server, db) = (call.asker(), call.client.db);
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
