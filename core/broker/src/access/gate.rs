//! What every call is asked, and every login.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use posthouse_access::{
    Access, Attempts, Operation, Permissions, Resource, ResourceKind, Standing,
};
use posthouse_types::Principal;
use tokio::sync::watch;

use super::announced::Announced;
use super::proven::Proven;
use super::rates::{OwnRates, Rates};
use super::seats::Seats;
use super::{Audit, AuditRecord, AuthenticationConfig};
use crate::Denied;
use crate::topics::is_internal_name;

/// The one place that decides.
pub(crate) struct Gate {
    config: AuthenticationConfig,
    current: ArcSwap<Current>,
    /// Held over a change until it is in force: changes show in order.
    changes: tokio::sync::Mutex<()>,
    /// Counts changes, for those who must look again after one.
    revision: AtomicU64,
    changed: watch::Sender<()>,
    pub(super) attempts: Mutex<Attempts>,
    pub(super) proven: Mutex<Proven>,
    pub(super) announced: Mutex<Announced>,
    pub(super) audit: Audit,
    rates: Rates,
    /// So that requests cost nothing where nobody's are counted.
    counts_requests: AtomicBool,
    seats: Seats,
}

/// What is in force.
pub(super) struct Current {
    pub(super) access: Arc<Access>,
    permissions: Permissions,
    own_rates: OwnRates,
}

impl Current {
    fn new(access: Access) -> Arc<Current> {
        let permissions = Permissions::of(&access);
        let own_rates = OwnRates::of(&access);
        Arc::new(Current { access: Arc::new(access), permissions, own_rates })
    }
}

impl Gate {
    /// With what a recovered catalog says.
    pub(crate) fn new(config: AuthenticationConfig, access: Access, audit: Audit) -> Gate {
        let (rates, current) = (Rates::new(&config), Current::new(access));
        let counts_requests = current.own_rates.count_requests(&rates).into();
        Gate {
            attempts: Mutex::new(Attempts::new(config.attempts)),
            current: ArcSwap::new(current),
            changes: tokio::sync::Mutex::default(),
            revision: AtomicU64::new(0),
            changed: watch::Sender::new(()),
            announced: Mutex::default(),
            proven: Mutex::default(),
            rates,
            counts_requests,
            seats: Seats::new(config.connections_max),
            audit,
            config,
        }
    }

    pub(crate) fn is_required(&self) -> bool {
        self.config.required
    }

    pub(crate) fn authorize(
        &self,
        principal: &Principal,
        operation: Operation,
        resource: Resource<'_>,
    ) -> Result<(), Denied> {
        if !self.config.required || self.decide(principal, operation, resource) {
            return Ok(());
        }
        Err(self.deny(principal, operation, &resource.to_string()))
    }

    /// As [`Gate::authorize`], where a refusal only hides something: nobody has asked for it, so it
    /// is not worth a line in the audit log.
    pub(crate) fn shows(
        &self,
        principal: &Principal,
        operation: Operation,
        resource: Resource<'_>,
    ) -> bool {
        !self.config.required || self.decide(principal, operation, resource)
    }

    /// Whether it may do so to anything of a kind.
    pub(crate) fn authorize_any(
        &self,
        principal: &Principal,
        operation: Operation,
        kind: ResourceKind,
    ) -> Result<(), Denied> {
        let may = || self.standing(principal).allows_any(operation, kind);
        if !self.config.required || principal.is_node() || may() {
            return Ok(());
        }
        Err(self.deny(principal, operation, &format!("any {kind}")))
    }

    pub(crate) fn is_superuser(&self, principal: &Principal) -> bool {
        !self.config.required || principal.is_node() || self.standing(principal).is_superuser()
    }

    pub(super) fn rates(&self) -> &Rates {
        &self.rates
    }

    pub(super) fn counts_requests(&self) -> bool {
        self.counts_requests.load(Ordering::Relaxed)
    }

    pub(super) fn with_own_rates<T>(&self, look: impl FnOnce(&OwnRates) -> T) -> T {
        look(&self.current.load().own_rates)
    }

    pub(super) fn seats(&self) -> &Seats {
        &self.seats
    }

    pub(super) fn config(&self) -> &AuthenticationConfig {
        &self.config
    }

    pub(super) fn current(&self) -> Arc<Access> {
        Arc::clone(&self.current.load().access)
    }

    pub(super) fn changes(&self) -> &tokio::sync::Mutex<()> {
        &self.changes
    }

    /// Tells of every change.
    pub(super) fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Counts what was changed.
    pub(crate) fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    /// Puts a change in force.
    pub(super) fn show(&self, access: Access) {
        let current = Current::new(access);
        let counts_requests = current.own_rates.count_requests(&self.rates);
        self.current.store(current);
        self.counts_requests.store(counts_requests, Ordering::Relaxed);
        self.revision.fetch_add(1, Ordering::Release);
        self.changed.send_replace(());
    }

    /// What a principal may do, as things are.
    pub(super) fn standing(&self, principal: &Principal) -> Arc<Standing> {
        Arc::clone(self.current.load().permissions.standing(principal))
    }

    /// Whether one who stands so may do it.
    pub(super) fn decides(
        standing: &Standing,
        operation: Operation,
        resource: Resource<'_>,
    ) -> bool {
        match resource {
            Resource::Topic(name) if is_internal_name(name) => standing.is_superuser(),
            _ => standing.allows(operation, resource),
        }
    }

    fn decide(&self, principal: &Principal, operation: Operation, resource: Resource<'_>) -> bool {
        principal.is_node() || {
            let current = self.current.load();
            Gate::decides(current.permissions.standing(principal), operation, resource)
        }
    }

    /// A refusal, written down.
    pub(crate) fn deny(
        &self,
        principal: &Principal,
        operation: Operation,
        resource: &str,
    ) -> Denied {
        let denied = Denied {
            principal: principal.clone(),
            operation: operation.name().to_owned(),
            resource: resource.to_owned(),
        };
        self.audit.record(AuditRecord::denied(&denied));
        denied
    }
}
