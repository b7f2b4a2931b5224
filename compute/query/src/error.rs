//! What a client is told when SQL fails.
//!
//! Owns the shape of an error and the SQLSTATEs that we choose ourselves; `classify` translates
//! DataFusion's errors into it.
//!
//! # Source
//! PostgreSQL's documentation, appendix A, for the codes and their meaning.

use std::fmt;

use posthouse_broker::Denied;

/// SQLSTATEs by their PostgreSQL names.
pub(crate) mod sqlstate {
    pub(crate) const FEATURE_NOT_SUPPORTED: &str = "0A000";
    pub(crate) const DATA_EXCEPTION: &str = "22000";
    pub(crate) const NUMERIC_VALUE_OUT_OF_RANGE: &str = "22003";
    pub(crate) const INVALID_DATETIME_FORMAT: &str = "22007";
    pub(crate) const DIVISION_BY_ZERO: &str = "22012";
    pub(crate) const INVALID_PARAMETER_VALUE: &str = "22023";
    pub(crate) const INVALID_TEXT_REPRESENTATION: &str = "22P02";
    pub(crate) const BAD_COPY_FILE_FORMAT: &str = "22P04";
    pub(crate) const GENERATED_ALWAYS: &str = "428C9";
    pub(crate) const NOT_NULL_VIOLATION: &str = "23502";
    pub(crate) const SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION: &str = "42000";
    pub(crate) const INSUFFICIENT_PRIVILEGE: &str = "42501";
    pub(crate) const SYNTAX_ERROR: &str = "42601";
    pub(crate) const INVALID_NAME: &str = "42602";
    pub(crate) const DUPLICATE_COLUMN: &str = "42701";
    pub(crate) const AMBIGUOUS_COLUMN: &str = "42702";
    pub(crate) const UNDEFINED_COLUMN: &str = "42703";
    pub(crate) const UNDEFINED_OBJECT: &str = "42704";
    pub(crate) const DUPLICATE_OBJECT: &str = "42710";
    pub(crate) const GROUPING_ERROR: &str = "42803";
    pub(crate) const DATATYPE_MISMATCH: &str = "42804";
    pub(crate) const UNDEFINED_FUNCTION: &str = "42883";
    pub(crate) const UNDEFINED_TABLE: &str = "42P01";
    pub(crate) const DUPLICATE_TABLE: &str = "42P07";
    pub(crate) const INVALID_TABLE_DEFINITION: &str = "42P16";
    pub(crate) const DISK_FULL: &str = "53100";
    pub(crate) const OUT_OF_MEMORY: &str = "53200";
    pub(crate) const PROGRAM_LIMIT_EXCEEDED: &str = "54000";
    pub(crate) const STATEMENT_TOO_COMPLEX: &str = "54001";
    pub(crate) const OBJECT_NOT_IN_PREREQUISITE_STATE: &str = "55000";
    pub(crate) const QUERY_CANCELED: &str = "57014";
    pub(crate) const CANNOT_CONNECT_NOW: &str = "57P03";
    pub(crate) const IO_ERROR: &str = "58030";
    pub(crate) const UNDEFINED_FILE: &str = "58P01";
    pub(crate) const INTERNAL_ERROR: &str = "XX000";
    pub(crate) const DATA_CORRUPTED: &str = "XX001";
}

/// Why a statement failed, in the terms of PostgreSQL's error messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryError {
    /// The five-character code.
    pub sqlstate: &'static str,
    /// What failed: a lowercase fragment without a full stop.
    pub message: String,
    /// The character of the SQL text it is about, counted from 1, where that is known.
    pub position: Option<usize>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl QueryError {
    /// An error without a position or a hint.
    pub fn new(sqlstate: &'static str, message: impl Into<String>) -> QueryError {
        QueryError { sqlstate, message: message.into(), position: None, hint: None }
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> QueryError {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn at(mut self, position: Option<usize>) -> QueryError {
        self.position = self.position.or(position);
        self
    }

    /// What the principal may not do, in PostgreSQL's words. They are the same whether or not there
    /// is such a thing.
    pub(crate) fn denied(denied: &Denied) -> QueryError {
        let Denied { principal, operation, resource } = denied;
        QueryError::new(
            sqlstate::INSUFFICIENT_PRIVILEGE,
            format!("permission denied for {resource}"),
        )
        .with_hint(format!("{principal} needs {operation} on {resource}"))
    }

    pub(crate) fn unsupported(message: impl Into<String>) -> QueryError {
        QueryError::new(sqlstate::FEATURE_NOT_SUPPORTED, message)
    }

    pub(crate) fn internal(message: impl Into<String>) -> QueryError {
        QueryError::new(sqlstate::INTERNAL_ERROR, message)
    }

    pub(crate) fn cancelled() -> QueryError {
        QueryError::new(sqlstate::QUERY_CANCELED, "the statement was cancelled")
    }

    pub(crate) fn timed_out() -> QueryError {
        QueryError::new(
            sqlstate::QUERY_CANCELED,
            "the statement was cancelled because it took longer than statement_timeout",
        )
    }
}

impl fmt::Display for QueryError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for QueryError {}

/// The name nearest to `wanted`, when one is near enough to be what was meant.
pub(crate) fn nearest<'a>(
    wanted: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    use datafusion::common::utils::datafusion_strsim::normalized_levenshtein;
    const SIMILARITY_MIN: f64 = 0.6;
    let wanted = wanted.to_lowercase();
    names
        .into_iter()
        .map(|name| (normalized_levenshtein(&wanted, &name.to_lowercase()), name))
        .filter(|(similarity, _)| *similarity >= SIMILARITY_MIN)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_name_is_found_and_a_far_one_is_not() {
        assert_eq!(nearest("fligths", ["flights", "weather"]), Some("flights"));
        assert_eq!(nearest("orders", ["flights", "weather"]), None);
    }
}
