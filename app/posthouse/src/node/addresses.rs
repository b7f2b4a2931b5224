//! Where doors may listen: names are resolved and what is unsafe or cannot work is refused before
//! anything is bound.

use std::net::{IpAddr, SocketAddr};

use crate::config::{DoorAddress, HostPort, NodeConfig};

/// Why a door's address is refused.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// The host has no address.
    #[error("the {door} door's host {host:?} has no address; write an address such as 127.0.0.1")]
    Unresolved {
        /// The door.
        door: &'static str,
        /// The host as written.
        host: String,
        /// What the resolver said.
        #[source]
        source: Option<std::io::Error>,
    },
    /// Anyone on the network could do anything.
    #[error(
        "the {door} door would listen on {address}, which other machines can reach, and nobody is asked who they are; \
         ask them with --authentication, listen on a loopback address, or accept that anyone who reaches it may read, write and delete with --allow-unauthenticated"
    )]
    Unauthenticated {
        /// The door.
        door: &'static str,
        /// The address it would have.
        address: SocketAddr,
    },
    /// Kafka clients would be told to connect to a wildcard.
    #[error(
        "the kafka door would listen on {address}, which is no address that a client can connect to; \
         say what clients are to use with --kafka-advertise HOST:PORT"
    )]
    NotAdvertised {
        /// The wildcard address.
        address: SocketAddr,
    },
}

/// A door and where it is to listen; doors that are off are left out.
pub(super) async fn resolve(
    config: &NodeConfig,
    authenticates: bool,
) -> Result<Vec<(&'static str, SocketAddr)>, AddressError> {
    let doors = [
        ("kafka", &config.kafka_address),
        ("redis", &config.redis_address),
        ("http", &config.http_address),
        ("postgres", &config.postgres_address),
    ];
    let mut resolved = Vec::new();
    for (door, address) in doors {
        if let DoorAddress::At(address) = address {
            let address = lookup(door, address).await?;
            check(door, address, config, authenticates)?;
            resolved.push((door, address));
        }
    }
    Ok(resolved)
}

async fn lookup(door: &'static str, address: &HostPort) -> Result<SocketAddr, AddressError> {
    if let Ok(ip) = address.host.parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, address.port));
    }
    let unresolved = |source| AddressError::Unresolved { door, host: address.host.clone(), source };
    let mut found = tokio::net::lookup_host((address.host.as_str(), address.port))
        .await
        .map_err(|error| unresolved(Some(error)))?;
    found.next().ok_or_else(|| unresolved(None))
}

fn check(
    door: &'static str,
    address: SocketAddr,
    config: &NodeConfig,
    authenticates: bool,
) -> Result<(), AddressError> {
    if !address.ip().is_loopback() && !authenticates && !config.allow_unauthenticated {
        return Err(AddressError::Unauthenticated { door, address });
    }
    if door == "kafka" && address.ip().is_unspecified() && config.kafka_advertise.is_none() {
        return Err(AddressError::NotAdvertised { address });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn kafka_at(address: &str, change: impl FnOnce(&mut NodeConfig)) -> Result<(), String> {
        let mut config = NodeConfig {
            kafka_address: address.parse().unwrap(),
            redis_address: DoorAddress::Off,
            http_address: DoorAddress::Off,
            postgres_address: DoorAddress::Off,
            ..NodeConfig::default()
        };
        change(&mut config);
        resolve(&config, false).await.map(drop).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn other_machines_are_let_in_only_by_name_of_the_risk() {
        let error = kafka_at("192.0.2.1:9092", |_| {}).await.unwrap_err();
        assert!(error.contains("--allow-unauthenticated"), "{error}");
        kafka_at("192.0.2.1:9092", |config| config.allow_unauthenticated = true).await.unwrap();
        kafka_at("[::1]:9092", |_| {}).await.unwrap();
        let config =
            NodeConfig { http_address: "192.0.2.1:80".parse().unwrap(), ..NodeConfig::default() };
        resolve(&config, true).await.expect("everybody is asked who they are");
    }

    #[tokio::test]
    async fn a_wildcard_needs_an_address_to_advertise() {
        let allow = |config: &mut NodeConfig| config.allow_unauthenticated = true;
        let error = kafka_at("0.0.0.0:9092", allow).await.unwrap_err();
        assert!(error.contains("--kafka-advertise"), "{error}");
        kafka_at("0.0.0.0:9092", |config| {
            allow(config);
            config.kafka_advertise = Some("broker.example:9092".parse().unwrap());
        })
        .await
        .unwrap();
    }
}
