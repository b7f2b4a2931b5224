//! Why somebody is not let in, or access is not changed.

use posthouse_access::scram::ScramError;
use posthouse_access::{TokenId, UserName, UserNameError, VerifierError};

use crate::{AppendFailure, Denied};

/// Why somebody is not let in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// User, password, token, key or certificate: which of them is wrong is not said.
    #[error(
        "authentication failed: the user does not exist, or what proves it is wrong or expired"
    )]
    Refused,
    /// The messages of the exchange are not what they should be.
    #[error("authentication failed")]
    Exchange(#[source] ScramError),
}

/// Why access was not changed, or is not shown.
#[derive(Clone, Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum AccessError {
    #[error("user {0} exists already")]
    UserExists(UserName),
    #[error("there is no user {0}")]
    UnknownUser(String),
    #[error("there is no token {0}")]
    UnknownToken(TokenId),
    #[error(transparent)]
    Name(#[from] UserNameError),
    #[error(transparent)]
    Password(#[from] VerifierError),
    #[error("certificate subject or key {value:?} is user {owner}'s already")]
    Taken { value: String, owner: UserName },
    #[error("{value:?} is not a CURVE public key: 40 characters of Z85")]
    CurveKey { value: String },
    #[error("there are {max} {what} already, which is as many as are kept")]
    TooMany { what: &'static str, max: usize },
    #[error("{what} of {size} bytes is too long; {max} are allowed")]
    TooLong { what: &'static str, size: usize, max: usize },
    #[error("{0} is the only superuser that can log in; make another one first")]
    LastSuperuser(UserName),
    #[error("only a superuser may make, change or delete a superuser")]
    Superuser,
    #[error("the token would have ended already")]
    Expired,
    #[error("cannot record it in the catalog")]
    Catalog(#[from] AppendFailure),
    #[error(transparent)]
    Denied(#[from] Denied),
}
