//! What the commands on keys share: their rows in the table, their arguments, their replies.

use std::time::Duration;

use bytes::Bytes;
use posthouse_keyspace::{End, ScanFilter, Scanned, parse_float};

use crate::codec::{Protocol, Reply, parse_integer};
use crate::commands::is;
use crate::errors::CommandError;
use crate::table::{Call, CommandSpec, Flags, Handler};

/// LIMIT: Redis's default of `SCAN … COUNT`.
const SCAN_COUNT: usize = 10;
/// LIMIT: a step of a scan looks at no more entries, so that other clients do not wait for it.
const SCAN_COUNT_MAX: usize = 100_000;
/// LIMIT: what a peer asks for at random, it may ask for more than once, but not without end.
pub(super) const DRAWS_MAX: i64 = 1_000_000;

/// What runs a command that answers at once.
pub(super) type Run = fn(&mut Call<'_>, &[Bytes]) -> Result<Reply, CommandError>;

/// A command that reads one key.
pub(super) const fn read(
    name: &'static str,
    arity: i32,
    group: &'static str,
    (since, summary): (&'static str, &'static str),
    run: Run,
) -> CommandSpec {
    CommandSpec::new(name, arity, group, Handler::Now(run))
        .flag(Flags::READONLY)
        .keys(1, 1, 1)
        .about(since, summary)
}

/// A command that changes one key.
pub(super) const fn write(
    name: &'static str,
    arity: i32,
    group: &'static str,
    (since, summary): (&'static str, &'static str),
    run: Run,
) -> CommandSpec {
    CommandSpec::new(name, arity, group, Handler::Now(run))
        .flag(Flags::WRITE)
        .keys(1, 1, 1)
        .about(since, summary)
}

/// Arguments as slices.
pub(super) fn slices(arguments: &[Bytes]) -> Vec<&[u8]> {
    arguments.iter().map(|argument| &argument[..]).collect()
}

/// Two arguments that belong together, such as a field and its value.
pub(super) type Pair<'a> = (&'a [u8], &'a [u8]);

/// Arguments that come in pairs; the caller's name is needed where one is missing.
pub(super) fn pairs<'a>(arguments: &'a [Bytes], name: &str) -> Result<Vec<Pair<'a>>, CommandError> {
    if !arguments.len().is_multiple_of(2) {
        return Err(CommandError::Arity(name.to_owned()));
    }
    Ok(arguments.chunks_exact(2).map(|pair| (&pair[0][..], &pair[1][..])).collect())
}

/// A number with a fraction.
pub(super) fn float(argument: &[u8]) -> Result<f64, CommandError> {
    parse_float(argument).ok_or(CommandError::NotFloat)
}

/// A number of things.
pub(super) fn count(argument: &[u8]) -> Result<usize, CommandError> {
    let number = parse_integer(argument).ok_or(CommandError::NotPositive)?;
    usize::try_from(number).map_err(|_| CommandError::NotPositive)
}

/// How many of something are drawn; negative for draws that may repeat.
pub(super) fn draws(argument: &[u8]) -> Result<i64, CommandError> {
    let number = parse_integer(argument).ok_or(CommandError::NotInteger)?;
    if number < -DRAWS_MAX {
        return Err(CommandError::said("ERR value is out of range"));
    }
    Ok(number)
}

/// How many keys follow, and the keys, and what comes after them.
pub(super) fn numbered_keys<'a>(
    arguments: &'a [Bytes],
    name: &str,
) -> Result<(&'a [Bytes], &'a [Bytes]), CommandError> {
    let (first, rest) = arguments.split_first().ok_or(CommandError::Syntax)?;
    let number = parse_integer(first).ok_or(CommandError::NotInteger)?;
    let number = usize::try_from(number).ok().filter(|number| *number > 0).ok_or_else(|| {
        CommandError::Said(format!("ERR at least 1 input key is needed for '{name}' command"))
    })?;
    rest.split_at_checked(number).ok_or(CommandError::Syntax)
}

/// Where `SINTERCARD` and `ZINTERCARD` may stop counting; 0 is nowhere.
pub(super) fn count_limit(options: &[Bytes]) -> Result<usize, CommandError> {
    match options {
        [] => Ok(0),
        [option, limit] if is(option, "limit") => parse_integer(limit)
            .and_then(|limit| usize::try_from(limit).ok())
            .ok_or_else(|| CommandError::said("ERR LIMIT can't be negative")),
        _ => Err(CommandError::Syntax),
    }
}

/// The indexes of keys that are counted by the argument at `at`.
pub(super) fn numbered_indexes(arguments: &[Bytes], at: usize) -> Vec<usize> {
    let number = arguments.get(at).and_then(|argument| parse_integer(argument));
    let number = number.and_then(|number| usize::try_from(number).ok()).unwrap_or(0);
    let first = at + 1;
    (first..arguments.len().min(first.saturating_add(number))).collect()
}

/// An end of a list.
pub(super) fn end(argument: &[u8]) -> Result<End, CommandError> {
    match () {
        () if is(argument, "left") => Ok(End::Left),
        () if is(argument, "right") => Ok(End::Right),
        () => Err(CommandError::Syntax),
    }
}

/// How long a client waits; zero is for ever.
pub(super) fn timeout(argument: &[u8]) -> Result<Option<Duration>, CommandError> {
    let seconds = parse_float(argument).ok_or(CommandError::NotTimeout)?;
    if seconds < 0.0 {
        return Err(CommandError::NegativeTimeout);
    }
    // LIMIT: Redis refuses what does not fit its milliseconds; so does a timer.
    if seconds > 1e12 {
        return Err(CommandError::said("ERR timeout is out of range"));
    }
    Ok((seconds > 0.0).then(|| Duration::from_secs_f64(seconds)))
}

/// The options of a scan.
pub(super) fn scan_filter(options: &[Bytes]) -> Result<(u64, ScanFilter<'_>), CommandError> {
    let (cursor, options) = options.split_first().ok_or(CommandError::Syntax)?;
    let cursor = std::str::from_utf8(cursor).ok().and_then(|text| text.parse().ok());
    let cursor = cursor.ok_or_else(|| CommandError::said("ERR invalid cursor"))?;
    let mut filter = ScanFilter { count: SCAN_COUNT, ..ScanFilter::default() };
    for option in options.chunks(2) {
        let [name, value] = option else { return Err(CommandError::Syntax) };
        if is(name, "match") {
            filter.pattern = Some(value);
        } else if is(name, "count") {
            let count = parse_integer(value).ok_or(CommandError::NotInteger)?;
            if count < 1 {
                return Err(CommandError::Syntax);
            }
            filter.count = usize::try_from(count).unwrap_or(SCAN_COUNT_MAX).min(SCAN_COUNT_MAX);
        } else {
            return Err(CommandError::Syntax);
        }
    }
    Ok((cursor, filter))
}

/// What a step of a scan found, each item as one or more replies.
pub(super) fn scanned<T, I: IntoIterator<Item = Reply>>(
    found: Scanned<T>,
    reply: impl Fn(T) -> I,
) -> Reply {
    let items = found.items.into_iter().flat_map(reply).collect();
    Reply::Array(vec![Reply::bulk(found.cursor.to_string()), Reply::Array(items)])
}

/// Bytes, or nothing.
pub(super) fn bulk_or_null(bytes: Option<Bytes>) -> Reply {
    bytes.map_or(Reply::Null, Reply::Bulk)
}

/// Several bytes.
pub(super) fn bulks(items: Vec<Bytes>) -> Reply {
    Reply::Array(items.into_iter().map(Reply::Bulk).collect())
}

/// Whether something was done.
pub(super) fn yes(done: bool) -> Reply {
    Reply::Integer(i64::from(done))
}

/// Members with or without scores: in a row in RESP2, in pairs in RESP3.
pub(super) fn members(members: Vec<(Bytes, f64)>, with_scores: bool, protocol: Protocol) -> Reply {
    if !with_scores {
        return Reply::Array(members.into_iter().map(|(member, _)| Reply::Bulk(member)).collect());
    }
    let pairs = members.into_iter().map(|(member, score)| [member.into(), Reply::Double(score)]);
    in_pairs(pairs, protocol)
}

/// Pairs: in a row in RESP2, each an array in RESP3.
pub(super) fn in_pairs(pairs: impl Iterator<Item = [Reply; 2]>, protocol: Protocol) -> Reply {
    Reply::Array(match protocol {
        Protocol::V2 => pairs.flatten().collect(),
        Protocol::V3 => pairs.map(|pair| Reply::Array(pair.into())).collect(),
    })
}
