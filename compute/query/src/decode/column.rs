//! One declared column, filled value by value from text or JSON.
//!
//! Owns what each type accepts. A value that a type does not accept is NULL, with the reason.
//!
//! # What is accepted
//! From JSON, beside the obvious: a string for any type, read as its text; a whole number in
//! floating notation for an integer; a number for a time, as milliseconds since 1970 (Kafka's unit);
//! anything for TEXT, where objects and arrays keep their JSON text. JSON keeps that of any value.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::array::{
    ArrayRef, BinaryViewBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Float32Builder,
    Float64Builder, Int16Builder, Int32Builder, Int64Builder, StringViewBuilder,
    Time64MicrosecondBuilder, TimestampMicrosecondBuilder,
};
use datafusion::arrow::compute::kernels::cast_utils::{Parser, string_to_datetime};
use datafusion::arrow::datatypes::{Date32Type, Time64MicrosecondType};

use super::numeric::numeric;
use crate::columns::{ColumnType, UTC};
use crate::text::bytes_of;

/// LIMIT: characters of a bad value that a reason quotes.
const QUOTED_CHARS_MAX: usize = 40;

/// Fills a column.
pub(super) enum ColumnBuilder {
    Text(StringViewBuilder),
    Json(StringViewBuilder),
    Boolean(BooleanBuilder),
    SmallInt(Int16Builder),
    Integer(Int32Builder),
    BigInt(Int64Builder),
    Real(Float32Builder),
    Double(Float64Builder),
    Numeric(Decimal128Builder, u8, i8),
    Date(Date32Builder),
    Time(Time64MicrosecondBuilder),
    Timestamp(TimestampMicrosecondBuilder, ColumnType),
    Bytea(BinaryViewBuilder),
}

macro_rules! each_builder {
    ($self:expr, $builder:ident => $body:expr) => {
        match $self {
            ColumnBuilder::Text($builder) => $body,
            ColumnBuilder::Json($builder) => $body,
            ColumnBuilder::Boolean($builder) => $body,
            ColumnBuilder::SmallInt($builder) => $body,
            ColumnBuilder::Integer($builder) => $body,
            ColumnBuilder::BigInt($builder) => $body,
            ColumnBuilder::Real($builder) => $body,
            ColumnBuilder::Double($builder) => $body,
            ColumnBuilder::Numeric($builder, ..) => $body,
            ColumnBuilder::Date($builder) => $body,
            ColumnBuilder::Time($builder) => $body,
            ColumnBuilder::Timestamp($builder, _) => $body,
            ColumnBuilder::Bytea($builder) => $body,
        }
    };
}

impl ColumnBuilder {
    pub(super) fn new(kind: ColumnType) -> ColumnBuilder {
        match kind {
            ColumnType::Text => ColumnBuilder::Text(StringViewBuilder::new()),
            ColumnType::Json => ColumnBuilder::Json(StringViewBuilder::new()),
            ColumnType::Boolean => ColumnBuilder::Boolean(BooleanBuilder::new()),
            ColumnType::SmallInt => ColumnBuilder::SmallInt(Int16Builder::new()),
            ColumnType::Integer => ColumnBuilder::Integer(Int32Builder::new()),
            ColumnType::BigInt => ColumnBuilder::BigInt(Int64Builder::new()),
            ColumnType::Real => ColumnBuilder::Real(Float32Builder::new()),
            ColumnType::Double => ColumnBuilder::Double(Float64Builder::new()),
            ColumnType::Numeric { precision, scale } => {
                let typed = Decimal128Builder::new().with_data_type(kind.arrow());
                ColumnBuilder::Numeric(typed, precision, scale)
            }
            ColumnType::Date => ColumnBuilder::Date(Date32Builder::new()),
            ColumnType::Time => ColumnBuilder::Time(Time64MicrosecondBuilder::new()),
            ColumnType::Timestamp => {
                ColumnBuilder::Timestamp(TimestampMicrosecondBuilder::new(), kind)
            }
            ColumnType::TimestampTz => {
                let typed = TimestampMicrosecondBuilder::new().with_timezone(UTC);
                ColumnBuilder::Timestamp(typed, kind)
            }
            ColumnType::Bytea => ColumnBuilder::Bytea(BinaryViewBuilder::new()),
        }
    }

    pub(super) fn append_null(&mut self) {
        each_builder!(self, builder => builder.append_null());
    }

    pub(super) fn finish(&mut self) -> ArrayRef {
        each_builder!(self, builder => Arc::new(builder.finish()))
    }

    /// Adds a whole value. BYTEA takes any bytes, the others text.
    pub(super) fn append_bytes(&mut self, value: &[u8]) -> Result<(), String> {
        if let ColumnBuilder::Bytea(builder) = self {
            builder.append_value(value);
            return Ok(());
        }
        match std::str::from_utf8(value) {
            Ok(text) => self.append_text(text),
            Err(_) => {
                self.append_null();
                Err("the value is not UTF-8 text".to_owned())
            }
        }
    }

    /// Adds a value given as text.
    pub(super) fn append_text(&mut self, text: &str) -> Result<(), String> {
        let accepted = match self {
            ColumnBuilder::Text(builder) | ColumnBuilder::Json(builder) => {
                builder.append_value(text);
                true
            }
            ColumnBuilder::Bytea(builder) => append(bytes_of(text), |value| {
                builder.append_option(value);
            }),
            ColumnBuilder::Boolean(builder) => {
                append(boolean(text), |value| builder.append_option(value))
            }
            ColumnBuilder::SmallInt(builder) => {
                append(integer(text), |value| builder.append_option(value))
            }
            ColumnBuilder::Integer(builder) => {
                append(integer(text), |value| builder.append_option(value))
            }
            ColumnBuilder::BigInt(builder) => {
                append(integer(text), |value| builder.append_option(value))
            }
            ColumnBuilder::Real(builder) => {
                append(text.trim().parse().ok(), |value| builder.append_option(value))
            }
            ColumnBuilder::Double(builder) => {
                append(text.trim().parse().ok(), |value| builder.append_option(value))
            }
            ColumnBuilder::Numeric(builder, precision, scale) => {
                let value = numeric(text.trim(), *precision, *scale);
                append(value, |value| builder.append_option(value))
            }
            ColumnBuilder::Date(builder) => {
                append(Date32Type::parse(text), |value| builder.append_option(value))
            }
            ColumnBuilder::Time(builder) => {
                append(Time64MicrosecondType::parse(text), |value| builder.append_option(value))
            }
            ColumnBuilder::Timestamp(builder, _) => {
                append(timestamp(text), |value| builder.append_option(value))
            }
        };
        if accepted { Ok(()) } else { Err(self.refusal(text)) }
    }

    /// Adds a value given as one well-formed JSON value.
    pub(super) fn append_json(&mut self, raw: &str) -> Result<(), String> {
        let first = raw.as_bytes().first();
        if first == Some(&b'n') {
            self.append_null();
            return Ok(());
        }
        if let ColumnBuilder::Json(builder) = self {
            builder.append_value(raw);
            return Ok(());
        }
        match first {
            Some(b'"') => match string(raw) {
                Some(text) => self.append_text(&text),
                None => self.refuse(raw),
            },
            Some(b'{' | b'[') => match self {
                ColumnBuilder::Text(_) => self.append_text(raw),
                _ => self.refuse(raw),
            },
            Some(b't' | b'f') => match self {
                ColumnBuilder::Text(_) | ColumnBuilder::Boolean(_) => self.append_text(raw),
                _ => self.refuse(raw),
            },
            _ => self.append_json_number(raw),
        }
    }

    fn append_json_number(&mut self, raw: &str) -> Result<(), String> {
        match self {
            ColumnBuilder::Timestamp(builder, _) => {
                let micros = raw.parse::<i64>().ok().and_then(|ms| ms.checked_mul(1000));
                if append(micros, |value| builder.append_option(value)) {
                    return Ok(());
                }
                Err(self.refusal(raw))
            }
            ColumnBuilder::Boolean(_)
            | ColumnBuilder::Date(_)
            | ColumnBuilder::Time(_)
            | ColumnBuilder::Bytea(_) => self.refuse(raw),
            _ => self.append_text(raw),
        }
    }

    fn refuse(&mut self, text: &str) -> Result<(), String> {
        self.append_null();
        Err(self.refusal(text))
    }

    fn refusal(&self, text: &str) -> String {
        let quoted: String = text.chars().take(QUOTED_CHARS_MAX).collect();
        let more = if quoted.len() < text.len() { "…" } else { "" };
        format!("{quoted}{more} is not {}", self.kind().name())
    }

    fn kind(&self) -> ColumnType {
        match self {
            ColumnBuilder::Text(_) => ColumnType::Text,
            ColumnBuilder::Json(_) => ColumnType::Json,
            ColumnBuilder::Boolean(_) => ColumnType::Boolean,
            ColumnBuilder::SmallInt(_) => ColumnType::SmallInt,
            ColumnBuilder::Integer(_) => ColumnType::Integer,
            ColumnBuilder::BigInt(_) => ColumnType::BigInt,
            ColumnBuilder::Real(_) => ColumnType::Real,
            ColumnBuilder::Double(_) => ColumnType::Double,
            ColumnBuilder::Numeric(_, precision, scale) => {
                ColumnType::Numeric { precision: *precision, scale: *scale }
            }
            ColumnBuilder::Date(_) => ColumnType::Date,
            ColumnBuilder::Time(_) => ColumnType::Time,
            ColumnBuilder::Timestamp(_, kind) => *kind,
            ColumnBuilder::Bytea(_) => ColumnType::Bytea,
        }
    }
}

/// Appends a value, or NULL in its place; whether there was one.
fn append<T>(value: Option<T>, append_option: impl FnOnce(Option<T>)) -> bool {
    let accepted = value.is_some();
    append_option(value);
    accepted
}

/// The text of a JSON string, quotes included in `raw`.
fn string(raw: &str) -> Option<Cow<'_, str>> {
    if !raw.contains('\\') {
        return raw.strip_prefix('"')?.strip_suffix('"').map(Cow::Borrowed);
    }
    serde_json::from_str(raw).ok().map(Cow::Owned)
}

fn boolean(text: &str) -> Option<bool> {
    const TRUE: [&str; 5] = ["true", "t", "yes", "on", "1"];
    const FALSE: [&str; 5] = ["false", "f", "no", "off", "0"];
    let text = text.trim();
    let among = |words: &[&str]| words.iter().any(|word| word.eq_ignore_ascii_case(text));
    if among(&TRUE) {
        return Some(true);
    }
    among(&FALSE).then_some(false)
}

/// A whole number, also one written `1.0` or `1e3`, as far as a float holds it exactly.
fn integer<T: std::str::FromStr + TryFrom<i64>>(text: &str) -> Option<T> {
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    let text = text.trim();
    if let Ok(whole) = text.parse() {
        return Some(whole);
    }
    let float: f64 = text.parse().ok()?;
    if float.fract() != 0.0 || float.abs() > EXACT_MAX {
        return None;
    }
    format!("{float:.0}").parse::<i64>().ok().and_then(|whole| T::try_from(whole).ok())
}

/// What a time without a zone is taken to be in.
static ZONE: LazyLock<Tz> = LazyLock::new(|| UTC.parse().expect("UTC is a time zone"));

/// Microseconds since 1970; a time without a zone is UTC.
fn timestamp(text: &str) -> Option<i64> {
    let moment = string_to_datetime(&*ZONE, text.trim()).ok()?;
    Some(moment.timestamp_micros())
}
