//! The script that is being run: for how long, whether it may be ended, and who waits for it.
//!
//! There is never more than one, because a script holds the keys from its first instruction on.
//!
//! # Invariants
//! - Whoever finds that no script runs may still have to wait for the keys: another may just begin.
//! - A script is asked to end, never made to: it looks from time to time ([`RunningScript::look`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::{BoxFuture, select};
use parking_lot::Mutex;
use posthouse_types::Clock;
use tokio::sync::Notify;
use tokio::time::sleep_until;

use crate::codec::Reply;
use crate::errors::CommandError;
use crate::threads::make_way;

/// Redis's default of `busy-reply-threshold`.
const LIMIT_MS: i64 = 5000;
/// A script that takes longer leaves its thread's other tasks to another thread; the many that take
/// less do not pay for that.
const ALONE: Duration = Duration::from_millis(2);
/// How often it is made sure that they have gone, which costs a hundredth of the time.
const MAKE_WAY_INTERVAL: Duration = Duration::from_millis(100);
/// How long a script may go on when the node stops.
const STOPPING: Duration = Duration::from_secs(1);

/// The script that is being run, if there is one.
pub(crate) struct RunningScript {
    clock: Arc<dyn Clock>,
    /// What every command looks at; the rest is only looked at when this is set.
    active: AtomicBool,
    run: Mutex<Option<Run>>,
    wrote: AtomicBool,
    killed: AtomicBool,
    stopping: AtomicBool,
    ended: Arc<Notify>,
    /// `busy-reply-threshold`, once `lua-time-limit`, in milliseconds; 0 for none.
    pub(crate) limit_ms: AtomicI64,
}

#[derive(Clone, Copy)]
struct Run {
    since: Instant,
    make_way_at: Instant,
}

impl RunningScript {
    /// None is run.
    pub(crate) fn new(clock: Arc<dyn Clock>) -> RunningScript {
        RunningScript {
            clock,
            active: AtomicBool::new(false),
            run: Mutex::new(None),
            wrote: AtomicBool::new(false),
            killed: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            ended: Arc::new(Notify::new()),
            limit_ms: AtomicI64::new(LIMIT_MS),
        }
    }

    /// A script begins; the keys are held.
    pub(super) fn begin(&self) {
        let since = self.clock.now();
        *self.run.lock() = Some(Run { since, make_way_at: since + ALONE });
        self.killed.store(false, Ordering::Relaxed);
        self.wrote.store(false, Ordering::Relaxed);
        self.active.store(true, Ordering::Release);
    }

    /// It is over; those who wait for it go on.
    pub(super) fn end(&self) {
        *self.run.lock() = None;
        self.active.store(false, Ordering::Release);
        self.ended.notify_waiters();
    }

    pub(super) fn note_write(&self) {
        self.wrote.store(true, Ordering::Relaxed);
    }

    /// What the script does every now and then: leaves its thread to others when it takes long, and
    /// hears whether it has to end, and why.
    pub(super) fn look(&self) -> Result<(), &'static str> {
        if let Some(why) = self.has_to_end() {
            return Err(why);
        }
        let now = self.clock.now();
        let due = match &mut *self.run.lock() {
            Some(run) if run.make_way_at <= now => {
                run.make_way_at = now + MAKE_WAY_INTERVAL;
                true
            }
            _ => false,
        };
        if due {
            make_way();
        }
        Ok(())
    }

    /// Why the script has to end, if it has to.
    pub(super) fn has_to_end(&self) -> Option<&'static str> {
        if self.killed.load(Ordering::Relaxed) {
            return Some("ERR Script killed by user with SCRIPT KILL...");
        }
        let overdue = self.stopping.load(Ordering::Relaxed)
            && self.took(self.clock.now()).is_some_and(|took| took >= STOPPING);
        overdue.then_some("ERR Script ended because the node stops")
    }

    /// The node stops: no script goes on for long.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Whether it has run for so long that others are told of it instead of waiting for it.
    pub(crate) fn is_slow(&self, now: Instant) -> bool {
        self.active.load(Ordering::Acquire)
            && match (self.limit(), self.took(now)) {
                (Some(limit), Some(took)) => took >= limit,
                _ => false,
            }
    }

    /// Ready when the script is over, or [`RunningScript::is_slow`]; `None` when nobody has to wait.
    pub(crate) fn wait(&self, now: Instant) -> Option<BoxFuture<'static, ()>> {
        if !self.active.load(Ordering::Acquire) || self.is_slow(now) {
            return None;
        }
        // Listens before it looks again, so that the end is not missed.
        let mut ended = Box::pin(Arc::clone(&self.ended).notified_owned());
        ended.as_mut().enable();
        let since = (*self.run.lock())?.since;
        Some(match self.limit() {
            None => ended.boxed(),
            Some(limit) => {
                let slow = Box::pin(sleep_until((since + limit).into()));
                select(ended, slow).map(|_| ()).boxed()
            }
        })
    }

    /// `SCRIPT KILL`: ends it, unless it has changed something.
    pub(super) fn kill(&self) -> Result<Reply, CommandError> {
        if !self.active.load(Ordering::Acquire) {
            return Err(CommandError::said("NOTBUSY No scripts in execution right now."));
        }
        if self.wrote.load(Ordering::Relaxed) {
            return Err(CommandError::said(
                "UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the script termination or kill the server in a hard way using the SHUTDOWN NOSAVE command.",
            ));
        }
        self.killed.store(true, Ordering::Relaxed);
        Ok(Reply::OK)
    }

    fn took(&self, now: Instant) -> Option<Duration> {
        let run = *self.run.lock();
        run.map(|run| now.saturating_duration_since(run.since))
    }

    fn limit(&self) -> Option<Duration> {
        let limit = u64::try_from(self.limit_ms.load(Ordering::Relaxed)).unwrap_or(0);
        (limit > 0).then(|| Duration::from_millis(limit))
    }
}

#[cfg(test)]
mod tests {
    use posthouse_types::SystemClock;

    use super::*;

    fn running() -> RunningScript {
        RunningScript::new(Arc::new(SystemClock))
    }

    #[tokio::test]
    async fn nobody_waits_for_a_script_that_is_not_run_or_is_slow() {
        let script = running();
        let now = Instant::now();
        assert!(script.wait(now).is_none());
        assert!(script.kill().unwrap_err().to_string().starts_with("NOTBUSY"));
        script.begin();
        let since = Instant::now();
        assert!(script.wait(now).is_some());
        assert!(!script.is_slow(since));
        let later = since + Duration::from_secs(6);
        assert!(script.is_slow(later) && script.wait(later).is_none());
        script.limit_ms.store(0, Ordering::Relaxed);
        assert!(!script.is_slow(later) && script.wait(later).is_some(), "0 is no limit");
    }

    #[tokio::test]
    async fn who_waits_goes_on_when_the_script_is_over() {
        let script = running();
        script.begin();
        let wait = script.wait(Instant::now()).unwrap();
        script.end();
        wait.await;
    }

    #[test]
    fn only_a_script_that_has_written_nothing_is_killed() {
        let script = running();
        script.begin();
        script.note_write();
        assert!(script.kill().unwrap_err().to_string().starts_with("UNKILLABLE"));
        assert_eq!(script.look(), Ok(()));
        script.end();
        script.begin();
        script.kill().unwrap();
        assert!(script.look().unwrap_err().contains("killed by user"));
        script.end();
        script.begin();
        assert_eq!(script.look(), Ok(()), "the next is another");
    }
}
