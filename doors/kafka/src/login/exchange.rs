//! One mechanism's messages, asked of the broker.

use posthouse_access::Mechanism;
use posthouse_access::scram::ChannelBinding;
use posthouse_broker::{Broker, Credentials, Knock, Login, LoginError, ScramLogin};
use tracing::debug;

use super::oauth::{self, Named};
use super::{BearerMessage, PlainMessage, SaslMechanism, SignedToken};
use crate::node::Node;

/// Where an exchange stands: it waits for the client's next message.
pub(super) enum Exchange {
    Plain,
    ScramFirst(Box<ScramLogin>),
    ScramLast(Box<ScramLogin>),
    Bearer,
    /// The client has been told, and answers with an empty message before it is refused.
    BearerRefused(String),
}

/// What a message comes to.
pub(super) enum Turn {
    /// The client is asked for its next message.
    Ask(Exchange, Vec<u8>),
    /// It is let in, with the mechanism's last word.
    In(Login, Vec<u8>),
    /// It is not. The text is all that it may know.
    Out(String),
}

impl Exchange {
    pub(super) fn begin(broker: &Broker, knock: Knock, mechanism: SaslMechanism) -> Exchange {
        // Kafka's clients know no channel binding.
        let scram = |mechanism| {
            let scram = broker.scram(knock, mechanism, ChannelBinding::Unavailable);
            Exchange::ScramFirst(Box::new(scram))
        };
        match mechanism {
            SaslMechanism::Plain => Exchange::Plain,
            SaslMechanism::ScramSha256 => scram(Mechanism::ScramSha256),
            SaslMechanism::ScramSha512 => scram(Mechanism::ScramSha512),
            SaslMechanism::OauthBearer => Exchange::Bearer,
        }
    }

    /// Takes the client's next message.
    pub(super) async fn turn(self, node: &Node, knock: Knock, message: &[u8]) -> Turn {
        let turned = match self {
            Exchange::Plain => plain(&node.broker, knock, message).await,
            Exchange::Bearer => Ok(bearer(node, knock, message).await),
            Exchange::BearerRefused(text) => Ok(Turn::Out(text)),
            Exchange::ScramFirst(mut scram) => {
                let asked = scram.first(message, None).await;
                asked.map(|text| Turn::Ask(Exchange::ScramLast(scram), text.into_bytes()))
            }
            Exchange::ScramLast(mut scram) => {
                scram.last(message).map(|(text, login)| Turn::In(login, text.into_bytes()))
            }
        };
        // Its own words tell a client nothing; what a broken one did wrong is in the log.
        turned.unwrap_or_else(|error| {
            debug!(address = %knock.address, error = %posthouse_types::chain(&error), "login refused");
            Turn::Out(error.to_string())
        })
    }
}

async fn plain(broker: &Broker, knock: Knock, message: &[u8]) -> Result<Turn, LoginError> {
    // What cannot be read is counted and slowed down like what is wrong: as nobody's password.
    let message = PlainMessage::parse(message).unwrap_or_else(|error| {
        debug!(address = %knock.address, %error, "unreadable login");
        PlainMessage { user: "", password: b"" }
    });
    let credentials = Credentials::Password { user: message.user, password: message.password };
    let login = broker.log_in(knock, credentials).await?;
    Ok(Turn::In(login, Vec::new()))
}

/// SPEC: RFC 7628, section 3.2.3: a refused client is told why as a challenge, which it answers.
async fn bearer(node: &Node, knock: Knock, message: &[u8]) -> Turn {
    let named = match verify(node, message).await {
        Ok(named) => Some(named),
        Err(error) => {
            debug!(address = %knock.address, %error, "token refused");
            None
        }
    };
    // A token that is refused is counted and slowed down like any other failure: as nobody's.
    let credentials = match &named {
        Some(Named { subject, expires }) => {
            Credentials::Verified { subject, expires: Some(*expires) }
        }
        None => Credentials::Verified { subject: "", expires: None },
    };
    match node.broker.log_in(knock, credentials).await {
        Ok(login) => Turn::In(login, Vec::new()),
        Err(error) => {
            Turn::Ask(Exchange::BearerRefused(error.to_string()), oauth::REFUSED.to_vec())
        }
    }
}

/// Whom a token names. The error is for the log only.
async fn verify(node: &Node, message: &[u8]) -> Result<Named, String> {
    let message = BearerMessage::parse(message).map_err(|error| error.to_string())?;
    let token = SignedToken::parse(message.token).map_err(|error| error.to_string())?;
    let issuer = node.oauth.as_ref().ok_or("no issuer is configured")?;
    let clock = node.broker.clock();
    let keys = issuer.keys(token.key_id(), &**clock).await;
    let checked = token.check(&keys, issuer.expected(), clock.wall());
    let named = checked.map_err(|error| error.to_string())?;
    match message.identity {
        Some(identity) if identity != named.subject => {
            Err("it asks to act as another user".to_owned())
        }
        _ => Ok(named),
    }
}
