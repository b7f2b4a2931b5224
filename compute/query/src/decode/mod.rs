//! Records, made into Arrow batches.
//!
//! Owns which columns are decoded and what a value that does not decode does. The formats are in
//! their own files; each splits a value into fields and leaves their types to [`column`].
//!
//! # Invariants
//! - Only the columns asked for are decoded, but `_error` looks at every declared one, so that it
//!   does not depend on what else is selected.
//! - A bad record gives NULLs in its own row and touches no other.

mod column;
mod csv;
mod json;
mod numeric;

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, Int32Builder, Int64Builder, RecordBatch, RecordBatchOptions, StringViewBuilder,
    TimestampMillisecondBuilder,
};
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use posthouse_broker::{ColumnFormat, DecodeFailure};
use posthouse_record::RecordView;
use posthouse_types::{PartitionIndex, Timestamp};

use crate::QueryError;
use crate::columns::{DeclaredColumn, SystemColumn, TopicColumn, TopicColumns, UTC};
use crate::error::sqlstate;
use crate::text::{text_of, text_of_headers};
use column::ColumnBuilder;

/// Which columns a scan makes, and how.
#[derive(Debug)]
pub(crate) struct DecodePlan {
    pub(crate) topic: String,
    pub(crate) schema: SchemaRef,
    output: Vec<Output>,
    /// Declared columns to decode.
    fields: Vec<Field>,
    format: ColumnFormat,
    on_error: DecodeFailure,
}

/// Where an output column comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Output {
    /// By index in `fields`.
    Field(usize),
    System(SystemColumn),
}

/// A declared column that is decoded.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    /// Its position among the declared columns.
    pub(crate) index: usize,
    pub(crate) column: DeclaredColumn,
}

impl DecodePlan {
    /// Decodes `projection` of the topic's columns, in its order.
    pub(crate) fn new(topic: String, columns: &TopicColumns, projection: &[usize]) -> DecodePlan {
        let chosen: Vec<TopicColumn> =
            projection.iter().map(|index| columns.column(*index)).collect();
        let all = chosen.contains(&TopicColumn::System(SystemColumn::Error));
        let fields: Vec<Field> = columns
            .declared
            .iter()
            .enumerate()
            .filter(|(index, _)| all || chosen.contains(&TopicColumn::Declared(*index)))
            .map(|(index, column)| Field { index, column: column.clone() })
            .collect();
        let output = chosen.iter().map(|column| match column {
            TopicColumn::System(system) => Output::System(*system),
            TopicColumn::Declared(declared) => {
                let among = fields.iter().position(|field| field.index == *declared);
                Output::Field(among.expect("every declared column chosen is a field"))
            }
        });
        let chosen_fields: Vec<_> =
            projection.iter().map(|index| Arc::clone(&columns.schema.fields()[*index])).collect();
        DecodePlan {
            topic,
            schema: Arc::new(Schema::new(chosen_fields)),
            output: output.collect(),
            fields,
            format: columns.format,
            on_error: columns.on_error,
        }
    }

    /// Whether a row is only counted.
    pub(crate) fn counts_only(&self) -> bool {
        self.output.is_empty()
    }

    /// Whether anything of a row depends on its value.
    fn reads_values(&self) -> bool {
        !self.fields.is_empty() || self.output.contains(&Output::System(SystemColumn::Value))
    }
}

/// Fills one batch after another.
pub(crate) struct BatchDecoder {
    plan: Arc<DecodePlan>,
    reads_values: bool,
    rows: usize,
    bytes: usize,
    fields: Vec<ColumnBuilder>,
    system: Vec<SystemBuilder>,
    json: json::Members,
    csv: csv::Fields,
}

impl BatchDecoder {
    pub(crate) fn new(plan: Arc<DecodePlan>) -> BatchDecoder {
        let fields = plan.fields.iter().map(|field| ColumnBuilder::new(field.column.kind));
        let system = plan.output.iter().filter_map(|output| match output {
            Output::System(column) => Some(SystemBuilder::new(*column)),
            Output::Field(_) => None,
        });
        BatchDecoder {
            reads_values: plan.reads_values(),
            rows: 0,
            bytes: 0,
            fields: fields.collect(),
            system: system.collect(),
            json: json::Members::new(&plan.fields),
            csv: csv::Fields,
            plan,
        }
    }

    /// Rows so far.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// About how many bytes the rows so far take.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds rows of which nothing is asked but that they are.
    pub(crate) fn count(&mut self, rows: usize) {
        self.rows += rows;
    }

    /// Adds a record.
    ///
    /// # Errors
    /// 22P02 when its value does not decode and the topic declares `on_error = 'fail'`.
    pub(crate) fn push(
        &mut self,
        partition: PartitionIndex,
        record: &RecordView<'_>,
    ) -> Result<(), QueryError> {
        let value = record.value;
        let failure = self.push_fields(value);
        if let Some(reason) = &failure
            && self.plan.on_error == DecodeFailure::Fail
        {
            let message = format!(
                "the record at offset {} of partition {partition} of topic {} does not decode: {reason}",
                record.offset, self.plan.topic
            );
            return Err(QueryError::new(sqlstate::INVALID_TEXT_REPRESENTATION, message).with_hint(
                "the topic is declared with on_error = 'fail'; with 'null' such values are NULL",
            ));
        }
        for builder in &mut self.system {
            builder.push(partition, record, failure.as_deref());
        }
        self.rows += 1;
        if self.reads_values {
            self.bytes += value.map_or(0, <[u8]>::len);
        }
        self.bytes += record.key.map_or(0, <[u8]>::len);
        Ok(())
    }

    /// The batch, and a fresh start.
    ///
    /// # Errors
    /// An internal error, when the columns do not fit the schema.
    pub(crate) fn finish(&mut self) -> Result<RecordBatch, QueryError> {
        let decoded: Vec<ArrayRef> = self.fields.iter_mut().map(ColumnBuilder::finish).collect();
        let mut system = self.system.iter_mut().map(SystemBuilder::finish);
        let columns = self.plan.output.iter().map(|output| match output {
            Output::Field(index) => Arc::clone(&decoded[*index]),
            Output::System(_) => system.next().expect("one builder for each system column"),
        });
        let columns: Vec<ArrayRef> = columns.collect();
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        (self.rows, self.bytes) = (0, 0);
        RecordBatch::try_new_with_options(Arc::clone(&self.plan.schema), columns, &options)
            .map_err(|error| QueryError::internal(error.to_string()))
    }

    /// Decodes into the fields; the reason when the value, or some field of it, is not as declared.
    fn push_fields(&mut self, value: Option<&[u8]>) -> Option<String> {
        if self.fields.is_empty() {
            return None;
        }
        let Some(value) = value else {
            self.fields.iter_mut().for_each(ColumnBuilder::append_null);
            return None;
        };
        let plan = Arc::clone(&self.plan);
        match plan.format {
            ColumnFormat::Json => self.json.decode(value, &plan.fields, &mut self.fields),
            ColumnFormat::Csv => self.csv.decode(value, &plan.fields, &mut self.fields),
            ColumnFormat::Raw => raw(value, &plan.fields, &mut self.fields),
        }
    }
}

/// A raw value is its one column.
fn raw(value: &[u8], fields: &[Field], builders: &mut [ColumnBuilder]) -> Option<String> {
    let mut failure = None;
    for (field, builder) in fields.iter().zip(builders) {
        note(&mut failure, field, builder.append_bytes(value));
    }
    failure
}

/// Keeps the first reason of a record.
fn note(failure: &mut Option<String>, field: &Field, result: Result<(), String>) {
    if let Err(reason) = result
        && failure.is_none()
    {
        *failure = Some(format!("column {}: {reason}", field.column.name));
    }
}

/// Fills a column that every topic has.
enum SystemBuilder {
    Text(SystemColumn, StringViewBuilder),
    Partition(Int32Builder),
    Offset(Int64Builder),
    Timestamp(TimestampMillisecondBuilder),
}

impl SystemBuilder {
    fn new(column: SystemColumn) -> SystemBuilder {
        match column {
            SystemColumn::Partition => SystemBuilder::Partition(Int32Builder::new()),
            SystemColumn::Offset => SystemBuilder::Offset(Int64Builder::new()),
            SystemColumn::Timestamp => {
                SystemBuilder::Timestamp(TimestampMillisecondBuilder::new().with_timezone(UTC))
            }
            text => SystemBuilder::Text(text, StringViewBuilder::new()),
        }
    }

    fn push(&mut self, partition: PartitionIndex, record: &RecordView<'_>, failure: Option<&str>) {
        match self {
            SystemBuilder::Partition(builder) => builder.append_value(partition.to_wire()),
            SystemBuilder::Offset(builder) => builder.append_value(record.offset.value()),
            SystemBuilder::Timestamp(builder) => {
                let known = (record.timestamp != Timestamp::NONE).then(|| record.timestamp.as_ms());
                builder.append_option(known);
            }
            SystemBuilder::Text(column, builder) => match column {
                SystemColumn::Key => {
                    builder.append_option(record.key.map(text_of));
                }
                SystemColumn::Value => {
                    builder.append_option(record.value.map(text_of));
                }
                SystemColumn::Headers => {
                    builder.append_option(text_of_headers(record.headers()));
                }
                _ => builder.append_option(failure),
            },
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            SystemBuilder::Text(_, builder) => Arc::new(builder.finish()),
            SystemBuilder::Partition(builder) => Arc::new(builder.finish()),
            SystemBuilder::Offset(builder) => Arc::new(builder.finish()),
            SystemBuilder::Timestamp(builder) => Arc::new(builder.finish()),
        }
    }
}

#[cfg(test)]
mod tests;
