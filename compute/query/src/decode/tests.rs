//! Every format, good and bad values, through the public face of the decoder.

use datafusion::arrow::util::pretty::pretty_format_batches;
use posthouse_record::{BatchBuilder, Compression};

use super::*;
use crate::columns::ColumnType;

fn columns(
    format: ColumnFormat,
    on_error: DecodeFailure,
    declared: &[(&str, &str)],
) -> TopicColumns {
    let topic = posthouse_broker::TopicSchema {
        format,
        columns: declared
            .iter()
            .map(|(name, data_type)| posthouse_broker::Column {
                name: (*name).to_owned(),
                data_type: (*data_type).to_owned(),
            })
            .collect(),
        on_error,
    };
    TopicColumns::declare(Some(&topic)).unwrap()
}

/// Declared columns, then `_error`.
fn decode(columns: &TopicColumns, values: &[Option<&str>]) -> Result<RecordBatch, QueryError> {
    let mut projection: Vec<usize> = (0..columns.declared.len()).collect();
    projection.push(columns.system_index(SystemColumn::Error));
    decode_columns(columns, &projection, values)
}

fn decode_columns(
    columns: &TopicColumns,
    projection: &[usize],
    values: &[Option<&str>],
) -> Result<RecordBatch, QueryError> {
    let plan = DecodePlan::new("t".to_owned(), columns, projection);
    let mut decoder = BatchDecoder::new(Arc::new(plan));
    let mut builder = BatchBuilder::new(Compression::None);
    for value in values {
        builder.push(Timestamp::from_ms(1000), None, value.map(str::as_bytes), &[]);
    }
    let mut records = builder.build().unwrap().records(usize::MAX).unwrap();
    while let Some(record) = records.next_view() {
        decoder.push(PartitionIndex::ZERO, &record.unwrap())?;
    }
    decoder.finish()
}

fn check(columns: &TopicColumns, values: &[Option<&str>], expected: &[&str]) {
    let batch = decode(columns, values).unwrap();
    let table = pretty_format_batches(&[batch]).unwrap().to_string();
    let lines: Vec<&str> = table.lines().collect();
    let rows: Vec<String> = lines[3..lines.len() - 1]
        .iter()
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            cells.join("|")
        })
        .collect();
    assert_eq!(rows, expected);
}

#[test]
fn a_bad_record_spoils_only_its_own_row() {
    let columns = columns(ColumnFormat::Json, DecodeFailure::Null, &[("a", "INT"), ("b", "TEXT")]);
    check(
        &columns,
        &[
            Some(r#"{"a": 1, "b": "x"}"#),
            Some(r#"{"a": 2, "b": "#),
            Some(r#"{"a": "two", "b": "y"}"#),
            Some(r#"[1]"#),
            None,
            Some(r#"{"b": "z"}"#),
        ],
        &[
            "1|x|",
            "||the value is not a JSON object: EOF while parsing a value at line 1 column 14",
            "|y|column a: two is not INT",
            "||the value is not a JSON object: invalid type: sequence, expected an object at line 1 column 0",
            "||",
            "|z|",
        ],
    );
}

#[test]
fn json_members_match_columns_by_name_then_by_folded_name() {
    let columns = columns(ColumnFormat::Json, DecodeFailure::Null, &[("userid", "INT")]);
    check(
        &columns,
        &[
            Some(r#"{"userId": 1}"#),
            Some(r#"{"userid": 2, "userId": 3}"#),
            Some(r#"{"userId": 3, "userid": 4}"#),
            Some(r#"{"userid": 5, "userid": 6}"#),
            Some(r#"{"\u0075serid": 7}"#),
        ],
        &["1|", "2|", "4|", "6|", "7|"],
    );
}

#[test]
fn json_values_become_the_declared_type() {
    let columns = columns(
        ColumnFormat::Json,
        DecodeFailure::Null,
        &[
            ("t", "TEXT"),
            ("i", "BIGINT"),
            ("d", "DOUBLE"),
            ("n", "NUMERIC(6,2)"),
            ("b", "BOOLEAN"),
            ("ts", "TIMESTAMP"),
            ("day", "DATE"),
        ],
    );
    check(
        &columns,
        &[
            Some(
                r#"{"t": "a\"b", "i": 9007199254740993, "d": 1e3, "n": 12.34, "b": true, "ts": "2013-01-01T10:00:00Z", "day": "2013-01-01"}"#,
            ),
            Some(
                r#"{"t": 5, "i": 5.0, "d": "2.5", "n": "1.5", "b": "no", "ts": 1357034400000, "day": null}"#,
            ),
            Some(r#"{"t": {"x": [1]}, "i": 1.5}"#),
            Some(r#"{"b": 3}"#),
        ],
        &[
            "a\"b|9007199254740993|1000.0|12.34|true|2013-01-01T10:00:00|2013-01-01|",
            "5|5|2.5|1.50|false|2013-01-01T10:00:00||",
            "{\"x\": [1]}|||||||column i: 1.5 is not BIGINT",
            "|||||||column b: 3 is not BOOLEAN",
        ],
    );
}

#[test]
fn csv_fields_are_columns_by_position() {
    let columns = columns(ColumnFormat::Csv, DecodeFailure::Null, &[("a", "INT"), ("b", "TEXT")]);
    check(
        &columns,
        &[Some("1,x,more"), Some("2"), Some("NA,\"y\""), Some("\"3")],
        &["1|x|", "2||", "|y|column a: NA is not INT", "||a quote is not closed"],
    );
}

#[test]
fn a_raw_value_is_its_column() {
    let columns = columns(ColumnFormat::Raw, DecodeFailure::Null, &[("reading", "DOUBLE")]);
    check(&columns, &[Some("1.5"), Some("cold")], &["1.5|", "|column reading: cold is not DOUBLE"]);
}

#[test]
fn on_error_fail_names_the_record() {
    let columns = columns(ColumnFormat::Json, DecodeFailure::Fail, &[("a", "INT")]);
    let error = decode(&columns, &[Some(r#"{"a": 1}"#), Some("{")]).unwrap_err();
    assert_eq!(error.sqlstate, "22P02");
    assert!(error.message.contains("offset 1 of partition 0 of topic t"), "{}", error.message);
}

#[test]
fn the_error_does_not_depend_on_what_else_is_selected() {
    let columns = columns(ColumnFormat::Json, DecodeFailure::Null, &[("a", "INT"), ("b", "INT")]);
    let projection = [columns.system_index(SystemColumn::Error)];
    let batch = decode_columns(&columns, &projection, &[Some(r#"{"a": 1, "b": "x"}"#)]).unwrap();
    let table = pretty_format_batches(&[batch]).unwrap().to_string();
    assert!(table.contains("column b: x is not INT"), "{table}");
}

#[test]
fn every_type_takes_null_and_keeps_its_arrow_type() {
    let kinds = [
        "TEXT",
        "JSON",
        "BOOLEAN",
        "SMALLINT",
        "INT",
        "BIGINT",
        "REAL",
        "DOUBLE",
        "NUMERIC(9,3)",
        "DATE",
        "TIME",
        "TIMESTAMP",
        "TIMESTAMPTZ",
        "BYTEA",
    ];
    for text in kinds {
        let kind = ColumnType::parse(text).unwrap();
        let mut builder = ColumnBuilder::new(kind);
        builder.append_json("null").unwrap();
        assert_eq!(builder.finish().data_type(), &kind.arrow(), "{text}");
    }
}
