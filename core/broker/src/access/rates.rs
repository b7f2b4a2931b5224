//! Rates of users: who moves more than it may waits, and nobody else does.

use parking_lot::Mutex;
use posthouse_access::Quota;
use posthouse_types::Principal;

use super::AuthenticationConfig;
use crate::{Broker, metrics};

/// Which way bytes go.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Direction {
    Written,
    Read,
}

/// What users have moved; nothing is counted where there is no limit.
#[derive(Debug)]
pub(crate) struct Rates {
    written: Option<Mutex<Quota>>,
    read: Option<Mutex<Quota>>,
}

impl Rates {
    pub(super) fn new(config: &AuthenticationConfig) -> Rates {
        let quota = |rate: Option<_>| rate.map(|rate| Mutex::new(Quota::new(rate)));
        Rates { written: quota(config.write_rate), read: quota(config.read_rate) }
    }
}

impl Broker {
    /// Waits until a principal may go on after so many bytes.
    ///
    /// # Cancellation
    /// Safe to drop; the bytes are counted.
    pub(crate) async fn keep_to_rate(
        &self,
        principal: &Principal,
        direction: Direction,
        bytes: usize,
    ) {
        let rates = self.gate().rates();
        let quota = match direction {
            Direction::Written => &rates.written,
            Direction::Read => &rates.read,
        };
        let Some(quota) = quota else { return };
        if principal.is_node() || bytes == 0 {
            return;
        }
        let wait = quota.lock().take(principal, bytes, self.clock().now());
        if !wait.is_zero() {
            metrics::rate_exceeded(direction, wait);
            tokio::time::sleep(wait).await;
        }
    }
}
