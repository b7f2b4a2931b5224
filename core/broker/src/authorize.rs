//! The one place that decides whether a principal may do something: every call passes through it.
//!
//! With authentication off it allows everything; otherwise [`crate::access`] decides.

pub use posthouse_access::{Operation, Resource, ResourceKind};
use posthouse_types::Principal;

use crate::{Broker, Denied};

impl Broker {
    /// Whether a principal may do something, for what a door does without any other call. What it
    /// asks the broker for is checked there.
    ///
    /// # Errors
    /// [`Denied`] names all three.
    pub fn authorize(
        &self,
        principal: &Principal,
        operation: Operation,
        resource: Resource<'_>,
    ) -> Result<(), Denied> {
        self.gate().authorize(principal, operation, resource)
    }

    /// Whether something is to be shown to a principal; what is not is left out without a word.
    pub fn shows(
        &self,
        principal: &Principal,
        operation: Operation,
        resource: Resource<'_>,
    ) -> bool {
        self.gate().shows(principal, operation, resource)
    }

    /// Whether a principal may do everything.
    pub fn is_superuser(&self, principal: &Principal) -> bool {
        self.gate().is_superuser(principal)
    }
}
