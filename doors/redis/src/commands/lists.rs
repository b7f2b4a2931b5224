//! Lists.

use bytes::Bytes;
use posthouse_keyspace::{Beside, End, PositionQuery};

use super::keys_arguments::{
    bulk_or_null, bulks, end, numbered_indexes, numbered_keys, read, write,
};
use crate::codec::{Reply, parse_integer};
use crate::commands::{integer, is};
use crate::errors::CommandError;
use crate::table::{Call, CommandSpec, Flags};

const GROUP: &str = "list";

type Answer = Result<Reply, CommandError>;

pub(crate) const COMMANDS: &[CommandSpec] = &[
    write(
        "lpush",
        -3,
        GROUP,
        ("1.0.0", "Prepends one or more elements to a list."),
        |call, args| push(call, args, End::Left, false),
    )
    .flag(Flags::FAST),
    write(
        "rpush",
        -3,
        GROUP,
        ("1.0.0", "Appends one or more elements to a list."),
        |call, args| push(call, args, End::Right, false),
    )
    .flag(Flags::FAST),
    write(
        "lpushx",
        -3,
        GROUP,
        ("2.2.0", "Prepends elements only when the list exists."),
        |call, args| push(call, args, End::Left, true),
    )
    .flag(Flags::FAST),
    write(
        "rpushx",
        -3,
        GROUP,
        ("2.2.0", "Appends elements only when the list exists."),
        |call, args| push(call, args, End::Right, true),
    )
    .flag(Flags::FAST),
    write(
        "lpop",
        -2,
        GROUP,
        ("1.0.0", "Returns and removes the first elements of a list."),
        |call, args| pop(call, args, End::Left),
    )
    .flag(Flags::FAST),
    write(
        "rpop",
        -2,
        GROUP,
        ("1.0.0", "Returns and removes the last elements of a list."),
        |call, args| pop(call, args, End::Right),
    )
    .flag(Flags::FAST),
    read(
        "lrange",
        4,
        GROUP,
        ("1.0.0", "Returns a range of elements from a list."),
        |call, args| {
            let (start, stop) = (integer(&args[2])?, integer(&args[3])?);
            Ok(bulks(call.database().items(&args[1], start, stop)?))
        },
    ),
    read("llen", 2, GROUP, ("1.0.0", "Returns the length of a list."), |call, args| {
        Ok(Reply::count(call.database().list_len(&args[1])?))
    })
    .flag(Flags::FAST),
    read(
        "lindex",
        3,
        GROUP,
        ("1.0.0", "Returns an element from a list by its index."),
        |call, args| {
            let index = integer(&args[2])?;
            Ok(bulk_or_null(call.database().item(&args[1], index)?))
        },
    ),
    write(
        "lset",
        4,
        GROUP,
        ("1.0.0", "Sets the value of an element in a list by its index."),
        |call, args| {
            let index = integer(&args[2])?;
            call.database().set_item(&args[1], index, &args[3])?;
            Ok(Reply::OK)
        },
    ),
    write("linsert", 5, GROUP, ("2.2.0", "Inserts an element before or after another."), linsert),
    write("lrem", 4, GROUP, ("1.0.0", "Removes elements from a list."), |call, args| {
        let count = integer(&args[2])?;
        Ok(Reply::count(call.database().remove_items(&args[1], count, &args[3])?))
    }),
    write(
        "ltrim",
        4,
        GROUP,
        ("1.0.0", "Removes elements from both ends of a list."),
        |call, args| {
            let (start, stop) = (integer(&args[2])?, integer(&args[3])?);
            call.database().trim(&args[1], start, stop)?;
            Ok(Reply::OK)
        },
    ),
    read("lpos", -3, GROUP, ("6.0.6", "Returns the index of matching elements in a list."), lpos),
    write(
        "lmove",
        5,
        GROUP,
        ("6.2.0", "Moves an element from one list to another."),
        |call, args| {
            let (from, to) = (end(&args[3])?, end(&args[4])?);
            Ok(bulk_or_null(call.database().move_item(&args[1], from, &args[2], to)?))
        },
    )
    .keys(1, 2, 1),
    write(
        "rpoplpush",
        3,
        GROUP,
        ("1.2.0", "Moves the last element of a list to another list."),
        |call, args| {
            let moved = call.database().move_item(&args[1], End::Right, &args[2], End::Left)?;
            Ok(bulk_or_null(moved))
        },
    )
    .keys(1, 2, 1),
    write(
        "lmpop",
        -4,
        GROUP,
        ("7.0.0", "Returns elements from the first list that has some."),
        lmpop,
    )
    .keys_found(|args| numbered_indexes(args, 1)),
];

fn push(call: &mut Call<'_>, args: &[Bytes], end: End, only_existing: bool) -> Answer {
    let items = super::keys_arguments::slices(&args[2..]);
    Ok(Reply::count(call.database().push(&args[1], end, &items, only_existing)?))
}

fn pop(call: &mut Call<'_>, args: &[Bytes], end: End) -> Answer {
    match &args[2..] {
        [] => {
            let items = call.database().pop(&args[1], end, 1)?;
            Ok(bulk_or_null(items.and_then(|items| items.into_iter().next())))
        }
        [number] => {
            let count = super::keys_arguments::count(number)?;
            Ok(call.database().pop(&args[1], end, count)?.map_or(Reply::NullArray, bulks))
        }
        _ => Err(CommandError::Arity(String::from_utf8_lossy(&args[0]).to_lowercase())),
    }
}

fn linsert(call: &mut Call<'_>, args: &[Bytes]) -> Answer {
    let beside = match () {
        () if is(&args[2], "before") => Beside::Before,
        () if is(&args[2], "after") => Beside::After,
        () => return Err(CommandError::Syntax),
    };
    let len = call.database().insert_item(&args[1], beside, &args[3], &args[4])?;
    Ok(len.map_or(Reply::Integer(-1), Reply::count))
}

fn lpos(call: &mut Call<'_>, args: &[Bytes]) -> Answer {
    let mut query = PositionQuery { rank: 1, count: 1, look_at: 0 };
    let mut several = false;
    for option in args[3..].chunks(2) {
        let [name, value] = option else { return Err(CommandError::Syntax) };
        let number = integer(value)?;
        let positive = |what: &str| {
            usize::try_from(number)
                .map_err(|_| CommandError::Said(format!("ERR {what} can't be negative")))
        };
        if is(name, "rank") {
            if number == 0 {
                return Err(CommandError::said(
                    "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list",
                ));
            }
            if number == i64::MIN {
                return Err(CommandError::said(
                    "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
                ));
            }
            query.rank = number;
        } else if is(name, "count") {
            query.count = positive("COUNT")?;
            several = true;
        } else if is(name, "maxlen") {
            query.look_at = positive("MAXLEN")?;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    let positions = call.database().positions(&args[1], &args[2], query)?;
    let mut positions = positions.into_iter().map(Reply::count);
    Ok(if several {
        Reply::Array(positions.collect())
    } else {
        positions.next().unwrap_or(Reply::Null)
    })
}

/// Which end, and how many, of `LMPOP` and `BLMPOP`.
pub(super) fn end_and_count(options: &[Bytes]) -> Result<(End, usize), CommandError> {
    let (first, rest) = options.split_first().ok_or(CommandError::Syntax)?;
    Ok((end(first)?, pop_count(rest)?))
}

/// How many are popped of the first key that has some.
pub(super) fn pop_count(options: &[Bytes]) -> Result<usize, CommandError> {
    match options {
        [] => Ok(1),
        [name, number] if is(name, "count") => parse_integer(number)
            .and_then(|number| usize::try_from(number).ok())
            .filter(|number| *number > 0)
            .ok_or_else(|| CommandError::said("ERR count should be greater than 0")),
        _ => Err(CommandError::Syntax),
    }
}

/// The keys that follow a checked number, for the commands that say so in these words.
pub(super) fn popped_keys(args: &[Bytes]) -> Result<(&[Bytes], &[Bytes]), CommandError> {
    let number = args.first().and_then(|number| parse_integer(number));
    if number.is_none_or(|number| number <= 0) {
        return Err(CommandError::said("ERR numkeys should be greater than 0"));
    }
    numbered_keys(args, "")
}

fn lmpop(call: &mut Call<'_>, args: &[Bytes]) -> Answer {
    let (keys, options) = popped_keys(&args[1..])?;
    let (end, count) = end_and_count(options)?;
    let mut db = call.database();
    for key in keys {
        if let Some(items) = db.pop(key, end, count)? {
            return Ok(Reply::Array(vec![Reply::Bulk(key.clone()), bulks(items)]));
        }
    }
    Ok(Reply::NullArray)
}
