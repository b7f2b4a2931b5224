//! The door on behalf of one of its clients.

use std::ops::Deref;
use std::sync::Arc;

use posthouse_types::Principal;

use crate::server::Server;
use crate::table::Call;

/// The door, with whoever is asking: what work that outlives a command's handler calls the broker as.
/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Asker {
    server: Arc<Server>,
    /// Who is asking.
    pub(crate) principal: Principal,
}

impl Deref for Asker {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

impl Call<'_> {
    /// The door on behalf of this client.
    pub(crate) fn asker(&self) -> Asker {
        let principal = self.client.identity.principal().clone();
        Asker { server: Arc::clone(self.server), principal }
    }
}
