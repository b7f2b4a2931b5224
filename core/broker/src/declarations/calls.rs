//! Declaring, taking back, listing and following.

use std::sync::Arc;

use posthouse_types::Principal;
use tokio::sync::watch;

use super::{Declaration, DeclarationKind, Declarations, DeclareMode};
use crate::catalog::CatalogCommand;
use crate::{AppendFailure, Broker, DeclareError, Operation, Resource};

/// LIMIT: longest name, as of a topic.
const NAME_BYTES_MAX: usize = 249;

/// LIMIT: one specification as JSON.
const SPEC_BYTES_MAX: usize = 64 * 1024;

/// LIMIT: declarations of one kind.
const DECLARATIONS_MAX: usize = 10_000;

impl Broker {
    /// Declares, durably.
    ///
    /// # Errors
    /// [`DeclareError`]; nothing was changed, unless it is a failure to store it.
    ///
    /// # Cancellation
    /// Safe to drop; the declaration may be made all the same.
    pub async fn declare(
        &self,
        principal: &Principal,
        declaration: Declaration,
        mode: DeclareMode,
    ) -> Result<(), DeclareError> {
        self.authorize(principal, Operation::Alter, Resource::Cluster)?;
        check_name(&declaration)?;
        check_size(&declaration)?;
        self.complete(|broker| async move {
            let _in_order = broker.declared().changes().lock().await;
            broker.check_place(&declaration, mode)?;
            let kept = declaration.clone();
            broker.keep(CatalogCommand::Declared { declaration: kept }).await?;
            tracing::info!(kind = %declaration.kind, name = declaration.name, "declared");
            broker.declared().show(declaration.kind, |all| {
                all.insert(declaration.name.clone(), Arc::new(declaration));
            });
            Ok(())
        })
        .await
    }

    /// Takes a declaration back, durably.
    ///
    /// # Errors
    /// [`DeclareError`]; nothing was changed, unless it is a failure to store it.
    ///
    /// # Cancellation
    /// As [`Broker::declare`].
    pub async fn undeclare(
        &self,
        principal: &Principal,
        kind: DeclarationKind,
        name: &str,
    ) -> Result<(), DeclareError> {
        self.authorize(principal, Operation::Alter, Resource::Cluster)?;
        let name = name.to_owned();
        self.complete(|broker| async move {
            let _in_order = broker.declared().changes().lock().await;
            if !broker.declared().current(kind).contains_key(&name) {
                return Err(DeclareError::Unknown { kind, name });
            }
            broker.keep(CatalogCommand::Undeclared { declared: kind, name: name.clone() }).await?;
            tracing::info!(%kind, name, "declaration taken back");
            broker.declared().show(kind, |all| {
                all.remove(&name);
            });
            Ok(())
        })
        .await
    }

    /// All declarations of a kind.
    ///
    /// # Errors
    /// [`DeclareError::Denied`].
    pub fn declarations(
        &self,
        principal: &Principal,
        kind: DeclarationKind,
    ) -> Result<Arc<Declarations>, DeclareError> {
        self.authorize(principal, Operation::Describe, Resource::Cluster)?;
        Ok(self.declared().current(kind))
    }

    /// Follows the declarations of a kind: for what runs them, on the node's own behalf.
    pub fn watch_declarations(&self, kind: DeclarationKind) -> watch::Receiver<Arc<Declarations>> {
        self.declared().watch(kind)
    }

    fn check_place(
        &self,
        declaration: &Declaration,
        mode: DeclareMode,
    ) -> Result<(), DeclareError> {
        let Declaration { kind, ref name, .. } = *declaration;
        let declared = self.declared().current(kind);
        match (declared.contains_key(name), mode) {
            (true, DeclareMode::Create) => Err(DeclareError::Exists { kind, name: name.clone() }),
            (false, _) if declared.len() >= DECLARATIONS_MAX => {
                Err(DeclareError::TooMany { kind, max: DECLARATIONS_MAX })
            }
            _ => Ok(()),
        }
    }

    async fn keep(&self, command: CatalogCommand) -> Result<(), DeclareError> {
        let kept = self.catalog().lock().commit(command, self.clock().wall());
        let (_, ticket) = kept.map_err(AppendFailure::from)?;
        ticket.durable().await.map_err(AppendFailure::from)?;
        Ok(())
    }
}

fn check_name(declaration: &Declaration) -> Result<(), DeclareError> {
    let Declaration { kind, ref name, .. } = *declaration;
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(legal) {
        return Ok(());
    }
    Err(DeclareError::Name { kind, name: name.clone(), max: NAME_BYTES_MAX })
}

fn check_size(declaration: &Declaration) -> Result<(), DeclareError> {
    let size = declaration.spec.to_string().len();
    if size <= SPEC_BYTES_MAX {
        return Ok(());
    }
    let Declaration { kind, ref name, .. } = *declaration;
    Err(DeclareError::TooLarge { kind, name: name.clone(), size, max: SPEC_BYTES_MAX })
}
