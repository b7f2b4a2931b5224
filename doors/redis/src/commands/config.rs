//! `CONFIG`: parameters, and forgetting counts.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use posthouse_keyspace::DATABASES;

use crate::codec::Reply;
use crate::commands::text;
use crate::errors::CommandError;
use crate::keys::KeysDurability;
use crate::parameters;
use crate::parameters::{parse_number, refused};
use crate::server::Server;
use crate::table::{Call, CommandSpec, Flags, Handler};

pub(crate) const COMMANDS: &[CommandSpec] =
    &[CommandSpec::new("config", -2, "server", Handler::Now(config))
        .flag(Flags::ADMIN)
        .flag(Flags::NO_SCRIPT)
        .about("2.0.0", "A container for server configuration commands.")];

fn config(call: &mut Call<'_>, arguments: &[Bytes]) -> Result<Reply, CommandError> {
    let subcommand = text(&arguments[1]).to_ascii_lowercase();
    let server = call.server;
    match (subcommand.as_str(), &arguments[2..]) {
        ("get", patterns) if !patterns.is_empty() => Ok(get(server, patterns)),
        ("set", pairs) if !pairs.is_empty() && pairs.len().is_multiple_of(2) => set(server, pairs),
        ("resetstat", []) => {
            server.statistics.reset();
            Ok(Reply::OK)
        }
        ("rewrite", []) => {
            Err(CommandError::said("ERR The server is running without a config file"))
        }
        ("help", []) => Ok(Reply::Array(vec![
            Reply::Simple("CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"),
            Reply::Simple("GET <pattern>, SET <directive> <value>, RESETSTAT, REWRITE, HELP"),
        ])),
        ("get" | "set" | "resetstat" | "rewrite", _) => {
            Err(CommandError::Arity(format!("config|{subcommand}")))
        }
        _ => Err(CommandError::UnknownSubcommand {
            command: "CONFIG",
            subcommand: text(&arguments[1]),
        }),
    }
}

fn get(server: &Server, patterns: &[Bytes]) -> Reply {
    let patterns: Vec<Vec<u8>> =
        patterns.iter().map(|pattern| pattern.to_ascii_lowercase()).collect();
    let matches = |name: &str| {
        patterns.iter().any(|pattern| posthouse_keyspace::glob_matches(pattern, name.as_bytes()))
    };
    let all = all(server).into_iter().filter(|(name, _)| matches(name));
    Reply::Map(all.map(|(name, value)| (Reply::text(name), Reply::bulk(value))).collect())
}

fn all(server: &Server) -> BTreeMap<&'static str, String> {
    let mut all = server.parameters.all();
    let slowlog = &server.slowlog;
    all.insert("bind", server.address.ip().to_string());
    all.insert("port", server.address.port().to_string());
    all.insert("databases", DATABASES.to_string());
    let durability = server.keys.durability();
    all.insert("appendfsync", durability.redis_name().to_owned());
    all.insert("notify-keyspace-events", server.keys.notifications.letters());
    let limit = server.running_script.limit_ms.load(Ordering::Relaxed).to_string();
    all.insert("lua-time-limit", limit.clone());
    all.insert("busy-reply-threshold", limit);
    all.insert("io-threads", server.config.threads.to_string());
    all.insert("maxclients", server.config.connections.connections_max.to_string());
    all.insert("slowlog-max-len", slowlog.len_max.load(Ordering::Relaxed).to_string());
    all.insert("slowlog-log-slower-than", slowlog.threshold_us.load(Ordering::Relaxed).to_string());
    all
}

/// Sets all of them, or none when one is refused.
fn set(server: &Server, pairs: &[Bytes]) -> Result<Reply, CommandError> {
    let known = all(server);
    let mut changes = Vec::new();
    for pair in pairs.chunks_exact(2) {
        let (name, value) = (text(&pair[0]).to_ascii_lowercase(), text(&pair[1]));
        let Some(before) = known.get(name.as_str()) else {
            return Err(CommandError::Said(format!(
                "ERR Unknown option or number of arguments for CONFIG SET - '{name}'"
            )));
        };
        if changes.iter().any(|(earlier, _, _)| *earlier == name) {
            return Err(refused(&name, "duplicate parameter"));
        }
        changes.push((name, value, before.clone()));
    }
    for (index, (name, value, _)) in changes.iter().enumerate() {
        if let Err(reason) = set_one(server, name, value) {
            for (name, _, before) in &changes[..index] {
                set_one(server, name, before).expect("it was so before");
            }
            return Err(refused(name, &reason));
        }
    }
    Ok(Reply::OK)
}

fn set_one(server: &Server, name: &str, value: &str) -> Result<(), String> {
    if let Some(done) = server.parameters.set(name, value) {
        return done;
    }
    match name {
        "slowlog-log-slower-than" => {
            server.slowlog.threshold_us.store(parse_number(value, -1)?, Ordering::Relaxed);
        }
        "appendfsync" => {
            let durability = KeysDurability::parse(value)
                .ok_or("argument must be one of the following: everysec, always")?;
            server.keys.set_durability(durability);
        }
        "notify-keyspace-events" => {
            let known = server.keys.notify_of(value);
            known.ok_or("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")?;
        }
        "lua-time-limit" | "busy-reply-threshold" => {
            server.running_script.limit_ms.store(parse_number(value, 0)?, Ordering::Relaxed);
        }
        "slowlog-max-len" => {
            server.slowlog.len_max.store(parse_number(value, 0)?, Ordering::Relaxed);
        }
        "maxclients" => {
            let max = server.config.connections.connections_max;
            if parameters::parse_size(value) != Some(max) {
                return Err("it is set when the node starts".to_owned());
            }
        }
        _ => return Err("can't set immutable config".to_owned()),
    }
    Ok(())
}
