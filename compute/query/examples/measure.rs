//! How long queries over a topic take: `cargo run --release -p posthouse-query --example measure
//! FLIGHTS.csv [PARTITIONS]`.
//!
//! Copies the file into a topic of JSON records on a log in a temporary directory, then runs each
//! query six times, drops the first and prints the median of the rest.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use posthouse_broker::{Broker, BrokerConfig};
use posthouse_log::{LocalConfig, LocalEngine};
use posthouse_query::{FileAccess, Outcome, QueryConfig, QueryEngine, QuerySession};
use posthouse_types::{Principal, SystemClock};

const COLUMNS: &str = "year SMALLINT, month SMALLINT, day SMALLINT, dep_time INT, sched_dep_time INT, dep_delay DOUBLE, arr_time INT, sched_arr_time INT, arr_delay DOUBLE, carrier TEXT, flight INT, tailnum TEXT, origin TEXT, dest TEXT, air_time DOUBLE, distance DOUBLE, hour SMALLINT, minute SMALLINT, time_hour TIMESTAMP";

const QUERIES: [&str; 7] = [
    "SELECT count(*) FROM flights",
    "SELECT avg(dep_delay) FROM flights",
    "SELECT origin, month, avg(dep_delay), count(*) FROM flights GROUP BY origin, month",
    "SELECT carrier, count(*), avg(dep_delay), avg(arr_delay), sum(distance), max(air_time), count(DISTINCT tailnum) FROM flights GROUP BY carrier",
    "SELECT count(year), count(month), count(day), count(dep_time), count(sched_dep_time), count(dep_delay), count(arr_time), count(sched_arr_time), count(arr_delay), count(carrier), count(flight), count(tailnum), count(origin), count(dest), count(air_time), count(distance), count(hour), count(minute), count(time_hour) FROM flights",
    "SELECT count(*) FROM flights WHERE _error IS NOT NULL",
    "SELECT * FROM flights LIMIT 10",
];

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().ok_or("name the file flights.csv")?;
    let partitions = arguments.next().unwrap_or_else(|| "4".to_owned());
    let directory = std::env::temp_dir().join(format!("posthouse-measure-{}", std::process::id()));
    let measured = measure(&file, &partitions, &directory).await;
    std::fs::remove_dir_all(&directory)?;
    measured
}

async fn measure(file: &str, partitions: &str, directory: &Path) -> Result<(), Box<dyn Error>> {
    let clock = Arc::new(SystemClock);
    let log = LocalEngine::open(LocalConfig::new(directory), clock.clone())?;
    let broker = Broker::open(log, BrokerConfig::default(), clock).await?;
    let config = QueryConfig { files: FileAccess::Anywhere, ..QueryConfig::default() };
    let engine = QueryEngine::start(Arc::clone(&broker), config)?;
    let session = engine.session(Principal::anonymous());

    let create = format!("CREATE TOPIC flights ({COLUMNS}) WITH (partitions = {partitions})");
    run(&session, &create).await?;
    let (took, rows) =
        run(&session, &format!("INSERT INTO flights SELECT * FROM '{file}'")).await?;
    println!("{took:>10.1?}  {rows:>7}  INSERT INTO flights SELECT * FROM …");
    for query in QUERIES {
        let mut times = Vec::new();
        let mut rows = 0;
        for _ in 0..6 {
            let (took, given) = run(&session, query).await?;
            times.push(took);
            rows = given;
        }
        times.remove(0);
        times.sort_unstable();
        println!("{:>10.1?}  {rows:>7}  {query}", times[times.len() / 2]);
    }
    if let Ok(status) = std::fs::read_to_string("/proc/self/status") {
        let peak = status.lines().find(|line| line.starts_with("VmHWM"));
        println!("{}", peak.unwrap_or_default());
    }
    broker.shutdown().await?;
    Ok(())
}

/// The time and the rows of the last statement.
async fn run(session: &QuerySession, sql: &str) -> Result<(Duration, u64), Box<dyn Error>> {
    let began = Instant::now();
    let mut rows_given = 0;
    for outcome in session.execute(sql).await? {
        rows_given = match outcome {
            Outcome::Done { count, .. } => count.unwrap_or(0),
            Outcome::Rows { rows, .. } => {
                let batches: Vec<_> = rows.try_collect().await?;
                batches.iter().map(|batch| u64::try_from(batch.num_rows()).unwrap_or(0)).sum()
            }
        };
    }
    Ok((began.elapsed(), rows_given))
}
