//! Streams without groups.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt, select_all};
use posthouse_keyspace::DatabaseIndex;
use posthouse_log::Ticket;
use tokio::sync::OwnedRwLockReadGuard;

use crate::access::Asker;
use crate::codec::Reply;
use crate::commands::{integer, is};
use crate::errors::CommandError;
use crate::server::Server;
use crate::streams::{Bound, Entry, Stream, StreamId};
use crate::table::{Blocked, Call, CommandSpec, Flags, Handler, Outcome, Wait};

use super::stream_arguments::{Reading, parse_add, parse_trim};

const GROUP: &str = "stream";

pub(crate) const COMMANDS: &[CommandSpec] = &[
    CommandSpec::new("xadd", -5, GROUP, Handler::Begin(xadd))
        .flag(Flags::WRITE)
        .flag(Flags::FAST)
        .keys(1, 1, 1)
        .about("5.0.0", "Appends a new message to a stream. Creates the key if it doesn't exist."),
    CommandSpec::new("xlen", 2, GROUP, Handler::After(xlen))
        .flag(Flags::READONLY)
        .flag(Flags::FAST)
        .keys(1, 1, 1)
        .about("5.0.0", "Returns the number of messages in a stream."),
    CommandSpec::new(
        "xrange",
        -4,
        GROUP,
        Handler::After(|call, arguments| xrange(call, arguments, false)),
    )
    .flag(Flags::READONLY)
    .keys(1, 1, 1)
    .about("5.0.0", "Returns the messages from a stream within a range of IDs."),
    CommandSpec::new(
        "xrevrange",
        -4,
        GROUP,
        Handler::After(|call, arguments| xrange(call, arguments, true)),
    )
    .flag(Flags::READONLY)
    .keys(1, 1, 1)
    .about("5.0.0", "Returns the messages from a stream within a range of IDs in reverse order."),
    CommandSpec::new("xread", -4, GROUP, Handler::After(xread))
        .flag(Flags::READONLY)
        .flag(Flags::BLOCKING)
        .keys_found(Reading::keys)
        .about(
            "5.0.0",
            "Returns messages from multiple streams with IDs greater than the ones requested.",
        ),
    CommandSpec::new("xdel", -3, GROUP, Handler::After(xdel))
        .flag(Flags::WRITE)
        .flag(Flags::FAST)
        .keys(1, 1, 1)
        .about("5.0.0", "Returns the number of messages after removing them from a stream."),
    CommandSpec::new("xtrim", -4, GROUP, Handler::After(xtrim))
        .flag(Flags::WRITE)
        .keys(1, 1, 1)
        .about("5.0.0", "Deletes messages from the beginning of a stream."),
    CommandSpec::new("xsetid", -3, GROUP, Handler::After(xsetid))
        .flag(Flags::WRITE)
        .flag(Flags::FAST)
        .keys(1, 1, 1)
        .about("5.0.0", "An internal command for replicating stream values."),
];

/// The answer of a command that works on a stream, or its error.
pub(super) fn later(
    work: impl Future<Output = Result<Reply, CommandError>> + Send + 'static,
) -> Outcome {
    Outcome::Later(Box::pin(async move { work.await.unwrap_or_else(Reply::from) }))
}

fn xadd(call: &mut Call<'_>, arguments: &[Bytes]) -> Result<Outcome, CommandError> {
    let (key, db) = (arguments[1].clone(), call.client.db);
    let (add, make) = parse_add(arguments)?;
    let server = call.asker();
    let trims = add.trim.is_some();
    // The usual case: the stream is known, and the id follows from nothing that has to be read.
    let known = server.stream(db, &key).now_or_never().transpose()?.flatten();
    if let Some(stream) = known.filter(|stream| stream.takes_at_once(add.id)) {
        let (id, ticket) = stream.add(&server, &add)?;
        told(&server, db, &key, trims);
        return Ok(Outcome::Accepted(Box::pin(added(id, ticket))));
    }
    Ok(later(async move {
        let stream = if make {
            server.stream_or_create(db, &key).await?
        } else {
            match server.followed(db, &key).await? {
                Some(stream) => stream,
                None => return Ok(Reply::Null),
            }
        };
        let (id, ticket) = stream.add(&server, &add)?;
        told(&server, db, &key, trims);
        Ok(added(id, ticket).await)
    }))
}

fn told(server: &Server, db: DatabaseIndex, key: &Bytes, trims: bool) {
    server.stream_event(db, key, "xadd");
    if trims {
        server.stream_event(db, key, "xtrim");
    }
}

async fn added(id: StreamId, ticket: Ticket) -> Reply {
    match ticket.durable().await {
        Ok(()) => Reply::bulk(id.to_string()),
        Err(error) => CommandError::from(error).into(),
    }
}

fn xlen(call: &mut Call<'_>, arguments: &[Bytes]) -> Result<Outcome, CommandError> {
    let (server, key, db) = (call.asker(), arguments[1].clone(), call.client.db);
    Ok(later(async move {
        let stream = server.followed(db, &key).await?;
        Ok(Reply::count(stream.map_or(0, |stream| stream.summary().len)))
    }))
}

fn xrange(
    call: &mut Call<'_>,
    arguments: &[Bytes],
    backwards: bool,
) -> Result<Outcome, CommandError> {
    let (low, high) = if backwards { (3, 2) } else { (2, 3) };
    let range = Bound::start(&arguments[low])?..=Bound::end(&arguments[high])?;
    let count = match &arguments[4..] {
        [] => usize::MAX,
        [word, count] if is(word, "count") => {
            usize::try_from(integer(count)?.max(0)).unwrap_or(usize::MAX)
        }
        _ => return Err(CommandError::Syntax),
    };
    let (server, key, db) = (call.asker(), arguments[1].clone(), call.client.db);
    let counted = arguments.len() > 4;
    Ok(later(async move {
        let Some(stream) = server.followed(db, &key).await? else {
            return Ok(Reply::Array(Vec::new()));
        };
        if counted && count == 0 {
            return Ok(Reply::NullArray);
        }
        let ids = stream.ids(range, count, backwards);
        Ok(entries(stream.read(&ids).await?))
    }))
}

/// Entries as they are answered.
pub(super) fn entries(entries: Vec<Entry>) -> Reply {
    Reply::Array(entries.into_iter().map(entry).collect())
}

pub(super) fn entry(entry: Entry) -> Reply {
    let fields = entry.fields.map_or(Reply::NullArray, |fields| {
        let flat = fields.into_iter().flat_map(|(name, value)| [name.into(), value.into()]);
        Reply::Array(flat.collect())
    });
    Reply::Array(vec![Reply::bulk(entry.id.to_string()), fields])
}

fn xread(call: &mut Call<'_>, arguments: &[Bytes]) -> Result<Outcome, CommandError> {
    let reading = Reading::parse(arguments, false)?;
    let (server, db) = (call.asker(), call.client.db);
    let block = reading.block;
    let in_transaction = call.in_transaction;
    let work = async move {
        let mut starts: Vec<Option<StreamId>> = Vec::new();
        let mut bindings = server.keys.stream_bindings();
        let mut waited = false;
        loop {
            let turn = turn(&server, in_transaction).await;
            bindings.mark_unchanged();
            let mut streams = Vec::new();
            for (key, _) in &reading.streams {
                streams.push(match server.followed(db, key).await {
                    // Whoever waits for a stream waits on while the key is something else.
                    Err(CommandError::WrongType) if waited => None,
                    found => found?,
                });
            }
            if starts.is_empty() {
                let ids = reading.streams.iter().map(|(_, id)| id);
                let each = ids.zip(&streams).map(|(id, stream)| start(id, stream.as_deref()));
                starts = each.collect::<Result<_, _>>()?;
            }
            let mut answer = Vec::new();
            for (((key, _), after), stream) in reading.streams.iter().zip(&starts).zip(&streams) {
                let (Some(after), Some(stream)) = (after, stream) else { continue };
                let ids = stream.ids(*after..=StreamId::MAX, reading.count, false);
                if !ids.is_empty() {
                    answer.push((Reply::Bulk(key.clone()), entries(stream.read(&ids).await?)));
                }
            }
            if !answer.is_empty() {
                return Ok(by_stream(answer));
            }
            if block.is_none() || in_transaction {
                return Ok(Reply::NullArray);
            }
            drop(turn);
            waited = true;
            moved(&streams, &mut bindings).await;
        }
    };
    match block {
        Some(timeout) if !in_transaction => {
            let answer =
                work.map(|answer: Result<_, CommandError>| answer.unwrap_or_else(Reply::from));
            let wait = Wait::Future(Box::pin(answer));
            Ok(Outcome::Blocked(Blocked { wait, timeout, on_timeout: Reply::NullArray }))
        }
        _ => Ok(later(work)),
    }
}

/// Keeps transactions on streams out while a client that has waited looks for entries.
pub(super) async fn turn(
    server: &Server,
    in_transaction: bool,
) -> Option<OwnedRwLockReadGuard<()>> {
    if in_transaction {
        return None;
    }
    Some(Arc::clone(&server.streams.turns).read_owned().await)
}

/// The first id that is wanted; `None` when there can be none above it.
fn start(id: &[u8], stream: Option<&Stream>) -> Result<Option<StreamId>, CommandError> {
    let summary = stream.map(Stream::summary);
    match id {
        b"$" => Ok(summary.map_or(StreamId::MIN, |summary| summary.last).next()),
        b"+" => Ok(summary
            .map_or(Some(StreamId::MIN), |summary| summary.newest.or_else(|| summary.last.next()))),
        id => Ok(StreamId::parse(id, 0)?.next()),
    }
}

/// Streams with their entries: a map, or in version 2 an array of pairs.
pub(super) fn by_stream(answer: Vec<(Reply, Reply)>) -> Reply {
    Reply::PairedMap(answer)
}

/// Waits until one of the streams may have something new, or a key may hold another stream.
pub(super) async fn moved(
    streams: &[Option<Arc<Stream>>],
    bindings: &mut tokio::sync::watch::Receiver<u64>,
) {
    /// A stream that another door makes is noticed by looking for it.
    const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_millis(200);
    let mut waits: Vec<BoxFuture<'_, ()>> = Vec::new();
    for stream in streams.iter().flatten() {
        waits.push(Box::pin(stream.grown()));
    }
    if streams.iter().any(Option::is_none) {
        waits.push(Box::pin(tokio::time::sleep(LOOK_AGAIN)));
    }
    waits.push(Box::pin(bindings.changed().map(drop)));
    select_all(waits).await;
}

fn xdel(call: &mut Call<'_>, arguments: &[Bytes]) -> Result<Outcome, CommandError> {
    let ids =
        arguments[2..].iter().map(|id| StreamId::parse(id, 0)).collect::<Result<Vec<_>, _>>()?;
    change(call, &arguments[1], "xdel", move |server, stream| stream.delete(server, &ids))
}

fn xtrim(call: &mut Call<'_>, arguments: &[Bytes]) -> Result<Outcome, CommandError> {
    let (trim, rest) = parse_trim(&arguments[2..])?;
    let (Some(trim), []) = (trim, rest) else { return Err(CommandError::Syntax) };
    change(call, &arguments[1], "xtrim", move |server, stream| stream.trim(server, trim))
}

/// Removes entries, and answers with how many once that is durable.
fn change(
    call: &Call<'_>,
    key: &Bytes,
    event: &'static str,
    remove: impl FnOnce(&Asker, &Stream) -> Result<(usize, Option<Ticket>), CommandError>
    + Send
    + 'static,
) -> Result<Outcome, CommandError> {
    let (server, key, db) = (call.asker(), key.clone(), call.client.db);
    Ok(later(async move {
        let Some(stream) = server.followed(db, &key).await? else { return Ok(Reply::Integer(0)) };
        let (count, ticket) = remove(&server, &stream)?;
        if let Some(ticket) = ticket {
            server.stream_event(db, &key, event);
            ticket.durable().await?;
        }
        Ok(Reply::count(count))
    }))
}

fn xsetid(call: &mut Call<'_>, arguments: &[Bytes]) -> Result<Outcome, CommandError> {
    let last = StreamId::parse(&arguments[2], 0)?;
    let (mut added, mut deleted) = (None, None);
    let mut rest = &arguments[3..];
    while let [option, value, after @ ..] = rest {
        if is(option, "entriesadded") {
            let count = u64::try_from(integer(value)?);
            added =
                Some(count.map_err(|_| CommandError::said("ERR entries_added must be positive"))?);
        } else if is(option, "maxdeletedid") {
            let id = StreamId::parse(value, 0)?;
            if id > last {
                return Err(CommandError::said(
                    "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id",
                ));
            }
            deleted = Some(id);
        } else {
            return Err(CommandError::Syntax);
        }
        rest = after;
    }
    if !rest.is_empty() {
        return Err(CommandError::Syntax);
    }
    let (server, key, db) = (call.asker(), arguments[1].clone(), call.client.db);
    Ok(later(async move {
        let stream = server.followed(db, &key).await?.ok_or(CommandError::NoSuchKey)?;
        let ticket = stream.set_id(&server, last, added, deleted)?;
        server.stream_event(db, &key, "xsetid");
        ticket.durable().await?;
        Ok(Reply::OK)
    }))
}
