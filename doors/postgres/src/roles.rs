//! `pg_roles`: users, as the session's principal may see them.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion_pg_catalog::pg_catalog::context::{PgCatalogContextProvider, Role};
use posthouse_broker::Broker;
use posthouse_types::Principal;

/// What a session sees of users: all of them, or only itself.
#[derive(Clone)]
pub(crate) struct Roles {
    pub(crate) broker: Arc<Broker>,
    pub(crate) principal: Principal,
}

#[async_trait]
impl PgCatalogContextProvider for Roles {
    async fn roles(&self) -> Vec<String> {
        // Who may see none is shown none.
        let users = self.broker.users(&self.principal).unwrap_or_default();
        users.iter().map(|user| user.name.to_string()).collect()
    }

    /// Always one: the catalog's table asks for each that was listed, and one may have gone since.
    async fn role(&self, name: &str) -> Option<Role> {
        let users = self.broker.users(&self.principal).unwrap_or_default();
        let user = users.iter().find(|user| user.name.as_str() == name);
        let is_superuser = user.is_some_and(|user| user.superuser);
        Some(Role {
            name: name.to_owned(),
            is_superuser,
            can_login: user.is_some_and(|user| !user.disabled),
            can_create_db: false,
            can_create_role: is_superuser,
            can_create_user: is_superuser,
            can_replication: false,
            grants: Vec::new(),
            inherited_roles: Vec::new(),
        })
    }
}

impl fmt::Debug for Roles {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Roles").field("principal", &self.principal).finish_non_exhaustive()
    }
}
