//! A record as JSON, the same in both directions.
//!
//! A field of bytes is written as text where it is UTF-8 and otherwise, under its name with
//! `_base64`, in standard base64: `{"key":"a","value_base64":"/wA="}`. `null` and a missing field
//! are the same on the way in, except that a record needs a value or its explicit absence.
//!
//! # Invariants
//! - What [`encode_line`] writes, [`decode_line`] reads back identical (property test).
//! - A value given as JSON that is not a string (`"value": {"id": 1}`) is kept as the text that was
//!   sent, byte for byte.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use posthouse_record::{Header, Record};
use posthouse_types::{PartitionIndex, Timestamp};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A record on its way in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IncomingRecord {
    /// Its key.
    pub key: Option<Bytes>,
    /// Its value.
    pub value: Option<Bytes>,
    /// Its headers, in order.
    pub headers: Vec<Header>,
    /// Where it is to go; by its key, or the connection's partition, when absent.
    pub partition: Option<PartitionIndex>,
    /// Its timestamp; the moment of arrival when absent.
    pub timestamp: Option<Timestamp>,
}

/// Why JSON is not a record. The text completes `record N is refused: `.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordError {
    /// It is not an object of the right shape.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// Both spellings of one field.
    #[error("it has both {field} and {field}_base64")]
    Both {
        /// The field.
        field: &'static str,
    },
    /// A field that is not base64.
    #[error("its {field}_base64 is not base64")]
    Base64 {
        /// The field.
        field: &'static str,
    },
    /// A header without a name.
    #[error("one of its headers has no name")]
    HeaderName,
    /// Neither a value nor its explicit absence.
    #[error("it has no value; write \"value\": null for a record that has none")]
    NoValue,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordJson<'a> {
    key: Option<String>,
    key_base64: Option<String>,
    #[serde(borrow, default, deserialize_with = "present")]
    value: Option<&'a RawValue>,
    value_base64: Option<String>,
    #[serde(default)]
    headers: Vec<HeaderJson>,
    partition: Option<u32>,
    timestamp: Option<i64>,
    // Given by the node; accepted so that what was read can be written again.
    #[serde(rename = "offset")]
    _offset: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HeaderJson {
    name: Option<String>,
    name_base64: Option<String>,
    value: Option<String>,
    value_base64: Option<String>,
}

/// Keeps `null` apart from a missing field.
pub(super) fn present<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Reads one record from the JSON object in `line`.
///
/// # Errors
/// [`RecordError`], whose text tells a person what to change.
pub(crate) fn decode_line(line: &[u8]) -> Result<IncomingRecord, RecordError> {
    let json: RecordJson<'_> = serde_json::from_slice(line)?;
    let value = match (json.value, json.value_base64) {
        (Some(_), Some(_)) => return Err(RecordError::Both { field: "value" }),
        (Some(raw), None) => raw_value(raw)?,
        (None, Some(text)) => Some(base64("value", &text)?),
        (None, None) => return Err(RecordError::NoValue),
    };
    let headers = json.headers.into_iter().map(HeaderJson::decode).collect::<Result<_, _>>()?;
    Ok(IncomingRecord {
        key: bytes("key", json.key, json.key_base64)?,
        value,
        headers,
        partition: json.partition.map(PartitionIndex::new),
        timestamp: json.timestamp.map(Timestamp::from_ms),
    })
}

impl HeaderJson {
    pub(super) fn decode(self) -> Result<Header, RecordError> {
        let name = bytes("name", self.name, self.name_base64)?.ok_or(RecordError::HeaderName)?;
        Ok(Header { name, value: bytes("value", self.value, self.value_base64)? })
    }
}

pub(super) fn raw_value(raw: &RawValue) -> Result<Option<Bytes>, RecordError> {
    let text = raw.get();
    if text == "null" {
        Ok(None)
    } else if text.starts_with('"') {
        let text: String = serde_json::from_str(text)?;
        Ok(Some(Bytes::from(text)))
    } else {
        Ok(Some(Bytes::copy_from_slice(text.as_bytes())))
    }
}

pub(super) fn bytes(
    field: &'static str,
    text: Option<String>,
    encoded: Option<String>,
) -> Result<Option<Bytes>, RecordError> {
    match (text, encoded) {
        (Some(_), Some(_)) => Err(RecordError::Both { field }),
        (Some(text), None) => Ok(Some(Bytes::from(text))),
        (None, Some(text)) => base64(field, &text).map(Some),
        (None, None) => Ok(None),
    }
}

pub(super) fn base64(field: &'static str, text: &str) -> Result<Bytes, RecordError> {
    BASE64.decode(text).map(Bytes::from).map_err(|_| RecordError::Base64 { field })
}

/// Writes one record of `partition` as a JSON object, without a line end.
pub(crate) fn encode_line(output: &mut Vec<u8>, partition: PartitionIndex, record: &Record) {
    let (offset, timestamp) = (record.offset, record.timestamp.as_ms());
    let head = write!(
        output,
        "{{\"partition\":{partition},\"offset\":{offset},\"timestamp\":{timestamp},"
    );
    head.expect("writing into memory does not fail");
    encode_contents(output, record.key.as_deref(), Some(record.value.as_deref()), &record.headers);
    output.push(b'}');
}

/// Writes the members that hold a message; no value where it is carried apart (`None`).
pub(super) fn encode_contents(
    output: &mut Vec<u8>,
    key: Option<&[u8]>,
    value: Option<Option<&[u8]>>,
    headers: &[Header],
) {
    field(output, "key", key);
    if let Some(value) = value {
        output.push(b',');
        field(output, "value", value);
    }
    output.extend_from_slice(b",\"headers\":[");
    for (index, header) in headers.iter().enumerate() {
        output.extend_from_slice(if index == 0 { b"{" } else { b",{" });
        field(output, "name", Some(&header.name));
        output.push(b',');
        field(output, "value", header.value.as_deref());
        output.push(b'}');
    }
    output.push(b']');
}

pub(super) fn field(output: &mut Vec<u8>, name: &str, bytes: Option<&[u8]>) {
    let text = bytes.map(std::str::from_utf8);
    let encoded = matches!(text, Some(Err(_)));
    output.push(b'"');
    output.extend_from_slice(name.as_bytes());
    output.extend_from_slice(if encoded { b"_base64\":" } else { b"\":" });
    match (bytes, text) {
        (Some(bytes), Some(Err(_))) => json_string(output, &BASE64.encode(bytes)),
        (_, Some(Ok(text))) => json_string(output, text),
        _ => output.extend_from_slice(b"null"),
    }
}

fn json_string(output: &mut Vec<u8>, text: &str) {
    text.serialize(&mut serde_json::Serializer::new(output))
        .expect("a string is always JSON, and writing into memory does not fail");
}

#[cfg(test)]
mod tests {
    use posthouse_types::Offset;
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

    use super::*;

    fn any_bytes() -> impl Strategy<Value = Bytes> {
        prop_oneof![
            vec(any::<u8>(), 0..40).prop_map(Bytes::from),
            ".{0,20}".prop_map(Bytes::from),
            Just(Bytes::from_static(b"{\"json\": [1, 2.50]}")),
        ]
    }

    proptest! {
        #[test]
        fn a_record_written_and_read_back_is_identical(
            key in option::of(any_bytes()),
            value in option::of(any_bytes()),
            headers in vec((any_bytes(), option::of(any_bytes())), 0..4),
            offset in 0..i64::MAX,
            timestamp in any::<i64>(),
            partition in any::<u32>(),
        ) {
            let headers: Vec<_> =
                headers.into_iter().map(|(name, value)| Header { name, value }).collect();
            let record = Record {
                offset: Offset::new(offset).unwrap(),
                timestamp: Timestamp::from_ms(timestamp),
                key: key.clone(),
                value: value.clone(),
                headers: headers.clone(),
            };
            let mut line = Vec::new();
            encode_line(&mut line, PartitionIndex::new(partition), &record);
            prop_assert!(!line.contains(&b'\n'));
            let read = decode_line(&line).unwrap();
            prop_assert_eq!(read, IncomingRecord {
                key,
                value,
                headers,
                partition: Some(PartitionIndex::new(partition)),
                timestamp: Some(Timestamp::from_ms(timestamp)),
            });
        }

        #[test]
        fn no_input_panics(line in vec(any::<u8>(), 0..200)) {
            let _ = decode_line(&line);
        }
    }

    fn value_of(line: &str) -> Option<Bytes> {
        decode_line(line.as_bytes()).unwrap().value
    }

    #[test]
    fn a_json_value_is_kept_as_it_was_sent() {
        assert_eq!(value_of(r#"{"value": {"a":  1.50} }"#), Some(Bytes::from(r#"{"a":  1.50}"#)));
        assert_eq!(value_of(r#"{"value": 7}"#), Some(Bytes::from("7")));
        assert_eq!(value_of(r#"{"value": "a\nb"}"#), Some(Bytes::from("a\nb")));
        assert_eq!(value_of(r#"{"value": null}"#), None);
    }

    fn refused(line: &str) -> String {
        decode_line(line.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn what_is_not_a_record_says_what_to_change() {
        assert!(refused("{}").contains("\"value\": null"));
        assert!(refused(r#"{"value":"a","value_base64":"YQ=="}"#).contains("both value"));
        assert!(refused(r#"{"value":"a","key_base64":"%"}"#).contains("key_base64 is not base64"));
        assert!(refused(r#"{"value":"a","ky":"b"}"#).contains("unknown field `ky`"));
        assert!(refused(r#"{"value":"a","headers":[{"value":"x"}]}"#).contains("no name"));
        assert!(refused(r#"{"value":"a","partition":-1}"#).contains("-1"));
    }
}
