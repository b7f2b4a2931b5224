//! What each command needs to be allowed: the one table of it.
//!
//! Keys: as the key specifications of Redis 7.0 have it (`ACCESS` needs Read, `INSERT`, `UPDATE` and
//! `DELETE` need Write, neither needs no more than to know of the key). Commands about the node as a
//! whole need the cluster. Channels are checked by the broker, which is asked for each of them.

use bytes::Bytes;
use posthouse_access::Operation;

use crate::commands::is;
use crate::table::{CommandSpec, Flags};

/// What a command does with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyUse {
    /// Tells whether it is there, of which type, and how large.
    Describe,
    Read,
    Write,
    ReadWrite,
}

impl KeyUse {
    /// What has to be allowed.
    pub(crate) fn operations(self) -> &'static [Operation] {
        match self {
            KeyUse::Describe => &[Operation::Describe],
            KeyUse::Read => &[Operation::Read],
            KeyUse::Write => &[Operation::Write],
            KeyUse::ReadWrite => &[Operation::Read, Operation::Write],
        }
    }
}

/// Commands that write to a key and tell nothing of what it holds.
const WRITE_ONLY: &[&str] = &[
    "append",
    "del",
    "expire",
    "expireat",
    "hdel",
    "hmset",
    "hset",
    "hsetnx",
    "linsert",
    "lpush",
    "lpushx",
    "lrem",
    "lset",
    "ltrim",
    "mset",
    "msetnx",
    "persist",
    "pexpire",
    "pexpireat",
    "pfadd",
    "psetex",
    "restore",
    "rpush",
    "rpushx",
    "sadd",
    "set",
    "setex",
    "setnx",
    "setrange",
    "srem",
    "unlink",
    "xadd",
    "xdel",
    "xsetid",
    "xtrim",
    "zadd",
    "zrem",
    "zremrangebylex",
    "zremrangebyrank",
    "zremrangebyscore",
];

/// Commands that tell of a key no more than that it is there, of which type, and how large.
const DESCRIBE_ONLY: &[&str] = &[
    "exists", "hlen", "hstrlen", "llen", "memory", "object", "scard", "strlen", "touch", "type",
    "watch", "xlen", "zcard",
];

/// Commands of groups: whoever reads a stream by a group moves the group, not the stream.
const READ_BY_GROUP: &[&str] =
    &["xack", "xautoclaim", "xclaim", "xgroup", "xpending", "xreadgroup"];

/// What a command needs, as far as that does not depend on its arguments.
#[derive(Clone, Copy)]
pub(crate) struct Needs {
    first_key: KeyUse,
    other_keys: KeyUse,
    of_node: Option<NodeNeed>,
}

/// What the arguments of a command that may be about the node as a whole need of it.
type NodeNeed = fn(&[Bytes]) -> Option<Operation>;

impl Needs {
    /// As the tables here have it.
    pub(crate) fn of(spec: &CommandSpec) -> Needs {
        let (first_key, other_keys) = listed(spec);
        Needs { first_key, other_keys, of_node: node_need(spec.name) }
    }

    /// What a command does with the first of its keys, and with the others.
    pub(crate) fn of_keys(self, spec: &CommandSpec, arguments: &[Bytes]) -> (KeyUse, KeyUse) {
        const SET_OPTIONS: usize = 3;
        if arguments.len() > SET_OPTIONS
            && spec.name == "set"
            && arguments[SET_OPTIONS..].iter().any(|word| is(word, "get"))
        {
            return (KeyUse::ReadWrite, KeyUse::ReadWrite);
        }
        (self.first_key, self.other_keys)
    }

    /// What a command needs of the node as a whole, beside what it needs of keys.
    pub(crate) fn of_node(self, arguments: &[Bytes]) -> Option<Operation> {
        self.of_node.and_then(|need| need(arguments))
    }
}

/// What a command does with the first of its keys, and with the others, but for what options change.
fn listed(spec: &CommandSpec) -> (KeyUse, KeyUse) {
    use KeyUse::{Describe, Read, ReadWrite, Write};
    let name = spec.name;
    match name {
        "copy" | "sort" => (Read, Write),
        "blmove" | "brpoplpush" | "lmove" | "rename" | "renamenx" | "rpoplpush" | "smove" => {
            (ReadWrite, Write)
        }
        "pfmerge" => (ReadWrite, Read),
        "sdiffstore" | "sinterstore" | "sunionstore" | "zdiffstore" | "zinterstore"
        | "zrangestore" | "zunionstore" => (Write, Read),
        _ if WRITE_ONLY.contains(&name) => (Write, Write),
        _ if DESCRIBE_ONLY.contains(&name) => (Describe, Describe),
        _ if READ_BY_GROUP.contains(&name) || !spec.flags.has(Flags::WRITE) => (Read, Read),
        _ => (ReadWrite, ReadWrite),
    }
}

fn node_need(name: &str) -> Option<NodeNeed> {
    Some(match name {
        "bgrewriteaof" | "bgsave" | "debug" | "flushall" | "flushdb" | "pfselftest" | "save"
        | "swapdb" => |_| Some(Operation::Alter),
        "info" => |_| Some(Operation::Describe),
        "acl" => acl_need,
        "client" => |words| by_word(words, &["list"], &["kill", "pause", "unblock", "unpause"]),
        "config" => |words| by_word(words, &["get"], &["resetstat", "rewrite", "set"]),
        "function" => |words| by_word(words, &[], &["flush"]),
        "latency" => |words| {
            by_word(words, &["doctor", "graph", "histogram", "history", "latest"], &["reset"])
        },
        "memory" => |words| by_word(words, &["doctor", "malloc-stats", "stats"], &["purge"]),
        "script" => |words| by_word(words, &[], &["flush", "kill"]),
        "slowlog" => |words| by_word(words, &["get", "len"], &["reset"]),
        _ => return None,
    })
}

fn acl_need(arguments: &[Bytes]) -> Option<Operation> {
    let is_log = arguments.len() <= 3 && arguments.get(1).is_some_and(|word| is(word, "log"));
    if !is_log {
        return by_word(arguments, &["getuser", "list", "users"], &["deluser", "setuser"]);
    }
    let resets = arguments.get(2).is_some_and(|word| is(word, "reset"));
    Some(if resets { Operation::Alter } else { Operation::Describe })
}

/// By the subcommand: one that shows something of the node, one that changes something, or neither.
fn by_word(arguments: &[Bytes], shows: &[&str], changes: &[&str]) -> Option<Operation> {
    let given = arguments.get(1)?;
    let is_one = |words: &[&str]| words.iter().any(|word| is(given, word));
    if is_one(changes) {
        return Some(Operation::Alter);
    }
    is_one(shows).then_some(Operation::Describe)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table;

    fn words(text: &str) -> (table::Entry, Vec<Bytes>) {
        let arguments: Vec<Bytes> =
            text.split(' ').map(|word| Bytes::copy_from_slice(word.as_bytes())).collect();
        (table::find(&arguments[0]).expect("a command"), arguments)
    }

    #[test]
    fn keys_are_used_as_redis_key_specifications_say() {
        use KeyUse::{Describe, Read, ReadWrite, Write};
        for (text, expected) in [
            ("get k", (Read, Read)),
            ("set k v", (Write, Write)),
            ("set k v EX 5 GET", (ReadWrite, ReadWrite)),
            ("set get get", (Write, Write)),
            ("incr k", (ReadWrite, ReadWrite)),
            ("getdel k", (ReadWrite, ReadWrite)),
            ("exists a b", (Describe, Describe)),
            ("sunionstore to a b", (Write, Read)),
            ("sort l store to", (Read, Write)),
            ("rename a b", (ReadWrite, Write)),
            ("xadd s * f v", (Write, Write)),
            ("xreadgroup group g c streams s >", (Read, Read)),
            ("eval x 1 k", (ReadWrite, ReadWrite)),
            ("eval_ro x 1 k", (Read, Read)),
        ] {
            let (entry, arguments) = words(text);
            assert_eq!(entry.needs.of_keys(entry.spec, &arguments), expected, "{text}");
        }
    }

    #[test]
    fn every_name_in_the_table_is_a_command() {
        for name in WRITE_ONLY.iter().chain(DESCRIBE_ONLY).chain(READ_BY_GROUP) {
            assert!(table::find(name.as_bytes()).is_some(), "{name}");
        }
    }

    #[test]
    fn what_is_about_the_node_needs_the_cluster() {
        use Operation::{Alter, Describe};
        for (text, expected) in [
            ("flushall", Some(Alter)),
            ("config get *", Some(Describe)),
            ("CONFIG SET hz 1", Some(Alter)),
            ("client list", Some(Describe)),
            ("client kill 1:1", Some(Alter)),
            ("client getname", None),
            ("script load x", None),
            ("script flush", Some(Alter)),
            ("acl whoami", None),
            ("acl log", Some(Describe)),
            ("acl log reset", Some(Alter)),
            ("acl setuser a", Some(Alter)),
            ("memory usage k", None),
            ("get k", None),
        ] {
            let (entry, arguments) = words(text);
            assert_eq!(entry.needs.of_node(&arguments), expected, "{text}");
        }
    }

    #[test]
    fn a_command_that_may_be_run_by_administrators_alone_needs_the_cluster() {
        for spec in table::all().filter(|spec| spec.flags.has(Flags::ADMIN)) {
            let sub = if spec.name == "acl" { "setuser" } else { "set" };
            let arguments = [spec.name.into(), sub.into(), "x".into(), "y".into()];
            let some_subcommands = matches!(spec.name, "latency" | "memory" | "slowlog");
            let of_keys = !matches!(spec.keys, table::Keys::None);
            let needs = Needs::of(spec).of_node(&arguments);
            assert!(needs.is_some() || some_subcommands || of_keys, "{}", spec.name);
        }
    }
}
