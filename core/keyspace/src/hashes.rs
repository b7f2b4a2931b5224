//! Hashes: fields with values.

use bytes::Bytes;

use crate::database::Database;
use crate::effect::Change;
use crate::error::KeyError;
use crate::glob::glob_matches;
use crate::keys::{ScanFilter, Scanned, walk};
use crate::number::{add_decimals, parse_float, parse_integer};
use crate::value::answer_of;

impl Database<'_> {
    /// Sets fields; says how many are new (`HSET`).
    pub fn set_fields(&mut self, key: &[u8], pairs: &[(&[u8], &[u8])]) -> Result<usize, KeyError> {
        let hash = self.hash(key)?;
        let mut new: Vec<&[u8]> = pairs
            .iter()
            .map(|(field, _)| *field)
            .filter(|field| hash.is_none_or(|hash| !hash.fields.contains(field)))
            .collect();
        if new.len() > 1 {
            new.sort_unstable();
            new.dedup();
        }
        let added = new.len();
        let fields = pairs.iter().map(|(field, value)| (Self::own(field), Self::own(value)));
        self.commit(Change::SetFields { key: Self::own(key), fields: fields.collect() });
        Ok(added)
    }

    /// Sets a field that is not there yet (`HSETNX`).
    pub fn set_new_field(
        &mut self,
        key: &[u8],
        field: &[u8],
        value: &[u8],
    ) -> Result<bool, KeyError> {
        if self.get_field(key, field)?.is_some() {
            return Ok(false);
        }
        self.set_fields(key, &[(field, value)])?;
        Ok(true)
    }

    /// A field's value (`HGET`).
    pub fn get_field(&mut self, key: &[u8], field: &[u8]) -> Result<Option<Bytes>, KeyError> {
        Ok(self.hash(key)?.and_then(|hash| hash.fields.get(field)).map(answer_of))
    }

    /// The values of fields (`HMGET`).
    pub fn get_fields(
        &mut self,
        key: &[u8],
        fields: &[&[u8]],
    ) -> Result<Vec<Option<Bytes>>, KeyError> {
        let hash = self.hash(key)?;
        let value = |field: &&[u8]| hash.and_then(|hash| hash.fields.get(field)).cloned();
        Ok(fields.iter().map(value).collect())
    }

    /// All fields and values (`HGETALL`, `HKEYS`, `HVALS`).
    pub fn all_fields(&mut self, key: &[u8]) -> Result<Vec<(Bytes, Bytes)>, KeyError> {
        let Some(hash) = self.hash(key)? else { return Ok(Vec::new()) };
        Ok(hash.fields.iter().map(|(field, value)| (field.clone(), value.clone())).collect())
    }

    /// Removes fields; says how many there were (`HDEL`).
    pub fn delete_fields(&mut self, key: &[u8], fields: &[&[u8]]) -> Result<usize, KeyError> {
        let Some(hash) = self.hash(key)? else { return Ok(0) };
        let mut present: Vec<Bytes> = fields
            .iter()
            .filter_map(|field| hash.fields.get_key_value(field))
            .map(|(field, _)| field.clone())
            .collect();
        present.sort_unstable();
        present.dedup();
        let removed = present.len();
        if removed > 0 {
            self.commit(Change::RemoveFields { key: Self::own(key), fields: present });
        }
        Ok(removed)
    }

    /// How many fields there are (`HLEN`).
    pub fn hash_len(&mut self, key: &[u8]) -> Result<usize, KeyError> {
        Ok(self.hash(key)?.map_or(0, |hash| hash.fields.len()))
    }

    /// Adds to a field's integer (`HINCRBY`).
    pub fn increment_field(&mut self, key: &[u8], field: &[u8], by: i64) -> Result<i64, KeyError> {
        let value = match self.get_field(key, field)? {
            None => 0,
            Some(text) => parse_integer(&text).ok_or(KeyError::HashNotInteger)?,
        };
        let sum = value.checked_add(by).ok_or(KeyError::Overflow)?;
        self.set_fields(key, &[(field, sum.to_string().as_bytes())])?;
        Ok(sum)
    }

    /// Adds to a field's number; gives the sum as it is stored (`HINCRBYFLOAT`).
    pub fn increment_field_float(
        &mut self,
        key: &[u8],
        field: &[u8],
        by: &[u8],
    ) -> Result<String, KeyError> {
        let value = self.get_field(key, field)?.unwrap_or_else(|| Bytes::from_static(b"0"));
        if parse_float(by).is_none() {
            return Err(KeyError::NotFloat);
        }
        if parse_float(&value).is_none() {
            return Err(KeyError::HashNotFloat);
        }
        let sum = add_decimals(&value, by).ok_or(KeyError::NotFinite)?;
        self.set_fields(key, &[(field, sum.as_bytes())])?;
        Ok(sum)
    }

    /// A step of a walk over fields and values (`HSCAN`).
    pub fn scan_fields(
        &mut self,
        key: &[u8],
        cursor: u64,
        filter: ScanFilter<'_>,
    ) -> Result<Scanned<(Bytes, Bytes)>, KeyError> {
        let Some(hash) = self.hash(key)? else { return Ok(Scanned { cursor: 0, items: vec![] }) };
        Ok(walk(
            |cursor, show| hash.fields.scan(cursor, |field, value| show(field, value)),
            cursor,
            filter.count,
            |field, value: &Bytes| {
                let shown = filter.pattern.is_none_or(|pattern| glob_matches(pattern, field));
                shown.then(|| (field.clone(), value.clone()))
            },
        ))
    }

    /// Random fields with their values: different ones, or, when the count is negative, so many draws
    /// (`HRANDFIELD`).
    pub fn random_fields(
        &mut self,
        key: &[u8],
        count: i64,
    ) -> Result<Vec<(Bytes, Bytes)>, KeyError> {
        let len = self.hash_len(key)?;
        let positions = self.draw(count, len);
        let Some(hash) = self.hash(key)? else { return Ok(Vec::new()) };
        let entries = positions.into_iter().filter_map(|position| hash.fields.at(position));
        Ok(entries.map(|(field, value)| (field.clone(), value.clone())).collect())
    }

    /// Positions drawn from `len`: different ones, or, when the count is negative, so many draws.
    pub(crate) fn draw(&mut self, count: i64, len: usize) -> Vec<usize> {
        let magnitude = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
        if len == 0 {
            return Vec::new();
        }
        if count >= 0 {
            return self.keyspace.random.distinct(magnitude, len);
        }
        (0..magnitude).map(|_| self.keyspace.random.below(len)).collect()
    }
}
