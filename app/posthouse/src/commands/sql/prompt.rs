//! The prompt: history, completion, statements over several lines, and a few commands of psql.

use std::path::PathBuf;
use std::sync::Arc;

use reqwest::Method;
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{Config, Editor};
use serde_json::Value;

use super::RowFormat;
use super::answer::{ask, explain};
use super::completion::Completion;
use super::statement::is_blank;
use crate::client::Client;
use crate::commands::say::say;
use crate::exit::{Code, Failure};

const HELP: &str =
    "  SELECT …;         ask; a statement ends with a semicolon and may take several lines
  \\d                list topics              \\d NAME   describe one
  \\f FORMAT         table, csv or json       \\x        a JSON object a line, and back
  \\?                this help                \\q        leave (as Ctrl-D does)
  Tab completes keywords, topics and columns; Ctrl-C cancels a query, or the line being typed.";

/// Asks until it is left.
pub(super) async fn run(client: Client, format: RowFormat) -> Result<(), Failure> {
    let version = env!("CARGO_PKG_VERSION");
    let mut completion = Completion { names: Arc::new(names(&client).await?) };
    say!("posthouse {version}; \\? for help, \\q to leave");
    let mut prompt = Prompt { client, format, editor: editor()? };
    loop {
        prompt.editor.set_helper(Some(completion.clone()));
        match prompt.read()? {
            Line::Statement(text) => {
                prompt.answer(&text).await?;
                if changes_names(&text) {
                    completion.names = Arc::new(names(&prompt.client).await?);
                }
            }
            Line::Command(text) => {
                if !prompt.command(&text).await? {
                    break;
                }
            }
            Line::Nothing => {}
            Line::End => break,
        }
    }
    if let Some(path) = history_path() {
        // A history that cannot be kept is no reason to complain on the way out.
        let _ = prompt.editor.save_history(&path);
    }
    Ok(())
}

enum Line {
    Statement(String),
    Command(String),
    Nothing,
    End,
}

struct Prompt {
    client: Client,
    format: RowFormat,
    editor: Editor<Completion, FileHistory>,
}

impl Prompt {
    fn read(&mut self) -> Result<Line, Failure> {
        let read = self.editor.readline("posthouse> ");
        Ok(match read {
            Ok(text) if text.trim_start().starts_with('\\') => {
                Line::Command(text.trim().to_owned())
            }
            Ok(text) if matches!(text.trim(), "help" | "quit" | "exit") => {
                Line::Command(if text.trim() == "help" { "\\?" } else { "\\q" }.to_owned())
            }
            Ok(text) if is_blank(&text) => Line::Nothing,
            Ok(text) => {
                if !may_hold_password(&text) {
                    let _ = self.editor.add_history_entry(text.trim());
                }
                Line::Statement(text)
            }
            Err(ReadlineError::Interrupted) => Line::Nothing,
            Err(ReadlineError::Eof) => Line::End,
            Err(error) => return Err(Failure::from_error(Code::Failed, &error)),
        })
    }

    /// Ctrl-C ends the query and not the prompt.
    async fn answer(&self, query: &str) -> Result<(), Failure> {
        tokio::select! {
            asked = ask(&self.client, query, self.format) => match asked {
                Ok(Ok(())) => {}
                Ok(Err(problem)) => eprintln!("error: {}", explain(query, &problem)),
                Err(failure) => eprintln!("{failure}"),
            },
            _ = tokio::signal::ctrl_c() => eprintln!("cancelled"),
        }
        Ok(())
    }

    /// False when it is the one that leaves.
    async fn command(&mut self, text: &str) -> Result<bool, Failure> {
        let (name, argument) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let argument = argument.trim().trim_end_matches(';');
        match name {
            "\\q" => return Ok(false),
            "\\?" | "\\h" => say!("{HELP}"),
            "\\d" | "\\dt" if argument.is_empty() => self.answer(TOPICS).await?,
            "\\d" => self.answer(&columns_of(argument)).await?,
            "\\x" => {
                let on = self.format == RowFormat::Json;
                self.format = if on { RowFormat::Table } else { RowFormat::Json };
            }
            "\\f" => match argument {
                "table" => self.format = RowFormat::Table,
                "csv" => self.format = RowFormat::Csv,
                "json" => self.format = RowFormat::Json,
                other => eprintln!("{other:?} is neither table, csv nor json"),
            },
            other => eprintln!("there is no command {other}; \\? lists them"),
        }
        Ok(true)
    }
}

const TOPICS: &str = "SELECT table_name AS topic FROM information_schema.tables \
    WHERE table_schema = 'public' ORDER BY table_name";

fn columns_of(topic: &str) -> String {
    let name = topic.trim_matches('"').replace('\'', "''");
    format!(
        "SELECT column_name AS column, CASE \
             WHEN data_type LIKE 'Utf8%' THEN 'TEXT' WHEN data_type LIKE 'Binary%' THEN 'BYTEA' \
             WHEN data_type = 'Int32' THEN 'INT' WHEN data_type = 'Int64' THEN 'BIGINT' \
             WHEN data_type = 'Float64' THEN 'DOUBLE' WHEN data_type LIKE 'Timestamp%' THEN 'TIMESTAMP' \
             ELSE upper(data_type) END AS type \
         FROM information_schema.columns \
         WHERE table_schema = 'public' AND table_name = '{name}' ORDER BY ordinal_position"
    )
}

fn editor() -> Result<Editor<Completion, FileHistory>, Failure> {
    let config = Config::builder().auto_add_history(false).build();
    let mut editor =
        Editor::with_config(config).map_err(|error| Failure::from_error(Code::Failed, &error))?;
    if let Some(path) = history_path() {
        // There is none before the first time.
        let _ = editor.load_history(&path);
    }
    Ok(editor)
}

fn history_path() -> Option<PathBuf> {
    Some(PathBuf::from(std::env::var_os("HOME")?).join(".posthouse_history"))
}

/// What is kept in a file is there for others to read.
fn may_hold_password(statement: &str) -> bool {
    statement.to_ascii_lowercase().contains("password")
}

fn changes_names(statement: &str) -> bool {
    let first = statement.split_whitespace().next().unwrap_or_default();
    ["create", "drop", "alter", "insert"].iter().any(|word| first.eq_ignore_ascii_case(word))
}

/// The topics and their columns; also the first sign of whether a node answers.
async fn names(client: &Client) -> Result<Vec<String>, Failure> {
    let topics: Vec<Value> = client.json(client.request(Method::GET, &["topics"])).await?;
    let mut names = Vec::new();
    for topic in topics.iter().filter_map(|topic| topic["name"].as_str()) {
        names.push(identifier(topic));
        // A topic may be deleted in between; then it has no columns to offer.
        let Ok(described) = client.get(&["topics", topic]).await else { continue };
        let columns = described["schema"]["columns"].as_array().cloned().unwrap_or_default();
        names.extend(columns.iter().filter_map(|column| column["name"].as_str()).map(identifier));
    }
    names.extend(
        ["_key", "_value", "_partition", "_offset", "_timestamp", "_headers", "_error"]
            .map(str::to_owned),
    );
    names.sort();
    names.dedup();
    Ok(names)
}

/// A name as SQL takes it: in quotes when it is not plain lower case.
fn identifier(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    let is_plain = name
        .bytes()
        .enumerate()
        .all(|(index, byte)| plain(byte) || (index > 0 && byte.is_ascii_digit()));
    if is_plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_need_quotes_get_them() {
        assert_eq!(identifier("dep_delay2"), "dep_delay2");
        assert_eq!(identifier("orders:eu"), "\"orders:eu\"");
        assert_eq!(identifier("Orders"), "\"Orders\"");
        assert_eq!(identifier("2fast"), "\"2fast\"");
    }
}
