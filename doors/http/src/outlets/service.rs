//! All outlets of a node, for as long as it runs.

use std::sync::{Arc, OnceLock};

use posthouse_broker::{Broker, Declaration, DeclarationKind, DeclareError, DeclareMode};
use posthouse_types::Principal;
use tokio::sync::{Mutex, MutexGuard, mpsc};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::config::{OutletsConfig, StartOutletsError, certificates};
use super::fleet::Fleet;
use crate::errors::chain;
use crate::sinks::Sinks;
use crate::webhooks::{Disabled, WebhookClient, WebhookSpec, Webhooks};

/// Webhooks and file sinks. They run while [`Outlets::run`] does, whatever doors are open.
pub struct Outlets {
    broker: Arc<Broker>,
    webhooks: Fleet<Webhooks>,
    sinks: Fleet<Sinks>,
    config: OutletsConfig,
    disabled: Mutex<mpsc::UnboundedReceiver<Disabled>>,
    defect: CancellationToken,
    /// Held over a change of what is declared, with all that belongs to it.
    changes: Mutex<()>,
}

impl Outlets {
    /// Nothing runs yet.
    ///
    /// # Errors
    /// [`StartOutletsError`] when the configuration names something that cannot be used.
    pub fn new(
        broker: Arc<Broker>,
        config: OutletsConfig,
    ) -> Result<Arc<Outlets>, StartOutletsError> {
        let trusted = match &config.webhooks_ca_file {
            Some(path) => certificates(path)?,
            None => Vec::new(),
        };
        // Reading what the machine trusts takes longer than a node without webhooks should wait.
        let client = OnceLock::new();
        let client = move || client.get_or_init(|| WebhookClient::new(&trusted)).clone();
        let (tell_disabled, disabled) = mpsc::unbounded_channel();
        let webhooks = Webhooks {
            broker: Arc::clone(&broker),
            client: Arc::new(client),
            disabled: tell_disabled,
        };
        let sinks =
            Sinks { broker: Arc::clone(&broker), directory: config.sinks_directory.clone() };
        let defect = CancellationToken::new();
        Ok(Arc::new(Outlets {
            webhooks: Fleet::new(webhooks, Arc::clone(&broker), defect.clone()),
            sinks: Fleet::new(sinks, Arc::clone(&broker), defect.clone()),
            broker,
            config,
            disabled: Mutex::new(disabled),
            defect,
            changes: Mutex::default(),
        }))
    }

    /// Carries out what is declared until `shutdown`; returns earlier only by a defect.
    pub async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        let mut webhooks = self.broker.watch_declarations(DeclarationKind::Webhook);
        let mut sinks = self.broker.watch_declarations(DeclarationKind::FileSink);
        let mut disabled = self.disabled.lock().await;
        loop {
            webhooks.mark_unchanged();
            sinks.mark_unchanged();
            for reconciled in [self.webhooks.reconcile().await, self.sinks.reconcile().await] {
                if let Err(error) = reconciled {
                    error!(error = chain(&error), "outlets cannot be listed");
                }
            }
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = self.defect.cancelled() => break,
                _ = webhooks.changed() => {}
                _ = sinks.changed() => {}
                Some(gone) = disabled.recv() => self.disable(gone).await,
            }
        }
        tokio::join!(self.webhooks.stop(), self.sinks.stop());
    }

    /// Whoever changes what is declared holds this.
    pub(crate) async fn changing(&self) -> MutexGuard<'_, ()> {
        self.changes.lock().await
    }

    pub(crate) fn webhooks(&self) -> &Fleet<Webhooks> {
        &self.webhooks
    }

    pub(crate) fn sinks(&self) -> &Fleet<Sinks> {
        &self.sinks
    }

    pub(crate) fn config(&self) -> &OutletsConfig {
        &self.config
    }

    /// Notes that a destination wants nothing more, unless the webhook was changed meanwhile.
    async fn disable(&self, gone: Disabled) {
        let _changing = self.changing().await;
        let node = Principal::node();
        let Disabled { declaration, reason } = gone;
        let disabled = async {
            let declared = self.broker.declarations(&node, DeclarationKind::Webhook)?;
            let same = declared.get(&declaration.name).is_some_and(|now| *now == declaration);
            let Some(spec) = WebhookSpec::decode(&declaration.spec).ok().filter(|_| same) else {
                return Ok(());
            };
            let spec = WebhookSpec { disabled: Some(reason), ..spec };
            let declaration =
                Declaration { spec: spec.encode(), ..Declaration::clone(&declaration) };
            self.broker.declare(&node, declaration, DeclareMode::Replace).await
        };
        let outcome: Result<(), DeclareError> = disabled.await;
        let name = &declaration.name;
        match outcome {
            Ok(()) => info!(webhook = name, "webhook disabled"),
            Err(error) => error!(webhook = name, error = chain(&error), "webhook not disabled"),
        }
    }
}
