//! `XINFO`.

use std::sync::Arc;

use bytes::Bytes;

use crate::codec::Reply;
use crate::commands::text;
use crate::errors::CommandError;
use crate::table::{Call, CommandSpec, Flags, Handler, Outcome};

use super::stream_groups;
use super::streams::later;

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
        ("stream", [_, ..]) => Err(CommandError::Syntax),
        ("help", []) => Ok(Outcome::Reply(Reply::Array(vec![
            Reply::Simple("XINFO <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"),
            Reply::Simple("CONSUMERS <key> <groupname>, GROUPS <key>, STREAM <key>, HELP"),
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
    let (server, db) = (Arc::clone(call.server), call.client.db);
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
        let id = |id: crate::streams::StreamId| Reply::bulk(id.to_string());
        let added = i64::try_from(summary.added).unwrap_or(i64::MAX);
        Ok(Reply::Map(vec![
            (Reply::text("length"), Reply::count(summary.len)),
            (Reply::text("radix-tree-keys"), Reply::count(summary.len.div_ceil(100))),
            (Reply::text("radix-tree-nodes"), Reply::count(summary.len.div_ceil(100) + 1)),
            (Reply::text("last-generated-id"), id(summary.last)),
            (Reply::text("max-deleted-entry-id"), id(summary.deleted)),
            (Reply::text("entries-added"), Reply::Integer(added)),
            (Reply::text("recorded-first-entry-id"), id(summary.first.unwrap_or_default())),
            (Reply::text("groups"), Reply::count(groups)),
            (Reply::text("first-entry"), first),
            (Reply::text("last-entry"), newest),
        ]))
    })
}
