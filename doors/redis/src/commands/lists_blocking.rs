//! Reading lists and sorted sets that may be empty yet.
//!
//! Each tries at once what it would wait for; it waits only where there is nothing, and never inside
//! a transaction or a script.

use bytes::Bytes;
use posthouse_keyspace::{End, Served, Wait};

use super::keys_arguments::{bulks, end, numbered_indexes, timeout};
use super::lists::{end_and_count, pop_count, popped_keys};
use super::sorted_sets::lowest_or_highest;
use crate::codec::Reply;
use crate::errors::CommandError;
use crate::table::{Call, CommandSpec, Flags, Handler, Outcome};

type Answer = Result<Outcome, CommandError>;

pub(crate) const COMMANDS: &[CommandSpec] = &[
    blocking(
        "blpop",
        -3,
        "list",
        ("2.0.0", "Returns the first element of a list, or waits."),
        |call, args| pop(call, args, End::Left),
    )
    .keys(1, -2, 1),
    blocking(
        "brpop",
        -3,
        "list",
        ("2.0.0", "Returns the last element of a list, or waits."),
        |call, args| pop(call, args, End::Right),
    )
    .keys(1, -2, 1),
    blocking(
        "blmove",
        6,
        "list",
        ("6.2.0", "Moves an element to another list, or waits."),
        |call, args| {
            let (from, to) = (end(&args[3])?, end(&args[4])?);
            move_item(call, args, (from, to), &args[5])
        },
    )
    .keys(1, 2, 1),
    blocking(
        "brpoplpush",
        4,
        "list",
        ("2.2.0", "Moves the last element to another list, or waits."),
        |call, args| move_item(call, args, (End::Right, End::Left), &args[3]),
    )
    .keys(1, 2, 1),
    blocking(
        "blmpop",
        -5,
        "list",
        ("7.0.0", "Returns elements of the first list that has some, or waits."),
        blmpop,
    )
    .keys_found(|args| numbered_indexes(args, 2)),
    blocking(
        "bzpopmin",
        -3,
        "sorted-set",
        ("5.0.0", "Returns the member with the lowest score, or waits."),
        |call, args| pop_score(call, args, false),
    )
    .keys(1, -2, 1)
    .flag(Flags::FAST),
    blocking(
        "bzpopmax",
        -3,
        "sorted-set",
        ("5.0.0", "Returns the member with the highest score, or waits."),
        |call, args| pop_score(call, args, true),
    )
    .keys(1, -2, 1)
    .flag(Flags::FAST),
    blocking(
        "bzmpop",
        -5,
        "sorted-set",
        ("7.0.0", "Returns members of the first sorted set that has some, or waits."),
        bzmpop,
    )
    .keys_found(|args| numbered_indexes(args, 2)),
];

const fn blocking(
    name: &'static str,
    arity: i32,
    group: &'static str,
    (since, summary): (&'static str, &'static str),
    run: fn(&mut Call<'_>, &[Bytes]) -> Answer,
) -> CommandSpec {
    CommandSpec::new(name, arity, group, Handler::Begin(run))
        .flag(Flags::WRITE)
        .flag(Flags::BLOCKING)
        .about(since, summary)
}

fn pop(call: &mut Call<'_>, args: &[Bytes], end: End) -> Answer {
    let (time, keys) = args[1..].split_last().ok_or(CommandError::Syntax)?;
    let waits = Waits { time, keys, wait: Wait::PopItems { end, count: 1 } };
    waits.run(call, Reply::NullArray, |served| match served {
        Served::Items { key, mut items } => {
            items.insert(0, key);
            bulks(items)
        }
        other => failed(other),
    })
}

fn move_item(call: &mut Call<'_>, args: &[Bytes], (from, end): (End, End), time: &Bytes) -> Answer {
    let wait = Wait::MoveItem { from, to: Bytes::copy_from_slice(&args[2]), end };
    Waits { time, keys: &args[1..2], wait }.run(call, Reply::Null, |served| match served {
        Served::Moved(item) => Reply::Bulk(item),
        other => failed(other),
    })
}

fn blmpop(call: &mut Call<'_>, args: &[Bytes]) -> Answer {
    let (keys, options) = popped_keys(&args[2..])?;
    let (end, count) = end_and_count(options)?;
    let waits = Waits { time: &args[1], keys, wait: Wait::PopItems { end, count } };
    waits.run(call, Reply::NullArray, |served| match served {
        Served::Items { key, items } => Reply::Array(vec![Reply::Bulk(key), bulks(items)]),
        other => failed(other),
    })
}

fn pop_score(call: &mut Call<'_>, args: &[Bytes], highest: bool) -> Answer {
    let (time, keys) = args[1..].split_last().ok_or(CommandError::Syntax)?;
    let waits = Waits { time, keys, wait: Wait::PopScores { highest, count: 1 } };
    waits.run(call, Reply::NullArray, |served| match served {
        Served::Scores { key, members } => {
            let mut items = vec![Reply::Bulk(key)];
            for (member, score) in members {
                items.extend([Reply::Bulk(member), Reply::Double(score)]);
            }
            Reply::Array(items)
        }
        other => failed(other),
    })
}

fn bzmpop(call: &mut Call<'_>, args: &[Bytes]) -> Answer {
    let (keys, options) = popped_keys(&args[2..])?;
    let (which, options) = options.split_first().ok_or(CommandError::Syntax)?;
    let (highest, count) = (lowest_or_highest(which)?, pop_count(options)?);
    let waits = Waits { time: &args[1], keys, wait: Wait::PopScores { highest, count } };
    waits.run(call, Reply::NullArray, |served| match served {
        Served::Scores { key, members } => key_and_pairs(key, members),
        other => failed(other),
    })
}

/// A key, and its members each with its score.
pub(super) fn key_and_pairs(key: Bytes, members: Vec<(Bytes, f64)>) -> Reply {
    let pair = |(member, score)| Reply::Array(vec![Reply::Bulk(member), Reply::Double(score)]);
    let pairs = members.into_iter().map(pair).collect();
    Reply::Array(vec![Reply::Bulk(key), Reply::Array(pairs)])
}

/// What a client waits for, and how long.
struct Waits<'a> {
    time: &'a [u8],
    keys: &'a [Bytes],
    wait: Wait,
}

impl Waits<'_> {
    fn run(self, call: &mut Call<'_>, on_timeout: Reply, reply: fn(Served) -> Reply) -> Answer {
        let timeout = timeout(self.time)?;
        for key in self.keys {
            if let Some(served) = self.at_once(call, key)? {
                return Ok(Outcome::Reply(reply(served)));
            }
        }
        if call.in_transaction {
            return Ok(Outcome::Reply(on_timeout));
        }
        let (client, index) = (call.client.handle.id, call.client.db);
        let keys = super::keys_arguments::slices(self.keys);
        let wording = (on_timeout, reply);
        let blocked = call.keys().wait(client, index, &keys, self.wait, timeout, wording);
        Ok(Outcome::Blocked(blocked))
    }

    fn at_once(&self, call: &mut Call<'_>, key: &Bytes) -> Result<Option<Served>, CommandError> {
        let mut db = call.database();
        Ok(match &self.wait {
            Wait::PopItems { end, count } => {
                db.pop(key, *end, *count)?.map(|items| Served::Items { key: key.clone(), items })
            }
            Wait::MoveItem { from, to, end } => {
                db.move_item(key, *from, to, *end)?.map(Served::Moved)
            }
            Wait::PopScores { highest, count } => {
                let members = db.pop_scores(key, *highest, *count)?;
                let key = key.clone();
                (!members.is_empty()).then_some(Served::Scores { key, members })
            }
        })
    }
}

fn failed(served: Served) -> Reply {
    match served {
        Served::Failed(error) => CommandError::from(error).into(),
        // What is served is what was waited for.
        Served::Items { .. } | Served::Moved(_) | Served::Scores { .. } => Reply::Null,
    }
}
