//! Runs the statements about topics.
//!
//! Owns what a column or setting may be called here, and the wording of refusals. The broker
//! decides the rest.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::catalog::SchemaProvider;
use posthouse_broker::{
    AlterTopicError, Broker, Column, ColumnFormat, ConfigChange, CreateTopic, CreateTopicError,
    DecodeFailure, Operation, Resource, Topic, TopicRef, TopicSchema,
};
use posthouse_types::{PartitionIndex, Principal, TopicName};

use crate::QueryError;
use crate::catalog::PublicSchema;
use crate::columns::{ColumnType, SystemColumn, TopicColumns};
use crate::error::{nearest, sqlstate};
use crate::statement::{ColumnSpec, Name, Setting, TopicStatement};
use crate::topic::lookup_failed;

/// What a statement about topics gave.
pub(crate) enum TopicOutcome {
    Done(&'static str),
    Rows(RecordBatch),
}

/// Runs such statements for one principal.
pub(crate) struct TopicStatements {
    pub(crate) broker: Arc<Broker>,
    pub(crate) principal: Principal,
    pub(crate) catalog: Arc<PublicSchema>,
}

impl TopicStatements {
    pub(crate) async fn run(&self, statement: TopicStatement) -> Result<TopicOutcome, QueryError> {
        match statement {
            TopicStatement::Create { name, if_not_exists, columns, settings } => {
                self.create(&name, if_not_exists, &columns, &settings).await
            }
            TopicStatement::AddColumns { name, columns } => self.add_columns(&name, &columns).await,
            TopicStatement::Set { name, settings } => self.set(&name, &settings).await,
            TopicStatement::Reset { name, settings } => self.reset(&name, settings).await,
            TopicStatement::Drop { names, if_exists } => self.drop(&names, if_exists).await,
            TopicStatement::Show => self.show().await,
            TopicStatement::Describe { name } => self.describe(&name).await,
        }
    }

    async fn create(
        &self,
        name: &Name,
        if_not_exists: bool,
        columns: &[ColumnSpec],
        settings: &[Setting],
    ) -> Result<TopicOutcome, QueryError> {
        let topic_name = TopicName::new(&name.text).map_err(|error| {
            QueryError::new(sqlstate::INVALID_NAME, error.to_string()).at(name.position)
        })?;
        let settings = Settings::split(settings)?;
        let schema = settings.schema(columns)?;
        let create = CreateTopic {
            name: topic_name,
            partitions: settings.partitions,
            overrides: settings.overrides,
            schema,
            validate_only: false,
        };
        match self.broker.create_topic(&self.principal, create).await {
            Ok(_) => Ok(TopicOutcome::Done("CREATE TOPIC")),
            Err(CreateTopicError::Exists(_)) if if_not_exists => {
                Ok(TopicOutcome::Done("CREATE TOPIC"))
            }
            Err(error) => Err(create_failed(&error).at(name.position)),
        }
    }

    async fn add_columns(
        &self,
        name: &Name,
        columns: &[ColumnSpec],
    ) -> Result<TopicOutcome, QueryError> {
        let topic = self.topic(name).await?;
        let mut schema = topic.schema.clone().unwrap_or(TopicSchema {
            format: ColumnFormat::Json,
            columns: Vec::new(),
            on_error: DecodeFailure::default(),
        });
        let declared: HashSet<String> =
            schema.columns.iter().map(|column| column.name.clone()).collect();
        schema.columns.extend(check_columns(columns, declared, schema.format)?);
        self.set_schema(&topic, schema).await?;
        Ok(TopicOutcome::Done("ALTER TOPIC"))
    }

    async fn set(&self, name: &Name, settings: &[Setting]) -> Result<TopicOutcome, QueryError> {
        let topic = self.topic(name).await?;
        let reference = TopicRef::Id(topic.id);
        let settings = Settings::split(settings)?;
        let failed = |error| alter_failed(&error).at(name.position);
        if settings.format.is_some() || settings.on_error.is_some() {
            let Some(mut schema) = topic.schema.clone() else {
                return Err(QueryError::new(
                    sqlstate::INVALID_TABLE_DEFINITION,
                    format!("topic \"{}\" has no columns to decode", name.text),
                )
                .with_hint("declare them with ALTER TOPIC name ADD COLUMN column type"));
            };
            schema.format = settings.format.unwrap_or(schema.format);
            schema.on_error = settings.on_error.unwrap_or(schema.on_error);
            check_width(schema.format, schema.columns.len())?;
            self.set_schema(&topic, schema).await?;
        }
        if !settings.overrides.is_empty() {
            let changes = settings
                .overrides
                .into_iter()
                .map(|(name, value)| ConfigChange::Set { name, value })
                .collect();
            let altered =
                self.broker.alter_topic_config(&self.principal, &reference, changes, false);
            altered.await.map_err(failed)?;
        }
        if let Some(total) = settings.partitions.filter(|total| *total != topic.partitions) {
            let grown =
                self.broker.add_partitions(&self.principal, &reference, total.into(), false);
            grown.await.map_err(failed)?;
        }
        Ok(TopicOutcome::Done("ALTER TOPIC"))
    }

    async fn reset(&self, name: &Name, settings: Vec<Name>) -> Result<TopicOutcome, QueryError> {
        let topic = self.topic(name).await?;
        let changes =
            settings.into_iter().map(|name| ConfigChange::Delete { name: name.text }).collect();
        self.broker
            .alter_topic_config(&self.principal, &TopicRef::Id(topic.id), changes, false)
            .await
            .map_err(|error| alter_failed(&error).at(name.position))?;
        Ok(TopicOutcome::Done("ALTER TOPIC"))
    }

    async fn drop(&self, names: &[Name], if_exists: bool) -> Result<TopicOutcome, QueryError> {
        for name in names {
            let topic = match self.catalog.topic(&name.text).await? {
                Some(topic) => topic,
                None if if_exists => continue,
                None => return Err(self.unknown(name).await),
            };
            self.broker
                .delete_topic(&self.principal, &TopicRef::Id(topic.id))
                .await
                .map_err(|error| alter_failed(&error).at(name.position))?;
        }
        Ok(TopicOutcome::Done("DROP TOPIC"))
    }

    async fn show(&self) -> Result<TopicOutcome, QueryError> {
        let mut rows = TopicRows::default();
        for topic in self.catalog.topics().await {
            let size = self.size(&topic).await;
            rows.push(&topic, size);
        }
        rows.finish().map(TopicOutcome::Rows)
    }

    /// Offsets and bytes of a topic; `None` when it may not be read, or a partition cannot be asked.
    async fn size(&self, topic: &Topic) -> Option<(u64, u64)> {
        if !self.broker.shows(&self.principal, Operation::Read, Resource::Topic(&topic.name)) {
            return None;
        }
        let (mut records, mut bytes) = (0, 0);
        for index in 0..topic.partitions {
            let (reference, index) = (TopicRef::Id(topic.id), PartitionIndex::new(index));
            let status = self.broker.partition_status(&self.principal, &reference, index).await;
            let status = status.ok()?;
            records += status.last_stable.since(status.log_start);
            bytes += status.stored_bytes;
        }
        Some((records, bytes))
    }

    async fn describe(&self, name: &Name) -> Result<TopicOutcome, QueryError> {
        let mut columns: Vec<[String; 3]> = Vec::new();
        if let Some(topic) = self.catalog.topic(&name.text).await? {
            // The columns are made even to describe them, so that a bad one shows.
            TopicColumns::of(&topic)?;
            if let Some(schema) = &topic.schema {
                let from = match schema.format {
                    ColumnFormat::Json => "the member of the value's JSON object",
                    ColumnFormat::Csv => "the field of the value's CSV line, by position",
                    ColumnFormat::Raw => "the value",
                };
                columns.extend(schema.columns.iter().map(|column| {
                    [column.name.clone(), column.data_type.clone(), from.to_owned()]
                }));
            }
            let types = ["TEXT", "TEXT", "INT", "BIGINT", "TIMESTAMPTZ", "JSON", "TEXT"];
            columns.extend(SystemColumn::ALL.iter().zip(types).map(|(column, data_type)| {
                [column.name().to_owned(), data_type.to_owned(), column.description().to_owned()]
            }));
        } else {
            let found = self.catalog.table(&name.text).await;
            let found = found.map_err(|error| QueryError::from(error).at(name.position))?;
            let Some(table) = found else { return Err(self.unknown(name).await) };
            columns.extend(
                table.schema().fields().iter().map(|field| {
                    [field.name().clone(), sql_type(field.data_type()), String::new()]
                }),
            );
        }
        let column = |index: usize| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(columns.iter().map(|row| &row[index])))
        };
        table(&["column_name", "data_type", "description"], vec![column(0), column(1), column(2)])
            .map(TopicOutcome::Rows)
    }

    async fn topic(&self, name: &Name) -> Result<Arc<Topic>, QueryError> {
        match self.catalog.topic(&name.text).await? {
            Some(topic) => Ok(topic),
            None => Err(self.unknown(name).await),
        }
    }

    async fn set_schema(&self, topic: &Topic, schema: TopicSchema) -> Result<(), QueryError> {
        let reference = TopicRef::Id(topic.id);
        let changed = self.broker.set_schema(&self.principal, &reference, schema).await;
        changed.map(drop).map_err(|error| alter_failed(&error))
    }

    async fn unknown(&self, name: &Name) -> QueryError {
        let message = format!("topic \"{}\" does not exist", name.text);
        let error = QueryError::new(sqlstate::UNDEFINED_TABLE, message).at(name.position);
        with_near_topic(error, &self.catalog, &name.text).await
    }
}

/// Adds the topic that was probably meant.
pub(crate) async fn with_near_topic(
    error: QueryError,
    catalog: &PublicSchema,
    name: &str,
) -> QueryError {
    let topics = catalog.topics().await;
    let names: Vec<String> = topics.iter().map(|topic| PublicSchema::sql_name(topic)).collect();
    match nearest(name, names.iter().map(String::as_str)) {
        Some(near) => error.with_hint(format!("perhaps you meant \"{near}\"")),
        None => error.with_hint("SHOW TOPICS lists the topics"),
    }
}

/// `WITH (…)`, sorted into what SQL knows and what the broker knows.
#[derive(Default)]
struct Settings {
    partitions: Option<u32>,
    format: Option<ColumnFormat>,
    on_error: Option<DecodeFailure>,
    overrides: Vec<(String, String)>,
}

impl Settings {
    fn split(settings: &[Setting]) -> Result<Settings, QueryError> {
        let mut split = Settings::default();
        let mut seen = HashSet::new();
        for Setting { name, value } in settings {
            let refused = |expected: &str| {
                let message = format!("{} = {value} is refused: it is {expected}", name.text);
                QueryError::new(sqlstate::INVALID_PARAMETER_VALUE, message).at(name.position)
            };
            if !seen.insert(&name.text) {
                return Err(refused("given twice"));
            }
            let lower = value.to_ascii_lowercase();
            match name.text.as_str() {
                "partitions" => {
                    let partitions =
                        value.parse().map_err(|_| refused("a number of partitions"))?;
                    split.partitions = Some(partitions);
                }
                "format" => {
                    split.format = Some(match lower.as_str() {
                        "json" => ColumnFormat::Json,
                        "csv" => ColumnFormat::Csv,
                        "raw" => ColumnFormat::Raw,
                        _ => return Err(refused("'json', 'csv' or 'raw'")),
                    });
                }
                "on_error" => {
                    split.on_error = Some(match lower.as_str() {
                        "null" => DecodeFailure::Null,
                        "fail" => DecodeFailure::Fail,
                        _ => return Err(refused("'null' or 'fail'")),
                    });
                }
                _ => split.overrides.push((name.text.clone(), value.clone())),
            }
        }
        Ok(split)
    }

    fn schema(&self, columns: &[ColumnSpec]) -> Result<Option<TopicSchema>, QueryError> {
        if columns.is_empty() {
            if self.format.is_some() || self.on_error.is_some() {
                return Err(QueryError::new(
                    sqlstate::INVALID_TABLE_DEFINITION,
                    "format and on_error say how columns decode, and none are declared",
                ));
            }
            return Ok(None);
        }
        let format = self.format.unwrap_or(ColumnFormat::Json);
        let columns = check_columns(columns, HashSet::new(), format)?;
        let on_error = self.on_error.unwrap_or_default();
        Ok(Some(TopicSchema { format, columns, on_error }))
    }
}

fn check_columns(
    columns: &[ColumnSpec],
    mut names: HashSet<String>,
    format: ColumnFormat,
) -> Result<Vec<Column>, QueryError> {
    let declared = names.len();
    let mut checked = Vec::with_capacity(columns.len());
    for ColumnSpec { name, data_type } in columns {
        if SystemColumn::named(&name.text).is_some() {
            return Err(QueryError::new(
                sqlstate::DUPLICATE_COLUMN,
                format!("every topic has a column \"{}\"", name.text),
            )
            .at(name.position));
        }
        if !names.insert(name.text.clone()) {
            return Err(QueryError::new(
                sqlstate::DUPLICATE_COLUMN,
                format!("column \"{}\" is declared twice", name.text),
            )
            .at(name.position));
        }
        ColumnType::parse(&data_type.text).map_err(|reason| {
            QueryError::new(sqlstate::UNDEFINED_OBJECT, reason).at(data_type.position)
        })?;
        checked.push(Column { name: name.text.clone(), data_type: data_type.text.clone() });
    }
    check_width(format, declared + checked.len())?;
    Ok(checked)
}

fn check_width(format: ColumnFormat, columns: usize) -> Result<(), QueryError> {
    if format == ColumnFormat::Raw && columns > 1 {
        return Err(QueryError::new(
            sqlstate::INVALID_TABLE_DEFINITION,
            "a raw value is one column",
        )
        .with_hint("use format = 'json' or 'csv' for more"));
    }
    Ok(())
}

fn create_failed(error: &CreateTopicError) -> QueryError {
    let state = match error {
        CreateTopicError::Denied(denied) => return QueryError::denied(denied),
        CreateTopicError::Exists(_) | CreateTopicError::AliasTaken { .. } => {
            sqlstate::DUPLICATE_TABLE
        }
        CreateTopicError::Name(_) => sqlstate::INVALID_NAME,
        CreateTopicError::Partitions { .. } | CreateTopicError::Config { .. } => {
            sqlstate::INVALID_PARAMETER_VALUE
        }
        CreateTopicError::Schema { .. } => sqlstate::INVALID_TABLE_DEFINITION,
        CreateTopicError::Storage(_) | CreateTopicError::Catalog(_) => sqlstate::IO_ERROR,
    };
    QueryError::new(state, error.to_string())
}

fn alter_failed(error: &AlterTopicError) -> QueryError {
    let state = match error {
        AlterTopicError::Lookup(lookup) => return lookup_failed(lookup),
        AlterTopicError::Partitions { .. } | AlterTopicError::Config { .. } => {
            sqlstate::INVALID_PARAMETER_VALUE
        }
        AlterTopicError::Schema { .. } => sqlstate::INVALID_TABLE_DEFINITION,
        AlterTopicError::Internal(_) => sqlstate::INSUFFICIENT_PRIVILEGE,
        AlterTopicError::Open(_)
        | AlterTopicError::Delete(_)
        | AlterTopicError::Truncate(_)
        | AlterTopicError::Catalog(_) => sqlstate::IO_ERROR,
    };
    QueryError::new(state, error.to_string())
}

/// The rows of SHOW TOPICS.
#[derive(Default)]
struct TopicRows {
    names: Vec<String>,
    partitions: Vec<i64>,
    formats: Vec<Option<&'static str>>,
    columns: Vec<i64>,
    records: Vec<Option<i64>>,
    bytes: Vec<Option<i64>>,
}

impl TopicRows {
    fn push(&mut self, topic: &Topic, size: Option<(u64, u64)>) {
        let whole = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        self.names.push(PublicSchema::sql_name(topic));
        self.partitions.push(i64::from(topic.partitions));
        self.formats.push(topic.schema.as_ref().map(|schema| match schema.format {
            ColumnFormat::Json => "json",
            ColumnFormat::Csv => "csv",
            ColumnFormat::Raw => "raw",
        }));
        let columns = topic.schema.as_ref().map_or(0, |schema| schema.columns.len());
        self.columns.push(i64::try_from(columns).unwrap_or(i64::MAX));
        self.records.push(size.map(|(records, _)| whole(records)));
        self.bytes.push(size.map(|(_, bytes)| whole(bytes)));
    }

    fn finish(self) -> Result<RecordBatch, QueryError> {
        table(
            &["topic", "partitions", "format", "columns", "records", "bytes"],
            vec![
                Arc::new(StringArray::from(self.names)),
                Arc::new(Int64Array::from(self.partitions)),
                Arc::new(StringArray::from(self.formats)),
                Arc::new(Int64Array::from(self.columns)),
                Arc::new(Int64Array::from(self.records)),
                Arc::new(Int64Array::from(self.bytes)),
            ],
        )
    }
}

pub(crate) fn table(names: &[&str], columns: Vec<ArrayRef>) -> Result<RecordBatch, QueryError> {
    let fields = names
        .iter()
        .zip(&columns)
        .map(|(name, column)| Field::new(*name, column.data_type().clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    RecordBatch::try_new(schema, columns).map_err(|error| QueryError::internal(error.to_string()))
}

/// A column's type in SQL.
fn sql_type(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "BOOLEAN".to_owned(),
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => "SMALLINT".to_owned(),
        DataType::Int32 | DataType::UInt16 => "INT".to_owned(),
        DataType::Int64 | DataType::UInt32 => "BIGINT".to_owned(),
        DataType::Float32 => "REAL".to_owned(),
        DataType::Float64 => "DOUBLE".to_owned(),
        DataType::Decimal128(precision, scale) => format!("NUMERIC({precision}, {scale})"),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "TEXT".to_owned(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "BYTEA".to_owned(),
        DataType::Date32 | DataType::Date64 => "DATE".to_owned(),
        DataType::Time64(TimeUnit::Microsecond | TimeUnit::Nanosecond) => "TIME".to_owned(),
        DataType::Timestamp(_, None) => "TIMESTAMP".to_owned(),
        DataType::Timestamp(_, Some(_)) => "TIMESTAMPTZ".to_owned(),
        other => other.to_string(),
    }
}
