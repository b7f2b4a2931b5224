//! Bytes as text that a person can read, without losing any.
//!
//! Keys, values and header values are bytes. As text they are themselves when they are UTF-8, and
//! PostgreSQL's `\x` form of `bytea` otherwise. Text that begins with `\x` itself, or holds the zero
//! character that PostgreSQL's text cannot, takes the second form too, so the first two characters
//! always tell.
//!
//! # Invariants
//! - `bytes_of(&text_of(bytes)) == bytes` for every `bytes`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write;

use posthouse_record::Header;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

const ESCAPE: &str = "\\x";

/// The text of `bytes`.
pub(crate) fn text_of(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.starts_with(ESCAPE) && !bytes.contains(&0) => Cow::Borrowed(text),
        _ => Cow::Owned(hex_of(bytes)),
    }
}

/// The bytes that `text` stands for; `None` when it begins with `\x` and goes on otherwise than in
/// pairs of hexadecimal digits.
pub(crate) fn bytes_of(text: &str) -> Option<Cow<'_, [u8]>> {
    let Some(digits) = text.strip_prefix(ESCAPE) else {
        return Some(Cow::Borrowed(text.as_bytes()));
    };
    let (pairs, []) = digits.as_bytes().as_chunks::<2>() else { return None };
    pairs.iter().map(byte_of).collect::<Option<Vec<u8>>>().map(Cow::Owned)
}

/// Headers as a JSON object in their order; `None` when there are none. The values of a name that
/// comes more than once are an array, at the place of the first.
pub(crate) fn text_of_headers<'h>(
    headers: impl Iterator<Item = (&'h [u8], Option<&'h [u8]>)>,
) -> Option<String> {
    let mut object: Vec<(&[u8], Vec<Value>)> = Vec::new();
    let mut places: HashMap<&[u8], usize> = HashMap::new();
    for (name, value) in headers {
        let value = match value {
            None => Value::Null,
            Some(bytes) => Value::String(text_of(bytes).into_owned()),
        };
        match places.get(name) {
            Some(place) => object[*place].1.push(value),
            None => {
                places.insert(name, object.len());
                object.push((name, vec![value]));
            }
        }
    }
    if object.is_empty() {
        return None;
    }
    let mut text = String::from("{");
    for (index, (name, mut values)) in object.into_iter().enumerate() {
        let name = Value::String(text_of(name).into_owned());
        let value = match values.len() {
            1 => values.remove(0),
            _ => Value::Array(values),
        };
        let comma = if index == 0 { "" } else { "," };
        write!(text, "{comma}{name}:{value}").expect("writing to a string does not fail");
    }
    text.push('}');
    Some(text)
}

/// The headers that [`text_of_headers`] wrote as `text`.
///
/// # Errors
/// The reason, when it is not an object of texts, NULLs and arrays of them.
pub(crate) fn headers_of(text: &str) -> Result<Vec<Header>, String> {
    let Ordered(object) = serde_json::from_str(text)
        .map_err(|error| format!("headers are a JSON object: {error}"))?;
    let mut headers = Vec::with_capacity(object.len());
    for (name, value) in object {
        match value {
            Value::Array(values) => {
                for value in values {
                    headers.push(header_of(&name, value)?);
                }
            }
            value => headers.push(header_of(&name, value)?),
        }
    }
    Ok(headers)
}

/// The members of an object in their order.
struct Ordered(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Ordered {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Ordered, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Ordered;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ordered, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Ordered(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

fn header_of(name: &str, value: Value) -> Result<Header, String> {
    let bytes = |text: &str| {
        bytes_of(text)
            .map(|bytes| bytes::Bytes::from(bytes.into_owned()))
            .ok_or_else(|| format!("{text:?} begins with \\x and is not hexadecimal"))
    };
    let value = match value {
        Value::Null => None,
        Value::String(text) => Some(bytes(&text)?),
        other => return Err(format!("header {name:?} is {other}; a header is a string or null")),
    };
    Ok(Header { name: bytes(name)?, value })
}

fn hex_of(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(ESCAPE.len() + 2 * bytes.len());
    text.push_str(ESCAPE);
    for byte in bytes {
        write!(text, "{byte:02x}").expect("writing to a string does not fail");
    }
    text
}

fn byte_of(pair: &[u8; 2]) -> Option<u8> {
    let [high, low] = pair.map(|digit| char::from(digit).to_digit(16));
    u8::try_from(high? * 16 + low?).ok()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_is_itself_and_other_bytes_are_hexadecimal() {
        assert_eq!(text_of(b"hello"), "hello");
        assert_eq!(text_of(b"\xff\x00"), "\\xff00");
        assert_eq!(text_of(b"\\x41"), "\\x5c783431");
        assert_eq!(text_of(b"a\0b"), "\\x610062");
    }

    #[test]
    fn half_a_byte_is_refused() {
        assert_eq!(bytes_of("\\x4"), None);
        assert_eq!(bytes_of("\\xzz"), None);
    }

    #[test]
    fn a_repeated_header_is_an_array() {
        let header = |name: &'static str, value: Option<&'static str>| Header {
            name: Bytes::from(name),
            value: value.map(Bytes::from),
        };
        let headers = [header("a", Some("1")), header("b", None), header("a", Some("2"))];
        let views = headers.iter().map(|header| (header.name.as_ref(), header.value.as_deref()));
        let text = text_of_headers(views).unwrap();
        assert_eq!(text, r#"{"a":["1","2"],"b":null}"#);
        let read = headers_of(&text).unwrap();
        assert_eq!(read.len(), 3);
        assert_eq!(read[1], headers[2]);
        assert_eq!(read[2], headers[1]);
    }

    proptest! {
        #[test]
        fn no_byte_is_lost(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let text = text_of(&bytes).into_owned();
            let read = bytes_of(&text).unwrap().into_owned();
            prop_assert_eq!(read, bytes);
        }
    }
}
