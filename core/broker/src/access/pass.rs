//! What a connection keeps of who it is, because it asks at every command.

use std::sync::Arc;

use posthouse_access::{Operation, Resource, Standing};
use posthouse_types::Principal;

use super::gate::Gate;
use crate::Broker;

/// A principal, with what it may do as far as that has been looked up. A change holds from the next
/// question on.
#[derive(Debug)]
pub struct Pass {
    principal: Principal,
    /// At which revision of the gate, and what.
    known: Option<(u64, Arc<Standing>)>,
}

impl Pass {
    /// Of one about whom nothing has been looked up.
    pub fn new(principal: Principal) -> Pass {
        Pass { principal, known: None }
    }

    /// Whose it is.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    fn standing(&mut self, gate: &Gate) -> &Standing {
        // Read first: what is looked up is then no older.
        let revision = gate.revision();
        let known = self.known.take().filter(|(at, _)| *at == revision);
        let looked_up = || (revision, gate.standing(&self.principal));
        &self.known.insert(known.unwrap_or_else(looked_up)).1
    }
}

impl Broker {
    /// As [`Broker::shows`], for whoever asks often.
    pub fn shows_to(&self, pass: &mut Pass, operation: Operation, resource: Resource<'_>) -> bool {
        let gate = self.gate();
        !gate.is_required()
            || pass.principal.is_node()
            || Gate::decides(pass.standing(gate), operation, resource)
    }
}
