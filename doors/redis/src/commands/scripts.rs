//! Scripts: `EVAL` and its like, and the scripts that are kept by their SHA-1.
//!
//! A script runs whole, with the keys held, so nothing comes between its commands. What it did before
//! it failed stays done, as in Redis.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use sha1::{Digest, Sha1};

use super::keys_arguments::numbered_indexes;
use super::scripts_engine::{Script, check, run};
use crate::codec::{Reply, parse_integer};
use crate::commands::{is, text};
use crate::errors::CommandError;
use crate::table::{Call, CommandSpec, Flags, Handler};

const GROUP: &str = "scripting";

/// LIMIT: more scripts than any program has; the oldest is forgotten, and its client loads it again.
const SCRIPTS_MAX: usize = 1_000;

type Answer = Result<Reply, CommandError>;

pub(crate) const COMMANDS: &[CommandSpec] = &[
    script("eval", Flags::WRITE, |call, args| eval(call, args, false))
        .about("2.6.0", "Executes a server-side Lua script."),
    script("evalsha", Flags::WRITE, |call, args| eval_sha(call, args, false))
        .about("2.6.0", "Executes a server-side Lua script by SHA1 digest."),
    script("eval_ro", Flags::READONLY, |call, args| eval(call, args, true))
        .about("7.0.0", "Executes a read-only server-side Lua script."),
    script("evalsha_ro", Flags::READONLY, |call, args| eval_sha(call, args, true))
        .about("7.0.0", "Executes a read-only server-side Lua script by SHA1 digest."),
    CommandSpec::new("script", -2, GROUP, Handler::Now(script_command))
        .flag(Flags::NO_SCRIPT)
        .about("2.6.0", "A container for Lua scripts management commands."),
];

const fn script(
    name: &'static str,
    flag: Flags,
    run: fn(&mut Call<'_>, &[Bytes]) -> Answer,
) -> CommandSpec {
    CommandSpec::new(name, -3, GROUP, Handler::Now(run))
        .flag(flag)
        .flag(Flags::NO_SCRIPT)
        .keys_found(|args| numbered_indexes(args, 2))
}

/// The scripts that clients may name by their digest.
#[derive(Default)]
pub(crate) struct Scripts {
    bodies: HashMap<String, Bytes>,
    /// From the oldest on.
    order: VecDeque<String>,
}

impl Scripts {
    /// Keeps a script; gives its digest.
    fn keep(&mut self, body: &Bytes) -> String {
        let digest = digest(body);
        if !self.bodies.contains_key(&digest) {
            if self.order.len() >= SCRIPTS_MAX
                && let Some(oldest) = self.order.pop_front()
            {
                self.bodies.remove(&oldest);
            }
            self.bodies.insert(digest.clone(), Bytes::copy_from_slice(body));
            self.order.push_back(digest.clone());
        }
        digest
    }
}

/// Forty hexadecimal digits.
pub(super) fn digest(body: &[u8]) -> String {
    Sha1::digest(body).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn eval(call: &mut Call<'_>, args: &[Bytes], only_reads: bool) -> Answer {
    let (keys, arguments) = keys_and_arguments(&args[2..])?;
    call.server.scripts.lock().keep(&args[1]);
    run(call, &Script { body: &args[1], keys, arguments, only_reads })
}

fn eval_sha(call: &mut Call<'_>, args: &[Bytes], only_reads: bool) -> Answer {
    let (keys, arguments) = keys_and_arguments(&args[2..])?;
    let digest = text(&args[1]).to_lowercase();
    let body = call.server.scripts.lock().bodies.get(&digest).cloned();
    let body =
        body.ok_or_else(|| CommandError::said("NOSCRIPT No matching script. Please use EVAL."))?;
    run(call, &Script { body: &body, keys, arguments, only_reads })
}

fn keys_and_arguments(args: &[Bytes]) -> Result<(&[Bytes], &[Bytes]), CommandError> {
    let (number, rest) = args.split_first().ok_or(CommandError::Syntax)?;
    let number = parse_integer(number).ok_or(CommandError::NotInteger)?;
    let number = usize::try_from(number)
        .map_err(|_| CommandError::said("ERR Number of keys can't be negative"))?;
    rest.split_at_checked(number).ok_or_else(|| {
        CommandError::said("ERR Number of keys can't be greater than number of args")
    })
}

fn script_command(call: &mut Call<'_>, args: &[Bytes]) -> Answer {
    let mut scripts = call.server.scripts.lock();
    match &args[1..] {
        [name, body] if is(name, "load") => {
            check(body)?;
            Ok(Reply::bulk(scripts.keep(body)))
        }
        [name, digests @ ..] if is(name, "exists") && !digests.is_empty() => {
            let known = |digest: &Bytes| scripts.bodies.contains_key(&text(digest).to_lowercase());
            let replies = digests.iter().map(|digest| Reply::Integer(i64::from(known(digest))));
            Ok(Reply::Array(replies.collect()))
        }
        [name, mode @ ..] if is(name, "flush") => match mode {
            [] => {
                *scripts = Scripts::default();
                Ok(Reply::OK)
            }
            [mode] if is(mode, "sync") || is(mode, "async") => {
                *scripts = Scripts::default();
                Ok(Reply::OK)
            }
            _ => Err(CommandError::said("ERR SCRIPT FLUSH only support SYNC|ASYNC option")),
        },
        [name] if is(name, "kill") => call.server.running_script.kill(),
        [name, ..] => {
            Err(CommandError::UnknownSubcommand { command: "SCRIPT", subcommand: text(name) })
        }
        [] => Err(CommandError::Syntax),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_redis_own() {
        assert_eq!(digest(b"return 1"), "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
    }

    #[test]
    fn the_oldest_script_is_forgotten() {
        let mut scripts = Scripts::default();
        let first = scripts.keep(&Bytes::from_static(b"return 0"));
        for number in 1..=SCRIPTS_MAX {
            scripts.keep(&Bytes::from(format!("return {number}")));
        }
        assert_eq!(scripts.bodies.len(), SCRIPTS_MAX);
        assert!(!scripts.bodies.contains_key(&first));
    }
}
