//! Failures on the node's own side: how long to wait before the next try, and what is said of them.

use std::time::Duration;

const WAIT_MIN: Duration = Duration::from_secs(1);
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Failures in a row.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    failures: u32,
}

impl Trouble {
    /// One more failure; gives the wait after it: 1, 2, 4 and at most 30 seconds.
    pub(crate) fn again(&mut self) -> Duration {
        let wait = WAIT_MIN.saturating_mul(1 << self.failures.min(8)).min(WAIT_MAX);
        self.failures = self.failures.saturating_add(1);
        wait
    }

    /// It works.
    pub(crate) fn over(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_half_a_minute_and_begin_anew() {
        let mut trouble = Trouble::default();
        let waits: Vec<_> = (0..7).map(|_| trouble.again().as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
        trouble.over();
        assert_eq!(trouble.again(), WAIT_MIN);
    }
}
