//! `maxmemory`: commands that would store more are refused while keys take more than it.
//!
//! Nothing is evicted (`noeviction` is the one policy there is). What is measured is what keys take
//! by `MEMORY USAGE`'s reckoning, not the whole process, which serves other doors too.

use crate::errors::CommandError;
use crate::server::Server;
use crate::table::{CommandSpec, Flags};

/// Commands that change keys and store nothing more, or hardly anything.
const FREES: &[&str] = &[
    "blpop",
    "brpop",
    "blmpop",
    "bzmpop",
    "bzpopmax",
    "bzpopmin",
    "del",
    "expire",
    "expireat",
    "flushall",
    "flushdb",
    "getdel",
    "getex",
    "hdel",
    "lmpop",
    "lpop",
    "lrem",
    "ltrim",
    "move",
    "persist",
    "pexpire",
    "pexpireat",
    "rename",
    "renamenx",
    "rpop",
    "smove",
    "spop",
    "srem",
    "swapdb",
    "unlink",
    "xack",
    "xautoclaim",
    "xclaim",
    "xdel",
    "xgroup",
    "xreadgroup",
    "xtrim",
    "zmpop",
    "zpopmax",
    "zpopmin",
    "zrem",
    "zremrangebylex",
    "zremrangebyrank",
    "zremrangebyscore",
    "eval",
    "evalsha",
];

/// Whether a command may store more.
pub(crate) fn stores(spec: &CommandSpec) -> bool {
    spec.flags.has(Flags::WRITE) && !FREES.contains(&spec.name)
}

impl Server {
    /// Refuses a command that may store more when keys take too much already.
    pub(crate) fn check_memory(&self, spec: &CommandSpec) -> Result<(), CommandError> {
        let max = self.parameters.memory_max();
        if max > 0 && self.keys.memory() > max && stores(spec) {
            return Err(CommandError::OutOfMemory);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table;

    #[test]
    fn what_frees_memory_is_known_and_what_takes_it_is_refused() {
        for name in FREES {
            let spec = table::find(name.as_bytes()).map(|entry| entry.spec);
            assert!(spec.is_some_and(|spec| spec.flags.has(Flags::WRITE)), "{name}");
        }
        for (name, expected) in [("set", true), ("lpush", true), ("get", false), ("del", false)] {
            assert_eq!(stores(table::find(name.as_bytes()).unwrap().spec), expected, "{name}");
        }
    }
}
