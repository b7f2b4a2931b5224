//! `posthouse config`: what the settings are, and what they come to here.

use clap::{Args, Subcommand};

use super::say::say;
use super::serve::ServeArgs;
use crate::config::{DEFAULT_TOML, reference_page, show_toml};
use crate::exit::Failure;

/// Show the settings, or the page that explains them.
#[derive(Args, Debug)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print the settings in force as TOML, with where each one came from
    Show {
        /// Print every default, explained, as a file to start from
        #[arg(long)]
        defaults: bool,
        #[command(flatten)]
        serve: Box<ServeArgs>,
    },
    /// Print the reference page, in Markdown
    Docs,
}

/// Prints what was asked for.
pub(crate) fn run(args: ConfigArgs) -> Result<(), Failure> {
    match args.command {
        ConfigCommand::Show { defaults: true, .. } => say!("{}", DEFAULT_TOML.trim_end()),
        ConfigCommand::Show { serve, .. } => say!("{}", show_toml(&serve.load()?).trim_end()),
        ConfigCommand::Docs => say!("{}", reference_page().trim_end()),
    }
    Ok(())
}
