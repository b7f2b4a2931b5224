//! `CLIENT`: who is connected, and telling them things.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::client::Replies;
use crate::codec::Reply;
use crate::commands::{integer, is, text};
use crate::errors::CommandError;
use crate::registry::{Handle, Pause, Unblock};
use crate::table::{Call, CommandSpec, Flags, Handler, Outcome};

pub(crate) const COMMANDS: &[CommandSpec] =
    &[CommandSpec::new("client", -2, "connection", Handler::Begin(client))
        .flag(Flags::NO_SCRIPT)
        .about("2.4.0", "A container for client connection commands.")];

const HELP: &[&str] = &[
    "CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "GETNAME",
    "SETNAME <name>",
    "SETINFO LIB-NAME|LIB-VER <value>",
    "ID",
    "INFO",
    "LIST [TYPE <type>] [ID <id> ...]",
    "KILL <ip:port> | <option> <value> ...",
    "NO-EVICT ON|OFF",
    "NO-TOUCH ON|OFF",
    "REPLY ON|OFF|SKIP",
    "PAUSE <timeout> [WRITE|ALL]",
    "UNPAUSE",
    "UNBLOCK <id> [TIMEOUT|ERROR]",
    "TRACKING OFF",
    "TRACKINGINFO",
    "GETREDIR",
    "HELP",
];

fn client(call: &mut Call<'_>, arguments: &[Bytes]) -> Result<Outcome, CommandError> {
    let subcommand = text(&arguments[1]).to_ascii_lowercase();
    let rest = &arguments[2..];
    let handle = Arc::clone(&call.client.handle);
    let reply = match (subcommand.as_str(), rest) {
        ("id", []) => Reply::Integer(i64::try_from(handle.id).unwrap_or(i64::MAX)),
        ("getname", []) => match handle.shown().name {
            name if name.is_empty() => Reply::Null,
            name => name.into(),
        },
        ("setname", [name]) => {
            let name = checked_name(name)?;
            handle.describe(|shown| shown.name = name);
            Reply::OK
        }
        ("setinfo", [attribute, value]) => set_info(&handle, attribute, value)?,
        ("info", []) => Reply::Verbatim(line(&handle, call.now) + "\n"),
        ("list", filters) => list(call, filters)?,
        ("kill", filters) if !filters.is_empty() => return kill(call, filters),
        ("no-evict", [switch]) => {
            let on = on_off(switch)?;
            handle.describe(|shown| shown.no_evict = on);
            Reply::OK
        }
        ("no-touch", [switch]) => {
            let on = on_off(switch)?;
            handle.describe(|shown| shown.no_touch = on);
            Reply::OK
        }
        ("reply", [mode]) => return reply_mode(call, mode),
        ("pause", [timeout, mode @ ..]) if mode.len() < 2 => pause(call, timeout, mode.first())?,
        ("unpause", []) => {
            call.server.clients.set_pause(None);
            Reply::OK
        }
        ("unblock", [id, how @ ..]) if how.len() < 2 => unblock(call, id, how.first())?,
        ("tracking", [switch, ..]) => tracking(switch)?,
        ("trackinginfo", []) => Reply::Map(vec![
            (Reply::text("flags"), Reply::Set(vec![Reply::text("off")])),
            (Reply::text("redirect"), Reply::Integer(-1)),
            (Reply::text("prefixes"), Reply::Array(Vec::new())),
        ]),
        ("getredir", []) => Reply::Integer(-1),
        ("caching", [_]) => {
            return Err(CommandError::said(
                "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled",
            ));
        }
        ("help", []) => Reply::Array(HELP.iter().map(|line| Reply::Simple(line)).collect()),
        (known, _) if KNOWN.contains(&known) => {
            return Err(CommandError::Arity(format!("client|{known}")));
        }
        _ => {
            let subcommand = text(&arguments[1]);
            return Err(CommandError::UnknownSubcommand { command: "CLIENT", subcommand });
        }
    };
    Ok(Outcome::Reply(reply))
}

const KNOWN: &[&str] = &[
    "id",
    "getname",
    "setname",
    "setinfo",
    "info",
    "kill",
    "no-evict",
    "no-touch",
    "reply",
    "pause",
    "unpause",
    "unblock",
    "tracking",
    "trackinginfo",
    "getredir",
    "caching",
    "help",
];

/// A name that a client may give itself.
pub(crate) fn checked_name(name: &Bytes) -> Result<Bytes, CommandError> {
    if name.iter().all(|byte| (b'!'..=b'~').contains(byte)) {
        return Ok(Bytes::copy_from_slice(name));
    }
    Err(CommandError::said(
        "ERR Client names cannot contain spaces, newlines or special characters.",
    ))
}

fn set_info(handle: &Handle, attribute: &[u8], value: &Bytes) -> Result<Reply, CommandError> {
    let kept = checked_name(value).map_err(|_| {
        let attribute = String::from_utf8_lossy(attribute).into_owned();
        CommandError::Said(format!(
            "ERR {attribute} cannot contain spaces, newlines or special characters."
        ))
    })?;
    if is(attribute, "lib-name") {
        handle.describe(|shown| shown.library = kept);
    } else if is(attribute, "lib-ver") {
        handle.describe(|shown| shown.library_version = kept);
    } else {
        let attribute = String::from_utf8_lossy(attribute).into_owned();
        return Err(CommandError::Said(format!("ERR Unrecognized option '{attribute}'")));
    }
    Ok(Reply::OK)
}

fn on_off(switch: &[u8]) -> Result<bool, CommandError> {
    match switch {
        switch if is(switch, "on") => Ok(true),
        switch if is(switch, "off") => Ok(false),
        _ => Err(CommandError::Syntax),
    }
}

/// Server-assisted caching needs a table of what each client has read, which is not kept.
fn tracking(switch: &[u8]) -> Result<Reply, CommandError> {
    if on_off(switch)? {
        return Err(CommandError::said("ERR client tracking is not supported by this server"));
    }
    Ok(Reply::OK)
}

fn reply_mode(call: &mut Call<'_>, mode: &[u8]) -> Result<Outcome, CommandError> {
    if is(mode, "on") {
        call.client.replies = Replies::On;
        return Ok(Outcome::Reply(Reply::OK));
    }
    if is(mode, "off") {
        call.client.replies = Replies::Off;
    } else if is(mode, "skip") {
        // Once it is off, it stays off.
        if call.client.replies == Replies::On {
            call.client.replies = Replies::Skip;
        }
    } else {
        return Err(CommandError::Syntax);
    }
    Ok(Outcome::Silent)
}

fn pause(call: &Call<'_>, timeout: &[u8], mode: Option<&Bytes>) -> Result<Reply, CommandError> {
    let timeout = integer(timeout).map_err(|_| CommandError::NotTimeout)?;
    let timeout = u64::try_from(timeout).map_err(|_| CommandError::NegativeTimeout)?;
    let writes_only = match mode {
        None => false,
        Some(mode) if is(mode, "all") => false,
        Some(mode) if is(mode, "write") => true,
        Some(_) => {
            return Err(CommandError::said("ERR CLIENT PAUSE mode must be WRITE or ALL"));
        }
    };
    let until =
        call.now.checked_add(Duration::from_millis(timeout)).ok_or(CommandError::NotTimeout)?;
    call.server.clients.set_pause(Some(Pause { until, writes_only }));
    Ok(Reply::OK)
}

fn unblock(call: &Call<'_>, id: &[u8], how: Option<&Bytes>) -> Result<Reply, CommandError> {
    let how = match how {
        None => Unblock::Timeout,
        Some(how) if is(how, "timeout") => Unblock::Timeout,
        Some(how) if is(how, "error") => Unblock::Error,
        Some(_) => {
            return Err(CommandError::said("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"));
        }
    };
    let id = integer(id)?;
    let found = u64::try_from(id).ok().and_then(|id| call.server.clients.find(id));
    Ok(Reply::Integer(found.is_some_and(|client| client.unblock(how)).into()))
}

fn list(call: &Call<'_>, filters: &[Bytes]) -> Result<Reply, CommandError> {
    let all = call.server.clients.all();
    let chosen: Vec<_> = match filters {
        [] => all,
        [option, kind] if is(option, "type") => {
            let kind = Kind::parse(kind)?;
            all.into_iter().filter(|client| kind == Kind::of(client)).collect()
        }
        [option, ids @ ..] if is(option, "id") && !ids.is_empty() => {
            let mut chosen = Vec::new();
            for id in ids {
                let id = u64::try_from(integer(id)?).map_err(|_| invalid_id())?;
                chosen.extend(all.iter().filter(|client| client.id == id).cloned());
            }
            chosen
        }
        _ => return Err(CommandError::Syntax),
    };
    let lines: String = chosen.iter().map(|client| line(client, call.now) + "\n").collect();
    Ok(Reply::Verbatim(lines))
}

fn invalid_id() -> CommandError {
    CommandError::said("ERR Invalid client ID")
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Normal,
    PubSub,
    Replication,
}

impl Kind {
    fn parse(text: &[u8]) -> Result<Kind, CommandError> {
        match text {
            text if is(text, "normal") => Ok(Kind::Normal),
            text if is(text, "pubsub") => Ok(Kind::PubSub),
            text if ["master", "replica", "slave"].iter().any(|word| is(text, word)) => {
                Ok(Kind::Replication)
            }
            _ => {
                let text = String::from_utf8_lossy(text).into_owned();
                Err(CommandError::Said(format!("ERR Unknown client type '{text}'")))
            }
        }
    }

    fn of(client: &Handle) -> Kind {
        let shown = client.shown();
        let subscriptions = shown.channels + shown.patterns + shown.shard_channels;
        if subscriptions > 0 { Kind::PubSub } else { Kind::Normal }
    }
}

/// What a client must be to be killed.
#[derive(Default)]
struct Victims {
    id: Option<u64>,
    peer: Option<SocketAddr>,
    local: Option<SocketAddr>,
    kind: Option<Kind>,
    user: Option<String>,
    spare_self: bool,
}

fn kill(call: &mut Call<'_>, filters: &[Bytes]) -> Result<Outcome, CommandError> {
    if let [address] = filters {
        let address: SocketAddr = text(address).parse().map_err(|_| no_such_client())?;
        let all = call.server.clients.all();
        let found = all.into_iter().find(|client| client.peer == address);
        let found = found.ok_or_else(no_such_client)?;
        end(call, &found);
        return Ok(Outcome::Reply(Reply::OK));
    }
    let victims = Victims::parse(filters)?;
    let mut killed = 0;
    for client in call.server.clients.all() {
        let spared = victims.spare_self && client.id == call.client.handle.id;
        if !spared && victims.include(&client) {
            end(call, &client);
            killed += 1;
        }
    }
    Ok(Outcome::Reply(Reply::Integer(killed)))
}

/// A client that kills itself is answered first.
fn end(call: &mut Call<'_>, client: &Arc<Handle>) {
    if client.id == call.client.handle.id {
        call.client.quits = true;
    } else {
        client.kill();
    }
}

fn no_such_client() -> CommandError {
    CommandError::said("ERR No such client")
}

impl Victims {
    fn parse(filters: &[Bytes]) -> Result<Victims, CommandError> {
        let mut victims = Victims { spare_self: true, ..Victims::default() };
        for pair in filters.chunks(2) {
            let [option, value] = pair else { return Err(CommandError::Syntax) };
            let address = || text(value).parse().map_err(|_| CommandError::Syntax);
            if is(option, "id") {
                let id = u64::try_from(integer(value).map_err(|_| id_range())?);
                victims.id = Some(id.ok().filter(|id| *id > 0).ok_or_else(id_range)?);
            } else if is(option, "addr") {
                victims.peer = Some(address()?);
            } else if is(option, "laddr") {
                victims.local = Some(address()?);
            } else if is(option, "type") {
                victims.kind = Some(Kind::parse(value)?);
            } else if is(option, "user") {
                victims.user = Some(text(value));
            } else if is(option, "skipme") {
                victims.spare_self = match value {
                    value if is(value, "yes") => true,
                    value if is(value, "no") => false,
                    _ => return Err(CommandError::Syntax),
                };
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(victims)
    }

    fn include(&self, client: &Handle) -> bool {
        self.user.as_ref().is_none_or(|user| *user == client.shown().user)
            && self.id.is_none_or(|id| id == client.id)
            && self.peer.is_none_or(|peer| peer == client.peer)
            && self.local.is_none_or(|local| local == client.local)
            && self.kind.is_none_or(|kind| kind == Kind::of(client))
    }
}

fn id_range() -> CommandError {
    CommandError::said("ERR client-id should be greater than 0")
}

/// A client as `CLIENT LIST` shows it.
pub(crate) fn line(client: &Handle, now: Instant) -> String {
    let shown = client.shown();
    let lossy = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
    let seconds = |since: Instant| now.saturating_duration_since(since).as_secs();
    let mut flags = String::new();
    if client.is_blocked() {
        flags.push('b');
    }
    if Kind::of(client) == Kind::PubSub {
        flags.push('P');
    }
    if shown.queued >= 0 {
        flags.push('x');
    }
    if shown.no_evict {
        flags.push('e');
    }
    if flags.is_empty() {
        flags.push('N');
    }
    format!(
        "id={} addr={} laddr={} fd=0 name={} age={} idle={} flags={flags} db={} sub={} psub={} ssub={} multi={} \
         qbuf={} qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem={} tot-mem={} events=r cmd={} \
         user={} redir=-1 resp={} lib-name={} lib-ver={}",
        client.id,
        client.peer,
        client.local,
        lossy(&shown.name),
        seconds(client.connected),
        seconds(shown.last_seen),
        shown.db,
        shown.channels,
        shown.patterns,
        shown.shard_channels,
        shown.queued,
        client.buffered.load(Ordering::Relaxed),
        client.unwritten.load(Ordering::Relaxed),
        client.buffered.load(Ordering::Relaxed) + client.unwritten.load(Ordering::Relaxed),
        shown.last_command,
        shown.user,
        shown.protocol,
        lossy(&shown.library),
        lossy(&shown.library_version),
    )
}
