//! One column of a batch, written cell by cell.

use std::fmt::Write;
use std::sync::Arc;

use arrow_pg::encoder::encode_value;
use bytes::{BufMut, BytesMut};
use chrono::{DateTime, Offset, TimeZone};
use datafusion::arrow::array::cast::AsArray;
use datafusion::arrow::array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, Time32MillisecondType, Time32SecondType, Time64MicrosecondType,
    Time64NanosecondType, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use datafusion::arrow::array::{Array, ArrayRef};
use datafusion::arrow::datatypes::{DataType, Field, TimeUnit};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use pgwire::api::results::{DataRowEncoder, FieldFormat, FieldInfo};

use super::number::{write_decimal, write_double, write_single};
use super::style::Style;
use super::time::{write_date, write_time, write_timestamp};
use crate::errors::{Failure, unencodable};

/// What arrow-pg keeps metadata under for columns whose text is not that of their storage.
const SPECIAL_TEXT: [&str; 2] = ["pg.char", "pg.oid_alias"];

/// How the cells of a column are written.
#[derive(Clone, Debug)]
pub(super) enum Writer {
    /// As text, by this module.
    Plain,
    /// By arrow-pg: the binary format, nested types, and styles other than ISO.
    Delegate(FieldInfo, Arc<Field>),
    /// By Arrow: types that PostgreSQL does not have.
    Foreign,
}

impl Writer {
    pub(super) fn new(field: &Arc<Field>, info: &FieldInfo, style: &Style) -> Writer {
        if arrow_pg::datatypes::field_into_pg_type(field).is_err() {
            return Writer::Foreign;
        }
        let is_special = SPECIAL_TEXT.iter().any(|key| field.metadata().contains_key(*key));
        let is_plain = info.format() == FieldFormat::Text
            && !(is_special && field.data_type() != &DataType::Int32)
            && is_plain(field.data_type(), style);
        if is_plain {
            Writer::Plain
        } else {
            Writer::Delegate(info.clone(), in_session_zone(field, info, style))
        }
    }

    /// Appends one cell: its length, or -1 for null, and its bytes.
    pub(super) fn write(
        &self,
        array: &ArrayRef,
        row: usize,
        style: &Style,
        out: &mut BytesMut,
    ) -> Result<(), Failure> {
        // An array of nulls has no null buffer to ask.
        if array.is_null(row) || array.data_type() == &DataType::Null {
            out.put_i32(-1);
            return Ok(());
        }
        if let Writer::Delegate(info, field) = self {
            let mut encoder = DataRowEncoder::new(Arc::new(vec![info.clone()]));
            encode_value(&mut encoder, array, row, field, info).map_err(unencodable)?;
            out.extend_from_slice(&encoder.take_row().data);
            return Ok(());
        }
        let start = out.len();
        out.put_i32(0);
        match self {
            Writer::Foreign => write_foreign(array, row, out)?,
            Writer::Plain | Writer::Delegate(..) => write_plain(array, row, style, out),
        }
        let len = i32::try_from(out.len() - start - 4).map_err(|_| Failure::Unencodable {
            message: "a value is larger than 2 GiB".to_owned(),
        })?;
        out[start..start + 4].copy_from_slice(&len.to_be_bytes());
        Ok(())
    }
}

/// arrow-pg reads the time zone that a moment is shown in from the type of its column.
fn in_session_zone(field: &Arc<Field>, info: &FieldInfo, style: &Style) -> Arc<Field> {
    match field.data_type() {
        DataType::Timestamp(unit, Some(_)) if info.format() == FieldFormat::Text => {
            let zoned = DataType::Timestamp(*unit, Some(Arc::clone(&style.time_zone_name)));
            Arc::new(field.as_ref().clone().with_data_type(zoned))
        }
        _ => Arc::clone(field),
    }
}

fn is_plain(data_type: &DataType, style: &Style) -> bool {
    match data_type {
        DataType::Null
        | DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32
        | DataType::UInt64
        | DataType::Float32
        | DataType::Float64
        | DataType::Decimal128(_, _)
        | DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Utf8View
        | DataType::Time32(_)
        | DataType::Time64(_) => true,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => style.is_hex,
        DataType::Date32 | DataType::Timestamp(_, _) => style.is_iso,
        _ => false,
    }
}

fn write_plain(array: &ArrayRef, row: usize, style: &Style, out: &mut BytesMut) {
    match array.data_type() {
        DataType::Boolean => put(out, if array.as_boolean().value(row) { "t" } else { "f" }),
        DataType::Int8 => show(out, value::<Int8Type>(array, row)),
        DataType::Int16 => show(out, value::<Int16Type>(array, row)),
        DataType::Int32 => show(out, value::<Int32Type>(array, row)),
        DataType::Int64 => show(out, value::<Int64Type>(array, row)),
        DataType::UInt8 => show(out, value::<UInt8Type>(array, row)),
        DataType::UInt16 => show(out, value::<UInt16Type>(array, row)),
        DataType::UInt32 => show(out, value::<UInt32Type>(array, row)),
        DataType::UInt64 => show(out, value::<UInt64Type>(array, row)),
        DataType::Float32 => {
            write_single(value::<Float32Type>(array, row), style.float_digits, out);
        }
        DataType::Float64 => {
            write_double(value::<Float64Type>(array, row), style.float_digits, out);
        }
        DataType::Decimal128(_, scale) => {
            write_decimal(value::<Decimal128Type>(array, row), *scale, out);
        }
        DataType::Utf8 => put(out, array.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => put(out, array.as_string::<i64>().value(row)),
        DataType::Utf8View => put(out, array.as_string_view().value(row)),
        DataType::Binary => write_hex(array.as_binary::<i32>().value(row), out),
        DataType::LargeBinary => write_hex(array.as_binary::<i64>().value(row), out),
        DataType::BinaryView => write_hex(array.as_binary_view().value(row), out),
        DataType::Date32 => write_date(i64::from(value::<Date32Type>(array, row)), out),
        DataType::Time32(unit) | DataType::Time64(unit) => {
            write_time(time_microseconds(array, *unit, row), out);
        }
        DataType::Timestamp(unit, zone) => {
            let microseconds = timestamp_microseconds(array, *unit, row);
            let offset = zone.as_ref().map(|_| offset_seconds(microseconds, style));
            write_timestamp(microseconds, offset, out);
        }
        // `is_plain` lets no other type through, and a null has been written already.
        _ => {}
    }
}

fn value<T: ArrowPrimitiveType>(array: &ArrayRef, row: usize) -> T::Native {
    array.as_primitive::<T>().value(row)
}

fn time_microseconds(array: &ArrayRef, unit: TimeUnit, row: usize) -> i64 {
    match unit {
        TimeUnit::Second => i64::from(value::<Time32SecondType>(array, row)) * 1_000_000,
        TimeUnit::Millisecond => i64::from(value::<Time32MillisecondType>(array, row)) * 1_000,
        TimeUnit::Microsecond => value::<Time64MicrosecondType>(array, row),
        TimeUnit::Nanosecond => value::<Time64NanosecondType>(array, row).div_euclid(1_000),
    }
}

fn timestamp_microseconds(array: &ArrayRef, unit: TimeUnit, row: usize) -> i64 {
    match unit {
        TimeUnit::Second => value::<TimestampSecondType>(array, row).saturating_mul(1_000_000),
        TimeUnit::Millisecond => {
            value::<TimestampMillisecondType>(array, row).saturating_mul(1_000)
        }
        TimeUnit::Microsecond => value::<TimestampMicrosecondType>(array, row),
        TimeUnit::Nanosecond => value::<TimestampNanosecondType>(array, row).div_euclid(1_000),
    }
}

/// How far the session's time zone is from UTC at that moment.
fn offset_seconds(microseconds: i64, style: &Style) -> i32 {
    let moment = DateTime::from_timestamp_micros(microseconds).map(|moment| moment.naive_utc());
    moment.map_or(0, |moment| {
        style.time_zone.offset_from_utc_datetime(&moment).fix().local_minus_utc()
    })
}

fn write_hex(bytes: &[u8], out: &mut BytesMut) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    put(out, "\\x");
    out.reserve(2 * bytes.len());
    for byte in bytes {
        out.put_u8(DIGITS[usize::from(byte >> 4)]);
        out.put_u8(DIGITS[usize::from(byte & 15)]);
    }
}

fn write_foreign(array: &ArrayRef, row: usize, out: &mut BytesMut) -> Result<(), Failure> {
    let options = FormatOptions::default();
    let written = ArrayFormatter::try_new(array.as_ref(), &options)
        .and_then(|formatter| formatter.value(row).try_to_string());
    let text = written.map_err(|error| Failure::Unencodable { message: error.to_string() })?;
    put(out, &text);
    Ok(())
}

fn put(out: &mut BytesMut, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

fn show(out: &mut BytesMut, number: impl std::fmt::Display) {
    // A BytesMut grows as it needs to: writing to it cannot fail.
    let _ = write!(out, "{number}");
}
