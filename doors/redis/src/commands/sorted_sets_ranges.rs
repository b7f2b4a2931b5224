//! Sorted sets: ranges of one, and several made one.

use bytes::Bytes;
use posthouse_keyspace::{
    Aggregate, Bound, Combine, LexBound, RangeBy, RangeQuery, WeightedKey, parse_float,
};

use super::keys_arguments::{
    count_limit, members, numbered_indexes, numbered_keys, read, slices, write,
};
use super::sorted_sets::GROUP;
use crate::codec::Reply;
use crate::commands::{integer, is};
use crate::errors::CommandError;
use crate::table::{Call, CommandSpec};

type Answer = Result<Reply, CommandError>;

pub(crate) const COMMANDS: &[CommandSpec] = &[
    read(
        "zrange",
        -4,
        GROUP,
        ("1.2.0", "Returns members within a range of indexes, scores or names."),
        |call, args| {
            let range = range_options(&args[2..], None, true)?;
            show(call, &args[1], &range)
        },
    ),
    read(
        "zrevrange",
        -4,
        GROUP,
        ("1.2.0", "Returns members within a range of indexes, reversed."),
        |call, args| old_range(call, args, Kind::Rank, true),
    ),
    read(
        "zrangebyscore",
        -4,
        GROUP,
        ("1.0.5", "Returns members within a range of scores."),
        |call, args| old_range(call, args, Kind::Score, false),
    ),
    read(
        "zrevrangebyscore",
        -4,
        GROUP,
        ("2.2.0", "Returns members within a range of scores, reversed."),
        |call, args| old_range(call, args, Kind::Score, true),
    ),
    read(
        "zrangebylex",
        -4,
        GROUP,
        ("2.8.9", "Returns members within a lexicographical range."),
        |call, args| old_range(call, args, Kind::Lex, false),
    ),
    read(
        "zrevrangebylex",
        -4,
        GROUP,
        ("2.8.9", "Returns members within a lexicographical range, reversed."),
        |call, args| old_range(call, args, Kind::Lex, true),
    ),
    write(
        "zrangestore",
        -5,
        GROUP,
        ("6.2.0", "Stores a range of members in a key."),
        |call, args| {
            let range = range_options(&args[3..], None, false)?;
            let query = range.query();
            Ok(Reply::count(call.database().store_range(&args[1], &args[2], query)?))
        },
    )
    .keys(1, 2, 1),
    read(
        "zcount",
        4,
        GROUP,
        ("2.0.0", "Counts members within a range of scores."),
        |call, args| {
            let by = bounds(Kind::Score, &args[2], &args[3])?;
            Ok(Reply::count(call.database().count_range(&args[1], by)?))
        },
    ),
    read(
        "zlexcount",
        4,
        GROUP,
        ("2.8.9", "Counts members within a lexicographical range."),
        |call, args| {
            let by = bounds(Kind::Lex, &args[2], &args[3])?;
            Ok(Reply::count(call.database().count_range(&args[1], by)?))
        },
    ),
    write(
        "zremrangebyrank",
        4,
        GROUP,
        ("2.0.0", "Removes members within a range of indexes."),
        |call, args| remove(call, args, Kind::Rank),
    ),
    write(
        "zremrangebyscore",
        4,
        GROUP,
        ("1.2.0", "Removes members within a range of scores."),
        |call, args| remove(call, args, Kind::Score),
    ),
    write(
        "zremrangebylex",
        4,
        GROUP,
        ("2.8.9", "Removes members within a lexicographical range."),
        |call, args| remove(call, args, Kind::Lex),
    ),
    read("zunion", -3, GROUP, ("6.2.0", "Returns the union of sorted sets."), |call, args| {
        combine(call, args, Combine::Union)
    })
    .keys_found(|args| numbered_indexes(args, 1)),
    read(
        "zinter",
        -3,
        GROUP,
        ("6.2.0", "Returns the intersection of sorted sets."),
        |call, args| combine(call, args, Combine::Intersection),
    )
    .keys_found(|args| numbered_indexes(args, 1)),
    read("zdiff", -3, GROUP, ("6.2.0", "Returns the difference of sorted sets."), |call, args| {
        combine(call, args, Combine::Difference)
    })
    .keys_found(|args| numbered_indexes(args, 1)),
    read(
        "zintercard",
        -3,
        GROUP,
        ("7.0.0", "Returns the number of members of the intersect of multiple sorted sets."),
        zintercard,
    )
    .keys_found(|args| numbered_indexes(args, 1)),
    write("zunionstore", -4, GROUP, ("2.0.0", "Stores the union of sorted sets."), |call, args| {
        store(call, args, Combine::Union)
    })
    .keys_found(stored_indexes),
    write(
        "zinterstore",
        -4,
        GROUP,
        ("2.0.0", "Stores the intersection of sorted sets."),
        |call, args| store(call, args, Combine::Intersection),
    )
    .keys_found(stored_indexes),
    write(
        "zdiffstore",
        -4,
        GROUP,
        ("6.2.0", "Stores the difference of sorted sets."),
        |call, args| store(call, args, Combine::Difference),
    )
    .keys_found(stored_indexes),
];

fn stored_indexes(args: &[Bytes]) -> Vec<usize> {
    let mut indexes = vec![1];
    indexes.extend(numbered_indexes(args, 2));
    indexes
}

/// What a range is of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Rank,
    Score,
    Lex,
}

struct RangeOptions<'a> {
    by: RangeBy<'a>,
    reverse: bool,
    /// How many are passed over; `None` where nothing is shown, for a negative offset.
    skip: Option<usize>,
    limit: usize,
    with_scores: bool,
}

impl<'a> RangeOptions<'a> {
    fn query(&self) -> RangeQuery<'a> {
        let limit = if self.skip.is_some() { self.limit } else { 0 };
        RangeQuery { by: self.by, reverse: self.reverse, skip: self.skip.unwrap_or(0), limit }
    }
}

/// Reads two ends and the options after them. The older commands say `kind` and direction by their
/// names; `ZRANGE` says them in its options.
fn range_options<'a>(
    args: &'a [Bytes],
    fixed: Option<(Kind, bool)>,
    may_show_scores: bool,
) -> Result<RangeOptions<'a>, CommandError> {
    let [first, second, options @ ..] = args else { return Err(CommandError::Syntax) };
    let (mut kind, mut reverse) = fixed.unwrap_or((Kind::Rank, false));
    let (mut limits, mut with_scores) = (None, false);
    let mut rest = options;
    while let Some((option, after)) = rest.split_first() {
        rest = after;
        match () {
            () if is(option, "withscores") && may_show_scores => with_scores = true,
            () if is(option, "limit") && rest.len() >= 2 => {
                limits = Some((integer(&rest[0])?, integer(&rest[1])?));
                rest = &rest[2..];
            }
            () if is(option, "rev") && fixed.is_none() => reverse = true,
            () if is(option, "byscore") && fixed.is_none() => kind = Kind::Score,
            () if is(option, "bylex") && fixed.is_none() => kind = Kind::Lex,
            () => return Err(CommandError::Syntax),
        }
    }
    if limits.is_some() && kind == Kind::Rank {
        return Err(CommandError::said(
            "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
        ));
    }
    if with_scores && kind == Kind::Lex {
        return Err(CommandError::said(
            "ERR syntax error, WITHSCORES not supported in combination with BYLEX",
        ));
    }
    // Reversed ranges of scores and names are given from the upper end down; ranks are not.
    let swapped = reverse && kind != Kind::Rank;
    let by = if swapped { bounds(kind, second, first)? } else { bounds(kind, first, second)? };
    let (skip, limit) = limits.unwrap_or((0, -1));
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    Ok(RangeOptions { by, reverse, skip: usize::try_from(skip).ok(), limit, with_scores })
}

fn bounds<'a>(kind: Kind, min: &'a [u8], max: &'a [u8]) -> Result<RangeBy<'a>, CommandError> {
    Ok(match kind {
        Kind::Rank => RangeBy::Rank { start: integer(min)?, stop: integer(max)? },
        Kind::Score => RangeBy::Score { min: score_bound(min)?, max: score_bound(max)? },
        Kind::Lex => RangeBy::Lex { min: lex_bound(min)?, max: lex_bound(max)? },
    })
}

fn score_bound(argument: &[u8]) -> Result<Bound, CommandError> {
    let (exclusive, text) = match argument.strip_prefix(b"(") {
        Some(text) => (true, text),
        None => (false, argument),
    };
    let score =
        parse_float(text).ok_or_else(|| CommandError::said("ERR min or max is not a float"))?;
    Ok(Bound { score, exclusive })
}

fn lex_bound(argument: &[u8]) -> Result<LexBound<'_>, CommandError> {
    match argument {
        b"-" => Ok(LexBound::Lowest),
        b"+" => Ok(LexBound::Highest),
        [b'[', name @ ..] => Ok(LexBound::Included(name)),
        [b'(', name @ ..] => Ok(LexBound::Excluded(name)),
        _ => Err(CommandError::said("ERR min or max not valid string range item")),
    }
}

fn show(call: &mut Call<'_>, key: &[u8], range: &RangeOptions<'_>) -> Answer {
    let protocol = call.client.protocol;
    let found = call.database().range(key, range.query())?;
    Ok(members(found, range.with_scores, protocol))
}

fn old_range(call: &mut Call<'_>, args: &[Bytes], kind: Kind, reverse: bool) -> Answer {
    let range = range_options(&args[2..], Some((kind, reverse)), kind != Kind::Lex)?;
    show(call, &args[1], &range)
}

fn remove(call: &mut Call<'_>, args: &[Bytes], kind: Kind) -> Answer {
    let by = bounds(kind, &args[2], &args[3])?;
    Ok(Reply::count(call.database().remove_range(&args[1], by)?))
}

struct Combined<'a> {
    keys: Vec<WeightedKey<'a>>,
    aggregate: Aggregate,
    with_scores: bool,
}

fn combine_options<'a>(
    args: &'a [Bytes],
    name: &str,
    how: Combine,
    stores: bool,
) -> Result<Combined<'a>, CommandError> {
    let (keys, mut rest) = numbered_keys(args, name)?;
    let keys = keys.iter().map(|key| WeightedKey { key, weight: 1.0 }).collect();
    let mut combined = Combined { keys, aggregate: Aggregate::Sum, with_scores: false };
    let weighs = how != Combine::Difference;
    while let Some((option, after)) = rest.split_first() {
        rest = after;
        if is(option, "weights") && weighs {
            let (weights, after) =
                rest.split_at_checked(combined.keys.len()).ok_or(CommandError::Syntax)?;
            rest = after;
            for (key, weight) in combined.keys.iter_mut().zip(weights) {
                key.weight = parse_float(weight)
                    .ok_or_else(|| CommandError::said("ERR weight value is not a float"))?;
            }
        } else if is(option, "aggregate") && weighs {
            let (aggregate, after) = rest.split_first().ok_or(CommandError::Syntax)?;
            rest = after;
            combined.aggregate = match () {
                () if is(aggregate, "sum") => Aggregate::Sum,
                () if is(aggregate, "min") => Aggregate::Min,
                () if is(aggregate, "max") => Aggregate::Max,
                () => return Err(CommandError::Syntax),
            };
        } else if is(option, "withscores") && !stores {
            combined.with_scores = true;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    Ok(combined)
}

fn combine(call: &mut Call<'_>, args: &[Bytes], how: Combine) -> Answer {
    let name = crate::commands::text(&args[0]).to_lowercase();
    let combined = combine_options(&args[1..], &name, how, false)?;
    let protocol = call.client.protocol;
    let found = call.database().combine_scores(how, &combined.keys, combined.aggregate)?;
    Ok(members(found, combined.with_scores, protocol))
}

fn zintercard(call: &mut Call<'_>, args: &[Bytes]) -> Answer {
    let (keys, options) = numbered_keys(&args[1..], "zintercard")?;
    let limit = count_limit(options)?;
    Ok(Reply::count(call.database().shared_scores(&slices(keys), limit)?))
}

fn store(call: &mut Call<'_>, args: &[Bytes], how: Combine) -> Answer {
    let name = crate::commands::text(&args[0]).to_lowercase();
    let combined = combine_options(&args[2..], &name, how, true)?;
    let mut db = call.database();
    let stored = db.store_combined_scores(&args[1], how, &combined.keys, combined.aggregate)?;
    Ok(Reply::count(stored))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_below_zero_shows_nothing() {
        let args = ["-inf", "(5", "BYSCORE", "LIMIT", "-1", "2"].map(Bytes::from);
        let range = range_options(&args, None, true).unwrap();
        assert_eq!(range.query().limit, 0);
        let max = Bound { score: 5.0, exclusive: true };
        let min = Bound { score: f64::NEG_INFINITY, exclusive: false };
        assert_eq!(range.by, RangeBy::Score { min, max });
    }

    #[test]
    fn limits_need_scores_or_names() {
        let args = ["0", "1", "LIMIT", "0", "1"].map(Bytes::from);
        let error = range_options(&args, None, true).err().unwrap();
        assert!(error.to_string().starts_with("ERR syntax error, LIMIT"));
    }
}
