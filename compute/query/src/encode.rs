//! Rows of an `INSERT`, made into records.
//!
//! Owns the encoding of declared columns into a value: the reverse of [`crate::decode`]. Reading a
//! row back gives what was written.
//!
//! A row whose declared columns are all NULL, and that gives no `_value`, is a record without a
//! value: a tombstone in a compacted topic.

use std::borrow::Cow;

use bytes::Bytes;
use datafusion::arrow::array::{
    Array, AsArray, BinaryViewArray, Int32Array, RecordBatch, StringViewArray,
    TimestampMillisecondArray,
};
use datafusion::arrow::datatypes::{Int32Type, TimestampMillisecondType};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use posthouse_broker::ColumnFormat;
use posthouse_record::Header;
use posthouse_types::Timestamp;
use serde_json::value::RawValue;

use crate::QueryError;
use crate::columns::{ColumnType, SystemColumn, TopicColumns};
use crate::error::sqlstate;
use crate::text::{bytes_of, headers_of, text_of};

/// A record to be written.
pub(crate) struct EncodedRow<'b> {
    pub(crate) key: Option<Cow<'b, [u8]>>,
    pub(crate) value: Option<Cow<'b, [u8]>>,
    pub(crate) partition: Option<i32>,
    pub(crate) timestamp: Option<Timestamp>,
    pub(crate) headers: Vec<Header>,
}

impl EncodedRow<'_> {
    /// Bytes of key, value and headers.
    pub(crate) fn bytes(&self) -> usize {
        let headers = self
            .headers
            .iter()
            .map(|header| header.name.len() + header.value.as_ref().map_or(0, Bytes::len));
        self.key.as_ref().map_or(0, |key| key.len())
            + self.value.as_ref().map_or(0, |value| value.len())
            + headers.sum::<usize>()
    }
}

/// Encodes the rows of one batch, which has the topic's columns.
pub(crate) struct RowEncoder<'b> {
    format: ColumnFormat,
    fields: Vec<FieldEncoder<'b>>,
    keys: &'b StringViewArray,
    values: &'b StringViewArray,
    partitions: &'b Int32Array,
    timestamps: &'b TimestampMillisecondArray,
    headers: &'b StringViewArray,
}

impl<'b> RowEncoder<'b> {
    /// # Errors
    /// An internal error, when the batch has other columns.
    pub(crate) fn new(
        columns: &'b TopicColumns,
        batch: &'b RecordBatch,
    ) -> Result<RowEncoder<'b>, QueryError> {
        let system = |column| batch.column(columns.system_index(column));
        let mismatch =
            || QueryError::internal("the rows to insert do not have the topic's columns");
        let text = |column| system(column).as_string_view_opt().ok_or_else(mismatch);
        let mut fields = Vec::with_capacity(columns.declared.len());
        for (index, column) in columns.declared.iter().enumerate() {
            fields.push(FieldEncoder::new(&column.name, column.kind, batch.column(index))?);
        }
        Ok(RowEncoder {
            format: columns.format,
            fields,
            keys: text(SystemColumn::Key)?,
            values: text(SystemColumn::Value)?,
            partitions: system(SystemColumn::Partition)
                .as_primitive_opt::<Int32Type>()
                .ok_or_else(mismatch)?,
            timestamps: system(SystemColumn::Timestamp)
                .as_primitive_opt::<TimestampMillisecondType>()
                .ok_or_else(mismatch)?,
            headers: text(SystemColumn::Headers)?,
        })
    }

    /// Encodes one row.
    ///
    /// # Errors
    /// 22P02 when a key, value or header is not the text of any bytes, or JSON is not JSON.
    pub(crate) fn row(&self, row: usize) -> Result<EncodedRow<'b>, QueryError> {
        let value = match text_at(self.values, row) {
            Some(text) => Some(bytes_at("_value", text)?),
            None => self.encode(row)?.map(Cow::Owned),
        };
        let key = text_at(self.keys, row).map(|text| bytes_at("_key", text)).transpose()?;
        let headers = match text_at(self.headers, row) {
            None => Vec::new(),
            Some(text) => {
                headers_of(text).map_err(|reason| bad_text(format!("column _headers: {reason}")))?
            }
        };
        let partition = self.partitions.is_valid(row).then(|| self.partitions.value(row));
        let timestamp = self.timestamps.is_valid(row).then(|| self.timestamps.value(row));
        let timestamp = timestamp.map(Timestamp::from_ms);
        Ok(EncodedRow { key, value, partition, timestamp, headers })
    }

    fn encode(&self, row: usize) -> Result<Option<Vec<u8>>, QueryError> {
        if self.fields.iter().all(|field| field.is_null(row)) {
            return Ok(None);
        }
        let mut value = Vec::new();
        match self.format {
            ColumnFormat::Json => self.encode_json(row, &mut value)?,
            ColumnFormat::Csv => self.encode_csv(row, &mut value)?,
            ColumnFormat::Raw => {
                for field in &self.fields {
                    value.extend_from_slice(&field.bytes(row)?);
                }
            }
        }
        Ok(Some(value))
    }

    fn encode_json(&self, row: usize, value: &mut Vec<u8>) -> Result<(), QueryError> {
        for (index, field) in self.fields.iter().enumerate() {
            value.push(if index == 0 { b'{' } else { b',' });
            value.extend_from_slice(field.member.as_bytes());
            value.push(b':');
            field.write_json(row, value)?;
        }
        value.push(b'}');
        Ok(())
    }

    fn encode_csv(&self, row: usize, value: &mut Vec<u8>) -> Result<(), QueryError> {
        for (index, field) in self.fields.iter().enumerate() {
            if index > 0 {
                value.push(b',');
            }
            if !field.is_null(row) {
                write_csv(&field.text(row)?, value);
            }
        }
        Ok(())
    }
}

/// Encodes one declared column.
struct FieldEncoder<'b> {
    name: &'b str,
    /// The name as a JSON string.
    member: String,
    kind: ColumnType,
    array: &'b dyn Array,
    values: FieldValues<'b>,
}

enum FieldValues<'b> {
    Text(&'b StringViewArray),
    Bytes(&'b BinaryViewArray),
    /// Whatever Arrow writes so that it can be read back.
    Formatted(ArrayFormatter<'b>),
}

impl<'b> FieldEncoder<'b> {
    fn new(
        name: &'b str,
        kind: ColumnType,
        array: &'b dyn Array,
    ) -> Result<FieldEncoder<'b>, QueryError> {
        const OPTIONS: FormatOptions<'static> = FormatOptions::new();
        let mismatch = || QueryError::internal(format!("column {name} has another type"));
        let values = match kind {
            ColumnType::Text | ColumnType::Json => {
                FieldValues::Text(array.as_string_view_opt().ok_or_else(mismatch)?)
            }
            ColumnType::Bytea => {
                FieldValues::Bytes(array.as_binary_view_opt().ok_or_else(mismatch)?)
            }
            _ => FieldValues::Formatted(
                ArrayFormatter::try_new(array, &OPTIONS).map_err(|_| mismatch())?,
            ),
        };
        let member = serde_json::Value::from(name).to_string();
        Ok(FieldEncoder { name, member, kind, array, values })
    }

    fn is_null(&self, row: usize) -> bool {
        self.array.is_null(row)
    }

    fn bytes(&self, row: usize) -> Result<Cow<'b, [u8]>, QueryError> {
        match &self.values {
            FieldValues::Bytes(values) => Ok(Cow::Borrowed(values.value(row))),
            _ => Ok(match self.text(row)? {
                Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
                Cow::Owned(text) => Cow::Owned(text.into_bytes()),
            }),
        }
    }

    fn text(&self, row: usize) -> Result<Cow<'b, str>, QueryError> {
        match &self.values {
            FieldValues::Text(values) => Ok(Cow::Borrowed(values.value(row))),
            FieldValues::Bytes(values) => Ok(text_of(values.value(row))),
            FieldValues::Formatted(formatter) => formatter
                .value(row)
                .try_to_string()
                .map(Cow::Owned)
                .map_err(|error| bad_text(format!("column {}: {error}", self.name))),
        }
    }

    fn write_json(&self, row: usize, value: &mut Vec<u8>) -> Result<(), QueryError> {
        if self.is_null(row) {
            value.extend_from_slice(b"null");
            return Ok(());
        }
        let text = self.text(row)?;
        let bare = match self.kind {
            ColumnType::Json => {
                serde_json::from_str::<&RawValue>(&text).map_err(|error| {
                    bad_text(format!("column {}: not a JSON value: {error}", self.name))
                })?;
                true
            }
            ColumnType::Boolean
            | ColumnType::SmallInt
            | ColumnType::Integer
            | ColumnType::BigInt
            | ColumnType::Numeric { .. } => true,
            // NaN and the infinities are no JSON numbers; as strings they are read back.
            ColumnType::Real | ColumnType::Double => !text.contains(['N', 'n', 'i']),
            _ => false,
        };
        if bare {
            value.extend_from_slice(text.as_bytes());
        } else {
            serde_json::to_writer(&mut *value, text.as_ref())
                .map_err(|error| QueryError::internal(error.to_string()))?;
        }
        Ok(())
    }
}

/// A field as RFC 4180 has it; quoted when it must be, or when it is empty and not NULL.
fn write_csv(field: &str, line: &mut Vec<u8>) {
    let plain = !field.is_empty() && !field.contains([',', '"', '\n', '\r']);
    if plain {
        line.extend_from_slice(field.as_bytes());
    } else {
        line.push(b'"');
        line.extend_from_slice(field.replace('"', "\"\"").as_bytes());
        line.push(b'"');
    }
}

fn text_at(array: &StringViewArray, row: usize) -> Option<&str> {
    array.is_valid(row).then(|| array.value(row))
}

fn bytes_at<'t>(column: &str, text: &'t str) -> Result<Cow<'t, [u8]>, QueryError> {
    bytes_of(text).ok_or_else(|| {
        bad_text(format!("column {column}: text that begins with \\x must be hexadecimal"))
    })
}

fn bad_text(message: String) -> QueryError {
    QueryError::new(sqlstate::INVALID_TEXT_REPRESENTATION, message)
}
