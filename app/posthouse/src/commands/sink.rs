//! `posthouse sink`: topics and channels written into files on the node's machine.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::say::say;
use super::table::{Table, count, text};
use crate::cli::NodeArgs;
use crate::client::Client;
use crate::exit::Failure;

/// List, make, describe and delete file sinks.
#[derive(Args, Debug)]
pub(crate) struct SinkArgs {
    #[command(subcommand)]
    command: SinkCommand,
    #[command(flatten)]
    node: NodeArgs,
}

#[derive(Debug, Subcommand)]
enum SinkCommand {
    /// List the file sinks
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Write a topic, or channels, into a file
    Create(CreateArgs),
    /// Show what a file sink writes, and how it is doing
    Describe {
        /// The sink
        name: String,
    },
    /// Delete a file sink; its files stay
    Delete {
        /// The sink
        name: String,
    },
}

#[derive(Args, Debug)]
struct CreateArgs {
    /// Its name
    name: String,
    /// The file, below the node's file_sink.directory
    file: String,
    /// The topic
    #[arg(long, required_unless_present = "channel", conflicts_with = "channel")]
    topic: Option<String>,
    /// Or the channels
    #[arg(long)]
    channel: Option<String>,
    /// What --channel is: name, prefix or glob
    #[arg(long, value_name = "KIND", requires = "channel")]
    r#match: Option<String>,
    /// lines: the value and a line end; json: one JSON object a line
    #[arg(long, default_value = "lines")]
    format: String,
    /// Where to begin in a topic: beginning or end
    #[arg(long, value_name = "PLACE", conflicts_with = "channel")]
    start: Option<String>,
    /// Begin another file before this one would be longer; 0: never
    #[arg(long, value_name = "BYTES")]
    rotate_bytes: Option<u64>,
    /// Begin another file when the first line of this one is so many milliseconds old
    #[arg(long, value_name = "MS")]
    rotate_ms: Option<u64>,
    /// Files kept beside the one that is written
    #[arg(long, value_name = "N")]
    keep: Option<u32>,
}

/// Does what was asked.
pub(crate) async fn run(args: SinkArgs) -> Result<(), Failure> {
    let client = Client::new(&args.node)?;
    match args.command {
        SinkCommand::List { json } => list(&client.get(&["sinks"]).await?, json),
        SinkCommand::Create(create) => {
            let request = client.request(Method::POST, &["sinks"]).json(&create.body());
            let made: Value = client.json(request).await?;
            say!("made sink {}, which writes {}", create.name, text(&made["file"]));
        }
        SinkCommand::Describe { name } => say!("{:#}", client.get(&["sinks", &name]).await?),
        SinkCommand::Delete { name } => {
            client.send(client.request(Method::DELETE, &["sinks", &name])).await?;
            say!("deleted sink {name}; its files stay");
        }
    }
    Ok(())
}

impl CreateArgs {
    /// What was not said is left to the node.
    fn body(&self) -> Value {
        let mut body = json!({ "name": self.name, "file": self.file, "format": self.format });
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                body[name] = value;
            }
        };
        set("topic", self.topic.clone().map(Value::from));
        set("channel", self.channel.clone().map(Value::from));
        set("match", self.r#match.clone().map(Value::from));
        set("start", self.start.clone().map(Value::from));
        let size = |bytes: u64| if bytes == 0 { Value::Null } else { bytes.into() };
        set("rotate_bytes", self.rotate_bytes.map(size));
        set("rotate_ms", self.rotate_ms.map(Value::from));
        set("keep", self.keep.map(Value::from));
        body
    }
}

fn list(sinks: &Value, json: bool) {
    if json {
        say!("{sinks:#}");
        return;
    }
    let mut table = Table::new(&["name", "from", "file", "state", "lines", "lag"]);
    for sink in sinks.as_array().into_iter().flatten() {
        let status = &sink["status"];
        let from = sink["topic"].as_str().or(sink["channel"].as_str()).unwrap_or_default();
        table.row([
            text(&sink["name"]),
            from.to_owned(),
            text(&sink["file"]),
            text(&status["state"]),
            count(&status["lines"]),
            count(&status["lag"]),
        ]);
    }
    table.print("no file sinks yet; `posthouse sink create NAME FILE --topic TOPIC` makes one");
}
