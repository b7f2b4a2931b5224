//! gzip, in as many members as the producer wrote.

use std::io::Write;

use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;

use super::Compression::Gzip;
use crate::BatchError;

pub(super) fn decompress(input: &[u8], bytes_max: usize) -> Result<Vec<u8>, BatchError> {
    let mut decoder = MultiGzDecoder::new(input);
    Gzip.read_to_end(&mut decoder, input.len(), bytes_max)
}

pub(super) fn compress(input: &[u8], out: &mut Vec<u8>) {
    let mut encoder = GzEncoder::new(out, flate2::Compression::default());
    encoder.write_all(input).and_then(|()| encoder.finish()).expect("writing to memory succeeds");
}
