//! What can be done with any key, and with whole databases.

use bytes::Bytes;
use posthouse_keyspace::{DatabaseIndex, ExpireCondition, KeyError, Kind, TimeToLive};

use super::keys_arguments::{bulk_or_null, bulks, read, scan_filter, scanned, write, yes};
use super::streams::later;
use super::strings::Unit;
use crate::access::{sees_all_keys, shows_key};
use crate::codec::Reply;
use crate::commands::{integer, is, text};
use crate::errors::CommandError;
use crate::streams::{StreamKey, copy_stream};
use crate::table::{Call, CommandSpec, Flags, Handler, Outcome};

const GROUP: &str = "generic";

type Answer = Result<Reply, CommandError>;

pub(crate) const COMMANDS: &[CommandSpec] = &[
    write("del", -2, GROUP, ("1.0.0", "Deletes one or more keys."), delete).keys(1, -1, 1),
    write("unlink", -2, GROUP, ("4.0.0", "Deletes one or more keys."), delete)
        .keys(1, -1, 1)
        .flag(Flags::FAST),
    read("exists", -2, GROUP, ("1.0.0", "Determines whether one or more keys exist."), exists)
        .keys(1, -1, 1)
        .flag(Flags::FAST),
    read("touch", -2, GROUP, ("3.2.1", "Returns the number of keys that exist."), exists)
        .keys(1, -1, 1)
        .flag(Flags::FAST),
    read(
        "type",
        2,
        GROUP,
        ("1.0.0", "Determines the type of value stored at a key."),
        |call, args| Ok(Reply::Simple(call.database().kind(&args[1]).map_or("none", Kind::name))),
    )
    .flag(Flags::FAST),
    read(
        "ttl",
        2,
        GROUP,
        ("1.0.0", "Returns the expiration time in seconds of a key."),
        |call, args| Ok(left(call, args, |at, now| (at - now + 500) / 1000)),
    )
    .flag(Flags::FAST),
    read(
        "pttl",
        2,
        GROUP,
        ("2.6.0", "Returns the expiration time in milliseconds of a key."),
        |call, args| Ok(left(call, args, |at, now| at - now)),
    )
    .flag(Flags::FAST),
    read(
        "expiretime",
        2,
        GROUP,
        ("7.0.0", "Returns when a key expires, in seconds since 1970."),
        |call, args| Ok(left(call, args, |at, _| (at + 500) / 1000)),
    )
    .flag(Flags::FAST),
    read(
        "pexpiretime",
        2,
        GROUP,
        ("7.0.0", "Returns when a key expires, in milliseconds since 1970."),
        |call, args| Ok(left(call, args, |at, _| at)),
    )
    .flag(Flags::FAST),
    write(
        "expire",
        -3,
        GROUP,
        ("1.0.0", "Sets the expiration time of a key in seconds."),
        |call, args| expire(call, args, Unit::Seconds, "expire"),
    )
    .flag(Flags::FAST),
    write(
        "pexpire",
        -3,
        GROUP,
        ("2.6.0", "Sets the expiration time of a key in milliseconds."),
        |call, args| expire(call, args, Unit::Milliseconds, "pexpire"),
    )
    .flag(Flags::FAST),
    write(
        "expireat",
        -3,
        GROUP,
        ("1.2.0", "Sets when a key expires, in seconds since 1970."),
        |call, args| expire(call, args, Unit::AtSeconds, "expireat"),
    )
    .flag(Flags::FAST),
    write(
        "pexpireat",
        -3,
        GROUP,
        ("2.6.0", "Sets when a key expires, in milliseconds since 1970."),
        |call, args| expire(call, args, Unit::AtMilliseconds, "pexpireat"),
    )
    .flag(Flags::FAST),
    write("persist", 2, GROUP, ("2.2.0", "Removes the expiration time of a key."), |call, args| {
        Ok(yes(call.database().persist(&args[1])))
    })
    .flag(Flags::FAST),
    write(
        "rename",
        3,
        GROUP,
        ("1.0.0", "Renames a key and overwrites the destination."),
        |call, args| {
            call.database().rename(&args[1], &args[2], false)?;
            Ok(Reply::OK)
        },
    )
    .keys(1, 2, 1),
    write(
        "renamenx",
        3,
        GROUP,
        ("1.0.0", "Renames a key only when the target doesn't exist."),
        |call, args| Ok(yes(call.database().rename(&args[1], &args[2], true)?)),
    )
    .keys(1, 2, 1)
    .flag(Flags::FAST),
    CommandSpec::new("copy", -3, GROUP, Handler::After(copy))
        .flag(Flags::WRITE)
        .keys(1, 2, 1)
        .about("6.2.0", "Copies the value of a key to a new key."),
    write("move", 3, GROUP, ("1.0.0", "Moves a key to another database."), |call, args| {
        let to = DatabaseIndex::new(integer(&args[2])?)?;
        Ok(yes(call.database().move_to(&args[1], to)?))
    })
    .flag(Flags::FAST),
    anywhere(
        "keys",
        2,
        GROUP,
        Flags::READONLY,
        ("1.0.0", "Returns all keys that match a pattern."),
        |call, args| {
            let found = call.database().keys_matching(&args[1]);
            Ok(bulks(shown(call, found)))
        },
    ),
    anywhere(
        "scan",
        -2,
        GROUP,
        Flags::READONLY,
        ("2.8.0", "Iterates over the keys of the database."),
        scan,
    ),
    anywhere(
        "randomkey",
        1,
        GROUP,
        Flags::READONLY,
        ("1.0.0", "Returns a random key."),
        |call, _| Ok(bulk_or_null(random_key(call))),
    ),
    anywhere(
        "dbsize",
        1,
        "server",
        Flags::READONLY,
        ("1.0.0", "Returns the number of keys."),
        |call, _| {
            if sees_all_keys(call) {
                return Ok(Reply::count(call.database().len()));
            }
            let all = call.database().keys_matching(b"*");
            Ok(Reply::count(shown(call, all).len()))
        },
    )
    .flag(Flags::FAST),
    anywhere(
        "flushdb",
        -1,
        "server",
        Flags::WRITE,
        ("1.0.0", "Removes all keys from the database."),
        |call, args| {
            flush_mode(args)?;
            call.database().flush();
            Ok(Reply::OK)
        },
    ),
    anywhere(
        "flushall",
        -1,
        "server",
        Flags::WRITE,
        ("1.0.0", "Removes all keys from all databases."),
        |call, args| {
            flush_mode(args)?;
            call.keys().keyspace().flush_all();
            Ok(Reply::OK)
        },
    ),
    anywhere("swapdb", 3, "server", Flags::WRITE, ("4.0.0", "Swaps two databases."), swap)
        .flag(Flags::FAST),
    read("object", -2, GROUP, ("2.2.3", "A container for object introspection commands."), object)
        .keys(2, 2, 1),
    read("dump", 2, GROUP, ("2.6.0", "Returns a serialized representation of a value."), dump),
    write(
        "restore",
        -4,
        GROUP,
        ("2.6.0", "Creates a key from the representation of a value."),
        restore,
    ),
];

/// A command that concerns no single key.
const fn anywhere(
    name: &'static str,
    arity: i32,
    group: &'static str,
    flag: Flags,
    (since, summary): (&'static str, &'static str),
    run: super::keys_arguments::Run,
) -> CommandSpec {
    CommandSpec::new(name, arity, group, Handler::Now(run)).flag(flag).about(since, summary)
}

fn delete(call: &mut Call<'_>, args: &[Bytes]) -> Answer {
    let mut db = call.database();
    Ok(Reply::count(args[1..].iter().filter(|key| db.delete(key)).count()))
}

fn exists(call: &mut Call<'_>, args: &[Bytes]) -> Answer {
    let mut db = call.database();
    Ok(Reply::count(args[1..].iter().filter(|key| db.exists(key)).count()))
}

fn left(call: &mut Call<'_>, args: &[Bytes], of: fn(i64, i64) -> i64) -> Reply {
    let mut db = call.database();
    let now = db.now();
    Reply::Integer(match db.time_to_live(&args[1]) {
        TimeToLive::NoKey => -2,
        TimeToLive::Forever => -1,
        TimeToLive::Until(at) => of(at, now),
    })
}

fn expire(call: &mut Call<'_>, args: &[Bytes], unit: Unit, name: &str) -> Answer {
    let number = integer(&args[2])?;
    let condition = expire_condition(&args[3..])?;
    let mut db = call.database();
    let at = unit.moment(number, db.now()).ok_or_else(|| {
        CommandError::Said(format!("ERR invalid expire time in '{name}' command"))
    })?;
    Ok(yes(db.expire(&args[1], at, condition)))
}

fn expire_condition(options: &[Bytes]) -> Result<ExpireCondition, CommandError> {
    let mut condition = ExpireCondition::default();
    for option in options {
        match () {
            () if is(option, "nx") => condition.absent = true,
            () if is(option, "xx") => condition.present = true,
            () if is(option, "gt") => condition.later = true,
            () if is(option, "lt") => condition.earlier = true,
            () => {
                let option = text(option);
                return Err(CommandError::Said(format!("ERR Unsupported option {option}")));
            }
        }
    }
    if condition.absent && (condition.present || condition.later || condition.earlier) {
        return Err(CommandError::said(
            "ERR NX and XX, GT or LT options at the same time are not compatible",
        ));
    }
    if condition.later && condition.earlier {
        return Err(CommandError::said(
            "ERR GT and LT options at the same time are not compatible",
        ));
    }
    Ok(condition)
}

fn copy(call: &mut Call<'_>, args: &[Bytes]) -> Result<Outcome, CommandError> {
    let mut database = call.client.db;
    let mut replace = false;
    let mut rest = &args[3..];
    while let Some((option, after)) = rest.split_first() {
        rest = after;
        if is(option, "replace") {
            replace = true;
        } else if is(option, "db")
            && let Some((number, after)) = rest.split_first()
        {
            rest = after;
            database = DatabaseIndex::new(integer(number)?)?;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    let copied = call.database().copy(&args[1], &args[2], database, replace);
    let foreign = copied == Ok(false) && {
        let (server, db) = (call.server, call.client.db);
        server.foreign_topic(call.keys().keyspace(), db, &args[1]).is_some()
    };
    if copied != Err(KeyError::IsStream) && !foreign {
        return Ok(Outcome::Reply(yes(copied?)));
    }
    let (server, db) = (call.asker(), call.client.db);
    let from = StreamKey { db, key: args[1].clone() };
    let to = StreamKey { db: database, key: args[2].clone() };
    Ok(later(async move { copy_stream(&server, &from, &to, replace).await.map(yes) }))
}

fn dump(call: &mut Call<'_>, args: &[Bytes]) -> Answer {
    let mut db = call.database();
    if db.kind(&args[1]) == Some(Kind::Stream) {
        return Err(KeyError::IsStream.into());
    }
    Ok(db.dump(&args[1]).map_or(Reply::Null, Reply::bulk))
}

fn scan(call: &mut Call<'_>, args: &[Bytes]) -> Answer {
    // `TYPE` is `SCAN`'s alone; the other options it shares.
    let mut options = args[1..].to_vec();
    let at = options.iter().skip(1).step_by(2).position(|option| is(option, "type"));
    let kind = match at.map(|at| 1 + at * 2) {
        None => None,
        Some(at) if at + 1 < options.len() => {
            let name = options.remove(at + 1);
            options.remove(at);
            Some(kind(&name))
        }
        Some(_) => return Err(CommandError::Syntax),
    };
    let (cursor, mut filter) = scan_filter(&options)?;
    let unknown = kind == Some(None);
    filter.kind = kind.flatten();
    let mut found = call.database().scan(cursor, filter);
    if unknown {
        // No key is of a type that there is not.
        found.items.clear();
    }
    found.items = shown(call, found.items);
    Ok(scanned(found, |key| [Reply::Bulk(key)]))
}

/// Those of the keys that the client may know of.
fn shown(call: &mut Call<'_>, mut keys: Vec<Bytes>) -> Vec<Bytes> {
    if !sees_all_keys(call) {
        keys.retain(|key| shows_key(call, key));
    }
    keys
}

/// One of the keys that the client may know of, by luck while there are many of them.
fn random_key(call: &mut Call<'_>) -> Option<Bytes> {
    const TRIES: usize = 100;
    if sees_all_keys(call) {
        return call.database().random_key();
    }
    for _ in 0..TRIES {
        let key = call.database().random_key()?;
        if shows_key(call, &key) {
            return Some(key);
        }
    }
    let all = call.database().keys_matching(b"*");
    shown(call, all).into_iter().next()
}

fn kind(name: &[u8]) -> Option<Kind> {
    [Kind::String, Kind::List, Kind::Hash, Kind::Set, Kind::SortedSet, Kind::Stream]
        .into_iter()
        .find(|kind| is(name, kind.name()))
}

fn flush_mode(args: &[Bytes]) -> Result<(), CommandError> {
    match &args[1..] {
        [] => Ok(()),
        [mode] if is(mode, "sync") || is(mode, "async") => Ok(()),
        _ => Err(CommandError::Syntax),
    }
}

fn swap(call: &mut Call<'_>, args: &[Bytes]) -> Answer {
    let number = |argument: &Bytes, which: &str| {
        let invalid = || CommandError::Said(format!("ERR invalid {which} DB index"));
        integer(argument).map_err(|_| invalid())
    };
    let (left, right) = (number(&args[1], "first")?, number(&args[2], "second")?);
    let (left, right) = (DatabaseIndex::new(left)?, DatabaseIndex::new(right)?);
    call.keys().keyspace().swap(left, right);
    Ok(Reply::OK)
}

fn object(call: &mut Call<'_>, args: &[Bytes]) -> Answer {
    if is(&args[1], "help") && args.len() == 2 {
        let lines = [
            "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
            "ENCODING <key>",
            "    Return the kind of internal representation used for <key>.",
            "IDLETIME <key>",
            "    Return 0: when a key was last used is not kept.",
            "REFCOUNT <key>",
            "    Return 1: every value has one key.",
        ];
        return Ok(Reply::Array(lines.map(Reply::Simple).into()));
    }
    let known = ["encoding", "refcount", "idletime", "freq"];
    let (Some(name), [key]) = (known.iter().find(|name| is(&args[1], name)), &args[2..]) else {
        return Err(CommandError::UnknownSubcommand {
            command: "OBJECT",
            subcommand: text(&args[1]),
        });
    };
    let Some(encoding) = call.database().encoding(key) else { return Ok(Reply::Null) };
    match *name {
        "encoding" => Ok(Reply::text(encoding)),
        "refcount" => Ok(Reply::Integer(1)),
        "idletime" => Ok(Reply::Integer(0)),
        _ => Err(CommandError::said(
            "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.",
        )),
    }
}

fn restore(call: &mut Call<'_>, args: &[Bytes]) -> Answer {
    let (mut replace, mut absolute) = (false, false);
    let mut rest = &args[4..];
    while let Some((option, after)) = rest.split_first() {
        rest = after;
        if is(option, "replace") {
            replace = true;
        } else if is(option, "absttl") {
            absolute = true;
        } else if is(option, "idletime") || is(option, "freq") {
            // When a key was last used is not kept; the number is checked all the same.
            let (number, after) = rest.split_first().ok_or(CommandError::Syntax)?;
            integer(number)?;
            rest = after;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    let lives = integer(&args[2])?;
    if lives < 0 {
        return Err(CommandError::said("ERR Invalid TTL value, must be >= 0"));
    }
    let mut db = call.database();
    let unit = if absolute { Unit::AtMilliseconds } else { Unit::Milliseconds };
    let expires = if lives == 0 { None } else { unit.moment(lives, db.now()) };
    db.restore(&args[1], &args[3], expires, replace)?;
    Ok(Reply::OK)
}
