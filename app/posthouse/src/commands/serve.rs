//! `posthouse serve`: flags to settings, then a node until a signal.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::config::{self, Config, Loaded};
use crate::exit::{Code, Failure};
use crate::{node, telemetry};

/// Start a node.
///
/// It keeps everything in one directory and listens on loopback only, unless told otherwise.
#[derive(Args, Debug, Default)]
pub(crate) struct ServeArgs {
    /// Where everything is kept [default: posthouse-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Settings file; `posthouse config show --defaults` prints one to start from
    #[arg(long, value_name = "FILE", env = "POSTHOUSE_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,
    /// Kafka door [default: 127.0.0.1:9092]
    #[arg(long, value_name = "ADDR|off", help_heading = "Doors")]
    kafka: Option<String>,
    /// Redis door [default: 127.0.0.1:6379]
    #[arg(long, value_name = "ADDR|off", help_heading = "Doors")]
    redis: Option<String>,
    /// HTTP door [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR|off", help_heading = "Doors")]
    http: Option<String>,
    /// Postgres door [default: 127.0.0.1:5432]
    #[arg(long, value_name = "ADDR|off", help_heading = "Doors")]
    postgres: Option<String>,
    /// Where Kafka clients are told to connect; needed when the door is on a wildcard address
    #[arg(long, value_name = "HOST:PORT", help_heading = "Doors")]
    kafka_advertise: Option<String>,
    /// Certificate of every door that speaks TLS (PEM); `posthouse cert dev` makes one to try it out
    #[arg(long, value_name = "FILE", help_heading = "Doors")]
    tls_certificate: Option<PathBuf>,
    /// The certificate's key (PEM)
    #[arg(long, value_name = "FILE", help_heading = "Doors")]
    tls_key: Option<PathBuf>,
    /// Accept an address other than loopback although nobody is asked who they are
    #[arg(long, help_heading = "Doors")]
    allow_unauthenticated: bool,
    /// Ask every client who it is, and allow it only what rules allow
    #[arg(long, help_heading = "Access")]
    authentication: bool,
    /// Holds the password of the first administrator, `admin` [default: one is made up and printed once]
    #[arg(long, value_name = "FILE", help_heading = "Access")]
    admin_password_file: Option<PathBuf>,
    /// Write each door's bound address here, as JSON, once all are open
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    /// How long connections may take to finish after SIGTERM [default: 10 s]
    #[arg(long, value_name = "DURATION")]
    grace_period: Option<String>,
    /// What is logged: error, warn, info, debug, trace, or TARGET=LEVEL pairs [default: info]
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
    /// How log lines look: text or json [default: text]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// Any other setting, by its key; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// What keeps the logs: local, or memory, which keeps nothing
    #[arg(long, value_name = "ENGINE", hide = true)]
    engine: Option<String>,
}

/// Runs a node until it is told to stop.
pub(crate) fn run(args: ServeArgs) -> Result<(), Failure> {
    let loaded = args.load()?;
    telemetry::start(&loaded.config.node)?;
    for (variable, nearest) in &loaded.unknown_variables {
        match nearest {
            Some(nearest) => warn!(variable, nearest, "environment variable is not a setting"),
            None => warn!(variable, "environment variable is not a setting"),
        }
    }
    serve_until_signal(loaded.config)
}

fn serve_until_signal(config: Config) -> Result<(), Failure> {
    let runtime = node::of_node().map_err(|error| Failure::from_error(Code::Failed, &error))?;
    let shutdown = CancellationToken::new();
    let result = runtime.block_on(async {
        node::cancel_on_signal(shutdown.clone())?;
        node::run(config, shutdown).await.map_err(|error| error.into_failure())
    });
    // Whatever is left is a blocking read that nobody waits for; it must not delay the exit.
    runtime.shutdown_timeout(Duration::from_millis(100));
    result
}

impl ServeArgs {
    /// The settings from every source, these flags last.
    pub(crate) fn load(&self) -> Result<Loaded, Failure> {
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        config::load(self.config.as_deref(), variables, self.flags()?)
            .map_err(|error| Failure::from_error(Code::Usage, &error).hint(
                "`posthouse config docs` explains every setting, `posthouse config show` prints those in force",
            ))
    }

    fn flags(&self) -> Result<Vec<(String, String, String)>, Failure> {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let mut flags = Vec::new();
        for setting in &self.settings {
            let Some((key, value)) = setting.split_once('=') else {
                return Err(Failure::new(
                    Code::Usage,
                    format!("--set {setting:?} is not KEY=VALUE"),
                )
                .hint("for example --set broker.default_partitions=4"));
            };
            flags.push((key.trim().to_owned(), value.trim().to_owned(), "--set".to_owned()));
        }
        let allow = self.allow_unauthenticated.then(|| "true".to_owned());
        let authentication = self.authentication.then(|| "true".to_owned());
        let password_file = path(&self.admin_password_file);
        for (key, value, flag) in [
            ("authentication.required", authentication, "--authentication"),
            ("authentication.admin_password_file", password_file, "--admin-password-file"),
            ("data_dir", path(&self.data_dir), "--data-dir"),
            ("kafka.address", self.kafka.clone(), "--kafka"),
            ("redis.address", self.redis.clone(), "--redis"),
            ("http.address", self.http.clone(), "--http"),
            ("postgres.address", self.postgres.clone(), "--postgres"),
            ("kafka.advertise", self.kafka_advertise.clone(), "--kafka-advertise"),
            ("tls.certificate", path(&self.tls_certificate), "--tls-certificate"),
            ("tls.key", path(&self.tls_key), "--tls-key"),
            ("allow_unauthenticated", allow, "--allow-unauthenticated"),
            ("ready_file", path(&self.ready_file), "--ready-file"),
            ("grace_period", self.grace_period.clone(), "--grace-period"),
            ("logging.filter", self.log.clone(), "--log"),
            ("logging.format", self.log_format.clone(), "--log-format"),
            ("engine", self.engine.clone(), "--engine"),
        ] {
            if let Some(value) = value {
                flags.push((key.to_owned(), value, flag.to_owned()));
            }
        }
        Ok(flags)
    }
}
