//! `posthouse user`: who may log in.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use posthouse_types::ByteSize;
use reqwest::Method;
use serde_json::{Value, json};

use super::say::say;
use super::table::{Table, text};
use crate::cli::NodeArgs;
use crate::client::Client;
use crate::exit::Failure;
use crate::secret;

/// Make, list, change and delete users.
#[derive(Args, Debug)]
pub(crate) struct UserArgs {
    #[command(subcommand)]
    command: UserCommand,
    #[command(flatten)]
    node: NodeArgs,
}

#[derive(Debug, Subcommand)]
enum UserCommand {
    /// List the users
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Make a user; its password is asked for, or read from a line of standard input or a file
    Create(CreateArgs),
    /// Set a user's password
    Password {
        /// The user
        name: String,
        /// Holds the password, in its first line
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// Change what else a user is
    Alter(AlterArgs),
    /// Delete a user, with its tokens and the rules about it
    Delete {
        /// The user
        name: String,
    },
}

#[derive(Args, Debug)]
struct CreateArgs {
    /// Its name
    name: String,
    /// May do everything, whatever rules say
    #[arg(long)]
    superuser: bool,
    /// Comes in by a certificate, a key or a token only
    #[arg(long, conflicts_with = "password_file")]
    no_password: bool,
    /// Holds the password, in its first line
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// A client certificate with this subject stands for it: CN=alice,O=Example
    #[arg(long = "certificate", value_name = "SUBJECT")]
    certificates: Vec<String>,
    /// Its CURVE public key, in Z85
    #[arg(long = "curve-key", value_name = "KEY")]
    curve_keys: Vec<String>,
}

#[derive(Args, Debug)]
struct AlterArgs {
    /// The user
    name: String,
    /// May do everything, or not
    #[arg(long, value_name = "true|false")]
    superuser: Option<bool>,
    /// Is kept out, or not
    #[arg(long, value_name = "true|false")]
    disabled: Option<bool>,
    /// Client certificates that stand for it, instead of those that do
    #[arg(long = "certificate", value_name = "SUBJECT")]
    certificates: Option<Vec<String>>,
    /// Its CURVE public keys, instead of those that are
    #[arg(long = "curve-key", value_name = "KEY")]
    curve_keys: Option<Vec<String>>,
    /// Bytes of records that it may write in a second: 10MiB; `none` to have it as for everybody
    #[arg(long, value_name = "SIZE", value_parser = rate)]
    write_rate: Option<Rate>,
    /// Bytes of records that it may read in a second: 10MiB; `none` to have it as for everybody
    #[arg(long, value_name = "SIZE", value_parser = rate)]
    read_rate: Option<Rate>,
    /// Requests that it may make in a second; `none` to have it as for everybody
    #[arg(long, value_name = "COUNT", value_parser = request_rate)]
    request_rate: Option<Rate>,
}

/// A rate of its own, or none.
#[derive(Clone, Copy, Debug)]
struct Rate(Option<u64>);

const NO_RATE_OF_ZERO: &str =
    "a rate is not 0; `posthouse user alter --disabled true` keeps a user out";

fn rate(text: &str) -> Result<Rate, String> {
    if text == "none" {
        return Ok(Rate(None));
    }
    match text.parse::<ByteSize>() {
        Ok(ByteSize(0)) => Err(NO_RATE_OF_ZERO.to_owned()),
        Ok(ByteSize(rate)) => Ok(Rate(Some(rate))),
        Err(error) => Err(error.to_string()),
    }
}

fn request_rate(text: &str) -> Result<Rate, String> {
    if text == "none" {
        return Ok(Rate(None));
    }
    match text.parse::<u32>() {
        Ok(0) => Err(NO_RATE_OF_ZERO.to_owned()),
        Ok(rate) => Ok(Rate(Some(rate.into()))),
        Err(_) => {
            Err(format!("requests in a second: a whole number from 1 to {}, or `none`", u32::MAX))
        }
    }
}

/// Does what was asked.
pub(crate) async fn run(args: UserArgs) -> Result<(), Failure> {
    let client = Client::new(&args.node)?;
    match args.command {
        UserCommand::List { json } => list(&client.get(&["users"]).await?, json),
        UserCommand::Create(create) => {
            let body = create.body()?;
            client.send(client.request(Method::POST, &["users"]).json(&body)).await?;
            say!("made user {}", create.name);
        }
        UserCommand::Password { name, password_file } => {
            let password = secret::ask_new(&name, password_file.as_deref())?;
            change(&client, &name, &json!({ "password": password })).await?;
            say!("set the password of {name}");
        }
        UserCommand::Alter(alter) => {
            change(&client, &alter.name, &alter.body()).await?;
            say!("changed user {}", alter.name);
        }
        UserCommand::Delete { name } => {
            client.send(client.request(Method::DELETE, &["users", &name])).await?;
            say!("deleted user {name}");
        }
    }
    Ok(())
}

async fn change(client: &Client, name: &str, body: &Value) -> Result<(), Failure> {
    client.send(client.request(Method::PATCH, &["users", name]).json(body)).await?;
    Ok(())
}

impl CreateArgs {
    fn body(&self) -> Result<Value, Failure> {
        let mut body = json!({
            "name": self.name,
            "superuser": self.superuser,
            "certificates": self.certificates,
            "curve_keys": self.curve_keys,
        });
        if !self.no_password {
            body["password"] = secret::ask_new(&self.name, self.password_file.as_deref())?.into();
        }
        Ok(body)
    }
}

impl AlterArgs {
    /// What was not said stays.
    fn body(&self) -> Value {
        let mut body = json!({});
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                body[name] = value;
            }
        };
        set("superuser", self.superuser.map(Value::from));
        set("disabled", self.disabled.map(Value::from));
        set("certificates", self.certificates.clone().map(Value::from));
        set("curve_keys", self.curve_keys.clone().map(Value::from));
        set("write_rate", self.write_rate.map(|Rate(rate)| json!(rate)));
        set("read_rate", self.read_rate.map(|Rate(rate)| json!(rate)));
        set("request_rate", self.request_rate.map(|Rate(rate)| json!(rate)));
        body
    }
}

fn list(users: &Value, json: bool) {
    if json {
        say!("{users:#}");
        return;
    }
    let mut table =
        Table::new(&["name", "superuser", "state", "passwords", "certificates", "curve keys"]);
    for user in users.as_array().into_iter().flatten() {
        let joined = |name: &str| {
            let all = user[name].as_array().into_iter().flatten();
            all.filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
        };
        let yes = |name: &str| user[name].as_bool().unwrap_or_default();
        table.row([
            text(&user["name"]),
            if yes("superuser") { "yes" } else { "no" }.to_owned(),
            if yes("disabled") { "disabled" } else { "enabled" }.to_owned(),
            joined("passwords"),
            joined("certificates"),
            joined("curve_keys"),
        ]);
    }
    table.print("no users yet; `posthouse user create NAME` makes one");
}
