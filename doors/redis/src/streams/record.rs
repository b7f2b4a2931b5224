//! Entries as records.
//!
//! # Layout
//! - An entry has a header `redis.id`: empty when its id is timestamp and offset, otherwise the id.
//!   When its fields are unique UTF-8 its value is a JSON object of strings; otherwise its value is
//!   null, and a header `redis.fields` comes before the fields as headers, in order.
//! - `redis.del`: ids, with spaces between, that are removed. `redis.trim`: everything below the id
//!   is removed. `redis.setid`: last id, entries added, largest id removed. These have neither key
//!   nor value.
//! - Any other record is an entry, too: a JSON object gives its members, and any other value is the
//!   field `value`, with the field `key` before it when the record has a key.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use bytes::Bytes;
use posthouse_record::{Header, Record};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::StreamId;

const ID: &[u8] = b"redis.id";
const FIELDS: &[u8] = b"redis.fields";
const DEL: &[u8] = b"redis.del";
const TRIM: &[u8] = b"redis.trim";
const SET_ID: &[u8] = b"redis.setid";

/// Names with values, in order.
pub(crate) type Fields = Vec<(Bytes, Bytes)>;

/// An entry as it is answered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) id: StreamId,
    /// `None` when the record is gone.
    pub(crate) fields: Option<Fields>,
}

/// What a record means to a stream.
#[derive(Debug, PartialEq)]
pub(super) enum Meaning {
    /// An entry that this door wrote; its id when that does not follow from its place.
    Entry(Option<StreamId>),
    /// An entry that another door wrote.
    Foreign,
    Delete(Vec<StreamId>),
    Trim(StreamId),
    SetId {
        last: StreamId,
        added: u64,
        deleted: StreamId,
    },
}

/// A record to be appended.
pub(super) struct Draft {
    pub(super) value: Option<Vec<u8>>,
    pub(super) headers: Vec<Header>,
}

impl Draft {
    /// An entry; `id` when it does not follow from its place.
    pub(super) fn entry(id: Option<StreamId>, fields: &[Bytes]) -> Draft {
        let id = id.map(|id| id.to_string()).unwrap_or_default();
        let mut headers = vec![header(ID, id)];
        if let Some(json) = as_json(fields) {
            return Draft { value: Some(json), headers };
        }
        headers.push(header(FIELDS, Bytes::new()));
        headers.extend(fields.chunks_exact(2).map(|pair| header(&pair[0], pair[1].clone())));
        Draft { value: None, headers }
    }

    /// Removes entries.
    pub(super) fn delete(ids: &[StreamId]) -> Draft {
        let ids: Vec<String> = ids.iter().map(StreamId::to_string).collect();
        Draft { value: None, headers: vec![header(DEL, ids.join(" "))] }
    }

    /// Removes every entry below an id.
    pub(super) fn trim(below: StreamId) -> Draft {
        Draft { value: None, headers: vec![header(TRIM, below.to_string())] }
    }

    /// Sets what the stream has counted.
    pub(super) fn set_id(last: StreamId, added: u64, deleted: StreamId) -> Draft {
        Draft { value: None, headers: vec![header(SET_ID, format!("{last} {added} {deleted}"))] }
    }
}

fn header(name: &[u8], value: impl Into<Bytes>) -> Header {
    Header { name: Bytes::copy_from_slice(name), value: Some(value.into()) }
}

/// What a record means.
pub(super) fn meaning(record: &Record) -> Meaning {
    let Some(first) = record.headers.first() else { return Meaning::Foreign };
    let text = first.value.as_deref().unwrap_or_default();
    let id = |text: &[u8]| StreamId::parse(text, 0).ok();
    let mut words = text.split(|byte| *byte == b' ');
    let read = match &first.name[..] {
        ID if text.is_empty() => Some(Meaning::Entry(None)),
        ID => id(text).map(|id| Meaning::Entry(Some(id))),
        DEL => words.map(id).collect::<Option<Vec<_>>>().map(Meaning::Delete),
        TRIM => id(text).map(Meaning::Trim),
        SET_ID => (|| {
            let last = id(words.next()?)?;
            let added = std::str::from_utf8(words.next()?).ok()?.parse().ok()?;
            Some(Meaning::SetId { last, added, deleted: id(words.next()?)? })
        })(),
        _ => None,
    };
    // Whoever else uses these names means something else by them.
    read.unwrap_or(Meaning::Foreign)
}

/// The fields of an entry.
pub(super) fn fields(record: &Record) -> Fields {
    if let [first, flag, rest @ ..] = &record.headers[..]
        && first.name == ID
        && flag.name == FIELDS
    {
        let pair =
            |header: &Header| (header.name.clone(), header.value.clone().unwrap_or_default());
        return rest.iter().map(pair).collect();
    }
    let value = record.value.clone().unwrap_or_default();
    let ours = record.headers.first().is_some_and(|header| header.name == ID);
    if let Some(fields) = from_json(&value)
        && (ours || record.key.is_none())
    {
        return fields;
    }
    let key = record.key.clone().map(|key| (Bytes::from_static(b"key"), key));
    key.into_iter().chain([(Bytes::from_static(b"value"), value)]).collect()
}

/// Fields as a JSON object, when they are unique UTF-8.
fn as_json(fields: &[Bytes]) -> Option<Vec<u8>> {
    let mut names = HashSet::new();
    let mut json = vec![b'{'];
    for pair in fields.chunks_exact(2) {
        let (name, value) =
            (std::str::from_utf8(&pair[0]).ok()?, std::str::from_utf8(&pair[1]).ok()?);
        if !names.insert(name) {
            return None;
        }
        if json.len() > 1 {
            json.push(b',');
        }
        serde_json::to_writer(&mut json, name).ok()?;
        json.push(b':');
        serde_json::to_writer(&mut json, value).ok()?;
    }
    json.push(b'}');
    Some(json)
}

/// The members of a JSON object in their order; what is not a string is shown as JSON.
fn from_json(value: &[u8]) -> Option<Fields> {
    if value.first() != Some(&b'{') {
        return None;
    }
    let mut reader = serde_json::Deserializer::from_slice(value);
    let fields = reader.deserialize_map(Members).ok()?;
    reader.end().ok()?;
    Some(fields)
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Fields;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Fields, A::Error> {
        let mut fields = Vec::new();
        while let Some((name, value)) = members.next_entry::<Cow<'_, str>, &RawValue>()? {
            let text = match serde_json::from_str::<String>(value.get()) {
                Ok(text) => Bytes::from(text),
                Err(_) => Bytes::copy_from_slice(value.get().as_bytes()),
            };
            fields.push((Bytes::copy_from_slice(name.as_bytes()), text));
        }
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
    use posthouse_types::{Offset, Timestamp};
    use proptest::prelude::*;

    use super::*;

    fn record(draft: Draft) -> Record {
        Record {
            offset: Offset::ZERO,
            timestamp: Timestamp::from_ms(0),
            key: None,
            value: draft.value.map(Bytes::from),
            headers: draft.headers,
        }
    }

    fn foreign(key: Option<&'static str>, value: &'static str) -> Record {
        Record {
            offset: Offset::ZERO,
            timestamp: Timestamp::from_ms(0),
            key: key.map(Bytes::from),
            value: Some(value.into()),
            headers: Vec::new(),
        }
    }

    #[test]
    fn records_of_other_doors_have_fields() {
        let pair =
            |name: &'static str, value: &'static str| (Bytes::from(name), Bytes::from(value));
        assert_eq!(
            fields(&foreign(None, r#"{"b":"x","a":1,"c":[true]}"#)),
            [pair("b", "x"), pair("a", "1"), pair("c", "[true]")]
        );
        assert_eq!(fields(&foreign(None, "hi")), [pair("value", "hi")]);
        assert_eq!(fields(&foreign(Some("k"), "{}")), [pair("key", "k"), pair("value", "{}")]);
        assert_eq!(meaning(&foreign(None, "hi")), Meaning::Foreign);
    }

    #[test]
    fn changes_of_a_stream_are_read_as_written() {
        let id = |ms| StreamId { ms, seq: 1 };
        assert_eq!(
            meaning(&record(Draft::delete(&[id(1), id(2)]))),
            Meaning::Delete(vec![id(1), id(2)])
        );
        assert_eq!(meaning(&record(Draft::trim(id(3)))), Meaning::Trim(id(3)));
        let set = Meaning::SetId { last: id(9), added: 7, deleted: id(4) };
        assert_eq!(meaning(&record(Draft::set_id(id(9), 7, id(4)))), set);
    }

    proptest! {
        #[test]
        fn an_entry_is_read_as_it_was_added(
            pairs in prop::collection::vec(
                (prop::collection::vec(any::<u8>(), 0..4), prop::collection::vec(any::<u8>(), 0..8)),
                1..5),
            text in any::<String>(),
        ) {
            let mut flat: Vec<Bytes> = pairs
                .iter()
                .flat_map(|(name, value)| [Bytes::from(name.clone()), Bytes::from(value.clone())])
                .collect();
            flat.extend([Bytes::from("text"), Bytes::from(text)]);
            let expected: Fields =
                flat.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
            let written = record(Draft::entry(None, &flat));
            prop_assert_eq!(fields(&written), expected);
            prop_assert_eq!(meaning(&written), Meaning::Entry(None));
        }
    }
}
