//! Where doors may listen: names are resolved and what is unsafe or cannot work is refused before
//! anything is bound.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use posthouse_listener::{Alpn, Place, Security, Tls};
use posthouse_postgres::Encryption;

use crate::config::{Config, DoorAddress, HostPort, NodeConfig};

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
         say what clients are to use with {setting} HOST:PORT"
    )]
    NotAdvertised {
        /// The wildcard address.
        address: SocketAddr,
        /// What says it.
        setting: String,
    },
}

/// One address that a door is to listen on.
#[derive(Clone, Debug)]
pub(super) struct Address {
    pub(super) door: &'static str,
    /// What it is called: the door's name, and what tells it from the door's others.
    pub(super) name: Arc<str>,
    pub(super) address: SocketAddr,
    pub(super) speaks: Speaks,
    /// What sets it.
    pub(super) setting: String,
    /// Where clients are told to connect, if that is not the bound address.
    pub(super) advertise: Option<HostPort>,
}

/// What is spoken on an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaks {
    Plain,
    Tls,
    Postgres(Encryption),
}

impl Address {
    /// Whether it is of no use without a certificate.
    pub(super) fn requires_tls(&self) -> bool {
        matches!(self.speaks, Speaks::Tls | Speaks::Postgres(Encryption::Require))
    }

    /// The setting that asks for that.
    pub(super) fn tls_setting(&self) -> &str {
        if self.door == "postgres" { "postgres.tls" } else { &self.setting }
    }

    /// As a listener takes it.
    pub(super) fn place(&self, tls: Option<&Tls>) -> Place {
        let alpn = match self.door {
            "http" => Alpn::Http,
            "postgres" => Alpn::Postgres,
            _ => Alpn::None,
        };
        let acceptor = tls.map(|tls| tls.acceptor(alpn));
        let security = match (self.speaks, acceptor) {
            (Speaks::Plain, _) => Security::Plain,
            (Speaks::Tls, acceptor) => {
                Security::Tls(acceptor.expect("a node does not start without a certificate here"))
            }
            (Speaks::Postgres(Encryption::Off), _) => Security::Negotiated(None),
            (Speaks::Postgres(_), acceptor) => Security::Negotiated(acceptor),
        };
        let (name, setting) = (Arc::clone(&self.name), self.setting.clone());
        Place { door: self.door, name, address: self.address, security, setting }
    }
}

/// An address before it is looked up.
struct Wanted<'a> {
    door: &'static str,
    name: String,
    at: &'a HostPort,
    speaks: Speaks,
    setting: String,
    advertise: Option<&'a HostPort>,
    /// What sets `advertise`.
    advertise_setting: String,
}

/// Where the doors are to listen; doors that are off are left out.
pub(super) async fn resolve(config: &Config) -> Result<Vec<Address>, AddressError> {
    let mut resolved = Vec::new();
    for wanted in wanted(&config.node, config.postgres.encryption) {
        let address = lookup(wanted.door, wanted.at).await?;
        check(&wanted, address, config)?;
        let Wanted { door, name, speaks, setting, advertise, .. } = wanted;
        let (name, advertise) = (Arc::from(name), advertise.cloned());
        resolved.push(Address { door, name, address, speaks, setting, advertise });
    }
    Ok(resolved)
}

fn wanted(node: &NodeConfig, encryption: Encryption) -> Vec<Wanted<'_>> {
    let mut wanted = Vec::new();
    for (door, plain, tls) in [
        ("kafka", &node.kafka_address, &node.kafka_tls_address),
        ("redis", &node.redis_address, &node.redis_tls_address),
        ("http", &node.http_address, &node.http_tls_address),
        ("postgres", &node.postgres_address, &DoorAddress::Off),
    ] {
        let (plain_advertise, tls_advertise) = match door {
            "kafka" => (node.kafka_advertise.as_ref(), node.kafka_tls_advertise.as_ref()),
            _ => (None, None),
        };
        let spoken = if door == "postgres" { Speaks::Postgres(encryption) } else { Speaks::Plain };
        if let DoorAddress::At(at) = plain {
            wanted.push(Wanted {
                door,
                name: door.to_owned(),
                at,
                speaks: spoken,
                setting: format!("--{door}"),
                advertise: plain_advertise,
                advertise_setting: format!("--{door}-advertise"),
            });
        }
        if let DoorAddress::At(at) = tls {
            wanted.push(Wanted {
                door,
                name: format!("{door}.tls"),
                at,
                speaks: Speaks::Tls,
                setting: format!("{door}.tls_address"),
                advertise: tls_advertise,
                advertise_setting: format!("{door}.tls_advertise"),
            });
        }
    }
    wanted.extend(node.kafka_listeners.iter().map(|(name, listener)| Wanted {
        door: "kafka",
        name: format!("kafka.{name}"),
        at: &listener.address,
        speaks: if listener.tls { Speaks::Tls } else { Speaks::Plain },
        setting: format!("kafka.listeners.{name}.address"),
        advertise: listener.advertise.as_ref(),
        advertise_setting: format!("kafka.listeners.{name}.advertise"),
    }));
    wanted
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

fn check(wanted: &Wanted<'_>, address: SocketAddr, config: &Config) -> Result<(), AddressError> {
    let door = wanted.door;
    let asks = config.broker.authentication.required;
    if !address.ip().is_loopback() && !asks && !config.node.allow_unauthenticated {
        return Err(AddressError::Unauthenticated { door, address });
    }
    if door == "kafka" && address.ip().is_unspecified() && wanted.advertise.is_none() {
        let setting = wanted.advertise_setting.clone();
        return Err(AddressError::NotAdvertised { address, setting });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn kafka_at(address: &str, change: impl FnOnce(&mut NodeConfig)) -> Result<(), String> {
        let mut node = NodeConfig {
            kafka_address: address.parse().unwrap(),
            redis_address: DoorAddress::Off,
            http_address: DoorAddress::Off,
            postgres_address: DoorAddress::Off,
            ..NodeConfig::default()
        };
        change(&mut node);
        resolve(&Config { node, ..Config::default() })
            .await
            .map(drop)
            .map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn other_machines_are_let_in_only_by_name_of_the_risk() {
        let error = kafka_at("192.0.2.1:9092", |_| {}).await.unwrap_err();
        assert!(error.contains("--allow-unauthenticated"), "{error}");
        kafka_at("192.0.2.1:9092", |config| config.allow_unauthenticated = true).await.unwrap();
        kafka_at("[::1]:9092", |_| {}).await.unwrap();
        let mut config = Config::default();
        config.node.http_address = "192.0.2.1:80".parse().unwrap();
        config.broker.authentication.required = true;
        resolve(&config).await.expect("everybody is asked who they are");
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

    #[tokio::test]
    async fn an_address_with_tls_is_checked_like_any_other() {
        let error = kafka_at("off", |node| {
            node.kafka_tls_address = "192.0.2.1:9093".parse().unwrap();
        });
        assert!(error.await.unwrap_err().contains("--allow-unauthenticated"));
        let error = kafka_at("off", |node| {
            node.allow_unauthenticated = true;
            node.kafka_tls_address = "[::]:9093".parse().unwrap();
        });
        assert!(error.await.unwrap_err().contains("kafka.tls_advertise"));
    }
}
