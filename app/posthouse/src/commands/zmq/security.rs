//! The flags that say how peers prove who they are.

use clap::Args;
use posthouse_zmtp::{
    CurveClient, CurveKeys, CurvePublicKey, CurveServer, PlainClient, PlainServer, Security,
};

use crate::exit::{Code, Failure};

/// PLAIN or CURVE; nothing is neither. A key may begin with a hyphen, as one in 85 does.
#[derive(Args, Clone, Debug)]
pub(super) struct SecurityArgs {
    /// PLAIN: the user name to give, or with --plain-server, to ask for
    #[arg(long, value_name = "NAME", requires = "plain_password")]
    plain_username: Option<String>,
    /// PLAIN: the password
    #[arg(
        long,
        value_name = "TEXT",
        env = "POSTHOUSE_ZMQ_PLAIN_PASSWORD",
        hide_env_values = true,
        allow_hyphen_values = true
    )]
    plain_password: Option<String>,
    /// PLAIN: ask peers for the user name and the password
    #[arg(long, requires = "plain_username")]
    plain_server: bool,
    /// CURVE: our own secret key, 40 characters
    #[arg(
        long,
        value_name = "KEY",
        env = "POSTHOUSE_ZMQ_CURVE_SECRET_KEY",
        hide_env_values = true,
        allow_hyphen_values = true,
        conflicts_with = "plain_username"
    )]
    curve_secret_key: Option<String>,
    /// CURVE: the public key of the server to talk to
    #[arg(
        long,
        value_name = "KEY",
        requires = "curve_secret_key",
        allow_hyphen_values = true,
        conflicts_with = "curve_server"
    )]
    curve_server_key: Option<String>,
    /// CURVE: be the server
    #[arg(long, requires = "curve_secret_key")]
    curve_server: bool,
    /// CURVE server: let in only the client with this public key; may be repeated
    #[arg(long, value_name = "KEY", requires = "curve_server", allow_hyphen_values = true)]
    curve_allow: Vec<String>,
}

impl SecurityArgs {
    pub(super) fn security(&self) -> Result<Security, Failure> {
        if let (Some(username), Some(password)) = (&self.plain_username, &self.plain_password) {
            if self.plain_server {
                return Ok(Security::PlainServer(PlainServer::single(username, password)));
            }
            let client = PlainClient::new(username, password);
            return client
                .map(Security::PlainClient)
                .map_err(|error| Failure::from_error(Code::Usage, &error));
        }
        if self.plain_password.is_some() {
            // Going on without would connect, and without any password.
            return Err(Failure::new(Code::Usage, "a PLAIN password belongs to a user name")
                .hint("add --plain-username"));
        }
        let Some(secret) = &self.curve_secret_key else { return Ok(Security::Null) };
        let keys = CurveKeys::from_secret_z85(secret)
            .map_err(|error| Failure::new(Code::Usage, format!("--curve-secret-key: {error}")))?;
        if let Some(server) = &self.curve_server_key {
            let server = public("--curve-server-key", server)?;
            return Ok(Security::CurveClient(CurveClient::new(keys, server)));
        }
        if !self.curve_server {
            return Err(Failure::new(Code::Usage, "--curve-secret-key is not enough")
                .hint("add --curve-server-key to be a client, or --curve-server"));
        }
        if self.curve_allow.is_empty() {
            return Ok(Security::CurveServer(CurveServer::anyone(keys)));
        }
        let allowed = self.curve_allow.iter().map(|key| public("--curve-allow", key));
        let allowed = allowed.collect::<Result<Vec<_>, _>>()?;
        Ok(Security::CurveServer(CurveServer::only(keys, allowed)))
    }
}

fn public(flag: &str, text: &str) -> Result<CurvePublicKey, Failure> {
    CurvePublicKey::from_z85(text)
        .map_err(|error| Failure::new(Code::Usage, format!("{flag}: {error}")))
}
