//! One task for each declaration of a kind, and its status.
//!
//! # Invariants
//! - A declaration has one task at most; a changed one is ended before the new one begins.
//! - When [`Fleet::reconcile`] returns, nothing runs that was not declared when it was called.
//! - A task that panics is a defect of the node, and ends it.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use parking_lot::RwLock;
use posthouse_broker::{Broker, Declaration, DeclarationKind, DeclareError};
use posthouse_types::Principal;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// What carries out declarations of one kind.
pub(crate) trait Outlet: Send + Sync + 'static {
    /// What is known of one.
    type Status: Default + Send + Sync + 'static;
    /// Which declarations.
    const KIND: DeclarationKind;

    /// Carries one out until `stop`.
    fn run(
        self: Arc<Self>,
        declaration: Arc<Declaration>,
        status: Arc<Self::Status>,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + Send + 'static;
}

/// All that is declared of one kind.
pub(crate) struct Fleet<O: Outlet> {
    outlet: Arc<O>,
    broker: Arc<Broker>,
    /// None once all have been stopped: nothing begins any more.
    running: Mutex<Option<BTreeMap<String, Running>>>,
    statuses: RwLock<BTreeMap<String, Arc<O::Status>>>,
    /// Cancelled by a task that panics.
    defect: CancellationToken,
}

struct Running {
    declaration: Arc<Declaration>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl<O: Outlet> Fleet<O> {
    pub(crate) fn new(outlet: O, broker: Arc<Broker>, defect: CancellationToken) -> Fleet<O> {
        Fleet {
            outlet: Arc::new(outlet),
            broker,
            running: Mutex::new(Some(BTreeMap::new())),
            statuses: RwLock::default(),
            defect,
        }
    }

    /// What is known of one since this node began, or since it was declared.
    pub(crate) fn status(&self, name: &str) -> Arc<O::Status> {
        self.statuses.read().get(name).cloned().unwrap_or_default()
    }

    /// Ends what is not declared any more, or otherwise; begins what is declared.
    pub(crate) async fn reconcile(&self) -> Result<(), DeclareError> {
        let mut running = self.running.lock().await;
        let Some(running) = running.as_mut() else { return Ok(()) };
        let declared = self.broker.declarations(&Principal::node(), O::KIND)?;
        let stays = |name: &String, one: &mut Running| {
            declared.get(name).is_some_and(|now| *now == one.declaration)
        };
        let mut ended = Vec::new();
        running.retain(|name, one| {
            let stays = stays(name, one);
            if !stays {
                one.stop.cancel();
                ended.push(std::mem::replace(&mut one.task, tokio::spawn(async {})));
            }
            stays
        });
        join(ended).await;
        self.statuses.write().retain(|name, _| declared.contains_key(name));
        for (name, declaration) in declared.iter() {
            if !running.contains_key(name) {
                running.insert(name.clone(), self.begin(Arc::clone(declaration)));
            }
        }
        Ok(())
    }

    /// Ends all of them.
    pub(crate) async fn stop(&self) {
        let mut running = self.running.lock().await;
        let all = running.take().unwrap_or_default();
        all.values().for_each(|one| one.stop.cancel());
        join(all.into_values().map(|one| one.task).collect()).await;
    }

    fn begin(&self, declaration: Arc<Declaration>) -> Running {
        let stop = CancellationToken::new();
        let name = declaration.name.clone();
        let status = Arc::clone(self.statuses.write().entry(name.clone()).or_default());
        let work = Arc::clone(&self.outlet).run(Arc::clone(&declaration), status, stop.clone());
        let defect = self.defect.clone();
        let task = tokio::spawn(async move {
            // The panic itself is reported by its hook, with the place.
            if AssertUnwindSafe(work).catch_unwind().await.is_err() {
                tracing::error!(name, "outlet ended by a defect");
                defect.cancel();
            }
        });
        Running { declaration, stop, task }
    }
}

async fn join(tasks: Vec<JoinHandle<()>>) {
    for task in tasks {
        // Never a panic: those are caught inside.
        let _ = task.await;
    }
}
