//! The LZ4 frame format.
//!
//! # Source
//! LZ4 Frame Format Description 1.6. Not supported, as in Kafka: dictionaries, skippable and legacy
//! frames, more than one frame.

use std::io::Write;

use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};

use super::Compression::Lz4;
use crate::BatchError;

const FRAME_MAGIC: [u8; 4] = 0x184D_2204_u32.to_le_bytes();
const END_MARK: [u8; 4] = [0; 4];

pub(super) fn decompress(input: &[u8], bytes_max: usize) -> Result<Vec<u8>, BatchError> {
    if !input.starts_with(&FRAME_MAGIC) {
        return Err(Lz4.fault("it does not begin a frame"));
    }
    let mut decoder = FrameDecoder::new(input);
    let output = Lz4.read_to_end(&mut decoder, input.len(), bytes_max)?;
    Lz4.check_used_up(decoder.into_inner())?;
    // The decoder takes the end of the input for the end of the frame.
    if !ends_frame(input) {
        return Err(Lz4.fault("the frame has no end"));
    }
    Ok(output)
}

/// As the Java client does: independent blocks of 64 KiB without checksums of their own.
pub(super) fn compress(input: &[u8], out: &mut Vec<u8>) {
    let frame = FrameInfo::new().block_mode(BlockMode::Independent).block_size(BlockSize::Max64KB);
    let mut encoder = FrameEncoder::with_frame_info(frame, out);
    encoder.write_all(input).expect("writing to memory succeeds");
    encoder.finish().expect("writing to memory succeeds");
}

/// Whether the end mark, and the content checksum when there is one, close the frame.
fn ends_frame(frame: &[u8]) -> bool {
    const CONTENT_CHECKSUM: u8 = 1 << 2;
    let checksum_len = match frame.get(FRAME_MAGIC.len()) {
        Some(flags) if flags & CONTENT_CHECKSUM != 0 => 4,
        _ => 0,
    };
    frame.len().checked_sub(checksum_len).is_some_and(|end| frame[..end].ends_with(&END_MARK))
}
