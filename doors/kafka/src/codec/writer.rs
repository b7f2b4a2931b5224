//! The encodings that Kafka adds to big-endian integers.

use bytes::{BufMut, BytesMut};

/// An unsigned LEB128.
pub(crate) fn put_varint(buffer: &mut BytesMut, mut value: u32) {
    while value >= 0x80 {
        // The low seven bits with the continuation bit set always fit a byte.
        buffer.put_u8(u8::try_from(value & 0x7f).unwrap_or(0) | 0x80);
        value >>= 7;
    }
    buffer.put_u8(u8::try_from(value).unwrap_or(0));
}

/// A string; `None` is null. Longer than 32,767 bytes is cut in versions that cannot hold it.
pub(crate) fn put_text(buffer: &mut BytesMut, text: Option<&[u8]>, flexible: bool) {
    const LEGACY_LEN_MAX: usize = 0x7fff;
    match text {
        None if flexible => put_varint(buffer, 0),
        None => buffer.put_i16(-1),
        Some(text) if flexible => {
            put_count(buffer, text.len(), true);
            buffer.put_slice(text);
        }
        Some(text) => {
            let cut = &text[..text.len().min(LEGACY_LEN_MAX)];
            buffer.put_i16(i16::try_from(cut.len()).unwrap_or(i16::MAX));
            buffer.put_slice(cut);
        }
    }
}

/// The count of an array, or the length of a byte field, that is not null.
pub(crate) fn put_count(buffer: &mut BytesMut, count: usize, flexible: bool) {
    let count = u32::try_from(count).expect("counts and lengths in a response are below 2 GiB");
    if flexible {
        put_varint(buffer, count + 1);
    } else {
        buffer.put_u32(count);
    }
}

/// The end of a struct without tagged fields.
pub(crate) fn put_no_tagged_fields(buffer: &mut BytesMut, flexible: bool) {
    if flexible {
        buffer.put_u8(0);
    }
}
