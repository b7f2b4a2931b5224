//! How often the data directory has been opened, and in which format it is.
//!
//! Owns the `format` file: a line with the format's version, then one with the incarnation. Leader
//! epochs are drawn from the incarnation, so that none is ever used twice.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::paths;
use crate::disk::{Disk, read_if_there, replace};
use crate::{OpenError, StorageError};

/// The format that this version writes, and the newest that it reads.
pub(crate) const FORMAT_VERSION: u32 = 1;

/// The current incarnation; durable whenever it is handed out.
#[derive(Debug)]
pub(crate) struct Incarnation {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    current: i32,
}

impl Incarnation {
    /// Checks the format and begins a new incarnation.
    ///
    /// # Errors
    /// [`OpenError::NewerFormat`], [`OpenError::DamagedFormat`] and [`OpenError::Storage`].
    pub(crate) fn begin(disk: &Arc<dyn Disk>, root: &Path) -> Result<Incarnation, OpenError> {
        let before = check(disk, root)?.unwrap_or(0);
        let path = root.join(paths::FORMAT);
        let mut incarnation = Incarnation { disk: Arc::clone(disk), path, current: before };
        incarnation.advance(before.saturating_add(1))?;
        Ok(incarnation)
    }

    /// An epoch above `seen`: the current incarnation, raised first where it is not.
    ///
    /// # Errors
    /// The disk's; no epoch is then given out.
    pub(crate) fn above(&mut self, seen: Option<i32>) -> Result<i32, StorageError> {
        if let Some(seen) = seen
            && seen >= self.current
        {
            self.advance(seen.saturating_add(1))?;
        }
        Ok(self.current)
    }

    fn advance(&mut self, to: i32) -> Result<(), StorageError> {
        replace(&*self.disk, &self.path, format!("{FORMAT_VERSION}\n{to}\n").as_bytes())?;
        self.current = to;
        Ok(())
    }
}

/// The incarnation of a directory whose format this version reads; `None` when it has none yet.
///
/// # Errors
/// As [`Incarnation::begin`].
pub(crate) fn check(disk: &Arc<dyn Disk>, root: &Path) -> Result<Option<i32>, OpenError> {
    let path = root.join(paths::FORMAT);
    let Some(stored) = read_if_there(&**disk, &path)? else { return Ok(None) };
    let Some((version, incarnation)) = parse(&stored) else {
        return Err(OpenError::DamagedFormat { path });
    };
    if version > FORMAT_VERSION {
        return Err(OpenError::NewerFormat { path, found: version, supported: FORMAT_VERSION });
    }
    Ok(Some(incarnation))
}

pub(crate) fn parse(stored: &[u8]) -> Option<(u32, i32)> {
    let mut lines = std::str::from_utf8(stored).ok()?.lines();
    let version = lines.next()?.parse().ok()?;
    // A newer format may say more, or something else.
    let incarnation = lines.next().and_then(|line| line.parse().ok());
    if version <= FORMAT_VERSION { Some((version, incarnation?)) } else { Some((version, 0)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_format_is_known_by_its_first_line_alone() {
        assert_eq!(parse(b"1\n17\n"), Some((1, 17)));
        assert_eq!(parse(b"2\nwhatever it is then"), Some((2, 0)));
        assert_eq!(parse(b"1\n"), None);
        assert_eq!(parse(b"one\n1\n"), None);
    }
}
