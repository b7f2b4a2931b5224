//! `XINFO`.

use bytes::Bytes;

use crate::codec::Reply;
use crate::commands::text;
use crate::errors::CommandError;
use crate::table::{Call, CommandSpec, Flags, Handler, Outcome};

use super::stream_full::{heading, pair};
use super::streams::later;
use super::{stream_full, stream_groups};

pub(crate) const COMMANDS: &[CommandSpec] =
    &[CommandSpec::new("xinfo", -2, "stream", Handler::After(xinfo))
        .flag(Flags::READONLY)
        .keys(2, 2, 1)
        .about("5.0.0", "A container for stream introspection commands.")];

fn xinfo(call: &mut Call<'_>, arguments: &[Bytes]) -> Result<Outcome, CommandError> {
    let subcommand = text(&arguments[1]).to_ascii_lowercase();
    match (subcommand.as_str(), &arguments[2..]) {
        ("stream", [key]) => Ok(stream(call, key.clone())),
        ("groups", [key]) => Ok(stream_groups::groups(call, key.clone())),
        ("consumers", [key, group]) => {
            Ok(stream_groups::consumers(call, key.clone(), group.clone()))
        }
        ("stream", [key, options @ ..]) if !options.is_empty() => {
            stream_full::full(call, key.clone(), options)
        }
        ("help", []) => Ok(Outcome::Reply(Reply::Array(vec![
            Reply::Simple("XINFO <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"),
            Reply::Simple(
                "CONSUMERS <key> <groupname>, GROUPS <key>, STREAM <key> [FULL [COUNT <count>]], HELP",
            ),
        ]))),
        ("stream" | "groups" | "consumers" | "help", _) => {
            Err(CommandError::Arity(format!("xinfo|{subcommand}")))
        }
        _ => Err(CommandError::UnknownSubcommand {
            command: "XINFO",
            subcommand: text(&arguments[1]),
        }),
    }
}

fn stream(call: &Call<'_>, key: Bytes) -> Outcome {
    let (server, db) = (call.asker(), call.client.db);
    later(async move {
        let stream = server.followed(db, &key).await?.ok_or(CommandError::NoSuchKey)?;
        let groups = server.broker.queue_list(&server.principal, Some(&stream.topic)).await?.len();
        let summary = stream.summary();
        let mut ends = Vec::new();
        for id in [summary.first, summary.newest] {
            ends.push(match id {
                Some(id) => {
                    let read = stream.read(&[id]).await?;
                    read.into_iter().next().map_or(Reply::NullArray, super::streams::entry)
                }
                None => Reply::NullArray,
            });
        }
        let newest = ends.pop().unwrap_or(Reply::NullArray);
        let first = ends.pop().unwrap_or(Reply::NullArray);
        let mut parts = heading(&stream);
        parts.push(pair("groups", Reply::count(groups)));
        parts.push(pair("first-entry", first));
        parts.push(pair("last-entry", newest));
        Ok(Reply::Map(parts))
    })
}
