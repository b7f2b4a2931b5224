//! Entry points for fuzz targets and their replay in tests: arbitrary bytes in, and out whether they
//! could be read.

use crate::tls::read_certificate;

/// A certificate, as a client shows it after it was verified and as the node's own is read.
pub fn certificate(input: &[u8]) -> bool {
    read_certificate(input)
}
