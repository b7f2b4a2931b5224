//! PostgreSQL's SQL, parsed in time that does not double with every nesting.
//!
//! sqlparser tries one reading of what it finds, and when that fails goes back and tries the next.
//! Where such places are in one another, it reads the innermost twice for each of them: `ARRAY[` thirty
//! times and never closed is a thousand million readings. So there is a bound to them, of which what is
//! SQL takes a small part.
//!
//! Its `PostgreSqlDialect` does so also for what is closed: it reads each argument of a function as an
//! expression that might be a name (`json_object('a': 1)`), and then again as one that is not. Nothing
//! here has arguments that are named so.

use std::any::TypeId;
use std::cell::Cell;

use datafusion::sql::sqlparser::ast::Expr;
use datafusion::sql::sqlparser::dialect::{Dialect, PostgreSqlDialect, Precedence};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Tokenizer;

use crate::depth;

/// `PostgreSqlDialect`, without expressions as names of arguments. A name may still be an identifier
/// (`f(a => 1)`).
#[derive(Debug)]
pub struct PostgresDialect {
    /// How many more expressions may be begun.
    left: Cell<usize>,
}

/// Expressions that may be begun for each byte. A query begins less than one, and what is tried twice is
/// seldom in what is tried twice.
const BEGUN_PER_BYTE: usize = 8;

/// And for every text, so that a short one may be nested as deep as it can be.
const BEGUN_AT_LEAST: usize = 10_000;

/// LIMIT: brackets in one another, and all else that the parser calls itself for.
pub(crate) const RECURSION_MAX: usize = 128;

const POSTGRES: PostgreSqlDialect = PostgreSqlDialect {};

/// What is as in PostgreSQL: all that sqlparser 0.62 overrides for it.
macro_rules! as_in_postgres {
    ($($method:ident)*) => {
        $(fn $method(&self) -> bool {
            POSTGRES.$method()
        })*
    };
}

impl PostgresDialect {
    /// To parse one text with, once.
    pub fn of(sql: &str) -> PostgresDialect {
        let left = BEGUN_AT_LEAST.saturating_add(sql.len().saturating_mul(BEGUN_PER_BYTE));
        PostgresDialect { left: Cell::new(left) }
    }

    /// The parser of that text. What it makes of it has room on [`crate::STACK_BYTES`].
    ///
    /// # Errors
    /// What is not a token, or that the text is nested too deeply.
    pub fn parser(&self, sql: &str) -> Result<Parser<'_>, ParserError> {
        let tokens = Tokenizer::new(self, sql).tokenize_with_location()?;
        depth::bound(&tokens).ok_or(ParserError::RecursionLimitExceeded)?;
        Ok(Parser::new(self).with_recursion_limit(RECURSION_MAX).with_tokens_with_locations(tokens))
    }
}

impl Dialect for PostgresDialect {
    /// Called where an expression begins. This error is the one after which nothing else is tried.
    fn parse_prefix(&self, _parser: &mut Parser<'_>) -> Option<Result<Expr, ParserError>> {
        match self.left.get().checked_sub(1) {
            Some(left) => {
                self.left.set(left);
                None
            }
            None => Some(Err(ParserError::RecursionLimitExceeded)),
        }
    }

    fn supports_named_fn_args_with_expr_name(&self) -> bool {
        false
    }

    /// What asks for a dialect by its type takes this for PostgreSQL's.
    fn dialect(&self) -> TypeId {
        TypeId::of::<PostgreSqlDialect>()
    }

    fn identifier_quote_style(&self, identifier: &str) -> Option<char> {
        POSTGRES.identifier_quote_style(identifier)
    }

    fn is_delimited_identifier_start(&self, character: char) -> bool {
        POSTGRES.is_delimited_identifier_start(character)
    }

    fn is_identifier_start(&self, character: char) -> bool {
        POSTGRES.is_identifier_start(character)
    }

    fn is_identifier_part(&self, character: char) -> bool {
        POSTGRES.is_identifier_part(character)
    }

    fn is_reserved_for_identifier(&self, keyword: Keyword) -> bool {
        POSTGRES.is_reserved_for_identifier(keyword)
    }

    fn is_custom_operator_part(&self, character: char) -> bool {
        POSTGRES.is_custom_operator_part(character)
    }

    fn get_next_precedence(&self, parser: &Parser<'_>) -> Option<Result<u8, ParserError>> {
        POSTGRES.get_next_precedence(parser)
    }

    fn prec_value(&self, precedence: Precedence) -> u8 {
        POSTGRES.prec_value(precedence)
    }

    as_in_postgres! {
        supports_unicode_string_literal
        supports_filter_during_aggregation
        supports_group_by_expr
        allow_extract_custom
        allow_extract_single_quotes
        supports_create_index_with_clause
        supports_explain_with_utility_options
        supports_listen_notify
        supports_factorial_operator
        supports_bitwise_shift_operators
        supports_comment_on
        supports_load_extension
        supports_named_fn_args_with_colon_operator
        supports_empty_projections
        supports_nested_comments
        supports_string_escape_constant
        supports_numeric_literal_underscores
        supports_array_typedef_with_brackets
        supports_geometric_types
        supports_set_names
        supports_alter_column_type_using
        supports_notnull_operator
        supports_interval_options
        supports_insert_table_alias
        supports_create_table_like_parenthesized
        supports_select_wildcard_with_alias
        supports_comma_separated_trim
        supports_xml_expressions
        supports_comment_optimizer_hint
    }
}
