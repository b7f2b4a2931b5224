//! How many connections come from one address.
//!
//! An IPv6 client has a network of at least 2^64 addresses to itself, so that network is what counts.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;

/// The connections of a door by where they come from.
#[derive(Debug)]
pub(crate) struct Addresses {
    max: usize,
    counts: Mutex<HashMap<IpAddr, usize>>,
}

/// A connection as it is counted; dropping it says that it is over.
#[derive(Debug)]
pub(crate) struct Counted {
    address: IpAddr,
    addresses: Arc<Addresses>,
}

impl Addresses {
    pub(crate) fn new(max: usize) -> Arc<Addresses> {
        Arc::new(Addresses { max, counts: Mutex::default() })
    }

    /// Counts one more; `None` when there are too many.
    pub(crate) fn enter(self: &Arc<Addresses>, address: IpAddr) -> Option<Counted> {
        let address = network(address);
        let mut counts = self.counts.lock();
        let count = counts.entry(address).or_default();
        if *count >= self.max {
            return None;
        }
        *count += 1;
        Some(Counted { address, addresses: Arc::clone(self) })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.addresses.counts.lock();
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

/// What counts as one address.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enter(addresses: &Arc<Addresses>, address: &str) -> Option<Counted> {
        addresses.enter(address.parse().unwrap())
    }

    #[test]
    fn one_address_has_its_limit_and_others_have_theirs() {
        let addresses = Addresses::new(2);
        let first = enter(&addresses, "192.0.2.1").unwrap();
        let _second = enter(&addresses, "192.0.2.1").unwrap();
        assert!(enter(&addresses, "192.0.2.1").is_none());
        assert!(enter(&addresses, "::ffff:192.0.2.1").is_none());
        assert!(enter(&addresses, "192.0.2.2").is_some());
        drop(first);
        assert!(enter(&addresses, "192.0.2.1").is_some());
    }

    #[test]
    fn an_ipv6_network_counts_as_one() {
        let addresses = Addresses::new(1);
        let _first = enter(&addresses, "2001:db8::1").unwrap();
        assert!(enter(&addresses, "2001:db8::ffff:2").is_none());
        assert!(enter(&addresses, "2001:db8:0:1::1").is_some());
    }

    #[test]
    fn addresses_without_connections_are_forgotten() {
        let addresses = Addresses::new(1);
        drop(enter(&addresses, "192.0.2.1"));
        assert!(addresses.counts.lock().is_empty());
    }
}
