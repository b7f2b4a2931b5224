//! Lists.

use bytes::Bytes;

use crate::database::{Database, absolute, absolute_range};
use crate::effect::{Change, End};
use crate::error::KeyError;
use crate::snapshot::replace;
use crate::value::{List, Value};

/// Beside an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beside {
    /// Before it.
    Before,
    /// After it.
    After,
}

/// Which of the equal items are looked for (`LPOS`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PositionQuery {
    /// The first of them to show, from 1; negative from the end.
    pub rank: i64,
    /// How many to show; 0 for all.
    pub count: usize,
    /// How many items to look at; 0 for all.
    pub look_at: usize,
}

impl Database<'_> {
    /// Adds items at an end; gives the new length. With `only_existing`, not where there is no list
    /// (`LPUSH`, `RPUSH`, `LPUSHX`, `RPUSHX`).
    pub fn push(
        &mut self,
        key: &[u8],
        end: End,
        items: &[&[u8]],
        only_existing: bool,
    ) -> Result<usize, KeyError> {
        let len = self.list_len(key)?;
        if only_existing && len == 0 {
            return Ok(0);
        }
        self.commit(Change::Push { key: Self::own(key), end, items: Self::own_all(items) });
        Ok(len + items.len())
    }

    /// Takes up to `count` items from an end; `None` where there is no list (`LPOP`, `RPOP`).
    pub fn pop(
        &mut self,
        key: &[u8],
        end: End,
        count: usize,
    ) -> Result<Option<Vec<Bytes>>, KeyError> {
        let Some(list) = self.list(key)? else { return Ok(None) };
        let count = count.min(list.items.len());
        let items: Vec<Bytes> = match end {
            End::Left => list.items.iter().take(count).cloned().collect(),
            End::Right => list.items.iter().rev().take(count).cloned().collect(),
        };
        if count > 0 {
            let count = u64::try_from(count).expect("a count fits");
            self.commit(Change::Pop { key: Self::own(key), end, count });
        }
        Ok(Some(items))
    }

    /// Moves an item from an end of a list to an end of another, or of the same (`LMOVE`).
    pub fn move_item(
        &mut self,
        key: &[u8],
        from: End,
        to: &[u8],
        end: End,
    ) -> Result<Option<Bytes>, KeyError> {
        if self.list_len(key)? == 0 {
            return Ok(None);
        }
        self.list_len(to)?;
        if key == to {
            return self.rotate(key, from, end);
        }
        let item = self.pop(key, from, 1)?.and_then(|items| items.into_iter().next());
        if let Some(item) = &item {
            self.commit(Change::Push { key: Self::own(to), end, items: vec![item.clone()] });
        }
        Ok(item)
    }

    /// Added before it is taken, so that a list of one item, and its expiry, stay.
    fn rotate(&mut self, key: &[u8], from: End, end: End) -> Result<Option<Bytes>, KeyError> {
        let item = self.item(key, if from == End::Left { 0 } else { -1 })?;
        if let Some(item) = &item
            && from != end
        {
            let key = Self::own(key);
            self.commit(Change::Push { key: key.clone(), end, items: vec![item.clone()] });
            self.commit(Change::Pop { key, end: from, count: 1 });
        }
        Ok(item)
    }

    /// The items between two indexes, both included (`LRANGE`).
    pub fn items(&mut self, key: &[u8], start: i64, stop: i64) -> Result<Vec<Bytes>, KeyError> {
        let Some(list) = self.list(key)? else { return Ok(Vec::new()) };
        let (from, count) = absolute_range(start, stop, list.items.len());
        Ok(list.items.range(from..from + count).cloned().collect())
    }

    /// How many items there are (`LLEN`).
    pub fn list_len(&mut self, key: &[u8]) -> Result<usize, KeyError> {
        Ok(self.list(key)?.map_or(0, |list| list.items.len()))
    }

    /// The item at an index (`LINDEX`).
    pub fn item(&mut self, key: &[u8], index: i64) -> Result<Option<Bytes>, KeyError> {
        let Some(list) = self.list(key)? else { return Ok(None) };
        Ok(absolute(index, list.items.len()).and_then(|index| list.items.get(index)).cloned())
    }

    /// Replaces the item at an index (`LSET`).
    pub fn set_item(&mut self, key: &[u8], index: i64, item: &[u8]) -> Result<(), KeyError> {
        let list = self.list(key)?.ok_or(KeyError::NoSuchKey)?;
        let index = absolute(index, list.items.len()).ok_or(KeyError::IndexOutOfRange)?;
        let index = u64::try_from(index).expect("an index fits");
        self.commit(Change::SetItem { key: Self::own(key), index, item: Self::own(item) });
        Ok(())
    }

    /// Adds an item beside the first that equals `pivot`; gives the new length, `None` where there is
    /// no such item, and 0 where there is no list (`LINSERT`).
    pub fn insert_item(
        &mut self,
        key: &[u8],
        beside: Beside,
        pivot: &[u8],
        item: &[u8],
    ) -> Result<Option<usize>, KeyError> {
        let Some(list) = self.list(key)? else { return Ok(Some(0)) };
        let len = list.items.len();
        let Some(at) = list.items.iter().position(|item| item == pivot) else { return Ok(None) };
        let index = if beside == Beside::Before { at } else { at + 1 };
        let index = u64::try_from(index).expect("an index fits");
        self.commit(Change::InsertItem { key: Self::own(key), index, item: Self::own(item) });
        Ok(Some(len + 1))
    }

    /// Removes items that equal `item`: the first `count`, the last when it is negative, all when it
    /// is zero; says how many (`LREM`).
    pub fn remove_items(&mut self, key: &[u8], count: i64, item: &[u8]) -> Result<usize, KeyError> {
        let Some(list) = self.list(key)? else { return Ok(0) };
        let limit = match usize::try_from(count.unsigned_abs()) {
            Ok(0) | Err(_) => usize::MAX,
            Ok(limit) => limit,
        };
        let equal = list.items.iter().enumerate().filter(|(_, other)| *other == item);
        let mut indexes: Vec<u64> =
            equal.map(|(index, _)| u64::try_from(index).expect("an index fits")).collect();
        if count < 0 {
            indexes.drain(..indexes.len().saturating_sub(limit));
        } else {
            indexes.truncate(limit);
        }
        let removed = indexes.len();
        if removed > 0 {
            self.commit(Change::RemoveItems { key: Self::own(key), indexes });
        }
        Ok(removed)
    }

    /// Keeps the items between two indexes only (`LTRIM`).
    pub fn trim(&mut self, key: &[u8], start: i64, stop: i64) -> Result<(), KeyError> {
        let Some(list) = self.list(key)? else { return Ok(()) };
        let all = list.items.len();
        let (start, len) = absolute_range(start, stop, all);
        if len == 0 {
            self.commit(Change::Remove { key: Self::own(key) });
        } else if len < all {
            let wide = |number: usize| u64::try_from(number).expect("an index fits");
            self.commit(Change::Trim { key: Self::own(key), start: wide(start), len: wide(len) });
        }
        Ok(())
    }

    /// Where items that equal `item` are (`LPOS`).
    pub fn positions(
        &mut self,
        key: &[u8],
        item: &[u8],
        query: PositionQuery,
    ) -> Result<Vec<usize>, KeyError> {
        let Some(list) = self.list(key)? else { return Ok(Vec::new()) };
        let unlimited = |number: usize| if number == 0 { usize::MAX } else { number };
        let skip =
            usize::try_from(query.rank.unsigned_abs()).unwrap_or(usize::MAX).saturating_sub(1);
        let chosen = |items: &mut dyn Iterator<Item = (usize, &Bytes)>| -> Vec<usize> {
            let equal = items.take(unlimited(query.look_at)).filter(|(_, other)| *other == item);
            equal.map(|(index, _)| index).skip(skip).take(unlimited(query.count)).collect()
        };
        let mut items = list.items.iter().enumerate();
        Ok(if query.rank < 0 { chosen(&mut items.rev()) } else { chosen(&mut items) })
    }

    /// Makes a key a list of these items, or removes it where there are none.
    pub fn store_items(&mut self, key: &[u8], items: Vec<Bytes>) {
        let mut list = List::default();
        items.into_iter().for_each(|item| list.push_back(item));
        self.store(key, &Value::List(list));
    }

    /// Makes a key hold a value, or removes it where that is an empty collection.
    pub(crate) fn store(&mut self, key: &[u8], value: &Value) {
        let exists = self.entry(key).is_some();
        if value.is_empty_collection() && !exists {
            return;
        }
        let key = Self::own(key);
        // A collection replaces another without a moment in which a waiting client sees nothing.
        replace(&key, value).into_iter().for_each(|change| self.commit(change));
    }
}
