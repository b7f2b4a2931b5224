//! SQL text, split into statements: ours, and those that DataFusion runs.
//!
//! Owns the grammar of statements about topics and endpoints, which no dialect of the parser knows:
//!
//! ```text
//! CREATE TOPIC [IF NOT EXISTS] name [(column type [, …])] [WITH (setting = value [, …])]
//! ALTER TOPIC name ADD [COLUMN] column type [, ADD …]
//! ALTER TOPIC name SET (setting = value [, …])
//! ALTER TOPIC name RESET (setting [, …])
//! DROP TOPIC [IF EXISTS] name [, …]
//! SHOW TOPICS
//! CREATE ENDPOINT [IF NOT EXISTS] name WITH (setting = value [, …])
//! DROP ENDPOINT [IF EXISTS] name [, …]
//! SHOW ENDPOINTS
//! DESCRIBE name
//! SET statement_timeout {= | TO} {value | DEFAULT}      SHOW statement_timeout
//! ```
//!
//! Those about users and permissions are in [`access`].
//!
//! # Invariants
//! - A statement is not shown by `{:?}`, and an error about a script that may hold a password quotes
//!   nothing of it.

mod access;

use std::fmt;
use std::sync::Arc;

use datafusion::sql::parser::{DFParser, DFParserBuilder, Statement as DataFusionStatement};
use datafusion::sql::sqlparser::ast::Ident;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan};

pub(crate) use self::access::{AccessStatement, Revoked, UserOption};
use crate::QueryError;
use crate::catalog::{CATALOG, SCHEMA};
use crate::dialect::{PostgresDialect, RECURSION_MAX};
use crate::error::sqlstate;
use crate::position::char_position;

/// One statement of a script.
#[derive(Clone)]
pub struct Statement {
    /// The whole script, which positions refer to.
    pub(crate) sql: Arc<str>,
    pub(crate) kind: StatementKind,
}

#[derive(Clone, Debug)]
pub(crate) enum StatementKind {
    Topic(TopicStatement),
    Endpoint(EndpointStatement),
    Access(AccessStatement),
    SetTimeout(Option<String>),
    ShowTimeout,
    DataFusion(Box<DataFusionStatement>),
}

/// A statement about topics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TopicStatement {
    Create { name: Name, if_not_exists: bool, columns: Vec<ColumnSpec>, settings: Vec<Setting> },
    AddColumns { name: Name, columns: Vec<ColumnSpec> },
    Set { name: Name, settings: Vec<Setting> },
    Reset { name: Name, settings: Vec<Name> },
    Drop { names: Vec<Name>, if_exists: bool },
    Show,
    Describe { name: Name },
}

/// A statement about endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EndpointStatement {
    Create { name: Name, if_not_exists: bool, settings: Vec<Setting> },
    Drop { names: Vec<Name>, if_exists: bool },
    Show,
}

/// A name with its place in the script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) text: String,
    pub(crate) position: Option<usize>,
}

/// A column as it is declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ColumnSpec {
    pub(crate) name: Name,
    /// The type as it was written.
    pub(crate) data_type: Name,
}

/// A setting and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) name: Name,
    pub(crate) value: String,
}

impl Statement {
    /// Splits a script. Empty statements are left out.
    ///
    /// # Errors
    /// 42601 at the first place where it is not SQL.
    pub(crate) fn parse(sql: &str) -> Result<Vec<Statement>, QueryError> {
        Statement::split(sql).map_err(|error| without_secrets(error, sql))
    }

    fn split(sql: &str) -> Result<Vec<Statement>, QueryError> {
        let script: Arc<str> = Arc::from(sql);
        let about = |error| QueryError::about(&error, sql);
        let dialect = PostgresDialect::of(sql);
        let mut parser = DFParserBuilder::new("")
            .with_dialect(&dialect)
            .with_recursion_limit(RECURSION_MAX)
            .build()
            .map_err(about)?;
        parser.parser = dialect.parser(sql).map_err(|error| about(error.into()))?;
        let mut script_parser = ScriptParser { sql, parser };
        let mut statements = Vec::new();
        loop {
            while script_parser.parser.parser.consume_token(&Token::SemiColon) {}
            if script_parser.peek(0).token == Token::EOF {
                return Ok(statements);
            }
            let kind = script_parser.statement()?;
            statements.push(Statement { sql: Arc::clone(&script), kind });
            let next = script_parser.peek(0);
            if !matches!(next.token, Token::SemiColon | Token::EOF) {
                return Err(script_parser.expected("the end of the statement", &next));
            }
        }
    }

    /// Whether running it gives rows.
    pub fn gives_rows(&self) -> bool {
        use datafusion::sql::sqlparser::ast::Statement as Sql;
        match &self.kind {
            StatementKind::Topic(topic) => {
                matches!(topic, TopicStatement::Show | TopicStatement::Describe { .. })
            }
            StatementKind::Endpoint(endpoint) => matches!(endpoint, EndpointStatement::Show),
            StatementKind::Access(access) => {
                matches!(access, AccessStatement::ShowUsers | AccessStatement::ShowGrants { .. })
            }
            StatementKind::SetTimeout(_) => false,
            StatementKind::ShowTimeout => true,
            StatementKind::DataFusion(inner) => match inner.as_ref() {
                DataFusionStatement::Statement(sql) => {
                    !matches!(sql.as_ref(), Sql::Insert(_) | Sql::Set(_))
                }
                DataFusionStatement::Explain(_) => true,
                _ => false,
            },
        }
    }
}

impl fmt::Debug for Statement {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Statement").finish_non_exhaustive()
    }
}

/// A parser quotes what it did not expect, which may be a password.
fn without_secrets(mut error: QueryError, sql: &str) -> QueryError {
    if error.sqlstate == sqlstate::SYNTAX_ERROR && sql.to_ascii_lowercase().contains("password") {
        let wanted = error.message.split_once(", found: ").map(|(wanted, _)| wanted.to_owned());
        error.message = wanted.unwrap_or_else(|| "syntax error".to_owned());
    }
    error
}

struct ScriptParser<'s> {
    sql: &'s str,
    parser: DFParser<'s>,
}

impl ScriptParser<'_> {
    fn statement(&mut self) -> Result<StatementKind, QueryError> {
        if let Some(access) = self.access()? {
            return Ok(access);
        }
        let topic = match (self.word(0).as_str(), self.word(1).as_str()) {
            ("CREATE", "TOPIC") => self.create()?,
            ("ALTER", "TOPIC") => self.alter()?,
            ("DROP", "TOPIC") => self.drop()?,
            ("SHOW", "TOPICS") => {
                self.skip(2);
                TopicStatement::Show
            }
            ("DESCRIBE" | "DESC", _) => {
                self.skip(1);
                self.accept("TOPIC");
                TopicStatement::Describe { name: self.name()? }
            }
            ("CREATE", "ENDPOINT") => return self.create_endpoint(),
            ("DROP", "ENDPOINT") => return self.drop_endpoint(),
            ("SHOW", "ENDPOINTS") => {
                self.skip(2);
                return Ok(StatementKind::Endpoint(EndpointStatement::Show));
            }
            ("SHOW", "STATEMENT_TIMEOUT") => {
                self.skip(2);
                return Ok(StatementKind::ShowTimeout);
            }
            ("RESET", "STATEMENT_TIMEOUT") => {
                self.skip(2);
                return Ok(StatementKind::SetTimeout(None));
            }
            ("SET", "STATEMENT_TIMEOUT") => {
                self.skip(1);
                return self.set_timeout();
            }
            ("SET", "SESSION" | "LOCAL") if self.word(2) == "STATEMENT_TIMEOUT" => {
                self.skip(2);
                return self.set_timeout();
            }
            _ => {
                let parsed = self.parser.parse_statement();
                let parsed = parsed.map_err(|error| QueryError::about(&error, self.sql))?;
                return Ok(StatementKind::DataFusion(Box::new(parsed)));
            }
        };
        Ok(StatementKind::Topic(topic))
    }

    fn create(&mut self) -> Result<TopicStatement, QueryError> {
        self.skip(2);
        let if_not_exists =
            self.parser.parser.parse_keywords(&[Keyword::IF, Keyword::NOT, Keyword::EXISTS]);
        let name = self.name()?;
        let columns = if self.parser.parser.consume_token(&Token::LParen) {
            let columns = self.list(ScriptParser::column)?;
            self.expect(&Token::RParen)?;
            columns
        } else {
            Vec::new()
        };
        let settings =
            if self.accept("WITH") { self.in_parentheses(ScriptParser::setting)? } else { vec![] };
        Ok(TopicStatement::Create { name, if_not_exists, columns, settings })
    }

    fn alter(&mut self) -> Result<TopicStatement, QueryError> {
        self.skip(2);
        let name = self.name()?;
        if self.accept("SET") {
            let settings = self.in_parentheses(ScriptParser::setting)?;
            return Ok(TopicStatement::Set { name, settings });
        }
        if self.accept("RESET") {
            let settings = self.in_parentheses(ScriptParser::setting_name)?;
            return Ok(TopicStatement::Reset { name, settings });
        }
        let columns = self.list(|parser| {
            if !parser.accept("ADD") {
                return Err(parser.expected("ADD, SET or RESET", &parser.peek(0)));
            }
            parser.accept("COLUMN");
            parser.column()
        })?;
        Ok(TopicStatement::AddColumns { name, columns })
    }

    fn drop(&mut self) -> Result<TopicStatement, QueryError> {
        self.skip(2);
        let if_exists = self.parser.parser.parse_keywords(&[Keyword::IF, Keyword::EXISTS]);
        let names = self.list(ScriptParser::name)?;
        Ok(TopicStatement::Drop { names, if_exists })
    }

    fn create_endpoint(&mut self) -> Result<StatementKind, QueryError> {
        self.skip(2);
        let if_not_exists =
            self.parser.parser.parse_keywords(&[Keyword::IF, Keyword::NOT, Keyword::EXISTS]);
        let name = self.identifier()?;
        if !self.accept("WITH") {
            return Err(self.expected("WITH", &self.peek(0)));
        }
        let settings = self.in_parentheses(ScriptParser::setting)?;
        let create = EndpointStatement::Create { name, if_not_exists, settings };
        Ok(StatementKind::Endpoint(create))
    }

    fn drop_endpoint(&mut self) -> Result<StatementKind, QueryError> {
        self.skip(2);
        let if_exists = self.parser.parser.parse_keywords(&[Keyword::IF, Keyword::EXISTS]);
        let names = self.list(ScriptParser::identifier)?;
        Ok(StatementKind::Endpoint(EndpointStatement::Drop { names, if_exists }))
    }

    fn set_timeout(&mut self) -> Result<StatementKind, QueryError> {
        self.skip(1);
        if !self.parser.parser.consume_token(&Token::Eq) && !self.accept("TO") {
            return Err(self.expected("= or TO", &self.peek(0)));
        }
        if self.accept("DEFAULT") {
            return Ok(StatementKind::SetTimeout(None));
        }
        Ok(StatementKind::SetTimeout(Some(self.value()?)))
    }

    /// A topic's name, which may be qualified with the one schema there is.
    fn name(&mut self) -> Result<Name, QueryError> {
        let first = self.identifier()?;
        let mut parts = vec![first];
        while self.parser.parser.consume_token(&Token::Period) {
            parts.push(self.identifier()?);
        }
        let name = parts.pop().expect("there is at least one part");
        let mut expected = [SCHEMA, CATALOG].into_iter();
        for part in parts.iter().rev() {
            if expected.next() != Some(part.text.as_str()) {
                return Err(QueryError::new(
                    sqlstate::INVALID_NAME,
                    format!(
                        "there is no schema \"{}\"; topics are in {CATALOG}.{SCHEMA}",
                        part.text
                    ),
                )
                .at(part.position)
                .with_hint("put a name that holds a dot in double quotes"));
            }
        }
        Ok(name)
    }

    fn column(&mut self) -> Result<ColumnSpec, QueryError> {
        let name = self.identifier()?;
        let start = self.peek(0);
        let position = self.position(start.span);
        let parsed = self.parser.parser.parse_data_type();
        let data_type = parsed.map_err(|error| self.syntax(error))?.to_string();
        Ok(ColumnSpec { name, data_type: Name { text: data_type, position } })
    }

    fn setting(&mut self) -> Result<Setting, QueryError> {
        let name = self.setting_name()?;
        self.expect(&Token::Eq)?;
        Ok(Setting { name, value: self.value()? })
    }

    /// `partitions`, `'retention.ms'`, `retention.ms`.
    fn setting_name(&mut self) -> Result<Name, QueryError> {
        let mut name = self.identifier()?;
        while self.parser.parser.consume_token(&Token::Period) {
            name.text.push('.');
            name.text.push_str(&self.identifier()?.text);
        }
        Ok(name)
    }

    fn value(&mut self) -> Result<String, QueryError> {
        let minus = if self.parser.parser.consume_token(&Token::Minus) { "-" } else { "" };
        let token = self.parser.parser.next_token();
        Ok(match &token.token {
            Token::Number(number, _) => format!("{minus}{number}"),
            Token::SingleQuotedString(text) if minus.is_empty() => text.clone(),
            Token::Word(word) if minus.is_empty() => word.value.clone(),
            _ => return Err(self.expected("a value", &token)),
        })
    }

    fn identifier(&mut self) -> Result<Name, QueryError> {
        let parsed = self.parser.parser.parse_identifier();
        let ident = parsed.map_err(|error| self.syntax(error))?;
        Ok(Name { position: self.position(ident.span), text: fold(&ident) })
    }

    fn in_parentheses<T>(
        &mut self,
        item: impl FnMut(&mut Self) -> Result<T, QueryError>,
    ) -> Result<Vec<T>, QueryError> {
        self.expect(&Token::LParen)?;
        let items = self.list(item)?;
        self.expect(&Token::RParen)?;
        Ok(items)
    }

    fn list<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<T, QueryError>,
    ) -> Result<Vec<T>, QueryError> {
        let mut items = vec![item(self)?];
        while self.parser.parser.consume_token(&Token::Comma) {
            items.push(item(self)?);
        }
        Ok(items)
    }

    fn peek(&self, ahead: usize) -> TokenWithSpan {
        self.parser.parser.peek_nth_token(ahead)
    }

    /// The unquoted word ahead, in capitals; empty when there is none.
    fn word(&self, ahead: usize) -> String {
        match &self.parser.parser.peek_nth_token_ref(ahead).token {
            Token::Word(word) if word.quote_style.is_none() => word.value.to_ascii_uppercase(),
            _ => String::new(),
        }
    }

    fn accept(&mut self, word: &str) -> bool {
        let accepted = self.word(0) == word;
        if accepted {
            self.skip(1);
        }
        accepted
    }

    fn skip(&mut self, count: usize) {
        for _ in 0..count {
            self.parser.parser.advance_token();
        }
    }

    fn expect(&mut self, token: &Token) -> Result<(), QueryError> {
        if self.parser.parser.consume_token(token) {
            return Ok(());
        }
        Err(self.expected(&token.to_string(), &self.peek(0)))
    }

    fn expected(&self, wanted: &str, found: &TokenWithSpan) -> QueryError {
        let found_text = match &found.token {
            Token::EOF => "the end".to_owned(),
            token => token.to_string(),
        };
        let message = format!("syntax error: Expected: {wanted}, found: {found_text}");
        QueryError::new(sqlstate::SYNTAX_ERROR, message).at(self.position(found.span))
    }

    fn syntax(&self, error: ParserError) -> QueryError {
        let error = datafusion::common::DataFusionError::SQL(Box::new(error), None);
        QueryError::about(&error, self.sql)
    }

    /// The end of the text has no span of its own.
    fn position(&self, span: Span) -> Option<usize> {
        if span.start.line == 0 {
            return Some(self.sql.chars().count() + 1);
        }
        char_position(self.sql, span.start.line, span.start.column)
    }
}

/// An identifier as PostgreSQL takes it: lowercase unless quoted.
pub(crate) fn fold(ident: &Ident) -> String {
    match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(sql: &str) -> TopicStatement {
        match Statement::parse(sql).unwrap().pop().unwrap().kind {
            StatementKind::Topic(topic) => topic,
            other => panic!("{other:?}"),
        }
    }

    fn check_error(sql: &str, position: usize) {
        let error = Statement::parse(sql).unwrap_err();
        assert_eq!((error.sqlstate, error.position), ("42601", Some(position)), "{sql}: {error}");
    }

    #[test]
    fn nesting_takes_no_more_time_than_its_length() {
        // Twice the time for each level would be more than the age of the universe.
        let depth = RECURSION_MAX - 28;
        for (open, inner, close) in [
            ("f(", "x", ")"),
            ("f(1, a => ", "x", ")"),
            ("(", "1", ")"),
            ("ARRAY[", "1", "]"),
            ("CASE WHEN ", "x", " THEN 1 END"),
            ("CAST(", "1", " AS INT)"),
            ("-", "1", ""),
            ("NOT ", "x", ""),
            ("x IN (", "1", ")"),
            ("(SELECT ", "1", ")"),
            ("EXISTS (SELECT ", "1", ")"),
            ("x BETWEEN (", "1", ") AND 2"),
            ("a.f(b -> ", "c", ")"),
        ] {
            let (open, close) = (open.repeat(depth), close.repeat(depth));
            for sql in [format!("SELECT {open}{inner}{close}"), format!("SELECT {open}{inner}")] {
                // Whether it is too deep is the parser's to say.
                let _ = Statement::parse(&sql);
            }
        }
        let from = format!("SELECT * FROM {}t{}", "(".repeat(depth), ")".repeat(depth));
        let _ = Statement::parse(&from);
        let calls = |depth: usize| format!("SELECT {}x{}", "f(".repeat(depth), ")".repeat(depth));
        assert!(Statement::parse(&calls(30)).is_ok());
        let unclosed = format!("SELECT {}1", "ARRAY[".repeat(30));
        assert_eq!(Statement::parse(&unclosed).unwrap_err().sqlstate, "54001");
        assert!(Statement::parse("SELECT f(a => 1, b => g(c => 2))").is_ok());
        let chain =
            |conditions: usize| format!("SELECT {}", vec!["a = 1"; conditions].join(" OR "));
        assert!(Statement::parse(&chain(2000)).is_ok());
        assert_eq!(Statement::parse(&chain(1_000_000)).unwrap_err().sqlstate, "54001");
    }

    #[test]
    fn create_topic_reads_columns_and_settings() {
        let created = topic(
            "CREATE TOPIC IF NOT EXISTS \"orders:eu\" (id BIGINT, \"Total\" NUMERIC(10,2))
             WITH (partitions = 4, format = 'json', 'retention.ms' = -1, cleanup.policy = compact)",
        );
        let TopicStatement::Create { name, if_not_exists, columns, settings } = created else {
            panic!("{created:?}")
        };
        assert_eq!((name.text.as_str(), if_not_exists), ("orders:eu", true));
        let columns: Vec<_> = columns
            .iter()
            .map(|column| (column.name.text.as_str(), column.data_type.text.as_str()))
            .collect();
        assert_eq!(columns, [("id", "BIGINT"), ("Total", "NUMERIC(10,2)")]);
        let settings: Vec<_> = settings
            .iter()
            .map(|setting| (setting.name.text.as_str(), setting.value.as_str()))
            .collect();
        assert_eq!(
            settings,
            [
                ("partitions", "4"),
                ("format", "json"),
                ("retention.ms", "-1"),
                ("cleanup.policy", "compact")
            ]
        );
    }

    #[test]
    fn unquoted_names_fold_to_lowercase() {
        let TopicStatement::Describe { name } = topic("describe Flights") else { panic!() };
        assert_eq!(name.text, "flights");
        let TopicStatement::Describe { name } = topic("DESCRIBE public.\"Flights\"") else {
            panic!()
        };
        assert_eq!(name.text, "Flights");
    }

    #[test]
    fn a_script_is_split_at_semicolons() {
        let kinds: Vec<bool> = Statement::parse("; SELECT ';' ; SHOW TOPICS;; DROP TOPIC a, b")
            .unwrap()
            .iter()
            .map(|statement| matches!(statement.kind, StatementKind::Topic(_)))
            .collect();
        assert_eq!(kinds, [false, true, true]);
    }

    #[test]
    fn syntax_errors_say_where() {
        check_error("SELECT 1; CREATE TOPIC t (a INT", 32);
        check_error("CREATE TOPIC t (a)", 18);
        check_error("ALTER TOPIC t DROP COLUMN a", 15);
        check_error("SELECT\n  a FROM )", 17);
        check_error("SHOW TOPICS now", 13);
        check_error("SELECT 'abc", 8);
    }
}
