//! `COMMAND`: the table as clients ask for it.

use bytes::Bytes;

use crate::codec::Reply;
use crate::commands::{is, text};
use crate::errors::CommandError;
use crate::table::{self, Call, CommandSpec, Flags, Handler, Keys};

pub(crate) const COMMANDS: &[CommandSpec] =
    &[CommandSpec::new("command", -1, "server", Handler::Now(command))
        .about("2.8.13", "Returns detailed information about all commands.")];

fn command(_: &mut Call<'_>, arguments: &[Bytes]) -> Result<Reply, CommandError> {
    let Some(subcommand) = arguments.get(1) else {
        return Ok(Reply::Array(table::all().map(info).collect()));
    };
    let rest = &arguments[2..];
    let subcommand_name = text(subcommand).to_ascii_lowercase();
    Ok(match (subcommand_name.as_str(), rest) {
        ("count", []) => Reply::count(table::all().count()),
        ("info", []) => Reply::Array(table::all().map(info).collect()),
        ("info", names) => Reply::Array(
            names
                .iter()
                .map(|name| table::find(name).map_or(Reply::NullArray, |entry| info(entry.spec)))
                .collect(),
        ),
        ("docs", []) => Reply::Map(table::all().map(docs).collect()),
        ("docs", names) => Reply::Map(
            names.iter().filter_map(|name| Some(docs(table::find(name)?.spec))).collect(),
        ),
        ("list", []) => Reply::Array(table::all().map(|spec| Reply::text(spec.name)).collect()),
        ("list", [filter, by, value]) if is(filter, "filterby") => list(by, value)?,
        ("getkeys", [_, ..]) => keys_of(rest)?,
        ("help", []) => Reply::Array(vec![
            Reply::Simple("COMMAND <subcommand> [<arg> ...]. Subcommands are:"),
            Reply::Simple("(no subcommand), COUNT, DOCS, GETKEYS, INFO, LIST [FILTERBY ...], HELP"),
        ]),
        ("count" | "getkeys" | "help", _) => {
            return Err(CommandError::Arity(format!("command|{subcommand_name}")));
        }
        ("list", _) => return Err(CommandError::Syntax),
        _ => {
            let subcommand = text(subcommand);
            return Err(CommandError::UnknownSubcommand { command: "COMMAND", subcommand });
        }
    })
}

fn info(spec: &CommandSpec) -> Reply {
    let (first, last, step) = match spec.keys {
        Keys::None => (0, 0, 0),
        Keys::Range { first, last, step } => (first, last, step),
        Keys::Found(_) => (0, 0, 0),
    };
    let mut flags: Vec<Reply> = spec.flags.names().map(Reply::Simple).collect();
    if matches!(spec.keys, Keys::Found(_)) {
        flags.push(Reply::Simple("movablekeys"));
    }
    Reply::Array(vec![
        Reply::text(spec.name),
        Reply::Integer(spec.arity.into()),
        Reply::Set(flags),
        Reply::Integer(first.into()),
        Reply::Integer(last.into()),
        Reply::Integer(step.into()),
        Reply::Set(categories(spec).map(Reply::Simple).collect()),
        Reply::Array(Vec::new()),
        Reply::Array(Vec::new()),
        Reply::Array(Vec::new()),
    ])
}

/// The categories that follow from flags and group.
fn categories(spec: &CommandSpec) -> impl Iterator<Item = &'static str> {
    let group = match spec.group {
        "string" => "@string",
        "hash" => "@hash",
        "list" => "@list",
        "set" => "@set",
        "sorted-set" => "@sortedset",
        "stream" => "@stream",
        "hyperloglog" => "@hyperloglog",
        "bitmap" => "@bitmap",
        "generic" => "@keyspace",
        "connection" => "@connection",
        "transactions" => "@transaction",
        "scripting" => "@scripting",
        "pubsub" => "@pubsub",
        _ => "@admin",
    };
    let flagged = [
        (Flags::WRITE, "@write"),
        (Flags::READONLY, "@read"),
        (Flags::FAST, "@fast"),
        (Flags::BLOCKING, "@blocking"),
    ];
    let flags = spec.flags;
    let speed = (!flags.has(Flags::FAST)).then_some("@slow");
    flagged
        .into_iter()
        .filter_map(move |(flag, name)| flags.has(flag).then_some(name))
        .chain(speed)
        .chain([group])
}

fn docs(spec: &CommandSpec) -> (Reply, Reply) {
    let pair = |name, value| (Reply::text(name), Reply::text(value));
    let fields =
        vec![pair("summary", spec.summary), pair("since", spec.since), pair("group", spec.group)];
    (Reply::text(spec.name), Reply::Map(fields))
}

fn list(by: &[u8], value: &Bytes) -> Result<Reply, CommandError> {
    let wanted = text(value).to_ascii_lowercase();
    let names = |keep: &dyn Fn(&CommandSpec) -> bool| {
        let kept = table::all().filter(|spec| keep(spec));
        Reply::Array(kept.map(|spec| Reply::text(spec.name)).collect())
    };
    if is(by, "aclcat") {
        let wanted = format!("@{wanted}");
        return Ok(names(&|spec| categories(spec).any(|category| category == wanted)));
    }
    if is(by, "pattern") {
        return Ok(names(&|spec| {
            posthouse_keyspace::glob_matches(wanted.as_bytes(), spec.name.as_bytes())
        }));
    }
    if is(by, "module") {
        return Ok(Reply::Array(Vec::new()));
    }
    Err(CommandError::Syntax)
}

fn keys_of(request: &[Bytes]) -> Result<Reply, CommandError> {
    let entry = table::find(&request[0])
        .ok_or_else(|| CommandError::said("ERR Invalid command specified"))?;
    if matches!(entry.spec.keys, Keys::None) {
        return Err(CommandError::said("ERR The command has no key arguments"));
    }
    if !entry.spec.takes(request.len()) {
        return Err(CommandError::said("ERR Invalid number of arguments specified for command"));
    }
    let indexes = entry.spec.key_indexes(request);
    let keys: Vec<Reply> =
        indexes.filter_map(|index| Some(request.get(index)?.clone().into())).collect();
    if keys.is_empty() {
        return Err(CommandError::said("ERR Invalid arguments specified for command"));
    }
    Ok(Reply::Array(keys))
}
