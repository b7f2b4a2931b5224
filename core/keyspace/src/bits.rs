//! Single bits of strings, the highest of the first byte first.

use crate::database::{Database, absolute_range};
use crate::error::KeyError;
use crate::strings::check_length;

/// Part of a string in which bits are counted or looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BitRange {
    /// The first, counted from either end.
    pub start: i64,
    /// The last, counted from either end.
    pub end: i64,
    /// Whether bits are counted, not bytes.
    pub bits: bool,
}

impl Database<'_> {
    /// A bit; zero past the end (`GETBIT`).
    pub fn get_bit(&mut self, key: &[u8], offset: u64) -> Result<bool, KeyError> {
        let byte = usize::try_from(offset / 8).map_err(|_| KeyError::TooLong)?;
        let string = self.string(key)?;
        let byte = string.and_then(|string| string.get(byte)).copied().unwrap_or(0);
        Ok(byte & mask(offset) != 0)
    }

    /// Sets a bit; gives what it was (`SETBIT`).
    pub fn set_bit(&mut self, key: &[u8], offset: u64, on: bool) -> Result<bool, KeyError> {
        let place = usize::try_from(offset / 8).map_err(|_| KeyError::TooLong)?;
        check_length(place.saturating_add(1))?;
        let present = self.string(key)?.and_then(|string| string.get(place).copied());
        let byte = present.unwrap_or(0);
        let changed = if on { byte | mask(offset) } else { byte & !mask(offset) };
        if present != Some(changed) {
            self.splice(key, place, &[changed]);
        }
        Ok(byte & mask(offset) != 0)
    }

    /// How many bits are set (`BITCOUNT`).
    pub fn count_bits(&mut self, key: &[u8], range: Option<BitRange>) -> Result<u64, KeyError> {
        let Some(string) = self.string(key)? else { return Ok(0) };
        let whole = BitRange { start: 0, end: -1, bits: false };
        let range = range.unwrap_or(whole);
        let (first, count) = bit_span(range, string.len());
        Ok(count_span(string, first, count))
    }

    /// Where the first bit of a kind is (`BITPOS`). A zero that is looked for to the end of the string
    /// is found right after it.
    pub fn find_bit(
        &mut self,
        key: &[u8],
        on: bool,
        range: BitRange,
        open_end: bool,
    ) -> Result<Option<u64>, KeyError> {
        let Some(string) = self.string(key)? else { return Ok((!on).then_some(0)) };
        let (first, count) = bit_span(range, string.len());
        let (mut bit, end) = (first, first + count);
        // A byte in which all bits are of the other kind.
        let passed = if on { 0x00 } else { 0xff };
        while bit < end {
            let byte = string[usize::try_from(bit / 8).expect("it lies in the string")];
            if bit % 8 == 0 && byte == passed {
                bit += 8;
                continue;
            }
            if (byte & mask(bit) != 0) == on {
                return Ok(Some(bit));
            }
            bit += 1;
        }
        Ok((!on && open_end && count > 0).then_some(first + count))
    }
}

fn mask(offset: u64) -> u8 {
    0x80 >> (offset % 8)
}

/// The range's first bit and how many it has.
fn bit_span(range: BitRange, bytes: usize) -> (u64, u64) {
    let unit = if range.bits { 1 } else { 8 };
    let len = bytes * 8 / unit;
    let (start, count) = absolute_range(range.start, range.end.max(lowest(len)), len);
    let wide = |units: usize| u64::try_from(units * unit).expect("a length fits");
    (wide(start), wide(count))
}

/// An end before the first is the first, as in `GETRANGE`.
fn lowest(len: usize) -> i64 {
    -i64::try_from(len).expect("a length fits")
}

fn count_span(string: &[u8], first: u64, count: u64) -> u64 {
    let end = first + count;
    let (from, to) = (first.div_ceil(8), end / 8);
    let single = |bits: std::ops::Range<u64>| -> u64 {
        let is_set = |bit: &u64| {
            let byte = string[usize::try_from(bit / 8).expect("it lies in the string")];
            byte & mask(*bit) != 0
        };
        bits.filter(is_set).count() as u64
    };
    if from > to {
        return single(first..end);
    }
    let index = |byte: u64| usize::try_from(byte).expect("it lies in the string");
    let whole = &string[index(from)..index(to)];
    let inner: u64 = whole.iter().map(|byte| u64::from(byte.count_ones())).sum();
    single(first..from * 8) + inner + single(to * 8..end)
}
