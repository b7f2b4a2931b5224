//! Frame headers: flags and a length of one byte or eight.
//!
//! # Source
//! 37/ZMTP "Framing"; 15/ZMTP has the same frames without commands.

use super::greeting::Version;
use super::{CodecError, Decoded};

const MORE: u8 = 1;
const LONG: u8 = 2;
const COMMAND: u8 = 4;
/// The longest header.
pub const HEADER_BYTES_MAX: usize = 9;

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Another frame of the same message follows.
    pub more: bool,
    /// The frame is a command.
    pub command: bool,
    /// The bytes that follow the header.
    pub len: usize,
}

/// Reads a frame's header.
///
/// # Errors
/// Reserved flags, a command in several frames, or a body above `max` bytes.
pub fn read_header(
    input: &[u8],
    version: Version,
    max: usize,
) -> Result<Decoded<Header>, CodecError> {
    let Some(&flags) = input.first() else { return Ok(Decoded::Need { at_least: 2 }) };
    let known = if version == Version::V2 { MORE | LONG } else { MORE | LONG | COMMAND };
    if flags & !known != 0 {
        return Err(CodecError::Flags(flags));
    }
    let (more, command) = (flags & MORE != 0, flags & COMMAND != 0);
    if more && command {
        return Err(CodecError::SplitCommand);
    }
    let (len, used) = if flags & LONG == 0 {
        let Some(&len) = input.get(1) else { return Ok(Decoded::Need { at_least: 2 }) };
        (u64::from(len), 2)
    } else {
        let Some(bytes) = input.get(1..).and_then(|rest| rest.first_chunk::<8>()) else {
            return Ok(Decoded::Need { at_least: HEADER_BYTES_MAX });
        };
        (u64::from_be_bytes(*bytes), HEADER_BYTES_MAX)
    };
    match usize::try_from(len) {
        Ok(len) if len <= max => Ok(Decoded::Value { value: Header { more, command, len }, used }),
        _ => Err(CodecError::TooLarge { len, max }),
    }
}

/// Writes a frame's header.
pub fn write_header(out: &mut Vec<u8>, header: Header) {
    let flags = u8::from(header.more) * MORE + u8::from(header.command) * COMMAND;
    match u8::try_from(header.len) {
        Ok(len) => out.extend_from_slice(&[flags, len]),
        Err(_) => {
            out.push(flags | LONG);
            // A `usize` always fits: no machine has addresses of more than 64 bits.
            out.extend_from_slice(&u64::try_from(header.len).unwrap_or(u64::MAX).to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_header_reads_back_and_every_prefix_needs_more(
            more: bool, command: bool, len in prop_oneof![0_usize..600, any::<u32>().prop_map(|len| len as usize)],
        ) {
            let header = Header { more: more && !command, command, len };
            let mut bytes = Vec::new();
            write_header(&mut bytes, header);
            for cut in 0..bytes.len() {
                let read = read_header(&bytes[..cut], Version::V3_1, usize::MAX).unwrap();
                let needs_more = matches!(read, Decoded::Need { at_least } if at_least > cut);
                prop_assert!(needs_more);
            }
            let value = Decoded::Value { value: header, used: bytes.len() };
            prop_assert_eq!(read_header(&bytes, Version::V3_1, usize::MAX), Ok(value));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..12)) {
            let _ = read_header(&bytes, Version::V3_1, 1000);
        }
    }

    #[test]
    fn a_length_above_the_limit_is_refused_before_the_body_comes() {
        let bytes = [LONG, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        let error = CodecError::TooLarge { len: u64::MAX, max: 10 };
        assert_eq!(read_header(&bytes, Version::V3_0, 10), Err(error));
        let error = CodecError::TooLarge { len: 11, max: 10 };
        assert_eq!(read_header(&[0, 11], Version::V3_0, 10), Err(error));
    }

    #[test]
    fn commands_are_one_frame_and_unknown_to_zmtp_2() {
        let split = read_header(&[MORE | COMMAND, 0], Version::V3_1, 10);
        assert_eq!(split, Err(CodecError::SplitCommand));
        assert_eq!(read_header(&[COMMAND, 0], Version::V2, 10), Err(CodecError::Flags(COMMAND)));
        assert_eq!(read_header(&[0x08, 0], Version::V3_1, 10), Err(CodecError::Flags(8)));
    }
}
