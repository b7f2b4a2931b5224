//! The threads that write and force what logs have queued.
//!
//! Owns a queue of logs with something to commit and a pool of threads that take from it. While one
//! thread waits for the disk, that log's next batches pile up and are committed together, and other
//! logs are committed by other threads: forcing many files at once costs the disk little more than
//! forcing one (docs/design/0001-log-layout.md).
//!
//! # Invariants
//! - A log is in the queue, or with one thread, at most once.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};

use super::log::LocalLog;

/// The pool.
#[derive(Debug)]
pub(crate) struct Committer {
    queue: Arc<Queue>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// What is to be committed.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    logs: VecDeque<Arc<LocalLog>>,
    idle_threads: usize,
    stopped: bool,
}

impl Queue {
    /// Hands a log to the pool. The caller has made sure that it is not there already.
    pub(crate) fn push(&self, log: Arc<LocalLog>) {
        let mut waiting = self.waiting.lock();
        waiting.logs.push_back(log);
        if waiting.idle_threads > 0 {
            self.wake.notify_one();
        }
    }

    fn pop(&self) -> Option<Arc<LocalLog>> {
        let mut waiting = self.waiting.lock();
        loop {
            if let Some(log) = waiting.logs.pop_front() {
                return Some(log);
            }
            if waiting.stopped {
                return None;
            }
            waiting.idle_threads += 1;
            self.wake.wait(&mut waiting);
            waiting.idle_threads -= 1;
        }
    }
}

impl Committer {
    /// Starts `threads` threads.
    ///
    /// # Errors
    /// The operating system's, when it refuses a thread.
    pub(crate) fn start(threads: usize) -> std::io::Result<Committer> {
        let queue = Arc::new(Queue::default());
        let threads = (0..threads.max(1))
            .map(|index| {
                let queue = Arc::clone(&queue);
                std::thread::Builder::new().name(format!("log-commit-{index}")).spawn(move || {
                    while let Some(log) = queue.pop() {
                        log.commit();
                    }
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(Committer { queue, threads: Mutex::new(threads) })
    }

    pub(crate) fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }

    /// Commits what is queued and ends the threads.
    pub(crate) fn stop(&self) {
        self.queue.waiting.lock().stopped = true;
        self.queue.wake.notify_all();
        for thread in self.threads.lock().drain(..) {
            if thread.join().is_err() {
                tracing::error!("a commit thread panicked");
            }
        }
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.stop();
    }
}
