//! `LCS`.

use bytes::Bytes;
use posthouse_keyspace::{Common, CommonRun, KeyError};

use super::keys_arguments::read;
use crate::codec::Reply;
use crate::commands::{integer, is};
use crate::errors::CommandError;
use crate::table::{Call, CommandSpec};

pub(crate) const COMMANDS: &[CommandSpec] =
    &[read("lcs", -3, "string", ("7.0.0", "Finds the longest common substring."), lcs)
        .keys(1, 2, 1)];

#[derive(Default)]
struct Shown {
    len: bool,
    runs: bool,
    run_len_min: usize,
    run_len: bool,
}

fn lcs(call: &mut Call<'_>, args: &[Bytes]) -> Result<Reply, CommandError> {
    let shown = shown(&args[3..])?;
    let common = call.database().common(&args[1], &args[2]).map_err(|error| match error {
        KeyError::WrongType => {
            CommandError::said("ERR The specified keys must contain string values")
        }
        KeyError::TooLong => CommandError::said(
            "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len",
        ),
        other => other.into(),
    })?;
    Ok(match shown {
        Shown { runs: true, .. } => runs(&common, &shown),
        Shown { len: true, .. } => Reply::count(common.text.len()),
        _ => Reply::bulk(common.text),
    })
}

fn shown(mut rest: &[Bytes]) -> Result<Shown, CommandError> {
    let mut shown = Shown::default();
    while let Some((option, after)) = rest.split_first() {
        rest = after;
        if is(option, "len") {
            shown.len = true;
        } else if is(option, "idx") {
            shown.runs = true;
        } else if is(option, "withmatchlen") {
            shown.run_len = true;
        } else if is(option, "minmatchlen") {
            let (len, after) = rest.split_first().ok_or(CommandError::Syntax)?;
            shown.run_len_min = usize::try_from(integer(len)?).unwrap_or(0);
            rest = after;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    if shown.len && shown.runs {
        return Err(CommandError::said(
            "ERR If you want both the length and indexes, please just use IDX.",
        ));
    }
    Ok(shown)
}

fn runs(common: &Common, shown: &Shown) -> Reply {
    let range = |from: usize, len: usize| {
        Reply::Array(vec![Reply::count(from), Reply::count(from + len - 1)])
    };
    let one = |run: &CommonRun| {
        let mut parts = vec![range(run.left, run.len), range(run.right, run.len)];
        if shown.run_len {
            parts.push(Reply::count(run.len));
        }
        Reply::Array(parts)
    };
    let chosen = common.runs.iter().filter(|run| run.len >= shown.run_len_min);
    Reply::Map(vec![
        (Reply::text("matches"), Reply::Array(chosen.map(one).collect())),
        (Reply::text("len"), Reply::count(common.text.len())),
    ])
}
