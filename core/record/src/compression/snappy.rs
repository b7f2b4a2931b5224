//! Snappy, in the framing of snappy-java ("xerial") or as one block.
//!
//! The Java client, kafka-python and franz-go frame it; librdkafka sends one block. Framed: 16
//! bytes of header (magic, version, oldest compatible version), then blocks, each after its length.
//!
//! # Invariants
//! - What the blocks claim to expand to is added up, and held against what their size allows, before
//!   memory is taken.
//!
//! # Source
//! Snappy format description; snappy-java's SnappyOutputStream. Not supported: streams put one after
//! the other, which no producer sends.

use snap::raw::{Decoder, Encoder, decompress_len};

use super::Compression::Snappy;
use crate::BatchError;

const FRAME_MAGIC: [u8; 8] = *b"\x82SNAPPY\0";
const FRAME_HEADER_BYTES: usize = 16;
const FRAME_VERSION: u32 = 1;

/// What the Java client compresses at a time.
const BLOCK_BYTES: usize = 32 * 1024;

/// No element of a block gives more than 64 bytes for three.
const RATIO_MAX: usize = 22;

pub(super) fn decompress(input: &[u8], bytes_max: usize) -> Result<Vec<u8>, BatchError> {
    if !input.starts_with(&FRAME_MAGIC) {
        let mut output = vec![0; expanded_len(input, bytes_max)?];
        decompress_block(input, &mut output)?;
        return Ok(output);
    }
    let version = input.get(FRAME_MAGIC.len()..).and_then(<[u8]>::first_chunk::<4>);
    if version.is_none_or(|version| u32::from_be_bytes(*version) < FRAME_VERSION) {
        return Err(Snappy.fault("its frame is of an unknown version"));
    }
    let Some(framed) = input.get(FRAME_HEADER_BYTES..) else {
        return Err(Snappy.fault("its frame header is cut short"));
    };
    let mut len = 0;
    for block in Blocks(framed) {
        // Stays within `bytes_max`: `expanded_len` gives at most what it is allowed.
        len += expanded_len(block?, bytes_max - len)
            .map_err(|error| restate_limit(error, bytes_max))?;
    }
    let mut output = vec![0; len];
    let mut rest = output.as_mut_slice();
    for block in Blocks(framed) {
        let written = decompress_block(block?, rest)?;
        rest = &mut rest[written..];
    }
    Ok(output)
}

pub(super) fn compress(input: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&FRAME_MAGIC);
    out.extend_from_slice(&FRAME_VERSION.to_be_bytes());
    out.extend_from_slice(&FRAME_VERSION.to_be_bytes());
    let mut encoder = Encoder::new();
    for block in input.chunks(BLOCK_BYTES) {
        let compressed = encoder.compress_vec(block).expect("a block of 32 KiB is not too large");
        let len = u32::try_from(compressed.len()).expect("32 KiB does not grow beyond 4 GiB");
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(&compressed);
    }
}

/// Iterates over the blocks of a frame, each still compressed.
struct Blocks<'a>(&'a [u8]);

impl<'a> Iterator for Blocks<'a> {
    type Item = Result<&'a [u8], BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let split = self.0.split_first_chunk::<4>().and_then(|(len, rest)| {
            let len = usize::try_from(u32::from_be_bytes(*len)).ok()?;
            rest.split_at_checked(len)
        });
        match split {
            Some((block, rest)) => {
                self.0 = rest;
                Some(Ok(block))
            }
            None => {
                self.0 = &[];
                Some(Err(Snappy.fault("a block of its frame is cut short")))
            }
        }
    }
}

/// What `block` says it expands to, if that can be and is allowed.
fn expanded_len(block: &[u8], bytes_max: usize) -> Result<usize, BatchError> {
    let len = decompress_len(block).map_err(|error| Snappy.fault(error))?;
    if len > block.len().saturating_mul(RATIO_MAX) {
        return Err(Snappy.fault("it claims to expand further than snappy can"));
    }
    if len > bytes_max {
        return Err(BatchError::ExpandsTooFar { max: bytes_max });
    }
    Ok(len)
}

fn decompress_block(block: &[u8], output: &mut [u8]) -> Result<usize, BatchError> {
    Decoder::new().decompress(block, output).map_err(|error| Snappy.fault(error))
}

/// The limit that the caller gave, not what the blocks before left of it.
fn restate_limit(error: BatchError, bytes_max: usize) -> BatchError {
    match error {
        BatchError::ExpandsTooFar { .. } => BatchError::ExpandsTooFar { max: bytes_max },
        other => other,
    }
}
