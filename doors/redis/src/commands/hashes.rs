//! Hashes.

use bytes::Bytes;
use posthouse_keyspace::parse_float;

use super::keys_arguments::{
    bulk_or_null, bulks, draws, in_pairs, pairs, read, scan_filter, scanned, slices, write, yes,
};
use crate::codec::Reply;
use crate::commands::{integer, is};
use crate::errors::CommandError;
use crate::table::{Call, CommandSpec, Flags};

const GROUP: &str = "hash";

type Answer = Result<Reply, CommandError>;

pub(crate) const COMMANDS: &[CommandSpec] = &[
    write(
        "hset",
        -4,
        GROUP,
        ("2.0.0", "Creates or modifies the value of a field."),
        |call, args| {
            Ok(Reply::count(call.database().set_fields(&args[1], &pairs(&args[2..], "hset")?)?))
        },
    )
    .flag(Flags::FAST),
    write("hmset", -4, GROUP, ("2.0.0", "Sets the values of multiple fields."), |call, args| {
        call.database().set_fields(&args[1], &pairs(&args[2..], "hmset")?)?;
        Ok(Reply::OK)
    })
    .flag(Flags::FAST),
    write(
        "hsetnx",
        4,
        GROUP,
        ("2.0.0", "Sets a field only when it doesn't exist."),
        |call, args| Ok(yes(call.database().set_new_field(&args[1], &args[2], &args[3])?)),
    )
    .flag(Flags::FAST),
    read("hget", 3, GROUP, ("2.0.0", "Returns the value of a field in a hash."), |call, args| {
        Ok(bulk_or_null(call.database().get_field(&args[1], &args[2])?))
    })
    .flag(Flags::FAST),
    read("hmget", -3, GROUP, ("2.0.0", "Returns the values of fields in a hash."), |call, args| {
        let values = call.database().get_fields(&args[1], &slices(&args[2..]))?;
        Ok(Reply::Array(values.into_iter().map(bulk_or_null).collect()))
    })
    .flag(Flags::FAST),
    read(
        "hgetall",
        2,
        GROUP,
        ("2.0.0", "Returns all fields and values in a hash."),
        |call, args| {
            let fields = call.database().all_fields(&args[1])?.into_iter();
            Ok(Reply::Map(fields.map(|(field, value)| (field.into(), value.into())).collect()))
        },
    ),
    read("hkeys", 2, GROUP, ("2.0.0", "Returns all fields in a hash."), |call, args| {
        let fields = call.database().all_fields(&args[1])?;
        Ok(bulks(fields.into_iter().map(|(field, _)| field).collect()))
    }),
    read("hvals", 2, GROUP, ("2.0.0", "Returns all values in a hash."), |call, args| {
        let fields = call.database().all_fields(&args[1])?;
        Ok(bulks(fields.into_iter().map(|(_, value)| value).collect()))
    }),
    write("hdel", -3, GROUP, ("2.0.0", "Deletes one or more fields from a hash."), |call, args| {
        Ok(Reply::count(call.database().delete_fields(&args[1], &slices(&args[2..]))?))
    })
    .flag(Flags::FAST),
    read(
        "hexists",
        3,
        GROUP,
        ("2.0.0", "Determines whether a field exists in a hash."),
        |call, args| Ok(yes(call.database().get_field(&args[1], &args[2])?.is_some())),
    )
    .flag(Flags::FAST),
    read("hlen", 2, GROUP, ("2.0.0", "Returns the number of fields in a hash."), |call, args| {
        Ok(Reply::count(call.database().hash_len(&args[1])?))
    })
    .flag(Flags::FAST),
    read(
        "hstrlen",
        3,
        GROUP,
        ("3.2.0", "Returns the length of the value of a field."),
        |call, args| {
            let value = call.database().get_field(&args[1], &args[2])?;
            Ok(Reply::count(value.map_or(0, |value| value.len())))
        },
    )
    .flag(Flags::FAST),
    write("hincrby", 4, GROUP, ("2.0.0", "Increments the integer of a field."), |call, args| {
        let by = integer(&args[3])?;
        Ok(call.database().increment_field(&args[1], &args[2], by)?.into())
    })
    .flag(Flags::FAST),
    write(
        "hincrbyfloat",
        4,
        GROUP,
        ("2.6.0", "Increments the number of a field."),
        |call, args| {
            if parse_float(&args[3]).is_some_and(|by| !by.is_finite()) {
                return Err(CommandError::said("ERR value is NaN or Infinity"));
            }
            Ok(Reply::bulk(call.database().increment_field_float(&args[1], &args[2], &args[3])?))
        },
    )
    .flag(Flags::FAST),
    read(
        "hscan",
        -3,
        GROUP,
        ("2.8.0", "Iterates over fields and values of a hash."),
        |call, args| {
            let (cursor, filter) = scan_filter(&args[2..])?;
            let found = call.database().scan_fields(&args[1], cursor, filter)?;
            Ok(scanned(found, |(field, value)| [Reply::Bulk(field), Reply::Bulk(value)]))
        },
    ),
    read("hrandfield", -2, GROUP, ("6.2.0", "Returns one or more random fields."), hrandfield),
];

fn hrandfield(call: &mut Call<'_>, args: &[Bytes]) -> Answer {
    let protocol = call.client.protocol;
    let mut db = call.database();
    let Some(count) = args.get(2) else {
        let fields = db.random_fields(&args[1], 1)?;
        return Ok(bulk_or_null(fields.into_iter().next().map(|(field, _)| field)));
    };
    let count = draws(count)?;
    let with_values = match &args[3..] {
        [] => false,
        [option] if is(option, "withvalues") => true,
        _ => return Err(CommandError::Syntax),
    };
    let fields = db.random_fields(&args[1], count)?.into_iter();
    Ok(if with_values {
        in_pairs(fields.map(|(field, value)| [field.into(), value.into()]), protocol)
    } else {
        bulks(fields.map(|(field, _)| field).collect())
    })
}
