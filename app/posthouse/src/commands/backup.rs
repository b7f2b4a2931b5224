//! `posthouse backup` and `posthouse restore`: the data of a node that is not running.

use std::path::PathBuf;

use clap::Args;
use posthouse_log::{backup as copy_out, restore as copy_in};

use crate::exit::{Code, Failure};

/// Copy a stopped node's data.
#[derive(Args, Debug)]
pub(crate) struct BackupArgs {
    /// The node's data directory
    #[arg(long, value_name = "DIR", default_value = "posthouse-data")]
    data_dir: PathBuf,
    /// Where the copy goes; it must not exist
    target: PathBuf,
}

/// Make a data directory out of a backup.
#[derive(Args, Debug)]
pub(crate) struct RestoreArgs {
    /// The data directory to be made; it must not exist, or be empty
    #[arg(long, value_name = "DIR", default_value = "posthouse-data")]
    data_dir: PathBuf,
    /// The backup
    source: PathBuf,
}
