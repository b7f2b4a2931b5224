//! Claims about how Arrow values reach a client.

use std::time::Duration;

use bytes::Buf;
use datafusion::arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array,
    IntervalMonthDayNanoArray, ListArray, MapBuilder, StringArray, StringBuilder,
    TimestampMillisecondArray, UInt64Array,
};
use datafusion::arrow::datatypes::{DataType, Int32Type};
use datafusion::arrow::util::display::array_value_to_string;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::stream;

use super::*;
use crate::settings::Settings;

fn style(changes: &[(&str, &str)]) -> Style {
    let mut settings = Settings::new("ada", false, Duration::ZERO);
    for (name, value) in changes {
        settings.set(name, value).unwrap();
    }
    Style::of(&settings)
}

/// The cells of `columns`, row by row; `None` is null.
async fn sent(columns: Vec<ArrayRef>, format: &Format, style: Style) -> Vec<Vec<Option<Vec<u8>>>> {
    let fields: Vec<Field> =
        columns.iter().map(|column| Field::new("c", column.data_type().clone(), true)).collect();
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
    let batches = stream::iter([Ok(batch)]);
    let stream = Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&schema), batches));
    let mut rows = Rows::new(&schema, stream, format, style).unwrap();
    let mut found = Vec::new();
    while rows.next_batch().await.unwrap() {
        while let Some(row) = rows.next_row() {
            let mut row = row.unwrap();
            let cells = (0..row.field_count).map(|_| {
                let len = usize::try_from(row.data.get_i32()).ok()?;
                Some(row.data.split_to(len).to_vec())
            });
            found.push(cells.collect());
        }
    }
    found
}

async fn texts(column: ArrayRef, style: Style) -> Vec<Option<String>> {
    let rows = sent(vec![column], &Format::UnifiedText, style).await;
    let text = |cell: Option<Vec<u8>>| cell.map(|bytes| String::from_utf8(bytes).unwrap());
    rows.into_iter().flatten().map(text).collect()
}

async fn check(column: impl datafusion::arrow::array::Array + 'static, expected: &[Option<&str>]) {
    let found = texts(Arc::new(column), style(&[])).await;
    let found: Vec<_> = found.iter().map(Option::as_deref).collect();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn plain_types_are_written_as_postgresql_writes_them() {
    check(Int64Array::from(vec![Some(-5), None]), &[Some("-5"), None]).await;
    check(UInt64Array::from(vec![Some(7), None]), &[Some("7"), None]).await;
    check(BooleanArray::from(vec![true, false]), &[Some("t"), Some("f")]).await;
    check(Float64Array::from(vec![1.0, 0.5]), &[Some("1"), Some("0.5")]).await;
    check(StringArray::from(vec!["", "é"]), &[Some(""), Some("é")]).await;
    check(BinaryArray::from(vec![&b"\x00\xff"[..]]), &[Some("\\x00ff")]).await;
    check(Date32Array::from(vec![15_706]), &[Some("2013-01-01")]).await;
    let decimal = Decimal128Array::from(vec![12345]).with_precision_and_scale(10, 2).unwrap();
    check(decimal, &[Some("123.45")]).await;
}

#[tokio::test]
async fn moments_are_shown_in_the_sessions_time_zone() {
    let moment = || {
        let array = TimestampMillisecondArray::from(vec![Some(1_357_030_800_000), None]);
        Arc::new(array.with_timezone("UTC")) as ArrayRef
    };
    for (zone, expected) in [
        ("UTC", "2013-01-01 09:00:00+00"),
        ("Asia/Kolkata", "2013-01-01 14:30:00+05:30"),
        ("America/New_York", "2013-01-01 04:00:00-05"),
    ] {
        let found = texts(moment(), style(&[("timezone", zone)])).await;
        assert_eq!(found, [Some(expected.to_owned()), None], "{zone}");
    }
    let german = style(&[("timezone", "Asia/Tokyo"), ("datestyle", "German")]);
    let found = texts(moment(), german).await;
    assert!(found[0].as_deref().unwrap().starts_with("01.01.2013 18:00:00"), "{found:?}");
}

#[tokio::test]
async fn nested_types_and_intervals_are_written_with_their_nulls() {
    let lists = ListArray::from_iter_primitive::<Int32Type, _, _>([
        Some(vec![Some(1), None]),
        None,
        Some(vec![]),
    ]);
    check(lists, &[Some("{1,NULL}"), None, Some("{}")]).await;
    let intervals = IntervalMonthDayNanoArray::from(vec![None, Some(Default::default())]);
    let found = texts(Arc::new(intervals), style(&[])).await;
    assert_eq!(found[0], None);
    assert!(found[1].is_some());
}

#[tokio::test]
async fn a_type_that_postgresql_lacks_is_text() {
    let mut maps = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    maps.keys().append_value("k");
    maps.values().append_value("v");
    maps.append(true).unwrap();
    let array: ArrayRef = Arc::new(maps.finish());
    let expected = array_value_to_string(&array, 0).unwrap();
    assert_eq!(texts(array, style(&[])).await, [Some(expected)]);
}

#[tokio::test]
async fn the_binary_format_is_the_types_own() {
    let column: ArrayRef = Arc::new(Int64Array::from(vec![Some(7), None]));
    let rows = sent(vec![column], &Format::UnifiedBinary, style(&[])).await;
    assert_eq!(rows, [[Some(vec![0, 0, 0, 0, 0, 0, 0, 7])], [None]]);
}

#[tokio::test]
async fn a_count_beyond_bigint_is_out_of_range() {
    let array: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX]));
    let schema = Arc::new(Schema::new(vec![Field::new("c", DataType::UInt64, true)]));
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![array]).unwrap();
    let batches = stream::iter([Ok(batch)]);
    let stream = Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&schema), batches));
    let mut rows = Rows::new(&schema, stream, &Format::UnifiedText, style(&[])).unwrap();
    assert_eq!(*rows.fields()[0].datatype(), Type::INT8);
    assert!(matches!(rows.next_batch().await, Err(Failure::OutOfRange { .. })));
}

#[test]
fn formats_must_fit_the_columns() {
    let schema = Schema::new(vec![Field::new("a", DataType::Int64, true)]);
    let format = Format::Individual(vec![0, 1]);
    assert!(matches!(fields(&schema, &format, &style(&[])), Err(Failure::BadBind { .. })));
}
