//! How peers prove who they are: NULL, PLAIN or CURVE.
//!
//! Where the node asks its clients who they are, an endpoint names the user for whom it acts. Its
//! peers prove to be that user, unless the declaration itself says what they have to show, or asks
//! for nothing: whoever may declare endpoints has decided that.
//!
//! # Invariants
//! - No refusal and no description holds a password or a secret key.

use std::sync::Arc;

use posthouse_access::UserName;
use posthouse_broker::{EndpointRefused, EndpointSettings};
use posthouse_zmtp::{
    CurveClient, CurveKeys, CurvePublicKey, CurveServer, Options, PlainClient, PlainServer,
    Security,
};

use super::Policy;
use super::fields::Fields;
use crate::gatekeeper::Gatekeeper;

pub(super) const MASK: &str = "***";

#[derive(Clone, Copy)]
enum Mechanism {
    Null,
    Plain,
    Curve,
}

pub(super) fn is_secret(name: &str) -> bool {
    let name = name.strip_prefix("back.").unwrap_or(name);
    matches!(name, "plain_password" | "curve_secret_key")
}

/// The settings with their secrets hidden.
pub(super) fn masked(settings: &EndpointSettings) -> EndpointSettings {
    let mut masked = EndpointSettings::default();
    for (name, values) in settings.iter() {
        for value in values {
            masked.push(name, if is_secret(name) { MASK } else { value });
        }
    }
    masked
}

/// Who lets peers in, where the node asks its clients who they are.
pub(super) fn gatekeeper(
    fields: &mut Fields,
    policy: Policy,
) -> Result<Option<Arc<Gatekeeper>>, EndpointRefused> {
    let named = fields.name("user")?;
    match (named, policy.login_timeout) {
        (None, None) => Ok(None),
        (Some(name), Some(login_timeout)) => {
            let user = UserName::new(&name)
                .map_err(|error| fields.refused("user", &name, error.to_string()))?;
            Ok(Some(Gatekeeper::new(user, login_timeout)))
        }
        (None, Some(_)) => {
            let refused = fields.refused("user", "", "is missing: the endpoint acts for a user");
            Err(refused.help("its peers prove to be that user by mechanism plain or curve"))
        }
        (Some(name), None) => {
            let reason = "does nothing on a node that asks nobody who they are";
            Err(fields.refused("user", &name, reason).help("start it with --authentication"))
        }
    }
}

/// Sets the socket's mechanism; whether it asks peers who they are.
pub(super) fn parse(
    fields: &mut Fields,
    options: &mut Options,
    binds: bool,
    gatekeeper: Option<&Arc<Gatekeeper>>,
) -> Result<bool, EndpointRefused> {
    let mechanisms =
        [("null", Mechanism::Null), ("plain", Mechanism::Plain), ("curve", Mechanism::Curve)];
    match fields.choice("mechanism", &mechanisms)?.unwrap_or(Mechanism::Null) {
        Mechanism::Null => Ok(false),
        Mechanism::Plain => plain(fields, options, binds, gatekeeper),
        Mechanism::Curve => curve(fields, options, binds, gatekeeper),
    }
}

fn plain(
    fields: &mut Fields,
    options: &mut Options,
    binds: bool,
    gatekeeper: Option<&Arc<Gatekeeper>>,
) -> Result<bool, EndpointRefused> {
    let server = fields.flag("server")?.unwrap_or(binds);
    if let Some(gatekeeper) = gatekeeper.filter(|_| server && !fields.has("plain_username")) {
        ask(options, gatekeeper, Security::PlainServer(PlainServer::new(|_, _| true)));
        return Ok(true);
    }
    let username = needed(fields, "plain_username")?;
    let password = needed(fields, "plain_password")?;
    if server {
        options.security = Security::PlainServer(PlainServer::single(&username, &password));
        return Ok(true);
    }
    let client = PlainClient::new(&username, &password)
        .map_err(|error| fields.refused("plain_username", &username, error.to_string()))?;
    options.security = Security::PlainClient(client);
    Ok(false)
}

fn curve(
    fields: &mut Fields,
    options: &mut Options,
    binds: bool,
    gatekeeper: Option<&Arc<Gatekeeper>>,
) -> Result<bool, EndpointRefused> {
    let secret = needed(fields, "curve_secret_key")?;
    let keys = CurveKeys::from_secret_z85(&secret)
        .map_err(|error| fields.refused("curve_secret_key", MASK, format!("is no key: {error}")))?;
    let server = fields.flag("server")?.unwrap_or(binds);
    if !server {
        let text = needed(fields, "curve_server_key")?;
        let server = public(fields, "curve_server_key", &text)?;
        options.security = Security::CurveClient(CurveClient::new(keys, server));
        return Ok(false);
    }
    let allowed = fields.list("curve_allow");
    let allowed: Vec<CurvePublicKey> = allowed
        .iter()
        .map(|text| public(fields, "curve_allow", text))
        .collect::<Result<_, EndpointRefused>>()?;
    if let Some(gatekeeper) = gatekeeper.filter(|_| allowed.is_empty()) {
        ask(options, gatekeeper, Security::CurveServer(CurveServer::anyone(keys)));
        return Ok(true);
    }
    let authenticates = !allowed.is_empty();
    options.security = Security::CurveServer(if authenticates {
        CurveServer::only(keys, allowed)
    } else {
        CurveServer::anyone(keys)
    });
    Ok(authenticates)
}

/// Has peers say who they are, in the time that every door gives for it.
fn ask(options: &mut Options, gatekeeper: &Arc<Gatekeeper>, security: Security) {
    options.security = security;
    options.authenticator = Some(Arc::clone(gatekeeper) as _);
    let login_timeout = gatekeeper.login_timeout();
    let own = options.handshake_timeout;
    options.handshake_timeout = Some(own.map_or(login_timeout, |own| own.min(login_timeout)));
}

fn needed(fields: &mut Fields, name: &str) -> Result<String, EndpointRefused> {
    let given = fields.name(name)?;
    given.ok_or_else(|| fields.refused(name, "", "is missing: the mechanism needs it"))
}

fn public(fields: &Fields, name: &str, text: &str) -> Result<CurvePublicKey, EndpointRefused> {
    CurvePublicKey::from_z85(text)
        .map_err(|error| fields.refused(name, text, format!("is no key: {error}")))
}
