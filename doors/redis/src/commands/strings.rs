//! Strings, and the numbers in them.

use bytes::Bytes;
use posthouse_keyspace::{Existing, Lifetime};

use super::keys_arguments::{bulk_or_null, pairs, read, write, yes};
use crate::codec::{Reply, parse_integer};
use crate::commands::{integer, is};
use crate::errors::CommandError;
use crate::table::{Call, CommandSpec, Flags};

const GROUP: &str = "string";

type Answer = Result<Reply, CommandError>;

pub(crate) const COMMANDS: &[CommandSpec] = &[
    read("get", 2, GROUP, ("1.0.0", "Returns the string value of a key."), |call, args| {
        Ok(bulk_or_null(call.database().get(&args[1])?))
    })
    .flag(Flags::FAST),
    write("set", -3, GROUP, ("1.0.0", "Sets the string value of a key."), set),
    write("setnx", 3, GROUP, ("1.0.0", "Sets a string only when the key doesn't exist."), setnx)
        .flag(Flags::FAST),
    write(
        "setex",
        4,
        GROUP,
        ("2.0.0", "Sets a string and its expiration in seconds."),
        |call, args| set_expiring(call, args, Unit::Seconds, "setex"),
    ),
    write(
        "psetex",
        4,
        GROUP,
        ("2.6.0", "Sets a string and its expiration in milliseconds."),
        |call, args| set_expiring(call, args, Unit::Milliseconds, "psetex"),
    ),
    write("getset", 3, GROUP, ("1.0.0", "Returns a string after setting a new one."), getset)
        .flag(Flags::FAST),
    write(
        "getdel",
        2,
        GROUP,
        ("6.2.0", "Returns a string after deleting the key."),
        |call, args| Ok(bulk_or_null(call.database().get_delete(&args[1])?)),
    )
    .flag(Flags::FAST),
    write("getex", -2, GROUP, ("6.2.0", "Returns a string after setting its expiration."), getex)
        .flag(Flags::FAST),
    read("mget", -2, GROUP, ("1.0.0", "Returns the string values of one or more keys."), mget)
        .keys(1, -1, 1)
        .flag(Flags::FAST),
    write(
        "mset",
        -3,
        GROUP,
        ("1.0.1", "Sets the string values of one or more keys."),
        |call, args| {
            call.database().set_many(&pairs(&args[1..], "mset")?, false)?;
            Ok(Reply::OK)
        },
    )
    .keys(1, -1, 2),
    write("msetnx", -3, GROUP, ("1.0.1", "Sets strings only when no key exists."), |call, args| {
        Ok(yes(call.database().set_many(&pairs(&args[1..], "msetnx")?, true)?))
    })
    .keys(1, -1, 2),
    write(
        "append",
        3,
        GROUP,
        ("2.0.0", "Appends a string to the value of a key."),
        |call, args| Ok(Reply::count(call.database().append(&args[1], &args[2])?)),
    )
    .flag(Flags::FAST),
    read("strlen", 2, GROUP, ("2.2.0", "Returns the length of a string value."), |call, args| {
        Ok(Reply::count(call.database().string_len(&args[1])?))
    })
    .flag(Flags::FAST),
    read("getrange", 4, GROUP, ("2.4.0", "Returns a substring of a string."), getrange),
    read("substr", 4, GROUP, ("1.0.0", "Returns a substring from a string value."), getrange),
    write("setrange", 4, GROUP, ("2.2.0", "Overwrites a part of a string."), setrange),
    write("incr", 2, GROUP, ("1.0.0", "Increments an integer by one."), |call, args| {
        Ok(call.database().increment(&args[1], 1)?.into())
    })
    .flag(Flags::FAST),
    write("decr", 2, GROUP, ("1.0.0", "Decrements an integer by one."), |call, args| {
        Ok(call.database().increment(&args[1], -1)?.into())
    })
    .flag(Flags::FAST),
    write("incrby", 3, GROUP, ("1.0.0", "Increments an integer by a number."), |call, args| {
        Ok(call.database().increment(&args[1], integer(&args[2])?)?.into())
    })
    .flag(Flags::FAST),
    write("decrby", 3, GROUP, ("1.0.0", "Decrements an integer by a number."), |call, args| {
        let by = integer(&args[2])?
            .checked_neg()
            .ok_or_else(|| CommandError::said("ERR decrement would overflow"))?;
        Ok(call.database().increment(&args[1], by)?.into())
    })
    .flag(Flags::FAST),
    write(
        "incrbyfloat",
        3,
        GROUP,
        ("2.6.0", "Increments a number that may have a fraction."),
        |call, args| Ok(Reply::bulk(call.database().increment_float(&args[1], &args[2])?)),
    )
    .flag(Flags::FAST),
];

/// What an expiry is given in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    Milliseconds,
    /// Seconds since 1970.
    AtSeconds,
    /// Milliseconds since 1970.
    AtMilliseconds,
}

impl Unit {
    /// The option that names it.
    pub(super) fn of(option: &[u8]) -> Option<Unit> {
        match () {
            () if is(option, "ex") => Some(Unit::Seconds),
            () if is(option, "px") => Some(Unit::Milliseconds),
            () if is(option, "exat") => Some(Unit::AtSeconds),
            () if is(option, "pxat") => Some(Unit::AtMilliseconds),
            () => None,
        }
    }

    /// The moment, in milliseconds since 1970.
    pub(super) fn moment(self, number: i64, now: i64) -> Option<i64> {
        match self {
            Unit::Seconds => number.checked_mul(1000)?.checked_add(now),
            Unit::Milliseconds => number.checked_add(now),
            Unit::AtSeconds => number.checked_mul(1000),
            Unit::AtMilliseconds => Some(number),
        }
    }
}

/// An expiry, which has to be positive.
pub(super) fn positive_moment(
    unit: Unit,
    argument: &[u8],
    now: i64,
    name: &str,
) -> Result<i64, CommandError> {
    let number = parse_integer(argument).ok_or(CommandError::NotInteger)?;
    let moment = if number > 0 { unit.moment(number, now) } else { None };
    moment.ok_or_else(|| CommandError::Said(format!("ERR invalid expire time in '{name}' command")))
}

#[derive(Default)]
struct SetOptions {
    existing: Existing,
    lifetime: Option<Lifetime>,
    get: bool,
}

fn set_options(call: &mut Call<'_>, mut rest: &[Bytes]) -> Result<SetOptions, CommandError> {
    let now = call.keys().now().as_ms();
    let mut options = SetOptions::default();
    while let Some((option, after)) = rest.split_first() {
        rest = after;
        if is(option, "nx") && options.existing == Existing::Any {
            options.existing = Existing::Absent;
        } else if is(option, "xx") && options.existing == Existing::Any {
            options.existing = Existing::Present;
        } else if is(option, "get") {
            options.get = true;
        } else if is(option, "keepttl") && options.lifetime.is_none() {
            options.lifetime = Some(Lifetime::Keep);
        } else {
            let unit = Unit::of(option).filter(|_| options.lifetime.is_none());
            let (Some(unit), Some((value, after))) = (unit, rest.split_first()) else {
                return Err(CommandError::Syntax);
            };
            rest = after;
            let moment = positive_moment(unit, value, now, "set")?;
            options.lifetime = Some(Lifetime::Until(moment));
        }
    }
    Ok(options)
}

fn set(call: &mut Call<'_>, args: &[Bytes]) -> Answer {
    let options = set_options(call, &args[3..])?;
    let lifetime = options.lifetime.unwrap_or_default();
    let mut db = call.database();
    if options.get {
        let outcome = db.set_get(&args[1], &args[2], options.existing, lifetime)?;
        return Ok(bulk_or_null(outcome.previous));
    }
    let stored = db.set(&args[1], &args[2], options.existing, lifetime)?;
    Ok(if stored { Reply::OK } else { Reply::Null })
}

fn setnx(call: &mut Call<'_>, args: &[Bytes]) -> Answer {
    let mut db = call.database();
    Ok(yes(db.set(&args[1], &args[2], Existing::Absent, Lifetime::Forever)?))
}

fn set_expiring(call: &mut Call<'_>, args: &[Bytes], unit: Unit, name: &str) -> Answer {
    let mut db = call.database();
    let until = positive_moment(unit, &args[2], db.now(), name)?;
    db.set(&args[1], &args[3], Existing::Any, Lifetime::Until(until))?;
    Ok(Reply::OK)
}

fn getset(call: &mut Call<'_>, args: &[Bytes]) -> Answer {
    let mut db = call.database();
    let outcome = db.set_get(&args[1], &args[2], Existing::Any, Lifetime::Forever)?;
    Ok(bulk_or_null(outcome.previous))
}

fn getex(call: &mut Call<'_>, args: &[Bytes]) -> Answer {
    let mut db = call.database();
    let lifetime = match &args[2..] {
        [] => Lifetime::Keep,
        [option] if is(option, "persist") => Lifetime::Forever,
        [option, value] => {
            let unit = Unit::of(option).ok_or(CommandError::Syntax)?;
            Lifetime::Until(positive_moment(unit, value, db.now(), "getex")?)
        }
        _ => return Err(CommandError::Syntax),
    };
    Ok(bulk_or_null(db.get_expire(&args[1], lifetime)?))
}

fn mget(call: &mut Call<'_>, args: &[Bytes]) -> Answer {
    let mut db = call.database();
    // A key of another type has no string, which is no error here.
    let value = |key: &Bytes| bulk_or_null(db.get(key).unwrap_or(None));
    Ok(Reply::Array(args[1..].iter().map(value).collect()))
}

fn getrange(call: &mut Call<'_>, args: &[Bytes]) -> Answer {
    let (start, end) = (integer(&args[2])?, integer(&args[3])?);
    Ok(call.database().get_range(&args[1], start, end)?.into())
}

fn setrange(call: &mut Call<'_>, args: &[Bytes]) -> Answer {
    let offset = u64::try_from(integer(&args[2])?)
        .map_err(|_| CommandError::said("ERR offset is out of range"))?;
    Ok(Reply::count(call.database().set_range(&args[1], offset, &args[3])?))
}
