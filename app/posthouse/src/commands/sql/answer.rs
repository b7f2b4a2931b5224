//! Sends a query, prints its rows as they come, and says where it went wrong.

use std::io::{self, BufWriter, Write};

use serde_json::Value;

use super::RowFormat;
use crate::client::{Client, Problem};
use crate::commands::table::{grouped, render};
use crate::exit::{Code, Failure};
use crate::rows::{Line, Rows};

/// Rows that a table measures its columns by before it begins to print; more are printed in pages
/// of as many, so that a table never holds more.
const PAGE_ROWS: usize = 1000;
/// A cell longer than this is cut in a table.
const CELL_CHARACTERS_MAX: usize = 200;

/// Asks, and prints what comes back. The inner error is the query's own.
pub(crate) async fn ask(
    client: &Client,
    query: &str,
    format: RowFormat,
) -> Result<Result<(), Problem>, Failure> {
    let mut rows = match Rows::ask(client, query).await? {
        Ok(rows) => rows,
        Err(problem) => return Ok(Err(problem)),
    };
    let mut printer = Printer::new(format);
    match printer.print_all(&mut rows).await {
        // Whoever reads us has gone: `posthouse sql … | head`.
        Err(failure) if failure.is_broken_pipe() => Ok(Ok(())),
        printed => printed,
    }
}

/// The problem, with the place in the query that it is about.
pub(crate) fn explain(query: &str, problem: &Problem) -> String {
    let mut text = problem.detail.clone();
    if let Some((line, before)) = problem.position.and_then(|position| place(query, position)) {
        text += &format!("\n  {line}\n  {}^", " ".repeat(before));
    }
    if let Some(help) = &problem.help {
        text += &format!("\n  help: {help}");
    }
    text
}

/// The line of `query` that holds its `position`th character, and how many stand before it.
fn place(query: &str, position: usize) -> Option<(&str, usize)> {
    let mut before = position.checked_sub(1)?;
    for line in query.lines() {
        let len = line.chars().count();
        if before <= len {
            return Some((line, before));
        }
        before -= len + 1;
    }
    None
}

/// Prints the lines of an answer.
struct Printer {
    format: RowFormat,
    output: BufWriter<io::Stdout>,
    columns: Vec<String>,
    page: Vec<Vec<String>>,
    count: i64,
}

impl Printer {
    fn new(format: RowFormat) -> Printer {
        let output = BufWriter::with_capacity(64 * 1024, io::stdout());
        Printer { format, output, columns: Vec::new(), page: Vec::new(), count: 0 }
    }

    async fn print_all(&mut self, rows: &mut Rows) -> Result<Result<(), Problem>, Failure> {
        while let Some(line) = rows.next().await? {
            match line {
                Line::Columns(columns) => self.head(columns)?,
                Line::Row(cells) => self.row(cells)?,
                Line::Done { tag, count } => {
                    self.done(&tag, count)?;
                    return Ok(Ok(()));
                }
                Line::End => {
                    self.foot()?;
                    return Ok(Ok(()));
                }
                Line::Error(problem) => {
                    self.print_page()?;
                    self.output.flush()?;
                    return Ok(Err(problem));
                }
            }
        }
        self.print_page()?;
        self.output.flush()?;
        Err(Failure::new(Code::Failed, "the answer was cut short; what was printed is not all"))
    }

    fn head(&mut self, columns: Vec<String>) -> Result<(), Failure> {
        self.columns = columns;
        if self.format == RowFormat::Csv { self.csv(self.columns.clone()) } else { Ok(()) }
    }

    fn done(&mut self, tag: &str, count: Option<u64>) -> Result<(), Failure> {
        let count = count.map(|count| format!(" {count}")).unwrap_or_default();
        if self.format == RowFormat::Table {
            writeln!(self.output, "{tag}{count}")?;
        } else {
            // What is not rows must not stand among them.
            eprintln!("{tag}{count}");
        }
        Ok(self.output.flush()?)
    }

    fn row(&mut self, cells: Vec<Value>) -> Result<(), Failure> {
        self.count += 1;
        match self.format {
            RowFormat::Table => {
                self.page.push(cells.iter().map(cell).collect());
                if self.page.len() >= PAGE_ROWS { self.print_page() } else { Ok(()) }
            }
            RowFormat::Csv => self.csv(cells.iter().map(plain).collect()),
            RowFormat::Json => self.json(cells),
        }
    }

    /// An object in the order of the columns, which a map would not keep.
    fn json(&mut self, cells: Vec<Value>) -> Result<(), Failure> {
        for (index, (name, value)) in self.columns.iter().zip(cells).enumerate() {
            let comma = if index == 0 { '{' } else { ',' };
            write!(self.output, "{comma}{}:{value}", Value::from(name.as_str()))?;
        }
        self.output.write_all(if self.columns.is_empty() { b"{}\n" } else { b"}\n" })?;
        Ok(())
    }

    fn csv(&mut self, fields: Vec<String>) -> Result<(), Failure> {
        let mut writer = csv::Writer::from_writer(&mut self.output);
        writer.write_record(fields).map_err(|error| match error.into_kind() {
            csv::ErrorKind::Io(error) => Failure::from(error),
            kind => Failure::new(Code::Failed, format!("a row cannot be CSV: {kind:?}")),
        })?;
        writer.flush()?;
        Ok(())
    }

    fn print_page(&mut self) -> Result<(), Failure> {
        if self.format != RowFormat::Table || self.columns.is_empty() {
            return Ok(());
        }
        let page = std::mem::take(&mut self.page);
        if !page.is_empty() || self.count == 0 {
            writeln!(self.output, "{}", render(&self.columns, &page, None))?;
        }
        Ok(())
    }

    fn foot(&mut self) -> Result<(), Failure> {
        self.print_page()?;
        if self.format == RowFormat::Table && !self.columns.is_empty() {
            let noun = if self.count == 1 { "row" } else { "rows" };
            writeln!(self.output, "({} {noun})", grouped(self.count))?;
        }
        Ok(self.output.flush()?)
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A cell of a table: on one line, and not too long.
fn cell(value: &Value) -> String {
    let text = plain(value).replace('\n', "\\n");
    match text.char_indices().nth(CELL_CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(position: usize) -> Problem {
        let json = format!(r#"{{"code":"sql","detail":"no such column","position":{position}}}"#);
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn the_place_of_an_error_is_pointed_at() {
        let text = explain("SELECT a,\n  bad FROM t", &problem(13));
        assert_eq!(text, "no such column\n    bad FROM t\n    ^");
        assert_eq!(
            explain("SELECT ü x", &problem(10)),
            "no such column\n  SELECT ü x\n           ^"
        );
    }

    #[test]
    fn a_position_outside_the_query_is_left_out() {
        assert_eq!(explain("SELECT 1", &problem(99)), "no such column");
        assert_eq!(explain("", &problem(0)), "no such column");
    }

    #[test]
    fn a_cell_is_one_line() {
        assert_eq!(cell(&Value::from("a\nb")), "a\\nb");
        assert_eq!(cell(&Value::Null), "");
        assert!(cell(&Value::from("x".repeat(500))).chars().count() < 210);
    }
}
