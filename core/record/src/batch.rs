//! A batch with its place in a log.
//!
//! Owns how batches follow one another in stored bytes, and how one is verified and opened.

use bytes::Bytes;

use crate::header;
use crate::{BATCH_HEADER_BYTES, BatchError, BatchHeader, Compression, Records};

/// A stored batch. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Batch {
    bytes: Bytes,
    header: BatchHeader,
}

impl Batch {
    /// Splits the first batch off `chunk`; `None` at its end. Checks the header, not the checksum.
    ///
    /// # Errors
    /// Those of [`BatchHeader::parse`], and [`BatchError::Truncated`] when the batch goes on beyond
    /// `chunk`. `chunk` is then as it was.
    pub fn next(chunk: &mut Bytes) -> Result<Option<Batch>, BatchError> {
        if chunk.is_empty() {
            return Ok(None);
        }
        let header = BatchHeader::parse(chunk)?;
        if chunk.len() < header.size {
            return Err(BatchError::Truncated { len: chunk.len(), needed: header.size });
        }
        Ok(Some(Batch { bytes: chunk.split_to(header.size), header }))
    }

    /// The header.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The whole batch, as it is stored and sent.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Compares the checksum.
    ///
    /// # Errors
    /// [`BatchError::Checksum`].
    pub fn verify(&self) -> Result<(), BatchError> {
        let computed = header::checksum(&self.bytes);
        if computed == self.header.crc {
            Ok(())
        } else {
            Err(BatchError::Checksum { stored: self.header.crc, computed })
        }
    }

    /// Decompresses at most `bytes_max` and iterates lazily; keys and values are slices, not copies.
    ///
    /// # Errors
    /// [`BatchError::Decompress`] and [`BatchError::ExpandsTooFar`]; a malformed record is an error
    /// of the iterator.
    pub fn records(&self, bytes_max: usize) -> Result<Records, BatchError> {
        let data = match self.header.compression {
            Compression::None => self.bytes.slice(BATCH_HEADER_BYTES..),
            codec => codec.decompress(&self.bytes[BATCH_HEADER_BYTES..], bytes_max)?,
        };
        Ok(Records::new(data, self.header))
    }

    pub(crate) fn from_parts(bytes: Bytes, header: BatchHeader) -> Batch {
        Batch { bytes, header }
    }
}
