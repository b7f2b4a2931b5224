//! Counts that `INFO` shows and `CONFIG RESETSTAT` forgets.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::table;

/// The counts.
pub(crate) struct Statistics {
    calls: Vec<Calls>,
    errors: Mutex<BTreeMap<String, u64>>,
    pub(crate) commands: AtomicU64,
    pub(crate) bytes_in: AtomicU64,
    pub(crate) bytes_out: AtomicU64,
    pub(crate) disconnected: AtomicU64,
}

#[derive(Default)]
struct Calls {
    count: AtomicU64,
    microseconds: AtomicU64,
    failed: AtomicU64,
}

/// LIMIT: kinds of errors that are told apart; further ones are not.
const ERROR_KINDS_MAX: usize = 128;

impl Statistics {
    /// Nothing has happened.
    pub(crate) fn new() -> Statistics {
        Statistics {
            calls: table::all().map(|_| Calls::default()).collect(),
            errors: Mutex::default(),
            commands: AtomicU64::new(0),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            disconnected: AtomicU64::new(0),
        }
    }

    /// A command has run.
    pub(crate) fn ran(&self, index: usize, took: Duration) {
        let calls = &self.calls[index];
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        calls.count.fetch_add(1, Ordering::Relaxed);
        calls.microseconds.fetch_add(took, Ordering::Relaxed);
        self.commands.fetch_add(1, Ordering::Relaxed);
    }

    /// A command has answered with an error; `index` is `None` when there is no such command.
    pub(crate) fn failed(&self, index: Option<usize>, text: &str) {
        if let Some(index) = index {
            self.calls[index].failed.fetch_add(1, Ordering::Relaxed);
        }
        let code = text.split(' ').next().unwrap_or_default();
        let mut errors = self.errors.lock();
        if let Some(count) = errors.get_mut(code) {
            *count += 1;
        } else if errors.len() < ERROR_KINDS_MAX {
            errors.insert(code.to_owned(), 1);
        }
    }

    /// Forgets everything.
    pub(crate) fn reset(&self) {
        for calls in &self.calls {
            for count in [&calls.count, &calls.microseconds, &calls.failed] {
                count.store(0, Ordering::Relaxed);
            }
        }
        for count in [&self.commands, &self.bytes_in, &self.bytes_out, &self.disconnected] {
            count.store(0, Ordering::Relaxed);
        }
        self.errors.lock().clear();
    }

    /// Lines of `INFO commandstats`.
    pub(crate) fn command_lines(&self) -> String {
        let mut lines = String::new();
        for (spec, calls) in table::all().zip(&self.calls) {
            let count = calls.count.load(Ordering::Relaxed);
            let failed = calls.failed.load(Ordering::Relaxed);
            if count == 0 && failed == 0 {
                continue;
            }
            let microseconds = calls.microseconds.load(Ordering::Relaxed);
            let each = microseconds.checked_div(count).unwrap_or(0);
            lines += &format!(
                "cmdstat_{}:calls={count},usec={microseconds},usec_per_call={each}.00,rejected_calls=0,failed_calls={failed}\r\n",
                spec.name
            );
        }
        lines
    }

    /// Lines of `INFO errorstats`.
    pub(crate) fn error_lines(&self) -> String {
        let errors = self.errors.lock();
        errors.iter().map(|(code, count)| format!("errorstat_{code}:count={count}\r\n")).collect()
    }

    /// Errors of all kinds.
    pub(crate) fn errors(&self) -> u64 {
        self.errors.lock().values().sum()
    }
}
