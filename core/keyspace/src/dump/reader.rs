//! Values from bytes.

use bytes::Bytes;

use crate::strings::STRING_BYTES_MAX;

/// LIMIT: compressed bytes become at most so many times as many; a run of 264 takes three.
const EXPANSION_MAX: usize = 264;

/// Reads from a slice. Everything is `None` where it ends too early.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

enum Length {
    Plain(u64),
    /// The string has a form of its own.
    Form(u8),
}

impl<'a> Reader<'a> {
    /// A number of elements, of which each takes at least a byte.
    pub(super) fn count(&mut self) -> Option<usize> {
        match self.length()? {
            Length::Plain(count) => {
                usize::try_from(count).ok().filter(|count| *count <= self.0.len())
            }
            Length::Form(_) => None,
        }
    }

    /// A string.
    pub(super) fn string(&mut self) -> Option<Bytes> {
        match self.length()? {
            Length::Plain(len) => {
                let len = usize::try_from(len).ok()?;
                self.take(len).map(Bytes::copy_from_slice)
            }
            Length::Form(0) => Some(decimal(i8::from_le_bytes(self.array()?).into())),
            Length::Form(1) => Some(decimal(i16::from_le_bytes(self.array()?).into())),
            Length::Form(2) => Some(decimal(i32::from_le_bytes(self.array()?).into())),
            Length::Form(3) => {
                let (Length::Plain(packed), Length::Plain(len)) = (self.length()?, self.length()?)
                else {
                    return None;
                };
                let packed = self.take(usize::try_from(packed).ok()?)?;
                decompress(packed, usize::try_from(len).ok()?)
            }
            Length::Form(_) => None,
        }
    }

    /// A score.
    pub(super) fn score(&mut self) -> Option<f64> {
        let score = f64::from_le_bytes(self.array()?);
        (!score.is_nan()).then_some(score)
    }

    fn length(&mut self) -> Option<Length> {
        let [first] = self.array()?;
        let low = first & 0x3f;
        Some(match first >> 6 {
            0 => Length::Plain(low.into()),
            1 => {
                let [second] = self.array()?;
                Length::Plain(u16::from_be_bytes([low, second]).into())
            }
            3 => Length::Form(low),
            _ => match first {
                0x80 => Length::Plain(u32::from_be_bytes(self.array()?).into()),
                0x81 => Length::Plain(u64::from_be_bytes(self.array()?)),
                _ => return None,
            },
        })
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*bytes)
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(bytes)
    }
}

fn decimal(number: i64) -> Bytes {
    Bytes::from(number.to_string())
}

/// LZF: a byte below 32 is followed by that many literals and one; others copy from what is written.
fn decompress(mut packed: &[u8], len: usize) -> Option<Bytes> {
    if len > STRING_BYTES_MAX || len > packed.len().saturating_mul(EXPANSION_MAX) {
        return None;
    }
    let mut out: Vec<u8> = Vec::with_capacity(len);
    while let Some((&control, rest)) = packed.split_first() {
        packed = rest;
        if control < 32 {
            let (literals, rest) = packed.split_at_checked(usize::from(control) + 1)?;
            packed = rest;
            out.extend_from_slice(literals);
        } else {
            let mut count = usize::from(control >> 5);
            if count == 7 {
                let (&more, rest) = packed.split_first()?;
                packed = rest;
                count += usize::from(more);
            }
            let (&low, rest) = packed.split_first()?;
            packed = rest;
            let back = (usize::from(control & 0x1f) << 8 | usize::from(low)) + 1;
            let from = out.len().checked_sub(back)?;
            // What is copied may be written by the same copy, so it goes byte by byte.
            for at in from..from + count + 2 {
                out.push(out[at]);
            }
        }
        if out.len() > len {
            return None;
        }
    }
    (out.len() == len).then(|| out.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_decompressed() {
        // One literal, then fourteen bytes copied from one byte back.
        let packed = [0, b'a', 7 << 5, 5, 0];
        assert_eq!(decompress(&packed, 15).unwrap(), "a".repeat(15));
        assert_eq!(decompress(&packed, 14), None);
        assert_eq!(decompress(&[7 << 5, 5, 0], 14), None);
    }
}
