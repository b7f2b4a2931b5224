//! Rates of users: who moves or asks more than it may waits, and nobody else does.
//!
//! The broker waits, unless its caller says that it will: a protocol may tell its clients to.
//!
//! Bytes are counted where the broker appends and fetches; requests where a door has read one.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use posthouse_access::{Access, Quota, UserName, UserRates};
use posthouse_types::{ByteSize, Principal};
use tokio::time::sleep;

use super::{AccessError, AuthenticationConfig};
use crate::{Broker, Operation, Resource, metrics};

/// What a principal may owe and still begin something, and how much of its rate one fetch reads at most,
/// so that none owes more than that for an answer. Kafka's quota window is as long.
const WINDOW: Duration = Duration::from_secs(10);

/// What was done for a principal, and how long it is to do no more to keep to its rate.
#[derive(Debug)]
pub struct Paced<T> {
    /// What was done.
    pub done: T,
    /// How long no more is to be done; zero within the rate.
    pub pause: Duration,
}

/// Who sees to it that a principal keeps to its rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pacing {
    /// The broker: it waits before it goes on.
    Waits,
    /// The caller, who is told.
    Tells,
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Direction {
    Written,
    Read,
}

/// What users have moved and asked; nothing is counted where there is no limit.
#[derive(Debug)]
pub(super) struct Rates {
    /// Of those who have none of their own.
    default: UserRates,
    written: Mutex<Quota>,
    read: Mutex<Quota>,
    requests: Mutex<Quota>,
}

/// The rates of those who have their own.
#[derive(Debug, Default)]
pub(super) struct OwnRates(HashMap<Principal, UserRates>);

impl Rates {
    pub(super) fn new(config: &AuthenticationConfig) -> Rates {
        let AuthenticationConfig { write_rate, read_rate, request_rate, .. } = *config;
        let default = UserRates { write: write_rate, read: read_rate, requests: request_rate };
        let (written, read, requests) = (Mutex::default(), Mutex::default(), Mutex::default());
        Rates { default, written, read, requests }
    }

    fn quota(&self, direction: Direction) -> &Mutex<Quota> {
        match direction {
            Direction::Written => &self.written,
            Direction::Read => &self.read,
        }
    }
}

impl OwnRates {
    pub(super) fn of(access: &Access) -> OwnRates {
        let own = access.users().filter(|user| !user.rates.is_empty());
        OwnRates(own.map(|user| (user.name.principal(), user.rates)).collect())
    }

    /// Whether anybody's requests are counted.
    pub(super) fn count_requests(&self, rates: &Rates) -> bool {
        rates.default.requests.is_some() || self.0.values().any(|own| own.requests.is_some())
    }

    fn get(&self, principal: &Principal) -> UserRates {
        self.0.get(principal).copied().unwrap_or_default()
    }
}

impl Direction {
    /// As metrics call it.
    fn name(self) -> &'static str {
        match self {
            Direction::Written => "written",
            Direction::Read => "read",
        }
    }

    fn rate(self, rates: UserRates) -> Option<ByteSize> {
        match self {
            Direction::Written => rates.write,
            Direction::Read => rates.read,
        }
    }
}

impl Broker {
    /// The rates of users that have none of their own, and those of every user.
    ///
    /// # Errors
    /// [`AccessError::Denied`] to one who may not know them.
    pub fn user_rates(
        &self,
        principal: &Principal,
    ) -> Result<(UserRates, Vec<(UserName, UserRates)>), AccessError> {
        self.authorize(principal, Operation::DescribeConfigs, Resource::Cluster)?;
        let access = self.gate().current();
        let users = access.users().map(|user| (user.name.clone(), user.rates)).collect();
        Ok((self.gate().rates().default, users))
    }

    /// A principal who has logged in makes a request: how long the door waits before it begins it.
    pub fn request_wait(&self, principal: &Principal) -> Duration {
        let gate = self.gate();
        if !gate.counts_requests() || principal.is_node() || *principal == Principal::anonymous() {
            return Duration::ZERO;
        }
        let rates = gate.rates();
        let own = gate.with_own_rates(|own| own.get(principal));
        let Some(rate) = own.requests.or(rates.default.requests) else { return Duration::ZERO };
        let now = self.clock().now();
        let wait = rates.requests.lock().take(principal, 1, rate.get().into(), now);
        if !wait.is_zero() {
            metrics::rate_exceeded("requests", wait);
        }
        wait
    }

    /// Counts bytes that a principal moves: how long it is to move no more.
    pub(crate) fn count_bytes(
        &self,
        principal: &Principal,
        direction: Direction,
        bytes: usize,
    ) -> Duration {
        let Some(rate) = self.rate(principal, direction) else { return Duration::ZERO };
        if bytes == 0 {
            return Duration::ZERO;
        }
        let quota = self.gate().rates().quota(direction);
        let pause = quota.lock().take(principal, bytes, rate.0, self.clock().now());
        if !pause.is_zero() {
            metrics::rate_exceeded(direction.name(), pause);
        }
        pause
    }

    /// Before a request that writes by [`Broker::append_paced`]: waits while its principal owes more than
    /// ten seconds, because it was told on another connection, or does not heed it.
    ///
    /// # Cancellation
    /// Safe to drop.
    pub async fn pay_off_writes(&self, principal: &Principal) {
        self.pay_off(principal, Direction::Written).await;
    }

    /// Waits until a principal owes no more than [`WINDOW`]; gives how many bytes that is, `None` where
    /// it has no rate.
    pub(crate) async fn pay_off(
        &self,
        principal: &Principal,
        direction: Direction,
    ) -> Option<usize> {
        let rate = self.rate(principal, direction)?;
        let quota = self.gate().rates().quota(direction);
        let owed = quota.lock().owed(principal, self.clock().now());
        if owed > WINDOW {
            sleep(owed - WINDOW).await;
        }
        let window = rate.0.saturating_mul(WINDOW.as_secs());
        Some(usize::try_from(window).unwrap_or(usize::MAX))
    }

    fn rate(&self, principal: &Principal, direction: Direction) -> Option<ByteSize> {
        if principal.is_node() {
            return None;
        }
        let own = self.gate().with_own_rates(|own| own.get(principal));
        direction.rate(own).or(direction.rate(self.gate().rates().default))
    }
}
