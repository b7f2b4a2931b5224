//! Sorted sets: members and scores.

use bytes::Bytes;
use posthouse_keyspace::{AddScores, Existing};

use super::keys_arguments::{
    bulk_or_null, count, draws, float, members, numbered_indexes, read, scan_filter, scanned,
    slices, write,
};
use super::lists::{pop_count, popped_keys};
use super::lists_blocking::key_and_pairs;
use crate::codec::Reply;
use crate::commands::is;
use crate::errors::CommandError;
use crate::table::{Call, CommandSpec, Flags};

pub(super) const GROUP: &str = "sorted-set";

type Answer = Result<Reply, CommandError>;

pub(crate) const COMMANDS: &[CommandSpec] = &[
    write(
        "zadd",
        -4,
        GROUP,
        ("1.2.0", "Adds members to a sorted set, or updates their scores."),
        zadd,
    )
    .flag(Flags::FAST),
    write("zincrby", 4, GROUP, ("1.2.0", "Increments the score of a member."), |call, args| {
        let by = float(&args[2])?;
        let score =
            call.database().increment_score(&args[1], &args[3], by, AddScores::default())?;
        Ok(score.map_or(Reply::Null, Reply::Double))
    })
    .flag(Flags::FAST),
    write(
        "zrem",
        -3,
        GROUP,
        ("1.2.0", "Removes one or more members from a sorted set."),
        |call, args| {
            Ok(Reply::count(call.database().remove_scores(&args[1], &slices(&args[2..]))?))
        },
    )
    .flag(Flags::FAST),
    read(
        "zcard",
        2,
        GROUP,
        ("1.2.0", "Returns the number of members in a sorted set."),
        |call, args| Ok(Reply::count(call.database().sorted_set_len(&args[1])?)),
    )
    .flag(Flags::FAST),
    read(
        "zscore",
        3,
        GROUP,
        ("1.2.0", "Returns the score of a member in a sorted set."),
        |call, args| {
            Ok(call.database().score(&args[1], &args[2])?.map_or(Reply::Null, Reply::Double))
        },
    )
    .flag(Flags::FAST),
    read(
        "zmscore",
        -3,
        GROUP,
        ("6.2.0", "Returns the score of one or more members."),
        |call, args| {
            let scores = call.database().scores(&args[1], &slices(&args[2..]))?.into_iter();
            Ok(Reply::Array(scores.map(|score| score.map_or(Reply::Null, Reply::Double)).collect()))
        },
    )
    .flag(Flags::FAST),
    read(
        "zrank",
        3,
        GROUP,
        ("2.0.0", "Returns the index of a member, by ascending scores."),
        |call, args| rank(call, args, false),
    )
    .flag(Flags::FAST),
    read(
        "zrevrank",
        3,
        GROUP,
        ("2.0.0", "Returns the index of a member, by descending scores."),
        |call, args| rank(call, args, true),
    )
    .flag(Flags::FAST),
    write(
        "zpopmin",
        -2,
        GROUP,
        ("5.0.0", "Returns and removes the lowest-scoring members."),
        |call, args| pop(call, args, false),
    )
    .flag(Flags::FAST),
    write(
        "zpopmax",
        -2,
        GROUP,
        ("5.0.0", "Returns and removes the highest-scoring members."),
        |call, args| pop(call, args, true),
    )
    .flag(Flags::FAST),
    write(
        "zmpop",
        -4,
        GROUP,
        ("7.0.0", "Returns members of the first sorted set that has some."),
        zmpop,
    )
    .keys_found(|args| numbered_indexes(args, 1)),
    read("zrandmember", -2, GROUP, ("6.2.0", "Returns one or more random members."), zrandmember),
    read("zscan", -3, GROUP, ("2.8.0", "Iterates over members and scores."), |call, args| {
        let (cursor, filter) = scan_filter(&args[2..])?;
        let found = call.database().scan_scores(&args[1], cursor, filter)?;
        Ok(scanned(found, |(member, score)| {
            [Reply::Bulk(member), Reply::bulk(posthouse_keyspace::format_float(score))]
        }))
    }),
];

#[derive(Default)]
struct AddOptions {
    scores: AddScores,
    changed: bool,
    increment: bool,
}

fn add_options(args: &[Bytes]) -> Result<(AddOptions, &[Bytes]), CommandError> {
    let mut options = AddOptions::default();
    let (mut absent, mut present) = (false, false);
    let mut rest = args;
    while let Some((option, after)) = rest.split_first() {
        match () {
            () if is(option, "nx") => absent = true,
            () if is(option, "xx") => present = true,
            () if is(option, "gt") => options.scores.greater = true,
            () if is(option, "lt") => options.scores.less = true,
            () if is(option, "ch") => options.changed = true,
            () if is(option, "incr") => options.increment = true,
            () => break,
        }
        rest = after;
    }
    if rest.is_empty() || !rest.len().is_multiple_of(2) {
        return Err(CommandError::Syntax);
    }
    if absent && present {
        return Err(CommandError::said(
            "ERR XX and NX options at the same time are not compatible",
        ));
    }
    let scores = &options.scores;
    if (scores.greater && (absent || scores.less)) || (scores.less && absent) {
        return Err(CommandError::said(
            "ERR GT, LT, and/or NX options at the same time are not compatible",
        ));
    }
    if options.increment && rest.len() > 2 {
        return Err(CommandError::said("ERR INCR option supports a single increment-element pair"));
    }
    options.scores.existing = match (absent, present) {
        (true, _) => Existing::Absent,
        (_, true) => Existing::Present,
        _ => Existing::Any,
    };
    Ok((options, rest))
}

fn zadd(call: &mut Call<'_>, args: &[Bytes]) -> Answer {
    let (options, rest) = add_options(&args[2..])?;
    let mut scored = Vec::with_capacity(rest.len() / 2);
    for pair in rest.chunks_exact(2) {
        scored.push((&pair[1][..], float(&pair[0])?));
    }
    let mut db = call.database();
    if options.increment
        && let [(member, by)] = scored[..]
    {
        let score = db.increment_score(&args[1], member, by, options.scores)?;
        return Ok(score.map_or(Reply::Null, Reply::Double));
    }
    let added = db.add_scores(&args[1], &scored, options.scores)?;
    let updated = if options.changed { added.updated } else { 0 };
    Ok(Reply::count(added.added + updated))
}

fn rank(call: &mut Call<'_>, args: &[Bytes], down: bool) -> Answer {
    Ok(call.database().rank(&args[1], &args[2], down)?.map_or(Reply::Null, Reply::count))
}

fn pop(call: &mut Call<'_>, args: &[Bytes], highest: bool) -> Answer {
    let protocol = call.client.protocol;
    let mut db = call.database();
    match &args[2..] {
        [] => {
            let popped = db.pop_scores(&args[1], highest, 1)?.into_iter();
            let replies = popped.flat_map(|(member, score)| [member.into(), Reply::Double(score)]);
            Ok(Reply::Array(replies.collect()))
        }
        [number] => {
            let number = count(number)?;
            Ok(members(db.pop_scores(&args[1], highest, number)?, true, protocol))
        }
        _ => Err(CommandError::Syntax),
    }
}

/// `MIN` or `MAX`; says whether the latter.
pub(super) fn lowest_or_highest(argument: &[u8]) -> Result<bool, CommandError> {
    match () {
        () if is(argument, "min") => Ok(false),
        () if is(argument, "max") => Ok(true),
        () => Err(CommandError::Syntax),
    }
}

fn zmpop(call: &mut Call<'_>, args: &[Bytes]) -> Answer {
    let (keys, options) = popped_keys(&args[1..])?;
    let (which, options) = options.split_first().ok_or(CommandError::Syntax)?;
    let (highest, count) = (lowest_or_highest(which)?, pop_count(options)?);
    let mut db = call.database();
    for key in keys {
        let popped = db.pop_scores(key, highest, count)?;
        if !popped.is_empty() {
            return Ok(key_and_pairs(key.clone(), popped));
        }
    }
    Ok(Reply::NullArray)
}

fn zrandmember(call: &mut Call<'_>, args: &[Bytes]) -> Answer {
    let protocol = call.client.protocol;
    let mut db = call.database();
    let Some(number) = args.get(2) else {
        let drawn = db.random_scores(&args[1], 1)?;
        return Ok(bulk_or_null(drawn.into_iter().next().map(|(member, _)| member)));
    };
    let number = draws(number)?;
    let with_scores = match &args[3..] {
        [] => false,
        [option] if is(option, "withscores") => true,
        _ => return Err(CommandError::Syntax),
    };
    Ok(members(db.random_scores(&args[1], number)?, with_scores, protocol))
}
