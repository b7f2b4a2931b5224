//! DataFusion's errors, translated into what a PostgreSQL client expects.
//!
//! Owns the choice of SQLSTATE, wording and position. DataFusion often says what went wrong only
//! in its text; where no type tells, the text is matched, and the tests pin each case.

use datafusion::arrow::error::ArrowError;
use datafusion::common::{DataFusionError, SchemaError};
use datafusion::sql::sqlparser::parser::ParserError;

use crate::QueryError;
use crate::error::{nearest, sqlstate};
use crate::position::{char_position, position_in_message};

impl QueryError {
    /// Translates an error of a row stream.
    pub fn from_datafusion(error: &DataFusionError) -> QueryError {
        classify(error, None)
    }

    /// Translates an error about `sql`, so that positions can be told.
    pub(crate) fn about(error: &DataFusionError, sql: &str) -> QueryError {
        classify(error, Some(sql))
    }
}

impl From<DataFusionError> for QueryError {
    fn from(error: DataFusionError) -> QueryError {
        QueryError::from_datafusion(&error)
    }
}

impl From<QueryError> for DataFusionError {
    fn from(error: QueryError) -> DataFusionError {
        DataFusionError::External(Box::new(error))
    }
}

fn classify(error: &DataFusionError, sql: Option<&str>) -> QueryError {
    match error {
        DataFusionError::Context(_, inner) => classify(inner, sql),
        DataFusionError::Shared(inner) => classify(inner, sql),
        DataFusionError::Collection(all) => match all.first() {
            Some(first) => classify(first, sql),
            None => QueryError::internal(error.to_string()),
        },
        DataFusionError::Diagnostic(diagnostic, inner) => {
            let start = diagnostic.span.map(|span| span.start);
            let position = sql
                .zip(start)
                .and_then(|(sql, start)| char_position(sql, start.line, start.column));
            classify(inner, sql).at(position)
        }
        DataFusionError::SQL(parser, _) => syntax(parser, sql),
        DataFusionError::SchemaError(schema, _) => schema_error(schema),
        DataFusionError::ArrowError(arrow, _) => arrow_error(arrow, sql),
        DataFusionError::External(inner) => external(inner.as_ref(), sql),
        DataFusionError::Plan(message) => plan_error(message),
        DataFusionError::NotImplemented(message) => QueryError::unsupported(first_line(message)),
        DataFusionError::ResourcesExhausted(message) => out_of_resources(message),
        DataFusionError::Execution(message) => {
            QueryError::new(data_state(message, sqlstate::INTERNAL_ERROR), first_line(message))
        }
        DataFusionError::Configuration(message) => {
            QueryError::new(sqlstate::INVALID_PARAMETER_VALUE, first_line(message))
        }
        DataFusionError::IoError(io) => QueryError::new(io_state(io.kind()), io.to_string()),
        DataFusionError::ObjectStore(store) => object_store_error(store),
        DataFusionError::ParquetError(parquet) => {
            QueryError::new(sqlstate::BAD_COPY_FILE_FORMAT, parquet.to_string())
        }
        DataFusionError::ExecutionJoin(join) if join.is_cancelled() => QueryError::cancelled(),
        other => QueryError::internal(other.strip_backtrace()),
    }
}

fn syntax(error: &ParserError, sql: Option<&str>) -> QueryError {
    let text = match error {
        ParserError::ParserError(text) | ParserError::TokenizerError(text) => text,
        ParserError::RecursionLimitExceeded => {
            return QueryError::new(
                sqlstate::STATEMENT_TOO_COMPLEX,
                "the statement is nested too deeply",
            )
            .with_hint(
                "operators in a row nest as well: `a IN (…)` takes the place of many `OR`s",
            );
        }
    };
    let (message, location) = position_in_message(text);
    let at_end = message.ends_with("found: EOF");
    let position = sql.and_then(|sql| match location {
        Some((line, column)) => char_position(sql, line, column),
        None => at_end.then(|| sql.chars().count() + 1),
    });
    QueryError::new(sqlstate::SYNTAX_ERROR, format!("syntax error: {message}")).at(position)
}

fn schema_error(error: &SchemaError) -> QueryError {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let message = format!("column {} does not exist", field.flat_name());
            let found = QueryError::new(sqlstate::UNDEFINED_COLUMN, message);
            match nearest(&field.name, valid_fields.iter().map(|valid| valid.name.as_str())) {
                Some(near) => found.with_hint(format!("perhaps you meant \"{near}\"")),
                None => found,
            }
        }
        SchemaError::AmbiguousReference { field } => QueryError::new(
            sqlstate::AMBIGUOUS_COLUMN,
            format!("column reference {} is ambiguous", field.flat_name()),
        ),
        SchemaError::DuplicateQualifiedField { name, .. }
        | SchemaError::DuplicateUnqualifiedField { name } => QueryError::new(
            sqlstate::DUPLICATE_COLUMN,
            format!("column \"{name}\" is given more than once"),
        ),
    }
}

fn arrow_error(error: &ArrowError, sql: Option<&str>) -> QueryError {
    let state = match error {
        ArrowError::DivideByZero => sqlstate::DIVISION_BY_ZERO,
        ArrowError::ArithmeticOverflow(_) => sqlstate::NUMERIC_VALUE_OUT_OF_RANGE,
        ArrowError::CastError(_) => sqlstate::INVALID_TEXT_REPRESENTATION,
        ArrowError::ParseError(text) if text.contains("imestamp") || text.contains("ate") => {
            sqlstate::INVALID_DATETIME_FORMAT
        }
        ArrowError::ParseError(_) => sqlstate::INVALID_TEXT_REPRESENTATION,
        ArrowError::CsvError(_) | ArrowError::JsonError(_) | ArrowError::ParquetError(_) => {
            sqlstate::BAD_COPY_FILE_FORMAT
        }
        ArrowError::MemoryError(_) => sqlstate::OUT_OF_MEMORY,
        ArrowError::NotYetImplemented(_) => sqlstate::FEATURE_NOT_SUPPORTED,
        ArrowError::ExternalError(inner) => return external(inner.as_ref(), sql),
        other => data_state(&other.to_string(), sqlstate::INTERNAL_ERROR),
    };
    let text = error.to_string();
    let message = text.split_once("error: ").map_or(text.as_str(), |(_, detail)| detail);
    QueryError::new(state, first_line(message))
}

fn external(error: &(dyn std::error::Error + 'static), sql: Option<&str>) -> QueryError {
    if let Some(ours) = error.downcast_ref::<QueryError>() {
        return ours.clone();
    }
    if let Some(theirs) = error.downcast_ref::<DataFusionError>() {
        return classify(theirs, sql);
    }
    if let Some(arrow) = error.downcast_ref::<ArrowError>() {
        return arrow_error(arrow, sql);
    }
    QueryError::internal(error.to_string())
}

fn plan_error(text: &str) -> QueryError {
    let message = first_line(text);
    let between = |before: &str, after: &str| {
        let rest = message.split_once(before)?.1;
        Some(rest.split_once(after)?.0)
    };
    if let Some(name) = between("table '", "' not found") {
        let name = name.strip_prefix("posthouse.public.").unwrap_or(name);
        let message = format!("topic or file \"{name}\" does not exist");
        return QueryError::new(sqlstate::UNDEFINED_TABLE, message);
    }
    if let Some(name) = between("Invalid function '", "'").or(between("table function '", "'")) {
        let message = format!("function \"{name}\" does not exist");
        let error = QueryError::new(sqlstate::UNDEFINED_FUNCTION, message);
        let near = text.split_once("Did you mean '").and_then(|(_, near)| near.split_once('\''));
        return match near {
            Some((near, _)) if nearest(name, [near]).is_some() => {
                error.with_hint(format!("perhaps you meant \"{near}\""))
            }
            _ => error,
        };
    }
    if let Some(column) = between("column \"", "\" must appear in the GROUP BY") {
        return QueryError::new(
            sqlstate::GROUPING_ERROR,
            format!("column \"{column}\" must appear in GROUP BY or be used in an aggregate"),
        );
    }
    let state = if message.contains("No function matches") {
        sqlstate::UNDEFINED_FUNCTION
    } else if message.contains("GROUP BY") {
        sqlstate::GROUPING_ERROR
    } else if message.contains("Cannot coerce")
        || message.contains("Cannot infer common")
        || message.contains("cannot be cast")
    {
        sqlstate::DATATYPE_MISMATCH
    } else {
        data_state(message, sqlstate::SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION)
    };
    QueryError::new(state, message)
}

fn out_of_resources(message: &str) -> QueryError {
    if message.contains("spill") && message.contains("disk") {
        return QueryError::new(sqlstate::DISK_FULL, first_line(message));
    }
    QueryError::new(sqlstate::OUT_OF_MEMORY, "the query needs more memory than it may use")
        .with_hint(format!("narrow the query or raise the memory limit; {}", first_line(message)))
}

fn object_store_error(error: &object_store::Error) -> QueryError {
    let state = match error {
        object_store::Error::NotFound { .. } => sqlstate::UNDEFINED_FILE,
        _ => sqlstate::IO_ERROR,
    };
    QueryError::new(state, error.to_string())
}

fn io_state(kind: std::io::ErrorKind) -> &'static str {
    match kind {
        std::io::ErrorKind::NotFound => sqlstate::UNDEFINED_FILE,
        std::io::ErrorKind::PermissionDenied => sqlstate::INSUFFICIENT_PRIVILEGE,
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => sqlstate::DISK_FULL,
        _ => sqlstate::IO_ERROR,
    }
}

/// The state of a message about a value, or `otherwise`.
fn data_state(message: &str, otherwise: &'static str) -> &'static str {
    let message = message.to_ascii_lowercase();
    if message.contains("divide by zero") {
        sqlstate::DIVISION_BY_ZERO
    } else if message.contains("overflow") {
        sqlstate::NUMERIC_VALUE_OUT_OF_RANGE
    } else if message.contains("cannot cast") || message.contains("error parsing") {
        sqlstate::INVALID_TEXT_REPRESENTATION
    } else if message.contains("invalid argument") {
        sqlstate::DATA_EXCEPTION
    } else {
        otherwise
    }
}

/// Some messages carry a list of candidates or a backtrace below the first line.
fn first_line(message: &str) -> &str {
    message.lines().next().unwrap_or(message).trim_end()
}
