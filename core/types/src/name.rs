//! Topic names: any bytes, with an alias that Kafka clients can spell.
//!
//! # Invariants
//! - `TopicName::from_kafka_alias(name.kafka_alias())` gives `name` back, unless `name` itself
//!   looks like an alias; the catalog refuses a topic whose alias is taken.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// LIMIT: longest topic name. Each byte may take four in the alias, which Kafka limits to 249.
pub const TOPIC_NAME_BYTES_MAX: usize = 249;

/// A topic's name. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TopicName(#[serde(with = "name_bytes")] Arc<[u8]>);

/// Why a name is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// A name has at least one byte.
    #[error("a topic name must not be empty")]
    Empty,
    /// Kafka reserves these two, because they are directories.
    #[error("a topic cannot be named {0:?}")]
    Reserved(String),
    /// The name, or its Kafka alias, is longer than Kafka allows.
    #[error("topic name {name:?} is too long: {len} bytes as Kafka spells it, {max} allowed")]
    TooLong {
        /// The name as text.
        name: String,
        /// Bytes in its alias.
        len: usize,
        /// Bytes allowed.
        max: usize,
    },
}

impl TopicName {
    /// Checks a name.
    ///
    /// # Errors
    /// [`NameError`] when it is empty, `.` or `..`, or its alias exceeds 249 bytes.
    pub fn new(bytes: impl AsRef<[u8]>) -> Result<TopicName, NameError> {
        let bytes = bytes.as_ref();
        if bytes.is_empty() {
            return Err(NameError::Empty);
        }
        if bytes == b"." || bytes == b".." {
            return Err(NameError::Reserved(String::from_utf8_lossy(bytes).into_owned()));
        }
        let name = TopicName(Arc::from(bytes));
        let len = name.kafka_alias().len();
        if len > TOPIC_NAME_BYTES_MAX {
            let name = name.to_string();
            return Err(NameError::TooLong { name, len, max: TOPIC_NAME_BYTES_MAX });
        }
        Ok(name)
    }

    /// Reads a name as a Kafka client spells it: `orders_x3Aeu` is `orders:eu`.
    ///
    /// # Errors
    /// As [`TopicName::new`].
    pub fn from_kafka_alias(alias: &str) -> Result<TopicName, NameError> {
        TopicName::new(unescape(alias.as_bytes()))
    }

    /// The name in `[A-Za-z0-9._-]{1,249}`; every other byte becomes `_x` and two hex digits.
    pub fn kafka_alias(&self) -> String {
        let mut alias = String::with_capacity(self.0.len());
        for &byte in self.0.iter() {
            if is_legal(byte) {
                alias.push(char::from(byte));
            } else {
                alias.push_str(&format!("_x{byte:02X}"));
            }
        }
        alias
    }

    /// The name's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

fn is_legal(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

fn unescape(mut alias: &[u8]) -> Vec<u8> {
    let mut name = Vec::with_capacity(alias.len());
    while let Some((&first, rest)) = alias.split_first() {
        match escaped_byte(alias) {
            Some(byte) => {
                name.push(byte);
                alias = &alias[4..];
            }
            None => {
                name.push(first);
                alias = rest;
            }
        }
    }
    name
}

/// The byte that `_xHH` at the start of `text` stands for; legal bytes are never escaped.
fn escaped_byte(text: &[u8]) -> Option<u8> {
    let [b'_', b'x', high, low] = *text.first_chunk::<4>()? else { return None };
    let digits = [high, low];
    if digits.iter().any(u8::is_ascii_lowercase) {
        return None;
    }
    let byte = u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?;
    (!is_legal(byte)).then_some(byte)
}

/// Equality, order and hash are those of the bytes.
impl std::borrow::Borrow<[u8]> for TopicName {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        String::from_utf8_lossy(&self.0).fmt(formatter)
    }
}

impl fmt::Debug for TopicName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&String::from_utf8_lossy(&self.0), formatter)
    }
}

mod name_bytes {
    //! A name is stored as text where it is UTF-8, otherwise as an array of bytes.

    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        name: &Arc<[u8]>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(name) {
            Ok(text) => text.serialize(serializer),
            Err(_) => name.as_ref().serialize(serializer),
        }
    }

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Stored {
        Text(String),
        Bytes(Vec<u8>),
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Arc<[u8]>, D::Error> {
        Ok(match Stored::deserialize(deserializer)? {
            Stored::Text(text) => Arc::from(text.into_bytes()),
            Stored::Bytes(bytes) => Arc::from(bytes),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn legal_names_are_their_own_alias() {
        assert_eq!(TopicName::new("flights.2013_x-1").unwrap().kafka_alias(), "flights.2013_x-1");
    }

    #[test]
    fn other_bytes_are_escaped() {
        assert_eq!(TopicName::new("orders:eu").unwrap().kafka_alias(), "orders_x3Aeu");
    }

    #[test]
    fn a_name_whose_alias_is_too_long_is_refused() {
        assert!(matches!(TopicName::new(":".repeat(63)), Err(NameError::TooLong { len: 252, .. })));
    }

    proptest! {
        #[test]
        fn alias_gives_the_name_back(bytes in prop::collection::vec(any::<u8>(), 1..60)) {
            let Ok(name) = TopicName::new(&bytes) else { return Ok(()) };
            let looks_like_alias = unescape(&bytes) != bytes;
            prop_assume!(!looks_like_alias);
            prop_assert_eq!(TopicName::from_kafka_alias(&name.kafka_alias()).unwrap(), name);
        }
    }
}
