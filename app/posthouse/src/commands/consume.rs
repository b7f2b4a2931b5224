//! `posthouse consume`: records to lines.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::BytesMut;
use clap::{Args, ValueEnum};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cli::NodeArgs;
use crate::client::Client;
use crate::exit::{Code, Failure};

/// A group's offsets are committed this often while records come.
const COMMIT_INTERVAL: Duration = Duration::from_secs(5);

/// Read records.
///
/// Without --follow, what is there now is read to its end.
#[derive(Args, Debug)]
pub(crate) struct ConsumeArgs {
    /// The topic
    topic: String,
    /// Where to begin: beginning, end, an offset, or a time such as 2013-07-01T12:00:00Z [default: beginning]
    #[arg(long, value_name = "PLACE", value_parser = place)]
    from: Option<String>,
    /// Only this partition
    #[arg(long, value_name = "N")]
    partition: Option<u32>,
    /// Begin where this group is, and move it as records are printed. It does not share partitions with other members
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// Stop after this many records
    #[arg(long, short = 'n', value_name = "N")]
    max: Option<u64>,
    /// Wait for new records, until Ctrl-C
    #[arg(long, short)]
    follow: bool,
    /// What is printed of a record
    #[arg(long, value_enum, default_value_t = OutputFormat::Value)]
    format: OutputFormat,
    #[command(flatten)]
    node: NodeArgs,
}

/// A place in a topic, checked before a node is asked.
pub(crate) fn place(text: &str) -> Result<String, String> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_word = matches!(text, "beginning" | "earliest" | "end" | "latest");
    if is_number || is_word || text.parse::<jiff::Timestamp>().is_ok() {
        return Ok(text.to_owned());
    }
    Err("write beginning, end, an offset, or a time such as 2013-07-01T12:00:00Z".to_owned())
}

/// What is printed of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OutputFormat {
    /// The value, byte for byte, and a line end
    Value,
    /// The key, a tab, and the value
    KeyValue,
    /// Everything, as a JSON object
    Json,
}

/// What is used of a record that the HTTP door sends.
#[derive(Deserialize)]
struct Record {
    partition: u32,
    offset: i64,
    key: Option<String>,
    key_base64: Option<String>,
    value: Option<String>,
    value_base64: Option<String>,
}

/// Prints what is asked for.
pub(crate) async fn run(args: ConsumeArgs) -> Result<(), Failure> {
    let client = Client::new(&args.node)?;
    let mut query: Vec<(&str, String)> = Vec::new();
    query.extend(args.from.clone().map(|from| ("from", from)));
    query.extend(args.partition.map(|partition| ("partition", partition.to_string())));
    query.extend(args.group.clone().map(|group| ("group", group)));
    query.extend(args.max.map(|max| ("max", max.to_string())));
    if args.follow {
        query.push(("follow", "true".to_owned()));
    }
    let request = client.request_with(Method::GET, &["topics", &args.topic, "records"], &query);
    let response = client.send(request).await?;
    let mut printer = Printer::new(client.clone(), &args);
    let printed = tokio::select! {
        printed = printer.print_all(response) => printed,
        _ = tokio::signal::ctrl_c() => Ok(()),
    };
    // What was printed was consumed, however it ended.
    let committed = printer.flush_and_commit().await;
    match printed {
        // Whoever reads us has gone: `posthouse consume … | head`.
        Err(failure) if failure.is_broken_pipe() => Ok(()),
        printed => printed.and(committed),
    }
}

/// Prints lines and remembers how far it came.
struct Printer {
    client: Client,
    topic: String,
    group: Option<String>,
    format: OutputFormat,
    output: BufWriter<io::Stdout>,
    positions: BTreeMap<u32, i64>,
    committed_at: Instant,
}

impl Printer {
    fn new(client: Client, args: &ConsumeArgs) -> Printer {
        Printer {
            client,
            topic: args.topic.clone(),
            group: args.group.clone(),
            format: args.format,
            output: BufWriter::with_capacity(64 * 1024, io::stdout()),
            positions: BTreeMap::new(),
            committed_at: Instant::now(),
        }
    }

    async fn print_all(&mut self, mut response: reqwest::Response) -> Result<(), Failure> {
        let mut buffer = BytesMut::new();
        while let Some(piece) =
            response.chunk().await.map_err(|error| self.client.unreachable(&error))?
        {
            buffer.extend_from_slice(&piece);
            while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                let line = buffer.split_to(end + 1);
                self.print(line.trim_ascii_end())?;
            }
            self.output.flush()?;
            if self.committed_at.elapsed() >= COMMIT_INTERVAL {
                self.flush_and_commit().await?;
            }
        }
        Ok(())
    }

    fn print(&mut self, line: &[u8]) -> Result<(), Failure> {
        if line.is_empty() {
            return Ok(());
        }
        let record: Record = serde_json::from_slice(line).map_err(|error| {
            Failure::new(Code::Failed, format!("the node sent a line that is no record: {error}"))
        })?;
        self.positions.insert(record.partition, record.offset + 1);
        match self.format {
            OutputFormat::Json => self.output.write_all(line)?,
            OutputFormat::Value => self.output.write_all(&record.value()?)?,
            OutputFormat::KeyValue => {
                self.output.write_all(&record.key()?)?;
                self.output.write_all(b"\t")?;
                self.output.write_all(&record.value()?)?;
            }
        }
        self.output.write_all(b"\n")?;
        Ok(())
    }

    async fn flush_and_commit(&mut self) -> Result<(), Failure> {
        self.output.flush()?;
        self.committed_at = Instant::now();
        let positions = std::mem::take(&mut self.positions);
        let Some(group) = &self.group else { return Ok(()) };
        if positions.is_empty() {
            return Ok(());
        }
        let offset = |(partition, offset): (u32, i64)| json!({ "topic": self.topic, "partition": partition, "offset": offset });
        let body = json!({ "offsets": positions.into_iter().map(offset).collect::<Vec<Value>>() });
        let request = self.client.request(Method::POST, &["groups", group, "offsets"]).json(&body);
        self.client.send(request).await.map(drop)
    }
}

impl Record {
    fn key(&self) -> Result<Vec<u8>, Failure> {
        bytes(self.key.as_deref(), self.key_base64.as_deref())
    }

    fn value(&self) -> Result<Vec<u8>, Failure> {
        bytes(self.value.as_deref(), self.value_base64.as_deref())
    }
}

/// A field's bytes; none of a null.
fn bytes(text: Option<&str>, encoded: Option<&str>) -> Result<Vec<u8>, Failure> {
    match (text, encoded) {
        (Some(text), _) => Ok(text.as_bytes().to_vec()),
        (None, Some(encoded)) => BASE64.decode(encoded).map_err(|error| {
            Failure::new(Code::Failed, format!("the node sent bytes that are no base64: {error}"))
        }),
        (None, None) => Ok(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_records_bytes_come_back_as_they_were() {
        let line = r#"{"partition":0,"offset":7,"timestamp":1,"key":"k","value_base64":"/wA=","headers":[]}"#;
        let record: Record = serde_json::from_str(line).unwrap();
        assert_eq!(record.key().unwrap(), b"k");
        assert_eq!(record.value().unwrap(), [0xff, 0]);
        assert!(bytes(None, Some("%")).is_err());
        assert_eq!(bytes(None, None).unwrap(), b"");
    }
}
