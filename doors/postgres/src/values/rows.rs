//! A result on its way to the client, row by row.

use std::sync::Arc;

use bytes::BytesMut;
use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use pgwire::api::Type;
use pgwire::api::portal::Format;
use pgwire::api::results::FieldInfo;
use pgwire::messages::data::DataRow;
use posthouse_query::QueryError;

use super::cells::Writer;
use super::style::Style;
use crate::errors::Failure;

/// A running query's rows and how they are written. Dropping it cancels the query.
pub(crate) struct Rows {
    schema: SchemaRef,
    stream: SendableRecordBatchStream,
    fields: Vec<FieldInfo>,
    writers: Vec<Writer>,
    style: Style,
    /// The batch being sent, and its next row.
    current: Option<(RecordBatch, usize)>,
}

impl Rows {
    /// # Errors
    /// [`Failure::BadBind`] when `format` names another number of columns than there are.
    pub(crate) fn new(
        schema: &SchemaRef,
        stream: SendableRecordBatchStream,
        format: &Format,
        style: Style,
    ) -> Result<Rows, Failure> {
        let fields = fields(schema, format, &style)?;
        let writers = shown(schema)
            .iter()
            .zip(&fields)
            .map(|(field, info)| Writer::new(field, info, &style))
            .collect();
        let schema = Arc::clone(schema);
        Ok(Rows { schema, stream, fields, writers, style, current: None })
    }

    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    pub(crate) fn fields(&self) -> &[FieldInfo] {
        &self.fields
    }

    /// The next row of the batch at hand; `None` when [`Rows::next_batch`] must be called.
    pub(crate) fn next_row(&mut self) -> Option<Result<DataRow, Failure>> {
        let (batch, row) = self.current.as_mut()?;
        if *row == batch.num_rows() {
            self.current = None;
            return None;
        }
        let mut data = BytesMut::with_capacity(16 * self.writers.len());
        for (writer, array) in self.writers.iter().zip(batch.columns()) {
            if let Err(failure) = writer.write(array, *row, &self.style, &mut data) {
                return Some(Err(failure));
            }
        }
        *row += 1;
        // The protocol counts columns in 16 bits; `fields` has checked.
        let count = i16::try_from(self.writers.len()).unwrap_or(i16::MAX);
        Some(Ok(DataRow::new(data, count)))
    }

    /// Waits for rows; `false` when there are no more.
    ///
    /// # Cancellation
    /// Safe to drop: a batch is kept or still in the stream.
    pub(crate) async fn next_batch(&mut self) -> Result<bool, Failure> {
        let Some(batch) = self.stream.next().await else { return Ok(false) };
        let batch = batch.map_err(|error| QueryError::from_datafusion(&error))?;
        let batch = with_signed_integers(batch)?;
        self.current = Some((batch, 0));
        Ok(true)
    }
}

/// The columns of a result as clients are told of them.
pub(crate) fn fields(
    schema: &Schema,
    format: &Format,
    style: &Style,
) -> Result<Vec<FieldInfo>, Failure> {
    let count = schema.fields().len();
    if let Format::Individual(codes) = format
        && codes.len() != count
    {
        let message = format!(
            "bind message has {} result formats but query has {count} columns",
            codes.len()
        );
        return Err(Failure::BadBind { message });
    }
    // LIMIT: SPEC: RowDescription counts columns in 16 bits, PostgreSQL allows 1664.
    const COLUMNS_MAX: usize = 1664;
    if count > COLUMNS_MAX {
        return Err(Failure::TooMany { what: "columns in a result", max: COLUMNS_MAX });
    }
    let field = |(index, field): (usize, &Arc<Field>)| {
        let known = arrow_pg::datatypes::field_into_pg_type(field).ok();
        // What PostgreSQL has no type for is text, in either format.
        let data_type = known.filter(|known| *known != Type::UNKNOWN).unwrap_or(Type::TEXT);
        let size = size_of(&data_type);
        FieldInfo::new(field.name().clone(), None, None, data_type, format.format_for(index))
            .with_type_size(size)
            .with_format_options(Arc::clone(&style.options))
    };
    Ok(shown(schema).iter().enumerate().map(field).collect())
}

/// Columns as PostgreSQL would have them: ranks and row numbers, which DataFusion counts without a
/// sign, are `bigint`.
fn shown(schema: &Schema) -> Vec<Arc<Field>> {
    let signed = |field: &Arc<Field>| match field.data_type() {
        DataType::UInt64 => Arc::new(field.as_ref().clone().with_data_type(DataType::Int64)),
        _ => Arc::clone(field),
    };
    schema.fields().iter().map(signed).collect()
}

fn with_signed_integers(batch: RecordBatch) -> Result<RecordBatch, Failure> {
    if batch.columns().iter().all(|column| *column.data_type() != DataType::UInt64) {
        return Ok(batch);
    }
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let columns: Result<Vec<ArrayRef>, Failure> = batch
        .columns()
        .iter()
        .map(|column| match column.data_type() {
            DataType::UInt64 => cast_with_options(column, &DataType::Int64, &options)
                .map_err(|_| Failure::OutOfRange { data_type: "bigint" }),
            _ => Ok(Arc::clone(column)),
        })
        .collect();
    let schema = Arc::new(Schema::new(shown(&batch.schema())));
    RecordBatch::try_new(schema, columns?)
        .map_err(|error| Failure::Unencodable { message: error.to_string() })
}

/// SPEC: `pg_type.typlen`: bytes of a value of fixed size, -1 for others.
fn size_of(data_type: &Type) -> i16 {
    match *data_type {
        Type::BOOL | Type::CHAR => 1,
        Type::INT2 => 2,
        Type::INT4 | Type::FLOAT4 | Type::DATE | Type::OID => 4,
        Type::INT8 | Type::FLOAT8 | Type::TIME | Type::TIMESTAMP | Type::TIMESTAMPTZ => 8,
        Type::INTERVAL | Type::UUID => 16,
        Type::NAME => 64,
        _ => -1,
    }
}

#[cfg(test)]
#[path = "rows_tests.rs"]
mod tests;
