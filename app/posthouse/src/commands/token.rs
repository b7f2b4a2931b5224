//! `posthouse token`: API tokens, which stand for their users until they end.

use std::time::Duration;

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::say::say;
use super::table::{Table, text};
use crate::cli::NodeArgs;
use crate::client::Client;
use crate::config::parse_duration;
use crate::exit::Failure;

/// Make, list and end API tokens.
#[derive(Args, Debug)]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    command: TokenCommand,
    #[command(flatten)]
    node: NodeArgs,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// List the tokens, without what makes them work
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Make a token, and print it: it is not shown again
    Create {
        /// Whose it is; your own, when left out
        user: Option<String>,
        /// What you call it
        #[arg(long, value_name = "TEXT", default_value = "")]
        label: String,
        /// When it ends, such as `30 d`; never, when left out
        #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
        expires: Option<Duration>,
    },
    /// End a token; connections that use it are closed
    Delete {
        /// Its id
        id: String,
    },
}

/// Does what was asked.
pub(crate) async fn run(args: TokenArgs) -> Result<(), Failure> {
    let client = Client::new(&args.node)?;
    match args.command {
        TokenCommand::List { json } => list(&client.get(&["tokens"]).await?, json),
        TokenCommand::Create { user, label, expires } => {
            let expires_in_ms =
                expires.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
            let body = json!({ "user": user, "label": label, "expires_in_ms": expires_in_ms });
            let made: Value =
                client.json(client.request(Method::POST, &["tokens"]).json(&body)).await?;
            say!("{}", text(&made["token"]));
        }
        TokenCommand::Delete { id } => {
            client.send(client.request(Method::DELETE, &["tokens", &id])).await?;
            say!("ended token {id}");
        }
    }
    Ok(())
}

fn list(tokens: &Value, json: bool) {
    if json {
        say!("{tokens:#}");
        return;
    }
    let mut table = Table::new(&["id", "user", "label", "created", "expires"]);
    for token in tokens.as_array().into_iter().flatten() {
        table.row([
            text(&token["id"]),
            text(&token["user"]),
            text(&token["label"]),
            time(&token["created_ms"]),
            if token["expires_ms"].is_null() {
                "never".to_owned()
            } else {
                time(&token["expires_ms"])
            },
        ]);
    }
    table.print("no tokens yet; `posthouse token create USER` makes one");
}

fn time(ms: &Value) -> String {
    let at = ms.as_i64().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    at.map_or_else(|| text(ms), |at| format!("{at:.0}"))
}
