//! `COPY … TO STDOUT` and `COPY … FROM STDIN`, in the new and the old spelling of their options.
//!
//! # Source
//! PostgreSQL 16 documentation, "COPY". Not supported: files and programs on the server, `WHERE`,
//! `FORCE_NOT_NULL`, `FORCE_NULL`, `ENCODING` other than UTF-8, `FREEZE`, and the binary format.

use super::parser::Parser;
use super::statement::quoted_name;
use crate::errors::Failure;

/// `COPY (query) TO STDOUT` or `COPY table [(columns)] TO STDOUT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CopyTo {
    pub(crate) source: CopySource,
    pub(crate) options: CopyOptions,
}

/// `COPY table [(columns)] FROM STDIN`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CopyFrom {
    /// The table's name as SQL.
    pub(crate) table: String,
    /// The columns named, as SQL; empty for all of the table's.
    pub(crate) columns: Vec<String>,
    pub(crate) options: CopyOptions,
}

/// What is copied out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CopySource {
    /// A query and the characters of the statement before it.
    Query { sql: String, characters_before: usize },
    /// A table's query, made here: errors in it have no place in the client's text.
    Table { sql: String },
}

/// How rows are written as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CopyOptions {
    pub(crate) format: CopyFormat,
    pub(crate) delimiter: u8,
    pub(crate) null: String,
    pub(crate) header: bool,
    pub(crate) quote: u8,
    pub(crate) escape: u8,
    /// Quote every value that is not null.
    pub(crate) force_quote: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CopyFormat {
    Text,
    Csv,
}

/// Either direction.
pub(super) enum Copy {
    To(CopyTo),
    From(CopyFrom),
}

/// Parses what follows the word `COPY`.
pub(super) fn parse(parser: &mut Parser<'_>) -> Result<Copy, Failure> {
    if parser.symbol("(") {
        let characters_before = parser.position() - 1;
        let sql = parser.up_to_closing()?.to_owned();
        parser.expect_keyword("TO")?;
        expect_client(parser, "STDOUT")?;
        let source = CopySource::Query { sql, characters_before };
        return Ok(Copy::To(CopyTo { source, options: options(parser)? }));
    }
    let table = table_name(parser)?;
    let columns = if parser.symbol("(") { names(parser)? } else { Vec::new() };
    if parser.keyword("TO") {
        expect_client(parser, "STDOUT")?;
        let list = if columns.is_empty() { "*".to_owned() } else { columns.join(", ") };
        let source = CopySource::Table { sql: format!("SELECT {list} FROM {table}") };
        Ok(Copy::To(CopyTo { source, options: options(parser)? }))
    } else {
        parser.expect_keyword("FROM")?;
        expect_client(parser, "STDIN")?;
        Ok(Copy::From(CopyFrom { table, columns, options: options(parser)? }))
    }
}

fn table_name(parser: &mut Parser<'_>) -> Result<String, Failure> {
    let mut table = quoted_name(&parser.name()?);
    while parser.symbol(".") {
        table.push('.');
        table.push_str(&quoted_name(&parser.name()?));
    }
    Ok(table)
}

/// Names up to and with the closing parenthesis, each quoted.
fn names(parser: &mut Parser<'_>) -> Result<Vec<String>, Failure> {
    let mut names = vec![quoted_name(&parser.name()?)];
    while parser.symbol(",") {
        names.push(quoted_name(&parser.name()?));
    }
    parser.expect_symbol(")")?;
    Ok(names)
}

fn expect_client(parser: &mut Parser<'_>, stream: &str) -> Result<(), Failure> {
    if parser.keyword(stream) {
        return Ok(());
    }
    Err(Failure::Unsupported {
        feature: format!("COPY with a file or program of the server; use {stream}"),
        position: Some(parser.position()),
    })
}

/// What the options say, before defaults that depend on the format.
#[derive(Default)]
struct Given {
    format: Option<CopyFormat>,
    delimiter: Option<u8>,
    null: Option<String>,
    header: bool,
    quote: Option<u8>,
    escape: Option<u8>,
    force_quote: bool,
}

fn options(parser: &mut Parser<'_>) -> Result<CopyOptions, Failure> {
    let mut given = Given::default();
    let has_with = parser.keyword("WITH");
    if parser.symbol("(") {
        loop {
            let position = parser.position();
            let name = parser.name()?;
            given.option(&name, parser, position)?;
            if !parser.symbol(",") {
                break;
            }
        }
        parser.expect_symbol(")")?;
    } else {
        if has_with && parser.is_at_end() {
            return Err(parser.syntax_error());
        }
        while !parser.is_at_end() {
            given.old_option(parser)?;
        }
    }
    parser.finish()?;
    given.resolved()
}

impl Given {
    /// One `NAME [value]` of the parenthesised spelling.
    fn option(
        &mut self,
        name: &str,
        parser: &mut Parser<'_>,
        position: usize,
    ) -> Result<(), Failure> {
        match name {
            "format" => self.format = Some(format_named(&parser.value()?, position)?),
            "delimiter" => self.delimiter = Some(one_byte("delimiter", &parser.value()?)?),
            "null" => self.null = Some(parser.value()?),
            "quote" => self.quote = Some(one_byte("quote", &parser.value()?)?),
            "escape" => self.escape = Some(one_byte("escape", &parser.value()?)?),
            "header" => self.header = boolean(parser)?,
            "force_quote" => {
                parser.expect_symbol("*")?;
                self.force_quote = true;
            }
            "encoding" => utf8(&parser.value()?)?,
            other => {
                return Err(Failure::Unsupported {
                    feature: format!("COPY option \"{other}\""),
                    position: Some(position),
                });
            }
        }
        Ok(())
    }

    /// One option of the spelling before PostgreSQL 9.0, which psql's `\copy` still sends.
    fn old_option(&mut self, parser: &mut Parser<'_>) -> Result<(), Failure> {
        let position = parser.position();
        let name = parser.name()?;
        match name.as_str() {
            "csv" => self.format = Some(CopyFormat::Csv),
            "header" => self.header = true,
            "binary" => return Err(binary(position)),
            "delimiter" | "null" | "quote" | "escape" => {
                parser.keyword("AS");
                self.option(&name, parser, position)?;
            }
            "force" => {
                parser.expect_keyword("QUOTE")?;
                parser.expect_symbol("*")?;
                self.force_quote = true;
            }
            _ => return Err(parser.syntax_error()),
        }
        Ok(())
    }

    fn resolved(self) -> Result<CopyOptions, Failure> {
        let format = self.format.unwrap_or(CopyFormat::Text);
        let is_csv = format == CopyFormat::Csv;
        if !is_csv && (self.quote.is_some() || self.escape.is_some() || self.force_quote) {
            return Err(Failure::Unsupported {
                feature: "COPY quoting outside CSV format".to_owned(),
                position: None,
            });
        }
        let quote = self.quote.unwrap_or(b'"');
        let options = CopyOptions {
            format,
            delimiter: self.delimiter.unwrap_or(if is_csv { b',' } else { b'\t' }),
            null: self.null.unwrap_or_else(|| if is_csv { String::new() } else { "\\N".into() }),
            header: self.header,
            quote,
            escape: self.escape.unwrap_or(quote),
            force_quote: self.force_quote,
        };
        let clashes = is_csv && options.delimiter == options.quote;
        if clashes || matches!(options.delimiter, b'\n' | b'\r' | b'\\') {
            return Err(invalid("COPY delimiter cannot be newline, backslash or the quote"));
        }
        Ok(options)
    }
}

fn format_named(format: &str, position: usize) -> Result<CopyFormat, Failure> {
    match format.to_ascii_lowercase().as_str() {
        "text" => Ok(CopyFormat::Text),
        "csv" => Ok(CopyFormat::Csv),
        "binary" => Err(binary(position)),
        other => Err(invalid(&format!("COPY format \"{other}\" not recognized"))),
    }
}

fn binary(position: usize) -> Failure {
    Failure::Unsupported { feature: "COPY in binary format".to_owned(), position: Some(position) }
}

fn one_byte(option: &str, value: &str) -> Result<u8, Failure> {
    match value.as_bytes() {
        [byte] => Ok(*byte),
        _ => Err(invalid(&format!("COPY {option} must be a single one-byte character"))),
    }
}

fn utf8(encoding: &str) -> Result<(), Failure> {
    let name = encoding.to_ascii_uppercase().replace(['-', '_'], "");
    if name == "UTF8" || name == "UNICODE" {
        return Ok(());
    }
    Err(invalid(&format!("argument to option \"encoding\" must be UTF8, not \"{encoding}\"")))
}

/// `HEADER` alone means yes.
fn boolean(parser: &mut Parser<'_>) -> Result<bool, Failure> {
    if parser.symbol(",") || parser.symbol(")") {
        parser.step_back();
        return Ok(true);
    }
    let value = parser.value()?;
    match value.to_ascii_lowercase().as_str() {
        "true" | "on" | "1" => Ok(true),
        "false" | "off" | "0" => Ok(false),
        _ => Err(invalid(&format!("header requires a Boolean value, not \"{value}\""))),
    }
}

fn invalid(message: &str) -> Failure {
    Failure::InvalidParameter { message: message.to_owned() }
}
