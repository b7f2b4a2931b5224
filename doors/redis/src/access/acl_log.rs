//! `ACL LOG`: what was refused lately, for the one who sets permissions right.
//!
//! The node's audit log keeps all refusals of all doors; this is what Redis's tools ask for.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use parking_lot::Mutex;
use posthouse_types::Clock;

use crate::commands::client::line;
use crate::registry::Handle;

/// LIMIT: refusals that are kept; Redis's `acllog-max-len`.
const ENTRIES_MAX: usize = 128;

/// LIMIT: what is kept of a refused key's name.
const OBJECT_BYTES_MAX: usize = 256;

/// Refusals, the latest first.
#[derive(Default)]
pub(crate) struct AclLog {
    entries: Mutex<VecDeque<Entry>>,
}

/// What was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Denial {
    pub(crate) reason: Reason,
    pub(crate) context: Context,
    pub(crate) user: String,
    /// The command, the key, or the channel.
    pub(crate) object: Bytes,
}

/// Why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Auth,
    Command,
    Key,
    Channel,
}

/// Where the command was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Context {
    TopLevel,
    Transaction,
    Script,
}

/// Equal refusals, counted.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) denial: Denial,
    pub(crate) count: i64,
    /// Of the latest.
    pub(crate) at: Instant,
    pub(crate) client: String,
}

impl Denial {
    /// A refusal.
    pub(crate) fn new(reason: Reason, context: Context, user: &str, object: &[u8]) -> Denial {
        let object = Bytes::copy_from_slice(&object[..object.len().min(OBJECT_BYTES_MAX)]);
        Denial { reason, context, user: user.to_owned(), object }
    }
}

impl Reason {
    /// As Redis names it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Reason::Auth => "auth",
            Reason::Command => "command",
            Reason::Key => "key",
            Reason::Channel => "channel",
        }
    }
}

impl Context {
    /// As Redis names it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Context::TopLevel => "toplevel",
            Context::Transaction => "multi",
            Context::Script => "lua",
        }
    }
}

impl AclLog {
    /// Notes a refusal; one that is there already is counted.
    pub(crate) fn note(&self, denial: Denial, client: &Handle, clock: &Arc<dyn Clock>) {
        let at = clock.now();
        let client = line(client, at);
        let mut entries = self.entries.lock();
        let before = entries.iter().position(|entry| entry.denial == denial);
        let count = before.and_then(|at| entries.remove(at)).map_or(0, |entry| entry.count);
        entries.push_front(Entry { denial, count: count + 1, at, client });
        entries.truncate(ENTRIES_MAX);
    }

    /// The latest ones.
    pub(crate) fn latest(&self, count: usize) -> Vec<Entry> {
        self.entries.lock().iter().take(count).cloned().collect()
    }

    /// Forgets them.
    pub(crate) fn clear(&self) {
        self.entries.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use posthouse_types::SystemClock;

    use super::*;
    use crate::registry::Registry;

    #[test]
    fn equal_refusals_are_counted_and_the_oldest_forgotten() {
        let log = AclLog::default();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let address = "127.0.0.1:1".parse().unwrap();
        let member = Arc::new(Registry::default()).join(address, address);
        let note = |object: &[u8]| {
            let denial = Denial::new(Reason::Key, Context::TopLevel, "alice", object);
            log.note(denial, &member.handle, &clock);
        };
        note(b"a");
        note(b"b");
        note(b"a");
        let latest = log.latest(10);
        let shown: Vec<_> =
            latest.iter().map(|entry| (&entry.denial.object[..], entry.count)).collect();
        assert_eq!(shown, [(&b"a"[..], 2), (&b"b"[..], 1)]);
        for number in 0..1000 {
            note(format!("{number}").as_bytes());
        }
        assert_eq!(log.latest(usize::MAX).len(), ENTRIES_MAX);
        note(&[b'x'; 10_000]);
        assert_eq!(log.latest(1)[0].denial.object.len(), OBJECT_BYTES_MAX);
        log.clear();
        assert!(log.latest(1).is_empty());
    }
}
