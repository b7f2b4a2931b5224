//! This process as its operating system sees it, in Prometheus' customary names.

use std::fmt::Write as _;
use std::fs;

/// The metrics as Prometheus text; empty where there is no `/proc`.
pub(crate) fn metrics() -> String {
    let mut text = String::new();
    if let Some(usage) = usage() {
        let mut metric = |name: &str, kind: &str, help: &str, value: f64| {
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n\n");
        };
        metric(
            "process_cpu_seconds_total",
            "counter",
            "User and system CPU time.",
            usage.cpu_seconds,
        );
        metric("process_resident_memory_bytes", "gauge", "Memory in use.", usage.resident_bytes);
        metric("process_threads", "gauge", "Threads.", usage.threads);
        metric("process_open_fds", "gauge", "Open file descriptors.", usage.open_fds);
    }
    text
}

struct Usage {
    cpu_seconds: f64,
    resident_bytes: f64,
    threads: f64,
    open_fds: f64,
}

fn usage() -> Option<Usage> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let open_fds = fs::read_dir("/proc/self/fd").ok()?.count();
    let (ticks, threads, resident_pages) = parse_stat(&stat)?;
    #[expect(clippy::cast_precision_loss, reason = "metrics are floats")]
    Some(Usage {
        cpu_seconds: ticks as f64 / rustix::param::clock_ticks_per_second() as f64,
        resident_bytes: resident_pages as f64 * rustix::param::page_size() as f64,
        threads: threads as f64,
        open_fds: open_fds as f64,
    })
}

/// SPEC: proc(5), `/proc/pid/stat`: after the command in parentheses, fields 14 and 15 are user and
/// system ticks, 20 the threads, 24 the resident pages.
fn parse_stat(stat: &str) -> Option<(u64, u64, u64)> {
    let (_, after_command) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = after_command.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    Some((field(14)? + field(15)?, field(20)?, field(24)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_with_parentheses_does_not_shift_the_fields() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 9 0 0 0 31 11 0 0 20 0 5 0 100 1000 42 9";
        assert_eq!(parse_stat(stat), Some((42, 5, 42)));
    }
}
