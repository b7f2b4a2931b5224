//! A socket's type, its addresses and what it subscribes to.

use std::sync::Arc;

use bytes::Bytes;
use posthouse_broker::EndpointRefused;
use posthouse_zmtp::{Endpoint, SocketType};

use super::fields::Fields;
use super::{Policy, SocketSpec, options, security};
use crate::gatekeeper::Gatekeeper;

/// LIMIT: addresses of one socket.
const ADDRESSES_MAX: usize = 64;

/// The socket's type, which decides what else makes sense.
pub(super) fn kind(fields: &mut Fields) -> Result<SocketType, EndpointRefused> {
    let types = || SocketType::ALL.map(SocketType::name).join(", ");
    let Some(text) = fields.text("socket")? else {
        let refused = fields.refused("socket", "", "is missing: it says what kind of socket to be");
        return Err(refused.help(format!("one of {}", types())));
    };
    text.trim().parse().map_err(|_| {
        let refused = fields.refused("socket", &text, "is not a ZeroMQ socket type");
        refused.help(format!("one of {}", types()))
    })
}

impl SocketSpec {
    pub(super) fn parse(
        kind: SocketType,
        fields: &mut Fields,
        policy: Policy,
        gatekeeper: Option<&Arc<Gatekeeper>>,
    ) -> Result<SocketSpec, EndpointRefused> {
        let bind = addresses(fields, "bind")?;
        let connect = addresses(fields, "connect")?;
        if bind.is_empty() && connect.is_empty() {
            let refused = fields.refused("bind", "", "is missing, and so is connect");
            return Err(refused.help("give an address, such as tcp://127.0.0.1:5555"));
        }
        check_connect(fields, kind, &connect)?;
        let subscribe = subscriptions(fields, kind);
        let mut options = options::parse(kind, fields)?;
        let authenticates = security::parse(fields, &mut options, !bind.is_empty(), gatekeeper)?;
        if !policy.allow_unauthenticated && !authenticates {
            check_loopback(fields, &bind)?;
        }
        Ok(SocketSpec { kind, bind, connect, subscribe, options })
    }

    /// Where it is bound and where it connects to, as declared.
    pub(crate) fn addresses(&self) -> Vec<String> {
        self.bind.iter().chain(&self.connect).map(ToString::to_string).collect()
    }
}

fn addresses(fields: &mut Fields, name: &str) -> Result<Vec<Endpoint>, EndpointRefused> {
    let texts = fields.list(name);
    if texts.len() > ADDRESSES_MAX {
        let count = texts.len().to_string();
        return Err(fields.refused(
            name,
            &count,
            format!("addresses are more than {ADDRESSES_MAX}"),
        ));
    }
    let address = |text: &String| match text.trim().parse() {
        Ok(Endpoint::Inproc(_)) => {
            let refused = fields.refused(name, text, "is within the node, where no client is");
            Err(refused.help("use tcp://host:port or ipc:///path"))
        }
        Ok(endpoint) => Ok(endpoint),
        Err(error) => {
            let refused = fields.refused(name, text, "is not an address");
            Err(refused.help(posthouse_zmtp_reason(&error)))
        }
    };
    texts.iter().map(address).collect()
}

/// What the library says, without the text that it repeats.
fn posthouse_zmtp_reason(error: &posthouse_zmtp::EndpointError) -> String {
    let text = error.to_string();
    text.split_once("is not an endpoint: ").map_or(text.clone(), |(_, reason)| reason.to_owned())
}

fn check_connect(
    fields: &Fields,
    kind: SocketType,
    connect: &[Endpoint],
) -> Result<(), EndpointRefused> {
    for endpoint in connect {
        if matches!(endpoint, Endpoint::Tcp { host, port } if host == "*" || *port == 0) {
            let text = endpoint.to_string();
            let refused = fields.refused("connect", &text, "names no peer to connect to");
            return Err(refused.help("write the peer's host and port"));
        }
    }
    if kind == SocketType::Pair && connect.len() > 1 {
        let text = connect[1].to_string();
        return Err(fields.refused("connect", &text, "is a second peer, and a PAIR has one"));
    }
    Ok(())
}

fn subscriptions(fields: &mut Fields, kind: SocketType) -> Vec<Bytes> {
    if !matches!(kind, SocketType::Sub | SocketType::Xsub) {
        return Vec::new();
    }
    let prefixes = fields.list("subscribe");
    if prefixes.is_empty() {
        return vec![Bytes::new()];
    }
    prefixes.into_iter().map(Bytes::from).collect()
}

/// What other machines can reach is refused unless peers prove who they are.
fn check_loopback(fields: &Fields, bind: &[Endpoint]) -> Result<(), EndpointRefused> {
    for endpoint in bind {
        let Endpoint::Tcp { host, .. } = endpoint else { continue };
        let address = host.parse::<std::net::IpAddr>();
        let is_loopback = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
        if !is_loopback {
            let text = endpoint.to_string();
            let reason = "can be reached by other machines, and nobody is asked who they are";
            return Err(fields.refused("bind", &text, reason).help(
                "bind a loopback address, ask for mechanism plain or curve (with curve_allow), or accept that \
                 anyone who reaches it may use it by starting the node with --allow-unauthenticated",
            ));
        }
    }
    Ok(())
}
