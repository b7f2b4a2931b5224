//! Why bytes are not a record batch.

/// Why bytes are not a record batch that may be kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum BatchError {
    #[error("record batch of {len} bytes is cut short: {needed} needed")]
    Truncated { len: usize, needed: usize },
    #[error("{0} bytes follow the record batch")]
    TrailingBytes(usize),
    #[error("record batch has magic {0}, only 2 is kept")]
    Magic(i8),
    #[error("record batch has checksum {computed:#010x}, its header says {stored:#010x}")]
    Checksum { stored: u32, computed: u32 },
    #[error("record batch names compression codec {0}, which is unknown")]
    UnknownCompression(i16),
    #[error("record batch field {field} is {value}, which cannot be")]
    Field { field: &'static str, value: i64 },
    #[error("record batch does not decompress as {codec}: {reason}")]
    Decompress { codec: &'static str, reason: String },
    #[error("record batch expands to more than {max} bytes")]
    ExpandsTooFar { max: usize },
    #[error("record {index} is malformed: {reason}")]
    Record { index: usize, reason: &'static str },
}
