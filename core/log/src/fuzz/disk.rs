//! A disk in memory, which never fails and never forgets.

use std::collections::HashMap;
use std::fmt::Debug;
use std::io::{self, ErrorKind, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::{Chunk, Disk, DiskFile};

/// Files by their paths. Directories are only prefixes.
#[derive(Debug, Default)]
pub(super) struct MemoryDisk {
    files: Mutex<HashMap<PathBuf, Arc<MemoryFile>>>,
}

#[derive(Debug, Default)]
struct MemoryFile {
    content: Mutex<Vec<u8>>,
}

impl MemoryDisk {
    /// Makes a file.
    pub(super) fn put(&self, path: &Path, content: Vec<u8>) {
        let file = MemoryFile { content: Mutex::new(content) };
        self.files.lock().insert(path.to_owned(), Arc::new(file));
    }

    fn file(&self, path: &Path) -> io::Result<Arc<MemoryFile>> {
        self.files.lock().get(path).cloned().ok_or_else(|| ErrorKind::NotFound.into())
    }
}

impl Disk for MemoryDisk {
    fn create_directory(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let files = self.files.lock();
        let within = files.keys().filter_map(|file| file.strip_prefix(path).ok());
        Ok(within.filter_map(Path::to_str).map(str::to_owned).collect())
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.file(path)?)
    }

    fn open_to_write(&self, path: &Path, create: bool) -> io::Result<Arc<dyn DiskFile>> {
        if create && self.file(path).is_err() {
            self.put(path, Vec::new());
        }
        Ok(self.file(path)?)
    }

    fn read(&self, path: &Path) -> io::Result<Bytes> {
        Ok(Bytes::from(self.file(path)?.content.lock().clone()))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut files = self.files.lock();
        let file = files.remove(from).ok_or(ErrorKind::NotFound)?;
        files.insert(to.to_owned(), file);
        Ok(())
    }

    fn link(&self, _: &Path, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.files.lock().remove(path).map(drop).ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        self.files.lock().retain(|file, _| !file.starts_with(path));
        Ok(())
    }

    fn sync_directory(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, _: &Path, _: &str) -> io::Result<Option<Box<dyn Send + Sync + Debug>>> {
        Ok(Some(Box::new(())))
    }
}

impl DiskFile for MemoryFile {
    fn size(&self) -> io::Result<u64> {
        Ok(u64::try_from(self.content.lock().len()).unwrap_or(u64::MAX))
    }

    fn read_exact_at(&self, buffer: &mut [u8], position: u64) -> io::Result<()> {
        let content = self.content.lock();
        let from = usize::try_from(position).ok().and_then(|position| content.get(position..));
        let there =
            from.and_then(|rest| rest.get(..buffer.len())).ok_or(ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(there);
        Ok(())
    }

    fn write_all_at(&self, slices: &mut [IoSlice<'_>], position: u64) -> io::Result<()> {
        let mut content = self.content.lock();
        let mut at = usize::try_from(position).map_err(|_| ErrorKind::FileTooLarge)?;
        for slice in slices {
            let end = at + slice.len();
            if content.len() < end {
                content.resize(end, 0);
            }
            content[at..end].copy_from_slice(slice);
            at = end;
        }
        Ok(())
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        let size = usize::try_from(size).map_err(|_| ErrorKind::FileTooLarge)?;
        self.content.lock().resize(size, 0);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn range(self: Arc<Self>, position: u64, len: usize) -> io::Result<Chunk> {
        let mut bytes = vec![0; len];
        self.read_exact_at(&mut bytes, position)?;
        Ok(Chunk::Memory(Bytes::from(bytes)))
    }
}
