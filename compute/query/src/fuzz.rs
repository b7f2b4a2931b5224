//! Entry points for fuzz targets: arbitrary bytes in, and out whether they could be read.
//!
//! They panic only when a promise is broken: a decoder that panics, a position outside its script,
//! or a row that, written again, reads back as another.

use std::sync::Arc;

use datafusion::arrow::array::{Array, RecordBatch, new_null_array};
use posthouse_broker::{Column, ColumnFormat, DecodeFailure, TopicSchema};
use posthouse_record::{BatchBuilder, Compression};
use posthouse_types::{PartitionIndex, Timestamp};

use crate::columns::{SystemColumn, TopicColumns};
use crate::decode::{BatchDecoder, DecodePlan};
use crate::encode::RowEncoder;
use crate::statement::Statement;
use crate::text::{bytes_of, headers_of, text_of, text_of_headers};

/// A column of every type.
const COLUMNS: [(&str, &str); 14] = [
    ("text", "TEXT"),
    ("json", "JSON"),
    ("flag", "BOOLEAN"),
    ("small", "SMALLINT"),
    ("int", "INT"),
    ("big", "BIGINT"),
    ("real", "REAL"),
    ("double", "DOUBLE"),
    ("price", "NUMERIC(12, 3)"),
    ("day", "DATE"),
    ("clock", "TIME"),
    ("at", "TIMESTAMP"),
    ("instant", "TIMESTAMPTZ"),
    ("bytes", "BYTEA"),
];

/// A script in SQL.
pub fn statements(input: &[u8]) -> bool {
    let Ok(sql) = std::str::from_utf8(input) else { return false };
    match Statement::parse(sql) {
        Ok(statements) => !statements.is_empty(),
        Err(error) => {
            let end = sql.chars().count() + 1;
            assert!(error.position.is_none_or(|position| (1..=end).contains(&position)));
            let may_hold_one = sql.to_ascii_lowercase().contains("password");
            let quotes = error.sqlstate == "42601" && error.message.contains(", found: ");
            assert!(!(may_hold_one && quotes), "an error may quote a password: {error}");
            false
        }
    }
}

/// A value of a topic whose columns are declared as JSON.
pub fn json_row(input: &[u8]) -> bool {
    row(ColumnFormat::Json, input)
}

/// A value of a topic whose columns are declared as CSV.
pub fn csv_row(input: &[u8]) -> bool {
    row(ColumnFormat::Csv, input)
}

/// A value of a topic of which one column takes all; the first byte says of which type.
pub fn raw_row(input: &[u8]) -> bool {
    let Some((column, value)) = input.split_first() else { return false };
    let (name, data_type) = COLUMNS[usize::from(*column) % COLUMNS.len()];
    let columns = declare(ColumnFormat::Raw, &[(name, data_type)]);
    check_row(&columns, value)
}

/// Bytes as text, and text as headers.
pub fn text(input: &[u8]) -> bool {
    assert_eq!(bytes_of(&text_of(input)).as_deref(), Some(input));
    let Ok(headers) = std::str::from_utf8(input).map_err(drop).and_then(|text| {
        let _ = bytes_of(text);
        headers_of(text).map_err(drop)
    }) else {
        return false;
    };
    let written =
        text_of_headers(headers.iter().map(|header| (&header.name[..], header.value.as_deref())));
    assert_eq!(written.is_none(), headers.is_empty());
    true
}

fn row(format: ColumnFormat, value: &[u8]) -> bool {
    check_row(&declare(format, &COLUMNS), value)
}

fn declare(format: ColumnFormat, columns: &[(&str, &str)]) -> TopicColumns {
    let column = |(name, data_type): &(&str, &str)| Column {
        name: (*name).to_owned(),
        data_type: (*data_type).to_owned(),
    };
    let columns = columns.iter().map(column).collect();
    let schema = TopicSchema { format, columns, on_error: DecodeFailure::Null };
    TopicColumns::declare(Some(&schema)).expect("every type here is one of ours")
}

/// Reads a value; if every column could be read, what is written of them is never read as another
/// value. It may be refused: Arrow writes years after 9999 and cannot read them.
fn check_row(columns: &TopicColumns, value: &[u8]) -> bool {
    let row = decode(columns, value);
    if has_error(columns, &row) {
        return false;
    }
    let given = without_system_columns(columns, &row);
    let encoder = RowEncoder::new(columns, &given).expect("it has the topic's columns");
    // A JSON column takes any text in CSV, but only JSON can be written.
    let Ok(written) = encoder.row(0) else { return true };
    let Some(written) = written.value else { return true };
    let again = decode(columns, &written);
    if !has_error(columns, &again) {
        let written = String::from_utf8_lossy(&written);
        // As text, because the sign of a NaN is not written.
        let again = without_system_columns(columns, &again);
        assert_eq!(format!("{again:?}"), format!("{given:?}"), "written as {written:?}");
    }
    true
}

fn has_error(columns: &TopicColumns, row: &RecordBatch) -> bool {
    row.column(columns.system_index(SystemColumn::Error)).is_valid(0)
}

fn decode(columns: &TopicColumns, value: &[u8]) -> RecordBatch {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.push(Timestamp::from_ms(0), None, Some(value), &[]);
    let batch = builder.build().expect("it has a record");
    let mut records = batch.records(usize::MAX).expect("it is not compressed");
    let record = records.next_view().expect("there is one").expect("it was just written");
    let all: Vec<usize> = (0..columns.schema.fields().len()).collect();
    let plan = DecodePlan::new("fuzz".to_owned(), columns, &all);
    let mut decoder = BatchDecoder::new(Arc::new(plan));
    decoder.push(PartitionIndex::ZERO, &record).expect("failures are NULL here");
    let batch = decoder.finish().expect("the columns fit their schema");
    assert_eq!(batch.num_rows(), 1);
    batch
}

/// The row as an `INSERT` of its declared columns gives it.
fn without_system_columns(columns: &TopicColumns, row: &RecordBatch) -> RecordBatch {
    let declared = columns.declared.len();
    let columns = row.columns().iter().enumerate().map(|(index, column)| {
        if index < declared { Arc::clone(column) } else { new_null_array(column.data_type(), 1) }
    });
    RecordBatch::try_new(row.schema(), columns.collect()).expect("the columns fit their schema")
}
