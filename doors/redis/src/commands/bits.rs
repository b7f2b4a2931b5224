//! Single bits of strings.

use bytes::Bytes;
use posthouse_keyspace::BitRange;

use super::keys_arguments::{read, write, yes};
use crate::codec::{Reply, parse_integer};
use crate::commands::{integer, is};
use crate::errors::CommandError;
use crate::table::{Call, CommandSpec, Flags};

const GROUP: &str = "bitmap";

/// LIMIT: the last bit of the longest string.
const BIT_MAX: u64 = (1 << 32) - 1;

pub(crate) const COMMANDS: &[CommandSpec] = &[
    read("getbit", 3, GROUP, ("2.2.0", "Returns a bit value by offset."), |call, args| {
        let offset = offset(&args[2])?;
        Ok(yes(call.database().get_bit(&args[1], offset)?))
    })
    .flag(Flags::FAST),
    write("setbit", 4, GROUP, ("2.2.0", "Sets or clears the bit at an offset."), |call, args| {
        let offset = offset(&args[2])?;
        let on = match &args[3][..] {
            b"0" => false,
            b"1" => true,
            _ => return Err(CommandError::said("ERR bit is not an integer or out of range")),
        };
        Ok(yes(call.database().set_bit(&args[1], offset, on)?))
    }),
    read("bitcount", -2, GROUP, ("2.6.0", "Counts the number of set bits in a string."), bitcount),
    read("bitpos", -3, GROUP, ("2.8.7", "Finds the first set or clear bit in a string."), bitpos),
];

fn offset(argument: &[u8]) -> Result<u64, CommandError> {
    parse_integer(argument)
        .and_then(|offset| u64::try_from(offset).ok())
        .filter(|offset| *offset <= BIT_MAX)
        .ok_or_else(|| CommandError::said("ERR bit offset is not an integer or out of range"))
}

fn unit(argument: Option<&Bytes>) -> Result<bool, CommandError> {
    match argument {
        None => Ok(false),
        Some(unit) if is(unit, "byte") => Ok(false),
        Some(unit) if is(unit, "bit") => Ok(true),
        Some(_) => Err(CommandError::Syntax),
    }
}

fn bitcount(call: &mut Call<'_>, args: &[Bytes]) -> Result<Reply, CommandError> {
    let range = match &args[2..] {
        [] => None,
        [start, end] | [start, end, _] => {
            Some(BitRange { start: integer(start)?, end: integer(end)?, bits: unit(args.get(4))? })
        }
        _ => return Err(CommandError::Syntax),
    };
    let count = call.database().count_bits(&args[1], range)?;
    Ok(Reply::Integer(i64::try_from(count).unwrap_or(i64::MAX)))
}

fn bitpos(call: &mut Call<'_>, args: &[Bytes]) -> Result<Reply, CommandError> {
    let on = match integer(&args[2])? {
        0 => false,
        1 => true,
        _ => return Err(CommandError::said("ERR The bit argument must be 1 or 0.")),
    };
    if args.len() > 6 {
        return Err(CommandError::Syntax);
    }
    let start = args.get(3).map_or(Ok(0), |start| integer(start))?;
    let end = args.get(4).map_or(Ok(-1), |end| integer(end))?;
    let range = BitRange { start, end, bits: unit(args.get(5))? };
    let found = call.database().find_bit(&args[1], on, range, args.len() < 5)?;
    Ok(Reply::Integer(found.and_then(|bit| i64::try_from(bit).ok()).unwrap_or(-1)))
}
