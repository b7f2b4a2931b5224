//! The connection itself: `HELLO`, `AUTH`, `PING`, `SELECT`, `QUIT` and their like.

use bytes::Bytes;
use posthouse_keyspace::DatabaseIndex;

use crate::access::{DEFAULT_USER, Then, log_in};
use crate::client::Client;
use crate::codec::{Protocol, Reply, parse_integer};
use crate::commands::{client, integer, is};
use crate::errors::CommandError;
use crate::server::REDIS_VERSION;
use crate::table::{Call, CommandSpec, Flags, Handler, Outcome};

const GROUP: &str = "connection";

pub(crate) const COMMANDS: &[CommandSpec] = &[
    CommandSpec::new("hello", -1, GROUP, Handler::Begin(hello))
        .flag(Flags::FAST)
        .flag(Flags::NO_MULTI)
        .flag(Flags::NO_SCRIPT)
        .about("6.0.0", "Handshakes with the server and chooses the version of the protocol."),
    CommandSpec::new("auth", -2, GROUP, Handler::Begin(auth))
        .flag(Flags::FAST)
        .flag(Flags::NO_MULTI)
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

fn hello(call: &mut Call<'_>, arguments: &[Bytes]) -> Result<Outcome, CommandError> {
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
    let (mut name, mut login) = (None, None);
    let mut rest = arguments.get(2..).unwrap_or_default();
    while let Some((option, values)) = rest.split_first() {
        rest = match values {
            [user, password, rest @ ..] if is(option, "auth") => {
                login = Some((user, password));
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
    match login {
        Some((user, password)) if call.server.guarded => {
            Ok(log_in(call, Some(user), password, Then::Greet { protocol, name }))
        }
        Some((user, _)) if &user[..] != DEFAULT_USER.as_bytes() => Err(CommandError::WrongPassword),
        None if call.server.guarded && !call.client.identity.is_known() => {
            Err(CommandError::said(HELLO_WITHOUT_AUTH))
        }
        _ => Ok(Outcome::Reply(greet(call.client, protocol, name))),
    }
}

const HELLO_WITHOUT_AUTH: &str = "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time";

/// Does what `HELLO` asks for, and answers it.
pub(crate) fn greet(client: &mut Client, protocol: Protocol, name: Option<Bytes>) -> Reply {
    client.protocol = protocol;
    client.handle.describe(|shown| {
        shown.protocol = protocol.number();
        if let Some(name) = name {
            shown.name = name;
        }
    });
    let id = i64::try_from(client.handle.id).unwrap_or(i64::MAX);
    let pair = |name, value| (Reply::text(name), value);
    Reply::Map(vec![
        pair("server", Reply::text("redis")),
        pair("version", Reply::text(REDIS_VERSION)),
        pair("proto", Reply::Integer(protocol.number())),
        pair("id", Reply::Integer(id)),
        pair("mode", Reply::text("standalone")),
        pair("role", Reply::text("master")),
        pair("modules", Reply::Array(Vec::new())),
    ])
}

/// Without authentication there are no passwords, as in a Redis whose default user has none.
fn auth(call: &mut Call<'_>, arguments: &[Bytes]) -> Result<Outcome, CommandError> {
    match arguments {
        [_, secret] if call.server.guarded => Ok(log_in(call, None, secret, Then::Agree)),
        [_, user, secret] if call.server.guarded => {
            Ok(log_in(call, Some(user), secret, Then::Agree))
        }
        [_, _] => Err(CommandError::said(
            "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?",
        )),
        [_, user, _] if &user[..] != DEFAULT_USER.as_bytes() => Err(CommandError::WrongPassword),
        [_, _, _] => Ok(Outcome::Reply(Reply::OK)),
        _ => Err(CommandError::Syntax),
    }
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
