//! Compact binary encoding of internal state: variable-length integers and length-prefixed bytes.
//!
//! Every read is checked against what remains; nothing is allocated for a length before the bytes
//! are known to be there.

use super::Damage;

/// LIMIT: seven bits a byte, so 64 bits take at most ten.
const VARINT_BYTES_MAX: usize = 10;

/// Appends values to a buffer.
pub(crate) struct Encoder<'a>(pub(crate) &'a mut Vec<u8>);

impl Encoder<'_> {
    /// One byte.
    pub(crate) fn byte(&mut self, value: u8) {
        self.0.push(value);
    }

    /// An unsigned number, seven bits a byte, low bits first.
    pub(crate) fn unsigned(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// A signed number; small ones of either sign are short.
    pub(crate) fn signed(&mut self, value: i64) {
        self.unsigned(((value << 1) ^ (value >> 63)).cast_unsigned());
    }

    /// A number of things that follow.
    pub(crate) fn count(&mut self, count: usize) {
        self.unsigned(u64::try_from(count).expect("a usize fits 64 bits"));
    }

    /// A length and the bytes.
    pub(crate) fn bytes(&mut self, value: &[u8]) {
        self.count(value.len());
        self.0.extend_from_slice(value);
    }

    /// A text.
    pub(crate) fn text(&mut self, value: &str) {
        self.bytes(value.as_bytes());
    }
}

/// Reads values from a slice.
pub(crate) struct Decoder<'a> {
    rest: &'a [u8],
}

impl<'a> Decoder<'a> {
    /// Reads from the start of `bytes`.
    pub(crate) fn new(bytes: &'a [u8]) -> Decoder<'a> {
        Decoder { rest: bytes }
    }

    /// One byte.
    pub(crate) fn byte(&mut self) -> Result<u8, Damage> {
        let (&first, rest) = self.rest.split_first().ok_or_else(cut_short)?;
        self.rest = rest;
        Ok(first)
    }

    /// A flag.
    pub(crate) fn flag(&mut self) -> Result<bool, Damage> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(Damage::new(format!("flag is {other}"))),
        }
    }

    /// An unsigned number.
    pub(crate) fn unsigned(&mut self) -> Result<u64, Damage> {
        let mut value = 0_u64;
        for index in 0..VARINT_BYTES_MAX {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            let shift = 7 * index;
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Damage::new("number is longer than 64 bits"))
    }

    /// A signed number.
    pub(crate) fn signed(&mut self) -> Result<i64, Damage> {
        let value = self.unsigned()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    /// An unsigned number that fits 32 bits.
    pub(crate) fn unsigned_32(&mut self) -> Result<u32, Damage> {
        u32::try_from(self.unsigned()?).map_err(|_| Damage::new("number is longer than 32 bits"))
    }

    /// A signed number that fits 32 bits.
    pub(crate) fn signed_32(&mut self) -> Result<i32, Damage> {
        i32::try_from(self.signed()?).map_err(|_| Damage::new("number is longer than 32 bits"))
    }

    /// A number of things that follow, each of at least one byte.
    pub(crate) fn count(&mut self) -> Result<usize, Damage> {
        let count = self.unsigned()?;
        match usize::try_from(count) {
            Ok(count) if count <= self.rest.len() => Ok(count),
            _ => Err(Damage::new(format!("{count} items in {} bytes", self.rest.len()))),
        }
    }

    /// A length and that many bytes.
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Damage> {
        let len = self.count()?;
        let (value, rest) = self.rest.split_at(len);
        self.rest = rest;
        Ok(value)
    }

    /// A text.
    pub(crate) fn text(&mut self) -> Result<&'a str, Damage> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Damage::new("text is not UTF-8"))
    }

    /// Checks that nothing is left over.
    pub(crate) fn finish(self) -> Result<(), Damage> {
        match self.rest.len() {
            0 => Ok(()),
            count => Err(Damage::new(format!("{count} bytes are left over"))),
        }
    }
}

fn cut_short() -> Damage {
    Damage::new("cut short")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(write: impl FnOnce(&mut Encoder<'_>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut Encoder(&mut out));
        out
    }

    #[test]
    fn a_count_larger_than_what_remains_is_damage() {
        let bytes = encoded(|encoder| encoder.unsigned(u64::MAX));
        assert!(Decoder::new(&bytes).bytes().is_err());
    }

    #[test]
    fn a_number_of_more_than_64_bits_is_damage() {
        let bytes = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02];
        assert!(Decoder::new(&bytes).unsigned().is_err());
    }

    #[test]
    fn bytes_left_over_are_damage() {
        assert!(Decoder::new(&[0]).finish().is_err());
    }

    proptest! {
        #[test]
        fn values_read_back_as_written(number: i64, text: String) {
            let bytes = encoded(|encoder| {
                encoder.signed(number);
                encoder.text(&text);
            });
            let mut decoder = Decoder::new(&bytes);
            prop_assert_eq!(decoder.signed().unwrap(), number);
            prop_assert_eq!(decoder.text().unwrap(), text);
            decoder.finish().unwrap();
        }

        #[test]
        fn every_truncation_is_damage(number: u64, text: String) {
            let bytes = encoded(|encoder| {
                encoder.text(&text);
                encoder.unsigned(number);
            });
            for len in 0..bytes.len() {
                let mut decoder = Decoder::new(&bytes[..len]);
                prop_assert!(decoder.text().and_then(|_| decoder.unsigned()).is_err());
            }
        }
    }
}
