//! `posthouse backup` and `posthouse restore`: the data of a node that is not running, as a directory.
//!
//! # Invariants
//! - The data directory is locked while it is copied, so nothing is copied that is being written.
//! - A copy appears under its name only when all of it is on disk; before, it is `NAME.partial`.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use posthouse_log::{Disk, RealDisk};

use super::say::say;
use crate::exit::{Code, Failure};

/// What a node holds while it runs; see docs/design/0002-data-directory.md.
const LOCK: &str = "LOCK";
/// What every data directory has.
const FORMAT: &str = "format";

/// Copy a stopped node's data.
///
/// A node that runs is refused: stop it first. The copy is a directory of plain files.
#[derive(Args, Debug)]
pub(crate) struct BackupArgs {
    /// The node's data directory
    #[arg(long, value_name = "DIR", default_value = "posthouse-data")]
    data_dir: PathBuf,
    /// Where the copy goes; it must not exist
    target: PathBuf,
}

/// Make a data directory out of a backup.
///
/// The node that is started on it has everything that the backup has, and new leader epochs.
#[derive(Args, Debug)]
pub(crate) struct RestoreArgs {
    /// The data directory to be made; it must not exist, or be empty
    #[arg(long, value_name = "DIR", default_value = "posthouse-data")]
    data_dir: PathBuf,
    /// The backup
    source: PathBuf,
}

/// What was copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Copied {
    files: u64,
    bytes: u64,
}

/// Copies a data directory out.
pub(crate) fn backup(args: &BackupArgs) -> Result<(), Failure> {
    check_source(&args.data_dir, "data directory")?;
    let _lock = lock(&args.data_dir)?;
    let copied = copy(&args.data_dir, &args.target)?;
    say!("{}", report(&args.target, copied));
    Ok(())
}

/// Copies a backup in.
pub(crate) fn restore(args: &RestoreArgs) -> Result<(), Failure> {
    check_source(&args.source, "backup")?;
    let copied = copy(&args.source, &args.data_dir)?;
    say!("{}", report(&args.data_dir, copied));
    Ok(())
}

fn report(target: &Path, copied: Copied) -> String {
    let size = indicatif::BinaryBytes(copied.bytes);
    format!("copied {} files, {size}, to {}", copied.files, target.display())
}

fn check_source(path: &Path, what: &str) -> Result<(), Failure> {
    if path.join(FORMAT).is_file() {
        return Ok(());
    }
    let reason = if path.exists() { "has no file \"format\"" } else { "does not exist" };
    Err(Failure::new(Code::Named, format!("{} is no {what}: it {reason}", path.display())))
}

/// The node's own lock, so that none starts while its data is copied.
fn lock(data_dir: &Path) -> Result<Box<dyn std::fmt::Debug + Send + Sync>, Failure> {
    let path = data_dir.join(LOCK);
    let owner = std::process::id().to_string();
    let lock = RealDisk.lock(&path, &owner).map_err(|error| failed("lock", &path, &error))?;
    lock.ok_or_else(|| {
        let holder = fs::read_to_string(&path).unwrap_or_default();
        let holder = match holder.trim() {
            "" => String::new(),
            pid => format!(" (pid {pid})"),
        };
        let message = format!("{} is in use by another process{holder}", data_dir.display());
        Failure::new(Code::InUse, message).hint("stop the node first; SIGTERM drains it")
    })
}

fn copy(source: &Path, target: &Path) -> Result<Copied, Failure> {
    let is_empty = fs::read_dir(target).map(|mut entries| entries.next().is_none());
    match is_empty {
        Ok(true) => fs::remove_dir(target).map_err(|error| failed("replace", target, &error))?,
        Ok(false) => {
            let message = format!("{} is there already, and not empty", target.display());
            return Err(
                Failure::new(Code::Named, message).hint("name a directory that does not exist")
            );
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed("look into", target, &error)),
    }
    let partial = partial(target);
    if partial.exists() {
        fs::remove_dir_all(&partial).map_err(|error| failed("remove", &partial, &error))?;
    }
    let mut copied = Copied::default();
    copy_directory(source, &partial, &mut copied)?;
    fs::rename(&partial, target).map_err(|error| failed("rename", &partial, &error))?;
    let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty());
    sync(parent.unwrap_or(Path::new(".")))?;
    Ok(copied)
}

fn partial(target: &Path) -> PathBuf {
    let mut name = OsString::from(target.as_os_str());
    name.push(".partial");
    PathBuf::from(name)
}

/// Copies everything but the lock, and makes it durable before it returns.
fn copy_directory(source: &Path, target: &Path, copied: &mut Copied) -> Result<(), Failure> {
    fs::create_dir_all(target).map_err(|error| failed("make", target, &error))?;
    let entries = fs::read_dir(source).map_err(|error| failed("read", source, &error))?;
    for entry in entries {
        let entry = entry.map_err(|error| failed("read", source, &error))?;
        let (from, to) = (entry.path(), target.join(entry.file_name()));
        let kind = entry.file_type().map_err(|error| failed("read", &from, &error))?;
        if kind.is_dir() {
            copy_directory(&from, &to, copied)?;
        } else if entry.file_name() != LOCK {
            copied.bytes += fs::copy(&from, &to).map_err(|error| failed("copy", &from, &error))?;
            copied.files += 1;
            sync(&to)?;
        }
    }
    sync(target)
}

fn sync(path: &Path) -> Result<(), Failure> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(|error| failed("make durable", path, &error))
}

fn failed(action: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::new(Code::Failed, format!("cannot {action} {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data_directory(root: &Path) -> PathBuf {
        let data = root.join("data");
        fs::create_dir_all(data.join("logs/a")).unwrap();
        for (name, content) in [(FORMAT, "1"), (LOCK, "7"), ("logs/a/0.log", "records")] {
            fs::write(data.join(name), content).unwrap();
        }
        data
    }

    #[test]
    fn a_backup_has_everything_but_the_lock() {
        let root = tempfile::tempdir().unwrap();
        let data_dir = data_directory(root.path());
        let target = root.path().join("backup");
        backup(&BackupArgs { data_dir, target: target.clone() }).unwrap();
        assert_eq!(fs::read_to_string(target.join("logs/a/0.log")).unwrap(), "records");
        assert!(!target.join(LOCK).exists());
        assert!(!partial(&target).exists());
        let restored = root.path().join("restored");
        restore(&RestoreArgs { data_dir: restored.clone(), source: target }).unwrap();
        assert_eq!(fs::read_to_string(restored.join(FORMAT)).unwrap(), "1");
    }

    #[test]
    fn a_node_that_runs_is_not_backed_up() {
        let root = tempfile::tempdir().unwrap();
        let data_dir = data_directory(root.path());
        let _node = lock(&data_dir).unwrap();
        let target = root.path().join("backup");
        let refused = backup(&BackupArgs { data_dir, target: target.clone() }).unwrap_err();
        assert_eq!(refused.code(), Code::InUse);
        assert!(!target.exists());
    }

    #[test]
    fn nothing_is_written_over() {
        let root = tempfile::tempdir().unwrap();
        let (data_dir, target) = (data_directory(root.path()), root.path().join("there"));
        fs::create_dir(&target).unwrap();
        fs::write(target.join("mine"), "x").unwrap();
        let args = BackupArgs { data_dir, target: target.clone() };
        assert_eq!(backup(&args).unwrap_err().code(), Code::Named);
        assert_eq!(fs::read_dir(&target).unwrap().count(), 1);
        let nothing = root.path().join("nothing");
        let args = RestoreArgs { data_dir: root.path().join("new"), source: nothing };
        assert_eq!(restore(&args).unwrap_err().code(), Code::Named);
    }
}
