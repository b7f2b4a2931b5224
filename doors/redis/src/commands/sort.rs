//! `SORT`.

use std::collections::BTreeSet;

use bytes::Bytes;
use posthouse_keyspace::SortQuery;

use super::keys_arguments::{bulk_or_null, read, write};
use crate::codec::Reply;
use crate::commands::{integer, is};
use crate::errors::CommandError;
use crate::table::{Call, CommandSpec};

const GROUP: &str = "generic";

type Answer = Result<Reply, CommandError>;

pub(crate) const COMMANDS: &[CommandSpec] = &[
    write(
        "sort",
        -2,
        GROUP,
        (
            "1.0.0",
            "Sorts the elements in a list, a set, or a sorted set, optionally storing the result.",
        ),
        |call, args| sort(call, args, true),
    )
    .keys_found(keys),
    read(
        "sort_ro",
        -2,
        GROUP,
        ("7.0.0", "Returns the sorted elements of a list, a set, or a sorted set."),
        |call, args| sort(call, args, false),
    ),
];

/// The key that is sorted, and the one that it is stored at: the last that is named.
fn keys(args: &[Bytes]) -> Vec<usize> {
    let (mut at, mut store) = (2, None);
    while let Some(word) = args.get(at) {
        at += match () {
            () if is(word, "limit") => 3,
            () if is(word, "get") || is(word, "by") => 2,
            () if is(word, "store") => {
                store = Some(at + 1).filter(|at| *at < args.len()).or(store);
                2
            }
            () => 1,
        };
    }
    std::iter::once(1).chain(store).collect()
}

fn sort(call: &mut Call<'_>, args: &[Bytes], may_store: bool) -> Answer {
    let (query, store) = parse(args, may_store)?;
    let in_script = call.in_script;
    let mut db = call.database();
    if let Some(to) = store {
        return Ok(Reply::count(db.sort_store(&args[1], to, &query)?));
    }
    let sorted = db.sort(&args[1], &query, in_script)?;
    Ok(Reply::Array(sorted.into_iter().map(bulk_or_null).collect()))
}

/// The keys that a sort looks at beside those that it names.
pub(crate) fn looked_up(call: &mut Call<'_>, args: &[Bytes]) -> BTreeSet<Vec<u8>> {
    // What cannot be read or sorted is refused when it is run.
    let Ok((query, _)) = parse(args, true) else { return BTreeSet::new() };
    call.database().sort_keys(&args[1], &query).unwrap_or_default()
}

/// What is asked for, and where it is stored.
fn parse(args: &[Bytes], may_store: bool) -> Result<(SortQuery<'_>, Option<&Bytes>), CommandError> {
    let mut query = SortQuery::default();
    let mut store = None;
    let mut rest = &args[2..];
    while let Some((option, values)) = rest.split_first() {
        rest = match values {
            [offset, count, rest @ ..] if is(option, "limit") => {
                query.limit = Some((integer(offset)?, integer(count)?));
                rest
            }
            [to, rest @ ..] if may_store && is(option, "store") => {
                store = Some(to);
                rest
            }
            [pattern, rest @ ..] if is(option, "by") => {
                query.by = Some(pattern);
                rest
            }
            [pattern, rest @ ..] if is(option, "get") => {
                query.get.push(pattern);
                rest
            }
            rest if is(option, "asc") => {
                query.descending = false;
                rest
            }
            rest if is(option, "desc") => {
                query.descending = true;
                rest
            }
            rest if is(option, "alpha") => {
                query.alpha = true;
                rest
            }
            _ => return Err(CommandError::Syntax),
        };
    }
    Ok((query, store))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_store_is_the_one() {
        let words = |text: &str| text.split(' ').map(|word| Bytes::from(word.to_owned())).collect();
        for (text, expected) in [
            ("sort a", vec![1]),
            ("sort a store b", vec![1, 3]),
            ("sort a store b get store store c", vec![1, 7]),
            ("sort a limit 0 1 by store", vec![1]),
            ("sort a store", vec![1]),
        ] {
            let args: Vec<Bytes> = words(text);
            assert_eq!(keys(&args), expected, "{text}");
        }
    }
}
