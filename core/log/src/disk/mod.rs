//! The small layer through which the local engine reaches the disk, so that tests can put another
//! disk under it.
//!
//! Owns nothing but the vocabulary. What a power cut may undo is the disk's business: a caller may
//! rely on data after [`DiskFile::sync`], on names after [`Disk::sync_directory`], and on nothing else.

mod real;

use std::fmt::Debug;
use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

pub use self::real::RealDisk;
use crate::{Chunk, StorageError};

/// A file system, as far as the local engine needs one.
///
/// All calls block. Errors are the operating system's.
pub trait Disk: Send + Sync + Debug + 'static {
    /// Makes a directory and those above it.
    fn create_directory(&self, path: &Path) -> io::Result<()>;
    /// The names in a directory, in no particular order; empty when there is none.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;
    /// Opens a file for reading.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens a file for reading and writing, creating it when `create`.
    fn open_to_write(&self, path: &Path, create: bool) -> io::Result<Arc<dyn DiskFile>>;
    /// A whole small file.
    fn read(&self, path: &Path) -> io::Result<Bytes>;
    /// Replaces `to` by `from`, atomically. Durable after a sync of the directory.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives a file a second name, if the file system can.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes a directory and everything in it.
    fn remove_directory(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;
    /// Locks a file for this process until the guard is dropped; `None` when another holds it.
    ///
    /// What `owner` says stands in the file while the lock is held.
    fn lock(&self, path: &Path, owner: &str) -> io::Result<Option<Box<dyn Send + Sync + Debug>>>;
}

/// An open file.
pub trait DiskFile: Send + Sync + Debug {
    /// Its length in bytes.
    fn size(&self) -> io::Result<u64>;
    /// Fills `buffer` from `position` on; `UnexpectedEof` when the file is shorter.
    fn read_exact_at(&self, buffer: &mut [u8], position: u64) -> io::Result<()>;
    /// Writes all of `slices`, one after the other, from `position` on.
    fn write_all_at(&self, slices: &mut [IoSlice<'_>], position: u64) -> io::Result<()>;
    /// Cuts or extends the file.
    fn truncate(&self, size: u64) -> io::Result<()>;
    /// Makes data and length durable.
    fn sync(&self) -> io::Result<()>;
    /// Lets go of what the operating system caches of it, so that the next read is from the disk.
    ///
    /// After a failed sync the cache can show bytes that the disk does not hold. Advice only.
    fn drop_cache(&self) {}
    /// A range for a reader, not yet read where the disk allows that.
    fn range(self: Arc<Self>, position: u64, len: usize) -> io::Result<Chunk>;
}

/// Makes a directory and those above it, all durable.
pub(crate) fn create_durable(disk: &dyn Disk, path: &Path) -> Result<(), StorageError> {
    let parents: Vec<&Path> = path
        .ancestors()
        .skip(1)
        .map(|parent| if parent.as_os_str().is_empty() { Path::new(".") } else { parent })
        .collect();
    let mut unsynced = Vec::new();
    for (child, &parent) in path.ancestors().zip(&parents) {
        let names = disk.list(parent).map_err(storage("list", parent))?;
        let name = child.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        // One that is there may be from a start that was cut short before it was durable.
        unsynced.push(parent);
        if names.iter().any(|there| there == name) {
            break;
        }
    }
    disk.create_directory(path).map_err(storage("create", path))?;
    for parent in unsynced {
        disk.sync_directory(parent).map_err(storage("sync", parent))?;
    }
    Ok(())
}

/// Turns the operating system's error into one that names the file.
pub(crate) fn storage(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StorageError {
    let path = path.to_owned();
    move |source| StorageError { action, path, source: Arc::new(source) }
}

/// Replaces a small file so that after a crash either the old or the new one is there, whole.
pub(crate) fn replace(disk: &dyn Disk, path: &Path, content: &[u8]) -> Result<(), StorageError> {
    let parent = path.parent().unwrap_or(Path::new("."));
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let fresh = parent.join(name);
    let file = disk.open_to_write(&fresh, true).map_err(storage("create", &fresh))?;
    file.truncate(0).map_err(storage("truncate", &fresh))?;
    file.write_all_at(&mut [IoSlice::new(content)], 0).map_err(storage("write", &fresh))?;
    file.sync().map_err(storage("sync", &fresh))?;
    disk.rename(&fresh, path).map_err(storage("rename", &fresh))?;
    disk.sync_directory(parent).map_err(storage("sync", parent))
}

/// A whole small file, or `None` when it does not exist.
pub(crate) fn read_if_there(disk: &dyn Disk, path: &Path) -> Result<Option<Bytes>, StorageError> {
    match disk.read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(storage("read", path)(error)),
    }
}
