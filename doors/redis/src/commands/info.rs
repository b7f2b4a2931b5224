//! `INFO`: the sections that clients and tools read.

use std::fmt::Write;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use posthouse_keyspace::DatabaseIndex;

use crate::codec::Reply;
use crate::commands::text;
use crate::errors::CommandError;
use crate::server::{REDIS_VERSION, Server};
use crate::table::{Call, CommandSpec, Handler};

pub(crate) const COMMANDS: &[CommandSpec] =
    &[CommandSpec::new("info", -1, "server", Handler::Now(info))
        .about("1.0.0", "Returns information and statistics about the server.")];

type Section = (&'static str, fn(&Call<'_>) -> String);

const SECTIONS: &[Section] = &[
    ("Server", server),
    ("Clients", clients),
    ("Memory", memory),
    ("Persistence", persistence),
    ("Stats", stats),
    ("Replication", |_| "role:master\r\nconnected_slaves:0\r\nmaster_repl_offset:0\r\n".to_owned()),
    ("CPU", cpu),
    ("Modules", |_| String::new()),
    ("Commandstats", |call| call.server.statistics.command_lines()),
    ("Errorstats", |call| call.server.statistics.error_lines()),
    ("Cluster", |_| "cluster_enabled:0\r\n".to_owned()),
    ("Keyspace", keyspace),
];

/// Left out unless asked for.
const ON_REQUEST: &[&str] = &["Commandstats"];

fn info(call: &mut Call<'_>, arguments: &[Bytes]) -> Result<Reply, CommandError> {
    let asked: Vec<String> =
        arguments[1..].iter().map(|name| text(name).to_ascii_lowercase()).collect();
    let everything = asked.iter().any(|name| name == "all" || name == "everything");
    let default = asked.is_empty() || asked.iter().any(|name| name == "default");
    let mut report = String::new();
    for (name, write) in SECTIONS {
        let by_default = default && !ON_REQUEST.contains(name);
        let by_name = asked.contains(&name.to_ascii_lowercase());
        if everything || by_default || by_name {
            if !report.is_empty() {
                report.push_str("\r\n");
            }
            report += &format!("# {name}\r\n{}", write(call));
        }
    }
    Ok(Reply::Verbatim(report))
}

/// Appends a line; writing to a string cannot fail.
macro_rules! put {
    ($out:ident, $name:literal, $value:expr) => {
        let _ = write!($out, concat!($name, ":{}\r\n"), $value);
    };
}

fn server(call: &Call<'_>) -> String {
    let server = call.server;
    let uptime = call.now.saturating_duration_since(server.started).as_secs();
    let now_us = server.broker.clock().wall().as_ms().saturating_mul(1000);
    let mut out = String::new();
    put!(out, "redis_version", REDIS_VERSION);
    put!(out, "redis_git_sha1", "00000000");
    put!(out, "redis_git_dirty", 0);
    put!(out, "redis_build_id", 0);
    put!(out, "redis_mode", "standalone");
    put!(out, "posthouse_version", env!("CARGO_PKG_VERSION"));
    put!(out, "os", std::env::consts::OS);
    put!(out, "arch_bits", usize::BITS);
    put!(out, "process_id", std::process::id());
    put!(out, "run_id", server.run_id());
    put!(out, "tcp_port", server.address.port());
    put!(out, "server_time_usec", now_us);
    put!(out, "uptime_in_seconds", uptime);
    put!(out, "uptime_in_days", uptime / 86_400);
    put!(out, "hz", 10);
    put!(out, "configured_hz", 10);
    put!(out, "config_file", "");
    out
}

fn clients(call: &Call<'_>) -> String {
    let all = call.server.clients.all();
    let mut out = String::new();
    put!(out, "connected_clients", all.len());
    put!(out, "cluster_connections", 0);
    put!(out, "maxclients", call.server.config.connections.connections_max);
    put!(out, "blocked_clients", all.iter().filter(|client| client.is_blocked()).count());
    put!(out, "tracking_clients", 0);
    out
}

fn memory(call: &Call<'_>) -> String {
    let resident = resident_bytes();
    let mut out = String::new();
    put!(out, "used_memory", resident);
    put!(out, "used_memory_human", human(resident));
    put!(out, "used_memory_rss", resident);
    put!(out, "used_memory_rss_human", human(resident));
    put!(out, "used_memory_peak", resident);
    put!(out, "used_memory_peak_human", human(resident));
    put!(out, "used_memory_dataset", call.server.keys.memory());
    let max = u64::try_from(call.server.parameters.memory_max()).unwrap_or(u64::MAX);
    put!(out, "maxmemory", max);
    put!(out, "maxmemory_human", human(max));
    put!(out, "maxmemory_policy", "noeviction");
    put!(out, "mem_fragmentation_ratio", "1.00");
    put!(out, "mem_allocator", "system");
    put!(out, "lazyfree_pending_objects", 0);
    out
}

fn persistence(call: &Call<'_>) -> String {
    let seconds = call.server.broker.clock().wall().as_ms() / 1000;
    let mut out = String::new();
    put!(out, "loading", 0);
    put!(out, "async_loading", 0);
    put!(out, "rdb_changes_since_last_save", 0);
    put!(out, "rdb_bgsave_in_progress", 0);
    put!(out, "rdb_last_save_time", seconds);
    put!(out, "rdb_last_bgsave_status", "ok");
    put!(out, "aof_enabled", 1);
    put!(out, "aof_rewrite_in_progress", 0);
    put!(out, "aof_rewrite_scheduled", 0);
    put!(out, "aof_last_bgrewrite_status", "ok");
    put!(out, "aof_last_write_status", "ok");
    out
}

fn stats(call: &Call<'_>) -> String {
    let Server { clients, statistics, .. } = &**call.server;
    let count = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
    let mut out = String::new();
    put!(out, "total_connections_received", clients.total());
    put!(out, "total_commands_processed", count(&statistics.commands));
    put!(out, "instantaneous_ops_per_sec", 0);
    put!(out, "total_net_input_bytes", count(&statistics.bytes_in));
    put!(out, "total_net_output_bytes", count(&statistics.bytes_out));
    put!(out, "rejected_connections", 0);
    put!(out, "client_output_buffer_limit_disconnections", count(&statistics.disconnected));
    let mut keys = call.server.keys.lock();
    put!(out, "expired_keys", keys.keyspace().expired());
    keys.release();
    put!(out, "evicted_keys", 0);
    put!(out, "total_error_replies", statistics.errors());
    out
}

fn cpu(_: &Call<'_>) -> String {
    let (user, system) = cpu_seconds();
    let mut out = String::new();
    put!(out, "used_cpu_sys", format_args!("{system:.6}"));
    put!(out, "used_cpu_user", format_args!("{user:.6}"));
    out
}

fn keyspace(call: &Call<'_>) -> String {
    let mut keys = call.server.keys.lock();
    let mut out = String::new();
    for index in DatabaseIndex::all() {
        let (count, expires) = keys.keyspace().sizes(index);
        if count > 0 {
            let _ = write!(out, "db{}:keys={count},expires={expires},avg_ttl=0\r\n", index.get());
        }
    }
    keys.release();
    out
}

/// This process's memory; 0 where the system does not tell.
pub(crate) fn resident_bytes() -> u64 {
    // SPEC: proc(5), `/proc/self/statm`: the second number is resident pages.
    const PAGE_BYTES: u64 = 4096;
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split_ascii_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * PAGE_BYTES
}

/// This process's CPU time in seconds; 0 where the system does not tell.
fn cpu_seconds() -> (f64, f64) {
    // SPEC: proc(5), `/proc/self/stat`: after the name in brackets, the 12th and 13th are ticks.
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let rest = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let mut ticks = rest.split_ascii_whitespace().skip(11).map(|word| word.parse().unwrap_or(0.0));
    let mut next = || ticks.next().unwrap_or(0.0) / TICKS_PER_SECOND;
    (next(), next())
}

/// A size for people, as Redis writes it.
fn human(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
    let scaled = |shift: u32| bytes as f64 / (1_u64 << shift) as f64;
    match bytes {
        0..1024 => format!("{bytes}B"),
        1024..1_048_576 => format!("{:.2}K", scaled(10)),
        1_048_576..1_073_741_824 => format!("{:.2}M", scaled(20)),
        _ => format!("{:.2}G", scaled(30)),
    }
}
