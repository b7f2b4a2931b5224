//! What a command is: its name, its shape, what Redis says of it, and what runs it.
//!
//! One table serves dispatch, the check of arguments, `COMMAND` and the documentation. A family adds
//! itself by a `COMMANDS` slice in its own file and a line in [`FAMILIES`].

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use foldhash::fast::FixedState;
use futures::future::BoxFuture;
use posthouse_keyspace::Database;
use tokio::sync::oneshot;

use crate::access::{LoggingIn, Needs};
use crate::client::Client;
use crate::codec::Reply;
use crate::commands;
use crate::errors::CommandError;
use crate::execution::Execution;
use crate::keys::KeysGuard;
use crate::server::Server;

/// Every family of commands.
static FAMILIES: &[&[CommandSpec]] = &[
    commands::connection::COMMANDS,
    commands::client::COMMANDS,
    commands::acl::COMMANDS,
    commands::command::COMMANDS,
    commands::config::COMMANDS,
    commands::info::COMMANDS,
    commands::server::COMMANDS,
    commands::pubsub::COMMANDS,
    commands::streams::COMMANDS,
    commands::stream_info::COMMANDS,
    commands::stream_groups::COMMANDS,
    commands::stream_pending::COMMANDS,
    commands::transactions::COMMANDS,
    commands::keys::COMMANDS,
    commands::sort::COMMANDS,
    commands::strings::COMMANDS,
    commands::lcs::COMMANDS,
    commands::bits::COMMANDS,
    commands::hashes::COMMANDS,
    commands::lists::COMMANDS,
    commands::lists_blocking::COMMANDS,
    commands::sets::COMMANDS,
    commands::sorted_sets::COMMANDS,
    commands::sorted_sets_ranges::COMMANDS,
    commands::hyperloglog::COMMANDS,
    commands::scripts::COMMANDS,
];

/// A command.
pub(crate) struct CommandSpec {
    /// Lower case.
    pub(crate) name: &'static str,
    /// Arguments with the name; at least that many when negative.
    pub(crate) arity: i32,
    pub(crate) flags: Flags,
    pub(crate) keys: Keys,
    /// The version of Redis that has it first.
    pub(crate) since: &'static str,
    pub(crate) group: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) run: Handler,
}

/// What runs a command. The arguments begin with its name.
#[derive(Clone, Copy)]
pub(crate) enum Handler {
    /// Answers at once.
    Now(fn(&mut Call<'_>, &[Bytes]) -> Result<Reply, CommandError>),
    /// May answer later. What it changes, it has changed when it returns.
    Begin(fn(&mut Call<'_>, &[Bytes]) -> Result<Outcome, CommandError>),
    /// As [`Handler::Begin`], but begun only when everything before it has been answered, because it
    /// reads what that has written.
    After(fn(&mut Call<'_>, &[Bytes]) -> Result<Outcome, CommandError>),
}

/// How a command goes on.
pub(crate) enum Outcome {
    /// It is answered.
    Reply(Reply),
    /// Several answers, as `SUBSCRIBE` gives one for each channel.
    Replies(Vec<Reply>),
    /// No answer at all.
    Silent,
    /// The change is made and the answer waits for the disk; the client's next commands may begin.
    Accepted(BoxFuture<'static, Reply>),
    /// The answer has to be read first; the client's next command waits for it.
    Later(BoxFuture<'static, Reply>),
    /// Waits for other clients.
    Blocked(Blocked),
    /// `EXEC`: these run in order, and are answered together.
    Execute(Vec<Queued>),
    /// A login that is checked first; the client's next command waits for it.
    LoggingIn(LoggingIn),
    /// A transaction that has begun and waits for a log.
    Executing(Execution),
}

/// A client that waits for others. A transaction never waits: there the answer is `on_timeout`.
pub(crate) struct Blocked {
    pub(crate) wait: Wait,
    /// For ever when `None`.
    pub(crate) timeout: Option<Duration>,
    pub(crate) on_timeout: Reply,
}

/// What a blocked client waits for.
pub(crate) enum Wait {
    /// An answer that another client's command sends, under the lock of what it changes. A send that
    /// fails took nothing: the client had gone, or its time was up.
    Answer(oneshot::Receiver<Reply>),
    /// A future that may be dropped at any time without a loss.
    Future(BoxFuture<'static, Reply>),
}

/// A command of a transaction, checked and not yet run.
pub(crate) struct Queued {
    pub(crate) entry: Entry,
    pub(crate) arguments: Vec<Bytes>,
}

/// What a handler may reach.
pub(crate) struct Call<'a> {
    /// What all clients share.
    pub(crate) server: &'a Arc<Server>,
    /// What this connection remembers.
    pub(crate) client: &'a mut Client,
    /// The keys, once they have been asked for; held until the command, or the transaction, is done.
    pub(crate) held: Option<KeysGuard<'a>>,
    /// When the command began; once it has run, when that was.
    pub(crate) now: Instant,
    /// `EXEC` is running it: it must not wait for other clients.
    pub(crate) in_transaction: bool,
    /// A script is running it.
    pub(crate) in_script: bool,
    /// Of the command that was checked last it is known, since the keys are held, that none of its
    /// keys is another door's topic.
    pub(crate) knows_no_topic: bool,
}

impl<'a> Call<'a> {
    /// Of one command on its own.
    pub(crate) fn new(server: &'a Arc<Server>, client: &'a mut Client, now: Instant) -> Call<'a> {
        Call {
            server,
            client,
            held: None,
            now,
            in_transaction: false,
            in_script: false,
            knows_no_topic: false,
        }
    }

    /// The keys, which are now this command's alone.
    pub(crate) fn keys(&mut self) -> &mut KeysGuard<'a> {
        let server = self.server;
        self.held.get_or_insert_with(|| server.keys.lock())
    }

    /// Gives the keys back, where nothing was changed that anyone has to wait for.
    pub(crate) fn let_go(&mut self) {
        drop(self.held.take().and_then(KeysGuard::release));
    }

    /// The client's database.
    pub(crate) fn database(&mut self) -> Database<'_> {
        let index = self.client.db;
        self.keys().database(index)
    }
}

/// Where a command's keys are among its arguments.
#[derive(Clone, Copy)]
pub(crate) enum Keys {
    None,
    /// From `first` to `last`, every `step`; a negative `last` counts from the end.
    Range {
        first: i32,
        last: i32,
        step: i32,
    },
    /// Found by reading the arguments; gives their indexes.
    Found(fn(&[Bytes]) -> Vec<usize>),
}

/// What a command may do, as `COMMAND INFO` has it.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Flags(u16);

impl Flags {
    pub(crate) const WRITE: Flags = Flags(1);
    pub(crate) const READONLY: Flags = Flags(1 << 1);
    pub(crate) const FAST: Flags = Flags(1 << 2);
    pub(crate) const ADMIN: Flags = Flags(1 << 3);
    pub(crate) const PUBSUB: Flags = Flags(1 << 4);
    pub(crate) const BLOCKING: Flags = Flags(1 << 5);
    /// Not inside `MULTI`.
    pub(crate) const NO_MULTI: Flags = Flags(1 << 6);
    /// A RESP2 subscriber may run it.
    pub(crate) const SUBSCRIBED: Flags = Flags(1 << 7);
    /// Not queued by `MULTI`, but run.
    pub(crate) const NOT_QUEUED: Flags = Flags(1 << 8);
    /// Not from a script.
    pub(crate) const NO_SCRIPT: Flags = Flags(1 << 9);

    /// Whether all of `other` is set.
    pub(crate) const fn has(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// As Redis names them.
    pub(crate) fn names(self) -> impl Iterator<Item = &'static str> {
        [
            (Flags::WRITE, "write"),
            (Flags::READONLY, "readonly"),
            (Flags::FAST, "fast"),
            (Flags::ADMIN, "admin"),
            (Flags::PUBSUB, "pubsub"),
            (Flags::BLOCKING, "blocking"),
            (Flags::NO_MULTI, "no_multi"),
            (Flags::NO_SCRIPT, "noscript"),
        ]
        .into_iter()
        .filter_map(move |(flag, name)| self.has(flag).then_some(name))
    }
}

impl CommandSpec {
    /// A command without keys and flags.
    pub(crate) const fn new(
        name: &'static str,
        arity: i32,
        group: &'static str,
        run: Handler,
    ) -> CommandSpec {
        CommandSpec {
            name,
            arity,
            flags: Flags(0),
            keys: Keys::None,
            since: "1.0.0",
            group,
            summary: "",
            run,
        }
    }

    /// With a flag more.
    pub(crate) const fn flag(mut self, flag: Flags) -> CommandSpec {
        self.flags = Flags(self.flags.0 | flag.0);
        self
    }

    /// With keys in a row.
    pub(crate) const fn keys(mut self, first: i32, last: i32, step: i32) -> CommandSpec {
        self.keys = Keys::Range { first, last, step };
        self
    }

    /// With keys that have to be looked for.
    pub(crate) const fn keys_found(mut self, find: fn(&[Bytes]) -> Vec<usize>) -> CommandSpec {
        self.keys = Keys::Found(find);
        self
    }

    /// With what Redis's documentation says of it.
    pub(crate) const fn about(mut self, since: &'static str, summary: &'static str) -> CommandSpec {
        self.since = since;
        self.summary = summary;
        self
    }

    /// Whether so many arguments are right.
    pub(crate) fn takes(&self, arguments: usize) -> bool {
        let count = i64::try_from(arguments).unwrap_or(i64::MAX);
        let arity = i64::from(self.arity);
        if arity >= 0 { count == arity } else { count >= -arity }
    }

    /// The indexes of the keys among `arguments`.
    pub(crate) fn key_indexes(&self, arguments: &[Bytes]) -> impl Iterator<Item = usize> + use<> {
        let (in_a_row, found) = match self.keys {
            Keys::None => ((0..0).step_by(1), Vec::new()),
            Keys::Found(find) => ((0..0).step_by(1), find(arguments)),
            Keys::Range { first, last, step } => {
                let place = |number: i32| usize::try_from(number.unsigned_abs()).unwrap_or(1);
                let count = arguments.len();
                let end = match last {
                    ..0 => (count + 1).saturating_sub(place(last)),
                    _ => count.min(place(last) + 1),
                };
                ((place(first)..end).step_by(place(step).max(1)), Vec::new())
            }
        };
        in_a_row.chain(found)
    }
}

/// A command with its place in the table, by which its calls are counted.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) index: usize,
    pub(crate) spec: &'static CommandSpec,
    pub(crate) needs: Needs,
    /// It works on keys of types other than streams, and on nothing else.
    pub(crate) is_of_keys_alone: bool,
}

/// The groups of commands for each type of key but streams.
const OF_KEYS_ALONE: &[&str] =
    &["string", "bitmap", "hash", "list", "set", "sorted-set", "hyperloglog"];

static BY_NAME: LazyLock<HashMap<&'static [u8], Entry, FixedState>> = LazyLock::new(|| {
    let all = FAMILIES.iter().flat_map(|family| family.iter()).enumerate();
    let entry = |(index, spec): (usize, &'static CommandSpec)| {
        let is_of_keys_alone = OF_KEYS_ALONE.contains(&spec.group);
        Entry { index, spec, needs: Needs::of(spec), is_of_keys_alone }
    };
    all.map(entry).map(|entry| (entry.spec.name.as_bytes(), entry)).collect()
});

/// LIMIT: no command's name is longer.
const NAME_BYTES_MAX: usize = 32;

/// The command of that name, in any case.
pub(crate) fn find(name: &[u8]) -> Option<Entry> {
    let mut lower = [0; NAME_BYTES_MAX];
    let lower = lower.get_mut(..name.len())?;
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    BY_NAME.get(&*lower).copied()
}

/// Every command, in the order of the table.
pub(crate) fn all() -> impl Iterator<Item = &'static CommandSpec> {
    FAMILIES.iter().flat_map(|family| family.iter())
}

/// The error for a command that there is not, as Redis words it.
pub(crate) fn unknown(arguments: &[Bytes]) -> CommandError {
    const TEXT_BYTES_MAX: usize = 128;
    let shown = |bytes: &Bytes, max: usize| {
        String::from_utf8_lossy(&bytes[..bytes.len().min(max)]).into_owned()
    };
    let mut rest = String::new();
    for argument in arguments.iter().skip(1) {
        if rest.len() >= TEXT_BYTES_MAX {
            break;
        }
        rest.push_str(&format!("'{}' ", shown(argument, TEXT_BYTES_MAX - rest.len())));
    }
    let name = arguments.first().map(|name| shown(name, TEXT_BYTES_MAX)).unwrap_or_default();
    CommandError::Said(format!("ERR unknown command '{name}', with args beginning with: {rest}"))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_command_is_there_once_and_described() {
        let mut names = HashSet::new();
        for spec in all() {
            assert!(names.insert(spec.name), "{} is there twice", spec.name);
            assert!(!spec.summary.is_empty(), "{} has no summary", spec.name);
            assert_eq!(spec.name, spec.name.to_ascii_lowercase());
            assert!(spec.name.len() <= NAME_BYTES_MAX);
            assert_ne!(spec.arity, 0, "{} takes at least its name", spec.name);
        }
    }

    #[test]
    fn names_are_found_in_any_case() {
        assert_eq!(find(b"PiNg").unwrap().spec.name, "ping");
        assert!(find(b"nothing").is_none());
        assert!(find(&[b'x'; 1000]).is_none());
    }

    #[test]
    fn keys_are_where_redis_says() {
        for (text, expected) in [
            ("ping", &[][..]),
            ("get k", &[1]),
            ("mget a b c", &[1, 2, 3]),
            ("mset a 1 b 2", &[1, 3]),
            ("blpop a b 0", &[1, 2]),
            ("sinterstore to a b", &[1, 2, 3]),
            ("object encoding k", &[2]),
            ("rename a b", &[1, 2]),
            ("zunionstore to 2 a b weights 1 2", &[1, 3, 4]),
        ] {
            let arguments: Vec<Bytes> =
                text.split(' ').map(|word| Bytes::copy_from_slice(word.as_bytes())).collect();
            let indexes = find(&arguments[0]).expect("a command").spec.key_indexes(&arguments);
            assert_eq!(indexes.collect::<Vec<_>>(), expected, "{text}");
        }
    }

    #[test]
    fn an_unknown_command_is_named_with_its_arguments() {
        let arguments = ["foo".into(), "a".into(), "b".into()];
        let text = "ERR unknown command 'foo', with args beginning with: 'a' 'b' ";
        assert_eq!(unknown(&arguments).to_string(), text);
    }
}
