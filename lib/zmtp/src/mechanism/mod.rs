//! How peers prove who they are: NULL, PLAIN and CURVE as state machines without I/O.
//!
//! A mechanism is given the peer's commands and says what to answer. When it knows the peer's
//! metadata it hands them over; the session's owner then admits the peer or refuses it, and what the
//! mechanism still has to say is said after that, so that a refusal takes the place of READY.

mod authenticator;
mod curve;
mod null;
mod plain;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::codec::CodecError;
use crate::codec::command::{Metadata, read_reason};
use crate::codec::outbox::Outbox;
pub use authenticator::{Authenticator, Credentials, Judgement, Pass};
pub use curve::{CurveClient, CurveKeyError, CurveKeys, CurvePublicKey, CurveServer};
use null::Null;
pub use plain::{PlainClient, PlainServer, PlainTooLong};

/// What libzmq's peers understand as "who you say you are is not accepted".
pub(crate) const DENIED: &str = "400";

/// How a socket proves who it is, and what it asks of its peers.
#[derive(Clone, Debug, Default)]
pub enum Security {
    /// Nobody proves anything.
    #[default]
    Null,
    /// A user name and a password, in clear text.
    PlainClient(PlainClient),
    /// Asks for a user name and a password.
    PlainServer(PlainServer),
    /// Encrypted; knows the server's public key.
    CurveClient(CurveClient),
    /// Encrypted; may know which clients are welcome.
    CurveServer(CurveServer),
}

impl Security {
    /// The mechanism's name on the wire.
    pub fn name(&self) -> &'static str {
        match self {
            Security::Null => "NULL",
            Security::PlainClient(_) | Security::PlainServer(_) => "PLAIN",
            Security::CurveClient(_) | Security::CurveServer(_) => "CURVE",
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Security::Null)
    }

    pub(crate) fn is_server(&self) -> bool {
        matches!(self, Security::PlainServer(_) | Security::CurveServer(_))
    }
}

/// A question asked of a verifier: whether a peer is welcome.
pub(crate) type Verifier<T> = Arc<dyn Fn(&T) -> bool + Send + Sync>;

/// What to do after a command.
#[derive(Debug)]
pub(crate) enum Step {
    /// Send this command.
    Send(Vec<u8>),
    /// The peer has said who it is: admit it or refuse it.
    Peer(Metadata),
}

/// The handshake failed.
#[derive(Debug, thiserror::Error)]
pub enum MechanismError {
    /// The peer's greeting names another mechanism, or the same side of it.
    #[error("the peer offers {theirs} where {ours} is asked")]
    Mismatch {
        /// What was configured here.
        ours: String,
        /// What the peer offers.
        theirs: String,
    },
    /// The peer said why it does not want us.
    #[error("the peer refused the connection: {0}")]
    Refused(String),
    /// The peer's name, password or key is not accepted here.
    #[error("the peer's credentials are not accepted")]
    Denied,
    /// What was received could not be opened: a wrong key, or tampering.
    #[error("the peer's {0} cannot be opened: its keys do not match ours")]
    Sealed(&'static str),
    /// A nonce that was used before.
    #[error("the peer repeats itself")]
    Replayed,
    /// The system has no random bytes.
    #[error("the system gives no random bytes")]
    Random(#[source] getrandom::Error),
    /// A command that is malformed or does not belong here.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

/// A mechanism at work.
pub(crate) enum Mechanism {
    Null(Null),
    PlainClient(plain::Client),
    PlainServer(plain::Server),
    CurveClient(Box<curve::Client>),
    CurveServer(Box<curve::Server>),
}

impl Mechanism {
    /// A mechanism that will tell the peer `metadata`. With `waits`, NULL hears the peer out before it
    /// says anything, so that the peer can still be refused.
    pub(crate) fn new(
        security: &Security,
        metadata: &Metadata,
        waits: bool,
    ) -> Result<Mechanism, MechanismError> {
        let mut bytes = Vec::new();
        metadata.write(&mut bytes);
        Ok(match security {
            Security::Null => Mechanism::Null(Null::new(bytes, waits)),
            Security::PlainClient(config) => {
                Mechanism::PlainClient(plain::Client::new(config.clone(), bytes))
            }
            Security::PlainServer(config) => {
                Mechanism::PlainServer(plain::Server::new(config.clone(), bytes))
            }
            Security::CurveClient(config) => {
                Mechanism::CurveClient(Box::new(curve::Client::new(config.clone(), bytes)?))
            }
            Security::CurveServer(config) => {
                Mechanism::CurveServer(Box::new(curve::Server::new(config.clone(), bytes)?))
            }
        })
    }

    /// The command that this side begins with, if it does.
    pub(crate) fn start(&mut self) -> Result<Option<Vec<u8>>, MechanismError> {
        match self {
            Mechanism::Null(null) => Ok(null.start()),
            Mechanism::PlainClient(client) => Ok(Some(client.start())),
            Mechanism::CurveClient(client) => client.start().map(Some),
            Mechanism::PlainServer(_) | Mechanism::CurveServer(_) => Ok(None),
        }
    }

    /// Takes a command of the handshake.
    pub(crate) fn on_command(&mut self, body: &[u8]) -> Result<Step, MechanismError> {
        // SPEC: 24/ZMTP-PLAIN; libzmq's PLAIN server up to 4.3.5 mistakes the length and the E of
        // `\x05ERROR` for one escaped character. What is meant is plain.
        if let (Mechanism::PlainClient(_), Some(rest)) = (&*self, body.strip_prefix(b"^RROR")) {
            return Err(MechanismError::Refused(explain(read_reason(rest)?)));
        }
        let (name, rest) = crate::codec::command::split(body)?;
        if name == b"ERROR" {
            return Err(MechanismError::Refused(explain(read_reason(rest)?)));
        }
        match self {
            Mechanism::Null(null) => null.on_command(name, rest),
            Mechanism::PlainClient(client) => client.on_command(name, rest),
            Mechanism::PlainServer(server) => server.on_command(name, rest),
            Mechanism::CurveClient(client) => client.on_command(name, rest),
            Mechanism::CurveServer(server) => server.on_command(name, rest),
        }
    }

    /// The peer is admitted: what is still to be said to it.
    pub(crate) fn admit(&mut self) -> Result<Option<Vec<u8>>, MechanismError> {
        match self {
            Mechanism::Null(null) => Ok(null.admit()),
            Mechanism::PlainServer(server) => Ok(Some(server.admit())),
            Mechanism::CurveServer(server) => server.admit().map(Some),
            Mechanism::PlainClient(_) | Mechanism::CurveClient(_) => Ok(None),
        }
    }

    /// What the peer has shown, once it has; a client asks nothing of its server.
    pub(crate) fn credentials(&mut self) -> Option<Credentials> {
        match self {
            Mechanism::PlainServer(server) => server.credentials(),
            Mechanism::CurveServer(server) => server.credentials(),
            Mechanism::Null(_) | Mechanism::PlainClient(_) | Mechanism::CurveClient(_) => None,
        }
    }

    /// Whether frames travel as they are, which is what makes the fast path possible.
    pub(crate) fn is_transparent(&self) -> bool {
        !matches!(self, Mechanism::CurveClient(_) | Mechanism::CurveServer(_))
    }

    /// Seals a frame into the outbox.
    pub(crate) fn seal(
        &mut self,
        outbox: &mut Outbox,
        more: bool,
        command: bool,
        body: &Bytes,
    ) -> Result<(), MechanismError> {
        match self {
            Mechanism::CurveClient(client) => client.traffic().seal(outbox, more, command, body),
            Mechanism::CurveServer(server) => server.traffic().seal(outbox, more, command, body),
            _ => {
                outbox.push_frame(more, command, body);
                Ok(())
            }
        }
    }

    /// Opens a frame: whether more follow, whether it is a command, and its body.
    pub(crate) fn open(&mut self, body: &[u8]) -> Result<(bool, bool, Bytes), MechanismError> {
        match self {
            Mechanism::CurveClient(client) => client.traffic().open(body),
            Mechanism::CurveServer(server) => server.traffic().open(body),
            _ => Err(CodecError::Unexpected("MESSAGE".to_owned()).into()),
        }
    }
}

impl fmt::Debug for Mechanism {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Mechanism::Null(_) => "Null",
            Mechanism::PlainClient(_) => "PlainClient",
            Mechanism::PlainServer(_) => "PlainServer",
            Mechanism::CurveClient(_) => "CurveClient",
            Mechanism::CurveServer(_) => "CurveServer",
        })
    }
}

/// The status codes that libzmq sends, in words.
fn explain(reason: String) -> String {
    match reason.as_str() {
        "300" => "300 (it cannot tell now whether we are welcome)".to_owned(),
        DENIED => "400 (our credentials are not accepted)".to_owned(),
        "500" => "500 (it failed while checking our credentials)".to_owned(),
        _ => reason,
    }
}

/// A command that does not belong where it came.
fn unexpected<T>(name: &[u8]) -> Result<T, MechanismError> {
    Err(CodecError::Unexpected(name.escape_ascii().to_string()).into())
}
