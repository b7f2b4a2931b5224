//! Telling of failed handshakes without filling the log.

use std::time::Duration;

use tokio::time::Instant;

/// How often failures are told of, at most.
const INTERVAL: Duration = Duration::from_secs(10);

/// What was told, and what was not.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    told: Option<Instant>,
    untold: u64,
}

impl Trouble {
    /// Takes note of a failure; gives how many there were since the last time they were told of, when
    /// it is time again.
    pub(crate) fn on_failure(&mut self, now: Instant) -> Option<u64> {
        self.untold += 1;
        if self.told.is_some_and(|told| now.saturating_duration_since(told) < INTERVAL) {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_at_once_and_the_others_together() {
        let (mut trouble, start) = (Trouble::default(), Instant::now());
        assert_eq!(trouble.on_failure(start), Some(1));
        for ms in 1..500 {
            assert_eq!(trouble.on_failure(start + Duration::from_millis(ms)), None);
        }
        assert_eq!(trouble.on_failure(start + INTERVAL), Some(500));
        assert_eq!(trouble.on_failure(start + INTERVAL * 2), Some(1));
    }
}
