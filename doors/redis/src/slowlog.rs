//! Commands that took long, for `SLOWLOG`.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use posthouse_types::{Clock, Timestamp};

use crate::registry::Handle;

/// LIMIT: arguments kept of a command, and bytes kept of an argument; Redis's limits.
const ARGUMENTS_MAX: usize = 32;
const ARGUMENT_BYTES_MAX: usize = 128;

/// The log: the newest first.
pub(crate) struct SlowLog {
    entries: Mutex<VecDeque<SlowCommand>>,
    next_id: AtomicI64,
    /// `slowlog-log-slower-than`, in microseconds; negative means never.
    pub(crate) threshold_us: AtomicI64,
    /// `slowlog-max-len`.
    pub(crate) len_max: AtomicI64,
}

/// A command that took long.
#[derive(Clone, Debug)]
pub(crate) struct SlowCommand {
    pub(crate) id: i64,
    pub(crate) at: Timestamp,
    pub(crate) took: Duration,
    pub(crate) arguments: Vec<Bytes>,
    pub(crate) peer: String,
    pub(crate) name: Bytes,
}

impl SlowLog {
    /// Empty, with Redis's limits.
    pub(crate) fn new() -> SlowLog {
        SlowLog {
            entries: Mutex::default(),
            next_id: AtomicI64::new(0),
            threshold_us: AtomicI64::new(10_000),
            len_max: AtomicI64::new(128),
        }
    }

    /// Notes a command if it was slow.
    pub(crate) fn note(
        &self,
        took: Duration,
        clock: &Arc<dyn Clock>,
        arguments: &[Bytes],
        client: &Handle,
    ) {
        let threshold = self.threshold_us.load(Ordering::Relaxed);
        let took_us = i64::try_from(took.as_micros()).unwrap_or(i64::MAX);
        if threshold < 0 || took_us < threshold {
            return;
        }
        let entry = SlowCommand {
            id: self.next_id.fetch_add(1, Ordering::Relaxed),
            at: clock.wall(),
            took,
            arguments: shortened(arguments),
            peer: client.peer.to_string(),
            name: client.shown().name,
        };
        let len_max = usize::try_from(self.len_max.load(Ordering::Relaxed)).unwrap_or(0);
        let mut entries = self.entries.lock();
        entries.push_front(entry);
        entries.truncate(len_max);
    }

    /// The newest entries.
    pub(crate) fn newest(&self, count: usize) -> Vec<SlowCommand> {
        self.entries.lock().iter().take(count).cloned().collect()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.lock().len()
    }

    /// Forgets them.
    pub(crate) fn clear(&self) {
        self.entries.lock().clear();
    }
}

fn shortened(arguments: &[Bytes]) -> Vec<Bytes> {
    let whole = arguments.len() <= ARGUMENTS_MAX;
    let kept = if whole { arguments.len() } else { ARGUMENTS_MAX - 1 };
    let mut shown: Vec<Bytes> = arguments[..kept]
        .iter()
        .map(|argument| {
            let more = argument.len().saturating_sub(ARGUMENT_BYTES_MAX);
            if more == 0 {
                return Bytes::copy_from_slice(argument);
            }
            let mut text = argument[..ARGUMENT_BYTES_MAX].to_vec();
            text.extend_from_slice(format!("... ({more} more bytes)").as_bytes());
            text.into()
        })
        .collect();
    if !whole {
        shown.push(format!("... ({} more arguments)", arguments.len() - kept).into());
    }
    shown
}
