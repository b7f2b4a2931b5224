//! Rates of users: who moves or asks more than it may waits, and nobody else does.
//!
//! Bytes are counted where the broker appends and fetches; requests where a door has read one.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use posthouse_access::{Access, Quota, UserName, UserRates};
use posthouse_types::{ByteSize, Principal};

use super::{AccessError, AuthenticationConfig};
use crate::{Broker, Operation, Resource, metrics};

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
        let own = self.gate().with_own_rates(|own| own.get(principal));
        let rate = direction.rate(own).or(direction.rate(rates.default));
        let Some(rate) = rate else { return };
        if principal.is_node() || bytes == 0 {
            return;
        }
        let quota = match direction {
            Direction::Written => &rates.written,
            Direction::Read => &rates.read,
        };
        let wait = quota.lock().take(principal, bytes, rate.0, self.clock().now());
        if !wait.is_zero() {
            metrics::rate_exceeded(direction.name(), wait);
            tokio::time::sleep(wait).await;
        }
    }
}
