//! How much one principal may do: a rate each, of bytes or of requests, with a second's worth at once.
//!
//! The generic cell rate algorithm: what remains to be told of a principal is the moment up to which
//! what it has done is paid for. Who has used up its rate is asked to wait, and nothing is refused.
//!
//! # Invariants
//! - Over any time longer than the burst, no principal moves more than its rate allows.
//! - What is remembered is bounded: whoever is paid up is forgotten first.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use posthouse_types::Principal;

/// How much may be moved at once before anybody waits, as time at the rate.
const BURST: Duration = Duration::from_secs(1);

/// LIMIT: principals remembered.
const REMEMBERED_MAX: usize = 10_000;

/// What all principals have used up.
#[derive(Debug, Default)]
pub struct Quota {
    paid_until: HashMap<Principal, Instant>,
}

impl Quota {
    /// A principal takes so much at its rate, which is at least 1 in a second: how long it waits
    /// before it goes on.
    pub fn take(
        &mut self,
        principal: &Principal,
        amount: usize,
        rate: u64,
        now: Instant,
    ) -> Duration {
        let cost = cost(amount, rate);
        let paid_until = match self.paid_until.get_mut(principal) {
            Some(paid_until) => paid_until,
            None => {
                self.make_room(now);
                self.paid_until.entry(principal.clone()).or_insert(now)
            }
        };
        *paid_until = (*paid_until).max(now) + cost;
        paid_until.saturating_duration_since(now + BURST)
    }

    /// How long a principal would wait now if it took nothing.
    pub fn owed(&self, principal: &Principal, now: Instant) -> Duration {
        let paid_until = self.paid_until.get(principal);
        paid_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now + BURST))
    }

    /// Those who are paid up go; if all have debts, what they owe is forgiven.
    fn make_room(&mut self, now: Instant) {
        if self.paid_until.len() < REMEMBERED_MAX {
            return;
        }
        self.paid_until.retain(|_, until| *until > now);
        if self.paid_until.len() >= REMEMBERED_MAX {
            self.paid_until.clear();
        }
    }
}

fn cost(amount: usize, rate: u64) -> Duration {
    let nanos = u128::try_from(amount).unwrap_or(u128::MAX).saturating_mul(1_000_000_000)
        / u128::from(rate.max(1));
    // A day at most: no request is that large, and time must not run over.
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)).min(Duration::from_secs(86_400))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn who(name: &str) -> Principal {
        Principal::user(name)
    }

    #[test]
    fn a_burst_is_free_and_what_follows_waits_for_its_rate() {
        let now = Instant::now();
        let (mut quota, rate) = (Quota::default(), 1000);
        assert_eq!(quota.take(&who("alice"), 1000, rate, now), Duration::ZERO);
        assert_eq!(quota.owed(&who("alice"), now), Duration::ZERO);
        assert_eq!(quota.take(&who("alice"), 500, rate, now), Duration::from_millis(500));
        assert_eq!(quota.owed(&who("alice"), now), Duration::from_millis(500));
        assert_eq!(quota.take(&who("bob"), 1000, rate, now), Duration::ZERO, "each has their own");
        let later = now + Duration::from_secs(2);
        assert_eq!(quota.take(&who("alice"), 500, rate, later), Duration::ZERO);
    }

    #[test]
    fn one_large_request_is_let_through_and_paid_for_afterwards() {
        let now = Instant::now();
        let (mut quota, rate) = (Quota::default(), 1000);
        assert_eq!(quota.take(&who("alice"), 10_000, rate, now), Duration::from_secs(9));
    }

    #[test]
    fn who_is_paid_up_is_forgotten_first() {
        let now = Instant::now();
        let (mut quota, rate) = (Quota::default(), 1000);
        quota.take(&who("debtor"), 100_000, rate, now);
        for number in 0..2 * REMEMBERED_MAX {
            let at = now + Duration::from_millis(u64::try_from(number).unwrap());
            quota.take(&who(&number.to_string()), 1, rate, at);
        }
        assert!(quota.paid_until.len() <= REMEMBERED_MAX);
        assert!(quota.take(&who("debtor"), 1, rate, now) > Duration::ZERO);
    }

    #[test]
    fn a_new_rate_holds_for_what_is_moved_from_then_on() {
        let now = Instant::now();
        let mut quota = Quota::default();
        quota.take(&who("alice"), 2000, 1000, now);
        let wait = quota.take(&who("alice"), 2000, 4000, now);
        assert_eq!(wait, Duration::from_millis(1500), "2 s are owed, and half a second more");
    }

    proptest! {
        /// Whoever waits as asked never moves more than the rate and one burst.
        #[test]
        fn nobody_exceeds_the_rate(
            sizes in prop::collection::vec(1_usize..5000, 1..50),
            rate in 100_u64..10_000,
        ) {
            let start = Instant::now();
            let mut quota = Quota::default();
            let (mut now, mut moved) = (start, 0_u64);
            for size in sizes {
                let before = moved;
                now += quota.take(&who("alice"), size, rate, now);
                moved += u64::try_from(size).unwrap();
                let seconds = (now - start).as_secs_f64() + BURST.as_secs_f64();
                #[expect(clippy::cast_precision_loss, reason = "small numbers")]
                let (allowed, had) = (rate as f64 * seconds + 1.0, before as f64);
                prop_assert!(had <= allowed, "{had} of {allowed}");
                #[expect(clippy::cast_precision_loss, reason = "small numbers")]
                let all = moved as f64;
                prop_assert!(all <= allowed, "{all} of {allowed}");
            }
        }
    }
}
