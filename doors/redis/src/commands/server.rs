//! The server: time, logs of what was slow, and what administrators and test suites ask for.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::codec::{Reply, parse_integer};
use crate::commands::{info, integer, is, text};
use crate::errors::CommandError;
use crate::slowlog::SlowCommand;
use crate::streams::topic_id;
use crate::table::{Blocked, Call, CommandSpec, Flags, Handler, Outcome, Wait};

const GROUP: &str = "server";

pub(crate) const COMMANDS: &[CommandSpec] = &[
    CommandSpec::new("time", 1, GROUP, Handler::Now(time))
        .flag(Flags::FAST)
        .about("2.6.0", "Returns the server time."),
    CommandSpec::new("lastsave", 1, GROUP, Handler::Now(last_save))
        .flag(Flags::FAST)
        .about("1.0.0", "Returns the Unix timestamp of the last successful save to disk."),
    CommandSpec::new("save", 1, GROUP, Handler::Begin(save))
        .flag(Flags::ADMIN)
        .flag(Flags::NO_SCRIPT)
        .flag(Flags::NO_MULTI)
        .about("1.0.0", "Waits until every change of keys is on the disk."),
    CommandSpec::new("bgsave", -1, GROUP, Handler::Now(|call, args| snapshot(call, args, SAVING)))
        .flag(Flags::ADMIN)
        .flag(Flags::NO_SCRIPT)
        .about("1.0.0", "Writes a snapshot of the keys."),
    CommandSpec::new(
        "bgrewriteaof",
        1,
        GROUP,
        Handler::Now(|call, args| snapshot(call, args, REWRITING)),
    )
    .flag(Flags::ADMIN)
    .flag(Flags::NO_SCRIPT)
    .about("1.0.0", "Writes a snapshot of the keys, and forgets the changes that led to them."),
    CommandSpec::new("role", 1, GROUP, Handler::Now(role))
        .flag(Flags::FAST)
        .about("2.8.12", "Returns the replication role."),
    CommandSpec::new("wait", 3, "generic", Handler::Now(wait)).about(
        "3.0.0",
        "Blocks until the asynchronous replication of all preceding write commands is completed.",
    ),
    CommandSpec::new("memory", -2, GROUP, Handler::Now(memory))
        .flag(Flags::READONLY)
        .keys_found(memory_keys)
        .about("4.0.0", "A container for memory diagnostics commands."),
    CommandSpec::new("slowlog", -2, GROUP, Handler::Now(slowlog))
        .flag(Flags::ADMIN)
        .about("2.2.12", "A container for slow log commands."),
    CommandSpec::new("latency", -2, GROUP, Handler::Now(latency))
        .flag(Flags::ADMIN)
        .about("2.8.13", "A container for latency diagnostics commands."),
    CommandSpec::new("function", -2, "scripting", Handler::Now(function))
        .flag(Flags::NO_SCRIPT)
        .about("7.0.0", "A container for function commands."),
    CommandSpec::new("debug", -2, GROUP, Handler::Begin(debug))
        .flag(Flags::ADMIN)
        .flag(Flags::NO_SCRIPT)
        .about("1.0.0", "A container for debugging commands."),
];

/// Only `MEMORY USAGE` is about a key.
fn memory_keys(arguments: &[Bytes]) -> Vec<usize> {
    let usage = arguments.get(1).is_some_and(|word| is(word, "usage")) && arguments.len() > 2;
    usage.then_some(2).into_iter().collect()
}

fn time(call: &mut Call<'_>, _: &[Bytes]) -> Result<Reply, CommandError> {
    let ms = call.server.broker.clock().wall().as_ms();
    let part = |number: i64| Reply::bulk(number.to_string());
    Ok(Reply::Array(vec![part(ms / 1000), part(ms % 1000 * 1000)]))
}

/// What is acknowledged is saved, or will be within the interval of `appendfsync`.
fn last_save(call: &mut Call<'_>, _: &[Bytes]) -> Result<Reply, CommandError> {
    Ok(Reply::Integer(call.server.broker.clock().wall().as_ms() / 1000))
}

fn save(call: &mut Call<'_>, _: &[Bytes]) -> Result<Outcome, CommandError> {
    let keys = Arc::clone(&call.server.keys);
    Ok(Outcome::Later(Box::pin(async move {
        keys.flush().await.map_or_else(|error| CommandError::from(error).into(), |()| Reply::OK)
    })))
}

const SAVING: &str = "Background saving started";
const REWRITING: &str = "Background append only file rewriting started";

/// Both are the same here: the log of the keys begins anew with what they hold now.
fn snapshot(
    call: &mut Call<'_>,
    args: &[Bytes],
    answer: &'static str,
) -> Result<Reply, CommandError> {
    match &args[1..] {
        [] => {}
        [word] if is(word, "schedule") => {}
        _ => return Err(CommandError::Syntax),
    }
    call.keys().want_snapshot();
    Ok(Reply::Simple(answer))
}

fn role(_: &mut Call<'_>, _: &[Bytes]) -> Result<Reply, CommandError> {
    Ok(Reply::Array(vec![Reply::text("master"), Reply::Integer(0), Reply::Array(Vec::new())]))
}

/// There are no replicas to wait for.
fn wait(_: &mut Call<'_>, arguments: &[Bytes]) -> Result<Reply, CommandError> {
    integer(&arguments[1])?;
    let timeout = integer(&arguments[2]).map_err(|_| CommandError::NotTimeout)?;
    if timeout < 0 {
        return Err(CommandError::NegativeTimeout);
    }
    Ok(Reply::Integer(0))
}

fn memory(call: &mut Call<'_>, arguments: &[Bytes]) -> Result<Reply, CommandError> {
    let subcommand = text(&arguments[1]).to_ascii_lowercase();
    match (subcommand.as_str(), &arguments[2..]) {
        ("usage", [key, options @ ..]) => usage(call, key, options),
        ("doctor", []) => Ok(Reply::Verbatim(
            "Memory is bounded by the settings of the node; see its metrics.".to_owned(),
        )),
        ("stats", []) => {
            let resident = i64::try_from(info::resident_bytes()).unwrap_or(i64::MAX);
            let pair = |name, value| (Reply::text(name), Reply::Integer(value));
            Ok(Reply::Map(vec![
                pair("peak.allocated", resident),
                pair("total.allocated", resident),
                pair("clients.normal", 0),
            ]))
        }
        ("purge", []) => Ok(Reply::OK),
        ("malloc-stats", []) => Ok(Reply::Verbatim("Stats not supported".to_owned())),
        _ => Err(CommandError::UnknownSubcommand {
            command: "MEMORY",
            subcommand: text(&arguments[1]),
        }),
    }
}

/// What a key takes by the key space's own reckoning, but for what the allocator adds; of a stream,
/// also what is kept in memory of its entries, which themselves are on the disk.
fn usage(call: &mut Call<'_>, key: &Bytes, options: &[Bytes]) -> Result<Reply, CommandError> {
    match options {
        [] => {}
        // Nothing is sampled: the sizes of all elements are known.
        [word, count] if is(word, "samples") => {
            if integer(count)? < 0 {
                return Err(CommandError::Syntax);
            }
        }
        _ => return Err(CommandError::Syntax),
    }
    let mut db = call.database();
    let Some(bytes) = db.memory(key) else { return Ok(Reply::Null) };
    let stream = db.stream(key).ok().flatten();
    let index = stream.map_or(0, |stream| call.server.streams.index_bytes(topic_id(stream)));
    Ok(Reply::count(bytes + index))
}

fn slowlog(call: &mut Call<'_>, arguments: &[Bytes]) -> Result<Reply, CommandError> {
    const SHOWN: usize = 10;
    let log = &call.server.slowlog;
    let subcommand = text(&arguments[1]).to_ascii_lowercase();
    match (subcommand.as_str(), &arguments[2..]) {
        ("len", []) => Ok(Reply::count(log.len())),
        ("reset", []) => {
            log.clear();
            Ok(Reply::OK)
        }
        ("get", []) => Ok(Reply::Array(log.newest(SHOWN).iter().map(slow).collect())),
        ("get", [count]) => {
            let count = parse_integer(count).filter(|count| *count >= -1).ok_or_else(|| {
                CommandError::said("ERR count should be greater than or equal to -1")
            })?;
            let count = usize::try_from(count).unwrap_or(usize::MAX);
            Ok(Reply::Array(log.newest(count).iter().map(slow).collect()))
        }
        _ => Err(CommandError::UnknownSubcommand {
            command: "SLOWLOG",
            subcommand: text(&arguments[1]),
        }),
    }
}

fn slow(entry: &SlowCommand) -> Reply {
    let took = i64::try_from(entry.took.as_micros()).unwrap_or(i64::MAX);
    Reply::Array(vec![
        Reply::Integer(entry.id),
        Reply::Integer(entry.at.as_ms() / 1000),
        Reply::Integer(took),
        Reply::Array(entry.arguments.iter().cloned().map(Reply::Bulk).collect()),
        Reply::bulk(entry.peer.clone()),
        entry.name.clone().into(),
    ])
}

/// Nothing is monitored by this name, so there is nothing to show or to forget.
fn latency(_: &mut Call<'_>, arguments: &[Bytes]) -> Result<Reply, CommandError> {
    let subcommand = text(&arguments[1]).to_ascii_lowercase();
    match (subcommand.as_str(), &arguments[2..]) {
        ("latest", []) | ("history", [_]) => Ok(Reply::Array(Vec::new())),
        ("reset", _) => Ok(Reply::Integer(0)),
        ("histogram", _) => Ok(Reply::Map(Vec::new())),
        ("doctor", []) => Ok(Reply::Verbatim(
            "Latency is measured by the node's own metrics, not by this command.".to_owned(),
        )),
        _ => Err(CommandError::UnknownSubcommand {
            command: "LATENCY",
            subcommand: text(&arguments[1]),
        }),
    }
}

/// There are no functions.
fn function(_: &mut Call<'_>, arguments: &[Bytes]) -> Result<Reply, CommandError> {
    let subcommand = text(&arguments[1]).to_ascii_lowercase();
    match (subcommand.as_str(), arguments.len()) {
        ("flush", 2 | 3) => Ok(Reply::OK),
        ("list", _) => Ok(Reply::Array(Vec::new())),
        _ => Err(CommandError::UnknownSubcommand {
            command: "FUNCTION",
            subcommand: text(&arguments[1]),
        }),
    }
}

/// What Redis's own tests need of it, where it can do no harm.
fn debug(_: &mut Call<'_>, arguments: &[Bytes]) -> Result<Outcome, CommandError> {
    /// LIMIT: how long a client may make itself wait.
    const SLEEP_SECONDS_MAX: f64 = 60.0;
    let subcommand = &arguments[1];
    match &arguments[2..] {
        [seconds] if is(subcommand, "sleep") => {
            let seconds: f64 = text(seconds).parse().map_err(|_| CommandError::NotFloat)?;
            // The sender waits; other clients do not.
            let wait = Duration::from_secs_f64(seconds.clamp(0.0, SLEEP_SECONDS_MAX));
            let wait = Wait::Future(Box::pin(async move {
                tokio::time::sleep(wait).await;
                Reply::OK
            }));
            Ok(Outcome::Blocked(Blocked { wait, timeout: None, on_timeout: Reply::OK }))
        }
        [_] if is(subcommand, "set-active-expire") => Ok(Outcome::Reply(Reply::OK)),
        [] if is(subcommand, "jmap") => Ok(Outcome::Reply(Reply::OK)),
        [kind] if is(subcommand, "protocol") => protocol(kind).map(Outcome::Reply),
        _ => {
            Err(CommandError::UnknownSubcommand { command: "DEBUG", subcommand: text(subcommand) })
        }
    }
}

/// An answer of every kind, by which clients test their parsers.
fn protocol(kind: &Bytes) -> Result<Reply, CommandError> {
    let three = || vec![Reply::Integer(0), Reply::Integer(1), Reply::Integer(2)];
    Ok(match text(kind).to_ascii_lowercase().as_str() {
        "string" => Reply::text("Hello World"),
        "integer" => Reply::Integer(12345),
        #[expect(clippy::approx_constant, reason = "the number that Redis answers")]
        "double" => Reply::Double(3.141),
        "null" => Reply::Null,
        "array" => Reply::Array(three()),
        "set" => Reply::Set(three()),
        "map" => {
            Reply::Map((0..3).map(|key| (Reply::Integer(key), Reply::Boolean(key == 1))).collect())
        }
        "verbatim" => Reply::Verbatim("This is a verbatim\nstring".to_owned()),
        "true" => Reply::Boolean(true),
        "false" => Reply::Boolean(false),
        _ => {
            return Err(CommandError::said(
                "ERR Wrong protocol type name. Please use one of the following: string|integer|double|null|array|set|map|verbatim|true|false",
            ));
        }
    })
}
