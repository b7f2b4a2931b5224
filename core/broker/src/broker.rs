//! The node's one handle: what doors and compute call.
//!
//! Owns the parts and their life: recovery at start, background work, shutdown. What a part does is
//! in the part's own file, as another `impl Broker`.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use posthouse_log::{Engine, Log};
use posthouse_types::{Clock, NodeId, Principal};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::access::{Audit, Gate};
use crate::catalog::{Catalog, CatalogCommand};
use crate::coordinate::{self, Shard};
use crate::declarations::DeclarationTable;
use crate::endpoints::Runner;
use crate::in_flight::InFlight;
use crate::live::{Channels, Pairs, Services};
use crate::producers::ProducerIds;
use crate::queues::{self, QueueShard};
use crate::state::StateLog;
use crate::tasks::Tasks;
use crate::topics::{
    CATALOG_PARTITION, OpenTopic, TopicTable, catalog_topic, internal_log_config, offsets_topic,
    queues_topic,
};
use crate::{BrokerConfig, LookupError, OpenBrokerError, Operation, Resource, TopicRef};

/// One node's broker. Cheap to share behind an `Arc`.
pub struct Broker {
    this: Weak<Broker>,
    engine: Arc<dyn Engine>,
    config: BrokerConfig,
    clock: Arc<dyn Clock>,
    identity: Identity,
    gate: Gate,
    catalog: Mutex<StateLog<Catalog>>,
    topics: TopicTable,
    /// Held over a change of a topic that exists, until callers see it: changes show in order.
    topic_changes: tokio::sync::Mutex<()>,
    declarations: DeclarationTable,
    endpoint_runner: Runner,
    in_flight: InFlight,
    producer_ids: ProducerIds,
    channels: Channels,
    services: Services,
    pairs: Pairs,
    shards: Vec<Arc<Shard>>,
    queue_shards: Vec<Arc<QueueShard>>,
    stopping: CancellationToken,
    tasks: Tasks,
}

/// Who this node is; made at the first start and kept in the data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The cluster: 16 random bytes as unpadded URL-safe base64, as Kafka writes them.
    pub cluster_id: String,
    /// This node.
    pub node_id: NodeId,
}

impl Broker {
    /// Recovers the catalog and the groups, and opens every partition.
    ///
    /// Waits for the partitions up to [`BrokerConfig::opening_wait`]; those that take longer answer
    /// [`LookupError::Opening`] until they are open.
    ///
    /// # Errors
    /// [`OpenBrokerError`] when internal state cannot be read; a topic's partition that cannot be
    /// opened does not stop the node.
    pub async fn open(
        engine: Arc<dyn Engine>,
        config: BrokerConfig,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Broker>, OpenBrokerError> {
        let in_flight = InFlight::new(config.in_flight_bytes_max);
        let topics = TopicTable::new();
        let (catalog, coordinators, queues) = tokio::try_join!(
            recover_catalog(engine.as_ref()),
            coordinate::recover(&engine, &config, &clock),
            queues::recover(&engine, &clock)
        )?;
        let (catalog_log, mut catalog) = catalog;
        let budget = in_flight.budget();
        topics.publish(OpenTopic::new(catalog_topic(), [catalog_log], budget));
        let logs = coordinators.iter().map(|one| Arc::clone(&one.log));
        topics.publish(OpenTopic::new(offsets_topic(), logs, budget));
        let (queue_shards, logs): (Vec<_>, Vec<_>) = queues.into_iter().unzip();
        topics.publish(OpenTopic::new(queues_topic(), logs, budget));
        let (shards, writes) = coordinators.into_iter().map(|one| (one.shard, one.writes)).unzip();

        let known = catalog.machine().identity().cloned();
        let identity = match known {
            Some(identity) => identity,
            None => identify(&mut catalog, clock.as_ref()).await?,
        };
        let declarations = DeclarationTable::new(catalog.machine().declared());
        let producer_ids = ProducerIds::starting_at(catalog.machine().producer_ids_next());
        let (audit, audited) = Audit::new(config.authentication.required);
        let access = catalog.machine().access().clone();
        let gate = Gate::new(config.authentication.clone(), access, audit);
        let broker = Arc::new_cyclic(|this| Broker {
            this: Weak::clone(this),
            engine,
            config,
            clock,
            identity,
            gate,
            catalog: Mutex::new(catalog),
            topics,
            topic_changes: tokio::sync::Mutex::new(()),
            declarations,
            endpoint_runner: Runner::default(),
            in_flight,
            producer_ids,
            channels: Channels::default(),
            services: Services::default(),
            pairs: Pairs::default(),
            shards,
            queue_shards,
            stopping: CancellationToken::new(),
            tasks: Tasks::here(),
        });
        broker.open_topics().await?;
        broker.prepare_access().await?;
        broker.start_audit(audited);
        broker.forget_orphaned_offsets().await;
        broker.start_coordinators(writes);
        broker.start_queues();
        broker.start_background();
        Ok(broker)
    }

    /// Stops background work, answers waiting fetches, makes everything durable.
    ///
    /// # Errors
    /// [`OpenBrokerError::Log`] when the engine could not close cleanly.
    pub async fn shutdown(&self) -> Result<(), OpenBrokerError> {
        self.stopping.cancel();
        self.tasks.ended().await;
        self.engine.shutdown().await?;
        Ok(())
    }

    /// Who this node is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The settings it runs with.
    pub fn config(&self) -> &BrokerConfig {
        &self.config
    }

    /// Its clock.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Finds a topic on behalf of a principal: the one authorisation point of every topic call.
    pub(crate) fn find_topic(
        &self,
        principal: &Principal,
        operation: Operation,
        topic: &TopicRef,
    ) -> Result<Arc<OpenTopic>, LookupError> {
        if let TopicRef::Name(name) = topic {
            self.authorize(principal, operation, Resource::Topic(name))?;
            return self.topics.find(topic);
        }
        let found = self.topics.find(topic)?;
        self.authorize(principal, operation, Resource::Topic(&found.topic.name))?;
        Ok(found)
    }

    /// Runs a change to its end, even when the caller goes away in the middle of it.
    pub(crate) async fn complete<T, F>(&self, change: impl FnOnce(Arc<Broker>) -> F) -> T
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let this = self.this.upgrade().expect("whoever calls holds the broker");
        match self.tasks.spawn(change(this)).await {
            Ok(outcome) => outcome,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    pub(crate) fn this(&self) -> &Weak<Broker> {
        &self.this
    }

    pub(crate) fn gate(&self) -> &Gate {
        &self.gate
    }

    pub(crate) fn engine(&self) -> &Arc<dyn Engine> {
        &self.engine
    }

    pub(crate) fn catalog(&self) -> &Mutex<StateLog<Catalog>> {
        &self.catalog
    }

    pub(crate) fn topic_table(&self) -> &TopicTable {
        &self.topics
    }

    pub(crate) fn topic_changes(&self) -> &tokio::sync::Mutex<()> {
        &self.topic_changes
    }

    pub(crate) fn endpoint_runner(&self) -> &Runner {
        &self.endpoint_runner
    }

    pub(crate) fn declared(&self) -> &DeclarationTable {
        &self.declarations
    }

    pub(crate) fn in_flight(&self) -> &InFlight {
        &self.in_flight
    }

    pub(crate) fn producer_ids(&self) -> &ProducerIds {
        &self.producer_ids
    }

    pub(crate) fn channels(&self) -> &Channels {
        &self.channels
    }

    pub(crate) fn services(&self) -> &Services {
        &self.services
    }

    pub(crate) fn pairs(&self) -> &Pairs {
        &self.pairs
    }

    pub(crate) fn shards(&self) -> &[Arc<Shard>] {
        &self.shards
    }

    pub(crate) fn queue_shards(&self) -> &[Arc<QueueShard>] {
        &self.queue_shards
    }

    pub(crate) fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    pub(crate) fn tasks(&self) -> &Tasks {
        &self.tasks
    }
}

impl Drop for Broker {
    /// Ends the tasks of a broker that was dropped without a shutdown.
    fn drop(&mut self) {
        self.stopping.cancel();
    }
}

async fn recover_catalog(
    engine: &dyn Engine,
) -> Result<(Arc<dyn Log>, StateLog<Catalog>), OpenBrokerError> {
    let log = engine.open(CATALOG_PARTITION, internal_log_config()).await?;
    let catalog = StateLog::recover(catalog_topic().name, Arc::clone(&log)).await?;
    Ok((log, catalog))
}

/// The first start: makes an identity and waits until it is kept.
async fn identify(
    catalog: &mut StateLog<Catalog>,
    clock: &dyn Clock,
) -> Result<Identity, OpenBrokerError> {
    let topic = || catalog_topic().name.to_string();
    let identity = Identity { cluster_id: new_cluster_id(), node_id: NodeId(1) };
    let command = CatalogCommand::Identified {
        cluster_id: identity.cluster_id.clone(),
        node_id: identity.node_id,
    };
    let committed = catalog.commit(command, clock.wall());
    let (_, ticket) =
        committed.map_err(|source| OpenBrokerError::Append { topic: topic(), source })?;
    let durable = ticket.durable().await;
    durable.map_err(|source| OpenBrokerError::Write { topic: topic(), source })?;
    tracing::info!(cluster_id = %identity.cluster_id, node_id = %identity.node_id, "cluster made");
    Ok(identity)
}

/// As Kafka makes them; one that begins with a dash would look like an option to command lines.
fn new_cluster_id() -> String {
    loop {
        let bytes = uuid::Uuid::new_v4().into_bytes();
        let id = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, bytes);
        if !id.starts_with('-') {
            return id;
        }
    }
}
