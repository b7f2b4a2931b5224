//! One key's value as Redis stores it in its own files, to carry it from one server to another.
//!
//! Written are the plain forms of each type, which every Redis reads; read are those, and strings and
//! elements that Redis wrote as integers or compressed. Its packed forms of small collections are
//! refused as an unknown version is.
//!
//! SPEC: Redis 7.0 `rdb.c`, `DUMP`: type, value, version (two bytes), CRC-64 (eight bytes), little
//! endian.

mod checksum;
mod reader;
mod writer;

use self::checksum::crc64;
use self::reader::Reader;
use crate::database::Database;
use crate::effect::Change;
use crate::error::KeyError;
use crate::snapshot::replace;
use crate::value::{Hash, Kind, List, Set, SortedSet, Value};

/// The version that is written: Redis 7.0's.
const VERSION: u16 = 10;
/// LIMIT: the newest version that is read; later ones may mean other things by the same bytes.
const VERSION_MAX: u16 = 12;
const FOOTER_BYTES: usize = 10;

const STRING: u8 = 0;
const LIST: u8 = 1;
const SET: u8 = 2;
const HASH: u8 = 4;
const SORTED_SET: u8 = 5;

impl Database<'_> {
    /// A key's value, as `RESTORE` reads it (`DUMP`); `None` where there is no key, or a stream, whose
    /// entries are not here.
    pub fn dump(&mut self, key: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        let value = &self.entry(key)?.value;
        if value.kind() == Kind::Stream {
            return None;
        }
        writer::write(value, &mut out);
        out.extend_from_slice(&VERSION.to_le_bytes());
        let checksum = crc64(&out);
        out.extend_from_slice(&checksum.to_le_bytes());
        Some(out)
    }

    /// Makes a key hold a dumped value, until a moment if one is given (`RESTORE`).
    pub fn restore(
        &mut self,
        key: &[u8],
        dumped: &[u8],
        expires: Option<i64>,
        replaces: bool,
    ) -> Result<(), KeyError> {
        let exists = self.entry(key).is_some();
        if exists && !replaces {
            return Err(KeyError::KeyExists);
        }
        let value = read(dumped).ok_or(KeyError::BadDump)?;
        let key = Self::own(key);
        if expires.is_some_and(|at| at <= self.now) {
            if exists {
                self.commit(Change::Remove { key });
            }
            return Ok(());
        }
        replace(&key, &value).into_iter().for_each(|change| self.commit(change));
        if expires.is_some() {
            self.commit(Change::Expire { key, at: expires });
        }
        Ok(())
    }
}

/// Reads a dumped value; `None` where it is damaged or of a form that is not read.
pub(crate) fn read(dumped: &[u8]) -> Option<Value> {
    let (body, checksum) = dumped.split_last_chunk::<8>()?;
    let (value, version) = body.split_last_chunk::<2>()?;
    let stored = u64::from_le_bytes(*checksum);
    // A checksum of zero is none: the writer had it turned off.
    let checked = stored == 0 || stored == crc64(body);
    if u16::from_le_bytes(*version) > VERSION_MAX || !checked || dumped.len() < FOOTER_BYTES + 1 {
        return None;
    }
    let (&kind, rest) = value.split_first()?;
    let mut reader = Reader(rest);
    let value = read_value(kind, &mut reader)?;
    (reader.0.is_empty() && !value.is_empty_collection()).then_some(value)
}

fn read_value(kind: u8, reader: &mut Reader<'_>) -> Option<Value> {
    if kind == STRING {
        return reader.string().map(Value::String);
    }
    let count = reader.count()?;
    match kind {
        LIST => {
            let mut list = List::default();
            for _ in 0..count {
                list.push_back(reader.string()?);
            }
            Some(Value::List(list))
        }
        SET => {
            let mut set = Set::default();
            for _ in 0..count {
                set.add(reader.string()?);
            }
            Some(Value::Set(set))
        }
        HASH => {
            let mut hash = Hash::default();
            for _ in 0..count {
                hash.set(reader.string()?, reader.string()?);
            }
            Some(Value::Hash(hash))
        }
        SORTED_SET => {
            let mut sorted = SortedSet::default();
            for _ in 0..count {
                sorted.set(reader.string()?, reader.score()?);
            }
            Some(Value::SortedSet(sorted))
        }
        _ => None,
    }
}
