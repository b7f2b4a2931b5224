//! Scripts: `EVAL` and its like, and the scripts that are kept by their SHA-1.
//!
//! A script runs whole, with the keys held, so nothing comes between its commands. What it did before
//! it failed stays done, as in Redis.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use sha1::{Digest, Sha1};

use super::keys_arguments::numbered_indexes;
use super::scripts_engine::{Script, run};
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

/// The script that is being run, if there is one: there is never more than one, because a script
/// holds the keys.
#[derive(Default)]
pub(crate) struct RunningScript {
    since: Mutex<Option<Instant>>,
    wrote: AtomicBool,
    killed: AtomicBool,
    /// `lua-time-limit`, in milliseconds.
    pub(crate) limit_ms: AtomicI64,
}

impl RunningScript {
    /// None is run.
    pub(crate) fn new() -> RunningScript {
        const LIMIT_MS: i64 = 5000;
        RunningScript { limit_ms: AtomicI64::new(LIMIT_MS), ..RunningScript::default() }
    }

    pub(super) fn begin(&self, now: Instant) {
        self.killed.store(false, Ordering::Relaxed);
        self.wrote.store(false, Ordering::Relaxed);
        *self.since.lock() = Some(now);
    }

    pub(super) fn end(&self) {
        *self.since.lock() = None;
    }

    pub(super) fn note_write(&self) {
        self.wrote.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_killed(&self) -> bool {
        self.killed.load(Ordering::Relaxed)
    }

    /// Whether it has run for so long that others are told of it instead of waiting for it.
    pub(crate) fn is_slow(&self, now: Instant) -> bool {
        let limit = u64::try_from(self.limit_ms.load(Ordering::Relaxed)).unwrap_or(0);
        let since = *self.since.lock();
        limit > 0
            && since.is_some_and(|since| {
                now.saturating_duration_since(since) > Duration::from_millis(limit)
            })
    }

    /// Ends it, unless it has changed something.
    fn kill(&self) -> Answer {
        if self.since.lock().is_none() {
            return Err(CommandError::said("NOTBUSY No scripts in execution right now."));
        }
        if self.wrote.load(Ordering::Relaxed) {
            return Err(CommandError::said(
                "UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the script termination or kill the server in a hard way using the SHUTDOWN NOSAVE command.",
            ));
        }
        self.killed.store(true, Ordering::Relaxed);
        Ok(Reply::OK)
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
            super::scripts_engine::check(body)?;
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
