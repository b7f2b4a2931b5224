//! `posthouse topic`: make, list, describe, change and delete topics.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::say::say;
use super::table::{Table, bytes, count, text};
use crate::cli::NodeArgs;
use crate::client::Client;
use crate::exit::{Code, Failure};

/// Make, list, describe, change and delete topics.
#[derive(Args, Debug)]
pub(crate) struct TopicArgs {
    #[command(subcommand)]
    command: TopicCommand,
    #[command(flatten)]
    node: NodeArgs,
}

#[derive(Debug, Subcommand)]
enum TopicCommand {
    /// Make a topic
    Create {
        /// Its name
        name: String,
        /// Its partitions; the node's default when not given
        #[arg(long, short, value_name = "N")]
        partitions: Option<u32>,
        /// A setting by Kafka's name, such as retention.ms=86400000; may be repeated
        #[arg(short, long = "config", value_name = "KEY=VALUE")]
        config: Vec<String>,
        /// A column for SQL, such as 'total DOUBLE'; may be repeated
        #[arg(long = "column", value_name = "NAME TYPE")]
        columns: Vec<String>,
        /// How values decode into the columns: json, csv or raw
        #[arg(long, value_name = "FORMAT", default_value = "json", requires = "columns")]
        format: String,
        /// It is no error if the topic exists
        #[arg(long)]
        if_not_exists: bool,
    },
    /// List the topics
    List {
        /// Also those that Posthouse keeps for itself
        #[arg(long)]
        internal: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show a topic's partitions, settings and columns
    Describe {
        /// Its name
        name: String,
        /// Also the settings that are as the node has them
        #[arg(long)]
        all: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Change a topic's settings, or add partitions
    Alter {
        /// Its name
        name: String,
        /// A setting by Kafka's name; KEY= returns it to the node's default. May be repeated
        #[arg(
            short,
            long = "config",
            value_name = "KEY=VALUE",
            required_unless_present = "partitions"
        )]
        config: Vec<String>,
        /// How many partitions it is to have; more than now
        #[arg(long, short, value_name = "N")]
        partitions: Option<u32>,
    },
    /// Delete a topic and its records
    Delete {
        /// Its name
        name: String,
    },
}

/// Does what was asked.
pub(crate) async fn run(args: TopicArgs) -> Result<(), Failure> {
    let client = Client::new(&args.node)?;
    match args.command {
        TopicCommand::Create { name, partitions, config, columns, format, if_not_exists } => {
            let mut body = json!({ "name": name, "config": settings(&config, false)? });
            if let Some(partitions) = partitions {
                body["partitions"] = partitions.into();
            }
            if !columns.is_empty() {
                body["schema"] = json!({ "format": format, "columns": parse_columns(&columns)? });
            }
            create(&client, &name, &body, if_not_exists).await
        }
        TopicCommand::List { internal, json } => list(&client, internal, json).await,
        TopicCommand::Describe { name, all, json } => {
            let topic = client.get(&["topics", &name]).await?;
            if json {
                say!("{topic:#}")
            } else {
                describe(&topic, all)
            }
            Ok(())
        }
        TopicCommand::Alter { name, config, partitions } => {
            let mut body = json!({ "config": settings(&config, true)? });
            if let Some(partitions) = partitions {
                body["partitions"] = partitions.into();
            }
            let request = client.request(Method::PATCH, &["topics", &name]).json(&body);
            client.send(request).await?;
            say!("changed topic {name}");
            Ok(())
        }
        TopicCommand::Delete { name } => {
            client.send(client.request(Method::DELETE, &["topics", &name])).await?;
            say!("deleted topic {name}");
            Ok(())
        }
    }
}

async fn create(
    client: &Client,
    name: &str,
    body: &Value,
    if_not_exists: bool,
) -> Result<(), Failure> {
    let request = client.request(Method::POST, &["topics"]).json(body);
    match client.try_send(request).await? {
        Ok(_) => say!("made topic {name}"),
        Err(problem) if if_not_exists && problem.code == "topic_exists" => {
            say!("topic {name} exists");
        }
        Err(problem) => return Err(problem.into_failure()),
    }
    Ok(())
}

async fn list(client: &Client, internal: bool, json: bool) -> Result<(), Failure> {
    let internal = [("internal", internal.to_string())];
    let request = client.request_with(Method::GET, &["topics"], &internal);
    let topics: Vec<Value> = client.json(request).await?;
    if json {
        say!("{:#}", Value::from(topics));
        return Ok(());
    }
    let mut table = Table::new(&["topic", "partitions", "records", "bytes"]);
    for topic in &topics {
        table.row([
            topic["name"].as_str().unwrap_or_default().to_owned(),
            count(&topic["partitions"]),
            count(&topic["records"]),
            bytes(&topic["bytes"]),
        ]);
    }
    table.print("no topics yet; `posthouse topic create NAME` makes one");
    Ok(())
}

fn describe(topic: &Value, all: bool) {
    say!("topic {}", topic["name"].as_str().unwrap_or_default());
    say!("id    {}", topic["id"].as_str().unwrap_or_default());
    if topic["kafka_alias"] != topic["name"] {
        say!("kafka {}", topic["kafka_alias"].as_str().unwrap_or_default());
    }
    say!();
    let mut partitions = Table::new(&["partition", "from", "to", "bytes", "epoch"]);
    for partition in topic["partitions"].as_array().into_iter().flatten() {
        partitions.row([
            count(&partition["partition"]),
            count(&partition["log_start"]),
            count(&partition["end"]),
            bytes(&partition["bytes"]),
            count(&partition["leader_epoch"]),
        ]);
    }
    partitions.print("");
    if let Some(columns) = topic["schema"]["columns"].as_array() {
        say!("\nvalues are {}", topic["schema"]["format"].as_str().unwrap_or_default());
        let mut table = Table::new(&["column", "type"]);
        for column in columns {
            table.row([text(&column["name"]), text(&column["type"])]);
        }
        table.print("");
    }
    let mut settings = Table::new(&["setting", "value", ""]);
    for entry in topic["config"].as_array().into_iter().flatten() {
        let own = entry["overridden"].as_bool().unwrap_or(false);
        if own || all {
            let note = if own {
                format!("the node's: {}", text(&entry["default"]))
            } else {
                String::new()
            };
            settings.row([text(&entry["name"]), text(&entry["value"]), note]);
        }
    }
    say!();
    settings.print("every setting is as the node has it; --all lists them");
}

/// `KEY=VALUE` pairs as an object; an empty value is `null` where it may be reset.
fn settings(pairs: &[String], may_reset: bool) -> Result<Map<String, Value>, Failure> {
    let pair = |pair: &String| match pair.split_once('=') {
        Some((key, "")) if may_reset => Ok((key.trim().to_owned(), Value::Null)),
        Some((key, value)) if !key.trim().is_empty() => {
            Ok((key.trim().to_owned(), Value::from(value.trim())))
        }
        _ => Err(Failure::new(Code::Usage, format!("setting {pair:?} is not KEY=VALUE"))
            .hint("for example -c retention.ms=86400000")),
    };
    pairs.iter().map(pair).collect()
}

fn parse_columns(columns: &[String]) -> Result<Vec<Value>, Failure> {
    let column = |column: &String| match column.trim().split_once(char::is_whitespace) {
        Some((name, data_type)) => Ok(json!({ "name": name, "type": data_type.trim() })),
        None => {
            Err(Failure::new(Code::Usage, format!("column {column:?} is not a name and a type"))
                .hint("for example --column 'total DOUBLE'"))
        }
    };
    columns.iter().map(column).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_pairs_and_empty_ones_reset() {
        let pairs = |text: &str, may_reset| settings(&[text.to_owned()], may_reset).ok();
        assert_eq!(pairs("a=b=c", false).unwrap()["a"], "b=c");
        assert_eq!(pairs("a=", true).unwrap()["a"], Value::Null);
        assert_eq!(pairs("a", true), None);
        assert_eq!(pairs("=b", true), None);
    }

    #[test]
    fn a_column_has_a_name_and_a_type() {
        let parsed = parse_columns(&["total DOUBLE PRECISION".to_owned()]).unwrap();
        assert_eq!(parsed, [json!({ "name": "total", "type": "DOUBLE PRECISION" })]);
        assert!(parse_columns(&["total".to_owned()]).is_err());
    }
}
