//! `posthouse sql`: one query, or a prompt.

mod answer;
mod completion;
mod prompt;
mod statement;

use std::io::IsTerminal;

use clap::{Args, ValueEnum};

use self::answer::{ask, explain};
use crate::cli::NodeArgs;
use crate::client::Client;
use crate::exit::{Code, Failure};

/// Ask in SQL; without a query, a prompt.
#[derive(Args, Debug)]
pub(crate) struct SqlArgs {
    /// One or more statements; - reads them from standard input
    query: Option<String>,
    /// How rows are printed [default: table on a terminal, csv in a pipe]
    #[arg(long, value_enum)]
    format: Option<RowFormat>,
    #[command(flatten)]
    node: NodeArgs,
}

/// How rows are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RowFormat {
    /// Aligned columns
    Table,
    /// Comma-separated values under a line of names
    Csv,
    /// A JSON object a line
    Json,
}

/// Answers one query, or as many as are typed.
pub(crate) async fn run(args: SqlArgs) -> Result<(), Failure> {
    let client = Client::new(&args.node)?;
    let on_terminal = std::io::stdout().is_terminal();
    let format = args.format.unwrap_or(if on_terminal { RowFormat::Table } else { RowFormat::Csv });
    let from_terminal = std::io::stdin().is_terminal();
    match args.query.as_deref() {
        None if from_terminal => prompt::run(client, format).await,
        None | Some("-") => {
            answer(&client, &std::io::read_to_string(std::io::stdin())?, format).await
        }
        Some(query) => answer(&client, query, format).await,
    }
}

async fn answer(client: &Client, query: &str, format: RowFormat) -> Result<(), Failure> {
    tokio::select! {
        asked = ask(client, query, format) => match asked? {
            Ok(()) => Ok(()),
            Err(problem) => Err(Failure::new(Code::Failed, explain(query, &problem))),
        },
        // Leaving ends the connection, which ends the query.
        _ = tokio::signal::ctrl_c() => Err(Failure::new(Code::Interrupted, "cancelled")),
    }
}
