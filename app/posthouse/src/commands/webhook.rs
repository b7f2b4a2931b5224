//! `posthouse webhook`: topics delivered to URLs.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::say::say;
use super::table::{Table, count, text};
use crate::cli::NodeArgs;
use crate::client::Client;
use crate::exit::Failure;

/// List, make, describe, change and delete webhooks.
#[derive(Args, Debug)]
pub(crate) struct WebhookArgs {
    #[command(subcommand)]
    command: WebhookCommand,
    #[command(flatten)]
    node: NodeArgs,
}

#[derive(Debug, Subcommand)]
enum WebhookCommand {
    /// List the webhooks
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Deliver a topic to a URL; prints the secret that signs
    Create(Box<CreateArgs>),
    /// Show how a webhook delivers, and how it is doing
    Describe {
        /// The webhook
        name: String,
    },
    /// Deliver again, also after the destination ended it
    Enable {
        /// The webhook
        name: String,
    },
    /// Deliver nothing for now
    Disable {
        /// The webhook
        name: String,
    },
    /// Make another secret; the one before it signs as well, until the next time
    Rotate {
        /// The webhook
        name: String,
    },
    /// Delete a webhook, with what it had not delivered; its topic stays
    Delete {
        /// The webhook
        name: String,
    },
}

#[derive(Args, Debug)]
struct CreateArgs {
    /// Its name
    name: String,
    /// The topic
    topic: String,
    /// Where its messages go: http:// or https://
    url: String,
    /// beginning, end, or an offset
    #[arg(long, value_name = "PLACE", default_value = "end")]
    start: String,
    /// none: messages may overtake each other; partition: one at a time of each partition
    #[arg(long, value_name = "ORDER", default_value = "none")]
    order: String,
    /// Most requests at once
    #[arg(long, value_name = "N")]
    concurrency: Option<u32>,
    /// How long a request may take, in milliseconds
    #[arg(long, value_name = "MS")]
    timeout_ms: Option<u64>,
    /// Attempts of one message before it is dead-lettered; 0: any number
    #[arg(long, value_name = "N")]
    attempts_max: Option<u32>,
    /// The topic that messages go to that were given up
    #[arg(long, value_name = "TOPIC")]
    dead_letter: Option<String>,
    /// The type of every body
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// A header added to every request: NAME: VALUE
    #[arg(long = "header", short = 'H', value_name = "HEADER", value_parser = header)]
    headers: Vec<(String, Value)>,
}

/// Does what was asked.
pub(crate) async fn run(args: WebhookArgs) -> Result<(), Failure> {
    let client = Client::new(&args.node)?;
    match args.command {
        WebhookCommand::List { json } => list(&client.get(&["webhooks"]).await?, json),
        WebhookCommand::Create(create) => {
            let request = client.request(Method::POST, &["webhooks"]).json(&create.body());
            let made: Value = client.json(request).await?;
            say!("made webhook {}; its secret, which is not shown again:", create.name);
            say!("{}", text(&made["secret"]));
        }
        WebhookCommand::Describe { name } => {
            say!("{:#}", client.get(&["webhooks", &name]).await?);
        }
        WebhookCommand::Enable { name } => enable(&client, &name, true).await?,
        WebhookCommand::Disable { name } => enable(&client, &name, false).await?,
        WebhookCommand::Rotate { name } => {
            let request = client.request(Method::POST, &["webhooks", &name, "rotate"]);
            let rotated: Value = client.json(request).await?;
            say!("{}", text(&rotated["secret"]));
        }
        WebhookCommand::Delete { name } => {
            client.send(client.request(Method::DELETE, &["webhooks", &name])).await?;
            say!("deleted webhook {name}");
        }
    }
    Ok(())
}

async fn enable(client: &Client, name: &str, enabled: bool) -> Result<(), Failure> {
    let request = client.request(Method::PATCH, &["webhooks", name]);
    client.send(request.json(&json!({ "enabled": enabled }))).await?;
    say!("{} webhook {name}", if enabled { "enabled" } else { "disabled" });
    Ok(())
}

impl CreateArgs {
    /// What was not said is left to the node.
    fn body(&self) -> Value {
        let mut body = json!({
            "name": self.name,
            "topic": self.topic,
            "url": self.url,
            "start": self.start,
            "order": self.order,
            "headers": self.headers.iter().cloned().collect::<Map<String, Value>>(),
        });
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                body[name] = value;
            }
        };
        set("concurrency", self.concurrency.map(Value::from));
        set("timeout_ms", self.timeout_ms.map(Value::from));
        let attempts = |max: u32| if max == 0 { Value::Null } else { max.into() };
        set("attempts_max", self.attempts_max.map(attempts));
        set("dead_letter", self.dead_letter.clone().map(Value::from));
        set("content_type", self.content_type.clone().map(Value::from));
        body
    }
}

fn header(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once(':').ok_or("is not NAME: VALUE")?;
    Ok((name.trim().to_owned(), value.trim().into()))
}

fn list(webhooks: &Value, json: bool) {
    if json {
        say!("{webhooks:#}");
        return;
    }
    let mut table = Table::new(&["name", "topic", "url", "state", "delivered", "failed", "lag"]);
    for webhook in webhooks.as_array().into_iter().flatten() {
        let status = &webhook["status"];
        table.row([
            text(&webhook["name"]),
            text(&webhook["topic"]),
            text(&webhook["url"]),
            text(&status["state"]),
            count(&status["delivered"]),
            count(&status["failed"]),
            count(&status["lag"]),
        ]);
    }
    table.print("no webhooks yet; `posthouse webhook create NAME TOPIC URL` makes one");
}
