//! `posthouse endpoint`: make, list, describe and delete ZeroMQ endpoints.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::say::say;
use super::table::{Table, count, text};
use crate::cli::NodeArgs;
use crate::client::Client;
use crate::exit::{Code, Failure};

/// Make, list, describe and delete ZeroMQ endpoints: sockets in front of topics, channels and services
#[derive(Args, Debug)]
pub(crate) struct EndpointArgs {
    #[command(subcommand)]
    command: EndpointCommand,
    #[command(flatten)]
    node: NodeArgs,
}

#[derive(Debug, Subcommand)]
enum EndpointCommand {
    /// Make an endpoint; the node keeps it, and opens it again whenever it starts
    Create(Box<CreateArgs>),
    /// List the endpoints
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show how an endpoint does, and how it was declared
    Describe {
        /// Its name
        name: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Delete an endpoint; its ports are free when this returns
    Delete {
        /// Its name
        name: String,
    },
}

#[derive(Args, Debug)]
struct CreateArgs {
    /// Its name
    name: String,
    /// What kind of socket to be: push, pull, pub, sub, xpub, xsub, req, rep, dealer, router or pair
    #[arg(long, value_name = "TYPE")]
    socket: String,
    /// Bind here, such as tcp://127.0.0.1:5555 or ipc:///run/jobs; port 0 takes a free one. May be repeated
    #[arg(long, value_name = "ADDR")]
    bind: Vec<String>,
    /// Connect to this; may be repeated
    #[arg(long, value_name = "ADDR")]
    connect: Vec<String>,
    /// The topic that it is for
    #[arg(long, value_name = "NAME")]
    topic: Option<String>,
    /// The channel that it is for
    #[arg(long, value_name = "NAME")]
    channel: Option<String>,
    /// The topic of the queue that it is for
    #[arg(long, value_name = "TOPIC", requires = "group")]
    queue: Option<String>,
    /// The group of the queue
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// The service that it is for
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// The pair that it is for
    #[arg(long, value_name = "NAME")]
    pair: Option<String>,
    /// Any other setting, such as hwm=5000 or back.socket=PUSH; may be repeated
    #[arg(short = 'c', long = "config", value_name = "KEY=VALUE")]
    config: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Does what was asked.
pub(crate) async fn run(args: EndpointArgs) -> Result<(), Failure> {
    let client = Client::new(&args.node)?;
    match args.command {
        EndpointCommand::Create(create) => {
            let request = client.request(Method::POST, &["endpoints"]).json(&create.body()?);
            let made: Value = client.json(request).await?;
            if create.json {
                say!("{made:#}");
                return Ok(());
            }
            say!("made endpoint {} {}", create.name, text(&made["target"]));
            describe(&made);
        }
        EndpointCommand::List { json } => list(&client.get(&["endpoints"]).await?, json),
        EndpointCommand::Describe { name, json } => {
            let endpoint = client.get(&["endpoints", &name]).await?;
            if json { say!("{endpoint:#}") } else { describe(&endpoint) }
        }
        EndpointCommand::Delete { name } => {
            client.send(client.request(Method::DELETE, &["endpoints", &name])).await?;
            say!("deleted endpoint {name}");
        }
    }
    Ok(())
}

impl CreateArgs {
    fn body(&self) -> Result<Value, Failure> {
        let mut body = Map::new();
        let mut add = |name: &str, value: &str| match body.get_mut(name) {
            Some(Value::Array(values)) => values.push(value.into()),
            _ => {
                body.insert(name.to_owned(), json!([value]));
            }
        };
        add("socket", &self.socket);
        self.bind.iter().for_each(|address| add("bind", address));
        self.connect.iter().for_each(|address| add("connect", address));
        for (name, value) in [
            ("topic", &self.topic),
            ("channel", &self.channel),
            ("queue", &self.queue),
            ("group", &self.group),
            ("service", &self.service),
            ("pair", &self.pair),
        ] {
            value.iter().for_each(|value| add(name, value));
        }
        for setting in &self.config {
            let Some((name, value)) = setting.split_once('=') else {
                let message = format!("--config {setting:?} is not KEY=VALUE");
                return Err(Failure::new(Code::Usage, message).hint("for example -c hwm=5000"));
            };
            add(name.trim(), value);
        }
        body.insert("name".to_owned(), self.name.as_str().into());
        Ok(Value::Object(body))
    }
}

fn list(endpoints: &Value, json: bool) {
    if json {
        say!("{endpoints:#}");
        return;
    }
    let head = ["endpoint", "socket", "target", "addresses", "state", "peers"];
    let mut table = Table::new(&head);
    for endpoint in endpoints.as_array().into_iter().flatten() {
        table.row([
            text(&endpoint["name"]),
            text(&endpoint["socket"]),
            text(&endpoint["target"]),
            texts(&endpoint["addresses"]),
            text(&endpoint["state"]),
            count(&endpoint["peers"]),
        ]);
    }
    table.print("no endpoints yet; `posthouse endpoint create` makes one");
}

fn describe(endpoint: &Value) {
    let state = text(&endpoint["state"]);
    match endpoint["reason"].as_str() {
        Some(reason) => say!("{state}: {reason}"),
        None => say!("{state}"),
    }
    say!("{} at {}", text(&endpoint["socket"]), texts(&endpoint["addresses"]));
    let counts = ["peers", "received", "sent", "dropped"];
    let counts = counts.map(|name| format!("{name} {}", count(&endpoint[name])));
    say!("{}", counts.join(", "));
    let settings = endpoint["settings"].as_object().into_iter().flatten();
    for (name, value) in settings {
        say!("  {name} = {}", texts(value));
    }
}

/// One text or several.
fn texts(value: &Value) -> String {
    match value {
        Value::Array(values) => values.iter().map(text).collect::<Vec<_>>().join(" "),
        value => text(value),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Typed {
        #[command(flatten)]
        create: CreateArgs,
    }

    #[test]
    fn what_is_typed_is_what_is_declared() {
        let typed = "e jobs --socket push --bind ipc:///a --bind ipc:///b --topic t -c hwm=7 -c bind=ipc:///c";
        let body = Typed::parse_from(typed.split(' ')).create.body().unwrap();
        let expected = json!({
            "name": "jobs", "socket": ["push"], "topic": ["t"], "hwm": ["7"],
            "bind": ["ipc:///a", "ipc:///b", "ipc:///c"],
        });
        assert_eq!(body, expected);
        let wrong = Typed::parse_from("e jobs --socket push -c hwm".split(' ')).create.body();
        assert!(wrong.unwrap_err().to_string().contains("KEY=VALUE"));
    }
}
