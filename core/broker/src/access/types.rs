//! What callers say.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use posthouse_access::{AttemptsConfig, ITERATIONS_DEFAULT, UserName, Verifier};
use posthouse_types::{ByteSize, Timestamp};

/// Whether and how clients are asked who they are.
#[derive(Clone, Debug)]
pub struct AuthenticationConfig {
    /// Whether a client must log in, and may do only what rules allow.
    pub required: bool,
    /// How often a new password is hashed.
    pub iterations: u32,
    /// How failed logins slow down further ones.
    pub attempts: AttemptsConfig,
    /// How long a client may take until it has logged in; doors close the connection then.
    pub login_timeout: Duration,
    /// Connections that one user may have.
    pub connections_max: usize,
    /// Bytes of records that one user may write in a second; above it, writing waits.
    pub write_rate: Option<ByteSize>,
    /// Bytes of records that one user may read in a second; above it, reading waits.
    pub read_rate: Option<ByteSize>,
    /// Requests that one user may make in a second; above it, they wait.
    pub request_rate: Option<NonZeroU32>,
}

impl Default for AuthenticationConfig {
    fn default() -> AuthenticationConfig {
        AuthenticationConfig {
            required: false,
            iterations: ITERATIONS_DEFAULT,
            attempts: AttemptsConfig::default(),
            login_timeout: Duration::from_secs(30),
            connections_max: 10_000,
            write_rate: None,
            read_rate: None,
            request_rate: None,
        }
    }
}

/// Where a login comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Knock {
    /// The door.
    pub door: &'static str,
    /// The client's address.
    pub address: IpAddr,
}

/// A token to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewToken {
    /// Whose it is.
    pub user: UserName,
    /// What its owner calls it; may be empty.
    pub label: String,
    /// When it ends; `None` when it does not.
    pub expires: Option<Timestamp>,
}

/// One change of a user.
#[derive(Clone, PartialEq, Eq)]
pub enum UserChange {
    /// A new password, by every mechanism.
    Password(Vec<u8>),
    /// What checks the password by one mechanism: the client has hashed it.
    Verifier(Verifier),
    /// Its password is not checked by this mechanism any more.
    WithoutVerifier(posthouse_access::Mechanism),
    /// It has no password.
    NoPassword,
    /// Whether it may do everything.
    Superuser(bool),
    /// Whether it is kept out.
    Disabled(bool),
    /// A client certificate with this subject stands for it.
    Certificate(String),
    /// No certificate with this subject stands for it.
    NoCertificate(String),
    /// This CURVE key, in Z85, is its own.
    CurveKey(String),
    /// It is not.
    NoCurveKey(String),
    /// Bytes of records that it may write in a second; as for everybody when `None`.
    WriteRate(Option<ByteSize>),
    /// Bytes of records that it may read in a second; as for everybody when `None`.
    ReadRate(Option<ByteSize>),
    /// Requests that it may make in a second; as for everybody when `None`.
    RequestRate(Option<NonZeroU32>),
}

impl std::fmt::Debug for UserChange {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.class())
    }
}

impl UserChange {
    /// Whether it is about how much the user may move.
    pub(crate) fn is_rate(&self) -> bool {
        use UserChange::{ReadRate, RequestRate, WriteRate};
        matches!(self, WriteRate(_) | ReadRate(_) | RequestRate(_))
    }

    /// What the audit log calls it. It holds nothing of a password.
    pub(crate) fn class(&self) -> &'static str {
        match self {
            UserChange::Password(_) | UserChange::Verifier(_) => "password set",
            UserChange::WithoutVerifier(_) | UserChange::NoPassword => "password removed",
            UserChange::Superuser(true) => "made superuser",
            UserChange::Superuser(false) => "superuser no more",
            UserChange::Disabled(true) => "disabled",
            UserChange::Disabled(false) => "enabled",
            UserChange::Certificate(_) => "certificate added",
            UserChange::NoCertificate(_) => "certificate removed",
            UserChange::CurveKey(_) => "curve key added",
            UserChange::NoCurveKey(_) => "curve key removed",
            UserChange::WriteRate(Some(_)) => "write rate set",
            UserChange::WriteRate(None) => "write rate removed",
            UserChange::ReadRate(Some(_)) => "read rate set",
            UserChange::ReadRate(None) => "read rate removed",
            UserChange::RequestRate(Some(_)) => "request rate set",
            UserChange::RequestRate(None) => "request rate removed",
        }
    }
}
