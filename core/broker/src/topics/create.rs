//! Making topics.

use std::collections::HashSet;
use std::sync::Arc;

use posthouse_types::{Principal, TopicId, TopicName};
use uuid::Uuid;

use super::settings;
use super::table::OpenTopic;
use super::{ColumnFormat, CreateTopic, Topic, TopicRef, TopicSchema, is_internal_name};
use crate::catalog::{Catalog, CatalogCommand, TopicEntry};
use crate::{AppendFailure, Broker, CreateTopicError, LookupError, Operation, Resource};

impl Broker {
    /// Makes a topic. `validate_only` gives the topic it would be.
    ///
    /// # Errors
    /// [`CreateTopicError`]; no topic was made.
    ///
    /// # Cancellation
    /// Safe to drop; the topic may be made all the same.
    pub async fn create_topic(
        &self,
        principal: &Principal,
        create: CreateTopic,
    ) -> Result<Arc<Topic>, CreateTopicError> {
        // As in Kafka: who may create in the cluster may create any topic.
        if is_internal_name(&create.name)
            || !self.shows(principal, Operation::Create, Resource::Cluster)
        {
            self.authorize(principal, Operation::Create, Resource::Topic(&create.name))?;
        }
        let validate_only = create.validate_only;
        let entry = self.new_entry(create)?;
        if validate_only {
            self.check_free(self.catalog().lock().machine(), &entry.name)?;
            return Ok(Arc::new(self.topic_of(&entry)));
        }
        self.complete(|broker| async move { broker.create(entry).await }).await
    }

    /// The topic, made now if it does not exist and `auto_create_topics` allows it.
    ///
    /// # Errors
    /// [`LookupError::UnknownTopic`] when it does not exist and may not be made.
    pub async fn topic_or_create(
        &self,
        principal: &Principal,
        name: &TopicName,
    ) -> Result<Arc<Topic>, AppendFailure> {
        let topic = TopicRef::Name(name.clone());
        let found = match self.find_topic(principal, Operation::Describe, &topic) {
            Err(LookupError::UnknownTopic(_)) if self.config().auto_create_topics => None,
            other => Some(other?),
        };
        if let Some(found) = found {
            return Ok(Arc::clone(&found.topic));
        }
        let create = CreateTopic {
            name: name.clone(),
            partitions: None,
            overrides: Vec::new(),
            schema: None,
            validate_only: false,
        };
        match self.create_topic(principal, create).await {
            Ok(topic) => Ok(topic),
            Err(CreateTopicError::Exists(_)) => self.topic_being_made(name).await,
            Err(CreateTopicError::Denied(denied)) => Err(LookupError::from(denied).into()),
            Err(error) => {
                Err(AppendFailure::Create { name: name.clone(), source: Box::new(error) })
            }
        }
    }

    /// Waits for a topic that someone else is making at this moment.
    async fn topic_being_made(&self, name: &TopicName) -> Result<Arc<Topic>, AppendFailure> {
        let mut changes = self.topic_table().watch();
        loop {
            changes.mark_unchanged();
            match self.topic_table().find(&TopicRef::Name(name.clone())) {
                Ok(found) => return Ok(Arc::clone(&found.topic)),
                Err(gone) if !self.catalog().lock().machine().has_name(name) => {
                    return Err(gone.into());
                }
                Err(_) => {}
            }
            if changes.changed().await.is_err() {
                return Err(LookupError::UnknownTopic(name.clone()).into());
            }
        }
    }

    async fn create(&self, entry: TopicEntry) -> Result<Arc<Topic>, CreateTopicError> {
        let kept = {
            let mut catalog = self.catalog().lock();
            self.check_free(catalog.machine(), &entry.name)?;
            let command = CatalogCommand::TopicCreated { topic: entry.clone() };
            catalog.commit(command, self.clock().wall())
        };
        let (_, ticket) = kept.map_err(|error| CreateTopicError::Catalog(error.into()))?;
        ticket.durable().await.map_err(|error| CreateTopicError::Catalog(error.into()))?;

        let topic = Arc::new(self.topic_of(&entry));
        match self.open_new_slots(&topic, Vec::new()).await {
            Ok(slots) => {
                let open = OpenTopic { topic: Arc::clone(&topic), slots };
                self.partitions_appeared(&self.topic_table().publish(open), 0);
                tracing::info!(topic = %topic.name, partitions = topic.partitions, "topic created");
                Ok(topic)
            }
            Err(error) => {
                self.take_back(&entry).await?;
                Err(CreateTopicError::Storage(error))
            }
        }
    }

    /// Removes a topic that could not be opened, and whatever was opened of it.
    async fn take_back(&self, entry: &TopicEntry) -> Result<(), CreateTopicError> {
        let command = CatalogCommand::TopicDeleted { id: entry.id };
        let kept = self.catalog().lock().commit(command, self.clock().wall());
        let (_, ticket) = kept.map_err(|error| CreateTopicError::Catalog(error.into()))?;
        ticket.durable().await.map_err(|error| CreateTopicError::Catalog(error.into()))?;
        self.topic_table().touch();
        if let Err(error) = self.delete_data(entry.id, entry.partitions).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(topic = %entry.name, error, "data left until the next start");
        }
        Ok(())
    }

    fn check_free(&self, catalog: &Catalog, name: &TopicName) -> Result<(), CreateTopicError> {
        let alias = name.kafka_alias();
        match catalog.topic_by_alias(&alias) {
            Some(topic) if topic.name == *name => Err(CreateTopicError::Exists(name.clone())),
            Some(topic) => Err(CreateTopicError::AliasTaken {
                name: name.clone(),
                alias,
                taken_by: topic.name.clone(),
            }),
            // Internal topics are not in the catalog.
            None if self.topic_table().has_name(name) => {
                Err(CreateTopicError::Exists(name.clone()))
            }
            None => Ok(()),
        }
    }

    fn new_entry(&self, create: CreateTopic) -> Result<TopicEntry, CreateTopicError> {
        let max = self.config().partitions_per_topic_max;
        let partitions = create.partitions.unwrap_or(self.config().default_partitions);
        if !(1..=max).contains(&partitions) {
            return Err(CreateTopicError::Partitions { count: partitions.into(), max });
        }
        let overrides = create.overrides.into_iter().collect();
        settings::resolve(&self.config().topic_defaults, &overrides).map_err(|refused| {
            let settings::Refused { name, value, reason } = refused;
            CreateTopicError::Config { name, value, reason }
        })?;
        if let Some(schema) = &create.schema {
            check_schema(schema).map_err(|refused| {
                let RefusedColumn { name, reason } = refused;
                CreateTopicError::Schema { name, reason }
            })?;
        }
        let id = TopicId(Uuid::new_v4());
        Ok(TopicEntry { id, name: create.name, partitions, overrides, schema: create.schema })
    }
}

/// A column that cannot be declared.
pub(super) struct RefusedColumn {
    pub(super) name: String,
    pub(super) reason: String,
}

/// Checks names; types are the query engine's to know.
pub(super) fn check_schema(schema: &TopicSchema) -> Result<(), RefusedColumn> {
    let refused = |name: &str, reason: &str| {
        Err(RefusedColumn { name: name.to_owned(), reason: reason.to_owned() })
    };
    let mut names = HashSet::new();
    for column in &schema.columns {
        let name = column.name.as_str();
        if name.is_empty() {
            return refused(name, "a column has a name");
        }
        if name.starts_with('_') {
            return refused(name, "names that begin with an underscore belong to every topic");
        }
        if !names.insert(name) {
            return refused(name, "it is declared twice");
        }
    }
    match (schema.format, schema.columns.get(1)) {
        (ColumnFormat::Raw, Some(second)) => refused(&second.name, "a raw topic has one column"),
        _ => Ok(()),
    }
}
