//! Rows of a query as JSON or CSV, batch by batch.
//!
//! # Invariants
//! - A NULL is always there (`null` in JSON, nothing in CSV), so that every row has every column.
//! - Bytes are written as text where they are UTF-8, and otherwise as Postgres writes them: `\x00ff`.

use std::io;
use std::sync::Arc;

use arrow_json::StructMode;
use arrow_json::writer::{JsonArray, LineDelimited, WriterBuilder};
use bytes::Bytes;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use serde_json::json;

use crate::errors::Problem;

/// How rows are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// An object a line.
    ObjectLines,
    /// The columns, then an array a line, then how it ended.
    ArrayLines,
    /// One array of objects.
    ObjectArray,
    /// Comma-separated values under a line of names.
    Csv,
}

/// Encodes the rows of one query.
pub(crate) struct Encoder {
    layout: Layout,
    columns: SchemaRef,
    /// The columns as they are written: bytes as text.
    written: SchemaRef,
    began: bool,
    rows: u64,
}

impl Encoder {
    pub(crate) fn new(layout: Layout, columns: SchemaRef) -> Encoder {
        let written = Arc::new(as_text_schema(&columns));
        Encoder { layout, columns, written, began: false, rows: 0 }
    }

    /// Some rows.
    pub(crate) fn encode(&mut self, batch: &RecordBatch) -> Result<Bytes, ArrowError> {
        let mut output = self.begin()?;
        let batch = self.as_text(batch)?;
        if batch.num_rows() > 0 {
            match self.layout {
                Layout::ObjectLines => lines(&mut output, &batch, StructMode::ObjectOnly)?,
                Layout::ArrayLines => lines(&mut output, &batch, StructMode::ListOnly)?,
                Layout::ObjectArray => self.array_items(&mut output, &batch)?,
                Layout::Csv => csv(&mut output, &batch, false)?,
            }
            self.rows += u64::try_from(batch.num_rows()).unwrap_or(u64::MAX);
        }
        Ok(Bytes::from(output))
    }

    /// What follows the last row.
    pub(crate) fn finish(&mut self) -> Result<Bytes, ArrowError> {
        let mut output = self.begin()?;
        match self.layout {
            Layout::ObjectLines | Layout::Csv => {}
            Layout::ArrayLines => {
                output.extend_from_slice(json!({ "rows": self.rows }).to_string().as_bytes());
                output.push(b'\n');
            }
            Layout::ObjectArray => output.extend_from_slice(b"]\n"),
        }
        Ok(Bytes::from(output))
    }

    /// What tells of an error after the first rows, in the one layout that has a place for it.
    ///
    /// # Errors
    /// What the body is to be cut short with, in the other layouts.
    pub(crate) fn fail(&self, problem: &Problem) -> io::Result<Bytes> {
        match self.layout {
            Layout::ArrayLines => Ok(Bytes::from(json!({ "error": problem }).to_string() + "\n")),
            _ => Err(io::Error::other(problem.detail.clone())),
        }
    }

    fn begin(&mut self) -> Result<Vec<u8>, ArrowError> {
        let mut output = Vec::new();
        if std::mem::replace(&mut self.began, true) {
            return Ok(output);
        }
        match self.layout {
            Layout::ObjectLines => {}
            Layout::ObjectArray => output.push(b'['),
            Layout::Csv => {
                csv(&mut output, &RecordBatch::new_empty(Arc::clone(&self.written)), true)?
            }
            Layout::ArrayLines => {
                let column = |field: &Arc<Field>| json!({ "name": field.name(), "type": field.data_type().to_string() });
                let columns: Vec<_> = self.columns.fields().iter().map(column).collect();
                output.extend_from_slice(json!({ "columns": columns }).to_string().as_bytes());
                output.push(b'\n');
            }
        }
        Ok(output)
    }

    /// An array for each batch, without its brackets and after a comma where rows came before.
    fn array_items(&self, output: &mut Vec<u8>, batch: &RecordBatch) -> Result<(), ArrowError> {
        let mut writer =
            WriterBuilder::new().with_explicit_nulls(true).build::<_, JsonArray>(Vec::new());
        writer.write(batch)?;
        writer.finish()?;
        let array = writer.into_inner();
        let items = array.strip_prefix(b"[").and_then(|array| array.strip_suffix(b"]"));
        output.extend_from_slice(if self.rows > 0 { b",\n" } else { b"" });
        output.extend_from_slice(items.unwrap_or(&array));
        Ok(())
    }

    fn as_text(&self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        if self.written == self.columns {
            return Ok(batch.clone());
        }
        let columns = batch.columns().iter().map(bytes_as_text).collect::<Result<_, _>>()?;
        let rows = datafusion::arrow::array::RecordBatchOptions::new()
            .with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(Arc::clone(&self.written), columns, &rows)
    }
}

fn lines(output: &mut Vec<u8>, batch: &RecordBatch, mode: StructMode) -> Result<(), ArrowError> {
    let mut writer = WriterBuilder::new()
        .with_explicit_nulls(true)
        .with_struct_mode(mode)
        .build::<_, LineDelimited>(output);
    writer.write(batch)?;
    writer.finish()
}

fn csv(output: &mut Vec<u8>, batch: &RecordBatch, header: bool) -> Result<(), ArrowError> {
    arrow_csv::WriterBuilder::new().with_header(header).build(output).write(batch)
}

fn is_bytes(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
            | DataType::FixedSizeBinary(_)
    )
}

fn as_text_schema(columns: &Schema) -> Schema {
    let field = |field: &Arc<Field>| {
        if is_bytes(field.data_type()) {
            Arc::new(Field::new(field.name(), DataType::Utf8, true))
        } else {
            Arc::clone(field)
        }
    };
    Schema::new(columns.fields().iter().map(field).collect::<Vec<_>>())
}

fn bytes_as_text(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    if !is_bytes(column.data_type()) {
        return Ok(Arc::clone(column));
    }
    let bytes = cast(column, &DataType::LargeBinary)?;
    let text: StringArray =
        bytes.as_binary::<i64>().iter().map(|value| value.map(text_of)).collect();
    Ok(Arc::new(text))
}

fn text_of(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().fold("\\x".to_owned(), |text, byte| text + &format!("{byte:02x}")),
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{BinaryArray, Int64Array};

    use super::*;

    fn batch() -> RecordBatch {
        let ids: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
        let values: ArrayRef =
            Arc::new(BinaryArray::from(vec![Some(&b"a,\"b\""[..]), Some(&[0xff, 0])]));
        RecordBatch::try_from_iter_with_nullable([("id", ids, true), ("value", values, true)])
            .unwrap()
    }

    fn check(layout: Layout, batches: &[RecordBatch], expected: &str) {
        let mut encoder = Encoder::new(layout, batch().schema());
        let mut text = Vec::new();
        for batch in batches {
            text.extend_from_slice(&encoder.encode(batch).unwrap());
        }
        text.extend_from_slice(&encoder.finish().unwrap());
        assert_eq!(String::from_utf8(text).unwrap(), expected, "{layout:?}");
    }

    #[test]
    fn every_row_has_every_column() {
        let both = [batch(), batch().slice(0, 1)];
        check(
            Layout::ObjectLines,
            &both,
            "{\"id\":1,\"value\":\"a,\\\"b\\\"\"}\n{\"id\":null,\"value\":\"\\\\xff00\"}\n{\"id\":1,\"value\":\"a,\\\"b\\\"\"}\n",
        );
        check(
            Layout::ArrayLines,
            &both,
            "{\"columns\":[{\"name\":\"id\",\"type\":\"Int64\"},{\"name\":\"value\",\"type\":\"Binary\"}]}\n[1,\"a,\\\"b\\\"\"]\n[null,\"\\\\xff00\"]\n[1,\"a,\\\"b\\\"\"]\n{\"rows\":3}\n",
        );
        check(Layout::Csv, &both, "id,value\n1,\"a,\"\"b\"\"\"\n,\\xff00\n1,\"a,\"\"b\"\"\"\n");
    }

    #[test]
    fn an_array_stays_one_array_over_many_batches() {
        let mut encoder = Encoder::new(Layout::ObjectArray, batch().schema());
        let mut text = Vec::new();
        for _ in 0..3 {
            text.extend_from_slice(&encoder.encode(&batch()).unwrap());
        }
        text.extend_from_slice(&encoder.finish().unwrap());
        let array: Vec<serde_json::Value> = serde_json::from_slice(&text).unwrap();
        assert_eq!(array.len(), 6);
    }

    #[test]
    fn no_rows_still_tell_their_columns() {
        check(Layout::Csv, &[], "id,value\n");
        check(Layout::ObjectArray, &[], "[]\n");
        check(Layout::ObjectLines, &[], "");
    }
}
