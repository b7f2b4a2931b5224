//! `posthouse produce`: lines, JSON or CSV to records, batch by batch.
//!
//! # Invariants
//! - One batch is on its way at a time, so records arrive in the order of the input.
//! - The exit code is 0 only when every record was acknowledged.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::table::grouped;
use crate::cli::NodeArgs;
use crate::client::Client;
use crate::exit::{Code, Failure};

/// A batch is sent once it has this many bytes or records.
const BATCH_BYTES: usize = 1024 * 1024;
const BATCH_RECORDS: usize = 10_000;
/// A batch that is not full is sent once nothing has come for so long.
const LINGER: Duration = Duration::from_millis(50);
/// LIMIT: records read and not yet in a batch.
const RECORDS_AHEAD: usize = 4096;
/// LIMIT: a record longer than this is refused before it is sent.
const RECORD_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Write records, from a file or standard input.
#[derive(Args, Clone, Debug)]
pub(crate) struct ProduceArgs {
    /// The topic; made if it does not exist and the node allows it
    topic: String,
    /// What to read; - is standard input
    #[arg(default_value = "-")]
    file: PathBuf,
    /// What the input is: each line a value; each line a JSON value; or CSV with a head, each row a JSON object
    #[arg(long, value_enum, default_value_t = InputFormat::Lines)]
    format: InputFormat,
    /// The column (csv) or member (json) whose value is the record's key
    #[arg(long, value_name = "COLUMN")]
    key: Option<String>,
    /// The key and the value of a line are parted by this
    #[arg(long, value_name = "TEXT", conflicts_with = "key")]
    key_separator: Option<String>,
    /// The partition of every record; otherwise the key decides
    #[arg(long, value_name = "N")]
    partition: Option<u32>,
    #[command(flatten)]
    node: NodeArgs,
}

/// What the input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum InputFormat {
    /// Each line is a value
    Lines,
    /// Each line is a JSON value
    Json,
    /// A head, then rows; each becomes a JSON object
    Csv,
}

/// Writes everything in the input.
pub(crate) async fn run(args: ProduceArgs) -> Result<(), Failure> {
    let client = Client::new(&args.node)?;
    let input = open(&args)?;
    let mut sender = Sender::new(client, &args);
    let result = send_all(input, args.clone(), &mut sender).await;
    sender.progress.finish_and_clear();
    let written = grouped(i64::try_from(sender.acknowledged).unwrap_or(i64::MAX));
    let ending = if result.is_ok() { "" } else { " before it failed" };
    eprintln!("wrote {written} records to {}{ending}", args.topic);
    result
}

/// Reads on a thread of its own, so that what has come can be sent while the input is silent.
async fn send_all(
    input: Box<dyn BufRead + Send>,
    args: ProduceArgs,
    sender: &mut Sender,
) -> Result<(), Failure> {
    let (records, mut arriving) = mpsc::channel(RECORDS_AHEAD);
    std::thread::spawn(move || {
        let read = match args.format {
            InputFormat::Csv => read_csv(input, &args, &records),
            InputFormat::Lines | InputFormat::Json => read_lines(input, &args, &records),
        };
        if let Err(failure) = read {
            // When nobody receives any more, another failure has ended the command.
            let _ = records.blocking_send(Err(failure));
        }
    });
    loop {
        match timeout(LINGER, arriving.recv()).await {
            Ok(Some(Ok(record))) => sender.push(record).await?,
            Ok(Some(Err(failure))) => return sender.send().await.and(Err(failure)),
            Ok(None) => return sender.send().await,
            Err(_) => sender.send().await?,
        }
    }
}

type Record = Map<String, Value>;
type Records = mpsc::Sender<Result<Record, Failure>>;

/// Hands a record on; false when nobody takes it any more.
fn hand_on(records: &Records, record: Record) -> bool {
    records.blocking_send(Ok(record)).is_ok()
}

fn open(args: &ProduceArgs) -> Result<Box<dyn BufRead + Send>, Failure> {
    if args.format == InputFormat::Lines && args.key.is_some() {
        return Err(Failure::new(Code::Usage, "--key names a column, and a line has none")
            .hint("add --format csv or --format json, or use --key-separator"));
    }
    if args.file.as_os_str() == "-" {
        if io::stdin().is_terminal() {
            eprintln!("reading records from the terminal, one a line; Ctrl-D ends");
        }
        return Ok(Box::new(BufReader::new(io::stdin())));
    }
    let file = File::open(&args.file).map_err(|error| {
        Failure::new(Code::Usage, format!("cannot read {}: {error}", args.file.display()))
    })?;
    Ok(Box::new(BufReader::with_capacity(1 << 20, file)))
}

fn read_lines(
    mut input: impl BufRead,
    args: &ProduceArgs,
    records: &Records,
) -> Result<(), Failure> {
    let mut line = Vec::new();
    let mut number = 0_u64;
    loop {
        line.clear();
        let limit = u64::try_from(RECORD_BYTES_MAX).unwrap_or(u64::MAX);
        if input.by_ref().take(limit).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        number += 1;
        if line.last() == Some(&b'\n') {
            line.pop();
            if args.format == InputFormat::Json && line.last() == Some(&b'\r') {
                line.pop();
            }
        } else if line.len() == RECORD_BYTES_MAX {
            return Err(Failure::new(
                Code::Usage,
                format!("line {number} is longer than {RECORD_BYTES_MAX} bytes"),
            ));
        }
        if args.format == InputFormat::Json && line.trim_ascii().is_empty() {
            continue;
        }
        let record = line_record(&line, args)
            .map_err(|reason| Failure::new(Code::Usage, format!("line {number} {reason}")))?;
        if !hand_on(records, record) {
            return Ok(());
        }
    }
}

/// The record of one line; the error follows `line N `.
fn line_record(line: &[u8], args: &ProduceArgs) -> Result<Record, String> {
    let mut record = Map::new();
    if args.format == InputFormat::Json {
        let value: Value =
            serde_json::from_slice(line).map_err(|error| format!("is not JSON: {error}"))?;
        if let Some(key) = &args.key {
            record.insert("key".to_owned(), key_of(&value[key], key)?);
        }
        // The text as it came, so that a number keeps its digits and an object its order.
        put(&mut record, "value", line);
    } else if let Some(separator) = args.key_separator.as_deref().filter(|text| !text.is_empty()) {
        let at = line.windows(separator.len()).position(|window| window == separator.as_bytes());
        let at = at.ok_or_else(|| format!("has no key: there is no {separator:?} in it"))?;
        put(&mut record, "key", &line[..at]);
        put(&mut record, "value", &line[at + separator.len()..]);
    } else {
        put(&mut record, "value", line);
    }
    Ok(record)
}

fn key_of(value: &Value, key: &str) -> Result<Value, String> {
    match value {
        Value::Null => Err(format!("has no {key:?}, which is to be its key")),
        Value::String(text) => Ok(Value::from(text.as_str())),
        other => Ok(Value::from(other.to_string())),
    }
}

/// Bytes as the HTTP door takes them: text where they are, base64 otherwise.
fn put(record: &mut Map<String, Value>, field: &str, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => record.insert(field.to_owned(), text.into()),
        Err(_) => record.insert(format!("{field}_base64"), base64(bytes).into()),
    };
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn read_csv(input: impl BufRead, args: &ProduceArgs, records: &Records) -> Result<(), Failure> {
    let mut reader = csv::Reader::from_reader(input);
    let wrong =
        |error: csv::Error| Failure::new(Code::Usage, format!("the input is not CSV: {error}"));
    let head = reader.headers().map_err(wrong)?.clone();
    let key = match &args.key {
        Some(key) => Some(head.iter().position(|column| column == key).ok_or_else(|| {
            let columns = head.iter().collect::<Vec<_>>().join(", ");
            Failure::new(Code::Usage, format!("there is no column {key:?}"))
                .hint(format!("the columns are {columns}"))
        })?),
        None => None,
    };
    let mut row = csv::StringRecord::new();
    while reader.read_record(&mut row).map_err(wrong)? {
        let mut record = Map::new();
        if let Some(key) = key {
            record.insert("key".to_owned(), row.get(key).unwrap_or_default().into());
        }
        record.insert("value".to_owned(), csv_object(&head, &row).into());
        if !hand_on(records, record) {
            break;
        }
    }
    Ok(())
}

/// A row as a JSON object: numbers stay numbers, and an empty field or `NA` is null.
pub(crate) fn csv_object(head: &csv::StringRecord, row: &csv::StringRecord) -> String {
    let mut text = String::from("{");
    for (index, (column, field)) in head.iter().zip(row).enumerate() {
        if index > 0 {
            text.push(',');
        }
        text += &json!(column).to_string();
        text.push(':');
        if field.is_empty() || field == "NA" {
            text += "null";
        } else if is_json_number(field) {
            text += field;
        } else {
            text += &json!(field).to_string();
        }
    }
    text.push('}');
    text
}

/// Whether the text is a number that JSON writes in the same way; `007` and `1e5` stay text.
fn is_json_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_digits(whole) && is_digits(fraction) && (whole == "0" || !whole.starts_with('0'))
}

/// Collects records and sends them batch by batch.
struct Sender {
    client: Client,
    topic: String,
    partition: Option<u32>,
    body: Vec<u8>,
    records: usize,
    acknowledged: u64,
    progress: ProgressBar,
}

impl Sender {
    fn new(client: Client, args: &ProduceArgs) -> Sender {
        let progress = if io::stderr().is_terminal() && args.file.as_os_str() != "-" {
            let style = ProgressStyle::with_template("{human_pos} records, {per_sec}, {elapsed}");
            let bar = ProgressBar::new_spinner()
                .with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        } else {
            ProgressBar::hidden()
        };
        Sender {
            client,
            topic: args.topic.clone(),
            partition: args.partition,
            body: Vec::with_capacity(BATCH_BYTES + BATCH_BYTES / 4),
            records: 0,
            acknowledged: 0,
            progress,
        }
    }

    async fn push(&mut self, mut record: Record) -> Result<(), Failure> {
        if let Some(partition) = self.partition {
            record.insert("partition".to_owned(), partition.into());
        }
        serde_json::to_writer(&mut self.body, &record).map_err(io::Error::from)?;
        self.body.push(b'\n');
        self.records += 1;
        if self.body.len() >= BATCH_BYTES || self.records >= BATCH_RECORDS {
            self.send().await?;
        }
        Ok(())
    }

    async fn send(&mut self) -> Result<(), Failure> {
        if self.records == 0 {
            return Ok(());
        }
        let body =
            std::mem::replace(&mut self.body, Vec::with_capacity(BATCH_BYTES + BATCH_BYTES / 4));
        let request = self
            .client
            .request(Method::POST, &["topics", &self.topic, "records", "batch"])
            .header(CONTENT_TYPE, "application/x-ndjson")
            .body(body);
        match self.client.try_send(request).await? {
            Ok(_) => {
                self.acknowledged += u64::try_from(self.records).unwrap_or(0);
                self.progress.set_position(self.acknowledged);
                self.records = 0;
                Ok(())
            }
            Err(problem) => {
                self.acknowledged += problem.acknowledged.unwrap_or(0);
                let failure = problem.into_failure();
                Err(if failure.code() == Code::Failed {
                    failure.with_code(Code::Unacknowledged)
                } else {
                    failure
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_keeps_what_its_fields_are() {
        let head = csv::StringRecord::from(vec!["carrier", "flight", "delay", "zip", "note"]);
        let row = csv::StringRecord::from(vec!["UA", "1545", "-2.50", "007", "NA"]);
        let object = r#"{"carrier":"UA","flight":1545,"delay":-2.50,"zip":"007","note":null}"#;
        assert_eq!(csv_object(&head, &row), object);
    }

    #[test]
    fn only_json_numbers_are_numbers() {
        for number in ["0", "-1", "10.50", "0.5"] {
            assert!(is_json_number(number), "{number}");
        }
        for text in ["", "-", "1.", ".5", "1e5", "NaN", "00", "+1", "1.2.3"] {
            assert!(!is_json_number(text), "{text}");
        }
    }
}
