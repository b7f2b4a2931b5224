//! Entry points for fuzz targets and their replay in tests: arbitrary bytes in, and out whether they
//! could be read.

use crate::codec::{RequestLimits, Requests};

/// LIMIT: what a fuzzed length may announce.
const REQUEST_BYTES_MAX: usize = 1024 * 1024;

/// A byte stream, whole and in pieces, which must give the same requests. Says whether any was read.
pub fn stream(input: &[u8]) -> bool {
    let (whole, _) = read(input, input.len().max(1));
    let (pieces, _) = read(input, 3);
    assert_eq!(whole, pieces, "pieces give other requests than the whole");
    whole.0 > 0
}

/// How many requests there were and a checksum of them, and whether the rest was refused.
fn read(input: &[u8], piece: usize) -> ((usize, usize), bool) {
    let limits = RequestLimits {
        argument_bytes_max: REQUEST_BYTES_MAX,
        request_bytes_max: REQUEST_BYTES_MAX,
    };
    let mut requests = Requests::new(limits);
    let (mut count, mut sum) = (0, 0_usize);
    for piece in input.chunks(piece) {
        requests.feed(piece);
        loop {
            match requests.next() {
                Ok(Some(request)) => {
                    count += 1;
                    for byte in request.iter().flat_map(|argument| argument.iter()) {
                        sum = sum.wrapping_mul(31).wrapping_add(usize::from(*byte));
                    }
                }
                Ok(None) => break,
                Err(_) => return ((count, sum), true),
            }
        }
    }
    ((count, sum), false)
}
