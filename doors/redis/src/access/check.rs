//! Whether a client may run a command.

use bytes::Bytes;
use posthouse_broker::{Operation, Resource};
use posthouse_keyspace::DatabaseIndex;
use posthouse_types::TopicName;

use super::needs::KeyUse;
use super::{Context, Denial, Reason};
use crate::codec::parse_integer;
use crate::commands::{is, sort};
use crate::errors::CommandError;
use crate::streams::{topic_id, topic_name};
use crate::table::{Call, CommandSpec, Entry};

/// Why a command is refused. Where it stands decides the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// What it does to the node as a whole.
    Command,
    /// A key that it names.
    Key,
}

/// Commands for those who have not logged in.
const BEFORE_LOGIN: &[&str] = &["auth", "hello", "quit", "reset"];

/// Refuses whoever has not logged in.
pub(crate) fn check_authenticated(call: &Call<'_>, spec: &CommandSpec) -> Result<(), CommandError> {
    if call.client.identity.is_known() || BEFORE_LOGIN.contains(&spec.name) {
        return Ok(());
    }
    Err(CommandError::NotAuthenticated)
}

/// Refuses what is not allowed, and notes that it was. A command that wants nothing but keys finds them
/// held when it runs; whoever does not run it gives them back.
pub(crate) fn check(
    call: &mut Call<'_>,
    entry: Entry,
    arguments: &[Bytes],
    context: Context,
) -> Result<(), Refusal> {
    let held = call.held.is_some() || entry.is_of_keys_alone;
    call.knows_no_topic = entry.is_of_keys_alone;
    let refused = find_refusal(call, entry, arguments);
    if !held {
        call.let_go();
    }
    let Some((refusal, object)) = refused else { return Ok(()) };
    let reason = match refusal {
        Refusal::Command => Reason::Command,
        Refusal::Key => Reason::Key,
    };
    let denial = Denial::new(reason, context, call.client.identity.user(), &object);
    call.server.acl_log.note(denial, &call.client.handle, call.server.broker.clock());
    Err(refusal)
}

impl Refusal {
    /// Of a command on its own, or of a transaction when it was queued.
    pub(crate) fn at_once(self, spec: &CommandSpec, arguments: &[Bytes]) -> CommandError {
        match self {
            Refusal::Command => CommandError::NoCommand(full_name(spec, arguments)),
            Refusal::Key => CommandError::NoKey,
        }
    }

    /// Of a command of a transaction, by the time it would run.
    pub(crate) fn at_exec(self) -> CommandError {
        let reason = match self {
            Refusal::Command => "no permission to execute the command or subcommand",
            Refusal::Key => "no permission to touch the specified keys",
        };
        CommandError::Said(format!(
            "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This command is no longer allowed for the following reason: {reason}"
        ))
    }

    /// Of a command of a script.
    pub(crate) fn in_script(self) -> CommandError {
        CommandError::said(match self {
            Refusal::Command => {
                "ERR The user executing the script can't run this command or subcommand"
            }
            Refusal::Key => {
                "ERR The user executing the script can't access at least one of the keys mentioned in the command arguments"
            }
        })
    }
}

/// A command, with what it is a container for: `config|set`.
fn full_name(spec: &CommandSpec, arguments: &[Bytes]) -> String {
    const CONTAINERS: &[&str] =
        &["acl", "client", "config", "debug", "function", "latency", "memory", "script", "slowlog"];
    match arguments.get(1) {
        Some(sub) if CONTAINERS.contains(&spec.name) => {
            let sub = String::from_utf8_lossy(&sub[..sub.len().min(64)]).to_ascii_lowercase();
            format!("{}|{sub}", spec.name)
        }
        _ => spec.name.to_owned(),
    }
}

/// What stands against it, and what that is called.
fn find_refusal(
    call: &mut Call<'_>,
    entry: Entry,
    arguments: &[Bytes],
) -> Option<(Refusal, Bytes)> {
    let Entry { spec, needs, is_of_keys_alone, .. } = entry;
    if let Some(operation) = needs.of_node(arguments)
        && !may(call, &[operation], Resource::Cluster)
    {
        return Some((Refusal::Command, full_name(spec, arguments).into()));
    }
    if !is_of_keys_alone && spec.group == "pubsub" {
        // Their keys are channels, which the broker is asked for.
        return None;
    }
    let (first, others) = needs.of_keys(spec, arguments);
    let own = call.client.db;
    let other = if spec.name == "copy" { copied_to(arguments).unwrap_or(own) } else { own };
    let mut keys = spec.key_indexes(arguments);
    let mut uses = std::iter::once((first, own)).chain(std::iter::repeat((others, other)));
    let refused = keys.find(|index| {
        let (Some(key), Some((used, db))) = (arguments.get(*index), uses.next()) else {
            return false;
        };
        !may_use(call, spec, (db, key), used)
    });
    if let Some(key) = refused.and_then(|index| arguments.get(index)) {
        return Some((Refusal::Key, key.clone()));
    }
    if is_of_keys_alone || !matches!(spec.name, "sort" | "sort_ro") {
        return None;
    }
    let mut keys = sort::looked_up(call, arguments).into_iter();
    let refused = keys.find(|key| !may_use(call, spec, (own, key), KeyUse::Read));
    refused.map(|key| (Refusal::Key, key.into()))
}

/// The database that `COPY` names.
fn copied_to(arguments: &[Bytes]) -> Option<DatabaseIndex> {
    let options = arguments.get(3..)?;
    let number =
        options.iter().position(|word| is(word, "db")).and_then(|at| options.get(at + 1))?;
    DatabaseIndex::new(parse_integer(number)?).ok()
}

fn may_use(
    call: &mut Call<'_>,
    spec: &CommandSpec,
    (db, key): (DatabaseIndex, &[u8]),
    used: KeyUse,
) -> bool {
    let in_stream = spec.group == "stream";
    // Asked before the keys are taken, which others wait for.
    let as_key = !in_stream && shows(call, used.operations(), Resource::Key(key));
    let Some(topic) = topic_of(call, (db, key), in_stream) else {
        return as_key || may(call, used.operations(), Resource::Key(key));
    };
    call.knows_no_topic = false;
    let operations: &[Operation] = match used {
        // Whatever else writes to a key that is a stream replaces it, or gives it another name.
        KeyUse::Write if !in_stream => &[Operation::Delete],
        KeyUse::ReadWrite if !in_stream => &[Operation::Read, Operation::Delete],
        used => used.operations(),
    };
    may(call, operations, Resource::Topic(&topic))
}

/// The topic that a key is, or that a stream of its name would be.
fn topic_of(
    call: &mut Call<'_>,
    (db, key): (DatabaseIndex, &[u8]),
    in_stream: bool,
) -> Option<TopicName> {
    let server = call.server;
    match call.keys().database(db).stream(key) {
        // A topic that is being deleted has no name; the key's own stands for it.
        Ok(Some(topic)) => server.topic_name(topic_id(topic)).or_else(|| topic_name(db, key).ok()),
        Ok(None) => {
            let foreign = server.foreign_topic(call.keys().keyspace(), db, key);
            let foreign = foreign.map(|topic| topic.name.clone());
            foreign.or_else(|| if in_stream { topic_name(db, key).ok() } else { None })
        }
        // A key of another type.
        Err(_) => None,
    }
}

/// As [`may`], but nothing is written down.
fn shows(call: &mut Call<'_>, operations: &[Operation], resource: Resource<'_>) -> bool {
    let (broker, pass) = (&call.server.broker, call.client.identity.pass());
    operations.iter().all(|operation| broker.shows_to(pass, *operation, resource))
}

fn may(call: &Call<'_>, operations: &[Operation], resource: Resource<'_>) -> bool {
    let (broker, principal) = (&call.server.broker, call.client.identity.principal());
    operations.iter().all(|operation| broker.authorize(principal, *operation, resource).is_ok())
}
