//! Who may come in, and what they may do: logins, users, tokens and rules, kept in the catalog.
//!
//! [`Gate`] is what is asked on every call: it holds what the catalog says in the form in which it
//! is decided. A door logs its clients in by [`crate::Broker::log_in`] or, where the password does
//! not travel, by [`crate::Broker::scram`], and makes its calls as the principal that it is given.
//!
//! # Invariants
//! - With authentication off, everything is allowed to everybody.
//! - With it on, what no rule allows is denied, and Posthouse's own topics are for superusers.
//! - A wrong user, a wrong password and an expired token get one answer, after one time.

mod announced;
mod audit;
mod errors;
mod first_start;
mod gate;
mod login;
mod manage;
mod pass;
mod proven;
mod rates;
mod scram_login;
mod seats;
mod types;

pub use audit::AUDIT_TOPIC;
pub(crate) use audit::{Audit, AuditRecord};
pub use errors::{AccessError, LoginError};
pub(crate) use gate::Gate;
pub use login::{Credentials, Login, LoginWatch};
pub use pass::Pass;
pub use rates::Paced;
pub(crate) use rates::{Direction, Pacing};
pub use scram_login::ScramLogin;
pub use types::{AuthenticationConfig, Knock, NewToken, UserChange};
