//! When a message is sent again, and when the destination is left alone. Decides; does nothing.
//!
//! Two things wait after a failure. The *message* waits on its own backoff, which the queue keeps as
//! a lock, so it outlives the process. The *destination* is paused when everything fails, so that a
//! destination that is down costs one probe at a time and holds no messages in memory.
//!
//! # Invariants
//! - There are never more attempts in flight than the concurrency, and one at most after a pause.
//! - Attempts of before a pause that fail during it do not lengthen the next one: many requests that
//!   meet the same outage count once.
//! - A wait is at least half of its step and at most the step, so retries do not come in waves.

use std::time::{Duration, Instant};

/// Failures in a row, whatever the message, after which the destination is paused.
const FAILURES_BEFORE_PAUSE: u32 = 3;
/// LIMIT: the longest pause of a destination; a shorter `backoff_max` shortens it.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// LIMIT: the longest time that a `Retry-After` is obeyed.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// How hard is tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RetryPolicy {
    /// Attempts at once.
    pub(crate) concurrency: usize,
    /// Attempts of one message, after which it is dead-lettered; any number when `None`.
    pub(crate) attempts_max: Option<u32>,
    /// The first wait; each one after it is twice as long.
    pub(crate) backoff: Duration,
    /// The longest wait.
    pub(crate) backoff_max: Duration,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The destination has it.
    Accepted,
    /// The destination wants nothing more.
    Gone,
    /// Anything else; with the wait that the destination asked for.
    Failed { retry_after: Option<Duration> },
}

/// What is done with the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// It is settled.
    Accept,
    /// It is sent again after this time.
    Retry(Duration),
    /// It was tried often enough.
    DeadLetter,
    /// It is given back, and the webhook disabled.
    Disable,
}

/// How much may be begun now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// So many attempts.
    Free(usize),
    /// None until an attempt ends.
    Full,
    /// None until then.
    Paused { until: Instant },
}

/// The pause during which an attempt was begun; see [`Schedule::begin`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Begun {
    pauses: u64,
}

/// One destination.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    policy: RetryPolicy,
    in_flight: usize,
    /// Failures since the last success, counted as the module's invariants say.
    failures: u32,
    /// Pauses so far.
    pauses: u64,
    until: Option<Instant>,
}

impl Schedule {
    pub(crate) fn new(policy: RetryPolicy) -> Schedule {
        Schedule { policy, in_flight: 0, failures: 0, pauses: 0, until: None }
    }

    /// How much may be begun.
    pub(crate) fn room(&self, now: Instant) -> Room {
        if let Some(until) = self.until.filter(|until| *until > now) {
            return Room::Paused { until };
        }
        // After a pause one message finds out whether the destination is back.
        let max = if self.until.is_some() { 1 } else { self.policy.concurrency };
        match max.saturating_sub(self.in_flight) {
            0 => Room::Full,
            count => Room::Free(count),
        }
    }

    /// An attempt begins.
    pub(crate) fn begin(&mut self) -> Begun {
        self.in_flight += 1;
        Begun { pauses: self.pauses }
    }

    /// An attempt ended: what becomes of its message. `random` is any number.
    pub(crate) fn end(
        &mut self,
        now: Instant,
        begun: Begun,
        attempt: u32,
        outcome: Outcome,
        random: u64,
    ) -> Next {
        self.in_flight = self.in_flight.saturating_sub(1);
        match outcome {
            Outcome::Accepted => {
                self.failures = 0;
                self.until = None;
                Next::Accept
            }
            Outcome::Gone => Next::Disable,
            Outcome::Failed { retry_after } => {
                let asked = retry_after.map(|asked| asked.min(RETRY_AFTER_MAX));
                self.fail(now, begun, asked, random);
                if self.policy.attempts_max.is_some_and(|max| attempt >= max) {
                    return Next::DeadLetter;
                }
                let own = spread(self.step(attempt), random.rotate_left(32));
                Next::Retry(own.max(asked.unwrap_or_default()).max(Duration::from_millis(1)))
            }
        }
    }

    fn fail(&mut self, now: Instant, begun: Begun, asked: Option<Duration>, random: u64) {
        let mut until = asked.map(|asked| now + asked);
        if begun.pauses == self.pauses {
            self.failures = self.failures.saturating_add(1);
            if self.failures >= FAILURES_BEFORE_PAUSE {
                let step = self.step(self.failures - FAILURES_BEFORE_PAUSE + 1).min(PAUSE_MAX);
                until = until.max(Some(now + spread(step, random)));
            }
        }
        if until > self.until {
            self.until = until;
            self.pauses += u64::from(begun.pauses == self.pauses);
        }
    }

    /// The wait after so many attempts, not spread yet.
    fn step(&self, attempt: u32) -> Duration {
        let doublings = attempt.saturating_sub(1).min(31);
        self.policy.backoff.saturating_mul(1 << doublings).min(self.policy.backoff_max)
    }
}

/// Between half of a step and all of it.
fn spread(step: Duration, random: u64) -> Duration {
    let ms = u64::try_from(step.as_millis()).unwrap_or(u64::MAX);
    let half = ms / 2;
    Duration::from_millis(ms - random % (half + 1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FAILED: Outcome = Outcome::Failed { retry_after: None };

    fn policy(concurrency: usize) -> RetryPolicy {
        RetryPolicy {
            concurrency,
            attempts_max: Some(5),
            backoff: Duration::from_secs(1),
            backoff_max: Duration::from_secs(100),
        }
    }

    /// Ends one attempt at `now` and gives the room there is then.
    fn attempt(schedule: &mut Schedule, now: Instant, outcome: Outcome) -> Room {
        let begun = schedule.begin();
        schedule.end(now, begun, 1, outcome, 0);
        schedule.room(now)
    }

    #[test]
    fn a_message_waits_twice_as_long_each_time_and_is_dead_lettered_in_the_end() {
        let mut schedule = Schedule::new(policy(1));
        let now = Instant::now();
        let mut next = |attempt| {
            let begun = schedule.begin();
            schedule.end(now, begun, attempt, FAILED, 0)
        };
        assert_eq!(next(1), Next::Retry(Duration::from_secs(1)));
        assert_eq!(next(2), Next::Retry(Duration::from_secs(2)));
        assert_eq!(next(4), Next::Retry(Duration::from_secs(8)));
        assert_eq!(next(5), Next::DeadLetter);
    }

    #[test]
    fn one_failing_message_does_not_pause_the_others() {
        let mut schedule = Schedule::new(policy(8));
        let now = Instant::now();
        for _ in 0..10 {
            assert_eq!(attempt(&mut schedule, now, FAILED), Room::Free(8));
            assert_eq!(attempt(&mut schedule, now, Outcome::Accepted), Room::Free(8));
        }
    }

    #[test]
    fn a_destination_that_is_down_is_probed_one_message_at_a_time() {
        let mut schedule = Schedule::new(policy(8));
        let mut now = Instant::now();
        let all: Vec<_> = (0..8).map(|_| schedule.begin()).collect();
        for begun in all {
            schedule.end(now, begun, 1, FAILED, 0);
        }
        let mut pauses = Vec::new();
        for _ in 0..8 {
            let Room::Paused { until } = schedule.room(now) else { panic!("not paused") };
            pauses.push((until - now).as_secs());
            now = until;
            assert_eq!(schedule.room(now), Room::Free(1));
            let begun = schedule.begin();
            assert_eq!(schedule.room(now), Room::Full);
            schedule.end(now, begun, 1, FAILED, 0);
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        let Room::Paused { until } = schedule.room(now) else { panic!("not paused") };
        assert_eq!(attempt(&mut schedule, until, Outcome::Accepted), Room::Free(8));
    }

    #[test]
    fn what_the_destination_asks_for_is_waited_for_at_once() {
        let mut schedule = Schedule::new(policy(8));
        let now = Instant::now();
        let asked = Duration::from_secs(30);
        let begun = schedule.begin();
        let outcome = Outcome::Failed { retry_after: Some(asked) };
        assert_eq!(schedule.end(now, begun, 1, outcome, 0), Next::Retry(asked));
        assert_eq!(schedule.room(now), Room::Paused { until: now + asked });
        let begun = schedule.begin();
        let outcome = Outcome::Failed { retry_after: Some(Duration::MAX) };
        assert_eq!(schedule.end(now, begun, 1, outcome, 0), Next::Retry(RETRY_AFTER_MAX));
    }

    #[test]
    fn a_destination_that_is_gone_disables_the_webhook() {
        let mut schedule = Schedule::new(policy(1));
        let begun = schedule.begin();
        assert_eq!(schedule.end(Instant::now(), begun, 1, Outcome::Gone, 0), Next::Disable);
    }

    fn outcomes() -> impl Strategy<Value = Outcome> {
        prop_oneof![
            3 => Just(FAILED),
            2 => Just(Outcome::Accepted),
            1 => (0..1000u64).prop_map(|seconds| Outcome::Failed {
                retry_after: Some(Duration::from_secs(seconds)),
            }),
        ]
    }

    proptest! {
        /// Any history: begin what there is room for, end something, or let time pass.
        #[test]
        fn room_and_waits_stay_within_their_bounds(
            concurrency in 1..20usize,
            steps in prop::collection::vec((0..3u8, outcomes(), any::<u64>(), 1..6u32), 1..200),
        ) {
            let policy = policy(concurrency);
            let mut schedule = Schedule::new(policy.clone());
            let mut now = Instant::now();
            let mut flying = Vec::new();
            for (step, outcome, random, tried) in steps {
                match (step, schedule.room(now)) {
                    (0, Room::Free(count)) => {
                        prop_assert!(flying.len() + count <= concurrency);
                        flying.extend((0..count).map(|_| schedule.begin()));
                    }
                    (0, Room::Paused { until }) => {
                        let longest = RETRY_AFTER_MAX.max(PAUSE_MAX);
                        prop_assert!(until > now && until - now <= longest);
                        now = until;
                        let paused = matches!(schedule.room(now), Room::Paused { .. });
                        prop_assert!(!paused, "a pause is over when it says");
                    }
                    (0, Room::Full) => prop_assert!(!flying.is_empty()),
                    (1, _) if !flying.is_empty() => {
                        let at = usize::try_from(random % 1000).unwrap() % flying.len();
                        let next = schedule.end(now, flying.swap_remove(at), tried, outcome, random);
                        match next {
                            Next::Retry(wait) => {
                                let asked = match outcome {
                                    Outcome::Failed { retry_after } => retry_after.unwrap_or_default(),
                                    _ => Duration::ZERO,
                                };
                                prop_assert!(wait >= policy.backoff / 2);
                                prop_assert!(wait <= policy.backoff_max.max(asked));
                            }
                            Next::Accept => {
                                let room = match concurrency - flying.len() {
                                    0 => Room::Full,
                                    free => Room::Free(free),
                                };
                                prop_assert_eq!(schedule.room(now), room);
                            }
                            Next::DeadLetter => prop_assert_eq!(Some(tried), policy.attempts_max),
                            Next::Disable => prop_assert!(false, "nothing was gone"),
                        }
                    }
                    _ => now += Duration::from_millis(random % 5000),
                }
            }
        }
    }
}
