//! The columns of a topic: those declared on it, then those that always exist.
//!
//! Owns names, order and types. Does not decode; see [`crate::decode`].

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::sql::sqlparser::ast::{DataType as SqlType, ExactNumberInfo, TimezoneInfo};
use posthouse_broker::{ColumnFormat, DecodeFailure, Topic, TopicSchema};

use crate::error::sqlstate;
use crate::{PostgresDialect, QueryError};

/// The time zone of instants, as Arrow spells it.
pub(crate) const UTC: &str = "UTC";

/// A column that every topic has. The order is theirs in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum SystemColumn {
    Key,
    Value,
    Partition,
    Offset,
    Timestamp,
    Headers,
    Error,
}

impl SystemColumn {
    pub(crate) const ALL: [SystemColumn; 7] = [
        SystemColumn::Key,
        SystemColumn::Value,
        SystemColumn::Partition,
        SystemColumn::Offset,
        SystemColumn::Timestamp,
        SystemColumn::Headers,
        SystemColumn::Error,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            SystemColumn::Key => "_key",
            SystemColumn::Value => "_value",
            SystemColumn::Partition => "_partition",
            SystemColumn::Offset => "_offset",
            SystemColumn::Timestamp => "_timestamp",
            SystemColumn::Headers => "_headers",
            SystemColumn::Error => "_error",
        }
    }

    pub(crate) fn named(name: &str) -> Option<SystemColumn> {
        SystemColumn::ALL.into_iter().find(|column| column.name() == name)
    }

    /// What it holds, for `DESCRIBE`.
    pub(crate) fn description(self) -> &'static str {
        match self {
            SystemColumn::Key => "the record's key; \\x and hexadecimal when it is not text",
            SystemColumn::Value => "the record's value; \\x and hexadecimal when it is not text",
            SystemColumn::Partition => "the partition the record is in",
            SystemColumn::Offset => "the record's offset in its partition",
            SystemColumn::Timestamp => "the record's timestamp",
            SystemColumn::Headers => "the record's headers as a JSON object",
            SystemColumn::Error => "why the value did not decode; NULL when it did",
        }
    }

    fn data_type(self) -> DataType {
        match self {
            SystemColumn::Partition => DataType::Int32,
            SystemColumn::Offset => DataType::Int64,
            SystemColumn::Timestamp => {
                DataType::Timestamp(TimeUnit::Millisecond, Some(Arc::from(UTC)))
            }
            _ => DataType::Utf8View,
        }
    }
}

/// The type of a declared column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ColumnType {
    Text,
    /// Text that is one JSON value.
    Json,
    Boolean,
    SmallInt,
    Integer,
    BigInt,
    Real,
    Double,
    Numeric {
        precision: u8,
        scale: i8,
    },
    Date,
    Time,
    Timestamp,
    TimestampTz,
    Bytea,
}

impl ColumnType {
    /// Reads a type as it is written in SQL.
    ///
    /// # Errors
    /// The reason, when it is not a type, or one that a column cannot have.
    pub(crate) fn parse(text: &str) -> Result<ColumnType, String> {
        let parsed = PostgresDialect::of(text)
            .parser(text)
            .and_then(|mut parser| parser.parse_data_type())
            .map_err(|_| format!("{text} is not a type"))?;
        ColumnType::of(&parsed).ok_or_else(|| {
            format!("type {text} is not supported; a column can be {}", ColumnType::SPELLINGS)
        })
    }

    /// The types, as messages list them.
    const SPELLINGS: &str = "TEXT, JSON, BOOLEAN, SMALLINT, INT, BIGINT, REAL, DOUBLE, NUMERIC(p, s), DATE, TIME, TIMESTAMP, TIMESTAMPTZ or BYTEA";

    /// The column type that a SQL type means; `None` when there is none.
    pub(crate) fn of(sql: &SqlType) -> Option<ColumnType> {
        Some(match sql {
            SqlType::Text
            | SqlType::Character(_)
            | SqlType::Char(_)
            | SqlType::CharacterVarying(_)
            | SqlType::CharVarying(_)
            | SqlType::Varchar(_)
            | SqlType::String(_) => ColumnType::Text,
            SqlType::JSON | SqlType::JSONB => ColumnType::Json,
            SqlType::Bool | SqlType::Boolean => ColumnType::Boolean,
            SqlType::SmallInt(_) | SqlType::Int2(_) => ColumnType::SmallInt,
            SqlType::Int(_) | SqlType::Integer(_) | SqlType::Int4(_) => ColumnType::Integer,
            SqlType::BigInt(_) | SqlType::Int8(_) => ColumnType::BigInt,
            SqlType::Real | SqlType::Float4 => ColumnType::Real,
            SqlType::Double(_)
            | SqlType::DoublePrecision
            | SqlType::Float8
            | SqlType::Float(ExactNumberInfo::None) => ColumnType::Double,
            SqlType::Numeric(size) | SqlType::Decimal(size) => numeric(*size)?,
            SqlType::Date => ColumnType::Date,
            SqlType::Time(_, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => {
                ColumnType::Time
            }
            SqlType::Timestamp(_, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => {
                ColumnType::Timestamp
            }
            SqlType::Timestamp(_, TimezoneInfo::Tz | TimezoneInfo::WithTimeZone) => {
                ColumnType::TimestampTz
            }
            SqlType::Bytea => ColumnType::Bytea,
            _ => return None,
        })
    }

    pub(crate) fn arrow(self) -> DataType {
        match self {
            ColumnType::Text | ColumnType::Json => DataType::Utf8View,
            ColumnType::Boolean => DataType::Boolean,
            ColumnType::SmallInt => DataType::Int16,
            ColumnType::Integer => DataType::Int32,
            ColumnType::BigInt => DataType::Int64,
            ColumnType::Real => DataType::Float32,
            ColumnType::Double => DataType::Float64,
            ColumnType::Numeric { precision, scale } => DataType::Decimal128(precision, scale),
            ColumnType::Date => DataType::Date32,
            ColumnType::Time => DataType::Time64(TimeUnit::Microsecond),
            ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            ColumnType::TimestampTz => {
                DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from(UTC)))
            }
            ColumnType::Bytea => DataType::BinaryView,
        }
    }

    /// The type's name in messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            ColumnType::Text => "TEXT",
            ColumnType::Json => "JSON",
            ColumnType::Boolean => "BOOLEAN",
            ColumnType::SmallInt => "SMALLINT",
            ColumnType::Integer => "INT",
            ColumnType::BigInt => "BIGINT",
            ColumnType::Real => "REAL",
            ColumnType::Double => "DOUBLE",
            ColumnType::Numeric { .. } => "NUMERIC",
            ColumnType::Date => "DATE",
            ColumnType::Time => "TIME",
            ColumnType::Timestamp => "TIMESTAMP",
            ColumnType::TimestampTz => "TIMESTAMPTZ",
            ColumnType::Bytea => "BYTEA",
        }
    }
}

fn numeric(size: ExactNumberInfo) -> Option<ColumnType> {
    const PRECISION_MAX: u8 = 38;
    let (precision, scale) = match size {
        ExactNumberInfo::None => (PRECISION_MAX, 10),
        ExactNumberInfo::Precision(precision) => (u8::try_from(precision).ok()?, 0),
        ExactNumberInfo::PrecisionAndScale(precision, scale) => {
            (u8::try_from(precision).ok()?, i8::try_from(scale).ok()?)
        }
    };
    let fits =
        (1..=PRECISION_MAX).contains(&precision) && scale >= 0 && scale.unsigned_abs() <= precision;
    fits.then_some(ColumnType::Numeric { precision, scale })
}

/// A declared column.
#[derive(Clone, Debug)]
pub(crate) struct DeclaredColumn {
    pub(crate) name: String,
    pub(crate) kind: ColumnType,
}

/// All columns of one topic.
#[derive(Debug)]
pub(crate) struct TopicColumns {
    pub(crate) declared: Vec<DeclaredColumn>,
    pub(crate) format: ColumnFormat,
    pub(crate) on_error: DecodeFailure,
    pub(crate) schema: SchemaRef,
}

/// One column of a topic's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TopicColumn {
    /// By index among the declared ones.
    Declared(usize),
    System(SystemColumn),
}

impl TopicColumns {
    /// The columns of `topic`.
    ///
    /// # Errors
    /// 42P16 when a declared type is not one that this version knows.
    pub(crate) fn of(topic: &Topic) -> Result<TopicColumns, QueryError> {
        TopicColumns::declare(topic.schema.as_ref())
    }

    /// The columns of a topic on which `schema` is declared.
    ///
    /// # Errors
    /// As [`TopicColumns::of`].
    pub(crate) fn declare(schema: Option<&TopicSchema>) -> Result<TopicColumns, QueryError> {
        let mut declared = Vec::new();
        let (mut format, mut on_error) = (ColumnFormat::Raw, DecodeFailure::Null);
        if let Some(schema) = schema {
            (format, on_error) = (schema.format, schema.on_error);
            for column in &schema.columns {
                let kind = ColumnType::parse(&column.data_type).map_err(|reason| {
                    let message = format!("column \"{}\" of the topic: {reason}", column.name);
                    QueryError::new(sqlstate::INVALID_TABLE_DEFINITION, message)
                })?;
                declared.push(DeclaredColumn { name: column.name.clone(), kind });
            }
        }
        let schema = table_schema(&declared);
        Ok(TopicColumns { declared, format, on_error, schema })
    }

    /// The column at `index` of the table.
    pub(crate) fn column(&self, index: usize) -> TopicColumn {
        match index.checked_sub(self.declared.len()) {
            None => TopicColumn::Declared(index),
            Some(system) => TopicColumn::System(SystemColumn::ALL[system]),
        }
    }

    /// The index of a system column in the table.
    pub(crate) fn system_index(&self, column: SystemColumn) -> usize {
        let among = SystemColumn::ALL.iter().position(|other| *other == column);
        self.declared.len() + among.expect("ALL holds every variant")
    }
}

/// Every column may be NULL, so that an `INSERT` need not give it.
fn table_schema(declared: &[DeclaredColumn]) -> SchemaRef {
    let declared =
        declared.iter().map(|column| Field::new(&column.name, column.kind.arrow(), true));
    let system =
        SystemColumn::ALL.map(|column| Field::new(column.name(), column.data_type(), true));
    Arc::new(Schema::new(declared.chain(system).collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_postgres_spellings() {
        for (text, expected) in [
            ("TEXT", ColumnType::Text),
            ("varchar(20)", ColumnType::Text),
            ("DOUBLE", ColumnType::Double),
            ("double precision", ColumnType::Double),
            ("INT", ColumnType::Integer),
            ("bigint", ColumnType::BigInt),
            ("NUMERIC(10, 2)", ColumnType::Numeric { precision: 10, scale: 2 }),
            ("TIMESTAMP", ColumnType::Timestamp),
            ("timestamptz", ColumnType::TimestampTz),
            ("TIMESTAMP WITH TIME ZONE", ColumnType::TimestampTz),
            ("bytea", ColumnType::Bytea),
            ("jsonb", ColumnType::Json),
        ] {
            assert_eq!(ColumnType::parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_type_that_a_column_cannot_have_is_refused() {
        assert!(ColumnType::parse("POINT").unwrap_err().contains("not supported"));
        assert!(ColumnType::parse("NUMERIC(99, 2)").is_err());
        assert!(ColumnType::parse("(").unwrap_err().contains("not a type"));
    }
}
