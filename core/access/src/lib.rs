//! Who may come in, and what they may do: users and how they prove who they are, API tokens,
//! permissions and their decision. Protocol-free, and without I/O.
//!
//! [`Access`] is the state, changed only by [`AccessChange`]s, which the node keeps in its catalog.
//! [`Permissions`] is what decides, made from the state whenever it changes. What a door needs to
//! log a client in is here too, because several protocols share it: [`scram`] is the one exchange of
//! Kafka's and PostgreSQL's SASL.
//!
//! # Invariants
//! - No password and no token is kept: only what checks one.
//! - A user that does not exist is checked like one that does, so that neither the answer nor its
//!   time tells them apart.
//! - What holds a secret shows none when printed with `{:?}`.

mod attempts;
mod decision;
mod names;
mod operation;
mod password;
mod quota;
mod random;
mod resource;
mod rule;
pub mod scram;
mod state;
mod token;
mod users;

pub use attempts::{Attempts, AttemptsConfig};
pub use decision::{Permissions, Standing};
pub use names::{NAME_BYTES_MAX, UserName, UserNameError};
pub use operation::{Operation, OperationSet};
pub use password::{
    ITERATIONS_DEFAULT, ITERATIONS_MAX, ITERATIONS_MIN, Mechanism, PASSWORD_BYTES_MAX, Verifier,
    VerifierError,
};
pub use quota::Quota;
pub use random::{keyed_hash, random_key};
pub use resource::{Resource, ResourceKind};
pub use rule::{Effect, Grantee, NamePattern, Rule, RuleFilter};
pub use state::{Access, AccessChange, TokenEntry, User, UserRates};
pub use token::{Token, TokenHash, TokenId};
