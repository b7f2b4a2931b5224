//! Arguments that several stream commands share.

use std::time::Duration;

use bytes::Bytes;

use crate::codec::parse_integer;
use crate::commands::{integer, is};
use crate::errors::CommandError;
use crate::streams::{Add, NewId, Rough, StreamId, Trim};

/// Reads `XADD`; also says whether the stream is made when there is none.
pub(super) fn parse_add(arguments: &[Bytes]) -> Result<(Add, bool), CommandError> {
    let mut rest = &arguments[2..];
    let mut make = true;
    let mut trim = None;
    while let Some(option) = rest.first() {
        if is(option, "nomkstream") {
            make = false;
            rest = &rest[1..];
        } else if is(option, "maxlen") || is(option, "minid") {
            (trim, rest) = parse_trim(rest)?;
        } else {
            break;
        }
    }
    let [id, fields @ ..] = rest else { return Err(CommandError::Arity("xadd".to_owned())) };
    let id = match &id[..] {
        b"*" => NewId::Auto,
        id => match id.strip_suffix(b"-*") {
            Some(ms) => NewId::Within(StreamId::parse(ms, 0)?.ms),
            None => NewId::Explicit(StreamId::parse(id, 0)?),
        },
    };
    if fields.is_empty() || !fields.len().is_multiple_of(2) {
        return Err(CommandError::Arity("xadd".to_owned()));
    }
    if matches!(id, NewId::Explicit(StreamId::MIN)) {
        return Err(CommandError::said("ERR The ID specified in XADD must be greater than 0-0"));
    }
    Ok((Add { id, fields: fields.to_vec(), trim }, make))
}

/// Reads `MAXLEN|MINID [=|~] threshold [LIMIT count]`; gives what comes after it.
pub(super) fn parse_trim(arguments: &[Bytes]) -> Result<(Option<Trim>, &[Bytes]), CommandError> {
    let [strategy, rest @ ..] = arguments else { return Ok((None, arguments)) };
    let by_length = is(strategy, "maxlen");
    if !by_length && !is(strategy, "minid") {
        return Ok((None, arguments));
    }
    let (roughly, rest) = match rest {
        [sign, rest @ ..] if &sign[..] == b"~" => (true, rest),
        [sign, rest @ ..] if &sign[..] == b"=" => (false, rest),
        rest => (false, rest),
    };
    let [threshold, rest @ ..] = rest else { return Err(CommandError::Syntax) };
    let (limit, rest) = match rest {
        [word, count, rest @ ..] if is(word, "limit") => {
            let count = usize::try_from(integer(count)?)
                .map_err(|_| CommandError::said("ERR The LIMIT argument must be >= 0."))?;
            if !roughly {
                return Err(CommandError::said(
                    "ERR syntax error, LIMIT cannot be used without the special ~ option",
                ));
            }
            (Some(count), rest)
        }
        rest => (None, rest),
    };
    let rough = roughly.then_some(Rough { limit });
    let trim = if by_length {
        let max = usize::try_from(integer(threshold)?)
            .map_err(|_| CommandError::said("ERR The MAXLEN argument must be >= 0."))?;
        Trim::Length { max, rough }
    } else {
        Trim::Below { min: StreamId::parse(threshold, 0)?, rough }
    };
    Ok((Some(trim), rest))
}

/// `XREAD` and `XREADGROUP`, as far as they are the same.
pub(super) struct Reading {
    /// Group and consumer.
    pub(super) group: Option<(Bytes, Bytes)>,
    pub(super) count: usize,
    /// Waits when there is nothing: for ever when the inner is `None`.
    pub(super) block: Option<Option<Duration>>,
    pub(super) no_ack: bool,
    /// Streams with the ids asked for.
    pub(super) streams: Vec<(Bytes, Bytes)>,
}

impl Reading {
    /// Reads the arguments.
    pub(super) fn parse(arguments: &[Bytes], grouped: bool) -> Result<Reading, CommandError> {
        let mut reading = Reading {
            group: None,
            count: usize::MAX,
            block: None,
            no_ack: false,
            streams: Vec::new(),
        };
        let mut rest = &arguments[1..];
        loop {
            rest = match rest {
                [word, streams @ ..] if is(word, "streams") && !streams.is_empty() => {
                    reading.streams = pairs(streams, grouped)?;
                    break;
                }
                [word, count, rest @ ..] if is(word, "count") => {
                    let count = integer(count)?;
                    if count > 0 {
                        reading.count = usize::try_from(count).unwrap_or(usize::MAX);
                    }
                    rest
                }
                [word, ms, rest @ ..] if is(word, "block") => {
                    reading.block = Some(timeout(ms)?);
                    rest
                }
                [word, group, consumer, rest @ ..] if grouped && is(word, "group") => {
                    reading.group = Some((group.clone(), consumer.clone()));
                    rest
                }
                [word, rest @ ..] if grouped && is(word, "noack") => {
                    reading.no_ack = true;
                    rest
                }
                _ => return Err(CommandError::Syntax),
            };
        }
        if grouped && reading.group.is_none() {
            return Err(CommandError::said("ERR Missing GROUP option for XREADGROUP"));
        }
        Ok(reading)
    }

    /// Where the keys are.
    pub(super) fn keys(arguments: &[Bytes]) -> Vec<usize> {
        let Some(at) = arguments.iter().position(|word| is(word, "streams")) else {
            return Vec::new();
        };
        let count = (arguments.len() - at - 1) / 2;
        (at + 1..at + 1 + count).collect()
    }
}

fn pairs(streams: &[Bytes], grouped: bool) -> Result<Vec<(Bytes, Bytes)>, CommandError> {
    if !streams.len().is_multiple_of(2) {
        let (command, meant) =
            if grouped { ("xreadgroup", "ID or '>'") } else { ("xread", "ID or '$'") };
        return Err(CommandError::Said(format!(
            "ERR Unbalanced '{command}' list of streams: for each stream key an {meant} must be specified."
        )));
    }
    let (keys, ids) = streams.split_at(streams.len() / 2);
    for id in ids {
        match &id[..] {
            b">" if !grouped => {
                return Err(CommandError::said(
                    "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.",
                ));
            }
            b"$" | b"+" if grouped => {
                return Err(CommandError::said(
                    "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an empty result set.",
                ));
            }
            b">" | b"$" | b"+" => {}
            id => drop(StreamId::parse(id, 0)?),
        }
    }
    Ok(keys.iter().cloned().zip(ids.iter().cloned()).collect())
}

fn timeout(ms: &[u8]) -> Result<Option<Duration>, CommandError> {
    let ms = parse_integer(ms)
        .ok_or(CommandError::said("ERR timeout is not an integer or out of range"))?;
    let ms = u64::try_from(ms).map_err(|_| CommandError::NegativeTimeout)?;
    Ok((ms > 0).then(|| Duration::from_millis(ms)))
}
