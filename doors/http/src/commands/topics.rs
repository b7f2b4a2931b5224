//! Topics: list, make, describe, change, delete.

use std::collections::BTreeMap;

use axum::Json;
use axum::body::Body;
use axum::http::StatusCode;
use posthouse_broker::{
    Column, ColumnFormat, ConfigChange, CreateTopic, DecodeFailure, PartitionStatus, Topic,
    TopicRef, TopicSchema,
};
use posthouse_types::{PartitionIndex, TopicName};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::input::{Parameters, TopicPath, json};
use crate::errors::Problem;
use crate::routes::Door;

/// A topic in a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TopicSummary {
    /// Its name.
    name: String,
    /// Its partitions.
    partitions: u32,
    /// Offsets in use, over all partitions; as many records, unless it is compacted.
    records: u64,
    /// Bytes stored.
    bytes: u64,
}

/// A topic in full.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TopicDescription {
    /// Its name.
    name: String,
    /// Its name as Kafka clients spell it.
    kafka_alias: String,
    /// Its identity.
    #[schema(value_type = uuid::Uuid)]
    id: uuid::Uuid,
    /// Kept by Posthouse for itself.
    internal: bool,
    /// Its partitions, in order.
    partitions: Vec<PartitionBody>,
    /// Every setting that acts on it.
    config: Vec<ConfigBody>,
    /// The columns declared on it.
    schema: Option<SchemaBody>,
}

/// One partition.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PartitionBody {
    /// Its index.
    partition: u32,
    /// The first offset that can be read.
    log_start: i64,
    /// One above the last record that can be read.
    end: i64,
    /// Bytes stored.
    bytes: u64,
    /// How often its log was opened.
    leader_epoch: i32,
}

/// A setting and its value.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConfigBody {
    /// Kafka's name.
    name: String,
    /// The value in force.
    value: String,
    /// What it is when the topic does not say.
    default: String,
    /// The topic says.
    overridden: bool,
    /// What it does.
    documentation: String,
}

/// How values decode into SQL columns.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SchemaBody {
    /// `json`, `csv` or `raw`.
    #[schema(value_type = String)]
    format: ColumnFormat,
    /// The columns, in order.
    columns: Vec<ColumnBody>,
    /// What a value that does not decode gives: `null` (with the reason in `_error`) or `fail`.
    #[serde(default)]
    #[schema(value_type = String)]
    on_error: DecodeFailure,
}

/// A column.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ColumnBody {
    /// Its name.
    name: String,
    /// Its SQL type: `TEXT`, `DOUBLE`, `TIMESTAMP`.
    #[serde(rename = "type")]
    data_type: String,
}

/// A topic to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTopic {
    /// Its name.
    name: String,
    /// Its partitions; the node's default when absent.
    partitions: Option<u32>,
    /// Settings by Kafka's name.
    #[serde(default)]
    #[schema(value_type = Object)]
    config: BTreeMap<String, Value>,
    /// Columns for SQL.
    schema: Option<SchemaBody>,
}

/// Changes of a topic; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TopicChanges {
    /// Settings by Kafka's name; `null` returns one to its default.
    #[serde(default)]
    #[schema(value_type = Object)]
    config: BTreeMap<String, Value>,
    /// More partitions than it has.
    partitions: Option<i64>,
    /// Columns for SQL, in place of those declared.
    schema: Option<SchemaBody>,
}

/// Which topics to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListParameters {
    /// Also those that Posthouse keeps for itself.
    internal: Option<bool>,
}

/// List the topics.
#[utoipa::path(get, path = "/topics", tag = "topics", params(ListParameters),
    responses((status = 200, body = Vec<TopicSummary>), (status = "default", body = Problem)))]
pub(crate) async fn list(
    door: Door,
    Parameters(parameters): Parameters<ListParameters>,
) -> Result<Json<Vec<TopicSummary>>, Problem> {
    let mut summaries = Vec::new();
    for topic in door.broker.topics(&door.principal).await {
        if topic.internal && !parameters.internal.unwrap_or(false) {
            continue;
        }
        let statuses = statuses(&door, &topic).await?;
        summaries.push(TopicSummary {
            name: topic.name.to_string(),
            partitions: topic.partitions,
            records: statuses.iter().map(|status| status.last_stable.since(status.log_start)).sum(),
            bytes: statuses.iter().map(|status| status.stored_bytes).sum(),
        });
    }
    Ok(Json(summaries))
}

/// Make a topic.
#[utoipa::path(post, path = "/topics", tag = "topics", request_body = NewTopic,
    responses((status = 201, body = TopicDescription), (status = "default", body = Problem)))]
pub(crate) async fn create(
    door: Door,
    body: Body,
) -> Result<(StatusCode, Json<TopicDescription>), Problem> {
    let new: NewTopic = json(body, &door.config).await?;
    let create = CreateTopic {
        name: TopicName::new(&new.name)?,
        partitions: new.partitions,
        overrides: new.config.into_iter().map(|(name, value)| (name, text(value))).collect(),
        schema: new.schema.map(SchemaBody::into_schema),
        validate_only: false,
    };
    let topic = door.broker.create_topic(&door.principal, create).await?;
    Ok((StatusCode::CREATED, Json(description(&door, &topic).await?)))
}

/// Describe a topic.
#[utoipa::path(get, path = "/topics/{name}", tag = "topics",
    params(("name" = String, Path, description = "The topic")),
    responses((status = 200, body = TopicDescription), (status = "default", body = Problem)))]
pub(crate) async fn describe(
    door: Door,
    TopicPath(name): TopicPath,
) -> Result<Json<TopicDescription>, Problem> {
    let topic = door.broker.topic(&door.principal, &TopicRef::Name(name)).await?;
    Ok(Json(description(&door, &topic).await?))
}

/// Change a topic: its settings all or none, then its partitions, then its columns.
#[utoipa::path(patch, path = "/topics/{name}", tag = "topics",
    params(("name" = String, Path, description = "The topic")), request_body = TopicChanges,
    responses((status = 200, body = TopicDescription), (status = "default", body = Problem)))]
pub(crate) async fn alter(
    door: Door,
    TopicPath(name): TopicPath,
    body: Body,
) -> Result<Json<TopicDescription>, Problem> {
    let changes: TopicChanges = json(body, &door.config).await?;
    let (broker, who) = (&door.broker, &door.principal);
    let reference = TopicRef::Name(name);
    let mut topic = broker.topic(who, &reference).await?;
    if !changes.config.is_empty() {
        let config = changes.config.into_iter().map(change).collect();
        topic = broker.alter_topic_config(who, &reference, config, false).await?;
    }
    if let Some(total) = changes.partitions {
        topic = broker.add_partitions(who, &reference, total, false).await?;
    }
    if let Some(schema) = changes.schema {
        topic = broker.set_schema(who, &reference, schema.into_schema()).await?;
    }
    Ok(Json(description(&door, &topic).await?))
}

/// Delete a topic and its records.
#[utoipa::path(delete, path = "/topics/{name}", tag = "topics",
    params(("name" = String, Path, description = "The topic")),
    responses((status = 204), (status = "default", body = Problem)))]
pub(crate) async fn delete(door: Door, TopicPath(name): TopicPath) -> Result<StatusCode, Problem> {
    door.broker.delete_topic(&door.principal, &TopicRef::Name(name)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn description(door: &Door, topic: &Topic) -> Result<TopicDescription, Problem> {
    let config = door.broker.topic_config_entries(topic).into_iter().map(|entry| ConfigBody {
        name: entry.name.to_owned(),
        value: entry.value,
        default: entry.default,
        overridden: entry.overridden,
        documentation: entry.documentation.to_owned(),
    });
    Ok(TopicDescription {
        name: topic.name.to_string(),
        kafka_alias: topic.kafka_alias.clone(),
        id: topic.id.0,
        internal: topic.internal,
        partitions: statuses(door, topic).await?.into_iter().map(PartitionBody::from).collect(),
        config: config.collect(),
        schema: topic.schema.clone().map(SchemaBody::from),
    })
}

async fn statuses(door: &Door, topic: &Topic) -> Result<Vec<PartitionStatus>, Problem> {
    let reference = TopicRef::Id(topic.id);
    let mut statuses = Vec::new();
    for index in (0..topic.partitions).map(PartitionIndex::new) {
        statuses.push(door.broker.partition_status(&door.principal, &reference, index).await?);
    }
    Ok(statuses)
}

fn change((name, value): (String, Value)) -> ConfigChange {
    match value {
        Value::Null => ConfigChange::Delete { name },
        value => ConfigChange::Set { name, value: text(value) },
    }
}

/// A setting's value as Kafka writes it, whether it came as text, a number or a truth.
fn text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        value => value.to_string(),
    }
}

impl From<PartitionStatus> for PartitionBody {
    fn from(status: PartitionStatus) -> PartitionBody {
        PartitionBody {
            partition: status.index.value(),
            log_start: status.log_start.value(),
            end: status.last_stable.value(),
            bytes: status.stored_bytes,
            leader_epoch: status.epoch.0,
        }
    }
}

impl From<TopicSchema> for SchemaBody {
    fn from(schema: TopicSchema) -> SchemaBody {
        let column = |column: Column| ColumnBody { name: column.name, data_type: column.data_type };
        let columns = schema.columns.into_iter().map(column).collect();
        SchemaBody { format: schema.format, columns, on_error: schema.on_error }
    }
}

impl SchemaBody {
    fn into_schema(self) -> TopicSchema {
        let column = |column: ColumnBody| Column { name: column.name, data_type: column.data_type };
        let columns = self.columns.into_iter().map(column).collect();
        TopicSchema { format: self.format, columns, on_error: self.on_error }
    }
}
