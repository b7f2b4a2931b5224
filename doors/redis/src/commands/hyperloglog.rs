//! HyperLogLog.

use bytes::Bytes;

use super::keys_arguments::{read, slices, write, yes};
use crate::codec::Reply;
use crate::commands::{is, text};
use crate::errors::CommandError;
use crate::table::{Call, CommandSpec, Flags, Handler};

const GROUP: &str = "hyperloglog";

pub(crate) const COMMANDS: &[CommandSpec] = &[
    write("pfadd", -2, GROUP, ("2.8.9", "Adds elements to a HyperLogLog key."), |call, args| {
        Ok(yes(call.database().count_elements(&args[1], &slices(&args[2..]))?))
    })
    .flag(Flags::FAST),
    read(
        "pfcount",
        -2,
        GROUP,
        ("2.8.9", "Returns the approximated cardinality of the set(s)."),
        pfcount,
    )
    .keys(1, -1, 1),
    write(
        "pfmerge",
        -2,
        GROUP,
        ("2.8.9", "Merges one or more HyperLogLog values into one key."),
        |call, args| {
            call.database().merge_elements(&args[1], &slices(&args[2..]))?;
            Ok(Reply::OK)
        },
    )
    .keys(1, -1, 1),
    write(
        "pfdebug",
        -3,
        GROUP,
        ("2.8.9", "Internal commands for debugging HyperLogLog values."),
        debug,
    )
    .keys(2, 2, 1),
    CommandSpec::new("pfselftest", 1, GROUP, Handler::Now(self_test))
        .flag(Flags::ADMIN)
        .about("2.8.9", "An internal command for testing HyperLogLog values."),
];

fn debug(call: &mut Call<'_>, args: &[Bytes]) -> Result<Reply, CommandError> {
    let mut db = call.database();
    let key = match &args[2..] {
        [key] if db.exists(key) => key,
        [_] => return Err(CommandError::said("ERR The specified key does not exist")),
        _ => return Err(CommandError::Arity("pfdebug".to_owned())),
    };
    match () {
        () if is(&args[1], "getreg") => {
            let ranks = db.registers(key)?.unwrap_or_default();
            Ok(Reply::Array(ranks.into_iter().map(|rank| Reply::Integer(rank.into())).collect()))
        }
        () if is(&args[1], "encoding") => {
            let dense = db.registers_are_dense(key)?.unwrap_or_default();
            Ok(Reply::Simple(if dense { "dense" } else { "sparse" }))
        }
        () if is(&args[1], "todense") => Ok(yes(db.make_registers_dense(key)?.unwrap_or_default())),
        () if is(&args[1], "decode") => match db.decoded_registers(key)? {
            Some(runs) => Ok(Reply::bulk(runs)),
            None => Err(CommandError::said("ERR HLL encoding is not sparse")),
        },
        () => {
            let subcommand = text(&args[1]);
            Err(CommandError::Said(format!("ERR Unknown PFDEBUG subcommand '{subcommand}'")))
        }
    }
}

fn self_test(_: &mut Call<'_>, _: &[Bytes]) -> Result<Reply, CommandError> {
    let checked = posthouse_keyspace::check_estimates();
    checked.map(|()| Reply::OK).map_err(|wrong| CommandError::Said(format!("TESTFAILED {wrong}")))
}

fn pfcount(call: &mut Call<'_>, args: &[Bytes]) -> Result<Reply, CommandError> {
    let estimate = call.database().estimate_elements(&slices(&args[1..]))?;
    Ok(Reply::Integer(i64::try_from(estimate).unwrap_or(i64::MAX)))
}
