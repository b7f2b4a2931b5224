//! Strings, and the numbers in them.

use bytes::Bytes;

use crate::database::{Database, absolute_range};
use crate::effect::Change;
use crate::error::KeyError;
use crate::number::{add_decimals, parse_float, parse_integer};
use crate::value::answer_of;

/// LIMIT: a string is no longer, as in Redis.
pub const STRING_BYTES_MAX: usize = 512 * 1024 * 1024;

/// Whether a key has to be there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Existing {
    /// It may or may not.
    #[default]
    Any,
    /// It must not (`NX`).
    Absent,
    /// It must (`XX`).
    Present,
}

/// Until when a key lives from now on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lifetime {
    /// For ever.
    #[default]
    Forever,
    /// As long as it would have.
    Keep,
    /// Until a moment, in milliseconds since 1970.
    Until(i64),
}

/// What setting a string did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetOutcome {
    /// Whether it was set.
    pub stored: bool,
    /// What was there.
    pub previous: Option<Bytes>,
}

impl Database<'_> {
    /// The string at a key (`GET`).
    pub fn get(&mut self, key: &[u8]) -> Result<Option<Bytes>, KeyError> {
        Ok(self.string(key)?.map(answer_of))
    }

    /// Sets a string, if the key is as it has to be (`SET`).
    pub fn set(
        &mut self,
        key: &[u8],
        value: &[u8],
        existing: Existing,
        lifetime: Lifetime,
    ) -> Result<bool, KeyError> {
        let entry = self.entry(key);
        let allowed = match existing {
            Existing::Any => true,
            Existing::Absent => entry.is_none(),
            Existing::Present => entry.is_some(),
        };
        if !allowed {
            return Ok(false);
        }
        let expires = match lifetime {
            Lifetime::Forever => None,
            Lifetime::Keep => entry.and_then(|entry| entry.expires),
            Lifetime::Until(at) => Some(at),
        };
        check_length(value.len())?;
        self.commit(Change::SetString { key: Self::own(key), value: Self::own(value), expires });
        Ok(true)
    }

    /// As [`Database::set`], and gives what was there, which has to be a string (`SET … GET`).
    pub fn set_get(
        &mut self,
        key: &[u8],
        value: &[u8],
        existing: Existing,
        lifetime: Lifetime,
    ) -> Result<SetOutcome, KeyError> {
        let previous = self.get(key)?;
        let stored = self.set(key, value, existing, lifetime)?;
        Ok(SetOutcome { stored, previous })
    }

    /// Sets several strings, or, where one of the keys must not be there and is, none (`MSET`).
    pub fn set_many(&mut self, pairs: &[(&[u8], &[u8])], absent: bool) -> Result<bool, KeyError> {
        for (key, value) in pairs {
            check_length(value.len())?;
            if absent && self.entry(key).is_some() {
                return Ok(false);
            }
        }
        for (key, value) in pairs {
            self.set(key, value, Existing::Any, Lifetime::Forever)?;
        }
        Ok(true)
    }

    /// Takes a string away (`GETDEL`).
    pub fn get_delete(&mut self, key: &[u8]) -> Result<Option<Bytes>, KeyError> {
        let value = self.get(key)?;
        if value.is_some() {
            self.commit(Change::Remove { key: Self::own(key) });
        }
        Ok(value)
    }

    /// The string at a key, which lives so long from now on (`GETEX`).
    pub fn get_expire(
        &mut self,
        key: &[u8],
        lifetime: Lifetime,
    ) -> Result<Option<Bytes>, KeyError> {
        let value = self.get(key)?;
        if value.is_some() {
            match lifetime {
                Lifetime::Keep => {}
                Lifetime::Forever => {
                    self.persist(key);
                }
                Lifetime::Until(at) => {
                    self.expire(key, at, crate::ExpireCondition::default());
                }
            }
        }
        Ok(value)
    }

    /// Adds bytes at the end; gives the new length (`APPEND`).
    pub fn append(&mut self, key: &[u8], bytes: &[u8]) -> Result<usize, KeyError> {
        let len = self.string_len(key)?;
        let exists = self.entry(key).is_some();
        check_length(len.saturating_add(bytes.len()))?;
        if !bytes.is_empty() {
            self.splice(key, len, bytes);
        } else if !exists {
            self.set(key, bytes, Existing::Any, Lifetime::Forever)?;
        }
        Ok(len + bytes.len())
    }

    /// The length of a string; zero when there is none (`STRLEN`).
    pub fn string_len(&mut self, key: &[u8]) -> Result<usize, KeyError> {
        Ok(self.string(key)?.map_or(0, Bytes::len))
    }

    /// Part of a string, between two indexes that may count from its end (`GETRANGE`).
    pub fn get_range(&mut self, key: &[u8], start: i64, end: i64) -> Result<Bytes, KeyError> {
        let Some(string) = self.string(key)? else { return Ok(Bytes::new()) };
        let len = i64::try_from(string.len()).expect("a length fits");
        if start < 0 && end < 0 && start > end {
            return Ok(Bytes::new());
        }
        // Unlike in a list, an end before the first byte is the first byte.
        let end = if end < 0 { (end.saturating_add(len)).max(0) } else { end };
        let (from, count) = absolute_range(start, end, string.len());
        Ok(string.slice(from..from + count))
    }

    /// Overwrites part of a string; gives the new length (`SETRANGE`).
    pub fn set_range(&mut self, key: &[u8], offset: u64, bytes: &[u8]) -> Result<usize, KeyError> {
        let len = self.string_len(key)?;
        if bytes.is_empty() {
            return Ok(len);
        }
        let offset = usize::try_from(offset).map_err(|_| KeyError::TooLong)?;
        let end = offset.saturating_add(bytes.len());
        check_length(end)?;
        self.splice(key, offset, bytes);
        Ok(len.max(end))
    }

    /// Adds to an integer, which is zero where there is none (`INCRBY`).
    pub fn increment(&mut self, key: &[u8], by: i64) -> Result<i64, KeyError> {
        let value = match self.string(key)? {
            None => 0,
            Some(text) => parse_integer(text).ok_or(KeyError::NotInteger)?,
        };
        let sum = value.checked_add(by).ok_or(KeyError::Overflow)?;
        self.set(key, sum.to_string().as_bytes(), Existing::Any, Lifetime::Keep)?;
        Ok(sum)
    }

    /// Adds to a number; gives the sum as it is stored (`INCRBYFLOAT`).
    pub fn increment_float(&mut self, key: &[u8], by: &[u8]) -> Result<String, KeyError> {
        let value = self.get(key)?.unwrap_or_else(|| Bytes::from_static(b"0"));
        if parse_float(&value).is_none() || parse_float(by).is_none() {
            return Err(KeyError::NotFloat);
        }
        let sum = add_decimals(&value, by).ok_or(KeyError::NotFinite)?;
        self.set(key, sum.as_bytes(), Existing::Any, Lifetime::Keep)?;
        Ok(sum)
    }

    /// Overwrites bytes of a string.
    pub(crate) fn splice(&mut self, key: &[u8], offset: usize, bytes: &[u8]) {
        let offset = u64::try_from(offset).expect("a length fits");
        self.commit(Change::Splice { key: Self::own(key), offset, bytes: Self::own(bytes) });
    }
}

pub(crate) fn check_length(len: usize) -> Result<(), KeyError> {
    if len > STRING_BYTES_MAX { Err(KeyError::TooLong) } else { Ok(()) }
}
