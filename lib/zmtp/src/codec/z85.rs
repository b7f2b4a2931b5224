//! Z85: five printable characters for four bytes, as CURVE keys are written down.
//!
//! # Source
//! rfc.zeromq.org/spec/32.

const ALPHABET: &[u8; 85] =
    b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";

/// Writes 32 bytes as 40 characters.
pub fn encode(bytes: &[u8; 32]) -> String {
    let mut text = String::with_capacity(40);
    for group in bytes.as_chunks::<4>().0 {
        let mut number = u32::from_be_bytes(*group);
        let mut digits = [0_u8; 5];
        for digit in digits.iter_mut().rev() {
            let index = usize::try_from(number % 85).expect("below 85");
            *digit = ALPHABET[index];
            number /= 85;
        }
        text.extend(digits.into_iter().map(char::from));
    }
    text
}

/// Reads 32 bytes from 40 characters; `None` when they are anything else.
pub fn decode(text: &str) -> Option<[u8; 32]> {
    let digits: &[u8; 40] = text.as_bytes().try_into().ok()?;
    let mut bytes = [0; 32];
    for (group, digits) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(digits.as_chunks::<5>().0) {
        let mut number = 0_u32;
        for digit in digits {
            let value = ALPHABET.iter().position(|character| character == digit)?;
            number = number.checked_mul(85)?.checked_add(u32::try_from(value).ok()?)?;
        }
        *group = number.to_be_bytes();
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_key_reads_back(bytes: [u8; 32]) {
            prop_assert_eq!(decode(&encode(&bytes)), Some(bytes));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,50}") {
            let _ = decode(&text);
        }
    }

    #[test]
    fn the_example_of_the_specification_reads_as_it_says() {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&[0x86, 0x4f, 0xd2, 0x6f, 0xb5, 0x59, 0xf7, 0x5b]);
        assert!(encode(&bytes).starts_with("HelloWorld"));
    }

    #[test]
    fn a_group_above_four_bytes_is_refused() {
        assert_eq!(decode(&"#".repeat(40)), None);
        assert_eq!(decode(&"0".repeat(39)), None);
    }
}
