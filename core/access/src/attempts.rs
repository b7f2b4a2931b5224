//! Failed logins, counted so that guessing becomes slow.
//!
//! Failures are counted thrice: of an address in one user's name, of a user from anywhere, and of an
//! address in whosever name. Each one beyond those that are free doubles how long the next answer
//! waits. The first count tells one guesser from all others, so its wait grows long; what the other
//! two slow down may be innocent (a user whom somebody guesses at, clients behind one proxy), so they
//! wait for a short time at most, and of an address much more is free.
//!
//! # Invariants
//! - What is remembered is bounded; the one whose last failure is longest ago is forgotten first.
//! - A success forgets the failures of its address in its user's name only.
//! - One user's name, tried for ever, counts no more than a few failures against an address in each
//!   window: only trying many names does. So those behind a proxy who mistype now and then add up to
//!   nothing, however long the node runs.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// How failures slow down what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttemptsConfig {
    /// Failures in one user's name that cost nothing: people mistype.
    pub free: u32,
    /// Failures of one address in whosever names that cost nothing.
    pub address_free: u32,
    /// What the first failure after those costs; each further one twice as much.
    pub delay_first: Duration,
    /// Most that an answer waits for failures of its address in its user's name.
    pub delay_max: Duration,
    /// Most that an answer waits for failures that may be another's: of its user from elsewhere,
    /// and of its address in other names.
    pub shared_delay_max: Duration,
    /// After so long without a failure, all is forgotten; what an address did in whosever names, so
    /// long after the first of it.
    pub window: Duration,
    /// LIMIT: what is remembered.
    pub remembered_max: usize,
}

impl Default for AttemptsConfig {
    fn default() -> AttemptsConfig {
        AttemptsConfig {
            free: 5,
            address_free: 100,
            delay_first: Duration::from_millis(100),
            delay_max: Duration::from_secs(10),
            shared_delay_max: Duration::from_secs(1),
            window: Duration::from_secs(15 * 60),
            remembered_max: 20_000,
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
    Guesser(IpAddr, String),
    User(String),
    Address(IpAddr),
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    first: Instant,
    last: Instant,
}

impl Failures {
    /// Since when they are counted, as [`AttemptsConfig::window`] says.
    fn since(&self, culprit: &Culprit) -> Instant {
        match culprit {
            Culprit::Guesser(..) | Culprit::User(_) => self.last,
            Culprit::Address(_) => self.first,
        }
    }
}

impl Attempts {
    /// None so far.
    pub fn new(config: AttemptsConfig) -> Attempts {
        Attempts { config, failures: HashMap::new() }
    }

    /// How long an answer to this login waits, whatever the answer is.
    pub fn delay(&self, address: IpAddr, user: &str, now: Instant) -> Duration {
        let (address, user, config) = (network(address), named(user), &self.config);
        let shared_max = config.shared_delay_max.min(config.delay_max);
        let of_address = self.count(&Culprit::Address(address), now);
        let of_user = self.count(&Culprit::User(user.clone()), now);
        let of_guesser = self.count(&Culprit::Guesser(address, user), now);
        self.price(of_guesser, config.free, config.delay_max)
            .max(self.price(of_user, config.free, shared_max))
            .max(self.price(of_address, config.address_free, shared_max))
    }

    /// A login failed.
    pub fn failed(&mut self, address: IpAddr, user: &str, now: Instant) {
        let (address, user) = (network(address), named(user));
        self.add(Culprit::User(user.clone()), now);
        let by_guesser = self.add(Culprit::Guesser(address, user), now);
        if by_guesser <= self.config.free.max(1) {
            self.add(Culprit::Address(address), now);
        }
    }

    /// A login succeeded: its user may mistype again.
    pub fn succeeded(&mut self, address: IpAddr, user: &str) {
        self.failures.remove(&Culprit::Guesser(network(address), named(user)));
    }

    /// Counts one more; gives how many there are.
    fn add(&mut self, culprit: Culprit, now: Instant) -> u32 {
        if !self.failures.contains_key(&culprit) {
            self.make_room(now);
        }
        let window = self.config.window;
        let none = Failures { count: 0, first: now, last: now };
        let failures = self.failures.entry(culprit.clone()).or_insert(none);
        if now.saturating_duration_since(failures.since(&culprit)) > window {
            *failures = none;
        }
        failures.count = failures.count.saturating_add(1);
        failures.last = now;
        failures.count
    }

    fn count(&self, culprit: &Culprit, now: Instant) -> u32 {
        let fresh = |one: &&Failures| {
            now.saturating_duration_since(one.since(culprit)) <= self.config.window
        };
        self.failures.get(culprit).filter(fresh).map_or(0, |one| one.count)
    }

    fn price(&self, count: u32, free: u32, max: Duration) -> Duration {
        let Some(beyond) = count.checked_sub(free.saturating_add(1)) else {
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

/// Who has one address of an IPv6 network has them all.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = address.to_bits() & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from_bits(network))
        }
        address @ IpAddr::V4(_) => address,
    }
}

/// LIMIT: how much of a name is remembered; longer ones are no users' names.
fn named(user: &str) -> String {
    user.chars().take(crate::NAME_BYTES_MAX).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    fn attempts() -> Attempts {
        Attempts::new(AttemptsConfig::default())
    }

    #[test]
    fn guessing_becomes_slow_and_mistyping_does_not() {
        let (now, mut attempts) = (Instant::now(), attempts());
        let mut delays = Vec::new();
        for _ in 0..20 {
            delays.push(attempts.delay(ADDRESS, "alice", now).as_millis());
            attempts.failed(ADDRESS, "alice", now);
        }
        assert_eq!(delays[..10], [0, 0, 0, 0, 0, 0, 100, 200, 400, 800]);
        assert_eq!(delays[19], 10_000);
    }

    #[test]
    fn a_user_is_not_kept_out_by_guesses_from_elsewhere() {
        let (now, mut attempts) = (Instant::now(), attempts());
        for _ in 0..100 {
            attempts.failed(ADDRESS, "alice", now);
        }
        assert_eq!(attempts.delay(ADDRESS, "alice", now), Duration::from_secs(10));
        assert_eq!(attempts.delay(OTHER, "alice", now), Duration::from_secs(1));
        assert_eq!(attempts.delay(OTHER, "bob", now), Duration::ZERO);
    }

    #[test]
    fn one_bad_client_behind_a_proxy_slows_down_nobody_else_there() {
        let (now, mut attempts) = (Instant::now(), attempts());
        for _ in 0..10_000 {
            attempts.failed(ADDRESS, "broken", now);
        }
        assert_eq!(attempts.delay(ADDRESS, "alice", now), Duration::ZERO);
    }

    #[test]
    fn trying_many_names_becomes_slow_and_locks_nobody_out() {
        let (now, mut attempts) = (Instant::now(), attempts());
        for name in 0..100 {
            assert_eq!(attempts.delay(ADDRESS, &name.to_string(), now), Duration::ZERO);
            attempts.failed(ADDRESS, &name.to_string(), now);
        }
        attempts.failed(ADDRESS, "one more", now);
        assert_eq!(attempts.delay(ADDRESS, "next", now), Duration::from_millis(100));
        for name in 0..1000 {
            attempts.failed(ADDRESS, &format!("further {name}"), now);
        }
        assert_eq!(attempts.delay(ADDRESS, "next", now), Duration::from_secs(1));
        assert_eq!(attempts.delay(OTHER, "next", now), Duration::ZERO);
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one() {
        let (now, mut attempts) = (Instant::now(), attempts());
        for host in 0..20 {
            let address = format!("2001:db8::{host:x}").parse().unwrap();
            attempts.failed(address, "alice", now);
        }
        let delay = |address: &str| attempts.delay(address.parse().unwrap(), "alice", now);
        assert_eq!(delay("2001:db8::ffff"), Duration::from_secs(10));
        assert_eq!(delay("2001:db8:0:1::1"), Duration::from_secs(1));
    }

    #[test]
    fn failures_are_forgotten_after_a_while_and_at_success() {
        let (now, mut attempts) = (Instant::now(), attempts());
        for _ in 0..10 {
            attempts.failed(ADDRESS, "alice", now);
            attempts.failed(OTHER, "bob", now);
        }
        attempts.succeeded(OTHER, "bob");
        assert_eq!(attempts.delay(OTHER, "bob", now), Duration::from_secs(1), "as from anywhere");
        attempts.succeeded(ADDRESS, "bob");
        assert!(attempts.delay(ADDRESS, "alice", now) > Duration::from_secs(1), "still a guesser");
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
            assert!(attempts.failures.len() <= 103, "{}", attempts.failures.len());
        }
        let now = now + Duration::from_secs(10);
        assert!(attempts.delay(ADDRESS, "x", now) > Duration::ZERO, "it failed last");
    }

    proptest! {
        /// Whatever the others behind an address do with at most twenty names of their own, one who
        /// has failed nowhere does not wait; and nobody waits longer than is said.
        #[test]
        fn who_has_not_failed_does_not_wait_for_a_few_who_have(
            failures in prop::collection::vec((0_u8..3, 0_u8..20, 0_u64..100), 0..500),
        ) {
            let (mut now, mut attempts) = (Instant::now(), attempts());
            for (address, user, seconds) in failures {
                now += Duration::from_secs(seconds);
                let address = IpAddr::from([192, 0, 2, address]);
                let user = format!("user{user}");
                prop_assert!(attempts.delay(address, &user, now) <= Duration::from_secs(10));
                attempts.failed(address, &user, now);
                prop_assert_eq!(attempts.delay(address, "alice", now), Duration::ZERO);
            }
        }

        /// However names are repeated, whoever tries more than are free of them waits.
        #[test]
        fn a_scan_over_names_waits(times in prop::collection::vec(1_u8..8, 101..150)) {
            let (now, mut attempts) = (Instant::now(), attempts());
            for (name, times) in times.into_iter().enumerate() {
                for _ in 0..times {
                    attempts.failed(ADDRESS, &name.to_string(), now);
                }
            }
            prop_assert!(attempts.delay(ADDRESS, "next", now) > Duration::ZERO);
        }
    }
}
