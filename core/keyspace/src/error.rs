//! Why an operation on keys is refused.

/// Why an operation on keys is refused. All are the caller's doing, and nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The key holds another type.
    #[error("the key holds another type")]
    WrongType,
    /// A value or an argument is not an integer, or does not fit 64 bits.
    #[error("value is not an integer of 64 bits")]
    NotInteger,
    /// A hash's field is not an integer.
    #[error("hash value is not an integer")]
    HashNotInteger,
    /// A value is not a number.
    #[error("value is not a number")]
    NotFloat,
    /// A hash's field is not a number.
    #[error("hash value is not a number")]
    HashNotFloat,
    /// The sum does not fit 64 bits.
    #[error("sum does not fit 64 bits")]
    Overflow,
    /// The sum is infinite or not a number.
    #[error("sum is infinite or not a number")]
    NotFinite,
    /// The score would not be a number.
    #[error("score would not be a number")]
    ScoreNotANumber,
    /// There is no such key.
    #[error("no such key")]
    NoSuchKey,
    /// The index is outside of the list.
    #[error("index is outside of the list")]
    IndexOutOfRange,
    /// Source and destination are one and the same.
    #[error("source and destination are the same")]
    SameKey,
    /// The string would be larger than a string may be.
    #[error("string would be larger than allowed")]
    TooLong,
    /// The string is no HyperLogLog.
    #[error("string is no HyperLogLog")]
    NotHyperLogLog,
    /// The string begins as a HyperLogLog and goes on as something else.
    #[error("HyperLogLog is damaged")]
    DamagedHyperLogLog,
    /// What is to be restored was not dumped by Redis or is damaged.
    #[error("dumped value is damaged or of another version")]
    BadDump,
    /// The key exists already.
    #[error("key exists already")]
    KeyExists,
    /// There is no database of this number.
    #[error("no such database")]
    NoSuchDatabase,
    /// The key holds a stream, whose entries are elsewhere.
    #[error("key holds a stream")]
    IsStream,
    /// An element is not a number and was to be sorted as one.
    #[error("element cannot be sorted as a number")]
    NotSortable,
}
