//! The connection itself: `HELLO`, `AUTH`, `PING`, `SELECT`, `QUIT` and their like.

use bytes::Bytes;
use posthouse_keyspace::DatabaseIndex;

use crate::codec::{Protocol, Reply, parse_integer};
use crate::commands::{client, integer, is};
use crate::errors::CommandError;
use crate::server::REDIS_VERSION;
use crate::table::{Call, CommandSpec, Flags, Handler, Outcome};

const GROUP: &str = "connection";

pub(crate) const COMMANDS: &[CommandSpec] = &[
    CommandSpec::new("hello", -1, GROUP, Handler::Now(hello))
        .flag(Flags::FAST)
        .flag(Flags::NO_SCRIPT)
        .about("6.0.0", "Handshakes with the server and chooses the version of the protocol."),
    CommandSpec::new("auth", -2, GROUP, Handler::Now(auth))
        .flag(Flags::FAST)
        .flag(Flags::NO_SCRIPT)
        .about("1.0.0", "Authenticates the connection."),
    CommandSpec::new("ping", -1, GROUP, Handler::Now(ping))
        .flag(Flags::FAST)
        .flag(Flags::SUBSCRIBED)
        .about("1.0.0", "Returns the server's liveliness response."),
    CommandSpec::new(
        "echo",
        2,
        GROUP,
        Handler::Now(|_, arguments| Ok(arguments[1].clone().into())),
    )
    .flag(Flags::FAST)
    .about("1.0.0", "Returns the given string."),
    CommandSpec::new("select", 2, GROUP, Handler::Now(select))
        .flag(Flags::FAST)
        .about("1.0.0", "Changes the selected database."),
    CommandSpec::new("quit", -1, GROUP, Handler::Now(quit))
        .flag(Flags::FAST)
        .flag(Flags::SUBSCRIBED)
        .flag(Flags::NOT_QUEUED)
        .about("1.0.0", "Closes the connection."),
    CommandSpec::new("reset", 1, GROUP, Handler::Begin(reset))
        .flag(Flags::FAST)
        .flag(Flags::NO_SCRIPT)
        .flag(Flags::SUBSCRIBED)
        .flag(Flags::NOT_QUEUED)
        .about("6.2.0", "Resets the connection."),
];

fn hello(call: &mut Call<'_>, arguments: &[Bytes]) -> Result<Reply, CommandError> {
    let mut protocol = call.client.protocol;
    if let Some(version) = arguments.get(1) {
        let version = parse_integer(version).ok_or_else(|| {
            CommandError::said("ERR Protocol version is not an integer or out of range")
        })?;
        protocol = match version {
            2 => Protocol::V2,
            3 => Protocol::V3,
            _ => return Err(CommandError::Protocol),
        };
    }
    let mut name = None;
    let mut rest = arguments.get(2..).unwrap_or_default();
    while let Some((option, values)) = rest.split_first() {
        rest = match values {
            [user, _, rest @ ..] if is(option, "auth") => {
                check_user(user)?;
                rest
            }
            [given, rest @ ..] if is(option, "setname") => {
                name = Some(client::checked_name(given)?);
                rest
            }
            _ => {
                let option = String::from_utf8_lossy(option).into_owned();
                let text = format!("ERR Syntax error in HELLO option '{option}'");
                return Err(CommandError::Said(text));
            }
        };
    }
    call.client.protocol = protocol;
    call.client.handle.describe(|shown| {
        shown.protocol = protocol.number();
        if let Some(name) = name {
            shown.name = name;
        }
    });
    Ok(greeting(call))
}

fn greeting(call: &Call<'_>) -> Reply {
    let id = i64::try_from(call.client.handle.id).unwrap_or(i64::MAX);
    let pair = |name, value| (Reply::text(name), value);
    Reply::Map(vec![
        pair("server", Reply::text("redis")),
        pair("version", Reply::text(REDIS_VERSION)),
        pair("proto", Reply::Integer(call.client.protocol.number())),
        pair("id", Reply::Integer(id)),
        pair("mode", Reply::text("standalone")),
        pair("role", Reply::text("master")),
        pair("modules", Reply::Array(Vec::new())),
    ])
}

/// There are no passwords, as in a Redis whose default user has none.
fn auth(_: &mut Call<'_>, arguments: &[Bytes]) -> Result<Reply, CommandError> {
    match arguments {
        [_, _] => Err(CommandError::said(
            "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?",
        )),
        [_, user, _] => {
            check_user(user)?;
            Ok(Reply::OK)
        }
        _ => Err(CommandError::Syntax),
    }
}

fn check_user(user: &[u8]) -> Result<(), CommandError> {
    if user == b"default" {
        return Ok(());
    }
    Err(CommandError::said("WRONGPASS invalid username-password pair or user is disabled."))
}

fn ping(call: &mut Call<'_>, arguments: &[Bytes]) -> Result<Reply, CommandError> {
    if arguments.len() > 2 {
        return Err(CommandError::Arity("ping".to_owned()));
    }
    let message = arguments.get(1).cloned();
    if call.client.is_restricted() {
        // A RESP2 subscriber can tell an answer from a message only by its shape.
        let message = message.unwrap_or_default();
        return Ok(Reply::Array(vec![Reply::text("pong"), message.into()]));
    }
    Ok(message.map_or(Reply::Simple("PONG"), Reply::from))
}

fn select(call: &mut Call<'_>, arguments: &[Bytes]) -> Result<Reply, CommandError> {
    let index = integer(&arguments[1]).map_err(|_| CommandError::said("ERR invalid DB index"))?;
    let db = DatabaseIndex::new(index)?;
    call.client.db = db;
    call.client.handle.describe(|shown| shown.db = db.get());
    Ok(Reply::OK)
}

fn quit(call: &mut Call<'_>, _: &[Bytes]) -> Result<Reply, CommandError> {
    call.client.quits = true;
    Ok(Reply::OK)
}

fn reset(call: &mut Call<'_>, _: &[Bytes]) -> Result<Outcome, CommandError> {
    if !call.client.watched.is_empty() {
        let server = call.server;
        let held = call.held.get_or_insert_with(|| server.keys.lock());
        call.client.unwatch(held.keyspace());
    }
    call.client.reset();
    Ok(Outcome::Reply(Reply::Simple("RESET")))
}
