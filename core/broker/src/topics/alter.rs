//! Changing topics: partitions, settings, columns.

use std::collections::BTreeMap;
use std::sync::Arc;

use posthouse_types::Principal;

use super::create::{RefusedColumn, check_schema};
use super::settings::{self, Refused};
use super::table::OpenTopic;
use super::{ConfigChange, Topic, TopicRef, TopicSchema};
use crate::catalog::{CatalogCommand, CatalogEffect};
use crate::{AlterTopicError, Broker, Operation};

impl Broker {
    /// Raises the number of partitions to `total`.
    ///
    /// # Errors
    /// [`AlterTopicError`]; nothing was changed.
    ///
    /// # Cancellation
    /// Safe to drop; the change may be made all the same.
    pub async fn add_partitions(
        &self,
        principal: &Principal,
        topic: &TopicRef,
        total: i64,
        validate_only: bool,
    ) -> Result<Arc<Topic>, AlterTopicError> {
        let max = self.config().partitions_per_topic_max;
        let change = move |topic: &Topic| {
            let asked = u32::try_from(total).ok();
            match asked.filter(|asked| *asked > topic.partitions && *asked <= max) {
                Some(partitions) => {
                    Ok(CatalogCommand::PartitionsAdded { id: topic.id, partitions })
                }
                None => Err(AlterTopicError::Partitions {
                    topic: topic.name.clone(),
                    current: topic.partitions,
                    asked: total,
                    max,
                }),
            }
        };
        self.alter(principal, Operation::Alter, topic, validate_only, change).await
    }

    /// Changes settings, all or none.
    ///
    /// # Errors
    /// As [`Broker::add_partitions`].
    pub async fn alter_topic_config(
        &self,
        principal: &Principal,
        topic: &TopicRef,
        changes: Vec<ConfigChange>,
        validate_only: bool,
    ) -> Result<Arc<Topic>, AlterTopicError> {
        let defaults = self.config().topic_defaults.clone();
        let change = move |topic: &Topic| {
            let overrides = settings::change(&defaults, &topic.overrides, changes)?;
            Ok(CatalogCommand::TopicConfigured { id: topic.id, overrides })
        };
        self.alter(principal, Operation::AlterConfigs, topic, validate_only, change).await
    }

    /// Replaces a topic's settings (Kafka's older AlterConfigs): what is not named returns to its
    /// default.
    ///
    /// # Errors
    /// As [`Broker::add_partitions`].
    pub async fn replace_topic_config(
        &self,
        principal: &Principal,
        topic: &TopicRef,
        overrides: Vec<(String, String)>,
        validate_only: bool,
    ) -> Result<Arc<Topic>, AlterTopicError> {
        let defaults = self.config().topic_defaults.clone();
        let change = move |topic: &Topic| {
            let overrides: BTreeMap<_, _> = overrides.into_iter().collect();
            settings::resolve(&defaults, &overrides)?;
            Ok(CatalogCommand::TopicConfigured { id: topic.id, overrides })
        };
        self.alter(principal, Operation::AlterConfigs, topic, validate_only, change).await
    }

    /// Declares columns.
    ///
    /// # Errors
    /// As [`Broker::add_partitions`].
    pub async fn set_schema(
        &self,
        principal: &Principal,
        topic: &TopicRef,
        schema: TopicSchema,
    ) -> Result<Arc<Topic>, AlterTopicError> {
        check_schema(&schema).map_err(|refused| {
            let RefusedColumn { name, reason } = refused;
            AlterTopicError::Schema { name, reason }
        })?;
        let change =
            move |topic: &Topic| Ok(CatalogCommand::SchemaDeclared { id: topic.id, schema });
        self.alter(principal, Operation::Alter, topic, false, change).await
    }

    /// Makes one change of a topic that exists, and shows it.
    async fn alter(
        &self,
        principal: &Principal,
        operation: Operation,
        topic: &TopicRef,
        validate_only: bool,
        change: impl FnOnce(&Topic) -> Result<CatalogCommand, AlterTopicError> + Send + 'static,
    ) -> Result<Arc<Topic>, AlterTopicError> {
        let (principal, topic) = (principal.clone(), topic.clone());
        self.complete(|broker| async move {
            let _in_order = broker.topic_changes().lock().await;
            let open = broker.find_topic(&principal, operation, &topic)?;
            if open.topic.internal {
                return Err(AlterTopicError::Internal(open.topic.name.clone()));
            }
            let command = change(&open.topic)?;
            if validate_only {
                return Ok(Arc::clone(&open.topic));
            }
            broker.carry_out(&open, command).await
        })
        .await
    }

    async fn carry_out(
        &self,
        open: &OpenTopic,
        command: CatalogCommand,
    ) -> Result<Arc<Topic>, AlterTopicError> {
        let kept = self.catalog().lock().commit(command, self.clock().wall());
        let (effect, ticket) = kept.map_err(|error| AlterTopicError::Catalog(error.into()))?;
        ticket.durable().await.map_err(|error| AlterTopicError::Catalog(error.into()))?;
        let CatalogEffect::Publish(entry) = effect else { return Ok(Arc::clone(&open.topic)) };

        let topic = Arc::new(self.topic_of(&entry));
        if topic.config != open.topic.config {
            for partition in open.open_partitions() {
                partition.log().configure(topic.config.clone());
            }
        }
        // A new partition that does not open is shown as failed; the others go on.
        let slots = self.open_new_slots(&topic, open.slots.clone()).await;
        let slots = slots.unwrap_or_else(|_| open.slots.clone());
        let changed = OpenTopic { topic: Arc::clone(&topic), slots };
        let changed = self.topic_table().publish(changed);
        self.partitions_appeared(&changed, open.topic.partitions);
        tracing::info!(topic = %topic.name, partitions = topic.partitions, "topic changed");
        Ok(topic)
    }
}

impl From<Refused> for AlterTopicError {
    fn from(Refused { name, value, reason }: Refused) -> AlterTopicError {
        AlterTopicError::Config { name, value, reason }
    }
}
