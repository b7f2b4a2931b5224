//! Failed logins, counted so that guessing becomes slow.
//!
//! Each failure beyond the first few doubles how long the next answer waits, for the address it came
//! from and for the user it named. The user's own delay is shorter than the address's: somebody who
//! fails on purpose in another's name must not keep that user out.
//!
//! # Invariants
//! - What is remembered is bounded; the one whose last failure is longest ago is forgotten first.
//! - A success forgets the address's failures in that user's name only.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// How failures slow down what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttemptsConfig {
    /// Failures that cost nothing: people mistype.
    pub free: u32,
    /// What the first failure after those costs; each further one twice as much.
    pub delay_first: Duration,
    /// Most that an answer waits for its address.
    pub delay_max: Duration,
    /// Most that an answer waits for its user, wherever it comes from.
    pub user_delay_max: Duration,
    /// After so long without a failure, all is forgotten.
    pub window: Duration,
    /// LIMIT: addresses and users remembered.
    pub remembered_max: usize,
}

impl Default for AttemptsConfig {
    fn default() -> AttemptsConfig {
        AttemptsConfig {
            free: 5,
            delay_first: Duration::from_millis(100),
            delay_max: Duration::from_secs(10),
            user_delay_max: Duration::from_secs(1),
            window: Duration::from_secs(15 * 60),
            remembered_max: 10_000,
        }
    }
}

/// Failed logins.
#[derive(Debug)]
pub struct Attempts {
    config: AttemptsConfig,
    failures: HashMap<Culprit, Failures>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Culprit {
    Address(IpAddr),
    User(String),
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Instant,
}

impl Attempts {
    /// None so far.
    pub fn new(config: AttemptsConfig) -> Attempts {
        Attempts { config, failures: HashMap::new() }
    }

    /// How long an answer to this login waits, whatever the answer is.
    pub fn delay(&self, address: IpAddr, user: &str, now: Instant) -> Duration {
        let of_address = self.delay_of(&Culprit::Address(address), self.config.delay_max, now);
        let user_max = self.config.user_delay_max.min(self.config.delay_max);
        let of_user = self.delay_of(&named(user), user_max, now);
        of_address.max(of_user)
    }

    /// A login failed.
    pub fn failed(&mut self, address: IpAddr, user: &str, now: Instant) {
        for culprit in [Culprit::Address(address), named(user)] {
            if !self.failures.contains_key(&culprit) {
                self.make_room(now);
            }
            let window = self.config.window;
            let failures = self.failures.entry(culprit).or_insert(Failures { count: 0, last: now });
            if now.saturating_duration_since(failures.last) > window {
                failures.count = 0;
            }
            failures.count = failures.count.saturating_add(1);
            failures.last = now;
        }
    }

    /// A login succeeded: its address may mistype again.
    pub fn succeeded(&mut self, address: IpAddr) {
        self.failures.remove(&Culprit::Address(address));
    }

    fn delay_of(&self, culprit: &Culprit, max: Duration, now: Instant) -> Duration {
        let Some(failures) = self.failures.get(culprit) else { return Duration::ZERO };
        if now.saturating_duration_since(failures.last) > self.config.window {
            return Duration::ZERO;
        }
        let Some(beyond) = failures.count.checked_sub(self.config.free + 1) else {
            return Duration::ZERO;
        };
        let doubled = 1_u32.checked_shl(beyond).unwrap_or(u32::MAX);
        self.config.delay_first.saturating_mul(doubled).min(max)
    }

    /// Forgets what is over, or else whoever failed longest ago.
    fn make_room(&mut self, now: Instant) {
        if self.failures.len() < self.config.remembered_max {
            return;
        }
        let window = self.config.window;
        self.failures.retain(|_, one| now.saturating_duration_since(one.last) <= window);
        if self.failures.len() < self.config.remembered_max {
            return;
        }
        let mut last: Vec<Instant> = self.failures.values().map(|one| one.last).collect();
        let (_, median, _) = last.select_nth_unstable(self.config.remembered_max / 2);
        let median = *median;
        self.failures.retain(|_, one| one.last > median);
    }
}

/// LIMIT: how much of a name is remembered; longer ones are no users' names.
fn named(user: &str) -> Culprit {
    Culprit::User(user.chars().take(crate::NAME_BYTES_MAX).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    #[test]
    fn guessing_becomes_slow_and_mistyping_does_not() {
        let now = Instant::now();
        let mut attempts = Attempts::new(AttemptsConfig::default());
        let mut delays = Vec::new();
        for _ in 0..20 {
            delays.push(attempts.delay(ADDRESS, "alice", now).as_millis());
            attempts.failed(ADDRESS, "alice", now);
        }
        assert_eq!(delays[..10], [0, 0, 0, 0, 0, 0, 100, 200, 400, 800]);
        assert_eq!(delays[19], 10_000);
    }

    #[test]
    fn a_user_is_not_kept_out_by_failures_of_others() {
        let now = Instant::now();
        let mut attempts = Attempts::new(AttemptsConfig::default());
        for _ in 0..100 {
            attempts.failed(ADDRESS, "alice", now);
        }
        assert_eq!(attempts.delay(OTHER, "alice", now), Duration::from_secs(1));
        assert_eq!(attempts.delay(OTHER, "bob", now), Duration::ZERO);
        assert_eq!(attempts.delay(ADDRESS, "bob", now), Duration::from_secs(10));
    }

    #[test]
    fn failures_are_forgotten_after_a_while_and_at_success() {
        let now = Instant::now();
        let mut attempts = Attempts::new(AttemptsConfig::default());
        for _ in 0..10 {
            attempts.failed(ADDRESS, "alice", now);
            attempts.failed(OTHER, "bob", now);
        }
        attempts.succeeded(OTHER);
        assert_eq!(attempts.delay(OTHER, "carol", now), Duration::ZERO);
        let later = now + Duration::from_secs(15 * 60 + 1);
        assert_eq!(attempts.delay(ADDRESS, "alice", later), Duration::ZERO);
        attempts.failed(ADDRESS, "alice", later);
        assert_eq!(attempts.delay(ADDRESS, "alice", later), Duration::ZERO);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let now = Instant::now();
        let config = AttemptsConfig { remembered_max: 100, ..AttemptsConfig::default() };
        let mut attempts = Attempts::new(config);
        for user in 0..10_000 {
            let at = now + Duration::from_millis(user);
            attempts.failed(ADDRESS, &user.to_string(), at);
        }
        assert!(attempts.failures.len() <= 101, "{}", attempts.failures.len());
        let now = now + Duration::from_secs(10);
        assert!(attempts.delay(ADDRESS, "x", now) > Duration::ZERO, "it failed last");
    }
}
