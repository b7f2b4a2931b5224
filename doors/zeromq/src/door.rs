//! The door: follows what is declared, and runs an endpoint for each.
//!
//! # Invariants
//! - An endpoint that takes the place of one of the same name begins when that one's sockets are closed.
//! - Endpoints of the configuration come first: a declaration of the same name does not run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use posthouse_broker::{
    Broker, Declaration, DeclarationKind, Declarations, EndpointDescription, EndpointRefused,
    EndpointRunner, EndpointSettings, EndpointState,
};
use posthouse_zmtp::SocketType;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::ZeromqConfig;
use crate::context::{Context, rethrow};
use crate::endpoint;
use crate::progress::Progress;
use crate::sockets::{BoundEndpoint, Sockets};
use crate::spec::{EndpointSpec, Policy};

/// The ZeroMQ door of a node.
pub struct ZeromqDoor {
    broker: Arc<Broker>,
    policy: Policy,
    drain_timeout: Duration,
    declared: watch::Receiver<Arc<Declarations>>,
    entries: Mutex<BTreeMap<String, Entry>>,
    /// Tells those who wait for an endpoint.
    changed: Arc<Notify>,
    /// Ends everything; what waits for an endpoint, too.
    stopping: CancellationToken,
}

/// One endpoint, running or not.
struct Entry {
    /// `None` when it is from the configuration.
    declaration: Option<Arc<Declaration>>,
    /// `None` when its declaration is refused.
    spec: Option<Arc<EndpointSpec>>,
    progress: Arc<Progress>,
    until: CancellationToken,
    /// Done when its sockets are closed.
    closed: CancellationToken,
    dropped: bool,
}

impl ZeromqDoor {
    /// A door for `broker`, with the endpoints of the configuration; those that are declared begin
    /// with [`ZeromqDoor::serve`].
    pub fn new(broker: Arc<Broker>, config: &ZeromqConfig) -> Arc<ZeromqDoor> {
        let door = Arc::new(ZeromqDoor {
            declared: broker.watch_declarations(DeclarationKind::Endpoint),
            policy: config.policy,
            drain_timeout: config.drain_timeout,
            entries: Mutex::default(),
            changed: Arc::default(),
            stopping: CancellationToken::new(),
            broker,
        });
        let runner: Arc<dyn EndpointRunner> = Arc::clone(&door) as _;
        door.broker.run_endpoints(&runner);
        door
    }

    /// Runs endpoints until `shutdown`, and closes them.
    pub async fn serve(self: Arc<Self>, bound: Vec<BoundEndpoint>, shutdown: CancellationToken) {
        let mut tasks = JoinSet::new();
        for BoundEndpoint { spec, sockets } in bound {
            self.begin(&mut tasks, Arc::new(spec), None, Some(sockets));
        }
        let mut declared = self.declared.clone();
        loop {
            let declarations = Arc::clone(&declared.borrow_and_update());
            self.follow(&mut tasks, &declarations);
            tokio::select! {
                () = shutdown.cancelled() => break,
                changed = declared.changed() => if changed.is_err() { break },
                Some(ended) = tasks.join_next(), if !tasks.is_empty() => rethrow(ended),
            }
        }
        self.end_all();
        let ended = async {
            while let Some(ended) = tasks.join_next().await {
                rethrow(ended);
            }
        };
        if tokio::time::timeout(self.drain_timeout, ended).await.is_err() {
            tracing::warn!("endpoints are still busy after the grace period and are closed");
        }
    }

    /// Ends endpoints that are declared no more, and begins those that are.
    fn follow(&self, tasks: &mut JoinSet<()>, declarations: &Declarations) {
        let mut stale = Vec::new();
        for (name, entry) in self.entries.lock().iter_mut() {
            let Some(declaration) = &entry.declaration else { continue };
            let current = declarations.get(name);
            if !entry.dropped && !current.is_some_and(|current| Arc::ptr_eq(current, declaration)) {
                entry.dropped = true;
                entry.until.cancel();
                if entry.spec.is_none() {
                    stale.push(name.clone());
                }
            }
        }
        {
            let mut entries = self.entries.lock();
            stale.iter().for_each(|name| drop(entries.remove(name)));
            // Those that nobody waited for.
            entries.retain(|_, entry| !(entry.dropped && entry.closed.is_cancelled()));
        }
        for (name, declaration) in declarations {
            let is_new = {
                let entries = self.entries.lock();
                entries.get(name).is_none_or(|entry| entry.dropped && entry.declaration.is_some())
            };
            if is_new {
                self.begin_declared(tasks, declaration);
            }
        }
        self.changed.notify_waiters();
    }

    fn begin_declared(&self, tasks: &mut JoinSet<()>, declaration: &Arc<Declaration>) {
        let name = &declaration.name;
        match self.read(declaration) {
            Ok(spec) => {
                let declaration = Some(Arc::clone(declaration));
                self.begin(tasks, Arc::new(spec), declaration, None);
            }
            Err(refused) => {
                let help = refused.help.as_deref().map(|help| format!("; {help}"));
                let reason = format!("{refused}{}", help.unwrap_or_default());
                tracing::warn!(endpoint = name, reason, "endpoint cannot run");
                // Its kind is not known; nothing is counted either.
                let progress = Arc::new(Progress::new(SocketType::Pair, Arc::clone(&self.changed)));
                progress.failing(&reason);
                let entry = Entry {
                    declaration: Some(Arc::clone(declaration)),
                    spec: None,
                    progress,
                    until: CancellationToken::new(),
                    closed: CancellationToken::new(),
                    dropped: false,
                };
                entry.closed.cancel();
                self.entries.lock().insert(name.clone(), entry);
            }
        }
    }

    /// Begins an endpoint, after the one of the same name that it follows has closed.
    fn begin(
        &self,
        tasks: &mut JoinSet<()>,
        spec: Arc<EndpointSpec>,
        declaration: Option<Arc<Declaration>>,
        sockets: Option<Sockets>,
    ) {
        let progress = Arc::new(Progress::new(spec.socket.kind, Arc::clone(&self.changed)));
        let (until, closed) = (self.stopping.child_token(), CancellationToken::new());
        let entry = Entry {
            declaration,
            spec: Some(Arc::clone(&spec)),
            progress: Arc::clone(&progress),
            until: until.clone(),
            closed: closed.clone(),
            dropped: false,
        };
        let before = self.entries.lock().insert(spec.name.clone(), entry);
        if let Some(gatekeeper) = &spec.gatekeeper {
            gatekeeper.begin(&self.broker);
        }
        let context = Context {
            broker: Arc::clone(&self.broker),
            principal: spec.principal(),
            spec,
            progress,
            until,
        };
        let closing = Closing { closed, changed: Arc::clone(&self.changed) };
        tasks.spawn(async move {
            let _closing = closing;
            if let Some(before) = before {
                before.closed.cancelled().await;
            }
            endpoint::run(context, sockets).await;
        });
    }

    fn read(&self, declaration: &Declaration) -> Result<EndpointSpec, EndpointRefused> {
        let Some(object) = declaration.spec.as_object() else {
            return Err(EndpointRefused::new(
                "socket",
                "",
                "is missing: the declaration is damaged",
            ));
        };
        let settings = EndpointSettings::from_json(object)?;
        EndpointSpec::parse(&declaration.name, &settings, self.policy)
    }

    fn end_all(&self) {
        self.stopping.cancel();
        self.changed.notify_waiters();
    }

    /// Whether what is declared under a name has been tried, or what was is closed.
    fn is_settled(&self, name: &str) -> bool {
        let declared = self.declared.borrow().get(name).cloned();
        let mut entries = self.entries.lock();
        let Some(entry) = entries.get(name) else { return declared.is_none() };
        match (&declared, &entry.declaration) {
            (Some(declared), Some(run)) if Arc::ptr_eq(declared, run) => {
                entry.progress.state().0 != EndpointState::Starting
            }
            (None, Some(_)) if entry.dropped && entry.closed.is_cancelled() => {
                entries.remove(name);
                true
            }
            (_, None) => true,
            _ => false,
        }
    }
}

impl EndpointRunner for ZeromqDoor {
    fn check(&self, name: &str, settings: &EndpointSettings) -> Result<(), EndpointRefused> {
        EndpointSpec::parse(name, settings, self.policy).map(drop)
    }

    fn settled<'a>(&'a self, name: &'a str) -> BoxFuture<'a, ()> {
        async move {
            loop {
                let mut changed = std::pin::pin!(self.changed.notified());
                changed.as_mut().enable();
                if self.stopping.is_cancelled() || self.is_settled(name) {
                    return;
                }
                changed.await;
            }
        }
        .boxed()
    }

    fn describe(&self) -> Vec<EndpointDescription> {
        let entries = self.entries.lock();
        let shown = entries.iter().filter(|(_, entry)| !entry.dropped);
        shown.map(|(name, entry)| entry.describe(name)).collect()
    }
}

impl Entry {
    fn describe(&self, name: &str) -> EndpointDescription {
        let (state, bound) = self.progress.state();
        let counts = self.progress.counts();
        let spec = self.spec.as_deref();
        let declared = || spec.map(EndpointSpec::addresses).unwrap_or_default();
        EndpointDescription {
            name: name.to_owned(),
            socket: spec.map(|spec| spec.socket.kind.name()).unwrap_or_default().to_owned(),
            target: spec.map(|spec| spec.work.to_string()).unwrap_or_default(),
            configured: self.declaration.is_none(),
            state,
            addresses: if bound.is_empty() { declared() } else { bound },
            peers: counts.peers,
            received: counts.received,
            sent: counts.sent,
            dropped: counts.dropped,
            settings: spec.map(|spec| spec.shown.clone()).unwrap_or_default(),
        }
    }
}

/// Says that an endpoint is closed, however its task ends.
struct Closing {
    closed: CancellationToken,
    changed: Arc<Notify>,
}

impl Drop for Closing {
    fn drop(&mut self) {
        self.closed.cancel();
        self.changed.notify_waiters();
    }
}
