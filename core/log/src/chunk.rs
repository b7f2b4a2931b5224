//! Stored batches on their way to a reader, not copied.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;

/// A run of whole, consecutive batches.
#[derive(Clone, Debug)]
pub enum Chunk {
    /// In memory: the tail of the log, or what an engine without files has fetched.
    Memory(Bytes),
    /// In a segment file, not yet read.
    File(FileRange),
}

impl Chunk {
    /// Bytes in the chunk.
    pub fn len(&self) -> usize {
        match self {
            Chunk::Memory(bytes) => bytes.len(),
            Chunk::File(range) => range.len,
        }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes, read from the file if need be. Blocks on the disk: not for an async thread.
    ///
    /// # Errors
    /// The disk's error, or `UnexpectedEof` when the file is shorter than the range.
    pub fn load(&self) -> io::Result<Bytes> {
        match self {
            Chunk::Memory(bytes) => Ok(bytes.clone()),
            Chunk::File(range) => range.load(),
        }
    }
}

/// A range of an open segment file. It stays readable after retention has unlinked the file.
#[derive(Clone, Debug)]
pub struct FileRange {
    /// The open file.
    pub file: Arc<File>,
    /// First byte.
    pub position: u64,
    /// Bytes.
    pub len: usize,
}

impl FileRange {
    fn load(&self) -> io::Result<Bytes> {
        let mut buffer = vec![0; self.len];
        self.file.read_exact_at(&mut buffer, self.position)?;
        Ok(Bytes::from(buffer))
    }
}
