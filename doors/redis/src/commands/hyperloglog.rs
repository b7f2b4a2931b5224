//! HyperLogLog.

use bytes::Bytes;

use super::keys_arguments::{read, slices, write, yes};
use crate::codec::Reply;
use crate::errors::CommandError;
use crate::table::{Call, CommandSpec, Flags};

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
];

fn pfcount(call: &mut Call<'_>, args: &[Bytes]) -> Result<Reply, CommandError> {
    let estimate = call.database().estimate_elements(&slices(&args[1..]))?;
    Ok(Reply::Integer(i64::try_from(estimate).unwrap_or(i64::MAX)))
}
