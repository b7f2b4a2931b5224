//! `posthouse group`: where consumer groups are, and moving them.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::say::say;
use super::table::{Table, count, text};
use crate::cli::NodeArgs;
use crate::client::Client;
use crate::exit::Failure;

/// List, describe, reset and delete consumer groups.
#[derive(Args, Debug)]
pub(crate) struct GroupArgs {
    #[command(subcommand)]
    command: GroupCommand,
    #[command(flatten)]
    node: NodeArgs,
}

#[derive(Debug, Subcommand)]
enum GroupCommand {
    /// List the groups
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show a group's members, offsets and lag
    Describe {
        /// Its name
        group: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Move a group without members to another place in a topic
    Reset {
        /// Its name
        group: String,
        /// The topic
        #[arg(long)]
        topic: String,
        /// Only these partitions; all when not given
        #[arg(long, value_name = "N", value_delimiter = ',')]
        partition: Vec<u32>,
        /// beginning, end, an offset, or a time such as 2013-07-01T12:00:00Z
        #[arg(long, value_name = "PLACE", value_parser = super::consume::place)]
        to: String,
    },
    /// Delete a group without members, and its offsets
    Delete {
        /// Its name
        group: String,
    },
}

/// Does what was asked.
pub(crate) async fn run(args: GroupArgs) -> Result<(), Failure> {
    let client = Client::new(&args.node)?;
    match args.command {
        GroupCommand::List { json } => list(&client.get(&["groups"]).await?, json),
        GroupCommand::Describe { group, json } => {
            let body = client.get(&["groups", &group]).await?;
            if json { say!("{body:#}") } else { describe(&body) }
        }
        GroupCommand::Reset { group, topic, partition, to } => {
            let mut body = json!({ "topic": topic, "to": to });
            if !partition.is_empty() {
                body["partitions"] = partition.into();
            }
            let request = client.request(Method::POST, &["groups", &group, "offsets"]).json(&body);
            offsets(&client.json(request).await?);
        }
        GroupCommand::Delete { group } => {
            client.send(client.request(Method::DELETE, &["groups", &group])).await?;
            say!("deleted group {group}");
        }
    }
    Ok(())
}

fn list(groups: &Value, json: bool) {
    if json {
        say!("{groups:#}");
        return;
    }
    let mut table = Table::new(&["group", "state", "type"]);
    for group in groups.as_array().into_iter().flatten() {
        table.row([text(&group["group"]), text(&group["state"]), text(&group["protocol_type"])]);
    }
    table.print("no groups yet; a consumer that commits makes one");
}

fn describe(group: &Value) {
    say!("group {} is {}", text(&group["group"]), text(&group["state"]));
    let members = group["members"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !members.is_empty() {
        let mut table = Table::new(&["member", "client", "host", "assigned"]);
        for member in members {
            table.row([
                text(&member["member"]),
                text(&member["client"]),
                text(&member["host"]),
                assigned(&member["assigned"]),
            ]);
        }
        say!();
        table.print("");
    }
    say!();
    offsets(group);
}

fn offsets(group: &Value) {
    let mut table = Table::new(&["topic", "partition", "offset", "end", "lag"]);
    for entry in group["offsets"].as_array().into_iter().flatten() {
        table.row([
            text(&entry["topic"]),
            count(&entry["partition"]),
            count(&entry["offset"]),
            count(&entry["end"]),
            count(&entry["lag"]),
        ]);
    }
    table.print("it has committed no offsets");
}

/// `flights[0,1] weather[0]`.
fn assigned(topics: &Value) -> String {
    let topic = |(name, partitions): (&String, &Value)| {
        let list: Vec<String> =
            partitions.as_array().into_iter().flatten().map(Value::to_string).collect();
        format!("{name}[{}]", list.join(","))
    };
    let topics: Vec<String> = topics.as_object().into_iter().flatten().map(topic).collect();
    topics.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assignment_is_one_line() {
        let topics = json!({ "flights": [0, 1], "weather": [0] });
        assert_eq!(assigned(&topics), "flights[0,1] weather[0]");
        assert_eq!(assigned(&Value::Null), "");
    }
}
