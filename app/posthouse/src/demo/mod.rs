//! `posthouse demo`: a node, a year of flights through the Kafka door, and answers in SQL.

mod answers;
mod data;
mod kafka;
mod load;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;

use clap::Args;
use tokio_util::sync::CancellationToken;

use crate::cli::NodeArgs;
use crate::client::Client;
use crate::commands::say::say;
use crate::config::{Config, DoorAddress, HostPort};
use crate::exit::{Code, Failure};
use crate::{node, telemetry};

/// Start a node, load a year of flights, and answer questions about them.
///
/// The records go in through the Kafka door, as any Kafka producer would send them. A second start
/// finds them in the data directory and does not load them again.
#[derive(Args, Debug)]
pub(crate) struct DemoArgs {
    /// Where the demo's node keeps its data
    #[arg(long, value_name = "DIR", default_value = "demo-data")]
    data_dir: PathBuf,
    /// End after the answers instead of staying up
    #[arg(long)]
    exit: bool,
    /// Also write the answers here, as JSON
    #[arg(long, value_name = "FILE")]
    answers_json: Option<PathBuf>,
}

/// Runs the demo.
pub(crate) fn run(args: DemoArgs) -> Result<(), Failure> {
    let (config, moved) = config(&args);
    telemetry::start(&config.node)?;
    let runtime = node::of_node().map_err(|error| Failure::from_error(Code::Failed, &error))?;
    runtime.block_on(show(args, config, moved))
}

async fn show(args: DemoArgs, config: Config, moved: Vec<&'static str>) -> Result<(), Failure> {
    let shutdown = CancellationToken::new();
    node::cancel_on_signal(shutdown.clone())?;
    let running =
        crate::start(config, shutdown.clone()).await.map_err(|error| error.into_failure())?;
    let shown = present(&args, &running, &moved, &shutdown).await;
    shutdown.cancel();
    let finished = running.finish().await.map_err(|error| error.into_failure());
    shown.and(finished)
}

/// Everything between start and drain; returns at Ctrl-C, or after the answers with `--exit`.
async fn present(
    args: &DemoArgs,
    running: &node::Running,
    moved: &[&str],
    shutdown: &CancellationToken,
) -> Result<(), Failure> {
    let doors = Doors::of(running)?;
    doors.announce(moved, &args.data_dir);
    let client = Client::new(&NodeArgs::at(doors.http.to_string()))?;
    tokio::select! {
        shown = load_and_answer(&client, &doors, args) => shown?,
        () = shutdown.cancelled() => {
            return Err(Failure::new(Code::Interrupted, "interrupted")
                .hint("start the demo again, and it loads what is missing"));
        }
    }
    if !args.exit {
        doors.suggest();
        shutdown.cancelled().await;
    }
    Ok(())
}

async fn load_and_answer(client: &Client, doors: &Doors, args: &DemoArgs) -> Result<(), Failure> {
    load::load_all(client, doors.kafka).await?;
    let answers = answers::ask_all(client).await?;
    if let Some(path) = &args.answers_json {
        std::fs::write(path, format!("{answers:#}\n")).map_err(|error| {
            Failure::new(Code::Failed, format!("cannot write {}: {error}", path.display()))
        })?;
    }
    Ok(())
}

/// The demo's settings, and the doors whose usual port is taken.
fn config(args: &DemoArgs) -> (Config, Vec<&'static str>) {
    let mut config = Config::default();
    config.node.data_dir.clone_from(&args.data_dir);
    config.node.log_filter = "warn".to_owned();
    let mut moved = Vec::new();
    let node = &mut config.node;
    for (door, address) in [
        ("kafka", &mut node.kafka_address),
        ("redis", &mut node.redis_address),
        ("http", &mut node.http_address),
        ("postgres", &mut node.postgres_address),
    ] {
        if let DoorAddress::At(HostPort { port, .. }) = address
            && TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_err()
        {
            *address = DoorAddress::loopback(0);
            moved.push(door);
        }
    }
    (config, moved)
}

/// Where the demo's node listens.
struct Doors {
    kafka: SocketAddr,
    http: SocketAddr,
    postgres: SocketAddr,
}

impl Doors {
    fn of(running: &node::Running) -> Result<Doors, Failure> {
        let address = |door: &str| {
            running
                .address(door)
                .ok_or_else(|| Failure::new(Code::Failed, format!("the {door} door is off")))
        };
        Ok(Doors {
            kafka: address("kafka")?,
            http: address("http")?,
            postgres: address("postgres")?,
        })
    }

    fn announce(&self, moved: &[&str], data_dir: &std::path::Path) {
        say!("A node of Posthouse is up, with its data in {}.", data_dir.display());
        for (door, address) in
            [("kafka", self.kafka), ("http", self.http), ("postgres", self.postgres)]
        {
            let note = if moved.contains(&door) { "   (the usual port is taken)" } else { "" };
            say!("  {door:<9} {address}{note}");
        }
        say!();
    }

    fn suggest(&self) {
        let (kafka, http) = (self.kafka, self.http);
        let (host, port) = (self.postgres.ip(), self.postgres.port());
        // A node where the client commands look for it needs no naming.
        let node = if http.port() == 8080 { String::new() } else { format!(" --node {http}") };
        let program = std::env::args().next().unwrap_or_else(|| "posthouse".to_owned());
        say!(
            "\
What to try next, in another terminal:

  psql -h {host} -p {port} -U posthouse posthouse -c 'SELECT dest, count(*) FROM flights GROUP BY dest ORDER BY 2 DESC LIMIT 5'
  kcat -b {kafka} -C -t flights -o -3 -e
  {program} sql{node}
  {program} consume weather --max 3 --format json{node}
  curl -s 'http://{http}/topics/flights/records?from=2013-07-04T12:00:00Z&max=1'
  echo '{{\"carrier\": \"ZZ\", \"name\": \"Zeppelin\"}}' | {program} produce airlines --format json --key carrier{node}

The node stays up until Ctrl-C."
        );
    }
}
