//! Cancelling a statement from another connection.
//!
//! Owns the secret of every open session. A `CancelRequest` that does not know it does nothing, and
//! is told nothing, as the protocol has it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// All sessions of the door, by the process id that their clients were given.
#[derive(Default)]
pub(crate) struct Sessions {
    next_process: AtomicI32,
    open: Mutex<HashMap<i32, Entry>>,
}

struct Entry {
    secret: [u8; 4],
    running: Arc<Running>,
}

/// The statement that a session is running, if it is running one.
#[derive(Default)]
pub(crate) struct Running(Mutex<Option<CancellationToken>>);

/// A session's place among the others; leaves when dropped.
pub(crate) struct Registration {
    sessions: Arc<Sessions>,
    pub(crate) process: i32,
    pub(crate) secret: [u8; 4],
    pub(crate) running: Arc<Running>,
}

impl Sessions {
    /// Gives a session a process id and a secret.
    pub(crate) fn register(self: &Arc<Self>) -> Registration {
        let running = Arc::new(Running::default());
        let [a, b, c, d, ..] = *Uuid::new_v4().as_bytes();
        let secret = [a, b, c, d];
        let mut open = self.open.lock();
        let process = loop {
            let next = self.next_process.fetch_add(1, Ordering::Relaxed).wrapping_add(1) & i32::MAX;
            if next != 0 && !open.contains_key(&next) {
                break next;
            }
        };
        open.insert(process, Entry { secret, running: Arc::clone(&running) });
        Registration { sessions: Arc::clone(self), process, secret, running }
    }

    /// Cancels what session `process` runs, if the secret is its own.
    pub(crate) fn cancel(&self, process: i32, secret: &Bytes) {
        if let Some(entry) = self.open.lock().get(&process)
            && entry.secret[..] == secret[..]
        {
            entry.running.cancel();
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.sessions.open.lock().remove(&self.process);
    }
}

impl Running {
    /// A statement begins; the token is cancelled when it should end.
    pub(crate) fn begin(&self) -> CancellationToken {
        let token = CancellationToken::new();
        *self.0.lock() = Some(token.clone());
        token
    }

    /// The statement is over: a request that comes now is too late.
    pub(crate) fn end(&self) {
        *self.0.lock() = None;
    }

    fn cancel(&self) {
        if let Some(token) = &*self.0.lock() {
            token.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_secret_cancels_and_only_while_something_runs() {
        let sessions = Arc::new(Sessions::default());
        let one = sessions.register();
        let other = sessions.register();
        let secret = Bytes::copy_from_slice(&one.secret);
        let token = one.running.begin();
        let wrong = Bytes::from(vec![one.secret[0] ^ 1, one.secret[1], one.secret[2], 0]);
        sessions.cancel(one.process, &wrong);
        sessions.cancel(other.process, &secret);
        assert!(!token.is_cancelled());
        one.running.end();
        sessions.cancel(one.process, &secret);
        assert!(!token.is_cancelled());
        let token = one.running.begin();
        sessions.cancel(one.process, &secret);
        assert!(token.is_cancelled());
    }

    #[test]
    fn a_closed_session_is_forgotten() {
        let sessions = Arc::new(Sessions::default());
        let process = sessions.register().process;
        assert!(sessions.open.lock().is_empty());
        assert_ne!(sessions.register().process, process);
    }
}
