//! Who a client is: the SASL exchange, and the login that comes of it.
//!
//! Owns the choice of the mechanism and the order of the messages. What they say, and how failures
//! are slowed and counted, is the broker's. Where the node asks nobody who they are, this door
//! trusts whoever reaches it, as PostgreSQL's `trust` does: the name grants nothing then.
//!
//! # Invariants
//! - Channel binding is offered exactly when there is something to bind to, and a client that could
//!   bind and was told otherwise is refused: somebody stands in between.
//!
//! # Source
//! PostgreSQL 16 documentation, "SASL Authentication"; RFC 5802, RFC 7677, RFC 5929.

use bytes::Bytes;
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::startup::Authentication;
use posthouse_access::Mechanism;
use posthouse_access::scram::ChannelBinding;
use posthouse_broker::{Broker, Credentials, Knock, Login};
use posthouse_listener::TlsPeer;
use posthouse_types::Principal;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::codec::{Answer, Frontend};
use crate::errors::Fatal;
use crate::startup::push;
use crate::wire::Wire;

/// SPEC: the names by which SASL knows them.
const PLAIN: &str = "SCRAM-SHA-256";
const BOUND: &str = "SCRAM-SHA-256-PLUS";

/// What encryption says of a connection; nothing where there is none.
#[derive(Debug, Default)]
pub(crate) struct Assurance {
    /// The `tls-server-end-point` hash of this node's certificate.
    pub(crate) server_end_point: Option<Vec<u8>>,
    /// The subject of the client's certificate, which TLS has verified.
    pub(crate) client_subject: Option<String>,
}

impl From<&TlsPeer> for Assurance {
    fn from(peer: &TlsPeer) -> Assurance {
        let certificate = peer.certificate.as_ref();
        Assurance {
            server_end_point: peer.endpoint_binding.as_ref().map(|hash| hash.to_vec()),
            client_subject: certificate.map(|certificate| certificate.subject.clone()),
        }
    }
}

/// Finds out whether the client is `user`; `None` where nobody is asked.
///
/// # Errors
/// [`Fatal`] when it is not, or does not say so in the protocol's way.
pub(crate) async fn authenticate<S: AsyncRead + AsyncWrite + Unpin>(
    wire: &mut Wire<S>,
    broker: &Broker,
    knock: Knock,
    user: &str,
    assurance: Assurance,
) -> Result<Option<Login>, Fatal> {
    if !broker.authentication_required() {
        return Ok(None);
    }
    if let Some(subject) = &assurance.client_subject {
        let known = broker.log_in(knock, Credentials::Certificate { subject }).await;
        // One that stands for somebody else proves nothing here; there is still the password.
        if let Ok(login) = known
            && login.principal == Principal::user(user)
        {
            return Ok(Some(login));
        }
    }
    scram(wire, broker, knock, user, assurance.server_end_point).await.map(Some)
}

async fn scram<S: AsyncRead + AsyncWrite + Unpin>(
    wire: &mut Wire<S>,
    broker: &Broker,
    knock: Knock,
    user: &str,
    server_end_point: Option<Vec<u8>>,
) -> Result<Login, Fatal> {
    let mechanisms = offered(server_end_point.is_some());
    let chosen = ask(wire, Authentication::SASL(mechanisms)).await?.into_initial()?;
    let binding = binding(&chosen.mechanism, server_end_point)?;
    let first = match chosen.response {
        Some(response) => response,
        None => ask(wire, Authentication::SASLContinue(Bytes::new())).await?.into_response(),
    };
    let mut exchange = broker.scram(knock, Mechanism::ScramSha256, binding);
    let refused = |error| Fatal::login(user, error);
    // SPEC: the name is the start packet's; the one in the message does not count.
    let challenge = exchange.first(&first, Some(user)).await.map_err(refused)?;
    let last = ask(wire, Authentication::SASLContinue(Bytes::from(challenge))).await?;
    let (proof, login) = exchange.last(&last.into_response()).map_err(refused)?;
    let proven = Authentication::SASLFinal(Bytes::from(proof));
    push(wire, PgWireBackendMessage::Authentication(proven))?;
    Ok(login)
}

/// Mechanisms, the best one first.
fn offered(can_bind: bool) -> Vec<String> {
    let names: &[&str] = if can_bind { &[BOUND, PLAIN] } else { &[PLAIN] };
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn binding(chosen: &str, server_end_point: Option<Vec<u8>>) -> Result<ChannelBinding, Fatal> {
    match (chosen, server_end_point) {
        (PLAIN, None) => Ok(ChannelBinding::Unavailable),
        (PLAIN, Some(_)) => Ok(ChannelBinding::Offered),
        (BOUND, Some(hash)) => Ok(ChannelBinding::Chosen(hash)),
        _ => Err(Fatal::Mechanism),
    }
}

async fn ask<S: AsyncRead + AsyncWrite + Unpin>(
    wire: &mut Wire<S>,
    question: Authentication,
) -> Result<Answer, Fatal> {
    push(wire, PgWireBackendMessage::Authentication(question))?;
    wire.flush().await?;
    match wire.read().await? {
        Frontend::Answer(answer) => Ok(answer),
        Frontend::Terminate => Err(Fatal::Gone),
        _ => Err(Fatal::NoAnswer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binding_is_offered_only_where_there_is_something_to_bind_to() {
        assert_eq!(offered(false), ["SCRAM-SHA-256"]);
        assert_eq!(offered(true), ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"]);
        assert!(matches!(binding(PLAIN, None), Ok(ChannelBinding::Unavailable)));
        assert!(matches!(binding(PLAIN, Some(vec![1])), Ok(ChannelBinding::Offered)));
        assert!(matches!(binding(BOUND, Some(vec![1])), Ok(ChannelBinding::Chosen(_))));
        assert!(matches!(binding(BOUND, None), Err(Fatal::Mechanism)));
        assert!(matches!(binding("PLAIN", Some(vec![1])), Err(Fatal::Mechanism)));
    }
}
