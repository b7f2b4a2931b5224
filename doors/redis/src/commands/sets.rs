//! Sets.

use bytes::Bytes;
use posthouse_keyspace::Combine;

use super::keys_arguments::{
    bulk_or_null, bulks, count, count_limit, draws, numbered_indexes, read, scan_filter, scanned,
    slices, write, yes,
};
use crate::codec::{Reply, parse_integer};
use crate::errors::CommandError;
use crate::table::{Call, CommandSpec, Flags};

const GROUP: &str = "set";

type Answer = Result<Reply, CommandError>;

pub(crate) const COMMANDS: &[CommandSpec] = &[
    write("sadd", -3, GROUP, ("1.0.0", "Adds one or more members to a set."), |call, args| {
        Ok(Reply::count(call.database().add_members(&args[1], &slices(&args[2..]))?))
    })
    .flag(Flags::FAST),
    write("srem", -3, GROUP, ("1.0.0", "Removes one or more members from a set."), |call, args| {
        Ok(Reply::count(call.database().remove_members(&args[1], &slices(&args[2..]))?))
    })
    .flag(Flags::FAST),
    read("smembers", 2, GROUP, ("1.0.0", "Returns all members of a set."), |call, args| {
        Ok(as_set(call.database().members(&args[1])?))
    }),
    read(
        "sismember",
        3,
        GROUP,
        ("1.0.0", "Determines whether a member belongs to a set."),
        |call, args| Ok(yes(call.database().are_members(&args[1], &[&args[2]])?.contains(&true))),
    )
    .flag(Flags::FAST),
    read(
        "smismember",
        -3,
        GROUP,
        ("6.2.0", "Determines whether members belong to a set."),
        |call, args| {
            let members = call.database().are_members(&args[1], &slices(&args[2..]))?;
            Ok(Reply::Array(members.into_iter().map(yes).collect()))
        },
    )
    .flag(Flags::FAST),
    read("scard", 2, GROUP, ("1.0.0", "Returns the number of members in a set."), |call, args| {
        Ok(Reply::count(call.database().set_len(&args[1])?))
    })
    .flag(Flags::FAST),
    write("spop", -2, GROUP, ("1.0.0", "Returns and removes random members of a set."), spop)
        .flag(Flags::FAST),
    read("srandmember", -2, GROUP, ("1.0.0", "Returns random members of a set."), srandmember),
    write("smove", 4, GROUP, ("1.0.0", "Moves a member from one set to another."), |call, args| {
        Ok(yes(call.database().move_member(&args[1], &args[2], &args[3])?))
    })
    .keys(1, 2, 1)
    .flag(Flags::FAST),
    read("sunion", -2, GROUP, ("1.0.0", "Returns the union of sets."), |call, args| {
        combine(call, args, Combine::Union)
    })
    .keys(1, -1, 1),
    read("sinter", -2, GROUP, ("1.0.0", "Returns the intersection of sets."), |call, args| {
        combine(call, args, Combine::Intersection)
    })
    .keys(1, -1, 1),
    read("sdiff", -2, GROUP, ("1.0.0", "Returns the difference of sets."), |call, args| {
        combine(call, args, Combine::Difference)
    })
    .keys(1, -1, 1),
    write("sunionstore", -3, GROUP, ("1.0.0", "Stores the union of sets."), |call, args| {
        store(call, args, Combine::Union)
    })
    .keys(1, -1, 1),
    write("sinterstore", -3, GROUP, ("1.0.0", "Stores the intersection of sets."), |call, args| {
        store(call, args, Combine::Intersection)
    })
    .keys(1, -1, 1),
    write("sdiffstore", -3, GROUP, ("1.0.0", "Stores the difference of sets."), |call, args| {
        store(call, args, Combine::Difference)
    })
    .keys(1, -1, 1),
    read(
        "sintercard",
        -3,
        GROUP,
        ("7.0.0", "Counts the members of the intersection of sets."),
        sintercard,
    )
    .keys_found(|args| numbered_indexes(args, 1)),
    read("sscan", -3, GROUP, ("2.8.0", "Iterates over the members of a set."), |call, args| {
        let (cursor, filter) = scan_filter(&args[2..])?;
        let found = call.database().scan_members(&args[1], cursor, filter)?;
        Ok(scanned(found, |member| [Reply::Bulk(member)]))
    }),
];

fn as_set(members: Vec<Bytes>) -> Reply {
    Reply::Set(members.into_iter().map(Reply::Bulk).collect())
}

fn spop(call: &mut Call<'_>, args: &[Bytes]) -> Answer {
    let mut db = call.database();
    match &args[2..] {
        [] => Ok(bulk_or_null(db.pop_members(&args[1], 1)?.into_iter().next())),
        [number] => Ok(as_set(db.pop_members(&args[1], count(number)?)?)),
        _ => Err(CommandError::Syntax),
    }
}

fn srandmember(call: &mut Call<'_>, args: &[Bytes]) -> Answer {
    let mut db = call.database();
    match &args[2..] {
        [] => Ok(bulk_or_null(db.random_members(&args[1], 1)?.into_iter().next())),
        [number] => Ok(bulks(db.random_members(&args[1], draws(number)?)?)),
        _ => Err(CommandError::Syntax),
    }
}

fn combine(call: &mut Call<'_>, args: &[Bytes], how: Combine) -> Answer {
    Ok(as_set(call.database().combine_sets(how, &slices(&args[1..]))?))
}

fn store(call: &mut Call<'_>, args: &[Bytes], how: Combine) -> Answer {
    let keys = slices(&args[2..]);
    Ok(Reply::count(call.database().store_combined_sets(&args[1], how, &keys)?))
}

fn sintercard(call: &mut Call<'_>, args: &[Bytes]) -> Answer {
    let number = parse_integer(&args[1])
        .and_then(|number| usize::try_from(number).ok())
        .filter(|number| *number > 0)
        .ok_or_else(|| CommandError::said("ERR numkeys should be greater than 0"))?;
    let (keys, options) = args[2..].split_at_checked(number).ok_or_else(|| {
        CommandError::said("ERR Number of keys can't be greater than number of args")
    })?;
    let limit = count_limit(options)?;
    Ok(Reply::count(call.database().shared_members(&slices(keys), limit)?))
}
