//! HyperLogLog: how many different things there were, within 0.81 %, in twelve kilobytes at most.
//!
//! The value is a string in Redis's own encoding, so that one may be dumped by either and restored by
//! the other.
//!
//! SPEC: Redis 7.0 `hyperloglog.c`: the header, the sparse and dense registers, and the estimator of
//! Ertl, "New cardinality estimation algorithms for HyperLogLog sketches" (2017).

mod debug;
mod estimate;
mod registers;

pub use self::debug::check_estimates;
use self::estimate::estimate;
use self::registers::{HEADER_BYTES, Registers};
use crate::database::Database;
use crate::effect::Change;
use crate::error::KeyError;

/// Where the header keeps the last estimate; the highest bit of its last byte says that it is stale.
const ESTIMATE_AT: usize = 8;
const STALE: u8 = 0x80;

impl Database<'_> {
    /// Counts elements; says whether that changed anything (`PFADD`).
    pub fn count_elements(&mut self, key: &[u8], elements: &[&[u8]]) -> Result<bool, KeyError> {
        let present = self.get(key)?;
        let mut registers = match &present {
            Some(string) => Registers::read(string)?,
            None => Registers::default(),
        };
        let mut changed = Vec::new();
        for element in elements {
            let (register, rank) = registers::place(element);
            if registers.raise(register, rank) {
                changed.push(register);
            }
        }
        if changed.is_empty() && present.is_some() {
            return Ok(false);
        }
        match present {
            Some(string) if registers.is_dense() => {
                let (len, last) = (string.len(), string[HEADER_BYTES - 1]);
                // Let go of, so that the bytes can be changed in place.
                drop(string);
                self.splice_registers(key, (len, last), &registers, &changed);
            }
            _ => {
                let mut string = registers.write();
                if !changed.is_empty() {
                    string[HEADER_BYTES - 1] |= STALE;
                }
                self.store_registers(key, string);
            }
        }
        Ok(true)
    }

    /// How many different elements were counted in any of these (`PFCOUNT`).
    pub fn estimate_elements(&mut self, keys: &[&[u8]]) -> Result<u64, KeyError> {
        if let [key] = keys {
            return self.estimate_one(key);
        }
        let mut union = Registers::default();
        for key in keys {
            if let Some(string) = self.get(key)? {
                union.merge(&Registers::read(&string)?);
            }
        }
        Ok(estimate(&union))
    }

    /// Makes a key count what any of these counted, and itself (`PFMERGE`).
    pub fn merge_elements(&mut self, to: &[u8], keys: &[&[u8]]) -> Result<(), KeyError> {
        let mut union = Registers::default();
        for key in std::iter::once(&to).chain(keys) {
            if let Some(string) = self.get(key)? {
                union.merge(&Registers::read(&string)?);
            }
        }
        let mut string = union.write();
        string[HEADER_BYTES - 1] |= STALE;
        self.store_registers(to, string);
        Ok(())
    }

    fn estimate_one(&mut self, key: &[u8]) -> Result<u64, KeyError> {
        let Some(string) = self.get(key)? else { return Ok(0) };
        let registers = Registers::read(&string)?;
        let kept = string[ESTIMATE_AT..].first_chunk::<8>().expect("a header was read");
        if kept[7] & STALE == 0 {
            return Ok(u64::from_le_bytes(*kept));
        }
        let count = estimate(&registers);
        drop(string);
        self.splice(key, ESTIMATE_AT, &count.to_le_bytes());
        Ok(count)
    }

    /// Only the bytes that differ are stored, not twelve kilobytes for every element.
    fn splice_registers(
        &mut self,
        key: &[u8],
        (len, last): (usize, u8),
        registers: &Registers,
        changed: &[usize],
    ) {
        let after = registers.write();
        if len != after.len() {
            let mut string = after;
            string[HEADER_BYTES - 1] |= STALE;
            self.store_registers(key, string);
            return;
        }
        for register in changed {
            let first = HEADER_BYTES + register * 6 / 8;
            let end = (first + 2).min(after.len());
            self.splice(key, first, &after[first..end]);
        }
        self.splice(key, HEADER_BYTES - 1, &[last | STALE]);
    }

    fn store_registers(&mut self, key: &[u8], string: Vec<u8>) {
        let expires = self.entry(key).and_then(|entry| entry.expires);
        self.commit(Change::SetString { key: Self::own(key), value: string.into(), expires });
    }
}
