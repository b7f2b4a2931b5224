//! Everything that can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::commands::{
    acl, backup, cert, config, consume, endpoint, group, produce, queue, serve, sink, sql, token,
    topic, user, webhook, zmq,
};
use crate::demo;
use crate::exit::{CODES, Code, Failure};

const EXAMPLES: &str = "\
Start here:
  posthouse demo                                  a year of flights, and answers in SQL
  posthouse serve                                 a node on this machine

Then, in another terminal:
  posthouse topic create orders --partitions 4
  echo '{\"id\": 1, \"total\": 9.5}' | posthouse produce orders
  posthouse consume orders --follow
  posthouse sql 'SELECT * FROM orders LIMIT 10'";

/// One log, every messaging pattern: a node that Kafka, Redis, ZeroMQ, HTTP and Postgres clients share.
#[derive(Debug, Parser)]
#[command(name = "posthouse", version, after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{CODES}"))]
#[command(subcommand_required = true, arg_required_else_help = true, infer_subcommands = false)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a node
    Serve(Box<serve::ServeArgs>),
    /// Make, list, describe, change and delete topics
    Topic(topic::TopicArgs),
    /// Write records, from a file or standard input
    Produce(produce::ProduceArgs),
    /// Read records
    Consume(consume::ConsumeArgs),
    /// List, describe, reset and delete consumer groups
    Group(group::GroupArgs),
    /// List, make, describe, move and delete queues
    Queue(queue::QueueArgs),
    /// List, make, describe, change and delete webhooks: topics delivered to URLs
    Webhook(webhook::WebhookArgs),
    /// List, make, describe and delete file sinks: topics and channels written into files
    Sink(sink::SinkArgs),
    /// Make, list, describe and delete ZeroMQ endpoints: sockets in front of topics, channels and services
    Endpoint(endpoint::EndpointArgs),
    /// Make, list, change and delete users
    User(user::UserArgs),
    /// Make, list and end API tokens
    Token(token::TokenArgs),
    /// Add, list and remove rules: who may do what
    Acl(acl::AclArgs),
    /// Ask in SQL; without a query, a prompt
    Sql(sql::SqlArgs),
    /// Start a node, load a year of flights, and answer questions about them
    Demo(demo::DemoArgs),
    /// Send and receive lines over ZeroMQ, with any ZeroMQ program at the other end
    Zmq(Box<zmq::ZmqArgs>),
    /// Copy a stopped node's data
    Backup(backup::BackupArgs),
    /// Make a data directory out of a backup
    Restore(backup::RestoreArgs),
    /// Make certificates to try TLS out with
    Cert(cert::CertArgs),
    /// Show the settings, or the page that explains them
    Config(config::ConfigArgs),
}

/// How a client command finds the node.
#[derive(Clone, Default, Args)]
pub struct NodeArgs {
    /// The node's HTTP door: HOST:PORT, or https://HOST:PORT for one with TLS
    #[arg(
        long,
        value_name = "ADDR",
        env = "POSTHOUSE_NODE",
        hide_env_values = true,
        default_value = "127.0.0.1:8080",
        global = true
    )]
    pub(crate) node: String,
    /// Trust only what these authorities (PEM) issued when the node is https://…, instead of what the
    /// machine trusts; without a scheme in ADDR it means https
    #[arg(
        long,
        value_name = "FILE",
        env = "POSTHOUSE_TLS_CA",
        hide_env_values = true,
        global = true
    )]
    pub(crate) tls_ca: Option<PathBuf>,
    /// Show this certificate (PEM) to a node with TLS
    #[arg(long, value_name = "FILE", requires = "tls_key", global = true)]
    pub(crate) tls_certificate: Option<PathBuf>,
    /// The certificate's key (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_certificate", global = true)]
    pub(crate) tls_key: Option<PathBuf>,
    /// Who asks, at a node that wants to know; the password is asked for, or in POSTHOUSE_PASSWORD
    #[arg(
        long,
        value_name = "USER",
        env = "POSTHOUSE_USER",
        hide_env_values = true,
        global = true
    )]
    pub(crate) login: Option<String>,
    /// An API token, instead of a user and a password
    #[arg(
        long,
        value_name = "TOKEN",
        env = "POSTHOUSE_TOKEN",
        hide_env_values = true,
        global = true
    )]
    pub(crate) token: Option<String>,
}

impl NodeArgs {
    /// A node at `address`, as if it had been typed.
    pub(crate) fn at(address: impl Into<String>) -> NodeArgs {
        NodeArgs { node: address.into(), ..NodeArgs::default() }
    }
}

impl std::fmt::Debug for NodeArgs {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("NodeArgs").field("node", &self.node).finish_non_exhaustive()
    }
}

impl Cli {
    /// Does what was typed.
    ///
    /// # Errors
    /// A [`Failure`] with what to print and the exit code.
    pub fn run(self) -> Result<(), Failure> {
        match self.command {
            Command::Serve(args) => serve::run(*args),
            Command::Config(args) => config::run(args),
            Command::Cert(args) => cert::run(args),
            Command::Backup(args) => backup::backup(&args),
            Command::Restore(args) => backup::restore(&args),
            Command::Topic(args) => block_on(topic::run(args)),
            Command::Produce(args) => block_on(produce::run(args)),
            Command::Consume(args) => block_on(consume::run(args)),
            Command::Zmq(args) => block_on(zmq::run(*args)),
            Command::Demo(args) => demo::run(args),
            Command::Group(args) => block_on(group::run(args)),
            Command::Queue(args) => block_on(queue::run(args)),
            Command::Webhook(args) => block_on(webhook::run(args)),
            Command::Sink(args) => block_on(sink::run(args)),
            Command::Endpoint(args) => block_on(endpoint::run(args)),
            Command::User(args) => block_on(user::run(args)),
            Command::Token(args) => block_on(token::run(args)),
            Command::Acl(args) => block_on(acl::run(args)),
            Command::Sql(args) => block_on(sql::run(args)),
        }
    }
}

/// Runs a client command; a thread or two are plenty for one connection.
fn block_on(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::from_error(Code::Failed, &error))?
        .block_on(work)
}
