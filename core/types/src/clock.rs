//! The only way to read the time, so that tests own it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::Timestamp;

/// Reads the time.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// A moment that never goes back, for timeouts.
    fn now(&self) -> Instant;
    /// The wall clock, for what is stored; it may go back.
    fn wall(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn wall(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_ms(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }
}

/// A clock that moves only when told to.
#[derive(Clone, Debug)]
pub struct ManualClock {
    origin: Instant,
    elapsed_ms: Arc<AtomicI64>,
    wall_origin: Timestamp,
}

impl ManualClock {
    /// A clock that shows `wall` until it is advanced.
    pub fn new(wall: Timestamp) -> ManualClock {
        ManualClock {
            origin: Instant::now(),
            elapsed_ms: Arc::new(AtomicI64::new(0)),
            wall_origin: wall,
        }
    }

    /// Moves both readings forward.
    pub fn advance(&self, by: Duration) {
        let by_ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.elapsed_ms.fetch_add(by_ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        let elapsed_ms = self.elapsed_ms.load(Ordering::SeqCst);
        self.origin + Duration::from_millis(u64::try_from(elapsed_ms).unwrap_or(0))
    }

    fn wall(&self) -> Timestamp {
        Timestamp::from_ms(self.wall_origin.as_ms() + self.elapsed_ms.load(Ordering::SeqCst))
    }
}
