//! What a process has cost, from /proc.

use anyhow::{Context, Result};

/// Clock ticks of /proc, which Linux fixes for user space.
const TICKS_PER_SECOND: f64 = 100.0;

/// User and system time of a process so far.
pub(crate) fn cpu_seconds(process: u32) -> Result<f64> {
    let path = format!("/proc/{process}/stat");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    // The name before it may hold anything, a parenthesis too.
    let (_, fields) = text.rsplit_once(')').context("no name in the process's status")?;
    let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
    let ticks = |index: usize| -> Result<f64> {
        Ok(fields.get(index).context("the process's status is too short")?.parse()?)
    };
    Ok((ticks(11)? + ticks(12)?) / TICKS_PER_SECOND)
}
