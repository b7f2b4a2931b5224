//! Quantities that carry their unit.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01T00:00:00Z; Kafka's record timestamp.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// "No timestamp" on the Kafka wire.
    pub const NONE: Timestamp = Timestamp(-1);

    /// A timestamp of `ms` milliseconds since the epoch.
    pub fn from_ms(ms: i64) -> Timestamp {
        Timestamp(ms)
    }

    /// Milliseconds since the epoch.
    pub fn as_ms(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A number of bytes.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct ByteSize(pub u64);

impl ByteSize {
    /// `count` KiB.
    pub const fn kib(count: u64) -> ByteSize {
        ByteSize(count * 1024)
    }

    /// `count` MiB.
    pub const fn mib(count: u64) -> ByteSize {
        ByteSize(count * 1024 * 1024)
    }

    /// `count` GiB.
    pub const fn gib(count: u64) -> ByteSize {
        ByteSize(count * 1024 * 1024 * 1024)
    }

    /// The number of bytes, for indexing memory.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
        for (size, unit) in UNITS {
            if self.0 >= size && self.0.is_multiple_of(size) {
                return write!(formatter, "{} {unit}", self.0 / size);
            }
        }
        write!(formatter, "{} B", self.0)
    }
}

/// A size that could not be read.
#[derive(Debug, thiserror::Error)]
#[error("{value:?} is not a size; write a number of bytes, or a number with KiB, MiB or GiB")]
pub struct ByteSizeError {
    value: String,
}

impl FromStr for ByteSize {
    type Err = ByteSizeError;

    fn from_str(value: &str) -> Result<ByteSize, ByteSizeError> {
        let fail = || ByteSizeError { value: value.to_owned() };
        let text = value.trim();
        let digits_len = text.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, unit) = text.split_at(digits_len);
        let number: u64 = digits.parse().map_err(|_| fail())?;
        let scale = match unit.trim() {
            "" | "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return Err(fail()),
        };
        number.checked_mul(scale).map(ByteSize).ok_or_else(fail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_back_as_written() {
        for size in [ByteSize(0), ByteSize(17), ByteSize::kib(3), ByteSize::gib(2)] {
            assert_eq!(size.to_string().parse::<ByteSize>().unwrap(), size);
        }
    }

    #[test]
    fn a_size_without_digits_is_refused() {
        assert!("MiB".parse::<ByteSize>().is_err());
        assert!("99999999999999999999GiB".parse::<ByteSize>().is_err());
    }
}
