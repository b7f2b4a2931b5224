//! Variable-length integers: seven bits a byte, low bits first, signs folded in (zigzag).
//!
//! # Source
//! Protocol Buffers encoding, `sint32` and `sint64`, as Kafka's records use them. A value that does
//! not fit its type is refused; one written in more bytes than it needs is not.

use crate::reader::Reason;

/// Appends a value; the encoding of an `i32` is the same as that of the equal `i64`.
pub(crate) fn write(value: i64, out: &mut Vec<u8>) {
    let mut rest = zigzag(value);
    while rest >= 0x80 {
        out.push(low_bits(rest) | 0x80);
        rest >>= 7;
    }
    out.push(low_bits(rest));
}

/// Bytes that [`write`] appends.
pub(crate) fn size(value: i64) -> usize {
    let bits = usize::try_from(u64::BITS - zigzag(value).leading_zeros()).unwrap_or(64);
    bits.div_ceil(7).max(1)
}

/// Reads an `i32` and how many bytes it took.
pub(crate) fn read_i32(bytes: &[u8]) -> Result<(i32, usize), Reason> {
    // Nearly every length and delta fits one byte.
    if let Some(&first) = bytes.first()
        && first < 0x80
    {
        let value = i32::from(first >> 1);
        return Ok((if first & 1 == 0 { value } else { -value - 1 }, 1));
    }
    let (value, used) = read_i64(bytes)?;
    let value = i32::try_from(value).map_err(|_| "a number is too large")?;
    if used > 5 { Err("a number is too long") } else { Ok((value, used)) }
}

/// Reads an `i64` and how many bytes it took.
pub(crate) fn read_i64(bytes: &[u8]) -> Result<(i64, usize), Reason> {
    let mut folded: u64 = 0;
    for (index, &byte) in bytes.iter().take(10).enumerate() {
        // The tenth byte has room for one bit.
        if index == 9 && byte > 1 {
            return Err("a number is too large");
        }
        folded |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            let magnitude = (folded >> 1).cast_signed();
            let value = if folded & 1 == 0 { magnitude } else { !magnitude };
            return Ok((value, index + 1));
        }
    }
    Err(if bytes.len() < 10 { "it is cut short" } else { "a number is too long" })
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

fn low_bits(value: u64) -> u8 {
    value.to_le_bytes()[0] & 0x7f
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(value: i64, expected: &[u8]) {
        let mut bytes = Vec::new();
        write(value, &mut bytes);
        assert_eq!(bytes, expected);
        assert_eq!(size(value), expected.len());
        assert_eq!(read_i64(expected), Ok((value, expected.len())));
    }

    #[test]
    fn known_values_have_their_known_bytes() {
        check(0, &[0]);
        check(-1, &[1]);
        check(1, &[2]);
        check(63, &[0x7e]);
        check(64, &[0x80, 1]);
        check(-65, &[0x81, 1]);
        check(i64::from(i32::MAX), &[0xfe, 0xff, 0xff, 0xff, 0x0f]);
        check(i64::MIN, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]);
    }

    #[test]
    fn a_value_beyond_its_type_is_refused() {
        assert!(read_i32(&[0x80, 0x80, 0x80, 0x80, 0x10]).is_err());
        assert!(read_i32(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x00]).is_err());
        assert!(read_i64(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]).is_err());
        assert!(read_i64(&[0x80; 11]).is_err());
    }

    proptest! {
        #[test]
        fn long_values_read_back_and_no_prefix_does(value: i64) {
            let mut bytes = Vec::new();
            write(value, &mut bytes);
            prop_assert_eq!(bytes.len(), size(value));
            prop_assert_eq!(read_i64(&bytes), Ok((value, bytes.len())));
            for len in 0..bytes.len() {
                prop_assert!(read_i64(&bytes[..len]).is_err());
            }
        }

        #[test]
        fn values_read_back_and_no_prefix_does(value: i32) {
            let mut bytes = Vec::new();
            write(i64::from(value), &mut bytes);
            prop_assert_eq!(read_i32(&bytes), Ok((value, bytes.len())));
            for len in 0..bytes.len() {
                prop_assert!(read_i32(&bytes[..len]).is_err());
            }
        }
    }
}
