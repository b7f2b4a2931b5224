//! Where a sink's file lies: below the configured directory, and nowhere else.
//!
//! # Invariants
//! - No path that is opened, renamed or removed leaves the directory: the parts of a name are plain,
//!   and none of them may be a symbolic link.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

/// LIMIT: parts of a name, and bytes of each.
const PARTS_MAX: usize = 8;
const PART_BYTES_MAX: usize = 100;

/// What could not be done to which file.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what} {path}")]
pub(super) struct SinkError {
    what: &'static str,
    path: String,
    #[source]
    source: io::Error,
}

impl SinkError {
    pub(super) fn new(what: &'static str, path: &Path, source: io::Error) -> SinkError {
        SinkError { what, path: path.display().to_string(), source }
    }
}

/// The files of one sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    parent: PathBuf,
    name: String,
}

/// Says why a name is refused.
pub(super) fn check(file: &str) -> Result<(), &'static str> {
    let parts: Vec<_> = file.split('/').collect();
    if parts.len() > PARTS_MAX {
        return Err("has more than 8 parts");
    }
    for part in &parts {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if part.is_empty() || part.len() > PART_BYTES_MAX || !part.bytes().all(legal) {
            return Err("is not made of parts of 1 to 100 letters, digits, dots, dashes and \
                        underscores, with / between them");
        }
        if part.starts_with('.') {
            return Err("has a part that begins with a dot");
        }
    }
    let end = file.rsplit('.').next().unwrap_or_default();
    if end.len() < file.len() && end.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("ends in a number, as rotated files do");
    }
    Ok(())
}

/// Removes what a sink that is not declared any more knew; its files stay.
pub(crate) fn forget(directory: &Path, file: &str) {
    let Ok(place) = Place::find(directory, file) else { return };
    // Nothing depends on it: the next sink has another id.
    let _ = fs::remove_file(place.checkpoint());
}

impl Place {
    /// Makes the directories that are missing.
    pub(super) fn find(directory: &Path, file: &str) -> Result<Place, SinkError> {
        if let Err(reason) = check(file) {
            let refused = io::Error::new(io::ErrorKind::InvalidInput, reason);
            return Err(SinkError::new("use", Path::new(file), refused));
        }
        fs::create_dir_all(directory).map_err(|e| SinkError::new("make", directory, e))?;
        let mut parent = directory.to_owned();
        let mut parts: Vec<_> = file.split('/').collect();
        let name = parts.pop().unwrap_or_default().to_owned();
        for part in parts {
            parent.push(part);
            make_directory(&parent).map_err(|e| SinkError::new("use", &parent, e))?;
        }
        Ok(Place { parent, name })
    }

    pub(super) fn file(&self) -> PathBuf {
        self.parent.join(&self.name)
    }

    /// The file that was rotated away so many times.
    pub(super) fn rotated(&self, number: u32) -> PathBuf {
        self.parent.join(format!("{}.{number}", self.name))
    }

    /// What the sink knows of the file.
    pub(super) fn checkpoint(&self) -> PathBuf {
        self.parent.join(format!(".{}.checkpoint", self.name))
    }

    /// The next checkpoint, while it is written.
    pub(super) fn checkpoint_draft(&self) -> PathBuf {
        self.parent.join(format!(".{}.checkpoint.new", self.name))
    }

    /// Opens the file to be appended to; makes it where there is none.
    pub(super) fn open(&self) -> Result<File, SinkError> {
        let path = self.file();
        let opened = open_plain(&path, OpenOptions::new().read(true).append(true).create(true));
        opened.map_err(|e| SinkError::new("open", &path, e))
    }

    /// Makes names durable: of files that were made, renamed or removed.
    pub(super) fn sync_names(&self) -> Result<(), SinkError> {
        let synced = File::open(&self.parent).and_then(|parent| parent.sync_all());
        synced.map_err(|e| SinkError::new("sync", &self.parent, e))
    }
}

/// Opens a plain file: no link that leads elsewhere, and no pipe that blocks.
pub(super) fn open_plain(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or(0);
    let file = options.custom_flags(flags).mode(0o640).open(path)?;
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a plain file"))
}

fn make_directory(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        other => return other,
    }
    if fs::symlink_metadata(path)?.is_dir() {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::NotADirectory, "it is not a directory"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        assert_eq!(check("a/b-c_d/orders.log"), Ok(()));
        for file in [
            "",
            "/etc/passwd",
            "../x",
            "a/../x",
            "a//b",
            "a/",
            ".hidden",
            "a/.b/c",
            "a\\b",
            "a b",
            "x\0",
            "1/2/3/4/5/6/7/8/9",
            "orders.log.1",
        ] {
            assert!(check(file).is_err(), "{file:?}");
        }
    }

    #[test]
    fn links_are_not_followed() {
        let (inside, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        symlink(outside.path(), inside.path().join("link")).unwrap();
        assert!(Place::find(inside.path(), "link/x.log").is_err());
        symlink(outside.path().join("x.log"), inside.path().join("y.log")).unwrap();
        assert!(Place::find(inside.path(), "y.log").unwrap().open().is_err());
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    }

    #[test]
    fn directories_are_made_and_what_is_no_file_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let place = Place::find(directory.path(), "a/b/c.log").unwrap();
        place.open().unwrap();
        assert!(directory.path().join("a/b/c.log").is_file());
        fs::create_dir(directory.path().join("d.log")).unwrap();
        assert!(Place::find(directory.path(), "d.log").unwrap().open().is_err());
    }
}
