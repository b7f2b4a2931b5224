//! `posthouse acl`: rules, which say who may do what.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::say::say;
use super::table::{Table, text};
use crate::cli::NodeArgs;
use crate::client::Client;
use crate::exit::Failure;

const EXAMPLES: &str = "\
Examples:
  posthouse acl add alice Read,Write topic 'orders*'     topics whose names begin with orders
  posthouse acl add alice Read group billing
  posthouse acl add '*' Read channel news
  posthouse acl add --deny mallory All topic '*'";

/// Add, list and remove rules.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct AclArgs {
    #[command(subcommand)]
    command: AclCommand,
    #[command(flatten)]
    node: NodeArgs,
}

#[derive(Debug, Subcommand)]
enum AclCommand {
    /// List the rules
    List {
        #[command(flatten)]
        which: WhichArgs,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Add a rule
    Add {
        /// Whom it is about; * is everybody
        user: String,
        /// Read, Write, Create, Delete, Alter, Describe, DescribeConfigs, AlterConfigs, … with commas between, or All
        operations: String,
        /// topic, group, cluster, channel, service, queue, pair, key, transactional-id
        kind: String,
        /// Which: a name, a prefix with * after it, or * alone; queues are TOPIC/GROUP, the cluster is *
        name: String,
        /// Deny it; that wins over whatever allows it
        #[arg(long)]
        deny: bool,
    },
    /// Remove the rules that agree with everything that is said
    Remove(WhichArgs),
}

#[derive(Args, Debug)]
struct WhichArgs {
    /// About this user, or *
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// With exactly these operations
    #[arg(long, value_name = "OPERATIONS")]
    operations: Option<String>,
    /// About this kind of thing
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// With exactly this name or pattern
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// allow, or deny
    #[arg(long, value_name = "EFFECT")]
    effect: Option<String>,
}

impl WhichArgs {
    fn parameters(&self) -> Vec<(&'static str, String)> {
        let all = [
            ("user", &self.user),
            ("operations", &self.operations),
            ("kind", &self.kind),
            ("name", &self.name),
            ("effect", &self.effect),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))).collect()
    }
}

/// Does what was asked.
pub(crate) async fn run(args: AclArgs) -> Result<(), Failure> {
    let client = Client::new(&args.node)?;
    match args.command {
        AclCommand::List { which, json } => {
            let request = client.request_with(Method::GET, &["acls"], &which.parameters());
            show(&client.json(request).await?, json, "no such rules");
        }
        AclCommand::Add { user, operations, kind, name, deny } => {
            let effect = if deny { "deny" } else { "allow" };
            let body = json!({
                "user": user, "effect": effect, "operations": operations, "kind": kind, "name": name,
            });
            client.send(client.request(Method::POST, &["acls"]).json(&body)).await?;
            say!("{effect} {user} {operations} on {kind} {name}");
        }
        AclCommand::Remove(which) => {
            let request = client.request_with(Method::DELETE, &["acls"], &which.parameters());
            let removed: Value = client.json(request).await?;
            say!("removed {} rules", removed.as_array().map_or(0, Vec::len));
            show(&removed, false, "");
        }
    }
    Ok(())
}

fn show(rules: &Value, json: bool, none: &str) {
    if json {
        say!("{rules:#}");
        return;
    }
    let mut table = Table::new(&["user", "effect", "operations", "kind", "name"]);
    for rule in rules.as_array().into_iter().flatten() {
        let cells = ["user", "effect", "operations", "kind", "name"];
        table.row(cells.map(|name| text(&rule[name])));
    }
    table.print(none);
}
