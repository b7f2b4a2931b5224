//! Making, listing and dropping endpoints.

use std::sync::{Arc, Weak};

use parking_lot::RwLock;
use posthouse_types::Principal;
use serde_json::Value;

use super::{EndpointDescription, EndpointRunner, EndpointSettings};
use crate::{
    Broker, Declaration, DeclarationKind, DeclareError, DeclareMode, Denied, EndpointError,
    Operation, Resource,
};

/// The door that runs endpoints, while it is open.
#[derive(Default)]
pub(crate) struct Runner(RwLock<Option<Weak<dyn EndpointRunner>>>);

impl Broker {
    /// Makes a door the one that runs endpoints, for as long as it lives.
    pub fn run_endpoints(&self, runner: &Arc<dyn EndpointRunner>) {
        *self.endpoint_runner().0.write() = Some(Arc::downgrade(runner));
    }

    /// Declares an endpoint, and waits until it has been opened or has failed to.
    ///
    /// # Errors
    /// [`EndpointError`]; nothing was declared. That it cannot be opened now is no error: the
    /// description says so, and it is tried again.
    pub async fn create_endpoint(
        &self,
        principal: &Principal,
        name: &str,
        settings: EndpointSettings,
    ) -> Result<EndpointDescription, EndpointError> {
        self.authorize(principal, Operation::Alter, Resource::Cluster)
            .map_err(DeclareError::from)?;
        self.authorize_acting(principal, &settings)?;
        let runner = self.runner()?;
        if runner.describe().iter().any(|one| one.configured && one.name == name) {
            return Err(EndpointError::Configured(name.to_owned()));
        }
        runner.check(name, &settings)?;
        let declaration = Declaration {
            kind: DeclarationKind::Endpoint,
            name: name.to_owned(),
            spec: Value::Object(settings.to_json()),
        };
        self.declare(principal, declaration, DeclareMode::Create).await?;
        runner.settled(name).await;
        self.endpoint(principal, name).await
    }

    /// Drops an endpoint, and waits until its sockets are closed.
    ///
    /// # Errors
    /// [`EndpointError`]; nothing was changed.
    pub async fn drop_endpoint(
        &self,
        principal: &Principal,
        name: &str,
    ) -> Result<(), EndpointError> {
        self.authorize(principal, Operation::Alter, Resource::Cluster)
            .map_err(DeclareError::from)?;
        let runner = self.runner()?;
        if runner.describe().iter().any(|one| one.configured && one.name == name) {
            return Err(EndpointError::Configured(name.to_owned()));
        }
        self.undeclare(principal, DeclarationKind::Endpoint, name).await?;
        runner.settled(name).await;
        Ok(())
    }

    /// Every endpoint, by name.
    ///
    /// # Errors
    /// [`EndpointError`].
    pub async fn endpoints(
        &self,
        principal: &Principal,
    ) -> Result<Vec<EndpointDescription>, EndpointError> {
        self.authorize(principal, Operation::Describe, Resource::Cluster)
            .map_err(DeclareError::from)?;
        Ok(self.runner()?.describe())
    }

    /// One endpoint.
    ///
    /// # Errors
    /// [`EndpointError`].
    pub async fn endpoint(
        &self,
        principal: &Principal,
        name: &str,
    ) -> Result<EndpointDescription, EndpointError> {
        let found = self.endpoints(principal).await?.into_iter().find(|one| one.name == name);
        let unknown =
            || DeclareError::Unknown { kind: DeclarationKind::Endpoint, name: name.to_owned() };
        Ok(found.ok_or_else(unknown)?)
    }

    /// An endpoint acts for the user that it names: nobody gains a superuser's rights by naming one.
    fn authorize_acting(
        &self,
        principal: &Principal,
        settings: &EndpointSettings,
    ) -> Result<(), EndpointError> {
        let users = settings.iter().filter(|(name, _)| *name == "user");
        for user in users.flat_map(|(_, values)| values) {
            if self.is_superuser(&Principal::user(user)) && !self.is_superuser(principal) {
                let denied = Denied {
                    principal: principal.clone(),
                    operation: "act".to_owned(),
                    resource: format!("for user {user}"),
                };
                return Err(DeclareError::from(denied).into());
            }
        }
        Ok(())
    }

    fn runner(&self) -> Result<Arc<dyn EndpointRunner>, EndpointError> {
        let runner = self.endpoint_runner().0.read();
        runner.as_ref().and_then(Weak::upgrade).ok_or(EndpointError::NoRunner)
    }
}
