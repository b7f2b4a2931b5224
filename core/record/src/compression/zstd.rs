//! Zstandard frames.
//!
//! A frame may ask for a window of up to 128 MiB, which the Java client's level 22 does even for
//! small batches, so it cannot be refused. The decoder reserves it as address space; pages are taken
//! only as output fills them, and output is limited.

use std::io::Write;

use zstd::stream::read::Decoder;
use zstd::stream::write::Encoder;

use super::Compression::Zstd;
use crate::BatchError;

pub(super) fn decompress(input: &[u8], bytes_max: usize) -> Result<Vec<u8>, BatchError> {
    let mut decoder = Decoder::with_buffer(input).map_err(|error| Zstd.fault(error))?;
    Zstd.read_to_end(&mut decoder, input.len(), bytes_max)
}

pub(super) fn compress(input: &[u8], out: &mut Vec<u8>) {
    let level = zstd::DEFAULT_COMPRESSION_LEVEL;
    let mut encoder = Encoder::new(out, level).expect("the default level exists");
    encoder.write_all(input).expect("writing to memory succeeds");
    encoder.finish().expect("writing to memory succeeds");
}
