//! `posthouse backup` and `posthouse restore`: the data of a node that is not running, as a directory.
//!
//! What belongs into a copy is [`posthouse_log::backup`]'s to know.

use std::path::{Path, PathBuf};

use clap::Args;
use posthouse_log::{BackupError, BackupSummary, OpenError};

use super::say::say;
use crate::exit::{Code, Failure};

/// What every data directory has; see docs/design/0002-data-directory.md.
const FORMAT: &str = "format";

/// Copy a stopped node's data.
///
/// A node that runs is refused: stop it first. The copy is a directory of plain files.
#[derive(Args, Debug)]
pub(crate) struct BackupArgs {
    /// The node's data directory
    #[arg(long, value_name = "DIR", default_value = "posthouse-data")]
    data_dir: PathBuf,
    /// Where the copy goes; it must not exist, or be empty
    target: PathBuf,
}

/// Make a data directory out of a backup.
///
/// Every record is checked on the way. The node that is started on it has everything that the
/// backup has, and new leader epochs.
#[derive(Args, Debug)]
pub(crate) struct RestoreArgs {
    /// The data directory to be made; it must not exist, or be empty
    #[arg(long, value_name = "DIR", default_value = "posthouse-data")]
    data_dir: PathBuf,
    /// The backup
    source: PathBuf,
}

/// Copies a data directory out.
pub(crate) fn backup(args: &BackupArgs) -> Result<(), Failure> {
    // Opening would make a directory that is not there.
    if !args.data_dir.join(FORMAT).is_file() {
        let message = format!("{} holds no data of a node", args.data_dir.display());
        return Err(
            Failure::new(Code::Named, message).hint("name its directory with --data-dir DIR")
        );
    }
    let copied =
        posthouse_log::backup(&args.data_dir, &args.target).map_err(|error| failure(&error))?;
    say!("{}", report(copied, &args.target));
    Ok(())
}

/// Copies a backup in.
pub(crate) fn restore(args: &RestoreArgs) -> Result<(), Failure> {
    let copied =
        posthouse_log::restore(&args.source, &args.data_dir).map_err(|error| failure(&error))?;
    say!("{}", report(copied, &args.data_dir));
    Ok(())
}

fn report(copied: BackupSummary, target: &Path) -> String {
    let size = indicatif::BinaryBytes(copied.bytes);
    let partitions = copied.partitions;
    format!("copied {partitions} partitions, {size} of records, to {}", target.display())
}

fn failure(error: &BackupError) -> Failure {
    let (code, hint) = match error {
        BackupError::Open(OpenError::InUse { .. }) => {
            (Code::InUse, Some("stop the node first; SIGTERM drains it"))
        }
        BackupError::NotEmpty(_) => (Code::Named, Some("name a directory that does not exist")),
        BackupError::NotABackup(_) => {
            (Code::Named, Some("a backup that was cut short cannot be restored; make it again"))
        }
        BackupError::Open(_) | BackupError::Storage(_) | BackupError::Damaged { .. } => {
            (Code::Failed, None)
        }
    };
    let failure = Failure::from_error(code, error);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_data_directory_is_not_made_one() {
        let root = tempfile::tempdir().unwrap();
        let data_dir = root.path().join("nothing");
        let args = BackupArgs { data_dir: data_dir.clone(), target: root.path().join("backup") };
        assert_eq!(backup(&args).unwrap_err().code(), Code::Named);
        assert!(!data_dir.exists());
    }

    #[test]
    fn what_is_no_backup_is_not_restored() {
        let root = tempfile::tempdir().unwrap();
        let data_dir = root.path().join("data");
        let args = RestoreArgs { data_dir: data_dir.clone(), source: root.path().join("nothing") };
        assert_eq!(restore(&args).unwrap_err().code(), Code::Named);
        assert!(!data_dir.exists());
    }
}
