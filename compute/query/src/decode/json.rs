//! Values that are JSON objects.
//!
//! Owns finding the members that are columns. A value is checked whole and each wanted member is
//! kept as the range of bytes it covers; [`super::column`] reads those. Nothing is allocated for
//! members that are not wanted.
//!
//! A member belongs to the column of its name; where no column is spelled exactly so, to one that
//! differs in case only, because SQL folds the case of unquoted names and JSON does not. A member
//! that comes twice counts the last time.

use std::ops::Range;

use serde::Deserializer as _;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::column::ColumnBuilder;
use super::{Field, note};

/// The members of one value that are columns; reused from value to value.
pub(super) struct Members {
    names: Vec<String>,
    found: Vec<Option<Found>>,
}

/// Where a column's member lies in the value.
#[derive(Clone)]
struct Found {
    range: Range<usize>,
    exact: bool,
}

impl Members {
    pub(super) fn new(fields: &[Field]) -> Members {
        let names: Vec<String> = fields.iter().map(|field| field.column.name.clone()).collect();
        Members { found: vec![None; names.len()], names }
    }

    /// Appends one row; the reason when the value is not as declared.
    pub(super) fn decode(
        &mut self,
        value: &[u8],
        fields: &[Field],
        builders: &mut [ColumnBuilder],
    ) -> Option<String> {
        let text = match self.locate(value) {
            Ok(text) => text,
            Err(reason) => {
                builders.iter_mut().for_each(ColumnBuilder::append_null);
                return Some(reason);
            }
        };
        let mut failure = None;
        for ((field, builder), found) in fields.iter().zip(builders).zip(&self.found) {
            match found {
                None => builder.append_null(),
                Some(found) => {
                    note(&mut failure, field, builder.append_json(&text[found.range.clone()]));
                }
            }
        }
        failure
    }

    fn locate<'v>(&mut self, value: &'v [u8]) -> Result<&'v str, String> {
        self.found.fill(None);
        let text = std::str::from_utf8(value).map_err(|_| "the value is not UTF-8 text")?;
        let mut parser = serde_json::Deserializer::from_str(text);
        let reason = |error: serde_json::Error| format!("the value is not a JSON object: {error}");
        let base = text.as_ptr() as usize;
        let object = Object { names: &self.names, found: &mut self.found, base };
        parser.deserialize_map(object).map_err(reason)?;
        parser.end().map_err(reason)?;
        Ok(text)
    }
}

/// Walks over an object.
struct Object<'m> {
    names: &'m [String],
    found: &'m mut [Option<Found>],
    /// The address of the value's first byte.
    base: usize,
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        // Producers write members in one order, mostly the declared one.
        let mut expected = 0;
        while let Some(column) = map.next_key_seed(Name { names: self.names, expected })? {
            let Some((index, exact)) = column else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let member = map.next_value::<&'de RawValue>()?.get();
            expected = index + 1;
            let start = (member.as_ptr() as usize)
                .checked_sub(self.base)
                .ok_or_else(|| A::Error::custom("a member outside its value"))?;
            if exact || !self.found[index].as_ref().is_some_and(|found| found.exact) {
                self.found[index] = Some(Found { range: start..start + member.len(), exact });
            }
        }
        Ok(())
    }
}

/// Reads a member's name as the column it is, and whether it is spelled exactly so.
struct Name<'m> {
    names: &'m [String],
    expected: usize,
}

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Option<(usize, bool)>;

    fn deserialize<D: serde::Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Option<(usize, bool)>;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a member name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        if self.names.get(self.expected).is_some_and(|expected| expected == name) {
            return Ok(Some((self.expected, true)));
        }
        if let Some(index) = self.names.iter().position(|column| column == name) {
            return Ok(Some((index, true)));
        }
        let folded = self.names.iter().position(|column| column.eq_ignore_ascii_case(name));
        Ok(folded.map(|index| (index, false)))
    }
}
