//! A look inside a HyperLogLog, for tests (`PFDEBUG`, `PFSELFTEST`).

use super::ESTIMATE_AT;
#[cfg(test)]
use super::STALE;
use super::estimate::estimate;
use super::registers::{self, HEADER_BYTES, Registers};
use crate::database::Database;
use crate::error::KeyError;

impl Database<'_> {
    /// Every register's rank; `None` where there is no key.
    pub fn registers(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, KeyError> {
        let Some(string) = self.get(key)? else { return Ok(None) };
        Ok(Some(Registers::read(&string)?.ranks().to_vec()))
    }

    /// Whether registers lie side by side, six bits each; `None` where there is no key.
    pub fn registers_are_dense(&mut self, key: &[u8]) -> Result<Option<bool>, KeyError> {
        let Some(string) = self.get(key)? else { return Ok(None) };
        Ok(Some(Registers::read(&string)?.is_dense()))
    }

    /// Writes registers side by side; says whether they were not, and `None` where there is no key.
    pub fn make_registers_dense(&mut self, key: &[u8]) -> Result<Option<bool>, KeyError> {
        let Some(before) = self.get(key)? else { return Ok(None) };
        let mut registers = Registers::read(&before)?;
        if registers.is_dense() {
            return Ok(Some(false));
        }
        registers.make_dense();
        let mut string = registers.write();
        string[ESTIMATE_AT..HEADER_BYTES].copy_from_slice(&before[ESTIMATE_AT..HEADER_BYTES]);
        self.store_registers(key, string);
        Ok(Some(true))
    }

    /// The runs of a sparse HyperLogLog as Redis shows them: `z:` and `Z:` for zeros, `v:` with a
    /// rank and a length for others; `None` where there is no key, or it is dense.
    pub fn decoded_registers(&mut self, key: &[u8]) -> Result<Option<String>, KeyError> {
        let Some(string) = self.get(key)? else { return Ok(None) };
        if Registers::read(&string)?.is_dense() {
            return Ok(None);
        }
        let mut words = Vec::new();
        let mut body = string[HEADER_BYTES..].iter();
        while let Some(&first) = body.next() {
            words.push(if first & 0x80 != 0 {
                format!("v:{},{}", ((first >> 2) & 0x1f) + 1, (first & 3) + 1)
            } else if first & 0x40 != 0 {
                let second = body.next().copied().unwrap_or_default();
                format!("Z:{}", ((u16::from(first & 0x3f) << 8) | u16::from(second)) + 1)
            } else {
                format!("z:{}", first + 1)
            });
        }
        Ok(Some(words.join(" ")))
    }
}

/// Counts a hundred thousand different elements in both encodings, and says what is wrong, if
/// anything is: the encodings differ, or an estimate is further off than six standard errors.
pub fn check_estimates() -> Result<(), String> {
    const ELEMENTS: u64 = 100_000;
    const ERROR_PER_MILLE: u64 = 6 * 1040 / 128;
    let (mut one, mut other) = (Registers::default(), Registers::default());
    other.make_dense();
    for number in 1..=ELEMENTS {
        let (register, rank) = registers::place(&number.to_le_bytes());
        one.raise(register, rank);
        other.raise(register, rank);
        if !number.is_power_of_two() && number != ELEMENTS {
            continue;
        }
        let read = Registers::read(&one.write()).map_err(|error| error.to_string())?;
        let again = Registers::read(&other.write()).map_err(|error| error.to_string())?;
        if read.ranks() != again.ranks() {
            return Err(format!("sparse and dense registers differ after {number} elements"));
        }
        let (low, high) = (estimate(&read), number);
        if low.abs_diff(high) > high * ERROR_PER_MILLE / 1000 + 3 {
            return Err(format!("{high} elements were estimated as {low}"));
        }
    }
    Ok(())
}

/// Whether an estimate in a header may be used.
#[cfg(test)]
fn is_stale(string: &[u8]) -> bool {
    string[HEADER_BYTES - 1] & STALE != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Keyspace;
    use crate::tests::first;

    #[test]
    fn the_estimates_are_right() {
        assert_eq!(check_estimates(), Ok(()));
    }

    #[test]
    fn registers_made_dense_are_the_same_registers() {
        let mut keyspace = Keyspace::new(1);
        let mut db = first(&mut keyspace);
        db.count_elements(b"h", &[b"a", b"b"]).unwrap();
        let before = db.registers(b"h").unwrap();
        assert_eq!(db.registers_are_dense(b"h"), Ok(Some(false)));
        assert!(db.decoded_registers(b"h").unwrap().unwrap().contains("v:"));
        assert_eq!(db.make_registers_dense(b"h"), Ok(Some(true)));
        assert_eq!(db.make_registers_dense(b"h"), Ok(Some(false)));
        assert_eq!(db.registers(b"h").unwrap(), before);
        assert!(is_stale(&db.get(b"h").unwrap().unwrap()));
        assert_eq!(db.decoded_registers(b"h"), Ok(None));
        assert_eq!(db.registers(b"none"), Ok(None));
    }
}
