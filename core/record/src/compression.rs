//! The five codecs of a record batch.
//!
//! Owns which codec has which number, and the limit on what any of them may expand to. How each is
//! framed is in its own file.
//!
//! # Invariants
//! - Output beyond the limit is refused before memory for it is taken. A codec's own buffers are
//!   bounded by its format; the largest is zstd's window, of which only what is used is touched.
//! - Input is used up: bytes after the compressed data are an error.
//!
//! # Source
//! Kafka message format, RecordBatch attributes, bits 0 to 2.

mod gzip;
mod lz4;
mod snappy;
mod zstd;

use std::io::Read;

use bytes::Bytes;

use crate::BatchError;

/// A codec.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Compression {
    /// As they are.
    #[default]
    None,
    /// RFC 1952.
    Gzip,
    /// Blocks in the framing of snappy-java, as the Java client writes; a lone block is read too.
    Snappy,
    /// The LZ4 frame format.
    Lz4,
    /// RFC 8878.
    Zstd,
}

impl Compression {
    /// Every codec, in the order of their numbers.
    pub const ALL: [Compression; 5] = [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ];

    /// The name that Kafka's settings use.
    pub fn name(self) -> &'static str {
        match self {
            Compression::None => "none",
            Compression::Gzip => "gzip",
            Compression::Snappy => "snappy",
            Compression::Lz4 => "lz4",
            Compression::Zstd => "zstd",
        }
    }

    pub(crate) fn from_wire(code: i16) -> Result<Compression, BatchError> {
        usize::try_from(code)
            .ok()
            .and_then(|code| Compression::ALL.get(code).copied())
            .ok_or(BatchError::UnknownCompression(code))
    }

    pub(crate) fn to_wire(self) -> i16 {
        match self {
            Compression::None => 0,
            Compression::Gzip => 1,
            Compression::Snappy => 2,
            Compression::Lz4 => 3,
            Compression::Zstd => 4,
        }
    }

    /// Expands `input` to at most `bytes_max`.
    ///
    /// # Errors
    /// [`BatchError::Decompress`] when it is not what the codec writes, and
    /// [`BatchError::ExpandsTooFar`].
    pub(crate) fn decompress(self, input: &[u8], bytes_max: usize) -> Result<Bytes, BatchError> {
        // A batch that compaction emptied has no compressed data at all.
        if input.is_empty() {
            return Ok(Bytes::new());
        }
        let output = match self {
            Compression::None => input.to_vec(),
            Compression::Gzip => gzip::decompress(input, bytes_max)?,
            Compression::Snappy => snappy::decompress(input, bytes_max)?,
            Compression::Lz4 => lz4::decompress(input, bytes_max)?,
            Compression::Zstd => zstd::decompress(input, bytes_max)?,
        };
        Ok(Bytes::from(output))
    }

    /// Appends the compressed form of `input` to `out`.
    pub(crate) fn compress(self, input: &[u8], out: &mut Vec<u8>) {
        match self {
            Compression::None => out.extend_from_slice(input),
            Compression::Gzip => gzip::compress(input, out),
            Compression::Snappy => snappy::compress(input, out),
            Compression::Lz4 => lz4::compress(input, out),
            Compression::Zstd => zstd::compress(input, out),
        }
    }

    fn fault(self, reason: impl ToString) -> BatchError {
        BatchError::Decompress { codec: self.name(), reason: reason.to_string() }
    }

    /// Reads a streaming decoder to its end, which must come within `bytes_max`.
    fn read_to_end(
        self,
        decoder: &mut impl Read,
        input_len: usize,
        bytes_max: usize,
    ) -> Result<Vec<u8>, BatchError> {
        /// What records commonly shrink to; a wrong guess costs a copy.
        const RATIO_EXPECTED: usize = 4;
        let mut output =
            Vec::with_capacity(input_len.saturating_mul(RATIO_EXPECTED).min(bytes_max));
        let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
        decoder.take(limit).read_to_end(&mut output).map_err(|error| self.fault(error))?;
        if output.len() > bytes_max {
            return Err(BatchError::ExpandsTooFar { max: bytes_max });
        }
        Ok(output)
    }

    fn check_used_up(self, rest: &[u8]) -> Result<(), BatchError> {
        if rest.is_empty() {
            return Ok(());
        }
        Err(self.fault(format_args!("{} bytes follow the compressed data", rest.len())))
    }
}
