//! `posthouse queue`: topics consumed one message at a time.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::say::say;
use super::table::{Table, count, text};
use crate::cli::NodeArgs;
use crate::client::Client;
use crate::exit::Failure;

/// List, make, describe, move and delete queues.
#[derive(Args, Debug)]
pub(crate) struct QueueArgs {
    #[command(subcommand)]
    command: QueueCommand,
    #[command(flatten)]
    node: NodeArgs,
}

#[derive(Debug, Subcommand)]
enum QueueCommand {
    /// List the queues
    List {
        /// Only those of this topic
        #[arg(long)]
        topic: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Make a queue over a topic
    Create(CreateArgs),
    /// Show how a queue behaves, and where it is in each partition
    Describe {
        #[command(flatten)]
        queue: QueueName,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show messages that were delivered and are not acknowledged, and who holds them
    Pending {
        #[command(flatten)]
        queue: QueueName,
        /// Only this owner's
        #[arg(long)]
        owner: Option<String>,
        /// Most messages
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: u32,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Go on delivering at another place; what is leased stays so
    Reset {
        #[command(flatten)]
        queue: QueueName,
        /// Only this partition; all when not given
        #[arg(long, value_name = "N")]
        partition: Option<u32>,
        /// beginning, end, or an offset
        #[arg(long, value_name = "PLACE")]
        to: String,
    },
    /// Delete a queue; its topic stays
    Delete {
        #[command(flatten)]
        queue: QueueName,
    },
}

/// Which queue.
#[derive(Args, Debug)]
struct QueueName {
    /// The topic
    topic: String,
    /// The group
    group: String,
}

#[derive(Args, Debug)]
struct CreateArgs {
    #[command(flatten)]
    queue: QueueName,
    /// beginning, end, or an offset
    #[arg(long, value_name = "PLACE", default_value = "beginning")]
    start: String,
    /// How long a lease lasts, in milliseconds; 0: until it is acknowledged
    #[arg(long, value_name = "MS", default_value_t = 30_000)]
    lock_ms: u64,
    /// Deliveries of one message before it is dead-lettered; 0: any number
    #[arg(long, value_name = "N", default_value_t = 5)]
    deliveries_max: u32,
    /// Messages of one partition that may be pending
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    window_max: u32,
    /// The topic that rejected messages go to
    #[arg(long, value_name = "TOPIC")]
    dead_letter: Option<String>,
}

/// Does what was asked.
pub(crate) async fn run(args: QueueArgs) -> Result<(), Failure> {
    let client = Client::new(&args.node)?;
    match args.command {
        QueueCommand::List { topic, json } => {
            let parameters: Vec<_> = topic.into_iter().map(|topic| ("topic", topic)).collect();
            let request = client.request_with(Method::GET, &["queues"], &parameters);
            list(&client.json(request).await?, json);
        }
        QueueCommand::Create(create) => {
            let request = client.request(Method::POST, &create.queue.path(&[]));
            let made: Value = client.json(request.json(&create.body())).await?;
            say!("made queue {} over topic {}", text(&made["group"]), text(&made["topic"]));
        }
        QueueCommand::Describe { queue, json } => {
            let body = client.get(&queue.path(&[])).await?;
            if json { say!("{body:#}") } else { describe(&body) }
        }
        QueueCommand::Pending { queue, owner, limit, json } => {
            let mut parameters = vec![("limit", limit.to_string())];
            parameters.extend(owner.map(|owner| ("owner", owner)));
            let path = queue.path(&["pending"]);
            let request = client.request_with(Method::GET, &path, &parameters);
            pending(&client.json(request).await?, json);
        }
        QueueCommand::Reset { queue, partition, to } => {
            let mut body = json!({ "to": to });
            if let Some(partition) = partition {
                body["partition"] = partition.into();
            }
            let request = client.request(Method::PATCH, &queue.path(&[])).json(&body);
            describe(&client.json(request).await?);
        }
        QueueCommand::Delete { queue } => {
            client.send(client.request(Method::DELETE, &queue.path(&[]))).await?;
            say!("deleted queue {} of topic {}", queue.group, queue.topic);
        }
    }
    Ok(())
}

impl QueueName {
    fn path<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        [&["queues", &self.topic, &self.group], more].concat()
    }
}

impl CreateArgs {
    /// Zero stands for what the node calls `null`.
    fn body(&self) -> Value {
        json!({
            "start": self.start,
            "lock_ms": (self.lock_ms > 0).then_some(self.lock_ms),
            "deliveries_max": (self.deliveries_max > 0).then_some(self.deliveries_max),
            "window_max": self.window_max,
            "dead_letter": self.dead_letter,
        })
    }
}

fn list(queues: &Value, json: bool) {
    if json {
        say!("{queues:#}");
        return;
    }
    let mut table = Table::new(&["topic", "group", "owners", "pending"]);
    for queue in queues.as_array().into_iter().flatten() {
        let (topic, group) = (text(&queue["topic"]), text(&queue["group"]));
        table.row([topic, group, count(&queue["owners"]), count(&queue["pending"])]);
    }
    table.print("no queues yet; `posthouse queue create TOPIC GROUP` makes one");
}

fn describe(queue: &Value) {
    say!("queue {} of topic {}", text(&queue["group"]), text(&queue["topic"]));
    say!("lock: {}", limit(&queue["lock_ms"], " ms", "none"));
    say!("deliveries: {}", limit(&queue["deliveries_max"], " at most", "any number"));
    say!("window: {} a partition", count(&queue["window_max"]));
    say!("dead letters: {}", queue["dead_letter"].as_str().unwrap_or("nowhere"));
    say!();
    let head = ["partition", "start", "next", "end", "leased", "available", "rejected"];
    let mut table = Table::new(&head);
    for partition in queue["partitions"].as_array().into_iter().flatten() {
        table.row(head.map(|column| count(&partition[column])));
    }
    table.print("");
}

fn pending(messages: &Value, json: bool) {
    if json {
        say!("{messages:#}");
        return;
    }
    let mut table = Table::new(&["partition", "offset", "state", "owner", "idle_ms", "deliveries"]);
    for message in messages.as_array().into_iter().flatten() {
        table.row([
            count(&message["partition"]),
            count(&message["offset"]),
            text(&message["state"]),
            text(&message["owner"]),
            count(&message["idle_ms"]),
            count(&message["delivery_count"]),
        ]);
    }
    table.print("nothing is pending");
}

fn limit(value: &Value, unit: &str, none: &str) -> String {
    if value.is_null() { none.to_owned() } else { count(value) + unit }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_no_limit() {
        let mut create = CreateArgs {
            queue: QueueName { topic: "t".to_owned(), group: "g".to_owned() },
            start: "end".to_owned(),
            lock_ms: 0,
            deliveries_max: 0,
            window_max: 7,
            dead_letter: None,
        };
        let body = create.body();
        assert!(body["lock_ms"].is_null() && body["deliveries_max"].is_null());
        create.lock_ms = 5;
        assert_eq!((&create.body()["lock_ms"], &body["window_max"]), (&5.into(), &7.into()));
    }
}
