//! What can be done with any key, whatever it holds.

use bytes::Bytes;

use crate::database::Database;
use crate::effect::Change;
use crate::error::KeyError;
use crate::glob::glob_matches;
use crate::keyspace::DatabaseIndex;
use crate::snapshot::rebuild;
use crate::value::Kind;

/// LIMIT: a step of a scan looks at so many buckets for each entry wanted, so that it ends in time
/// where a table is nearly empty.
const BUCKETS_PER_ENTRY: usize = 10;

/// When an expiry is set at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExpireCondition {
    /// Only where there is none (`NX`).
    pub absent: bool,
    /// Only where there is one (`XX`).
    pub present: bool,
    /// Only where it is later than the present one (`GT`).
    pub later: bool,
    /// Only where it is earlier than the present one, or there is none (`LT`).
    pub earlier: bool,
}

/// How long a key lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeToLive {
    /// There is no key.
    NoKey,
    /// For ever.
    Forever,
    /// Until a moment, in milliseconds since 1970.
    Until(i64),
}

/// What a scan shows.
#[derive(Clone, Copy, Debug, Default)]
pub struct ScanFilter<'a> {
    /// Only what matches this pattern.
    pub pattern: Option<&'a [u8]>,
    /// Only keys of this type.
    pub kind: Option<Kind>,
    /// Roughly how many are looked at.
    pub count: usize,
}

/// What a step of a scan found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scanned<T> {
    /// Where to go on; zero at the end.
    pub cursor: u64,
    /// What was found.
    pub items: Vec<T>,
}

impl Database<'_> {
    /// The type of what a key holds (`TYPE`).
    pub fn kind(&mut self, key: &[u8]) -> Option<Kind> {
        self.entry(key).map(|entry| entry.value.kind())
    }

    /// Whether there is a key (`EXISTS`, `TOUCH`).
    pub fn exists(&mut self, key: &[u8]) -> bool {
        self.entry(key).is_some()
    }

    /// Removes a key; says whether it was there (`DEL`, `UNLINK`).
    pub fn delete(&mut self, key: &[u8]) -> bool {
        if self.entry(key).is_none() {
            return false;
        }
        self.commit(Change::Remove { key: Self::own(key) });
        true
    }

    /// Until when a key lives (`TTL`).
    pub fn time_to_live(&mut self, key: &[u8]) -> TimeToLive {
        match self.entry(key).map(|entry| entry.expires) {
            None => TimeToLive::NoKey,
            Some(None) => TimeToLive::Forever,
            Some(Some(at)) => TimeToLive::Until(at),
        }
    }

    /// Says until when a key lives; a moment that is over removes it (`EXPIRE`).
    pub fn expire(&mut self, key: &[u8], at: i64, condition: ExpireCondition) -> bool {
        let Some(entry) = self.entry(key) else { return false };
        let before = entry.expires;
        let refused = (condition.absent && before.is_some())
            || (condition.present && before.is_none())
            || (condition.later && before.is_none_or(|before| at <= before))
            || (condition.earlier && before.is_some_and(|before| at >= before));
        if refused {
            return false;
        }
        let key = Self::own(key);
        if at <= self.now {
            self.commit(Change::Remove { key });
        } else {
            self.commit(Change::Expire { key, at: Some(at) });
        }
        true
    }

    /// Makes a key live for ever; says whether it would not have (`PERSIST`).
    pub fn persist(&mut self, key: &[u8]) -> bool {
        let expires = self.entry(key).is_some_and(|entry| entry.expires.is_some());
        if expires {
            self.commit(Change::Expire { key: Self::own(key), at: None });
        }
        expires
    }

    /// Gives a key another name. With `only_new`, not where that name is taken (`RENAME`,
    /// `RENAMENX`).
    pub fn rename(&mut self, key: &[u8], to: &[u8], only_new: bool) -> Result<bool, KeyError> {
        if self.entry(key).is_none() {
            return Err(KeyError::NoSuchKey);
        }
        if only_new && self.entry(to).is_some() {
            return Ok(false);
        }
        if key != to {
            let index = self.index;
            self.keyspace.commit_rename(index, Self::own(key), index, Self::own(to));
        }
        Ok(true)
    }

    /// Brings a key to another database, unless one of that name is there (`MOVE`).
    pub fn move_to(&mut self, key: &[u8], to: DatabaseIndex) -> Result<bool, KeyError> {
        if to == self.index {
            return Err(KeyError::SameKey);
        }
        self.remove_if_expired(to, key);
        if self.entry(key).is_none() || self.keyspace.table(to).keys.contains(key) {
            return Ok(false);
        }
        self.keyspace.commit_rename(self.index, Self::own(key), to, Self::own(key));
        Ok(true)
    }

    /// Copies a key, to another database where one is named (`COPY`).
    pub fn copy(
        &mut self,
        key: &[u8],
        to: &[u8],
        database: DatabaseIndex,
        replace: bool,
    ) -> Result<bool, KeyError> {
        if database == self.index && key == to {
            return Err(KeyError::SameKey);
        }
        self.remove_if_expired(database, to);
        if !replace && self.keyspace.table(database).keys.contains(to) {
            return Ok(false);
        }
        let to = Self::own(to);
        let Some(entry) = self.entry(key) else { return Ok(false) };
        if entry.value.kind() == Kind::Stream {
            return Err(KeyError::IsStream);
        }
        for change in rebuild(&to, entry) {
            self.keyspace.commit(database, change);
        }
        Ok(true)
    }

    /// Every key that matches a pattern (`KEYS`).
    pub fn keys_matching(&self, pattern: &[u8]) -> Vec<Bytes> {
        let now = self.now;
        let living =
            self.keys().iter().filter(|(_, entry)| entry.expires.is_none_or(|at| at > now));
        living.map(|(key, _)| key).filter(|key| glob_matches(pattern, key)).cloned().collect()
    }

    /// A step of a walk over all keys (`SCAN`). A key that is there all the while is shown.
    pub fn scan(&self, cursor: u64, filter: ScanFilter<'_>) -> Scanned<Bytes> {
        let now = self.now;
        walk(
            |cursor, show| self.keys().scan(cursor, |key, entry| show(key, entry)),
            cursor,
            filter.count,
            |key, entry| {
                let shown = entry.expires.is_none_or(|at| at > now)
                    && filter.kind.is_none_or(|kind| kind == entry.value.kind())
                    && filter.pattern.is_none_or(|pattern| glob_matches(pattern, key));
                shown.then(|| key.clone())
            },
        )
    }

    /// Any key (`RANDOMKEY`).
    pub fn random_key(&mut self) -> Option<Bytes> {
        loop {
            let len = self.keys().len();
            if len == 0 {
                return None;
            }
            let position = self.keyspace.random.below(len);
            let key = self.keys().at(position).map(|(key, _)| key.clone())?;
            if self.entry(&key).is_some() {
                return Some(key);
            }
        }
    }

    /// How many keys there are; some may have expired (`DBSIZE`).
    pub fn len(&self) -> usize {
        self.keys().len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.keys().is_empty()
    }

    /// Removes every key (`FLUSHDB`).
    pub fn flush(&mut self) {
        if !self.is_empty() {
            self.commit(Change::Clear);
        }
    }

    /// The encoding that Redis would have chosen (`OBJECT ENCODING`).
    pub fn encoding(&mut self, key: &[u8]) -> Option<&'static str> {
        self.entry(key).map(|entry| entry.value.encoding())
    }

    /// Bytes that a key takes, but for what the allocator adds (`MEMORY USAGE`).
    pub fn memory(&mut self, key: &[u8]) -> Option<usize> {
        let name = key;
        self.entry(key).map(|entry| entry.memory(name))
    }

    /// How many elements a key's collection has; one for a string.
    pub fn elements(&mut self, key: &[u8]) -> Option<usize> {
        self.entry(key).map(|entry| entry.value.elements())
    }
}

/// Walks a table until it has seen about `count` entries.
pub(crate) fn walk<V, T>(
    step: impl Fn(u64, &mut dyn FnMut(&Bytes, &V)) -> u64,
    mut cursor: u64,
    count: usize,
    choose: impl Fn(&Bytes, &V) -> Option<T>,
) -> Scanned<T> {
    let mut items = Vec::new();
    let mut seen = 0;
    let mut buckets = count.max(1).saturating_mul(BUCKETS_PER_ENTRY);
    loop {
        cursor = step(cursor, &mut |key, value| {
            seen += 1;
            items.extend(choose(key, value));
        });
        buckets -= 1;
        if cursor == 0 || seen >= count || buckets == 0 {
            return Scanned { cursor, items };
        }
    }
}
