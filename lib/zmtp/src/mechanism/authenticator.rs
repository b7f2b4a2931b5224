//! Letting peers in where it takes time to find out whether they are welcome.

use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;

use super::CurvePublicKey;

/// Decides whom a PLAIN or CURVE server lets in, beside the server's own verifier; see
/// [`Options::authenticator`](crate::Options::authenticator).
pub trait Authenticator: fmt::Debug + Send + Sync {
    /// Judges a peer by what it has shown. Nothing is read from it meanwhile, and the handshake's
    /// time limit holds.
    fn judge(&self, address: Option<IpAddr>, credentials: Credentials) -> Judgement;
}

/// What becomes of a peer: `None` when it is refused.
pub type Judgement = Pin<Box<dyn Future<Output = Option<Pass>> + Send>>;

/// Resolves when a peer that was let in must go.
pub type Pass = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What a peer has shown.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// PLAIN: a user name and a password.
    Plain {
        /// The user name.
        username: String,
        /// The password.
        password: String,
    },
    /// CURVE: the long-term key, whose secret half the peer has.
    Curve(CurvePublicKey),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Credentials::Plain { username, .. } => {
                formatter.debug_struct("Plain").field("username", username).finish_non_exhaustive()
            }
            Credentials::Curve(key) => formatter.debug_tuple("Curve").field(key).finish(),
        }
    }
}
