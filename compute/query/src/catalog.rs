//! The schema `public`: topics by name, and files by path.
//!
//! Owns the lookup of a table. Nothing is cached: a topic made a moment ago by any door is there.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{SchemaProvider, TableProvider};
use datafusion::common::{DataFusionError, Result};
use futures::FutureExt;
use parking_lot::Mutex;
use posthouse_broker::{Broker, LookupError, Operation, Resource, Topic, TopicRef};
use posthouse_types::{Principal, TopicName};

use crate::QueryError;
use crate::engine::Shared;
use crate::error::sqlstate;
use crate::files;
use crate::topic::{ReadLimits, TopicTable, lookup_failed};

/// The name of the only catalog; what PostgreSQL calls the database.
pub(crate) const CATALOG: &str = "posthouse";
/// The name of the schema that holds topics.
pub(crate) const SCHEMA: &str = "public";

/// Topics and files, as one principal may see them.
pub(crate) struct PublicSchema {
    shared: Arc<Shared>,
    principal: Principal,
    /// What the broker last listed, for when it cannot answer at once.
    listed: Mutex<Vec<String>>,
}

impl PublicSchema {
    pub(crate) fn new(shared: Arc<Shared>, principal: Principal) -> PublicSchema {
        PublicSchema { shared, principal, listed: Mutex::default() }
    }

    /// The topic that SQL calls `name`; `None` when there is none.
    pub(crate) async fn topic(&self, name: &str) -> Result<Option<Arc<Topic>>, QueryError> {
        let found = self.named(TopicName::new(name)).await;
        if let Ok(Some(topic)) = found {
            return Ok(Some(topic));
        }
        // A name that is not UTF-8 has only its alias in SQL.
        match self.named(TopicName::from_kafka_alias(name)).await {
            Ok(Some(topic)) => Ok(Some(topic)),
            _ => found,
        }
    }

    async fn named(
        &self,
        name: Result<TopicName, posthouse_types::NameError>,
    ) -> Result<Option<Arc<Topic>>, QueryError> {
        let Ok(name) = name else { return Ok(None) };
        match self.broker().topic(&self.principal, &TopicRef::Name(name)).await {
            Ok(topic) => Ok(Some(topic)),
            Err(LookupError::UnknownTopic(_)) => Ok(None),
            Err(error) => Err(lookup_failed(&error)),
        }
    }

    /// Whether there may be no topic of this name for the principal.
    fn is_hidden(&self, name: &str) -> bool {
        let named = [TopicName::new(name), TopicName::from_kafka_alias(name)];
        named.iter().flatten().all(|name| {
            !self.broker().shows(&self.principal, Operation::Describe, Resource::Topic(name))
        })
    }

    /// The topics that are not the node's own.
    pub(crate) async fn topics(&self) -> Vec<Arc<Topic>> {
        let mut topics = self.broker().topics(&self.principal).await;
        topics.retain(|topic| !topic.internal);
        topics
    }

    /// The name by which SQL finds a topic.
    pub(crate) fn sql_name(topic: &Topic) -> String {
        match std::str::from_utf8(topic.name.as_bytes()) {
            Ok(name) => name.to_owned(),
            Err(_) => topic.kafka_alias.clone(),
        }
    }

    /// The node's files are nobody's topics: as with PostgreSQL's `pg_read_server_files`, who reads
    /// one reads with the rights of the node itself.
    fn check_files(&self, name: &str) -> Result<(), QueryError> {
        if self.broker().is_superuser(&self.principal) {
            return Ok(());
        }
        let message = format!("permission denied for file {name}");
        let error = QueryError::new(sqlstate::INSUFFICIENT_PRIVILEGE, message);
        Err(error.with_hint("only a superuser may read the node's files"))
    }

    fn broker(&self) -> &Arc<Broker> {
        &self.shared.broker
    }

    async fn find(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, QueryError> {
        if let Some(topic) = self.topic(name).await? {
            let config = &self.shared.config;
            let limits = ReadLimits {
                read_bytes: config.read_bytes,
                expanded_batch_bytes_max: config.expanded_batch_bytes_max,
            };
            let broker = Arc::clone(self.broker());
            let table = TopicTable::new(broker, self.principal.clone(), topic, limits)?;
            return Ok(Some(Arc::new(table)));
        }
        if files::looks_like_file(name) {
            self.check_files(name)?;
        }
        files::table(&self.shared, name).await
    }
}

#[async_trait]
impl SchemaProvider for PublicSchema {
    /// DataFusion asks without waiting. The catalog of this node answers at once; should it ever
    /// not, the last list stands in.
    fn table_names(&self) -> Vec<String> {
        let mut listed = self.listed.lock();
        if let Some(topics) = self.topics().now_or_never() {
            *listed = topics.iter().map(|topic| PublicSchema::sql_name(topic)).collect();
        }
        listed.clone()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        // The planner asks for the names of functions, too. Whether a name that is nothing at all was
        // denied or does not exist is told when it is known to be nothing.
        if !files::looks_like_file(name) && self.is_hidden(name) {
            return Ok(None);
        }
        Ok(self.find(name).await?)
    }

    fn table_exist(&self, name: &str) -> bool {
        self.table_names().iter().any(|listed| listed == name)
    }
}

impl fmt::Debug for PublicSchema {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PublicSchema")
            .field("principal", &self.principal)
            .finish_non_exhaustive()
    }
}
