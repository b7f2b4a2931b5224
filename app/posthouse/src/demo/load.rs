//! Makes the demo's topics and fills those that are not full, with a progress bar.
//!
//! A topic that was filled only in part, because the demo was interrupted, is made anew.

use std::io::IsTerminal;
use std::net::SocketAddr;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use posthouse_types::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};

use super::data::{DATASETS, Dataset};
use super::kafka::Producer;
use crate::client::Client;
use crate::commands::produce::csv_object;
use crate::commands::say::say;
use crate::commands::table::grouped;
use crate::exit::{Code, Failure};

/// Loads every dataset that is not there.
pub(super) async fn load_all(client: &Client, kafka: SocketAddr) -> Result<(), Failure> {
    for dataset in &DATASETS {
        match records_in(client, dataset).await? {
            Some(found) if found >= dataset.records => {
                say!(
                    "{:<9} {:>8} records are there from before",
                    dataset.topic,
                    grouped_u64(found)
                );
                continue;
            }
            Some(_) => {
                client.send(client.request(Method::DELETE, &["topics", dataset.topic])).await?;
            }
            None => {}
        }
        make_topic(client, dataset).await?;
        load(dataset, kafka).await?;
    }
    say!();
    Ok(())
}

/// How many records its topic holds; `None` when there is no topic.
async fn records_in(client: &Client, dataset: &Dataset) -> Result<Option<u64>, Failure> {
    let topics: Vec<Value> = client.json(client.request(Method::GET, &["topics"])).await?;
    let topic = topics.iter().find(|topic| topic["name"] == dataset.topic);
    Ok(topic.and_then(|topic| topic["records"].as_u64()))
}

async fn make_topic(client: &Client, dataset: &Dataset) -> Result<(), Failure> {
    let column = |(name, data_type): &(&str, &str)| json!({ "name": name, "type": data_type });
    let body = json!({
        "name": dataset.topic,
        "partitions": dataset.partitions,
        // The records are years old; the usual week would delete them at once.
        "config": { "retention.ms": "-1" },
        "schema": {
            "format": "json",
            "columns": dataset.columns.iter().map(column).collect::<Vec<_>>(),
        },
    });
    client.send(client.request(Method::POST, &["topics"]).json(&body)).await.map(drop)
}

async fn load(dataset: &Dataset, kafka: SocketAddr) -> Result<(), Failure> {
    let bar = progress_bar(dataset);
    let mut producer = Producer::connect(kafka, dataset.topic, dataset.partitions).await?;
    let mut rows = dataset.rows()?;
    let wrong = |error: csv::Error| Failure::from_error(Code::Failed, &error);
    let head = rows.headers().map_err(wrong)?.clone();
    let column = |name: &str| head.iter().position(|column| column == name);
    let (key, time) = (column(dataset.key).unwrap_or(0), dataset.time.and_then(column));
    let now = Timestamp::from_ms(jiff::Timestamp::now().as_millisecond());
    let mut row = csv::StringRecord::new();
    while rows.read_record(&mut row).map_err(wrong)? {
        let timestamp = time.and_then(|time| row.get(time)).and_then(timestamp).unwrap_or(now);
        let key = row.get(key).unwrap_or_default();
        producer.push(timestamp, key.as_bytes(), csv_object(&head, &row).as_bytes()).await?;
        bar.set_position(producer.acknowledged());
    }
    producer.finish().await?;
    let seconds = bar.elapsed().as_secs_f64();
    bar.finish_and_clear();
    say!(
        "{:<9} {:>8} records went in through the kafka door in {seconds:.1} s",
        dataset.topic,
        grouped_u64(producer.acknowledged())
    );
    Ok(())
}

fn timestamp(text: &str) -> Option<Timestamp> {
    let time: jiff::Timestamp = text.parse().ok()?;
    Some(Timestamp::from_ms(time.as_millisecond()))
}

fn progress_bar(dataset: &Dataset) -> ProgressBar {
    let bar = ProgressBar::new(dataset.records).with_message(dataset.topic);
    if !std::io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    let template = "{msg:<9} {human_pos:>8} of {human_len} records  {bar:32}  {per_sec}";
    bar.with_style(
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
    )
}

fn grouped_u64(number: u64) -> String {
    grouped(i64::try_from(number).unwrap_or(i64::MAX))
}
